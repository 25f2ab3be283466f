//! How the operators' address speaks TLS, for who serves it without knowing who reads certificates.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;

/// How connections are begun that are accepted now.
#[derive(Clone, Default)]
pub enum Speech {
    /// Nobody is let in: TLS is wanted, and there is no certificate to show.
    #[default]
    Closed,
    /// In clear.
    Clear,
    /// By a handshake.
    Tls {
        /// Shakes hands.
        acceptor: TlsAcceptor,
        /// How long a handshake may take.
        patience: Duration,
    },
}

/// Asked once a connection: certificates change while the proxy runs.
pub type AskSpeech = Arc<dyn Fn() -> Speech + Send + Sync>;
