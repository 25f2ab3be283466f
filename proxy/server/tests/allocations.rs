//! A request through the whole proxy allocates nothing: the real configuration, World, picker and policy (WebAssembly, in
//! its sandbox), metrics on, access log off. Everything that the worker's thread allocates is counted, whoever asks for it.
//!
//! `POINTSMAN_ALLOCATIONS=trace` prints where each allocation comes from.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pointsman::app::{RunArgs, run};

/// Counts what the worker allocates while [`COUNTING`] holds.
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static TRACING: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    Unknown,
    Worker,
    Other,
}

thread_local! {
    static THREAD: Cell<Thread> = const { Cell::new(Thread::Unknown) };
}

#[expect(unsafe_code, reason = "asking the standard library for the thread's name may allocate")]
fn is_worker() -> bool {
    let mut name = [0_u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, the terminating one included (prctl(2)).
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name.starts_with(b"worker-0\0")
}

fn count() {
    if !COUNTING.load(Ordering::Relaxed) {
        return;
    }
    // An error means that the thread ends.
    let _ = THREAD.try_with(|thread| {
        if thread.get() == Thread::Unknown {
            thread.set(if is_worker() { Thread::Worker } else { Thread::Other });
        }
        if thread.get() == Thread::Worker {
            CALLS.fetch_add(1, Ordering::Relaxed);
            if TRACING.load(Ordering::Relaxed) {
                // Telling it allocates, too.
                thread.set(Thread::Other);
                eprintln!("allocated at\n{}", std::backtrace::Backtrace::force_capture());
                thread.set(Thread::Worker);
            }
        }
    });
}

#[expect(unsafe_code, reason = "a counting allocator is the only way to see allocations")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n0123456789";
/// What clients get of it: the route sets a field anew, after the others.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\ncontent-type: text/plain\r\n\r\n0123456789";
/// Each is a service of its own, with and without a key.
const POLICIES: [&str; 7] =
    ["round-robin", "least-connections", "customer-modulo", "consistent-hash", "read-write-split", "sticky", OWNED];
/// By round robin, but that keys have owners.
const OWNED: &str = "owned";
const OWNERS: &str =
    ", owners: { claim: behind, learn: [{ request: { header: x-customer-id } }, { response: { header: x-order } }] }";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Of a client that comes back to `n1` of the service `sticky`, signed with that secret.
const COOKIE: &str = "pointsman-sticky=n1.21ab73b2c261c64655fddbc5795fee81e6790cafaadfd2a3ce88728960b598b2";

/// What each route changes on the way.
const CHANGES: &str = "rewrite: { prefix: /inner }, request_headers: { set: { x-env: prod }, remove: [accept] }, \
    response_headers: { set: { content-type: text/plain } }";

fn requests(policy: &str) -> [String; 2] {
    let common = &format!(
        "Cookie: a=1; {COOKIE}\r\nHost: example.com\r\nAccept: */*\r\nX-Customer-Id: 42\r\nX-Forwarded-For: 203.0.113.7, 127.0.0.2\r\n"
    );
    [
        format!("GET /{policy}/7?full=1 HTTP/1.1\r\n{common}\r\n"),
        format!("POST /{policy} HTTP/1.1\r\n{common}Content-Length: 10\r\n\r\n0123456789"),
    ]
}

/// A node on threads of its own: one reply for each request of a known shape.
fn node() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                let mut have = 0;
                while let Ok(read @ 1..) = stream.read(&mut bytes[have..]) {
                    have += read;
                    let request = &bytes[..have];
                    if request.ends_with(b"0123456789") || request.starts_with(b"GET") && request.ends_with(b"\r\n\r\n")
                    {
                        have = 0;
                        stream.write_all(REPLY).expect("writes");
                    }
                }
            });
        }
    });
    address
}

/// Starts the proxy on threads of this process; they end with it.
fn proxy(folder: &Path) -> SocketAddr {
    let mut yaml = String::from(
        "listeners: [{ address: 127.0.0.1:0 }]\ntrusted_proxies: [127.0.0.0/8]\naccess_log: off\nregistry: { store: embedded, path: registry }\nservices:\n",
    );
    for policy in POLICIES {
        let nodes: Vec<String> = (1..3).map(|n| format!("{{ id: n{n}, ordinal: {n}, address: {} }}", node())).collect();
        let nodes = nodes.join(", ");
        let (used, owners) = match policy {
            OWNED => ("round-robin", OWNERS),
            "sticky" => ("sticky", ", sticky_cookie: { secret_file: cookie.secret }"),
            _ => (policy, ""),
        };
        let key = "key: { header: x-customer-id }";
        let _ = writeln!(yaml, "  {policy}: {{ policy: {used}, {key}, primary: on, nodes: [{nodes}]{owners} }}");
    }
    yaml.push_str("routes:\n");
    for policy in POLICIES {
        let _ = writeln!(yaml, "  - {{ match: {{ path: /{policy} }}, service: {policy}, {CHANGES} }}");
    }
    let (config, ports) = (folder.join("pointsman.yaml"), folder.join("ports.json"));
    std::fs::write(&config, yaml).expect("written");
    std::fs::write(folder.join("cookie.secret"), SECRET).expect("written");
    let args = RunArgs { config, threads: Some(1), notice: 0, grace: 1, ports_file: Some(ports.clone()) };
    std::thread::spawn(move || run(&args));
    loop {
        if let Ok(text) = std::fs::read(&ports) {
            let ports: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            return ports["listeners"][0].as_str().expect("an address").parse().expect("an address");
        }
        // Nothing tells of the file but the file.
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn exchange(stream: &mut TcpStream, request: &str) {
    stream.write_all(request.as_bytes()).expect("writes");
    let mut reply = vec![0; ANSWER.len()];
    stream.read_exact(&mut reply).expect("a reply");
    assert_eq!(reply, ANSWER);
}

fn rounds(clients: &mut [TcpStream], policy: &str, count: usize) {
    let requests = requests(policy);
    for round in 0..count {
        for client in &mut *clients {
            exchange(client, &requests[round % 2]);
        }
    }
}

/// What the worker allocates meanwhile.
fn counted(act: impl FnOnce()) -> u64 {
    let before = CALLS.load(Ordering::Relaxed);
    COUNTING.store(true, Ordering::Relaxed);
    act();
    COUNTING.store(false, Ordering::Relaxed);
    CALLS.load(Ordering::Relaxed) - before
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connects");
    // Only so that a test that fails ends.
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream
}

#[test]
fn a_request_through_the_whole_proxy_allocates_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = proxy(folder.path());
    let mut clients: Vec<TcpStream> = (0..4).map(|_| connect(address)).collect();
    for policy in POLICIES {
        // Connections, benches, buffers and the policy's memory find their size.
        rounds(&mut clients, policy, 100);
    }
    TRACING.store(std::env::var("POINTSMAN_ALLOCATIONS").is_ok_and(|how| how == "trace"), Ordering::Relaxed);
    for policy in POLICIES {
        let calls = counted(|| rounds(&mut clients, policy, 500));
        assert_eq!(calls, 0, "{policy}: {calls} allocations in {} requests", 500 * clients.len());
    }
    TRACING.store(false, Ordering::Relaxed);
    let seen = counted(|| exchange(&mut connect(address), &requests(POLICIES[0])[0]));
    assert!(seen > 0, "a new connection has a task of its own: the count does not see the worker");
}
