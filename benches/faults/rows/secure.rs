//! Rows 25 and 26: TLS and tunnels.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Terms;
use crate::rig::{Cause, Puppet, Rig, Setup};
use crate::rows::{Row, Run, row};
use crate::seen::Seen;

pub(super) const ROWS: &[Row] = &[
    row(
        25,
        "tls-garbage",
        "TLS garbage, cut hello, plain text on a TLS port",
        "alert or close at the handshake timeout",
        "raw bytes",
        &[],
        Run::Now(|t| Box::pin(garbage(t))),
    ),
    row(
        26,
        "websocket",
        "WebSocket: bad and huge frames, idle, node dies",
        "passed as they are; both sides closed; idle timeout",
        "raw bytes over an echo",
        &[],
        Run::Now(|t| Box::pin(sockets(t))),
    ),
];

/// Sends bytes and waits for the end; what was said, and when it ended.
async fn ended(to: std::net::SocketAddr, bytes: &[u8]) -> Result<(Vec<u8>, Option<Duration>), String> {
    let problem = |problem: std::io::Error| problem.to_string();
    let mut stream = TcpStream::connect(to).await.map_err(problem)?;
    let _ = stream.write_all(bytes).await;
    let (began, mut all) = (Instant::now(), Vec::new());
    let end = async { while stream.read_buf(&mut all).await.is_ok_and(|bytes| bytes > 0) {} };
    let ended = tokio::time::timeout(Duration::from_secs(30), end).await.is_ok();
    Ok((all, ended.then(|| began.elapsed())))
}

async fn garbage(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let key =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).map_err(|problem| problem.to_string())?;
    let rig = Setup::new()
        .file("site.pem", key.cert.pem())
        .file("site.key", key.key_pair.serialize_pem())
        .also_listen("{ address: \"@listen2@\", tls: { certificates: [{ cert: site.pem, key: site.key }] } }")
        .faulty(&[&node], "")
        .start(terms)
        .await?;
    let to = rig.proxy.listeners[1];
    // A record that says it holds a hello of 512 bytes, of which the first few come.
    let cut = [&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 40]].concat();
    let cases: [(&str, Vec<u8>); 5] = [
        ("garbage", vec![0x80; 600]),
        ("plain text", b"GET /fault/x HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("a hello that is cut", cut),
        ("nothing at all", Vec::new()),
        ("a record of an absurd length", vec![22, 3, 1, 0xff, 0xff, 1, 2, 3]),
    ];
    let all = futures::future::join_all(cases.iter().map(|(_, bytes)| ended(to, bytes))).await;
    for ((name, _), end) in cases.iter().zip(all) {
        let (said, took) = end?;
        let clear = said.starts_with(b"HTTP");
        let shown = took.map_or("still open after 30 s".into(), |took| {
            format!("{:.1} s, {} bytes", took.as_secs_f64(), said.len())
        });
        seen.claim(format!("{name}: alert or close"), took.is_some() && !clear, shown);
        seen.failed += 1;
    }
    seen.same("requests at the node", node.asked(), 0);
    let causes = [
        Cause { metric: "pointsman_tls_handshakes_total", labels: &["result=\"not-tls\""], log: &["TLS"] },
        Cause { metric: "pointsman_tls_handshakes_total", labels: &["result=\"timeout\""], log: &["TLS"] },
    ];
    rig.judge(&mut seen, &[&node], Vec::new(), &causes).await?;
    Ok(seen)
}

/// A tunnel through the proxy.
async fn tunnel(rig: &Rig) -> Result<TcpStream, String> {
    let problem = |problem: std::io::Error| format!("the tunnel: {problem}");
    let mut stream = TcpStream::connect(rig.proxy.addr()).await.map_err(problem)?;
    let ask = b"GET /fault/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(ask).await.map_err(problem)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.map_err(problem)? == 0 {
            return Err("the tunnel: it ended".into());
        }
    }
    if head.starts_with(b"HTTP/1.1 101") { Ok(stream) } else { Err(String::from_utf8_lossy(&head).into_owned()) }
}

async fn sockets(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig =
        Setup::new().faulty(&[&node], "timeouts: { connect: 500ms, response: 5s, idle: 2s }").start(terms).await?;
    let problem = |problem: std::io::Error| problem.to_string();
    let huge = [&[0x82, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4][..], &[9; 5000]].concat();
    let frames = [
        ("an opcode that is reserved", vec![0x8b, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("bits that are reserved", vec![0xf1, 0x81, 1, 2, 3, 4, 5]),
        ("no mask", vec![0x81, 0x05, 1, 2, 3, 4, 5]),
        ("2^62 bytes", huge),
    ];
    for (name, bytes) in frames {
        let mut stream = tunnel(&rig).await?;
        stream.write_all(&bytes).await.map_err(problem)?;
        let mut back = vec![0; bytes.len()];
        let whole = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut back)).await;
        let fine = matches!(whole, Ok(Ok(_))) && back == bytes;
        seen.claim(format!("{name}: as it is"), fine, if fine { "yes".into() } else { format!("{whole:?}") });
    }
    let mut idle = tunnel(&rig).await?;
    let began = Instant::now();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(30), idle.read_to_end(&mut rest)).await;
    seen.claim("idle: closed", end.is_ok(), format!("{:.1} s", began.elapsed().as_secs_f64()));
    seen.claim(
        "idle: the node's side, too",
        crate::rig::until(Duration::from_secs(5), || async { node.open() == 0 }).await,
        node.open(),
    );
    let mut orphan = tunnel(&rig).await?;
    let journal = node.journal();
    drop(node);
    let end = tokio::time::timeout(Duration::from_secs(5), orphan.read_to_end(&mut rest)).await;
    seen.claim("node dies: closed", end.is_ok(), if end.is_ok() { "yes" } else { "no" });
    seen.failed = 2;
    let cause = Cause {
        metric: "pointsman_tunnel_bytes_total",
        labels: &["service=\"fault\""],
        log: &["\"service\":\"fault\"", "\"status\":101"],
    };
    rig.judge(&mut seen, &[], vec![journal], &[cause]).await?;
    Ok(seen)
}
