//! Turns clients away shortly before the kernel would end the process for the memory that it takes (ADR 12).
//!
//! A thread looks how much of what the process may have is in use. From `shed_at_memory` on whoever connects is told to
//! come again, heads grow no more, and pingora gets no further request; closer to the limit the lane takes none either. What
//! is under way goes on.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use pointsman_lane::flaw::Flaw;
use pointsman_lane::traffic::{Page, Room};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::answer::{fill, flawed};
use super::identity;
use crate::world::{World, WorldCell};
use room::{Kernel, Use};

mod room;

/// A look comes before this many bytes more could be in use after one second: so fast clients hardly make a proxy take
/// memory, and a limit that is far away is seldom looked at.
const RATE: f64 = (1 << 30) as f64;
const SOONEST: Duration = Duration::from_millis(2);
const LATEST: Duration = Duration::from_millis(250);

/// Turning clients away is over when so much less is in use than where it began, refusing requests when so much less is.
const LESS: f64 = 0.05;
const BARELY_LESS: f64 = 0.01;

/// How far from the bound to the limit requests are refused, too.
const LAST: f64 = 0.8;

/// What a connection takes at least: its task, and what the kernel keeps for its socket.
const CONNECTION: usize = 4 << 10;

/// How many of those who are told are read on, and for how long: a socket that is closed with bytes unread resets the
/// connection, which may take the answer with it.
const LINGERING: u32 = 64;
const LINGER: Duration = Duration::from_secs(2);

const ROOMS: [Room; 3] = [Room::Plenty, Room::Little, Room::None];

/// How much room there is.
#[derive(Debug)]
pub(super) struct Memory {
    /// Index into [`ROOMS`].
    room: AtomicU8,
    /// Bytes up to the bound, less what was taken since somebody looked.
    left: AtomicI64,
    turned_away: AtomicU64,
    lingering: AtomicU32,
}

impl Default for Memory {
    fn default() -> Self {
        let room = AtomicU8::new(Room::Plenty as u8);
        Self { room, left: AtomicI64::new(i64::MAX), turned_away: AtomicU64::new(0), lingering: AtomicU32::new(0) }
    }
}

/// What a look changes.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Begins,
    /// Requests, too.
    Worsens,
    /// With how many connections were turned away.
    Ends(u64),
}

/// Starts the thread that looks, until nobody holds what it answers.
pub(super) fn watch(world: &WorldCell) -> io::Result<Arc<Memory>> {
    let memory = Arc::new(Memory::default());
    let (watched, world) = (Arc::downgrade(&memory), Arc::downgrade(world));
    std::thread::Builder::new().name("memory".into()).spawn(move || {
        let kernel = Kernel::default();
        while let Some(pause) = once(&watched, &world, &kernel) {
            std::thread::sleep(pause);
        }
    })?;
    Ok(memory)
}

/// Looks once. How long to wait for the next; `None`: nobody is there any more.
fn once(memory: &Weak<Memory>, world: &Weak<ArcSwap<World>>, kernel: &Kernel) -> Option<Duration> {
    let memory = memory.upgrade()?;
    let bound = world.upgrade()?.load().plan.shed_at_memory;
    let seen = bound.and_then(|_| kernel.in_use());
    let bound = bound.unwrap_or(1.0);
    let percent = seen.map_or(0.0, |seen| seen.share() * 100.0);
    match memory.look(seen, bound) {
        Some(Change::Begins) => log::warn!(
            "memory: {percent:.0}% of what the process may take is in use: new connections are turned away (`shed_at_memory`)"
        ),
        Some(Change::Worsens) => {
            log::warn!("memory: {percent:.0}% of what the process may take is in use: new requests are refused");
        }
        Some(Change::Ends(count)) => {
            log::warn!("memory: there is room again, {count} connections were turned away");
        }
        None => {}
    }
    Some(seen.map_or(LATEST, |seen| pause(seen, bound)))
}

/// So long that not more could be taken meanwhile than is left up to the bound.
fn pause(seen: Use, bound: f64) -> Duration {
    Duration::from_secs_f64(left(seen, bound) / RATE).clamp(SOONEST, LATEST)
}

/// Bytes up to the bound.
fn left(seen: Use, bound: f64) -> f64 {
    (seen.limit as f64 * bound - seen.used as f64).max(0.0)
}

impl Memory {
    /// `more`: the bytes that are about to be taken. A flood takes what there is between two looks, so they count at once.
    pub(super) fn room(&self, more: usize) -> Room {
        let seen = self.seen();
        if more == 0 || seen != Room::Plenty {
            return seen;
        }
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        if self.left.fetch_sub(more, Ordering::Relaxed) < more { Room::Little } else { Room::Plenty }
    }

    /// What was seen at the last look.
    fn seen(&self) -> Room {
        ROOMS[usize::from(self.room.load(Ordering::Relaxed)).min(ROOMS.len() - 1)]
    }

    /// Why pingora is not to carry a request that has just come: it may hold some hundred KiB of the answer.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        (self.seen() != Room::Plenty).then_some(Flaw::NoRoom)
    }

    /// Whether a client that has just come is to be turned away; it is counted.
    pub(super) fn turns_away(&self) -> bool {
        let full = self.room(CONNECTION) != Room::Plenty;
        if full {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
        }
        full
    }

    /// `seen`: `None`: nobody knows, or nobody wants to know.
    fn look(&self, seen: Option<Use>, bound: f64) -> Option<Change> {
        let was = self.seen();
        let share = seen.map_or(0.0, Use::share);
        // What has begun ends later than it would begin.
        let less = |least: Room, less: f64| if was >= least { less } else { 0.0 };
        let is = if share >= bound + (1.0 - bound) * LAST - less(Room::None, BARELY_LESS) {
            Room::None
        } else if share >= bound - less(Room::Little, LESS) {
            Room::Little
        } else {
            Room::Plenty
        };
        self.room.store(is as u8, Ordering::Relaxed);
        self.left.store(seen.map_or(i64::MAX, |seen| left(seen, bound) as i64), Ordering::Relaxed);
        match (was, is) {
            (_, Room::None) if was != is => Some(Change::Worsens),
            (Room::Plenty, Room::Little) => Some(Change::Begins),
            (Room::Little | Room::None, Room::Plenty) => {
                Some(Change::Ends(self.turned_away.swap(0, Ordering::Relaxed)))
            }
            _ => None,
        }
    }

    /// Tells a client in clear to come again, and waits until it goes if not too many are waited for.
    pub(super) async fn tell(self: Arc<Self>, mut socket: TcpStream) {
        let waits = self.lingering.fetch_add(1, Ordering::Relaxed) < LINGERING;
        let told = async {
            // It fits into the buffer of a new socket.
            socket.write_all(&answer()).await?;
            socket.shutdown().await?;
            let mut bytes = [0; 1024];
            while waits && socket.read(&mut bytes).await? > 0 {}
            io::Result::Ok(())
        };
        // Whoever is gone, or does not end, needs no answer.
        let _ = tokio::time::timeout(LINGER, told).await;
        self.lingering.fetch_sub(1, Ordering::Relaxed);
    }
}

fn answer() -> Vec<u8> {
    let mut page = Page::default();
    fill(&mut page, flawed(Flaw::NoRoom), &identity::Id::new().text());
    let line = format!("HTTP/1.1 {} Service Unavailable\r\n", page.status);
    let length = format!("Content-Length: {}\r\nConnection: close\r\n\r\n", page.body.len());
    [line.as_bytes(), &page.fields, length.as_bytes(), &page.body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as it is asked for")]
    fn of(used: u64) -> Option<Use> {
        Some(Use { used: used << 20, limit: 1000 << 20 })
    }

    #[test]
    fn clients_are_turned_away_from_the_bound_on_until_there_is_room() {
        let memory = Memory::default();
        assert_eq!(memory.look(of(949), 0.95), None);
        assert!(!memory.turns_away());
        assert_eq!(memory.look(of(950), 0.95), Some(Change::Begins));
        assert!(memory.turns_away() && memory.turns_away());
        assert_eq!((memory.room(0), memory.flaw()), (Room::Little, Some(Flaw::NoRoom)));
        assert_eq!(memory.look(of(910), 0.95), None, "still near");
        assert!(memory.turns_away());
        assert_eq!(memory.look(of(890), 0.95), Some(Change::Ends(3)));
        assert!(!memory.turns_away());
    }

    #[test]
    fn nearer_to_the_limit_requests_are_refused_too() {
        let memory = Memory::default();
        assert_eq!(memory.look(of(989), 0.95), Some(Change::Begins));
        assert_eq!(memory.look(of(990), 0.95), Some(Change::Worsens));
        assert_eq!((memory.room(0), memory.turns_away()), (Room::None, true));
        assert_eq!(memory.look(of(981), 0.95), None, "still near");
        assert_eq!(memory.room(0), Room::None);
        assert_eq!(memory.look(of(979), 0.95), None);
        assert_eq!((memory.room(0), memory.turns_away()), (Room::Little, true));
        assert_eq!(memory.look(of(995), 0.95), Some(Change::Worsens));
        assert_eq!(memory.look(of(0), 0.95), Some(Change::Ends(2)));
    }

    #[test]
    fn where_nothing_is_known_nobody_is_turned_away() {
        let memory = Memory::default();
        assert_eq!(memory.look(None, 0.95), None);
        assert_eq!(memory.look(of(2000), 0.95), Some(Change::Worsens));
        assert_eq!(memory.look(None, 0.95), Some(Change::Ends(0)));
        assert!(!memory.turns_away());
    }

    #[test]
    fn what_is_taken_between_two_looks_counts_at_once() {
        let memory = Memory::default();
        assert_eq!(memory.room(usize::MAX), Room::Plenty, "nobody has looked yet");
        let seen = Some(Use { used: 900 << 10, limit: 1000 << 10 });
        assert_eq!(memory.look(seen, 0.95), None);
        assert_eq!(memory.room(40 << 10), Room::Plenty);
        assert_eq!(memory.room(0), Room::Plenty);
        assert_eq!(memory.room(11 << 10), Room::Little);
        assert_eq!(memory.flaw(), None);
        assert_eq!(memory.look(seen, 0.95), None);
        assert_eq!(memory.room(40 << 10), Room::Plenty, "it was given back");
    }

    #[test]
    fn the_nearer_the_bound_the_sooner_the_next_look() {
        let at = |used, limit| pause(Use { used, limit }, 0.5);
        assert_eq!(at(0, 256 << 20), Duration::from_millis(125));
        assert_eq!(at(64 << 20, 256 << 20), Duration::from_micros(62_500));
        assert_eq!(at(200 << 20, 256 << 20), SOONEST);
        assert_eq!(at(0, 64 << 30), LATEST);
    }

    #[test]
    fn what_a_client_is_told_is_a_whole_answer() {
        let text = String::from_utf8(answer()).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && head.contains("\r\nRetry-After: "),
            "{head}"
        );
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\nConnection: close", body.len())), "{head}");
        assert!(body.contains("\"reason\":\"memory\""), "{body}");
    }
}
