//! A client that sends bytes and reads answers, so that a test sees what is on the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer as it came.
#[derive(Debug, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    /// Lower-case names.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    /// Whether the body came whole.
    pub(super) whole: bool,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

impl Client {
    pub(super) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        // Only so that a test that fails ends.
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        Self { stream: BufReader::new(stream) }
    }

    pub(super) fn send(&mut self, text: &str) -> &mut Self {
        self.stream.get_mut().write_all(text.as_bytes()).expect("writes");
        self
    }

    pub(super) fn get(&mut self, path: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: a.com\r\n\r\n")).response(true)
    }

    pub(super) fn post(&mut self, path: &str, body: &str) -> Response {
        let length = body.len();
        self.send(&format!("POST {path} HTTP/1.1\r\nHost: a.com\r\nContent-Length: {length}\r\n\r\n{body}"))
            .response(true)
    }

    /// The head of an answer, and its body if it may have one.
    pub(super) fn response(&mut self, body: bool) -> Response {
        let mut response = Response::default();
        for line in head(&mut self.stream) {
            match line.split_once(": ") {
                Some((name, value)) => response.headers.push((name.to_lowercase(), value.into())),
                None => response.status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0),
            }
        }
        if body {
            self.body(&mut response);
        }
        response
    }

    fn body(&mut self, response: &mut Response) {
        let mut bytes = Vec::new();
        if response.header("transfer-encoding") == Some("chunked") {
            response.whole = chunks(&mut self.stream, &mut bytes);
        } else {
            let length = response.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            // A connection that is reset ends a body as one that is closed does: what came before counts.
            let _ = (&mut self.stream).take(length).read_to_end(&mut bytes);
            response.whole = bytes.len() as u64 == length;
        }
        response.body = String::from_utf8(bytes).expect("text");
    }

    /// Exactly so many bytes of text.
    pub(super) fn bytes(&mut self, count: usize) -> String {
        String::from_utf8(self.raw(count)).expect("text")
    }

    /// Exactly so many bytes.
    pub(super) fn raw(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("arrive");
        bytes
    }

    /// Whether the proxy has ended the connection without another byte.
    pub(super) fn ended(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }
}

/// Lines up to the empty one. Nothing when the connection ends first.
pub(super) fn head(stream: &mut impl BufRead) -> Vec<String> {
    let mut lines = Vec::new();
    for line in stream.lines().map_while(Result::ok) {
        if line.is_empty() {
            return lines;
        }
        lines.push(line);
    }
    Vec::new()
}

/// Decodes a chunked body (RFC 9112 §7.1). True when the last chunk came.
pub(super) fn chunks(stream: &mut impl BufRead, into: &mut Vec<u8>) -> bool {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).is_err() {
            return false;
        }
        let Ok(size) = usize::from_str_radix(line.trim(), 16) else { return false };
        let mut chunk = vec![0; size + 2];
        if stream.read_exact(&mut chunk).is_err() {
            return false;
        }
        if size == 0 {
            return true;
        }
        into.extend_from_slice(&chunk[..size]);
    }
}
