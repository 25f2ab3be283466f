//! What every test sets up: a proxy whose sockets lie beside its configuration, and nodes at such sockets.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use pointsman_demo::client::{Answer, Connection, Request};
use pointsman_demo::harness::{Proxy, ProxyOptions, until};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");

/// Listeners of both kinds, with the lane and without; one node at a Unix socket, asked for by its own name.
pub(crate) const YAML: &str = r#"
listeners:
  - { address: "unix:lane.sock", mode: "0600" }
  - { address: "unix:plain.sock", lane: off }
  - { address: "unix:tls.sock", tls: { certificates: [{ cert: site.pem, key: site.key }] } }
  - { address: "@listen@" }
  - { address: "@listen2@", lane: off }
admin: { address: "@admin@" }
access_log: { path: access.log }
registry: { store: embedded, path: registry }
services:
  app:
    health: { http: /health, interval: 500ms, timeout: 500ms, fall: 2, rise: 1 }
    nodes: [{ id: a, address: "unix:a.sock" }]
routes: [{ match: {}, service: app, host: node }]
"#;

/// The listeners of [`YAML`] that are spoken to in clear.
pub(crate) const LISTENERS: [&str; 2] = ["lane.sock", "plain.sock"];

/// A certificate for `localhost` that signs itself, and its key, PEM.
pub(crate) fn pair() -> (String, String) {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    (pair.cert.pem(), pair.key_pair.serialize_pem())
}

pub(crate) fn options(yaml: &str) -> ProxyOptions {
    let (cert, key) = pair();
    ProxyOptions::new(BINARY, yaml).arguments(&["--threads", "2"]).file("site.pem", cert).file("site.key", key)
}

/// A proxy whose node `a` is up.
pub(crate) async fn stage(yaml: &str) -> (Proxy, Node) {
    let proxy = Proxy::start_unready(options(yaml)).await.expect("it accepts");
    let node = Node::start(&proxy.folder().join("a.sock"));
    proxy.admin.node_is("app", "a", "up").await.expect("up");
    proxy.ready().await.expect("ready");
    (proxy, node)
}

/// A node at a Unix socket. Dropping it ends it as `kill -9` does: the file stays.
pub(crate) struct Node(JoinHandle<()>);

impl Node {
    /// Answers each request with its head, and `x-connection`: the how manieth connection it came on.
    pub(crate) fn start(path: &Path) -> Self {
        Self::accept(path, |stream, number| async move { echo(stream, number).await })
    }

    /// The same over TLS.
    pub(crate) fn secure(path: &Path, cert: &str, key: &str) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a pair");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::accept(path, move |stream, number| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    echo(stream, number).await;
                }
            }
        })
    }

    /// Sends back what comes over WebSockets.
    pub(crate) fn socket(path: &Path) -> Self {
        Self::accept(path, |stream, _| async move {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            while let Some(Ok(message)) = socket.next().await {
                if !message.is_text() || socket.send(message).await.is_err() {
                    return;
                }
            }
        })
    }

    fn accept<F: Future<Output = ()> + Send + 'static>(
        path: &Path,
        serve: impl Fn(UnixStream, usize) -> F + Send + 'static,
    ) -> Self {
        // What another left.
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).expect("bound");
        Self(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            for number in 1.. {
                let (stream, _) = listener.accept().await.expect("accepted");
                connections.spawn(serve(stream, number));
            }
        }))
    }

    /// Returns when its sockets are closed.
    pub(crate) async fn kill(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin, number: usize) {
    let mut seen = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read_buf(&mut seen).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        let head: Vec<u8> = seen.drain(..end).collect();
        let length = head.len();
        let mut reply =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nx-connection: {number}\r\n\r\n").into_bytes();
        reply.extend_from_slice(&head);
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

/// What `Host` says of a client over a Unix socket; nobody looks at it.
pub(crate) fn anywhere() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 80))
}

pub(crate) async fn open(path: impl AsRef<Path>) -> io::Result<Connection<UnixStream>> {
    Ok(Connection::over(UnixStream::connect(path).await?, anywhere()))
}

/// What a GET over a connection of its own is answered.
pub(crate) async fn get(path: impl AsRef<Path>) -> io::Result<Answer> {
    open(path).await?.exchange(&Request::get("/x").header("connection", "close")).await
}

pub(crate) async fn get_by_tcp(to: SocketAddr) -> io::Result<Answer> {
    let mut connection = Connection::over(TcpStream::connect(to).await?, anywhere());
    connection.exchange(&Request::get("/x").header("connection", "close")).await
}

/// The bits of a file's mode.
pub(crate) fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::symlink_metadata(path).expect("there").permissions().mode() & 0o777
}

/// Which file it is.
pub(crate) fn number(path: impl AsRef<Path>) -> u64 {
    std::fs::symlink_metadata(path).expect("there").ino()
}

/// Waits until the access log has a line of which this holds.
pub(crate) async fn logged(proxy: &Proxy, holds: impl Fn(&serde_json::Value) -> bool) {
    let log: PathBuf = proxy.folder().join("access.log");
    let found = until(|| async {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).any(|line| holds(&line)).then_some(())
    });
    found.await.unwrap_or_else(|| panic!("no such line in {:?}", std::fs::read_to_string(&log)));
}

/// The process that serves after an upgrade.
pub(crate) async fn upgrade(folder: &Path) -> u32 {
    let said = tokio::process::Command::new(BINARY)
        .args(["upgrade", "-c", "pointsman.yaml"])
        .current_dir(folder)
        .output()
        .await
        .expect("the command runs");
    let text = String::from_utf8_lossy(&said.stdout);
    let pid = text.split_whitespace().nth(1).and_then(|pid| pid.parse().ok());
    pid.unwrap_or_else(|| panic!("no process is named: {said:?}"))
}
