//! Streams that hold back what they took until they are flushed, and that hold input which the socket no longer has, as
//! a cipher does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pointsman_lane::{Lane, Options, Secured, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, BufReader, BufWriter, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{Rig, Setup, Shared, clock};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Nothing is ciphered, everything is held.
#[derive(Debug)]
struct Holding(BufReader<BufWriter<TcpStream>>);

impl Secured for Holding {
    fn socket(&self) -> &TcpStream {
        self.0.get_ref().get_ref()
    }

    fn holds_input(&self) -> bool {
        !self.0.buffer().is_empty()
    }
}

impl AsyncRead for Holding {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(task, into)
    }
}

impl AsyncWrite for Holding {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(task)
    }
}

/// A rig whose clients come over such streams. `early` bytes are read from the socket before the lane sees it, as they
/// may be in a handshake.
async fn rig(early: usize) -> Rig {
    let mut rig = Rig::new(Setup::default()).await;
    let lane = Arc::new(Lane::new(Shared(Arc::clone(&rig.robin)), Options::default(), clock));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    rig.address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, peer)) = listener.accept().await {
            let lane = Arc::clone(&lane);
            tokio::spawn(async move {
                let mut stream = BufReader::with_capacity(64 << 10, BufWriter::with_capacity(64 << 10, socket));
                if early > 0 {
                    use tokio::io::AsyncBufReadExt;
                    assert_eq!(stream.fill_buf().await.unwrap().len(), early);
                }
                lane.serve(Stream::Secured(Box::new(Holding(stream))), peer).await;
            });
        }
    });
    rig
}

#[tokio::test]
async fn what_is_held_comes_out_with_each_answer() {
    let rig = rig(0).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send(OK).await;
    client.expect(OK).await;
    client.send(GET).await;
    node.expect(GET).await;
    let long = "x".repeat(200_000);
    node.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}", long.len())).await;
    client.expect(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}", long.len())).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    client.expect("HTTP/1.1 400 Bad Request\r\n").await;
}

#[tokio::test]
async fn input_that_came_before_is_seen_although_the_socket_is_silent() {
    let rig = rig(GET.len()).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn what_a_tunnel_holds_comes_out_before_it_waits() {
    let rig = rig(0).await;
    let mut client = rig.client().await;
    client.send(UPGRADE).await;
    let mut node = rig.node(0).await;
    node.take(UPGRADE.len()).await;
    node.send(SWITCH).await;
    client.expect(SWITCH).await;
    node.send("hello").await;
    client.expect("hello").await;
    client.send("there").await;
    node.expect("there").await;
    node.send("bye").await;
    drop(node);
    let mut rest = String::new();
    client.stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bye");
}
