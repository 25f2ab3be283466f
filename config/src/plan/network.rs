//! Ranges of addresses.

use std::fmt::{Display, Formatter, Result};
use std::net::{IpAddr, Ipv6Addr};

use serde::{Serialize, Serializer};

/// All addresses that begin with the same bits (CIDR, RFC 4632 §3.1, RFC 4291 §2.3). A single address is a network of one.
/// Whoever comes over a Unix socket has no address: they are a network of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// On the network.
    Ip {
        /// Its lowest address.
        first: IpAddr,
        /// How many bits its addresses share.
        bits: u8,
    },
    /// Over Unix sockets.
    Unix,
}

/// Why a text is no network, and what would be one.
#[derive(Debug, PartialEq, Eq)]
pub enum NoNetwork {
    /// Not an address with an optional length.
    Form,
    /// The address has bits beyond the length; this one has not.
    Rest(Network),
}

impl Network {
    /// Reads `10.0.0.0/8`, `fd00::/8`, `192.0.2.1`, `::1` or `unix`.
    pub fn read(text: &str) -> std::result::Result<Self, NoNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                (address, Some(bits.parse::<u8>().map_err(|_| NoNetwork::Form)?))
            }
            Some(_) => return Err(NoNetwork::Form),
            None if text == UNIX => return Ok(Self::Unix),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| NoNetwork::Form)?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(NoNetwork::Form);
        }
        let lowest = cut(first, bits);
        let network = Self::Ip { first: lowest, bits };
        if lowest == first { Ok(network) } else { Err(NoNetwork::Rest(network)) }
    }

    /// Whether an address lies in it; `None`: whoever comes over a Unix socket. IPv4 written as IPv6 (`::ffff:10.0.0.1`) is
    /// IPv4.
    pub fn contains(&self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::Ip { first, bits }, Some(address)) => {
                let address = address.to_canonical();
                address.is_ipv4() == first.is_ipv4() && cut(address, *bits) == *first
            }
            (Self::Unix, None) => true,
            _ => false,
        }
    }
}

/// How that network is written.
const UNIX: &str = "unix";

/// The address with all bits beyond the first so many cleared.
fn cut(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

impl Display for Network {
    fn fmt(&self, to: &mut Formatter<'_>) -> Result {
        match self {
            Self::Ip { first, bits } => write!(to, "{first}/{bits}"),
            Self::Unix => to.write_str(UNIX),
        }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Network::read(network).expect("a network").contains(Some(address.parse().expect("an address")))
    }

    #[test]
    fn an_address_lies_in_the_networks_that_share_its_first_bits() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("192.0.2.128/25", "192.0.2.200", "192.0.2.127"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("2001:db8::/64", "2001:db8::ffff", "2001:db8:0:1::"),
            ("::1", "::1", "::2"),
            ("::/0", "2001:db8::1", "127.0.0.1"),
        ] {
            assert!(contains(network, inside), "{inside} in {network}");
            assert!(!contains(network, outside), "{outside} in {network}");
        }
    }

    #[test]
    fn who_has_no_address_lies_in_no_network_but_their_own() {
        let unix = Network::read("unix").expect("a network");
        assert!(unix.contains(None) && !unix.contains(Some(Ipv6Addr::LOCALHOST.into())));
        assert!(!Network::read("::/0").expect("a network").contains(None));
        assert_eq!(unix.to_string(), "unix");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/a",
            "localhost",
            "::1/1/1",
            "unix/8",
            "UNIX",
        ] {
            assert_eq!(Network::read(wrong), Err(NoNetwork::Form), "{wrong}");
        }
        let meant = Network::read("10.0.0.0/8").expect("a network");
        assert_eq!(Network::read("10.1.2.3/8"), Err(NoNetwork::Rest(meant)));
    }
}
