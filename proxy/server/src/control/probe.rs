//! One health check: a connection that is accepted, an HTTP/1.1 GET whose status is as expected, or a gRPC service that
//! says that it serves; over TLS where the service speaks it.
//!
//! Each check makes its own connection: a node whose accept queue is full or whose listener is gone fails, although a
//! connection made earlier would still answer.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::certificates;
use pointsman_config::plan::{Address, HealthCheck, NodeTls, Probe};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

mod grpc;

/// The longest response head that is read; the default bound of nginx and HAProxy for one is 8 and 16 KiB.
const LONGEST_HEAD: usize = 16 << 10;
const MOST_HEADERS: usize = 128;

/// How a check ended. Reasons carry no changing numbers, so that the same trouble reads the same each time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed(Cow<'static, str>),
    /// It could not be tried, for a reason that is ours and says nothing of the node.
    Unable(String),
}

type Failed = Cow<'static, str>;

/// How one node is asked, prepared once.
pub(super) struct Prober {
    address: Address,
    timeout: Duration,
    question: Question,
    tls: Option<Secure>,
}

/// What is asked.
enum Question {
    /// Nothing: a connection is enough.
    Nothing,
    /// This request; statuses that pass.
    Http(Vec<u8>, Vec<(u16, u16)>),
    /// A gRPC service by its name.
    Grpc(String),
}

/// How it is asked over TLS.
struct Secure {
    plan: NodeTls,
    name: String,
    /// Whether both sides have to agree on HTTP/2.
    http2: bool,
    /// Made at the first check, and again after a failed handshake: its files may have changed.
    connector: Option<TlsConnector>,
}

impl Prober {
    pub(super) fn new(address: Address, check: &HealthCheck) -> Self {
        let question = match &check.probe {
            Probe::Tcp => Question::Nothing,
            Probe::Grpc { service } => Question::Grpc(service.clone()),
            Probe::Http { path, expect, host, headers } => {
                let host = host.clone().unwrap_or_else(|| address.authority().to_string());
                let mut request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
                if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
                    request.push_str("User-Agent: pointsman-check\r\n");
                }
                for (name, value) in headers {
                    request.push_str(&format!("{name}: {value}\r\n"));
                }
                request.push_str("\r\n");
                Question::Http(request.into_bytes(), expect.clone())
            }
        };
        let tls = check.tls.clone().map(|plan| {
            let name = plan.server_name.clone().unwrap_or_else(|| address.certified_name());
            Secure { plan, name, http2: matches!(question, Question::Grpc(_)), connector: None }
        });
        Self { address, timeout: check.timeout, question, tls }
    }

    /// Asks once; takes no longer than the timeout.
    pub(super) async fn probe(&mut self) -> Outcome {
        let deadline = Instant::now() + self.timeout;
        match self.address.clone() {
            Address::Ip(address) => {
                let connect = async {
                    let stream = TcpStream::connect(address).await?;
                    // Where the node's port is one that the system also gives to clients, a connection to nobody can
                    // end up with itself (RFC 9293, simultaneous open).
                    let itself = stream.local_addr().is_ok_and(|own| own == address);
                    if itself { Err(ErrorKind::ConnectionRefused.into()) } else { Ok(stream) }
                };
                let connected = timeout_at(deadline, connect).await;
                self.ask_within(deadline, connected).await
            }
            Address::Unix(path) => {
                let connected = timeout_at(deadline, UnixStream::connect(path)).await;
                self.ask_within(deadline, connected).await
            }
        }
    }

    /// Asks over what was connected, if it was in time.
    async fn ask_within<S>(&mut self, deadline: Instant, connected: Result<io::Result<S>, Elapsed>) -> Outcome
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = match connected {
            Err(_) => return Outcome::Failed(format!("no connection within {:?}", self.timeout).into()),
            Ok(Err(error)) if is_ours(&error) => return Outcome::Unable(error.to_string()),
            Ok(Err(error)) => return Outcome::Failed(error.kind().to_string().into()),
            Ok(Ok(stream)) => stream,
        };
        match timeout_at(deadline, self.ask(stream)).await {
            Err(_) => Outcome::Failed(format!("connected, but no response head within {:?}", self.timeout).into()),
            Ok(Err(reason)) => Outcome::Failed(reason),
            Ok(Ok(())) => Outcome::Passed,
        }
    }

    async fn ask(&mut self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Failed> {
        match (&self.question, &mut self.tls) {
            (Question::Nothing, _) => Ok(()),
            (Question::Http(request, expect), None) => expected(status(&mut stream, request).await?, expect),
            (Question::Http(request, expect), Some(tls)) => {
                expected(status(&mut tls.shake(stream).await?, request).await?, expect)
            }
            (Question::Grpc(service), None) => {
                grpc::ask(stream, service, &self.address.authority().to_string(), "http").await
            }
            (Question::Grpc(service), Some(tls)) => {
                let name = tls.name.clone();
                grpc::ask(tls.shake(stream).await?, service, &name, "https").await
            }
        }
    }
}

fn expected(status: u16, expect: &[(u16, u16)]) -> Result<(), Failed> {
    if expect.iter().any(|(from, to)| (*from..=*to).contains(&status)) {
        return Ok(());
    }
    Err(format!("status {status}, expected {}", ranges(expect)).into())
}

impl Secure {
    async fn shake<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: S) -> Result<TlsStream<S>, Failed> {
        let connector = match self.connector.take() {
            Some(connector) => connector,
            None => match certificates::client(&self.plan) {
                Ok(mut config) => {
                    if self.http2 {
                        config.alpn_protocols = vec![b"h2".to_vec()];
                    }
                    TlsConnector::from(Arc::new(config))
                }
                Err((_, flaw)) => return Err(flaw.message.into()),
            },
        };
        let name = ServerName::try_from(self.name.clone()).map_err(|e| e.to_string())?;
        let shaken = connector.connect(name, stream).await.map_err(|error| format!("connected, then TLS: {error}"))?;
        self.connector = Some(connector);
        Ok(shaken)
    }
}

/// Sends the request and reads the status of the response; interim ones (RFC 9110 §15.2) are skipped.
async fn status(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> Result<u16, Failed> {
    stream.write_all(request).await.map_err(|e| broken(&e))?;
    let mut head = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut head).await.map_err(|e| broken(&e))? == 0 {
            return Err("the connection ended before a response head".into());
        }
        while let Some((status, length)) = parse(&head)? {
            if status == 101 || !(100..200).contains(&status) {
                return Ok(status);
            }
            head.drain(..length);
        }
        if head.len() > LONGEST_HEAD {
            return Err("the response head is longer than 16 KiB".into());
        }
    }
}

/// Status and length of a whole head.
fn parse(bytes: &[u8]) -> Result<Option<(u16, usize)>, Failed> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => Ok(response.code.map(|code| (code, length))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(format!("malformed response: {error}").into()),
    }
}

fn broken(error: &io::Error) -> Failed {
    format!("connected, then {}", error.kind()).into()
}

/// Whether an error of `connect` is for want of something on this side.
fn is_ours(error: &io::Error) -> bool {
    let ours = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| ours.contains(&code))
}

fn ranges(expect: &[(u16, u16)]) -> String {
    let range = |(from, to): &(u16, u16)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    expect.iter().map(range).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
