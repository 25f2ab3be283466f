//! A node that writes down every byte it receives, by connection, and answers each request that it can read.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::reader::{self, End, Reading};

/// The targets of requests that the test itself adds.
pub(crate) const BARRIER: &str = "/barrier";
pub(crate) const FIRST: &str = "/first";
/// The mark of an answer that came from the node.
pub(crate) const SEEN: &str = "x-seen:";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-seen: 1\r\n\r\n";
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nx-seen: 1\r\n\r\n";
const CONFUSED: &[u8] = b"HTTP/1.1 400 Confused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What one connection brought.
#[derive(Debug, Default, Clone)]
struct Tape {
    bytes: Vec<u8>,
    ended: bool,
}

/// What one connection brought, read again.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) requests: Vec<reader::Request>,
    /// Why it is not a sequence of requests. A last request that is cut off is none that any node acts on.
    pub(crate) wrong: Option<&'static str>,
}

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    tapes: Arc<Mutex<Vec<Tape>>>,
    changed: watch::Receiver<u64>,
}

impl Node {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let tapes = Arc::<Mutex<Vec<Tape>>>::default();
        let (change, changed) = watch::channel(0);
        let change = Arc::new(change);
        let shared = Arc::clone(&tapes);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let index = {
                    let mut tapes = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    tapes.push(Tape::default());
                    tapes.len() - 1
                };
                let (tapes, change) = (Arc::clone(&shared), Arc::clone(&change));
                tokio::spawn(async move {
                    record(stream, &tapes, index).await;
                    tapes.lock().unwrap_or_else(PoisonError::into_inner)[index].ended = true;
                    change.send_modify(|count| *count += 1);
                });
            }
        });
        Self { address, tapes, changed }
    }

    /// Waits until every connection has ended; answers what they brought, and forgets it.
    pub(crate) async fn collect(&mut self) -> Vec<Received> {
        let tapes = Arc::clone(&self.tapes);
        let all = move || tapes.lock().unwrap_or_else(PoisonError::into_inner).iter().all(|tape| tape.ended);
        let waited = self.changed.wait_for(|_| all());
        tokio::time::timeout(super::side::PATIENCE, waited)
            .await
            .expect("the proxy leaves the node's connections open")
            .expect("the node lives");
        let mut tapes = self.tapes.lock().unwrap_or_else(PoisonError::into_inner);
        // Connections are told apart by their index: the list is kept, what it holds is not.
        let brought = tapes.iter_mut().map(|tape| std::mem::take(&mut tape.bytes)).filter(|bytes| !bytes.is_empty());
        brought.map(|bytes| self.reread(&bytes)).collect()
    }

    fn reread(&self, bytes: &[u8]) -> Received {
        let (mut requests, end) = reader::read_all(bytes);
        let address = self.address.to_string();
        for request in &mut requests {
            // A request that names no host is given the node's, and each proxy has a node of its own.
            request.host = request.host.replace(&address, "node");
        }
        Received { requests, wrong: if let End::Wrong(why) = end { Some(why) } else { None } }
    }
}

/// Reads to the end of the connection, whatever comes.
async fn record(mut stream: TcpStream, tapes: &Mutex<Vec<Tape>>, index: usize) {
    let mut bytes = Vec::new();
    let mut at = 0;
    let mut talks = true;
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        tapes.lock().unwrap_or_else(PoisonError::into_inner)[index].bytes.clone_from(&bytes);
        while talks && at < bytes.len() {
            let answer = match reader::read(&bytes[at..]) {
                Reading::Partial => break,
                Reading::Whole { request, used } => {
                    at += used;
                    talks = request.target != BARRIER;
                    if talks { ANSWER } else { LAST }
                }
                Reading::Wrong(_) => {
                    talks = false;
                    CONFUSED
                }
            };
            // The proxy may have ended the connection.
            talks &= stream.write_all(answer).await.is_ok();
        }
        if !talks {
            let _ = stream.shutdown().await;
        }
    }
}
