//! `listeners` and `lane`: where the proxy accepts requests.

use super::fields::{Fields, Known};
use super::{client, tls};
use crate::plan::{Address, Listener, Mark};

const LISTENER: Known =
    Known { fields: &["address", "mode", "tls", "http2", "lane", "proxy_protocol", "limits"], later: &[] };

/// The listeners, and the addresses that they take; all differ.
pub(crate) fn listeners(file: &Fields) -> (Vec<Listener>, Vec<(Address, Mark)>) {
    let lane = file.switch("lane").unwrap_or(true);
    let items = file.list("listeners");
    if file.is_mapping && items.is_empty() && file.get("listeners").is_none_or(|node| node.kind() == "a list") {
        let hint = "add `listeners:` with `- address: 127.0.0.1:8080`";
        file.checks.report(file.key_mark("listeners"), "there is no listener, so no request could come in", hint);
    }
    let mut taken: Vec<(Address, Mark)> = Vec::new();
    let mut listeners = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let fields = Fields::open(file.checks, node, format!("listener {}", index + 1), &LISTENER);
        let tls = tls::tls(&fields);
        // Over TLS both sides agree on it; in clear a client must know beforehand, so the operator has to want it.
        let http2 = fields.switch("http2").unwrap_or(tls.is_some());
        let lane = fields.switch("lane").unwrap_or(lane);
        let limits = client::limits(&fields);
        let proxy_protocol = fields.switch("proxy_protocol").unwrap_or(false);
        if proxy_protocol && file.list("trusted_proxies").is_empty() {
            let message = format!("{} would let nobody in", fields.label("proxy_protocol"));
            let hint = "name those who speak it under `trusted_proxies`";
            fields.checks.report(fields.key_mark("proxy_protocol"), message, hint);
        }
        fields.require("address");
        if let Some(address) = fields.address("address", false) {
            claim(&fields, address.clone(), &mut taken);
            let mark = fields.get("address").map_or(fields.mark, |node| node.mark);
            let mode = fields.mode(&address);
            listeners.push(Listener { address, mode, tls, http2, lane, proxy_protocol, limits, mark });
        }
    }
    (listeners, taken)
}

/// Reports an address that another socket of this file holds. Port 0 is a new port each time.
pub(super) fn claim(fields: &Fields, address: Address, taken: &mut Vec<(Address, Mark)>) {
    let mark = fields.get("address").map_or(fields.mark, |node| node.mark);
    if let Some((other, place)) = taken.iter().find(|(other, _)| overlap(&address, other)) {
        let message = if *other == address {
            format!("the address {address} is used twice")
        } else {
            format!("the address {address} overlaps {other}")
        };
        fields.checks.report(mark, message, format!("the other one stands on line {}", place.line));
    }
    taken.push((address, mark));
}

fn overlap(one: &Address, other: &Address) -> bool {
    let (Some(a), Some(b)) = (one.ip(), other.ip()) else { return one == other };
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || a.is_ipv4() == b.is_ipv4() && any)
}
