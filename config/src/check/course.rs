//! What a route does with its requests: services and their shares, redirects, other paths, other fields.

use super::fields::{Fields, Known};
use super::headers::headers;
use super::routes::one_path;
use super::words::{hint_for, is_token, list, quote};
use crate::plan::{Edits, Mark, Match, PathMatch, Redirect, Rewrite, Share};

const REDIRECT: Known = Known { fields: &["to", "status"], later: &[] };
const REWRITE: Known = Known { fields: &["prefix", "path"], later: &[] };
const EDITS: Known = Known { fields: &["set", "add", "remove"], later: &[] };
const STATUSES: [i128; 5] = [301, 302, 303, 307, 308];
const PLACES: [&str; 5] = ["scheme", "host", "path", "rest", "query"];

/// Fields that frame a message, concern one hop, or are written by the proxy itself.
const OWN: [&str; 16] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "http2-settings",
];

/// `service: name`, or `services: { name: weight, … }`; neither where requests are redirected.
pub(super) fn services(route: &Fields, known: &[&str]) -> Vec<Share> {
    let given: Vec<&str> = ["service", "services", "redirect"].into_iter().filter(|name| route.has(name)).collect();
    if let [first, second, ..] = given.as_slice() {
        let message = format!("{} has both `{first}` and `{second}`", route.what);
        route.checks.report(route.key_mark(second), message, "keep the one that is meant");
    }
    if given.is_empty() {
        route.require("service");
    }
    for name in &given {
        route.require_if_written(name);
    }
    let mut shares = Vec::new();
    if let Some((name, node)) = route.text("service").zip(route.get("service")) {
        exists(route, name, node.mark, known);
        shares.push(Share { service: name.into(), weight: 1 });
    }
    for entry in route.map("services") {
        exists(route, &entry.key, entry.key_mark, known);
        match entry.value.as_int().and_then(|weight| u32::try_from(weight).ok()).filter(|weight| *weight <= 1_000_000) {
            Some(weight) => shares.push(Share { service: entry.key.clone(), weight }),
            None => {
                let message =
                    format!("the weight of {} in {} is no number", quote(&entry.key), route.label("services"));
                route.checks.report(entry.value.mark, message, "from 0 to 1000000, relative to the others");
            }
        }
    }
    if route.has("services") && !shares.is_empty() && shares.iter().all(|share| share.weight == 0) {
        let message = format!("every weight in {} is 0, so nobody would serve it", route.label("services"));
        route.checks.report(route.key_mark("services"), message, "give one of them more");
    }
    shares
}

pub(super) fn exists(route: &Fields, name: &str, mark: Mark, known: &[&str]) {
    if !known.contains(&name) {
        let message = format!("there is no service {} for {}", quote(name), route.what);
        route.checks.report(mark, message, hint_for(name, known, "services"));
    }
}

/// `redirect: { to: TEMPLATE, status: 307 }`, or the template alone.
pub(super) fn redirect(route: &Fields, prefix: usize) -> Option<Redirect> {
    let node = route.get("redirect")?;
    if node.as_text().is_some() {
        return Some(Redirect { status: 307, to: template(route, "redirect")?, prefix });
    }
    let fields = Fields::open(route.checks, node, format!("`redirect` of {}", route.what), &REDIRECT);
    fields.require("to");
    let mut status = 307;
    if let Some(node) = fields.get("status") {
        match node.as_int().filter(|status| STATUSES.contains(status)).and_then(|status| u16::try_from(status).ok()) {
            Some(known) => status = known,
            None => fields.wrong(
                "status",
                node,
                "301, 302, 303, 307 or 308",
                "307 and 308 keep the method; 308 and 301 are remembered",
            ),
        }
    }
    Some(Redirect { status, to: template(&fields, "to")?, prefix })
}

fn template(fields: &Fields, name: &str) -> Option<String> {
    let text = fields.text(name)?;
    let node = fields.get(name)?;
    let starts = ["/", "http://", "https://", "{scheme}://", "{path}"];
    let fine = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if !fine || text.starts_with("//") || !starts.iter().any(|start| text.starts_with(start)) {
        fields.wrong(name, node, "a location", "for example https://{host}{path}{query} or /new/{rest}");
        return None;
    }
    if text.match_indices("{rest}").any(|(at, _)| !text[..at].ends_with('/')) {
        fields.wrong(name, node, "a location", "write `/` before {rest}, or the path could go on with the host's name");
        return None;
    }
    for piece in text.split('{').skip(1) {
        let place = piece.split('}').next().filter(|place| piece.len() > place.len() && PLACES.contains(place));
        if place.is_none() {
            fields.wrong(name, node, "a location", format!("what stands in braces is one of {}", list(&PLACES)));
            return None;
        }
    }
    Some(text.into())
}

/// `rewrite: { prefix: / }` or `{ path: /x }`.
pub(super) fn rewrite(route: &Fields, matches: &Match) -> Option<Rewrite> {
    let node = route.get("rewrite")?;
    let fields = Fields::open(route.checks, node, format!("`rewrite` of {}", route.what), &REWRITE);
    let prefix = one_path(&fields, "prefix").filter(|path| is_written_out(&fields, "prefix", path));
    let path = one_path(&fields, "path").filter(|path| is_written_out(&fields, "path", path));
    if fields.has("prefix") == fields.has("path") && fields.is_mapping {
        let hint = "`prefix` stands in place of what `match.path` names, `path` in place of the whole path";
        fields.checks.report(fields.mark, format!("{} takes one of `prefix` and `path`", fields.what), hint);
    }
    if let Some(with) = prefix {
        let length = match &matches.path {
            None => 0,
            Some(PathMatch::Prefix(prefix)) => prefix.strip_suffix('/').unwrap_or(prefix).len(),
            Some(PathMatch::Exact(_)) => {
                let hint = "write `rewrite: { path: … }`, or match by `path`";
                fields.checks.report(fields.key_mark("prefix"), "an exact path has no prefix to replace", hint);
                return None;
            }
        };
        return Some(Rewrite::Prefix { length, with: with.strip_suffix('/').unwrap_or(&with).into() });
    }
    path.map(Rewrite::Path)
}

/// Whether a path holds only what may stand in one (RFC 3986 §3.3): some nodes refuse others.
fn is_written_out(fields: &Fields, name: &str, path: &str) -> bool {
    let wrong = path.find(['"', '<', '>', '\\', '^', '`', '{', '|', '}']);
    if let (Some(at), Some(node)) = (wrong, fields.get(name)) {
        let byte = path.as_bytes()[at];
        fields.wrong(name, node, "a path", format!("write %{byte:02X} for `{}`", char::from(byte)));
    }
    wrong.is_none()
}

/// `request_headers` and `response_headers`: `{ set: {…}, add: {…}, remove: […] }`.
pub(super) fn edits(route: &Fields, name: &str) -> Edits {
    let Some(node) = route.get(name) else { return Edits::default() };
    let fields = Fields::open(route.checks, node, format!("`{name}` of {}", route.what), &EDITS);
    let mut remove: Vec<String> = Vec::new();
    for item in fields.one_or_list("remove").unwrap_or_default() {
        let written = item.as_text().unwrap_or_default().to_ascii_lowercase();
        if !is_token(&written) {
            fields.wrong("remove", item, "the name of a header", "");
            continue;
        }
        own(&fields, &written, item.mark);
        remove.push(written);
    }
    let written = |field: &str| {
        for entry in fields.map(field) {
            own(&fields, &entry.key.to_ascii_lowercase(), entry.key_mark);
        }
        headers(&fields, field)
    };
    Edits { set: written("set"), add: written("add"), remove }
}

fn own(fields: &Fields, name: &str, mark: Mark) {
    if OWN.contains(&name) {
        let message = format!("header `{name}` cannot be changed in {}", fields.what);
        fields.checks.report(mark, message, "it frames the message or is written by the proxy itself");
    }
}
