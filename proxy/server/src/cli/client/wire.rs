//! Where the admin API is, and how it is reached: in clear, or over TLS with its certificate verified.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::certificates;
use pointsman_config::plan::{Address, Authorities, Mark, NoAddress};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Where distributions keep the certificates of public authorities.
const SYSTEM: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// An admin API's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Place {
    pub(super) secure: bool,
    at: At,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Named { host: String, port: u16 },
    Unix(Arc<Path>),
}

impl Place {
    /// One that listens there. What listens on every address is asked on loopback.
    pub(super) fn of(address: &Address, secure: bool) -> Self {
        let address = match address {
            Address::Ip(address) => address,
            Address::Unix(path) => return Self { secure, at: At::Unix(Arc::clone(path)) },
        };
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self { secure, at: At::Named { host: ip.to_string(), port: address.port() } }
    }

    /// Host and port, as `Host` has them.
    pub(super) fn authority(&self) -> String {
        match &self.at {
            At::Named { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            At::Named { host, port } => format!("{host}:{port}"),
            At::Unix(_) => "localhost".into(),
        }
    }

    /// The address as the configuration names it.
    pub(super) fn address(&self) -> String {
        match &self.at {
            At::Named { .. } => self.authority(),
            At::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure && matches!(self.at, At::Named { .. }) { "https://" } else { "" };
        write!(f, "{scheme}{}", self.address())
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if Address::path_in(text).is_some() {
            return text.parse().map(|address| Self::of(&address, false)).map_err(|why: NoAddress| why.to_string());
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        let secure = text.starts_with("https://");
        let rest = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or(text);
        if let Ok(address) = rest.parse::<SocketAddr>() {
            return Ok(Self::of(&address.into(), secure));
        }
        let named = rest.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        match named.filter(|(host, _)| !host.is_empty() && !host.contains(['/', ':', '@', '['])) {
            Some((host, port)) => Ok(Self { secure, at: At::Named { host: host.to_owned(), port } }),
            None => Err("wants IP:PORT, https://HOST:PORT or unix:PATH".into()),
        }
    }
}

/// How connections are made.
#[derive(Debug)]
pub(super) struct Wire {
    tls: Option<Arc<ClientConfig>>,
}

pub(super) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Wire {
    /// The error is what the operator reads.
    pub(super) fn new(secure: bool, ca: Option<&Path>) -> Result<Self, String> {
        if !secure {
            return Ok(Self { tls: None });
        }
        let system = || SYSTEM.iter().map(PathBuf::from).find(|file| file.exists());
        let Some(path) = ca.map(Path::to_owned).or_else(system) else {
            return Err(
                "error: no authority is known that could have signed the API's certificate\n  help: --ca names a \
                        file with its certificate"
                    .into(),
            );
        };
        let roots = certificates::authorities(&Authorities { path, mark: Mark::default() })
            .map_err(|flaw| format!("error: {}\n  help: {}", flaw.message, flaw.hint))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("error: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Some(Arc::new(config)) })
    }

    /// Connects; a handshake comes with the first byte.
    pub(super) fn connect(&self, to: &Place, patience: Duration) -> io::Result<Box<dyn Stream>> {
        let (host, port) = match &to.at {
            At::Named { host, port } => (host.as_str(), *port),
            // The same calls carry bytes and set timeouts.
            At::Unix(path) => return self.begin(OwnedFd::from(UnixStream::connect(path)?).into(), to, patience),
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, Duration::from_secs(3)) {
                Ok(socket) => return self.begin(socket, to, patience),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn begin(&self, socket: TcpStream, to: &Place, patience: Duration) -> io::Result<Box<dyn Stream>> {
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        let Some(tls) = &self.tls else { return Ok(Box::new(socket)) };
        let name = match &to.at {
            At::Named { host, .. } => host.clone(),
            At::Unix(_) => "localhost".into(),
        };
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        Ok(Box::new(StreamOwned::new(session, socket)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_people_write_them() {
        let shown = |text: &str| text.parse::<Place>().map(|place| place.to_string());
        for (written, read) in [
            ("127.0.0.1:9901", "127.0.0.1:9901"),
            ("http://127.0.0.1:9901/", "127.0.0.1:9901"),
            ("https://proxy.example:9901", "https://proxy.example:9901"),
            ("https://[::1]:9901/", "https://[::1]:9901"),
            ("0.0.0.0:9901", "127.0.0.1:9901"),
            ("localhost:1", "localhost:1"),
            ("unix:/run/pointsman/admin.sock", "unix:/run/pointsman/admin.sock"),
        ] {
            assert_eq!(shown(written).as_deref(), Ok(read), "{written}");
        }
        for bad in [
            "unix:",
            "unix:@name",
            "",
            "https://",
            "proxy",
            ":9901",
            "a:b",
            "https://a:1/v1",
            "user@a:1",
            "https://a:99999",
        ] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
