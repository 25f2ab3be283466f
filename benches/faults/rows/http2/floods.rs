//! Clients that send frames without end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::Terms;
use crate::rig::{Cause, Puppet, Rig, Setup, until};
use crate::rows::http2::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, HELLO, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, head,
};
use crate::seen::Seen;

/// What a flood may cost, MiB: the page's one, and what an allocator takes from the system in one piece.
const MEMORY: f64 = 5.0;
/// Frames or bursts after which a flood that nobody ends is a flood that was taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a flood.
#[derive(Debug)]
struct End {
    /// Bursts that were written, in whole or part.
    bursts: u32,
    /// Whether the proxy ended the connection, or took no more (its window is full: bounded).
    closed: bool,
    stalled: bool,
}

/// Writes `burst` over and over. With `reads` the answers are taken, as an honest client would.
async fn flood(to: SocketAddr, most: u32, reads: bool, mut burst: impl FnMut(u32) -> Vec<u8>) -> Result<End, String> {
    let problem = |problem: std::io::Error| problem.to_string();
    let socket = TcpSocket::new_v4().map_err(problem)?;
    if !reads {
        // What the kernel takes on the client's behalf shall not hide that nobody reads.
        socket.set_recv_buffer_size(4096).map_err(problem)?;
    }
    let (mut reader, mut writer) = socket.connect(to).await.map_err(problem)?.into_split();
    let drain = tokio::spawn(async move {
        let mut bytes = vec![0; 16 << 10];
        while reads && reader.read(&mut bytes).await.is_ok_and(|bytes| bytes > 0) {}
        // Held to the end of the flood: who does not read does not close, either.
        if reads { None } else { Some(reader) }
    });
    writer.write_all(HELLO).await.map_err(problem)?;
    let mut end = End { bursts: 0, closed: false, stalled: false };
    while end.bursts < most {
        let bytes = burst(end.bursts);
        end.bursts += 1;
        match tokio::time::timeout(PATIENCE, writer.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                end.closed = true;
                break;
            }
            Err(_) => {
                end.stalled = true;
                break;
            }
        }
        if reads && drain.is_finished() {
            end.closed = true;
            break;
        }
    }
    // The last burst may have been one too many without the write telling.
    if reads && !end.closed {
        end.closed = until(Duration::from_secs(1), || async { drain.is_finished() }).await;
    }
    drain.abort();
    Ok(end)
}

async fn rig(terms: &Terms, node: &Puppet) -> Result<Rig, String> {
    Setup::new().listener("http2: on").faulty(&[node], "").start(terms).await
}

fn judge_end(seen: &mut Seen, rig: &Rig, name: &str, end: &End) -> Result<(), String> {
    let how = if end.closed {
        "closed"
    } else if end.stalled {
        "stalled"
    } else {
        "taken to its end"
    };
    seen.claim(format!("{name}: ended"), end.closed || end.stalled, format!("{how} after {} bursts", end.bursts));
    seen.at_most(format!("{name}: MiB"), ((rig.holds()?.rss_kib - rig.held().rss_kib) / 1024.0).max(0.0), MEMORY);
    seen.failed += 1;
    Ok(())
}

pub(super) async fn resets(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = rig(terms, &node).await?;
    let block = head("GET", "/fault/slow/5000", &[]);
    let ask = |stream: u32| frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
    let rapid = |n: u32| [ask(2 * n + 1), frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat();
    // The client breaks a rule on the stream, so that the proxy resets it (CVE-2025-8671).
    let made = |n: u32| [ask(2 * n + 1), frame(WINDOW_UPDATE, 0, 2 * n + 1, &[0; 4])].concat();
    let after_end = |n: u32| [ask(2 * n + 1), frame(DATA, 0, 2 * n + 1, b"x")].concat();
    let before = rig.holds()?.ticks;
    let began = Instant::now();
    let ends = [
        ("rapid reset", flood(rig.proxy.addr(), 1000, true, rapid).await?),
        ("made you reset: window", flood(rig.proxy.addr(), 1000, true, made).await?),
        ("made you reset: data", flood(rig.proxy.addr(), 1000, true, after_end).await?),
    ];
    let cpu_ms = (rig.holds()?.ticks - before) as f64 * 10.0 / 3.0;
    for (name, end) in ends {
        seen.claim(format!("{name}: closed within 1,000"), end.closed, format!("{end:?}"));
        seen.failed += 1;
    }
    seen.at_most("ms CPU each", cpu_ms.round(), 50.0 * terms.slowness() + began.elapsed().as_millis() as f64 * 0.02);
    let labels = ["service=\"fault\""];
    let cancelled = until(Duration::from_secs(3), || async {
        rig.metrics().await.is_ok_and(|now| now.sum("pointsman_node_in_flight", &labels) == 0.0)
    });
    let cancelled = cancelled.await;
    seen.claim("upstream work cancelled", cancelled, if cancelled { "yes" } else { "no" });
    let causes = [Cause {
        metric: "pointsman_http2_connections_closed_total",
        labels: &["cause=\"resets\""],
        log: &["127.0.0.1", "HTTP/2 connection is closed", "takes back too many requests"],
    }];
    rig.judge(&mut seen, &[&node], Vec::new(), &causes).await?;
    Ok(seen)
}

pub(super) async fn heads(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = rig(terms, &node).await?;
    let block = head("GET", "/fault/x", &[]);
    let long: Vec<u8> = [&b"\x00\x01x\x7f\x00"[..], &[b'y'; 127]].concat();
    let start = |n: u32| (n == 0).then(|| frame(HEADERS, END_STREAM, 1, &block));
    // An entry of 4,000 bytes in the table, and a thousand references of one byte to it in each further head.
    let entry = [&b"\x40\x01x\x7f\xa1\x1e"[..], &[b'y'; 4000]].concat();
    let bomb = |n: u32| {
        let first = [block.clone(), entry.clone()].concat();
        let more = [block.clone(), vec![0xbe; 1000]].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, if n == 0 { &first } else { &more })
    };
    for reads in [true, false] {
        let who = if reads { "" } else { ", nobody reads" };
        let fields = |n: u32| start(n).unwrap_or_else(|| frame(CONTINUATION, 0, 1, &long));
        let end = flood(rig.proxy.addr(), 200_000, reads, fields).await?;
        judge_end(&mut seen, &rig, &format!("CONTINUATION{who}"), &end)?;
        let empty = |n: u32| start(n).unwrap_or_else(|| frame(CONTINUATION, 0, 1, &[]).repeat(10));
        let end = flood(rig.proxy.addr(), 200_000, reads, empty).await?;
        judge_end(&mut seen, &rig, &format!("empty CONTINUATION{who}"), &end)?;
    }
    let end = flood(rig.proxy.addr(), 5_000, true, bomb).await?;
    seen.at_most("HPACK: MiB", ((rig.holds()?.rss_kib - rig.held().rss_kib) / 1024.0).max(0.0), MEMORY);
    seen.note(format!("HPACK references: {end:?}"));
    seen.same("requests at the node", node.asked(), 0);
    let cause = Cause {
        metric: "pointsman_http2_connections_closed_total",
        labels: &["cause=\"continuation\""],
        log: &["127.0.0.1", "HTTP/2 connection is closed", "CONTINUATION"],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

pub(super) async fn frames(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = rig(terms, &node).await?;
    let setting = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]).repeat(200);
    let ping = frame(PING, 0, 0, &[7; 8]).repeat(200);
    let block = head("POST", "/fault/x", &[]);
    for (name, bytes) in [("SETTINGS", &setting), ("PING", &ping)] {
        let end = flood(rig.proxy.addr(), 10_000, false, |_| bytes.clone()).await?;
        judge_end(&mut seen, &rig, name, &end)?;
    }
    let empty = |n: u32| {
        if n == 0 { frame(HEADERS, END_HEADERS, 1, &block) } else { frame(DATA, 0, 1, &[]).repeat(20) }
    };
    let end = flood(rig.proxy.addr(), 20_000, true, empty).await?;
    judge_end(&mut seen, &rig, "empty DATA", &end)?;
    // 100 streams ask for 1 MB each with a window of nothing.
    let ask = head("GET", "/fault/bytes/1000000", &[]);
    let mut stall = [HELLO, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
    (0..100).for_each(|n| stall.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &ask)));
    let mut stream = TcpStream::connect(rig.proxy.addr()).await.map_err(|problem| problem.to_string())?;
    stream.write_all(&stall).await.map_err(|problem| problem.to_string())?;
    rig.others(200).await;
    let grown = ((rig.holds()?.rss_kib - rig.held().rss_kib) / 1024.0).max(0.0);
    // 64 KiB each, as any connection may buffer.
    seen.at_most("zero window: MiB over 100 streams", grown, MEMORY + 100.0 / 16.0);
    drop(stream);
    let cause = Cause {
        metric: "pointsman_requests_total",
        labels: &["service=\"fault\"", "code=\"none\""],
        log: &["\"service\":\"fault\"", "\"status\":0"],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}
