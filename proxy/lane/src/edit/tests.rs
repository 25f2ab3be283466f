use super::*;
use crate::head::Parsed;
use crate::options::Limits;

fn sent(request_bytes: &str) -> String {
    let mut head = RequestHead::default();
    let bytes = request_bytes.as_bytes();
    assert_eq!(head.parse(bytes, &Limits::default()), Ok(Parsed::Whole), "{request_bytes}");
    let mut out = Vec::new();
    let drops = |name: &[u8]| name.eq_ignore_ascii_case(b"x-forwarded-for");
    request(&mut out, &head, bytes, None::<fn(&mut Vec<u8>)>, true, drops, |out| {
        out.extend_from_slice(b"x-request-id: 1\r\n");
    });
    String::from_utf8(out).unwrap()
}

fn passed(response_bytes: &str, coding: Coding, close: bool) -> String {
    let mut head = ResponseHead::default();
    let bytes = response_bytes.as_bytes();
    assert_eq!(head.parse(bytes, &Limits::default()), Ok(true), "{response_bytes}");
    let mut out = Vec::new();
    response(&mut out, &head, bytes, coding, close, |name| name.eq_ignore_ascii_case(b"x-inner"), |_| {});
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_is_copied_as_it_came_but_for_what_concerns_one_hop() {
    assert_eq!(
        sent(
            "GET /a?b HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Secret\r\nAccept: */*\r\nKeep-Alive: 5\r\nTE: trailers\r\n\
              x-secret: 1\r\nX-Forwarded-For: 9.9.9.9\r\nProxy-Connection: x\r\nUser-Agent: t\r\n\r\nbody"
        ),
        "GET /a?b HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nUser-Agent: t\r\nx-request-id: 1\r\n\r\n"
    );
}

#[test]
fn an_empty_line_before_the_request_does_not_travel() {
    assert_eq!(sent("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), "GET / HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\n\r\n");
}

#[test]
fn an_absolute_target_becomes_a_path_and_its_host_wins() {
    assert_eq!(
        sent("GET http://a:80/p?q HTTP/1.1\r\nHost: b\r\nAccept: x\r\n\r\n"),
        "GET /p?q HTTP/1.1\r\nHost: a:80\r\nAccept: x\r\nx-request-id: 1\r\n\r\n"
    );
    assert!(sent("GET http://a HTTP/1.1\r\nHost: b\r\n\r\n").starts_with("GET / HTTP/1.1\r\nHost: a\r\n"));
    assert!(sent("GET http://a?q HTTP/1.1\r\nHost: b\r\n\r\n").starts_with("GET /?q HTTP/1.1\r\n"));
    assert!(sent("OPTIONS http://a HTTP/1.1\r\nHost: b\r\n\r\n").starts_with("OPTIONS * HTTP/1.1\r\n"));
}

#[test]
fn connection_cannot_take_framing_or_host_away() {
    assert_eq!(
        sent("POST / HTTP/1.1\r\nHost: h\r\nConnection: host, content-length\r\nContent-Length: 1\r\n\r\n"),
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nx-request-id: 1\r\n\r\n"
    );
    assert_eq!(
        sent("POST / HTTP/1.1\r\nHost: h\r\nConnection: transfer-encoding\r\nTransfer-Encoding:  CHUNKED\r\n\r\n"),
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nx-request-id: 1\r\n\r\n"
    );
}

#[test]
fn a_length_with_leading_zeros_is_written_anew() {
    assert_eq!(
        sent("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 010\r\n\r\n"),
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nx-request-id: 1\r\n\r\n"
    );
}

#[test]
fn a_response_is_copied_as_it_came_but_for_what_concerns_one_hop() {
    assert_eq!(
        passed(
            "HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nContent-Length: 3\r\nUpgrade: h2c\r\nETag: \"a\"\r\n\r\n",
            Coding::Plain,
            false
        ),
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"a\"\r\n\r\n"
    );
    assert_eq!(
        passed("HTTP/1.0 200\r\nTrailer: x\r\n\r\n", Coding::Chunked, true),
        "HTTP/1.1 200 \r\nTrailer: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(
        passed("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nServer: n\r\n\r\n", Coding::Plain, false),
        "HTTP/1.1 204 No Content\r\nServer: n\r\n\r\n"
    );
    assert_eq!(passed("HTTP/1.1 200 OK\r\n\r\n", Coding::Plain, false), "HTTP/1.1 200 OK\r\n\r\n");
}

#[test]
fn a_path_is_written_in_place_of_the_one_that_came() {
    for (target, line) in [("/a/b?c=d", "GET /new?c=d HTTP/1.1"), ("http://h/a", "GET /new HTTP/1.1")] {
        let text = format!("\r\nGET {target} HTTP/1.1\r\nHost: h\r\nAccept: x\r\n\r\n");
        let mut head = RequestHead::default();
        assert_eq!(head.parse(text.as_bytes(), &Limits::default()), Ok(Parsed::Whole));
        let mut out = Vec::new();
        let path = Some(|out: &mut Vec<u8>| out.extend_from_slice(b"/new"));
        request(&mut out, &head, text.as_bytes(), path, true, |_| false, |_| {});
        assert_eq!(String::from_utf8(out).unwrap(), format!("{line}\r\nHost: h\r\nAccept: x\r\n\r\n"));
    }
}

#[test]
fn fields_of_a_response_are_left_out_where_the_trip_says_so() {
    assert_eq!(
        passed("HTTP/1.1 200 OK\r\nX-Inner: 1\r\nETag: a\r\nx-inner: 2\r\n\r\n", Coding::Plain, false),
        "HTTP/1.1 200 OK\r\nETag: a\r\n\r\n"
    );
}

#[test]
fn numbers_are_written_as_people_write_them() {
    for number in [0, 7, 10, 12345, u64::MAX] {
        let mut out = Vec::new();
        decimal(&mut out, number);
        assert_eq!(out, number.to_string().into_bytes());
    }
}
