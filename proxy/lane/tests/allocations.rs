//! On the steady path a request allocates nothing, and an idle connection holds little.

#[path = "lane/rig.rs"]
#[expect(dead_code, reason = "shared with the socket tests, which use all of it")]
mod rig;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use pointsman_config::plan::Timeouts;
use pointsman_lane::Options;
use rig::{Robin, Shared, node};
use tokio::sync::{Notify, mpsc, watch};

/// Counts what the thread that is `WATCHED` allocates.
struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static WATCHED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn watched() -> bool {
    WATCHED.try_with(std::cell::Cell::get).unwrap_or(false)
}

#[expect(unsafe_code, reason = "a counting allocator is the only way to see allocations")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if watched() {
            CALLS.fetch_add(1, Ordering::Relaxed);
            HELD.fetch_add(layout.size() as i64, Ordering::Relaxed);
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if watched() {
            HELD.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        }
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n0123456789";
const REQUESTS: [&[u8]; 2] = [
    b"GET /orders/7?full=1 HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nConnection: keep-alive\r\nX-Customer-Id: 42\r\n\r\n",
    b"POST /orders HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\nX-Customer-Id: 42\r\n\r\n0123456789",
];

/// A node on threads of its own: one reply for each request of a known length.
fn serve_node() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                let mut have = 0;
                while let Ok(read @ 1..) = stream.read(&mut bytes[have..]) {
                    have += read;
                    let whole =
                        |b: &[u8]| b.ends_with(b"\r\n\r\n") && b.starts_with(b"GET") || b.ends_with(b"0123456789");
                    if whole(&bytes[..have]) {
                        have = 0;
                        stream.write_all(REPLY).unwrap();
                    }
                }
            });
        }
    });
    address
}

/// A lane on a thread of its own, whose allocations are counted.
fn serve_lane(nodes: Vec<SocketAddr>) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        WATCHED.set(true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let wait = Duration::from_secs(20);
            let robin = Robin {
                nodes: nodes.iter().enumerate().map(|(at, address)| node(at as u64 + 1, *address)).collect(),
                turn: AtomicU64::new(0),
                attempts: 2,
                timeouts: Timeouts { connect: wait, response: wait, idle: wait },
                parks: AtomicBool::new(false),
                version: watch::Sender::new(1),
                parked: Notify::new(),
                draining: AtomicBool::new(false),
                room: std::sync::Mutex::default(),
                leave: AtomicU16::new(0),
                within: AtomicU64::new(0),
                told: None,
            };
            let (end, mut ended) = mpsc::unbounded_channel();
            tell.send(rig::listen(Shared(Arc::new(robin)), Options::default(), end).await).unwrap();
            while ended.recv().await.is_some() {}
        });
    });
    told.recv().unwrap()
}

fn exchange(stream: &mut TcpStream, request: &[u8]) {
    stream.write_all(request).unwrap();
    let mut reply = vec![0; REPLY.len()];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply, REPLY);
}

#[test]
fn a_request_allocates_nothing_and_an_idle_connection_holds_little() {
    let lane = serve_lane(vec![serve_node(), serve_node()]);
    let mut clients: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(lane).unwrap()).collect();
    let mut rounds = |count: usize| {
        for round in 0..count {
            for client in &mut clients {
                exchange(client, REQUESTS[round % 2]);
            }
        }
    };
    // Connections, benches and buffers find their size.
    rounds(50);
    let before = CALLS.load(Ordering::Relaxed);
    rounds(500);
    let calls = CALLS.load(Ordering::Relaxed) - before;
    assert_eq!(calls, 0, "{calls} allocations in 2,000 requests");

    let held = HELD.load(Ordering::Relaxed);
    let count = 1000;
    let idle: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(lane).unwrap();
            exchange(&mut stream, REQUESTS[0]);
            stream
        })
        .collect();
    let each = (HELD.load(Ordering::Relaxed) - held) / count;
    drop(idle);
    println!("an idle connection holds {each} bytes");
    assert!(each <= 1536, "an idle connection holds {each} bytes");
}
