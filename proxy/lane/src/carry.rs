//! The driver: one connection from its first byte to its last.
//!
//! A connection owns its stream and a place among the timers. Everything that a request needs besides (buffers, heads,
//! the trip) lies on a work bench, taken when bytes have arrived and given back when the connection idles, so that an
//! idle connection costs its task and nothing else.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::hand_over::HandOver;
use crate::options::Options;
use crate::stream::{Peer, Stream};
use crate::traffic::{Ending, Room, Traffic};
use crate::worker::{self, Slot};
use tunnel::Tunnel;
use turn::After;
use work::Work;

mod ahead;
mod answer;
mod attempt;
mod buffer;
mod download;
mod flow;
mod frames;
mod switch;
mod tunnel;
mod turn;
mod upload;
mod wait;
mod work;

/// How much of what comes after the last answer is read at a time.
const DISCARDED: usize = 8 * 1024;

/// Carries connections for one [`Traffic`].
#[derive(Debug)]
pub struct Lane<F> {
    traffic: F,
    options: Arc<Options>,
    clock: fn() -> Duration,
}

/// How a connection left the lane.
#[derive(Debug)]
pub enum Ended {
    /// It is closed.
    Closed,
    /// Someone else is to carry it on.
    HandOver {
        /// The stream.
        stream: Stream,
        /// Who is at its other end.
        peer: Peer,
        /// What was read of it and belongs to the request that the lane does not carry, and to what follows.
        read: Vec<u8>,
        /// Why.
        why: HandOver,
    },
}

/// What a step of the driver needs from outside.
pub(crate) struct At<'a, 'b, F> {
    pub(crate) lane: &'a Lane<F>,
    pub(crate) client: &'a mut Stream,
    pub(crate) peer: &'a Peer,
    pub(crate) task: &'a mut Context<'b>,
    pub(crate) now: Duration,
}

/// A connection while it is in the lane.
struct Connection {
    client: Stream,
    peer: Peer,
    slot: Slot,
    /// When it was last looked at.
    now: Duration,
}

/// Wakes the idle connections and the tunnels of the calling worker thread, so that they see what [`Traffic::closes_idle`]
/// and [`crate::traffic::Trip::poll_leave`] say now.
pub fn wake_idle() {
    worker::wake_all();
}

impl<F: Traffic> Lane<F> {
    /// A lane. `clock` is the monotonic time that `now` arguments are given in.
    pub fn new(traffic: F, options: impl Into<Arc<Options>>, clock: fn() -> Duration) -> Self {
        Self { traffic, options: options.into(), clock }
    }

    /// What it asks.
    pub fn traffic(&self) -> &F {
        &self.traffic
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Carries a connection until it is closed or to be handed over. Its socket should have `TCP_NODELAY` set.
    ///
    /// Must run on a current-thread runtime with I/O and time enabled, always on the same thread (it panics on a
    /// multi-thread runtime). The future is `Send` if the trip is, and small: spawn it as it is.
    pub async fn serve(&self, stream: impl Into<Stream>, peer: impl Into<Peer>) -> Ended {
        let (client, peer) = (stream.into(), peer.into());
        let now = (self.clock)();
        let mut connection = Connection { client, peer, slot: Slot::take(self.clock), now };
        loop {
            let idle_since = connection.now;
            let mut first = true;
            if !poll_fn(|task| connection.poll_readable(self, idle_since, std::mem::take(&mut first), task)).await {
                connection.client.say_goodbye();
                return Ended::Closed;
            }
            let mut work = worker::take_bench::<Work<F::Trip>>().unwrap_or_else(|| {
                // Whether there is room is asked again where the request begins.
                let _ = self.traffic.room(Work::<F::Trip>::size());
                Box::default()
            });
            let after = poll_fn(|task| connection.poll_work(self, &mut work, task)).await;
            match after {
                After::Idle => worker::put_bench(work, connection.now),
                end @ (After::Close | After::Cut) => {
                    work.clear();
                    worker::put_bench(work, connection.now);
                    if end == After::Close {
                        connection.client.say_goodbye();
                    }
                    return Ended::Closed;
                }
                After::Linger => {
                    work.clear();
                    worker::put_bench(work, connection.now);
                    // Who is turned away in great numbers must not stay for that.
                    if self.traffic.room(0) == Room::Plenty {
                        connection.linger(self).await;
                    }
                    return Ended::Closed;
                }
                After::Tunnel => {
                    let tunnel = work.tunnel.take();
                    work.clear();
                    worker::put_bench(work, connection.now);
                    if let Some(tunnel) = tunnel {
                        connection.tunnel(self, tunnel).await;
                    }
                    return Ended::Closed;
                }
                After::HandOver(why) => {
                    let read = work.unparsed().to_vec();
                    let Connection { client: stream, peer, now, .. } = connection;
                    work.clear();
                    worker::put_bench(work, now);
                    return Ended::HandOver { stream, peer, read, why };
                }
            }
        }
    }
}

impl Connection {
    /// Ready with true once there is something to read; with false once the connection is to be closed. No buffer is
    /// held meanwhile. `first`: it is still `since`, as good as.
    fn poll_readable<F: Traffic>(
        &self,
        lane: &Lane<F>,
        since: Duration,
        first: bool,
        task: &mut Context<'_>,
    ) -> Poll<bool> {
        if let Poll::Ready(result) = self.client.poll_read_ready(task) {
            return Poll::Ready(result.is_ok());
        }
        let now = if first { since } else { (lane.clock)() };
        let deadline = since + lane.options.keep_alive;
        if now >= deadline || lane.traffic.closes_idle() {
            return Poll::Ready(false);
        }
        self.slot.arm(deadline, task.waker());
        Poll::Pending
    }

    fn poll_work<F: Traffic>(
        &mut self,
        lane: &Lane<F>,
        work: &mut Work<F::Trip>,
        task: &mut Context<'_>,
    ) -> Poll<After> {
        let now = (lane.clock)();
        self.now = now;
        let after = work.poll(&mut At { lane, client: &mut self.client, peer: &self.peer, task, now });
        if after.is_pending() {
            self.slot.arm(work.deadline(), task.waker());
        }
        after
    }

    /// Carries a tunnel to its end.
    async fn tunnel<F: Traffic>(mut self, lane: &Lane<F>, mut tunnel: Box<Tunnel<F::Trip>>) {
        let ending = poll_fn(|task| self.poll_tunnel(lane, &mut tunnel, task)).await;
        tunnel.finish(&self.peer, (lane.clock)(), ending);
        if ending == Ending::Complete {
            self.linger(lane).await;
        }
    }

    fn poll_tunnel<F: Traffic>(
        &mut self,
        lane: &Lane<F>,
        tunnel: &mut Tunnel<F::Trip>,
        task: &mut Context<'_>,
    ) -> Poll<Ending> {
        let now = (lane.clock)();
        let ending = tunnel.poll(&mut At { lane, client: &mut self.client, peer: &self.peer, task, now });
        if ending.is_pending() {
            self.slot.arm(tunnel.deadline(), task.waker());
        }
        ending
    }

    async fn linger<F: Traffic>(&mut self, lane: &Lane<F>) {
        let deadline = (lane.clock)() + lane.options.linger;
        let mut shut = false;
        let _ = poll_fn(|task| self.poll_linger(lane, &mut shut, deadline, task)).await;
    }

    /// Closes our direction and throws away what comes, until the client closes too or the time is over: closing with
    /// bytes unread would reset the connection and could take the response with it (RFC 9112 §9.6).
    fn poll_linger<F: Traffic>(
        &mut self,
        lane: &Lane<F>,
        shut: &mut bool,
        deadline: Duration,
        task: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if (lane.clock)() >= deadline {
            return Poll::Ready(Ok(()));
        }
        self.slot.arm(deadline, task.waker());
        if !*shut {
            ready!(Pin::new(&mut self.client).poll_shutdown(task))?;
            *shut = true;
        }
        // On the stack: however many linger, they hold nothing.
        let mut bytes = [MaybeUninit::uninit(); DISCARDED];
        loop {
            let mut room = ReadBuf::uninit(&mut bytes);
            ready!(Pin::new(&mut self.client).poll_read(task, &mut room))?;
            if room.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
