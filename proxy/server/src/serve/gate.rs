//! How many connections a listener holds, in all and of one client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use pointsman_config::plan::ClientLimits;

/// Counts the connections of one listener over all workers and reloads. Its lock is taken by those who come and go, never
/// by a request.
#[derive(Debug, Default)]
pub(super) struct Gate {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    all: u32,
    clients: HashMap<u128, u32>,
}

/// A place inside; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    client: u128,
}

impl Gate {
    /// Lets a client in. `exempt`: it speaks for many, so only the count of all holds. The error is which bound is
    /// reached, as metrics name it.
    pub(super) fn enter(
        self: &Arc<Self>,
        from: Option<IpAddr>,
        exempt: bool,
        limits: &ClientLimits,
    ) -> Result<Place, &'static str> {
        let client = from.map_or(NOBODY, network);
        let mut inside = self.inside.lock();
        if limits.connections.is_some_and(|most| inside.all >= most) {
            return Err("all");
        }
        let held = inside.clients.entry(client).or_default();
        if !exempt && limits.connections_per_client.is_some_and(|most| *held >= most) {
            return Err("client");
        }
        *held += 1;
        inside.all += 1;
        Ok(Place { gate: Arc::clone(self), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.gate.inside.lock();
        inside.all -= 1;
        if let Some(held) = inside.clients.get_mut(&self.client) {
            *held -= 1;
            if *held == 0 {
                inside.clients.remove(&self.client);
            }
        }
    }
}

/// Stands for all who come over a Unix socket: no network has this number.
const NOBODY: u128 = 1;

/// Who counts as one client: an IPv4 address, or the 64 bits that one subscriber of IPv6 is given at least (RFC 6177 §2).
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(v6) => u128::from(v6) >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(gate: &Arc<Gate>, from: &str, exempt: bool) -> Result<Place, &'static str> {
        let limits = ClientLimits { connections: Some(5), connections_per_client: Some(2), ..ClientLimits::default() };
        gate.enter(from.parse().ok(), exempt, &limits)
    }

    #[test]
    fn a_client_has_so_many_places_and_all_have_so_many() {
        let gate = Arc::new(Gate::default());
        let first = enter(&gate, "192.0.2.1", false).expect("in");
        let _second = enter(&gate, "::ffff:192.0.2.1", false).expect("in");
        assert_eq!(enter(&gate, "192.0.2.1", false).expect_err("full"), "client");
        let _other = enter(&gate, "192.0.2.2", false).expect("in");
        drop(first);
        let _again = enter(&gate, "192.0.2.1", false).expect("in");
        let _exempt = [enter(&gate, "192.0.2.1", true).expect("in"), enter(&gate, "192.0.2.1", true).expect("in")];
        assert_eq!(enter(&gate, "192.0.2.3", true).expect_err("full"), "all");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let gate = Arc::new(Gate::default());
        let _two = ["2001:db8::1", "2001:db8::ffff:1"].map(|from| enter(&gate, from, false).expect("in"));
        assert_eq!(enter(&gate, "2001:db8:0:0:9::", false).expect_err("full"), "client");
        let _next = enter(&gate, "2001:db8:0:1::", false).expect("in");
    }

    #[test]
    fn all_who_have_no_address_are_one_client() {
        let gate = Arc::new(Gate::default());
        let _two = [enter(&gate, "", false).expect("in"), enter(&gate, "", false).expect("in")];
        assert_eq!(enter(&gate, "", false).expect_err("full"), "client");
        let _others = [enter(&gate, "::1", false).expect("in"), enter(&gate, "0.0.0.1", false).expect("in")];
        let _exempt = enter(&gate, "", true).expect("in");
    }

    #[test]
    fn nothing_is_remembered_of_who_left() {
        let gate = Arc::new(Gate::default());
        drop(enter(&gate, "192.0.2.1", false).expect("in"));
        let inside = gate.inside.lock();
        assert!(inside.all == 0 && inside.clients.is_empty());
    }
}
