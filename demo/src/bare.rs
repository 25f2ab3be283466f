//! A server that answers with as little work as possible, so that what is measured in front of it is the proxy: 70 bytes
//! in all for any path, `/bytes/N` for a body of N bytes. A few paths break the exchange on purpose, for tests of what
//! stands in front: `/reset`, `/close`, `/truncate`, `/garbage`.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::own_thread::OwnThread;
use crate::wire::{Body, Framing};

/// Bytes of the usual reply, head and body together.
pub const REPLY: usize = 70;

const READ: usize = 16 * 1024;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct BareHandle {
    /// Where it listens.
    pub addr: SocketAddr,
    server: OwnThread,
}

/// Starts a server on a thread of its own; `id` is what it names itself in `x-node`.
///
/// # Errors
/// The address cannot be listened on.
pub fn start(id: &str, listen: SocketAddr) -> io::Result<BareHandle> {
    let listener = std::net::TcpListener::bind(listen)
        .map_err(|problem| io::Error::new(problem.kind(), format!("cannot listen on {listen}: {problem}")))?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let name = id.to_owned();
    let server = OwnThread::spawn(id, move |stopped| async move {
        let serving = tokio::task::LocalSet::new();
        serving
            .run_until(async {
                tokio::select! {
                    () = accept(listener, Rc::new(Replies::new(&name))) => {}
                    _ = stopped => {}
                }
            })
            .await;
    })?;
    Ok(BareHandle { addr, server })
}

impl BareHandle {
    /// Ends it.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// What is said, built once.
struct Replies {
    node: String,
    usual: Vec<u8>,
}

impl Replies {
    fn new(node: &str) -> Self {
        let head = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nx-node: {node}\r\n\r\n");
        // A one-digit length leaves the head a byte shorter than a two-digit one.
        let length = (0..REPLY).rev().find(|length| head(*length).len() + length <= REPLY).unwrap_or(0);
        let mut usual = head(length).into_bytes();
        usual.resize(usual.len() + length, b'.');
        Self { node: node.into(), usual }
    }
}

async fn accept(listener: std::net::TcpListener, replies: Rc<Replies>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let replies = replies.clone();
                tokio::task::spawn_local(async move {
                    // The peer sees what went wrong; there is nobody else to tell.
                    let _ = converse(stream, &replies).await;
                });
            }
            // Out of descriptors: the ones in use will come back, and asking again at once would only burn the core.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Usual,
    Bytes(usize),
    Reset,
    Close,
    Truncate,
    Garbage,
}

struct Asked {
    wish: Wish,
    head: usize,
    body: Framing,
}

async fn converse(mut stream: TcpStream, replies: &Replies) -> io::Result<()> {
    let mut received = Vec::with_capacity(READ);
    let mut large = Vec::new();
    loop {
        let Some(asked) = parse(&received)? else {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
            continue;
        };
        drop_front(&mut received, asked.head);
        swallow(&mut stream, &mut received, Body::new(asked.body)).await?;
        match asked.wish {
            Wish::Usual => stream.write_all(&replies.usual).await?,
            Wish::Bytes(length) => {
                fill(&mut large, &replies.node, length);
                stream.write_all(&large).await?;
            }
            Wish::Reset => return stream.set_zero_linger(),
            Wish::Close => return Ok(()),
            Wish::Truncate => {
                fill(&mut large, &replies.node, 1000);
                return stream.write_all(&large[..large.len() - 500]).await;
            }
            Wish::Garbage => return stream.write_all(b"\x00\x01 this is not HTTP\r\n\r\n").await,
        }
    }
}

fn parse(received: &[u8]) -> io::Result<Option<Asked>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
    let httparse::Status::Complete(head) = request.parse(received).map_err(invalid)? else { return Ok(None) };
    let mut body = Framing::Empty;
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse().ok());
            body = Framing::Length(length.ok_or(io::ErrorKind::InvalidData)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            body = Framing::Chunked;
        }
    }
    let path = request.path.unwrap_or_default();
    let wish = match path {
        "/reset" => Wish::Reset,
        "/close" => Wish::Close,
        "/truncate" => Wish::Truncate,
        "/garbage" => Wish::Garbage,
        _ => match path.strip_prefix("/bytes/").and_then(|length| length.parse().ok()) {
            Some(length) => Wish::Bytes(usize::min(length, 64 << 20)),
            None => Wish::Usual,
        },
    };
    Ok(Some(Asked { wish, head, body }))
}

/// Reads a request body and throws it away.
async fn swallow(stream: &mut TcpStream, received: &mut Vec<u8>, mut body: Body) -> io::Result<()> {
    while !body.is_done() {
        if received.is_empty() && stream.read_buf(received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = body.feed(received, |_| {}).map_err(|_| io::ErrorKind::InvalidData)?;
        drop_front(received, taken);
    }
    Ok(())
}

fn drop_front(received: &mut Vec<u8>, bytes: usize) {
    if bytes == received.len() {
        received.clear();
    } else {
        received.drain(..bytes);
    }
}

/// Makes `large` a reply with `length` bytes of body; does nothing if it is that already.
fn fill(large: &mut Vec<u8>, node: &str, length: usize) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nx-node: {node}\r\n\r\n");
    if large.len() == head.len() + length && large.starts_with(head.as_bytes()) {
        return;
    }
    large.clear();
    large.extend_from_slice(head.as_bytes());
    large.resize(head.len() + length, b'x');
}
