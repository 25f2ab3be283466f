//! Who asks: the client's address where proxies stand between it and this one.

use std::net::{IpAddr, SocketAddr};

use pointsman_config::plan::Network;

/// Whom a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Whoever holds the connection.
    pub peer: IpAddr,
    /// Whether `peer` is a proxy whose word counts.
    pub trusted: bool,
    /// The client: `peer` itself, or the nearest address before it that is not a trusted proxy's.
    pub client: IpAddr,
}

impl Origin {
    /// A peer that is believed in nothing.
    pub fn untold(peer: IpAddr) -> Self {
        let peer = peer.to_canonical();
        Self { peer, trusted: false, client: peer }
    }

    /// What a request's `X-Forwarded-For` fields say, in the order sent, as far as they may be believed: each proxy
    /// appends whom it was asked by, so only what trusted ones appended is true. That ends at the first address (from the
    /// right) that is nobody's of `trusted`, and at what is no address.
    pub fn of<'v>(trusted: &[Network], peer: IpAddr, forwarded_for: impl DoubleEndedIterator<Item = &'v [u8]>) -> Self {
        let knows = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let mut origin = Self::untold(peer);
        if !knows(origin.peer) {
            return origin;
        }
        origin.trusted = true;
        for told in forwarded_for.rev().flat_map(|value| value.rsplit(|b| *b == b',')) {
            let Some(address) = address(told) else { break };
            origin.client = address;
            if !knows(address) {
                break;
            }
        }
        origin
    }
}

/// An address as proxies write it: some add a port, and then IPv6 stands in brackets.
fn address(told: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(told).ok()?.trim_matches([' ', '\t']);
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let parsed = bare.unwrap_or(text).parse::<IpAddr>();
    parsed
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> Vec<Network> {
        ["10.0.0.0/8", "fd00::/8"].map(|text| Network::read(text).expect("a network")).to_vec()
    }

    fn client(peer: &str, values: &[&str]) -> String {
        let values = values.iter().map(|value| value.as_bytes());
        Origin::of(&trusted(), peer.parse().expect("an address"), values).client.to_string()
    }

    #[test]
    fn a_stranger_is_the_client_whatever_it_says() {
        assert_eq!(client("192.0.2.1", &["203.0.113.1"]), "192.0.2.1");
        assert_eq!(client("::ffff:192.0.2.1", &[]), "192.0.2.1");
    }

    #[test]
    fn the_client_is_the_rightmost_that_is_not_trusted() {
        for (values, expected) in [
            (&["203.0.113.1"][..], "203.0.113.1"),
            (&["198.51.100.1, 203.0.113.1"], "203.0.113.1"),
            (&["198.51.100.1", "203.0.113.1"], "203.0.113.1"),
            (&["198.51.100.1, 203.0.113.1, 10.2.0.1 ,\t10.3.0.1"], "203.0.113.1"),
            (&["203.0.113.1", "10.2.0.1"], "203.0.113.1"),
            (&["203.0.113.1:4711, [fd00::7]:80"], "203.0.113.1"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["::ffff:203.0.113.1"], "203.0.113.1"),
        ] {
            assert_eq!(client("10.1.0.1", values), expected, "{values:?}");
        }
    }

    #[test]
    fn where_nobody_is_left_to_believe_the_last_proxy_is_the_client() {
        for (values, expected) in [
            (&[][..], "10.1.0.1"),
            (&["10.2.0.1"], "10.2.0.1"),
            (&["203.0.113.1, unknown"], "10.1.0.1"),
            (&["203.0.113.1, "], "10.1.0.1"),
            (&["203.0.113.1, _hidden, 10.2.0.1"], "10.2.0.1"),
            (&["\u{e9}"], "10.1.0.1"),
        ] {
            assert_eq!(client("10.1.0.1", values), expected, "{values:?}");
        }
    }
}
