//! A small HTTP/1.1 client for tests and for nodes that join: one exchange at a time, no pool, plain text.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire::{Body, Malformed, parse_head};

/// An exchange that takes longer is an error of kind `TimedOut`.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A request. `host` is the address it is sent to unless a header says otherwise.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    patience: Duration,
}

/// A response, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers in the order received, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body without its coding.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new(), patience: PATIENCE }
    }

    /// `GET target`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST target` with a JSON body.
    pub fn post(target: &str, body: &serde_json::Value) -> Self {
        Self::new("POST", target).json(body)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body, as it is.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Its method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Gives up after this long instead of [`PATIENCE`].
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends it on a connection of its own.
    ///
    /// # Errors
    /// No connection, no complete answer in time, or an answer that is not HTTP/1.1 (`InvalidData`).
    pub async fn send(&self, to: SocketAddr) -> io::Result<Answer> {
        let exchange =
            async { Connection::open(to).await?.exchange(&self.clone().header("connection", "close")).await };
        timeout(self.patience, exchange).await.map_err(|_| too_late(self.patience))?
    }

    fn bytes(&self, to: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("host: {to}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Answer {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `InvalidData`, with the body in the message.
    pub fn json(&self) -> io::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, format!("{problem}: {}", self.text())))
    }
}

/// A connection that carries several exchanges, one after the other.
#[derive(Debug)]
pub struct Connection<S = TcpStream> {
    stream: S,
    to: SocketAddr,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream, to))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Over a stream that is there already, TLS for instance; `to` is what `host` says.
    pub fn over(stream: S, to: SocketAddr) -> Self {
        Self { stream, to, received: Vec::new() }
    }

    /// The stream, to write what no request is or to see its end.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends one request and reads its answer whole. Interim answers (1xx but 101) are skipped.
    ///
    /// # Errors
    /// Those of the socket; `UnexpectedEof` when the answer is cut; `InvalidData` when it is malformed.
    pub async fn exchange(&mut self, request: &Request) -> io::Result<Answer> {
        let exchange = async {
            self.stream.write_all(&request.bytes(self.to)).await?;
            self.answer(request.method == "HEAD").await
        };
        timeout(request.patience, exchange).await.map_err(|_| too_late(request.patience))?
    }

    async fn answer(&mut self, to_head: bool) -> io::Result<Answer> {
        loop {
            let mut headers = Vec::new();
            let parsed = parse_head(&self.received, to_head, |name, value| {
                headers.push((name.to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()));
            });
            let Some(head) = parsed.map_err(invalid)? else {
                if self.more().await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            };
            self.received.drain(..head.bytes);
            if head.status < 200 && head.status != 101 {
                continue;
            }
            let body = self.body(Body::new(head.framing)).await?;
            return Ok(Answer { status: head.status, headers, body });
        }
    }

    async fn body(&mut self, mut body: Body) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let taken = body.feed(&self.received, |part| content.extend_from_slice(part)).map_err(invalid)?;
            self.received.drain(..taken);
            if body.is_done() {
                return Ok(content);
            }
            if self.more().await? == 0 {
                return if body.may_end() { Ok(content) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.received).await
    }
}

fn invalid(problem: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.0)
}

fn too_late(patience: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no complete answer within {patience:?}"))
}
