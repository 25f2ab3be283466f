//! What a route changes on the way: fields, paths, and where clients are sent instead.

use std::fmt::Write;

use pointsman_config::plan::{self, Redirect, Rewrite};

use crate::facts::RequestFacts;

/// Changes of header fields, ready to be made on bytes.
#[derive(Debug, Default)]
pub struct Edits {
    gone: Vec<Box<[u8]>>,
    lines: Vec<u8>,
}

impl Edits {
    /// As configured.
    pub fn new(plan: &plan::Edits) -> Self {
        let gone =
            plan.set.iter().map(|(name, _)| name).chain(&plan.remove).map(|name| name.as_bytes().into()).collect();
        let mut lines = Vec::new();
        for (name, value) in plan.set.iter().chain(&plan.add) {
            for part in [name.as_str(), ": ", value, "\r\n"] {
                lines.extend_from_slice(part.as_bytes());
            }
        }
        Self { gone, lines }
    }

    /// Whether a field that came, its name in any case, is left out.
    pub fn drops(&self, name: &[u8]) -> bool {
        self.gone.iter().any(|gone| gone.eq_ignore_ascii_case(name))
    }

    /// What is written instead and besides, as whole lines.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }
}

/// Appends the path that a node is asked for. What is no path (`*`) stays.
pub fn rewrite(rule: &Rewrite, path: &str, out: &mut Vec<u8>) {
    match rule {
        _ if !path.starts_with('/') => out.extend_from_slice(path.as_bytes()),
        Rewrite::Path(with) => out.extend_from_slice(with.as_bytes()),
        Rewrite::Prefix { length, with } => {
            let rest = path.get(*length..).unwrap_or_default();
            out.extend_from_slice(with.as_bytes());
            out.extend_from_slice(rest.as_bytes());
            if with.is_empty() && rest.is_empty() {
                out.push(b'/');
            }
        }
    }
}

/// Where a client is sent. A location without a host never names one, whatever the path says: to a browser `//x` and `/\x`
/// are another site (WHATWG URL §4.4).
pub fn location(rule: &Redirect, facts: &impl RequestFacts, secure: bool) -> String {
    let path = if facts.path().starts_with('/') { facts.path() } else { "/" };
    let rest = path.get(rule.prefix..).unwrap_or_default().trim_start_matches('/');
    let mut out = String::new();
    let mut pieces = rule.to.split('{');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (place, literal) = piece.split_once('}').unwrap_or((piece, ""));
        match place {
            "scheme" => out.push_str(if secure { "https" } else { "http" }),
            "host" => out.push_str(facts.host()),
            "path" => encode(path, &mut out),
            "rest" => encode(rest, &mut out),
            _ => {
                if let Some(query) = facts.query() {
                    out.push('?');
                    encode(query, &mut out);
                }
            }
        }
        out.push_str(literal);
    }
    match out.strip_prefix('/') {
        Some(local) => format!("/{}", local.trim_start_matches(['/', '\\'])),
        None => out,
    }
}

/// What may not stand in a location is percent-encoded (RFC 3986 §2.1).
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Plain;

    fn rewritten(rule: &Rewrite, path: &str) -> String {
        let mut out = Vec::new();
        rewrite(rule, path, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_prefix_is_taken_off_or_replaced() {
        let strip = Rewrite::Prefix { length: 4, with: String::new() };
        let replace = Rewrite::Prefix { length: 4, with: "/v2/x".into() };
        for (path, stripped, replaced) in [
            ("/api", "/", "/v2/x"),
            ("/api/", "/", "/v2/x/"),
            ("/api/a/b", "/a/b", "/v2/x/a/b"),
            ("/api//a", "//a", "/v2/x//a"),
            ("*", "*", "*"),
        ] {
            assert_eq!(rewritten(&strip, path), stripped);
            assert_eq!(rewritten(&replace, path), replaced);
        }
        assert_eq!(rewritten(&Rewrite::Path("/one".into()), "/any/thing"), "/one");
        assert_eq!(rewritten(&Rewrite::Prefix { length: 0, with: "/in".into() }, "/a"), "/in/a");
    }

    fn sent(to: &str, path: &str, query: Option<&str>) -> String {
        let facts =
            Plain { host: "a.com".into(), path: path.into(), query: query.map(str::to_owned), ..Plain::default() };
        location(&Redirect { status: 307, to: to.into(), prefix: 4 }, &facts, true)
    }

    #[test]
    fn a_location_is_filled_in() {
        assert_eq!(sent("https://{host}{path}{query}", "/old/a", Some("b=c")), "https://a.com/old/a?b=c");
        assert_eq!(sent("{scheme}://new.com/{rest}{query}", "/old/a", None), "https://new.com/a");
        assert_eq!(sent("/new/{rest}", "/old/a/b", Some("x")), "/new/a/b");
        assert_eq!(sent("https://x.com/", "/old", Some("q")), "https://x.com/");
        assert_eq!(sent("/{rest}", "/old/caf\u{e9}", None), "/caf%C3%A9");
    }

    #[test]
    fn a_path_never_becomes_a_host() {
        for (to, path) in [
            ("{path}", "//evil.com"),
            ("/{rest}", "/old//evil.com"),
            ("{path}", "/\\evil.com"),
            ("{path}", "///evil.com"),
        ] {
            let location = sent(to, path, None);
            assert!(!location.starts_with("//") && !location.contains('\\'), "{location}");
        }
    }

    #[test]
    fn fields_are_dropped_in_any_case_and_written_as_lines() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let plan = plan::Edits { set: vec![pair("x-a", "1")], add: vec![pair("x-b", "2")], remove: vec!["x-c".into()] };
        let edits = Edits::new(&plan);
        assert!(edits.drops(b"X-A") && edits.drops(b"x-C") && !edits.drops(b"x-b"));
        assert_eq!(edits.lines(), b"x-a: 1\r\nx-b: 2\r\n");
    }
}
