//! `routes`: which requests go to which service.

use std::collections::HashMap;

use super::broadcast;
use super::course;
use super::fields::{Fields, Known};
use super::headers::headers;
use super::mirror;
use super::words::{is_token, quote};
use crate::plan::{Host, Match, PathMatch, Route};
use crate::raw::Node;

const ROUTE: Known = Known {
    fields: &[
        "match",
        "service",
        "services",
        "redirect",
        "rewrite",
        "host",
        "mirror",
        "broadcast",
        "request_headers",
        "response_headers",
    ],
    later: &[],
};
const MATCH: Known = Known { fields: &["host", "path", "exact", "methods", "headers"], later: &[] };
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The routes in the order written. `services` are the names of all services.
pub(crate) fn routes(file: &Fields, services: &[&str]) -> Vec<Route> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut routes = Vec::new();
    for (index, item) in file.list("routes").iter().enumerate() {
        let fields = Fields::open(file.checks, item, format!("route {}", index + 1), &ROUTE);
        let matches = fields.get("match").map_or_else(|| Some(Match::default()), |node| matching(&fields, node));
        // A match that was refused in part may look like another one.
        if let Some(matches) = &matches
            && let Some(first) = seen.insert(format!("{matches:?}"), fields.mark.line)
        {
            let message =
                format!("{} matches the same requests as the one on line {first}, so it is never taken", fields.what);
            fields.checks.report(fields.mark, message, "remove one of the two, or match more closely");
        }
        let matches = matches.unwrap_or_default();
        let length = prefix_length(&matches);
        let redirect = course::redirect(&fields, length);
        routes.push(Route {
            services: course::services(&fields, services),
            redirect,
            rewrite: course::rewrite(&fields, &matches),
            host: asked_host(&fields),
            mirror: mirror::mirror(&fields, services),
            broadcast: broadcast::broadcast(&fields),
            request_headers: course::edits(&fields, "request_headers"),
            response_headers: course::edits(&fields, "response_headers"),
            matches,
            mark: fields.mark,
        });
    }
    routes
}

/// Bytes of a path that a match names.
fn prefix_length(matches: &Match) -> usize {
    match &matches.path {
        Some(PathMatch::Prefix(prefix)) => prefix.strip_suffix('/').unwrap_or(prefix).len(),
        Some(PathMatch::Exact(path)) => path.len(),
        None => 0,
    }
}

/// What a request must look like; `None` if a part of it was refused.
fn matching(route: &Fields, node: &Node) -> Option<Match> {
    let fields = Fields::open(route.checks, node, format!("`match` of {}", route.what), &MATCH);
    let (host, path, methods) = (host(&fields), path(&fields), methods(&fields));
    let headers = headers(&fields, "headers");
    let refused = fields.has("host") && host.is_none()
        || (fields.has("path") || fields.has("exact")) && path.is_none()
        || methods.len() != fields.one_or_list("methods").map_or(0, <[Node]>::len)
        || headers.len() != fields.map("headers").len()
        || node.kind() != "a mapping";
    (!refused).then_some(Match { host, path, methods, headers })
}

/// `host: keep`, `node`, or the host that nodes are asked for.
fn asked_host(route: &Fields) -> Host {
    match route.text("host") {
        None => {
            route.require_if_written("host");
            Host::Keep
        }
        Some("keep") => Host::Keep,
        Some("node") => Host::Node,
        Some(written) => {
            if !is_host(written)
                && let Some(node) = route.get("host")
            {
                route.wrong("host", node, "`keep`, `node` or a host", "for example api.internal or api.internal:8080");
            }
            Host::Name(written.into())
        }
    }
}

/// Whether it is a name or an address with an optional port, as a Host field has it (RFC 9110 §7.2).
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_ipv6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let fine = match is_ipv6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    fine && host.len() <= 253 && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// A host in lower case, perhaps with `*.` before it (any labels, one or more).
fn host(fields: &Fields) -> Option<String> {
    fields.require_if_written("host");
    let written = fields.text("host")?;
    let name = written.strip_prefix("*.").unwrap_or(written);
    let is_ipv6 = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    if name.len() <= 253 && (name.split('.').all(is_label) || is_ipv6 && name == written) {
        return Some(written.to_ascii_lowercase());
    }
    let hint = if written.contains("://") {
        "leave out the scheme"
    } else if written.contains('/') {
        "a path belongs to `path:`"
    } else if written.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        "leave out the port; it is not compared"
    } else if written.contains('*') {
        "a `*` can only stand first, as in *.example.com; leave `host` out to match every host"
    } else if !written.is_ascii() {
        "write names outside ASCII as they stand in requests: xn--..."
    } else {
        "for example api.example.com or *.example.com"
    };
    fields.wrong("host", fields.get("host")?, "the name of a host", hint);
    None
}

fn path(fields: &Fields) -> Option<PathMatch> {
    if fields.has("path") && fields.has("exact") {
        let message = format!("{} has both `path` and `exact`", fields.what);
        let hint = "`path` compares the beginning, `exact` the whole path; keep one";
        fields.checks.report(fields.key_mark("exact"), message, hint);
    }
    let prefix = one_path(fields, "path").map(PathMatch::Prefix);
    let exact = one_path(fields, "exact").map(PathMatch::Exact);
    exact.or(prefix)
}

pub(super) fn one_path(fields: &Fields, name: &str) -> Option<String> {
    fields.require_if_written(name);
    let written = fields.text(name)?;
    let bad = |c: char| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '*');
    if written.starts_with('/') && !written.contains(bad) {
        return Some(written.into());
    }
    let hint = if !written.starts_with('/') {
        format!("write `/{}`", written.chars().take(40).collect::<String>().trim_start_matches('*'))
    } else if written.contains('*') && name == "path" {
        "leave out the `*`: `path` is a prefix already".into()
    } else if written.contains(['?', '#']) {
        "leave out the query; only the path is compared".into()
    } else {
        "percent-encode spaces, `*` and what is not ASCII".into()
    };
    fields.wrong(name, fields.get(name)?, "a path", hint);
    None
}

fn methods(fields: &Fields) -> Vec<String> {
    let items = fields.one_or_list("methods").unwrap_or_default();
    let mut methods: Vec<String> = Vec::new();
    for item in items {
        let written = item.as_text().unwrap_or_default();
        let upper = written.to_ascii_uppercase();
        if !is_token(written) {
            fields.wrong("methods", item, "the name of a method", "for example GET or [GET, POST]");
        } else if written != upper && METHODS.contains(&upper.as_str()) {
            let message =
                format!("the method {} will match no request: methods tell upper from lower case", quote(written));
            fields.checks.report(item.mark, message, format!("write `{upper}`"));
        } else if methods.iter().any(|method| method == written) {
            fields.checks.report(
                item.mark,
                format!("{} stands twice in {}", quote(written), fields.label("methods")),
                "keep one",
            );
        } else {
            methods.push(written.to_owned());
        }
    }
    methods
}
