//! Bounds how long a node may be silent.
//!
//! pingora has one read timeout a connection, which also runs while a long body is still being sent. We need two:
//! one from the request sent to the response head, one between two reads of the body; and a request must be able to
//! tell its own timeout from a node that went away. So a worker keeps the sockets it waits on in a table, looks over
//! it every [`TICK`], and shuts down those that are late; pingora sees the connection end, the request sees why.
//!
//! Setting or moving a deadline is a write into that table: no timer, no allocation, no lock, since a worker is one
//! thread.

use std::cell::RefCell;
use std::convert::Infallible;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use socket2::SockRef;

use crate::world::clock;

/// How often deadlines are looked over, and so how late a timeout can be.
const TICK: Duration = Duration::from_millis(20);

#[derive(Debug)]
struct Waiting {
    /// `None` once shut down.
    socket: Option<RawFd>,
    /// On the clock of [`clock::now`]; `None`: may be silent.
    until: Option<Duration>,
    life: u64,
}

#[derive(Debug, Default)]
struct Table {
    waiting: Vec<Option<Waiting>>,
    free: Vec<usize>,
    lives: u64,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

/// A socket being waited on; dropping it ends the wait. Must be dropped before the socket is closed, and on the
/// worker's thread, on which all of a request runs.
#[derive(Debug)]
pub(super) struct Deadline {
    place: usize,
    life: u64,
}

impl Deadline {
    /// Begins to wait on `socket`, without a deadline yet.
    pub(super) fn on(socket: RawFd) -> Self {
        TABLE.with_borrow_mut(|table| {
            table.lives += 1;
            let life = table.lives;
            let waiting = Some(Waiting { socket: Some(socket), until: None, life });
            let place = if let Some(place) = table.free.pop() {
                table.waiting[place] = waiting;
                place
            } else {
                table.waiting.push(waiting);
                table.waiting.len() - 1
            };
            Self { place, life }
        })
    }

    /// The node may be silent for so long from now on; `None`: for ever.
    pub(super) fn within(&self, silence: Option<Duration>) {
        let until = silence.map(|silence| clock::now() + silence);
        self.with(|waiting| waiting.until = until);
    }

    /// Whether the socket was shut down because it was late.
    pub(super) fn passed(&self) -> bool {
        self.with(|waiting| waiting.socket.is_none()).unwrap_or(false)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Waiting) -> T) -> Option<T> {
        TABLE.with_borrow_mut(|table| {
            let waiting = table.waiting.get_mut(self.place)?.as_mut()?;
            (waiting.life == self.life).then(|| act(waiting))
        })
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        // The table is gone when the thread ends, and with it all that waited.
        let _ = TABLE.try_with(|table| {
            let mut table = table.borrow_mut();
            if table.waiting.get(self.place).is_some_and(|w| w.as_ref().is_some_and(|w| w.life == self.life)) {
                table.waiting[self.place] = None;
                table.free.push(self.place);
            }
        });
    }
}

/// Looks over the deadlines of this thread for ever.
pub(super) async fn keep() -> Infallible {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        look_over(clock::now());
    }
}

fn look_over(now: Duration) {
    TABLE.with_borrow_mut(|table| {
        for waiting in table.waiting.iter_mut().flatten() {
            if let (Some(socket), Some(until)) = (waiting.socket, waiting.until)
                && until <= now
                && end_if_silent(socket)
            {
                waiting.socket = None;
            }
        }
    });
}

/// Shuts the socket down unless something can be read from it: then it is the client who is slow, not the node.
fn end_if_silent(socket: RawFd) -> bool {
    #[expect(unsafe_code, reason = "the socket is owned by pingora, which lends its number only")]
    // SAFETY: the descriptor is open for the length of this call. A `Deadline` is dropped before its connection is (a
    // request lets go of it in the same turn of this thread's event loop in which pingora reports the attempt over),
    // and this runs on that same thread, between turns.
    let socket = unsafe { BorrowedFd::borrow_raw(socket) };
    let socket = SockRef::from(&socket);
    let silent = !matches!(socket.peek(&mut [MaybeUninit::uninit()]), Ok(1..));
    if silent {
        // An error means that it has ended already.
        let _ = socket.shutdown(Shutdown::Both);
    }
    silent
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let ours = TcpStream::connect(listener.local_addr().expect("an address")).expect("connects");
        ours.set_nonblocking(true).expect("non-blocking");
        (ours, listener.accept().expect("accepts").0)
    }

    fn far() -> Duration {
        clock::now() + Duration::from_hours(1)
    }

    #[test]
    fn a_silent_socket_is_shut_down_when_its_time_is_over() {
        let (ours, mut theirs) = pair();
        let deadline = Deadline::on(ours.as_raw_fd());
        deadline.within(Some(Duration::from_mins(1)));
        look_over(clock::now());
        assert!(!deadline.passed());
        look_over(far());
        assert!(deadline.passed());
        assert_eq!(theirs.read(&mut [0]).expect("an end"), 0);
    }

    #[test]
    fn a_socket_with_something_to_read_is_not_silent() {
        let (ours, mut theirs) = pair();
        let deadline = Deadline::on(ours.as_raw_fd());
        deadline.within(Some(Duration::from_mins(1)));
        theirs.write_all(b"x").expect("writes");
        ours.set_nonblocking(false).expect("blocking");
        ours.peek(&mut [0]).expect("arrived");
        look_over(far());
        assert!(!deadline.passed());
    }

    #[test]
    fn without_a_deadline_or_once_dropped_a_socket_is_left_alone() {
        let ((ours, mut theirs), (dropped, mut other)) = (pair(), pair());
        let deadline = Deadline::on(ours.as_raw_fd());
        deadline.within(Some(Duration::ZERO));
        deadline.within(None);
        let gone = Deadline::on(dropped.as_raw_fd());
        gone.within(Some(Duration::ZERO));
        drop(gone);
        look_over(far());
        assert!(!deadline.passed());
        for (mine, peer) in [(ours, &mut theirs), (dropped, &mut other)] {
            (&mine).write_all(b"y").expect("still open");
            peer.read_exact(&mut [0]).expect("arrives");
        }
    }

    #[test]
    fn a_place_that_is_taken_again_is_another_life() {
        let (ours, _theirs) = pair();
        let first = Deadline::on(ours.as_raw_fd());
        let place = first.place;
        drop(first);
        let second = Deadline::on(ours.as_raw_fd());
        assert_eq!(second.place, place);
        second.within(Some(Duration::ZERO));
        look_over(far());
        assert!(second.passed());
    }
}
