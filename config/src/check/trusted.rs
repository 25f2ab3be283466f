//! `trusted_proxies`: whose word counts. `forwarded_headers`: what nodes are told.

use super::fields::Fields;
use super::words::hint_for;
use crate::plan::{ForwardedHeaders, Network, NoNetwork, Told, TrustedHeader};
use crate::raw::Node;

/// The networks of proxies that stand before this one.
pub(crate) fn trusted_proxies(file: &Fields) -> Vec<Network> {
    let mut networks = Vec::new();
    for item in file.list("trusted_proxies") {
        match Network::read(item.as_text().unwrap_or_default()) {
            Ok(network) if networks.contains(&network) => {
                file.checks.report(item.mark, format!("{network} stands twice in `trusted_proxies`"), "keep one");
            }
            Ok(network) => networks.push(network),
            Err(NoNetwork::Rest(meant)) => {
                let wants = "a network without bits beyond its length";
                file.wrong("trusted_proxies", item, wants, format!("write `{meant}`"));
            }
            Err(NoNetwork::Form) => {
                let hint = "for example 10.0.0.0/8, fd00::/8, 192.0.2.7 or unix; names are not looked up";
                file.wrong("trusted_proxies", item, "an IP address or a network", hint);
            }
        }
    }
    networks
}

/// The fields by which nodes are told who asks: all of them unless some are named.
pub(crate) fn forwarded_headers(file: &Fields) -> ForwardedHeaders {
    if file.get("forwarded_headers").is_none() {
        return ForwardedHeaders::default();
    }
    let names = Told::ALL.map(|(name, _)| name);
    let read = |item: &Node| {
        let name = item.as_text().unwrap_or_default();
        let known = Told::ALL.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        if known.is_none() {
            file.wrong("forwarded_headers", item, "a field that the proxy writes", hint_for(name, &names, "there are"));
        }
        known.map(|(_, field)| field)
    };
    file.list("forwarded_headers").iter().filter_map(read).collect()
}

/// The field by which they say who their client is.
pub(crate) fn trusted_header(file: &Fields) -> TrustedHeader {
    if file.has("trusted_header") && file.list("trusted_proxies").is_empty() {
        let hint = "name the proxies that write it under `trusted_proxies`";
        file.checks.report(file.key_mark("trusted_header"), "`trusted_header` is read of nobody", hint);
    }
    let words = [("x-forwarded-for", TrustedHeader::XForwardedFor), ("forwarded", TrustedHeader::Forwarded)];
    file.choice("trusted_header", &words).unwrap_or_default()
}
