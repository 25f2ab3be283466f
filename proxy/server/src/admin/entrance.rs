//! Who accepts at the API's socket while one process takes over from another: both hold it, one answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::listening::Listening;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Open,
    Shut,
    Left,
}

/// Opens and shuts the API's door. Cloning is cheap; all clones are one door.
#[derive(Debug, Clone)]
pub struct Entrance(Arc<watch::Sender<Stand>>);

impl Default for Entrance {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Stand::Open)))
    }
}

impl Entrance {
    /// Whoever connects from now on waits, for this process or for the next.
    pub fn shut(&self) {
        self.0.send_replace(Stand::Shut);
    }

    /// Accepts again.
    pub fn open(&self) {
        self.0.send_replace(Stand::Open);
    }

    /// Another process answers from now on: connections end after the answer they wait for.
    pub fn leave(&self) {
        self.0.send_replace(Stand::Left);
    }

    /// Accepts while it is open.
    pub(super) fn guard(&self, socket: Listening) -> Guarded {
        Guarded { socket, stand: self.0.subscribe() }
    }
}

/// A socket behind the door.
pub(super) struct Guarded {
    socket: Listening,
    stand: watch::Receiver<Stand>,
}

impl Guarded {
    /// The next connection, once the door is open. `None`: another process answers from now on. Nothing is lost when the
    /// future is dropped.
    pub(super) async fn accept(&mut self) -> Option<io::Result<(TcpStream, Option<SocketAddr>)>> {
        loop {
            let stand = *self.stand.borrow_and_update();
            match stand {
                Stand::Left => return None,
                Stand::Open => tokio::select! {
                    biased;
                    // An error means that nobody is left who could shut it.
                    Ok(()) = self.stand.changed() => {}
                    accepted = self.socket.accept() => return Some(accepted),
                },
                Stand::Shut => {
                    if self.stand.changed().await.is_err() {
                        return None;
                    }
                }
            }
        }
    }
}
