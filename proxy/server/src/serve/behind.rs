//! How the nodes of a service are spoken to by pingora, over TLS and in clear.

use std::sync::Arc;

use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use pointsman_config::certificates::Trust;
use pointsman_config::plan::{Address, Protocol, Timeouts};
use tokio::sync::watch;

use super::http2;
use super::manner::Manners;
use super::trip::Trip;

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
    pub(super) fn peer(&self, address: &Address) -> Option<HttpPeer> {
        let name = self.name.clone().unwrap_or_else(|| address.certified_name());
        let mut peer = at(address, true, name)?;
        peer.options.ca = Some(Arc::clone(&self.authorities));
        peer.client_cert_key.clone_from(&self.own);
        peer.group_key = self.generation;
        Some(peer)
    }
}

/// `None`: a path that is none, which no address has.
fn at(address: &Address, tls: bool, name: String) -> Option<HttpPeer> {
    match address {
        Address::Ip(address) => Some(HttpPeer::new(*address, tls, name)),
        Address::Unix(path) => HttpPeer::new_uds(path.to_str()?, tls, name).ok(),
    }
}

/// How the nodes of the request's service are spoken to over TLS. A service that is new under this configuration is known a
/// moment after the configuration is.
pub(super) async fn known(manners: &watch::Receiver<Arc<Manners>>, trip: &Trip) -> Option<Arc<Behind>> {
    let service = trip.service().filter(|service| service.plan.tls.is_some())?;
    let mut manners = manners.clone();
    let known = manners.wait_for(|manners| manners.nodes.contains_key(&*service.state.name));
    let known = tokio::time::timeout(service.plan.timeouts.connect, known).await.ok()?.ok()?;
    known.nodes.get(&*service.state.name).cloned()
}

/// How the node of this attempt is spoken to. `None`: it must not be.
pub(super) fn peer(trip: &Trip, behind: Option<Arc<Behind>>) -> Option<HttpPeer> {
    let (service, node) = (trip.service()?, trip.node()?);
    let Timeouts { connect, idle, response } = trip.timeouts(service);
    let mut peer = match (&service.plan.tls, behind) {
        (None, _) => at(&node.spec.address, false, String::new())?,
        (Some(_), Some(behind)) => behind.peer(&node.spec.address)?,
        // Nothing is sent to a node that cannot be verified.
        (Some(_), None) => return None,
    };
    peer.options.connection_timeout = Some(connect);
    // Connection and handshake together.
    peer.options.total_connection_timeout = service.plan.tls.as_ref().map(|_| connect);
    peer.options.idle_timeout = Some(idle);
    // A node that does not take the request's body. Silence of the node is bounded by `deadline`.
    peer.options.write_timeout = Some(idle);
    if service.plan.protocol == Protocol::Http2 {
        http2::toward(&mut peer);
        // Many requests share the connection, so `deadline` cannot end one by ending that.
        peer.options.read_timeout = Some(response.max(idle));
    }
    Some(peer)
}
