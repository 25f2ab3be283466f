//! TLS as a listener speaks it, and the handshake before anything else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::certificates::{self, Identity};
use pointsman_config::plan::{self, TlsVersion};
use pointsman_lane::{Peer, Stream};
use rustls::crypto::ring;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use names::Names;
use secured::Ciphered;

use crate::world::secure::Speech;

mod names;
mod secured;

/// The protocols that clients may choose from (RFC 7301 §6).
const H2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";

/// How long a client may go on sending after a handshake that failed; the lane waits as long after a last answer.
const LINGER: Duration = Duration::from_secs(2);

/// What a handshake needs.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    patience: Duration,
}

/// A connection after its handshake.
pub(super) struct Secure {
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    /// Whether both sides agreed on HTTP/2.
    pub(super) http2: bool,
}

impl Tls {
    /// Fails where there is no certificate to show or no authority to ask for.
    pub(super) fn new(
        plan: &plan::Tls,
        http2: bool,
        identities: &[Arc<Identity>],
        authorities: Option<RootCertStore>,
    ) -> Result<Self, String> {
        if identities.is_empty() {
            return Err("there is no certificate to show".into());
        }
        let provider = Arc::new(ring::default_provider());
        let versions: &[_] = match plan.min_version {
            TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
            TlsVersion::V1_3 => &[&version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|e| e.to_string())?;
        let builder = match authorities {
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|e| e.to_string())?)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Names::new(identities)));
        config.alpn_protocols = if http2 { vec![H2.into(), HTTP11.into()] } else { vec![HTTP11.into()] };
        // Sessions are resumed from tickets that clients keep: nothing is remembered here, and nothing shared.
        config.ticketer = ring::Ticketer::new().map_err(|e| e.to_string())?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), patience: plan.handshake_timeout })
    }

    /// The same for who does not hand the connection to the lane.
    pub(super) fn speech(&self) -> Speech {
        Speech::Tls { acceptor: self.acceptor.clone(), patience: self.patience }
    }

    /// Shakes hands. The error is why not, as metrics name it; the client has been sent an alert where it can read one.
    pub(super) async fn shake(&self, socket: TcpStream, client: Option<SocketAddr>) -> Result<Secure, &'static str> {
        let shaking = self.acceptor.accept(socket).into_fallible();
        let stream = match tokio::time::timeout(self.patience, shaking).await {
            Ok(Ok(stream)) => stream,
            Ok(Err((error, socket))) => {
                linger(socket).await;
                return Err(label(&error));
            }
            Err(_) => return Err("timeout"),
        };
        let session = stream.get_ref().1;
        let http2 = session.alpn_protocol() == Some(H2);
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let subject = certificate.and_then(|shown| certificates::subject(shown)).map(Arc::from);
        let peer = Peer { address: client, subject, secure: true };
        Ok(Secure { stream: Stream::Secured(Box::new(Ciphered(stream))), peer, http2 })
    }
}

/// Lets a client read its alert: a socket that is closed with bytes unread resets the connection, which takes the alert with it.
async fn linger(mut socket: TcpStream) {
    let discard = async {
        socket.shutdown().await?;
        let mut room = [0; 1024];
        while socket.read(&mut room).await? > 0 {}
        io::Result::Ok(())
    };
    // Whoever is gone, or does not end, needs no alert.
    let _ = tokio::time::timeout(LINGER, discard).await;
}

/// Why a handshake failed: one of a fixed list.
fn label(error: &io::Error) -> &'static str {
    use rustls::Error as Tls;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) {
        Some(Tls::InvalidMessage(_) | Tls::InappropriateMessage { .. }) => "not-tls",
        Some(Tls::NoCertificatesPresented | Tls::InvalidCertificate(_)) => "client-certificate",
        Some(Tls::PeerIncompatible(_) | Tls::NoApplicationProtocol) => "incompatible",
        Some(Tls::AlertReceived(_)) => "alert",
        Some(_) => "other",
        None => "gone",
    }
}

/// What the log says of a [`label`], or of a handshake that took too long.
pub(super) fn sentence(label: &str) -> &'static str {
    match label {
        "not-tls" => "what it sent is no TLS (plain text or garbage)",
        "timeout" => "it was not done within `tls.handshake_timeout`",
        "client-certificate" => "it showed no certificate, or one that is not accepted",
        "incompatible" => "there is no version, cipher or protocol that both sides speak",
        "alert" => "it objects to what it was shown",
        _ => "it breaks the rules of TLS",
    }
}
