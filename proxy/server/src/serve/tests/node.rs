//! A node that answers what a test says, and remembers what it was sent.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;

use super::client::{chunks, head};

/// What to do with one request.
pub(super) enum Do {
    /// Send these bytes and read the next request.
    Answer(String),
    /// Send these bytes and end the connection.
    AnswerAndEnd(String),
    /// End the connection with a reset.
    Reset,
    /// Say nothing until the proxy ends the connection.
    Silence,
    /// Send these bytes, then send back whatever comes.
    Echo(String),
}

/// A request as the node saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Which of the node's connections it came on, from 1.
    pub(super) connection: usize,
    pub(super) line: String,
    /// Lower-case names.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Rule = dyn Fn(&Seen) -> Do + Send + Sync;

pub(super) struct RawNode {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl RawNode {
    /// Its threads end with their connections, the accepting one with the test's process.
    pub(super) fn new(rule: impl Fn(&Seen) -> Do + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(super::local()).expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (shared, rule): (_, Arc<Rule>) = (Arc::clone(&seen), Arc::new(rule));
        std::thread::spawn(move || {
            for (connection, stream) in (1..).zip(listener.incoming().flatten()) {
                let (seen, rule) = (Arc::clone(&shared), Arc::clone(&rule));
                std::thread::spawn(move || converse(connection, stream, &seen, &*rule));
            }
        });
        Self { address, seen }
    }

    /// Answers every request with 200 and this text.
    pub(super) fn saying(text: &str) -> Self {
        let answer = ok(text);
        Self::new(move |_| Do::Answer(answer.clone()))
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

pub(super) fn ok(body: &str) -> String {
    answer(200, body)
}

pub(super) fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn converse(connection: usize, stream: TcpStream, seen: &Mutex<Vec<Seen>>, rule: &Rule) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(connection, &mut stream) {
        seen.lock().push(request.clone());
        let out = stream.get_mut();
        match rule(&request) {
            Do::Answer(text) => out.write_all(text.as_bytes()).expect("writes"),
            Do::AnswerAndEnd(text) => {
                // The proxy may end the connection first.
                let _ = out.write_all(text.as_bytes());
                return;
            }
            Do::Reset => {
                let socket = socket2::SockRef::from(&*out);
                socket.set_linger(Some(std::time::Duration::ZERO)).expect("a socket option");
                return;
            }
            Do::Silence => {
                // Ends when the proxy ends it, in whatever way.
                let _ = out.read(&mut [0]);
                return;
            }
            Do::Echo(text) => {
                out.write_all(text.as_bytes()).expect("writes");
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = out.read(&mut buffer) {
                    out.write_all(&buffer[..count]).expect("writes");
                }
                return;
            }
        }
    }
}

fn read(connection: usize, stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut lines = head(stream).into_iter();
    let line = lines.next()?;
    let headers = lines.filter_map(|line| line.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.into()))).collect();
    let mut seen = Seen { connection, line, headers, body: String::new() };
    let mut body = Vec::new();
    if seen.header("transfer-encoding").is_some() {
        chunks(stream, &mut body);
    } else if let Some(length) = seen.header("content-length").and_then(|length| length.parse().ok()) {
        stream.take(length).read_to_end(&mut body).ok()?;
    }
    seen.body = String::from_utf8(body).ok()?;
    Some(seen)
}
