//! What a node says when it joins and when it renews, checked.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use pointsman_config::plan::{LONGEST_PATH, NoAddress};
use pointsman_core::cluster::node::{Address, NodeSpec};
use serde_json::Value;

use super::fields::Fields;
use super::problem::Problem;
use crate::world::control::ReportedLoad;

const JOIN_EXAMPLE: &str = r#"{"address": "127.0.0.1:9001", "ordinal": 1, "weight": 1, "ttl": "10s"}"#;
const HEARTBEAT_EXAMPLE: &str = r#"{"load": {"utilisation": 0.4, "queue": 3}}"#;

/// `unix:` and the longest path.
const LONGEST_ADDRESS: usize = 5 + LONGEST_PATH;

/// Leases are checked on a tick of some tens of milliseconds: below this a healthy node would lapse by chance.
const SHORTEST_TTL: Duration = Duration::from_millis(300);
const DEFAULT_TTL: Duration = Duration::from_secs(10);
/// A node that is silent for a day is gone.
const LONGEST_TTL: Duration = Duration::from_secs(24 * 3600);

/// Whether an id may name a node: 1 to 128 characters that mean themselves in a URL, a label and a log line.
pub(super) fn check_id(id: &str) -> Result<(), Problem> {
    let fits = (1..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        // "." and ".." are path segments with a meaning (RFC 3986 §5.2.4).
        && !matches!(id, "." | "..");
    if fits {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-id",
        "a node's id is 1 to 128 of the characters A-Z a-z 0-9 . _ -",
        "choose another id, e.g. oms-1",
    ))
}

/// Reads the body of a join.
pub(super) fn join(id: &str, body: &[u8]) -> Result<(NodeSpec, Duration), Problem> {
    check_id(id)?;
    let mut fields = Fields::parse(body, false, JOIN_EXAMPLE)?;
    let address = address(&mut fields);
    let ordinal = fields.integer("ordinal", 1, u64::MAX);
    let weight = fields.integer("weight", 1, 65_535).unwrap_or(1);
    let zone = fields.text("zone", 128).unwrap_or_default();
    let labels = fields.texts("labels", 64);
    let ttl = fields.duration("ttl", SHORTEST_TTL, LONGEST_TTL).unwrap_or(DEFAULT_TTL);
    fields.finish(JOIN_EXAMPLE)?;
    // `finish` has reported a missing address.
    let address = address.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)).into());
    Ok((NodeSpec { id: id.into(), ordinal, address, weight: weight as u32, zone, labels }, ttl))
}

fn address(fields: &mut Fields) -> Option<Address> {
    let before = fields.problems();
    let Some(text) = fields.text("address", LONGEST_ADDRESS) else {
        if fields.problems() == before {
            fields.wrong("address", "is missing; where does the node listen?");
        }
        return None;
    };
    match text.parse() {
        Ok(Address::Unix(path)) if path.is_relative() => {
            fields.wrong("address", format!("must be unix:/PATH: {text} begins at no folder that both sides know"));
            None
        }
        Ok(Address::Ip(address)) if address.port() == 0 || address.ip().is_unspecified() => {
            fields.wrong("address", format!("{text} cannot be connected to; give the address that others reach"));
            None
        }
        Ok(address) => Some(address),
        Err(NoAddress::Form) => {
            fields.wrong(
                "address",
                format!("must be IP:PORT or unix:/PATH, e.g. 10.0.0.7:8080 or [::1]:8080, not \"{text}\""),
            );
            None
        }
        Err(why) => {
            fields.wrong("address", format!("\"{text}\" is {why}"));
            None
        }
    }
}

/// Reads the body of a heartbeat; it may be empty. With it comes what the node is told of a figure that was bounded: one
/// that is refused would cost the node its lease.
pub(super) fn heartbeat(body: &[u8]) -> Result<(Option<ReportedLoad>, Option<String>), Problem> {
    let mut fields = Fields::parse(body, true, HEARTBEAT_EXAMPLE)?;
    let value = fields.take("load");
    let load = value.as_ref().and_then(|value| load(&mut fields, value));
    fields.finish(HEARTBEAT_EXAMPLE)?;
    let over = value.and_then(|value| value["utilisation"].as_f64()).filter(|share| *share > 1.0);
    Ok((load, over.map(|share| format!("load.utilisation is a share from 0 to 1: {share} is taken for 1"))))
}

/// A load may carry more than is read here: a node tells what it knows, and newer proxies read more of it.
fn load(fields: &mut Fields, value: &Value) -> Option<ReportedLoad> {
    let Value::Object(load) = value else {
        fields.wrong("load", "must be an object");
        return None;
    };
    let given = |name: &str| load.get(name).filter(|value| !value.is_null());
    let utilisation = given("utilisation").map(|value| {
        // A node in overload may compute a little over 1.
        let known = value.as_f64().filter(|share| *share >= 0.0).map(|share| share.min(1.0));
        if known.is_none() {
            fields.wrong("load.utilisation", "must be a number from 0 to 1");
        }
        known
    });
    let queue = given("queue").map(|value| {
        let known = value.as_u64();
        if known.is_none() {
            fields.wrong("load.queue", "must be a whole number, 0 or more");
        }
        known
    });
    Some(ReportedLoad { utilisation: utilisation.flatten(), queue: queue.flatten() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields_refused(body: &str) -> Vec<String> {
        let problem = join("oms-1", body.as_bytes()).expect_err("refused").body();
        let list = problem["problems"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|entry| entry["field"].as_str().map(String::from)).collect()
    }

    #[test]
    fn a_join_with_only_an_address_gets_the_defaults() {
        let (spec, ttl) = join("oms-1", br#"{"address": "127.0.0.1:9001"}"#).expect("join");
        assert_eq!((spec.id.as_str(), spec.ordinal, spec.weight, spec.zone.as_str()), ("oms-1", None, 1, ""));
        assert_eq!((spec.address, ttl), ("127.0.0.1:9001".parse().expect("address"), Duration::from_secs(10)));
    }

    #[test]
    fn a_node_may_listen_on_a_unix_socket() {
        let (spec, _) = join("a", br#"{"address": "unix:/run/app.sock"}"#).expect("join");
        assert_eq!(spec.address.to_string(), "unix:/run/app.sock");
        let path = |length: usize| format!("{{\"address\": \"unix:/{}\"}}", "x".repeat(length - 1));
        assert!(join("a", path(LONGEST_PATH).as_bytes()).is_ok());
        assert_eq!(fields_refused(&path(LONGEST_PATH + 1)), ["address"]);
    }

    #[test]
    fn a_join_with_everything() {
        let body =
            br#"{"address": "[::1]:9001", "ordinal": 3, "weight": 65535, "zone": "eu-1", "labels": {"rack": "7"},
            "ttl": 300}"#;
        let (spec, ttl) = join("a.b_c-9", body).expect("join");
        assert_eq!((spec.ordinal, spec.weight, spec.zone.as_str()), (Some(3), 65535, "eu-1"));
        assert_eq!(spec.labels.get("rack").map(String::as_str), Some("7"));
        assert_eq!(ttl, Duration::from_millis(300));
    }

    #[test]
    fn each_field_is_checked() {
        assert_eq!(fields_refused("{}"), ["address"]);
        for address in [
            "\"unix:\"",
            "\"unix:run/a.sock\"",
            "\"unix:/run/\"",
            "\"unix:@a\"",
            "7",
            "\"localhost:1\"",
            "\"1.2.3.4\"",
            "\"1.2.3.4:0\"",
            "\"0.0.0.0:80\"",
            "\"1.2.3.4:99999\"",
        ] {
            assert_eq!(fields_refused(&format!("{{\"address\": {address}}}")), ["address"], "{address}");
        }
        for (field, bad) in [
            ("ordinal", vec!["0", "-1", "1.5", "\"1\""]),
            ("weight", vec!["0", "65536", "\"1\""]),
            ("zone", vec!["7", "\"a\\u0000b\""]),
            ("labels", vec!["[]", "\"x\"", "{\"a\": \"b\\u001b\"}", "{\"a\\n\": \"b\"}"]),
            ("ttl", vec!["\"299ms\"", "299", "\"25h\"", "\"soon\"", "true", "-5"]),
            ("adress", vec!["\"127.0.0.1:1\""]),
        ] {
            for value in bad {
                let body = format!("{{\"address\": \"127.0.0.1:9001\", \"{field}\": {value}}}");
                assert_eq!(fields_refused(&body), [field], "{body}");
            }
        }
    }

    #[test]
    fn ids_that_do_not_fit() {
        for id in ["", ".", "..", "a b", "a/b", "é", "a:b", &"x".repeat(129)] {
            assert_eq!(join(id, b"{}").expect_err(id).status(), StatusCode::BAD_REQUEST);
        }
        assert!(check_id(&"x".repeat(128)).is_ok());
    }

    #[test]
    fn heartbeats() {
        assert_eq!(heartbeat(b"").expect("empty"), (None, None));
        assert_eq!(heartbeat(b"{}").expect("none"), (None, None));
        let (load, note) = heartbeat(br#"{"load": {"utilisation": 1.7, "queue": 3, "threads": 9}}"#).expect("load");
        assert_eq!(load, Some(ReportedLoad { utilisation: Some(1.0), queue: Some(3) }));
        assert_eq!(note.as_deref(), Some("load.utilisation is a share from 0 to 1: 1.7 is taken for 1"));
        assert_eq!(heartbeat(br#"{"load": {"utilisation": 1}}"#).expect("load").1, None);
        for bad in
            [r#"{"load": 1}"#, r#"{"load": {"utilisation": -1}}"#, r#"{"load": {"queue": "3"}}"#, r#"{"lode": {}}"#]
        {
            assert!(heartbeat(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
