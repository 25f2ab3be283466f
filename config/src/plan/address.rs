//! Where a socket is: on the network, or in the file system.

use std::fmt::{Display, Formatter, Result as Written};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Listener;

/// Where somebody listens. Written as `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/app.sock`; cloning allocates nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A Unix socket of kind stream, by its path: text without control characters, as long as the kernel takes it.
    Unix(Arc<Path>),
}

/// What begins the address of a Unix socket.
const SCHEME: &str = "unix:";

/// Bytes that a path may have: `sun_path` holds 108, the last of them 0 (unix(7)).
pub const LONGEST_PATH: usize = 107;

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAddress {
    /// Neither an IP address with a port nor `unix:` and a path.
    Form,
    /// No path stands there, or one that names a folder.
    NoPath,
    /// The path has so many bytes, more than [`LONGEST_PATH`].
    Long(usize),
    /// The path is no text, or has control characters.
    NoText,
    /// A name that is no file's (`unix:@name`): any user of the machine may take it, and no mode guards it.
    Abstract,
}

impl Display for NoAddress {
    fn fmt(&self, to: &mut Formatter<'_>) -> Written {
        match self {
            Self::Form => to.write_str("neither an IP address and a port nor `unix:` and a path"),
            Self::NoPath => to.write_str("no path of a file"),
            Self::Long(bytes) => write!(to, "a path of {bytes} bytes, and a Unix socket's has at most {LONGEST_PATH}"),
            Self::NoText => to.write_str("a path that is no text, or has control characters"),
            Self::Abstract => to.write_str("an abstract name, which any user of the machine may take"),
        }
    }
}

impl std::error::Error for NoAddress {}

impl Address {
    /// A Unix socket by its path.
    ///
    /// # Errors
    /// The path cannot be a socket's.
    pub fn unix(path: &Path) -> Result<Self, NoAddress> {
        let text = path.to_str().filter(|text| !text.contains(char::is_control)).ok_or(NoAddress::NoText)?;
        if text.is_empty() || text.ends_with('/') {
            return Err(NoAddress::NoPath);
        }
        if text.len() > LONGEST_PATH {
            return Err(NoAddress::Long(text.len()));
        }
        Ok(Self::Unix(path.into()))
    }

    /// What stands after `unix:`, if that stands there.
    pub fn path_in(text: &str) -> Option<&str> {
        text.strip_prefix(SCHEME)
    }

    /// On the network.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        self.ip().is_none_or(|address| address.ip().is_loopback())
    }

    /// What `Host` names it: the address, or `localhost`, since a path is none.
    pub fn authority(&self) -> Authority<'_> {
        Authority(self)
    }

    /// What its certificate has to name where nothing else is said: the IP address, or `localhost`.
    pub fn certified_name(&self) -> String {
        self.ip().map_or_else(|| "localhost".into(), |address| address.ip().to_string())
    }
}

/// An address as `Host` names it.
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a>(&'a Address);

impl Display for Authority<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> Written {
        match self.0 {
            Address::Ip(address) => address.fmt(to),
            Address::Unix(_) => to.write_str("localhost"),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for Address {
    fn from(pieces: (I, u16)) -> Self {
        Self::Ip(pieces.into())
    }
}

impl PartialEq<SocketAddr> for Address {
    fn eq(&self, other: &SocketAddr) -> bool {
        self.ip() == Some(*other)
    }
}

impl Display for Address {
    fn fmt(&self, to: &mut Formatter<'_>) -> Written {
        match self {
            Self::Ip(address) => address.fmt(to),
            Self::Unix(path) => write!(to, "{SCHEME}{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        match Self::path_in(text) {
            Some(name) if name.starts_with('@') => Err(NoAddress::Abstract),
            Some(path) => Self::unix(Path::new(path)),
            None => text.parse().map(Self::Ip).map_err(|_| NoAddress::Form),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(|why| serde::de::Error::custom(format!("`{text}`: {why}")))
    }
}

impl Listener {
    /// The mode of a Unix socket's file; owner and group unless something else is said.
    pub fn mode(&self) -> u32 {
        self.mode.unwrap_or(0o660)
    }
}

/// Writes a mode as people do.
#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde hands it out so")]
pub(super) fn serialize_mode<S: Serializer>(mode: &Option<u32>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{:04o}", mode.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in ["127.0.0.1:8080", "[::1]:8080", "unix:/run/app.sock", "unix:var/admin.sock"] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
            let json = serde_json::to_string(&address).expect("text");
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Address>(&json).expect("an address"), address);
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        let long = format!("unix:/{}", "x".repeat(LONGEST_PATH));
        for (text, why) in [
            ("", NoAddress::Form),
            ("/run/app.sock", NoAddress::Form),
            ("localhost:80", NoAddress::Form),
            ("unix:", NoAddress::NoPath),
            ("unix:/run/", NoAddress::NoPath),
            ("unix:@app", NoAddress::Abstract),
            ("unix:/run/a\nb", NoAddress::NoText),
            ("unix:/run/a\0b", NoAddress::NoText),
            (&long, NoAddress::Long(LONGEST_PATH + 1)),
        ] {
            assert_eq!(text.parse::<Address>(), Err(why), "{text}");
        }
        assert!(format!("unix:/{}", "x".repeat(LONGEST_PATH - 1)).parse::<Address>().is_ok());
    }

    #[test]
    fn a_path_is_no_host() {
        let shown = |text: &str| text.parse::<Address>().expect(text).authority().to_string();
        assert_eq!(shown("[::1]:80"), "[::1]:80");
        assert_eq!(shown("unix:/run/app.sock"), "localhost");
    }
}
