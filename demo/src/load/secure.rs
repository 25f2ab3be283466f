//! TLS to the server under load.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whom the load generator believes, and the name that the server's certificate must bear.
#[derive(Clone)]
pub struct Trust {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Trust {
    /// Certificates of a PEM file: authorities, or the server's own. `name`: a host name or an IP address.
    ///
    /// # Errors
    /// The file cannot be read, holds no certificate, or the name is none.
    pub fn read(file: &Path, name: &str) -> Result<Self, String> {
        let problem = |problem: &dyn fmt::Display| format!("{}: {problem}", file.display());
        let certificates = CertificateDer::pem_file_iter(file).map_err(|e| problem(&e))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            let certificate = certificate.map_err(|e| problem(&e))?;
            roots.add(certificate).map_err(|e| problem(&e))?;
        }
        if roots.is_empty() {
            return Err(problem(&"no certificate in it"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).map_err(|e| format!("`{name}`: {e}"))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

/// A connection in clear or over TLS.
#[derive(Debug)]
pub(super) enum Wire {
    Clear(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) async fn open(to: SocketAddr, trust: Option<&Trust>) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(match trust {
            None => Self::Clear(stream),
            Some(trust) => Self::Secure(Box::new(trust.connector.connect(trust.name.clone(), stream).await?)),
        })
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
