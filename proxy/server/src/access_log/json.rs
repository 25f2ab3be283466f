//! A line as JSON, put together by hand: with the log on it is the largest thing that the proxy itself writes for a request.

use std::cell::RefCell;
use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::Line;
use super::stamp::Stamp;

thread_local! {
    /// The second that was written last, as text.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Appends a line with its end.
pub(super) fn write(line: &Line<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    time(line.time, out);
    out.push(b'"');
    text(out, ",\"request_id\":", line.request_id);
    out.extend_from_slice(b",\"client\":");
    client(line.client, out);
    optional(out, ",\"subject\":", line.subject);
    text(out, ",\"method\":", line.method);
    text(out, ",\"path\":", line.path);
    number(out, ",\"status\":", line.status.into());
    text(out, ",\"service\":", line.service);
    optional(out, ",\"node\":", line.node);
    text(out, ",\"policy\":", line.policy);
    optional(out, ",\"by\":", line.by);
    optional(out, ",\"fault\":", line.fault);
    number(out, ",\"attempts\":", line.attempts.into());
    number(out, ",\"duration_us\":", line.duration_us);
    if let Some(upstream) = line.upstream_us {
        number(out, ",\"upstream_us\":", upstream);
    }
    number(out, ",\"bytes\":", line.bytes);
    optional(out, ",\"refused\":", line.refused);
    optional(out, ",\"error\":", line.error);
    out.extend_from_slice(b"}\n");
}

fn optional(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        text(out, key, value);
    }
}

fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(key.as_bytes());
    if value.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        // Writing to memory cannot fail, and neither can text as JSON.
        let _ = serde_json::to_writer(out, value);
    } else {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn client(client: Option<IpAddr>, out: &mut Vec<u8>) {
    match client {
        None => out.extend_from_slice(b"\"unix\""),
        Some(IpAddr::V4(client)) => {
            for (octet, before) in client.octets().into_iter().zip(*b"\"...") {
                out.push(before);
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
            out.push(b'"');
        }
        // Rarer, and its text has rules of its own (RFC 5952). Writing to memory cannot fail.
        Some(IpAddr::V6(client)) => {
            let _ = write!(out, "\"{client}\"");
        }
    }
}

/// RFC 3339 in UTC with milliseconds.
fn time(time: SystemTime, out: &mut Vec<u8>) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    SECOND.with_borrow_mut(|(second, written)| {
        if *second != since.as_secs() {
            *second = since.as_secs();
            *written = Stamp(*second).to_string();
        }
        out.extend_from_slice(written.as_bytes());
    });
    let millis = since.subsec_millis();
    let digit = |at: u32| b'0' + (millis / at % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b'Z']);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(line: &Line<'_>) -> Value {
        let mut out = b"before".to_vec();
        write(line, &mut out);
        let line = out.strip_prefix(b"before").and_then(|line| line.strip_suffix(b"\n")).expect("one line at the end");
        assert!(!line.contains(&b'\n'));
        serde_json::from_slice(line).expect("JSON")
    }

    fn full(strange: &str, client: Option<IpAddr>, number: u64) -> Line<'_> {
        Line {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_709_251_199_007),
            request_id: strange,
            client,
            subject: Some(strange),
            method: strange,
            path: strange,
            status: number as u16,
            service: strange,
            node: Some(strange),
            policy: strange,
            by: Some("fallback"),
            fault: Some("trapped"),
            attempts: number as u32,
            duration_us: number,
            upstream_us: Some(number),
            bytes: number,
            refused: Some("no-route"),
            error: Some(strange),
        }
    }

    proptest! {
        #[test]
        fn whatever_it_says_it_is_json_that_says_so(
            strange in "\\PC*|[\\x00-\\x7f]*", address: u128, short: bool, number: u64,
        ) {
            let client: IpAddr = if short { (address as u32).to_be_bytes().into() } else { address.to_be_bytes().into() };
            prop_assert_eq!(read(&full(&strange, Some(client), number)), json!({
                "time": "2024-02-29T23:59:59.007Z", "request_id": strange, "client": client.to_string(), "subject": strange,
                "method": strange, "path": strange, "status": number as u16, "service": strange, "node": strange,
                "policy": strange, "by": "fallback", "fault": "trapped", "attempts": number as u32,
                "duration_us": number, "upstream_us": number, "bytes": number, "refused": "no-route", "error": strange,
            }));
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let none = Line {
            subject: None,
            node: None,
            by: None,
            fault: None,
            upstream_us: None,
            refused: None,
            error: None,
            ..full("-", None, 0)
        };
        let mut keys: Vec<String> = read(&none).as_object().expect("an object").keys().cloned().collect();
        keys.sort();
        let expected = [
            "attempts",
            "bytes",
            "client",
            "duration_us",
            "method",
            "path",
            "policy",
            "request_id",
            "service",
            "status",
            "time",
        ];
        assert_eq!(keys, expected);
        assert_eq!(read(&none)["client"], "unix");
    }

    #[test]
    fn each_line_has_its_own_time() {
        let at = |millis| Line { time: SystemTime::UNIX_EPOCH + Duration::from_millis(millis), ..full("-", None, 0) };
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (999, "1970-01-01T00:00:00.999Z"),
            (1010, "1970-01-01T00:00:01.010Z"),
            (5, "1970-01-01T00:00:00.005Z"),
        ] {
            assert_eq!(read(&at(millis))["time"], expected);
        }
    }
}
