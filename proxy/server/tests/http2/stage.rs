//! What every test sets up: a proxy, and clients that speak HTTP/2 or bytes.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response};
use pointsman_demo::harness::{Proxy, ProxyOptions};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");

/// Two listeners, one with the express lane and one without; `@also@` is what a test says of both.
const TEMPLATE: &str = r#"
listeners:
  - { address: "@listen@", lane: on, @also@ }
  - { address: "@listen2@", lane: off, @also@ }
admin: { address: "@admin@" }
access_log: { path: access.log }
registry: { store: embedded, path: registry }
services:
  api:
    nodes: [{ id: n1, address: "@node@" }]
    @service@
routes:
  - { match: {}, service: api }
"#;

/// A proxy in front of that node.
pub(crate) async fn proxy(node: SocketAddr, also: &str, service: &str) -> Proxy {
    proxy_with(node, also, service, &[]).await
}

/// A proxy with files beside its configuration.
pub(crate) async fn proxy_with(node: SocketAddr, also: &str, service: &str, files: &[(&str, &str)]) -> Proxy {
    let yaml = TEMPLATE.replace("@also@", also).replace("@service@", service).replace("@node@", &node.to_string());
    let mut options = ProxyOptions::new(BINARY, &yaml).arguments(&["--threads", "2"]);
    for (name, content) in files {
        options = options.file(name, *content);
    }
    Proxy::start_with(options).await.expect("a proxy that serves")
}

/// Waits for a line of the metrics.
pub(crate) async fn counted(proxy: &Proxy, line: &str) {
    let found = proxy.admin.answers("/metrics", |answer| answer.text().lines().any(|l| l == line)).await;
    found.unwrap_or_else(|_| panic!("`{line}` never stood in the metrics"));
}

/// An HTTP/2 client over a stream.
pub(crate) struct Client(SendRequest<Bytes>);

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Client {
    /// With prior knowledge, in clear.
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("connected")).await
    }

    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (requests, connection) = h2::client::handshake(stream).await.expect("spoken");
        tokio::spawn(connection);
        Self(requests)
    }

    /// Sends a request with a body in pieces, then trailers, and reads the answer.
    pub(crate) async fn send(
        &self,
        request: Request<()>,
        body: &[&[u8]],
        trailers: Option<HeaderMap>,
    ) -> Result<Answer, h2::Error> {
        let mut ready = self.0.clone().ready().await?;
        let bodiless = body.is_empty() && trailers.is_none();
        let (response, mut stream) = ready.send_request(request, bodiless)?;
        for (index, piece) in body.iter().enumerate() {
            stream.send_data(Bytes::copy_from_slice(piece), trailers.is_none() && index + 1 == body.len())?;
        }
        if let Some(trailers) = trailers {
            stream.send_trailers(trailers)?;
        }
        let (head, mut incoming) = response.await?.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = incoming.data().await {
            let piece = piece?;
            incoming.flow_control().release_capacity(piece.len())?;
            body.extend_from_slice(&piece);
        }
        let trailers = incoming.trailers().await?;
        Ok(Answer { head: Response::from_parts(head, ()), body, trailers })
    }

    /// Sends the head of a request whose body comes later.
    pub(crate) async fn begin(&self, request: Request<()>) -> (ResponseFuture, SendStream<Bytes>) {
        let mut ready = self.0.clone().ready().await.expect("ready");
        ready.send_request(request, false).expect("sent")
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, h2::Error> {
        self.send(get(path), &[], None).await
    }
}

/// A request for `site.example`.
pub(crate) fn get(path: &str) -> Request<()> {
    Request::get(format!("http://site.example{path}")).body(()).expect("a request")
}

pub(crate) fn post(path: &str) -> Request<()> {
    Request::post(format!("http://site.example{path}")).body(()).expect("a request")
}
