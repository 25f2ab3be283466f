//! The express lane: plain HTTP/1.1 exchanges over TCP or what ciphers it, parsed in place, four system calls a small request.
//!
//! The lane carries what it is sure of and hands over the rest: [`Lane::serve`] gives the stream back with the bytes it
//! has read and a [`hand_over::HandOver`] that says why. What it is sure is wrong, it refuses; it never hands that over.
//! Who serves a request, what is tried again and what is written down is decided behind [`traffic::Traffic`].
//!
//! The parts below the driver do no I/O and are tested apart: [`head`] reads heads, [`body`] reads and writes bodies.

pub mod body;
pub mod facts;
pub mod flaw;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod hand_over;
pub mod head;
pub mod options;
pub mod reply;
pub mod socket;
pub mod stream;
pub mod traffic;

mod carry;
mod edit;
mod syntax;
mod worker;

pub use carry::{Ended, Lane, wake_idle};
pub use options::{Limits, Options};
pub use stream::{Peer, Secured, Stream};
