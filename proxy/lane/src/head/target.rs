//! Request targets and hosts (RFC 9112 §3.2, RFC 3986 §3.2.2).

use crate::flaw::Flaw;
use crate::syntax;

/// Which of the four forms a target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, with CONNECT only.
    Authority,
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// The parts of a target as offsets into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Parts {
    pub(crate) form: Form,
    /// Host and port, absolute and authority form only.
    pub(crate) authority: (usize, usize),
    /// Path; may be empty in absolute form.
    pub(crate) path: (usize, usize),
    /// Query without `?`.
    pub(crate) query: Option<(usize, usize)>,
}

/// Takes a target apart.
pub(crate) fn read(method: &[u8], target: &[u8]) -> Result<Parts, Flaw> {
    if target.is_empty() || !syntax::is_visible(target) || target.contains(&b'#') {
        return Err(Flaw::Target);
    }
    // RFC 3986 wants ASCII; some clients send UTF-8 as it is, and only text can be routed on.
    if !target.is_ascii() && std::str::from_utf8(target).is_err() {
        return Err(Flaw::Target);
    }
    if method == b"CONNECT" {
        let (_, port) = split_host(target)?;
        return if port.is_empty() {
            Err(Flaw::Target)
        } else {
            Ok(Parts { form: Form::Authority, authority: (0, target.len()), ..Parts::default() })
        };
    }
    if target[0] == b'/' {
        return Ok(path_and_query(Form::Origin, (0, 0), target, 0));
    }
    if target == b"*" {
        let form = Form::Asterisk;
        return if method == b"OPTIONS" {
            Ok(Parts { form, path: (0, 1), ..Parts::default() })
        } else {
            Err(Flaw::Target)
        };
    }
    let scheme = target.iter().position(|b| *b == b':').unwrap_or(0);
    let known = target[..scheme].eq_ignore_ascii_case(b"http") || target[..scheme].eq_ignore_ascii_case(b"https");
    if !known || !target[scheme..].starts_with(b"://") {
        return Err(Flaw::Target);
    }
    let host = scheme + 3;
    let end = target[host..].iter().position(|b| matches!(b, b'/' | b'?')).map_or(target.len(), |at| host + at);
    split_host(&target[host..end])?;
    Ok(path_and_query(Form::Absolute, (host, end), target, end))
}

fn path_and_query(form: Form, authority: (usize, usize), target: &[u8], start: usize) -> Parts {
    let mark = target[start..].iter().position(|b| *b == b'?').map(|at| start + at);
    let end = mark.unwrap_or(target.len());
    Parts { form, authority, path: (start, end), query: mark.map(|at| (at + 1, target.len())) }
}

/// Host and port of a Host field or an authority; the port is empty when there is none.
pub(crate) fn split_host(authority: &[u8]) -> Result<(&[u8], &[u8]), Flaw> {
    let (host, port) = if authority.first() == Some(&b'[') {
        let close = authority.iter().position(|b| *b == b']').ok_or(Flaw::Host)?;
        let inside = std::str::from_utf8(&authority[1..close]).map_err(|_| Flaw::Host)?;
        inside.parse::<std::net::Ipv6Addr>().map_err(|_| Flaw::Host)?;
        authority.split_at(close + 1)
    } else {
        let end = authority.iter().position(|b| *b == b':').unwrap_or(authority.len());
        if !is_name(&authority[..end]) {
            return Err(Flaw::Host);
        }
        authority.split_at(end)
    };
    match port.split_first() {
        None => Ok((host, port)),
        Some((b':', digits)) if digits.is_empty() => Ok((host, digits)),
        Some((b':', digits)) if syntax::decimal(digits).is_some_and(|p| p <= 65535) => Ok((host, digits)),
        Some(_) => Err(Flaw::Host),
    }
}

/// `reg-name` without the comma, which is what a second Host merged into the first would look like. Not empty
/// (RFC 9110 §4.2.1).
fn is_name(host: &[u8]) -> bool {
    let fine = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
            )
    };
    !host.is_empty() && host.iter().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, target: &str) -> Result<(Form, String, String, Option<String>), Flaw> {
        let text = |(from, to): (usize, usize)| target[from..to].to_owned();
        let p = read(method.as_bytes(), target.as_bytes())?;
        Ok((p.form, text(p.authority), text(p.path), p.query.map(text)))
    }

    #[test]
    fn each_form_is_taken_apart() {
        let ok = |form, authority: &str, path: &str, query: Option<&str>| {
            Ok((form, authority.to_owned(), path.to_owned(), query.map(str::to_owned)))
        };
        assert_eq!(parts("GET", "/a/b?c=d?e"), ok(Form::Origin, "", "/a/b", Some("c=d?e")));
        assert_eq!(parts("GET", "//a"), ok(Form::Origin, "", "//a", None));
        assert_eq!(parts("GET", "/?"), ok(Form::Origin, "", "/", Some("")));
        assert_eq!(parts("GET", "http://h:80/a?b"), ok(Form::Absolute, "h:80", "/a", Some("b")));
        assert_eq!(parts("GET", "HTTPS://h?b"), ok(Form::Absolute, "h", "", Some("b")));
        assert_eq!(parts("OPTIONS", "*"), ok(Form::Asterisk, "", "*", None));
        assert_eq!(parts("CONNECT", "h:443"), ok(Form::Authority, "h:443", "", None));
        assert_eq!(parts("GET", "/caf\u{e9}"), ok(Form::Origin, "", "/caf\u{e9}", None));
    }

    #[test]
    fn other_targets_are_refused() {
        for (method, target) in [
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "/a#b"),
            ("GET", "/a b"),
            ("GET", "ftp://h/"),
            ("GET", "http:/a"),
            ("CONNECT", "h"),
            ("GET", ""),
        ] {
            assert_eq!(parts(method, target), Err(Flaw::Target), "{method} {target}");
        }
        assert_eq!(read(b"GET", b"/\xff"), Err(Flaw::Target));
        assert_eq!(parts("GET", "http://user@h/"), Err(Flaw::Host));
        assert_eq!(parts("GET", "http:///a"), Err(Flaw::Host));
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for (host, name) in [
            ("a.b", "a.b"),
            ("a:80", "a"),
            ("a:", "a"),
            ("127.0.0.1:9", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(split_host(host.as_bytes()).map(|(h, _)| h), Ok(name.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "a b", "a,b", "a/b", "a@b", "a:b", "a:1:2", "a:65536", "a:+1", "[::1", "[x]", "[::1]x", "a\tb",
            "a\\b", "a:-1",
        ] {
            assert_eq!(split_host(host.as_bytes()), Err(Flaw::Host), "{host}");
        }
    }
}
