//! The whole API over real sockets, with tasks in place of the control thread and the reload task.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{AdminParts, Ready, serve};
use pointsman_config::plan;

use crate::audit::Audit;
use crate::metrics::Metrics;
use crate::world::WorldCell;
use crate::world::bus::Bus;
use crate::world::control::Control;
use crate::world::reload::Reload;
use crate::world::secure::Speech;

mod audited;
mod control;
mod events;
mod nodes;
mod reading;
mod reload;
mod security;

/// A running API and what stands behind it.
struct Api {
    address: SocketAddr,
    bus: Bus,
    ready: Ready,
    world: WorldCell,
    audit: Audit,
    /// Holds the configuration that the world names.
    folder: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Checks that this is a problem of this kind that says what to do, and hands out its body.
    fn problem(&self, status: u16, reason: &str) -> Value {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["reason"], reason, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        for member in ["type", "title", "detail", "next"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {body}");
        }
        body
    }
}

const YAML: &str = "\
listeners:
  - address: 127.0.0.1:0
admin: { address: 127.0.0.1:0 }
services:
  oms:
    policy: round-robin
    nodes: [{ id: fixed, address: 127.0.0.1:9001 }]
routes:
  - match: { path: / }
    service: oms
";

impl Api {
    async fn start() -> Self {
        Self::start_with(YAML).await
    }

    async fn start_with(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pointsman.yaml");
        std::fs::write(&file, yaml).expect("written");
        let audit = plan::Audit {
            file: folder.path().join("audit.log"),
            max_bytes: 1 << 20,
            keep: 1,
            on_error: plan::OnAuditError::Refuse,
        };
        let audit = Audit::closed(Some(&audit), &Arc::new(Metrics::new()), &Bus::default()).expect("started");
        audit.open().await.expect("opened");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (control, orders) = Control::channel();
        tokio::spawn(control::answer(orders));
        let (reload, orders) = Reload::channel();
        tokio::spawn(reload::answer(orders));
        let (bus, ready) = (Bus::default(), Ready::default());
        let world = Arc::new(ArcSwap::from_pointee(reading::world(&file)));
        let parts = AdminParts {
            entrance: crate::admin::Entrance::default(),
            control,
            reload,
            world: Arc::clone(&world),
            bus: bus.clone(),
            metrics: Arc::new(Metrics::new()),
            ready: ready.clone(),
            audit: audit.clone(),
            speech: Arc::new(|| Speech::Clear),
        };
        tokio::spawn(serve(listener.into(), address.into(), parts));
        Self { address, bus, ready, world, audit, folder }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], b"").await
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.call(method, path, &[], body.as_bytes()).await
    }

    async fn call(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut stream = self.open(method, path, headers, body).await;
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).await.expect("an answer");
        let raw = String::from_utf8(raw).expect("text");
        let (head, body) = raw.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {raw:?}"));
        let status = head.get(9..12).and_then(|code| code.parse().ok()).expect("a status");
        Answer { status, head: head.into(), body: body.into() }
    }

    /// Sends a request; the answer is read from what comes back. `Host` is this API's unless `headers` names one.
    async fn open(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:")) {
            head += &format!("host: {}\r\n", self.address);
        }
        headers.iter().for_each(|header| head += &format!("{header}\r\n"));
        stream.write_all(format!("{head}\r\n").as_bytes()).await.expect("sent");
        // An API that refuses a large body early closes before it has all of it.
        let _ = stream.write_all(body).await;
        BufReader::new(stream)
    }
}

/// Reads lines up to the next empty one.
async fn block(stream: &mut BufReader<TcpStream>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).await.expect("a line") > 0, "the stream ended after {lines:?}");
        match line.trim_end() {
            "" => return lines,
            text => lines.push(text.to_owned()),
        }
    }
}
