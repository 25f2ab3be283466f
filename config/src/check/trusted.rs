//! `trusted_proxies`: whose word counts.

use super::fields::Fields;
use crate::plan::{Network, NoNetwork};

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
                let hint = "for example 10.0.0.0/8, fd00::/8 or 192.0.2.7; names are not looked up";
                file.wrong("trusted_proxies", item, "an IP address or a network", hint);
            }
        }
    }
    networks
}
