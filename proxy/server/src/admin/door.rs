//! How operators' connections come in: in clear or by a handshake, bounded in number, and not for ever without a byte.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use pointsman_config::plan::Address;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use super::entrance::Guarded;
use crate::metrics::Metrics;
use crate::world::secure::{AskSpeech, Speech};

/// Connections at once: nodes renew their leases on a few hundred at a time.
const CONNECTIONS: usize = 1024;

/// How long nothing may move on a connection. Events bring a comment every 15 s; proving an upload takes longer.
const IDLE: Duration = Duration::from_secs(150);

/// After the system had no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end; `None`: somebody over a Unix socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(pub(super) Option<SocketAddr>);

impl Connected<IncomingStream<'_, Door>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Hands out connections that are ready for HTTP.
pub(super) struct Door {
    local: Address,
    arrivals: mpsc::Receiver<(Wire, Option<SocketAddr>)>,
}

impl Listener for Door {
    type Io = Wire;
    type Addr = Option<SocketAddr>;

    async fn accept(&mut self) -> (Wire, Option<SocketAddr>) {
        match self.arrivals.recv().await {
            Some(arrival) => arrival,
            // Whoever accepts has ended, and so will who asks.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        Ok(self.local.ip())
    }
}

/// A door on `listener`, and what opens it for as long as it is polled: until another process answers there, and every
/// connection that this one has accepted is handed out.
pub(super) fn open(
    listener: Guarded,
    local: Address,
    speech: AskSpeech,
    metrics: Arc<Metrics>,
) -> (Door, impl Future<Output = ()> + Send) {
    let (arrived, arrivals) = mpsc::channel(16);
    (Door { local: local.clone(), arrivals }, accept(listener, local, speech, metrics, arrived))
}

async fn accept(
    mut listener: Guarded,
    local: Address,
    speech: AskSpeech,
    metrics: Arc<Metrics>,
    arrived: mpsc::Sender<(Wire, Option<SocketAddr>)>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut beginning = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
            Some(_) = beginning.join_next(), if !beginning.is_empty() => continue,
        };
        let Ok((socket, caller)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            metrics.admin().refused("connections");
            continue;
        };
        if caller.is_some() {
            // Answers are small: waiting to fill a segment would only delay them. A socket that refuses still works.
            let _ = socket.set_nodelay(true);
        }
        let (local, speech, arrived, metrics) = (local.clone(), speech(), arrived.clone(), Arc::clone(&metrics));
        beginning.spawn(async move {
            match begin(socket, &local, speech).await {
                Ok(stream) => {
                    let wire = Wire { stream, quiet: Box::pin(tokio::time::sleep(IDLE)), _place: place };
                    // An error means that the API has ended.
                    let _ = arrived.send((wire, caller)).await;
                }
                Err(reason) => metrics.admin().refused(reason),
            }
        });
    }
    while beginning.join_next().await.is_some() {}
    // All places of the channel are free: everything is taken out. An error means that the API has ended.
    let _ = arrived.reserve_many(arrived.max_capacity()).await;
}

/// Never in clear where others can listen, whatever a reload says: the address changes at the next start only.
async fn begin(socket: TcpStream, local: &Address, speech: Speech) -> Result<Box<dyn Stream>, &'static str> {
    match speech {
        Speech::Clear if local.is_local() => Ok(Box::new(socket)),
        Speech::Clear | Speech::Closed => Err("closed"),
        Speech::Tls { acceptor, patience } => match tokio::time::timeout(patience, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            _ => Err("handshake"),
        },
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that holds its place.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    quiet: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Wire {
    fn moved(&mut self) {
        self.quiet.as_mut().reset(Instant::now() + IDLE);
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(task, into) {
            self.moved();
            return Poll::Ready(read);
        }
        ready!(self.quiet.as_mut().poll(task));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(task, bytes));
        self.moved();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}
