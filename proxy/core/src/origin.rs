//! Who asks: the client's address where proxies stand between it and this one.

use std::net::{IpAddr, SocketAddr};

use pointsman_config::plan::Network;

/// Whom a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Whoever holds the connection; `None`: over a Unix socket, where nobody has an address.
    pub peer: Option<IpAddr>,
    /// Whether `peer` is a proxy whose word counts.
    pub trusted: bool,
    /// The client: `peer` itself, or the nearest address before it that is not a trusted proxy's.
    pub client: Option<IpAddr>,
}

impl Origin {
    /// A peer that is believed in nothing.
    pub fn untold(peer: Option<IpAddr>) -> Self {
        let peer = peer.map(|peer| peer.to_canonical());
        Self { peer, trusted: false, client: peer }
    }

    /// What a request's `X-Forwarded-For` fields say, in the order sent, as far as they may be believed: each proxy
    /// appends whom it was asked by, so only what trusted ones appended is true. That ends at the first address (from the
    /// right) that is nobody's of `trusted`, and at what is no address.
    pub fn of<'v>(
        trusted: &[Network],
        peer: Option<IpAddr>,
        forwarded_for: impl DoubleEndedIterator<Item = &'v [u8]>,
    ) -> Self {
        let told = forwarded_for.rev().flat_map(|value| value.rsplit(|b| *b == b','));
        Self::traced(trusted, peer, told.map(address))
    }

    /// The same by the `Forwarded` fields (RFC 7239 §4). Elements are parted from the right, so that an open quote of the
    /// client's takes nothing of what the proxies after it wrote.
    pub fn of_forwarded<'v>(
        trusted: &[Network],
        peer: Option<IpAddr>,
        forwarded: impl DoubleEndedIterator<Item = &'v [u8]>,
    ) -> Self {
        Self::traced(trusted, peer, forwarded.rev().flat_map(|value| Elements(Some(value))).map(named))
    }

    /// `told`: from the nearest on; `None` where no address is told.
    fn traced(trusted: &[Network], peer: Option<IpAddr>, told: impl Iterator<Item = Option<IpAddr>>) -> Self {
        let knows = |address: Option<IpAddr>| trusted.iter().any(|network| network.contains(address));
        let mut origin = Self::untold(peer);
        if !knows(origin.peer) {
            return origin;
        }
        origin.trusted = true;
        for told in told {
            if told.is_none() {
                break;
            }
            origin.client = told;
            if !knows(told) {
                break;
            }
        }
        origin
    }
}

/// The elements of a `Forwarded` field, last first: what stands between commas that no quotes enclose.
struct Elements<'v>(Option<&'v [u8]>);

impl<'v> Iterator for Elements<'v> {
    type Item = &'v [u8];

    fn next(&mut self) -> Option<&'v [u8]> {
        let value = self.0?;
        let mut quoted = false;
        let comma = value.iter().enumerate().rposition(|(at, byte)| {
            quoted ^= *byte == b'"' && (at == 0 || value[at - 1] != b'\\');
            *byte == b',' && !quoted
        });
        self.0 = comma.map(|at| &value[..at]);
        Some(comma.map_or(value, |at| &value[at + 1..]))
    }
}

/// The address that an element's `for` names: neither `unknown` nor a name that hides one (RFC 7239 §6).
fn named(element: &[u8]) -> Option<IpAddr> {
    let mut pairs = element.split(|b| *b == b';').filter_map(|pair| {
        let pair = pair.trim_ascii();
        let (name, value) = pair.split_at(pair.iter().position(|b| *b == b'=')?);
        name.eq_ignore_ascii_case(b"for").then(|| &value[1..])
    });
    // Twice is not once (RFC 7239 §4).
    let value = pairs.next().filter(|_| pairs.next().is_none())?;
    match value.strip_prefix(b"\"") {
        Some(quoted) => address(quoted.strip_suffix(b"\"")?),
        None => address(value),
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

    fn shown(origin: Origin) -> String {
        origin.client.map_or_else(|| "nobody".into(), |client| client.to_string())
    }

    fn client(peer: &str, values: &[&str]) -> String {
        let values = values.iter().map(|value| value.as_bytes());
        shown(Origin::of(&trusted(), address(peer.as_bytes()), values))
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
    fn forwarded_tells_the_same() {
        let client = |peer: &str, values: &[&str]| {
            let values = values.iter().map(|value| value.as_bytes());
            shown(Origin::of_forwarded(&trusted(), address(peer.as_bytes()), values))
        };
        for (values, expected) in [
            (&["for=203.0.113.1"][..], "203.0.113.1"),
            (&["For=\"203.0.113.1:4711\";host=a;proto=https"], "203.0.113.1"),
            (&["for=198.51.100.1, for=203.0.113.1;by=x", "by=10.9.9.9; FOR=10.2.0.1"], "203.0.113.1"),
            (&["for=\"[2001:db8::7]:80\""], "2001:db8::7"),
            (&["for=203.0.113.1;host=\"a,b\",for=10.2.0.1"], "203.0.113.1"),
            (&["for=203.0.113.1;host=\"a\\\",b\",for=10.2.0.1"], "203.0.113.1"),
            // What a client leaves open takes nothing of what follows.
            (&["for=\"198.51.100.1, for=203.0.113.1"], "203.0.113.1"),
            // Nobody is named: whoever sent it is the client.
            (&["for=203.0.113.1, for=unknown"], "10.1.0.1"),
            (&["for=203.0.113.1, for=_hidden, for=10.2.0.1"], "10.2.0.1"),
            (&["for=203.0.113.1;for=203.0.113.2"], "10.1.0.1"),
            (&["proto=https"], "10.1.0.1"),
            (&[""], "10.1.0.1"),
            (&[], "10.1.0.1"),
        ] {
            assert_eq!(client("10.1.0.1", values), expected, "{values:?}");
        }
        assert_eq!(client("192.0.2.1", &["for=203.0.113.1"]), "192.0.2.1", "a stranger is not believed");
    }

    #[test]
    fn who_comes_over_a_unix_socket_is_believed_only_where_that_is_said() {
        let value = [&b"203.0.113.1, 10.2.0.1"[..]];
        let origin = Origin::of(&trusted(), None, value.into_iter());
        assert_eq!(origin, Origin { peer: None, trusted: false, client: None });
        let trusted = [trusted(), vec![Network::Unix]].concat();
        let origin = Origin::of(&trusted, None, value.into_iter());
        assert_eq!((origin.peer, origin.trusted, shown(origin)), (None, true, "203.0.113.1".into()));
        assert_eq!(Origin::of(&trusted, None, std::iter::empty()).client, None);
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
