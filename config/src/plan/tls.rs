//! What is said of TLS.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::Mark;
use crate::units::serialize_duration;

/// How a listener speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// At least one; the first serves clients that name no host, or one that no certificate covers.
    pub certificates: Vec<Certificate>,
    /// Certificates of the authorities, one of which must have signed each client's; `None`: clients show none.
    pub client_ca: Option<Authorities>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// From the accepted connection to the end of the handshake.
    #[serde(serialize_with = "serialize_duration")]
    pub handshake_timeout: Duration,
}

/// How the nodes of a service are spoken to over TLS. Their certificates are always verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeTls {
    /// Certificates of the authorities, one of which must have signed each node's.
    pub ca: Authorities,
    /// What the proxy shows to nodes that ask who it is.
    pub certificate: Option<Certificate>,
    /// The name that nodes' certificates are for; the node's IP address when absent.
    pub server_name: Option<String>,
}

/// What nodes of a service speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by ALPN over TLS, with prior knowledge in clear.
    Http2,
}

/// A certificate with its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// The certificate, then those of the authorities between it and a root.
    pub cert: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// Where the entry stands.
    pub mark: Mark,
}

/// A file of authorities' certificates, PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Authorities {
    /// The file.
    pub path: PathBuf,
    /// Where it is named.
    pub mark: Mark,
}

/// A version of TLS. Those before 1.2 are never spoken (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    V1_3,
}
