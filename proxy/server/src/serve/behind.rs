//! How the nodes of a service are spoken to over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use pointsman_config::certificates::Trust;

/// Whom nodes must be, and what they are shown.
pub(super) struct Behind {
    authorities: Arc<CaType>,
    own: Option<Arc<CertKey>>,
    name: Option<String>,
    /// Connections made with other certificates are not used again.
    generation: u64,
}

impl Behind {
    /// `trust` was proven by the configuration's reader, so nothing in it is malformed.
    pub(super) fn new(trust: Trust, name: Option<String>, generation: u64) -> Self {
        let authorities = trust.authorities.iter().map(|found| WrappedX509::new(found.to_vec(), parse_x509)).collect();
        let own = trust.own.map(|(chain, key)| {
            let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
            Arc::new(CertKey::new(chain, key.secret_der().to_vec()))
        });
        Self { authorities, own, name, generation }
    }

    /// A node at this address. The name is never empty, or nothing would be verified.
    pub(super) fn peer(&self, address: SocketAddr) -> HttpPeer {
        let name = self.name.clone().unwrap_or_else(|| address.ip().to_string());
        let mut peer = HttpPeer::new(address, true, name);
        peer.options.ca = Some(Arc::clone(&self.authorities));
        peer.client_cert_key.clone_from(&self.own);
        peer.group_key = self.generation;
        peer
    }
}
