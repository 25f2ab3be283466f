//! A node that behaves as it is told, and keeps a journal of every request that it was asked to run.
//!
//! It runs within this program, or as a process of its own (`faults node …`) where it is to be killed or frozen.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::access::now_ms;
use crate::rig::wire::reset;

/// How it answers. A path of `…/slow/MS` is answered so late, `…/bytes/N` with so many bytes, whatever its manner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Well,
    /// Reads the request and says nothing.
    Silent,
    /// RST before a byte of the answer.
    ResetBefore,
    /// Head and a part of the body, then RST.
    ResetAfter,
    /// A chunked body whose last chunk never comes, then FIN.
    Unfinished,
    /// Answers well and closes the connection a moment later, without a word of warning.
    CloseIdle,
    /// A head, then one byte a second.
    Drip,
    /// These bytes.
    Raw(Vec<u8>),
    /// Refuses to switch protocols.
    NoUpgrade,
}

/// One request as the node saw it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// `x-request-unique`, or nothing.
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Milliseconds since 1970.
    pub(crate) at: f64,
}

/// A running node. Dropping it closes its sockets.
#[derive(Debug)]
pub(crate) struct Puppet {
    pub(crate) id: String,
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    id: String,
    manner: Mutex<Manner>,
    healthy: AtomicBool,
    journal: Mutex<Vec<Entry>>,
    file: Option<Mutex<File>>,
    open: AtomicUsize,
    reused: AtomicUsize,
}

/// What is read of a request.
struct Asked {
    method: String,
    path: String,
    id: String,
    upgrade: bool,
}

impl Puppet {
    /// On a free port.
    pub(crate) async fn start(id: &str) -> Result<Self, String> {
        Self::at(id, SocketAddr::from(([127, 0, 0, 1], 0)), None).await
    }

    /// On that address, with a journal on disk.
    pub(crate) async fn at(id: &str, address: SocketAddr, file: Option<&Path>) -> Result<Self, String> {
        let problem = |problem: std::io::Error| format!("node {id} at {address}: {problem}");
        let listener = TcpListener::bind(address).await.map_err(problem)?;
        let address = listener.local_addr().map_err(problem)?;
        let open = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
        let file = file.map(open).transpose().map_err(problem)?.map(Mutex::new);
        let inner = Arc::new(Inner {
            id: id.into(),
            manner: Mutex::new(Manner::Well),
            healthy: AtomicBool::new(true),
            journal: Mutex::default(),
            file,
            open: AtomicUsize::new(0),
            reused: AtomicUsize::new(0),
        });
        let shared = inner.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                // Ended ones are let go of, or a run of hours fills the memory.
                while connections.try_join_next().is_some() {}
                let Ok((stream, _)) = listener.accept().await else { continue };
                let inner = shared.clone();
                connections.spawn(async move {
                    inner.open.fetch_add(1, Ordering::SeqCst);
                    let _ = serve(stream, &inner).await;
                    inner.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { id: id.into(), address, inner, task })
    }

    /// From the next request on.
    pub(crate) fn behave(&self, manner: Manner) {
        *lock(&self.inner.manner) = manner;
    }

    /// Whether `/health` is 200 from now on; 503 otherwise.
    pub(crate) fn healthy(&self, healthy: bool) {
        self.inner.healthy.store(healthy, Ordering::SeqCst);
    }

    /// Every request so far, health checks left out.
    pub(crate) fn journal(&self) -> Vec<Entry> {
        lock(&self.inner.journal).clone()
    }

    /// How many.
    pub(crate) fn asked(&self) -> usize {
        lock(&self.inner.journal).len()
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.inner.open.load(Ordering::SeqCst)
    }

    /// Connections on which something was asked again after [`Manner::Raw`].
    pub(crate) fn reused(&self) -> usize {
        self.inner.reused.load(Ordering::SeqCst)
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inner {
    fn note(&self, asked: &Asked) {
        let entry =
            Entry { id: asked.id.clone(), method: asked.method.clone(), path: asked.path.clone(), at: now_ms() };
        if let Some(file) = &self.file {
            // One write a line: what was noted survives a kill of this process.
            let _ = lock(file)
                .write_all(format!("{}\t{}\t{}\t{}\n", entry.id, entry.method, entry.path, entry.at).as_bytes());
        }
        lock(&self.journal).push(entry);
    }
}

/// The journal that a node left on disk.
pub(crate) fn journal_of(file: &Path) -> Result<Vec<Entry>, String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(problem) => return Err(format!("{}: {problem}", file.display())),
    };
    let entry = |line: &str| {
        let mut parts = line.split('\t').map(str::to_owned);
        Some(Entry { id: parts.next()?, method: parts.next()?, path: parts.next()?, at: parts.next()?.parse().ok()? })
    };
    Ok(text.lines().filter_map(entry).collect())
}

/// `faults node ID ADDRESS JOURNAL`: says where it listens, then serves until standard input ends.
pub(crate) async fn process(arguments: &[String]) -> Result<(), String> {
    let [id, address, file] = arguments else { return Err("node takes ID ADDRESS JOURNAL".into()) };
    let address = address.parse().map_err(|_| format!("`{address}` is no address"))?;
    let puppet = Puppet::at(id, address, Some(Path::new(file))).await?;
    println!("{id} listening on {}", puppet.address);
    // Whoever started it holds the other end: it does not outlive them.
    let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = ended.await;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: TcpStream, node: &Inner) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(&mut stream).await? {
        if asked.path.ends_with("/health") {
            let status = if node.healthy.load(Ordering::SeqCst) { "200 OK" } else { "503 Ill" };
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await?;
            continue;
        }
        node.note(&asked);
        let manner = lock(&node.manner).clone();
        let resets = matches!(manner, Manner::ResetBefore | Manner::ResetAfter);
        if !answer(stream.get_mut(), node, &asked, manner).await? {
            if resets {
                reset(stream.into_inner());
            }
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a request whole; `None` at the end of the connection.
async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Asked>> {
    let mut first = String::new();
    if stream.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut asked = Asked { method, path, id: String::new(), upgrade: false };
    let (mut length, mut chunked) = (0, false);
    loop {
        let line = line_of(stream).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("content-length", value) => length = value.parse().unwrap_or(0),
            ("transfer-encoding", _) => chunked = true,
            ("x-request-unique", value) => value.clone_into(&mut asked.id),
            ("upgrade", _) => asked.upgrade = true,
            _ => {}
        }
    }
    if chunked {
        while chunk(stream).await? > 0 {}
        while !line_of(stream).await?.trim_end().is_empty() {}
    } else if tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await? < length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(asked))
}

/// A line with its end: a request that breaks off is none.
async fn line_of(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    if line.ends_with('\n') { Ok(line) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// The next chunk; its size. Behind the last one, trailers follow.
async fn chunk(stream: &mut BufReader<TcpStream>) -> std::io::Result<u64> {
    let line = line_of(stream).await?;
    let size = u64::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16).unwrap_or(0);
    if size > 0 {
        tokio::io::copy(&mut (&mut *stream).take(size), &mut tokio::io::sink()).await?;
        line_of(stream).await?;
    }
    Ok(size)
}

/// Answers; `false` ends the connection.
async fn answer(stream: &mut TcpStream, node: &Inner, asked: &Asked, manner: Manner) -> std::io::Result<bool> {
    let name = &node.id;
    let mut segments = asked.path.rsplit('/');
    let number: u64 = segments.next().and_then(|last| last.parse().ok()).unwrap_or(0);
    let kind = segments.next().unwrap_or_default();
    if asked.upgrade && manner != Manner::NoUpgrade {
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await?;
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await?;
        return Ok(false);
    }
    if kind == "slow" {
        tokio::time::sleep(Duration::from_millis(number)).await;
    }
    match manner {
        Manner::Well | Manner::CloseIdle => {
            let length = if kind == "bytes" { number } else { 2 };
            let head = format!("HTTP/1.1 200 OK\r\nX-Node: {name}\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            tokio::io::copy(&mut tokio::io::repeat(b'x').take(length), stream).await?;
            return Ok(manner == Manner::Well);
        }
        Manner::NoUpgrade => {
            stream.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await?;
            return Ok(true);
        }
        Manner::Silent => std::future::pending::<()>().await,
        Manner::ResetBefore => {}
        Manner::ResetAfter => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789").await?;
            // The proxy must have passed it on before the end comes.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Manner::Unfinished => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Manner::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await?;
            loop {
                stream.write_all(b"x").await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Manner::Raw(bytes) => {
            stream.write_all(&bytes).await?;
            // It stays, as one that says something strange would: whoever reads on must not take it for an answer.
            let again = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 1])).await;
            node.reused.fetch_add(usize::from(matches!(again, Ok(Ok(1)))), Ordering::SeqCst);
        }
    }
    Ok(false)
}
