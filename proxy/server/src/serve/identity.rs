//! A request's id, and what the node is told of who asks.

use std::net::IpAddr;

use http::HeaderValue;
use pingora_error::Result;
use pingora_http::RequestHeader;

/// The header that carries the id.
pub(super) const REQUEST_ID: &str = "x-request-id";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Longer ones are replaced: an id goes into every log line.
const LONGEST: usize = 128;

/// The id that came with the request if it is sane, a new one of 128 random bits otherwise.
pub(super) fn of(head: &RequestHeader) -> HeaderValue {
    let mut came = head.headers.get_all(REQUEST_ID).iter();
    match (came.next(), came.next()) {
        (Some(id), None) if sane(id.as_bytes()) => id.clone(),
        _ => new(),
    }
}

fn sane(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(b))
}

fn new() -> HeaderValue {
    HeaderValue::try_from(format!("{:032x}", rand::random::<u128>()))
        .unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// Adds the id, and the client to `X-Forwarded-For`: one line, since not every node joins several.
pub(super) fn introduce(request: &mut RequestHeader, id: &HeaderValue, client: Option<IpAddr>) -> Result<()> {
    request.insert_header(REQUEST_ID, id)?;
    let Some(client) = client else { return Ok(()) };
    let client = client.to_canonical();
    let before = request.headers.get_all(FORWARDED_FOR).iter();
    let mut line: Vec<u8> = before.flat_map(|value| [value.as_bytes(), b", "].concat()).collect();
    line.extend_from_slice(client.to_string().as_bytes());
    request.insert_header(FORWARDED_FOR, line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(ids: &[&str]) -> RequestHeader {
        let mut head = RequestHeader::build("GET", b"/", None).expect("a head");
        for id in ids {
            head.append_header(REQUEST_ID, *id).expect("a header");
        }
        head
    }

    #[test]
    fn a_sane_id_is_kept() {
        assert_eq!(of(&head(&["a-B_9.:/+="])), "a-B_9.:/+=");
    }

    #[test]
    fn an_id_that_is_long_odd_or_doubled_is_replaced() {
        let long = "a".repeat(129);
        for ids in [&[""][..], &[long.as_str()], &["a b"], &["a\"b"], &["a", "a"], &[]] {
            let id = of(&head(ids));
            assert_eq!(id.len(), 32, "{ids:?}");
            assert_ne!(id, of(&head(ids)));
        }
    }

    #[test]
    fn the_client_is_appended_to_whom_it_speaks_for() {
        let mut request = head(&[]);
        request.append_header(FORWARDED_FOR, "192.0.2.1").expect("a header");
        request.append_header(FORWARDED_FOR, "192.0.2.2, 192.0.2.3").expect("a header");
        introduce(&mut request, &HeaderValue::from_static("x"), "::ffff:192.0.2.4".parse().ok()).expect("introduced");
        let lines: Vec<_> = request.headers.get_all(FORWARDED_FOR).iter().collect();
        assert_eq!(lines, ["192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4"]);
    }
}
