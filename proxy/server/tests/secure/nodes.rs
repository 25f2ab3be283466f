//! TLS to nodes: whom they must be, and who the proxy says it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pointsman_demo::client::Request;
use pointsman_demo::harness::{Proxy, ProxyOptions};
use pointsman_demo::node::{self, NodeHandle, NodeOptions};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::stage::{Authority, BINARY, Pair};

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
access_log: off
registry: { store: embedded, path: registry }
services:
  api:
    tls: { @tls@ }
    health: { http: /health, interval: 100ms, timeout: 100ms, fall: 1, rise: 1 }
    timeouts: { connect: 2s }
    nodes: [{ id: n1, address: "@node@" }]
routes:
  - { match: {}, service: api }
"#;

/// A node behind TLS.
struct Secured {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _node: NodeHandle,
}

impl Secured {
    /// Shows `pair`; with `clients`, asks for a certificate that this authority signed.
    async fn start(pair: &Pair, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM"))
                    .expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let chain = CertificateDer::pem_slice_iter(pair.cert.as_bytes()).collect::<Result<Vec<_>, _>>().expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
        let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).expect("a pair")));
        let node = node::start(NodeOptions::new("n1")).expect("a node");
        let (listener, behind) = (TcpListener::bind("127.0.0.1:0").await.expect("a port"), node.addr);
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counter) = (acceptor.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    counter.fetch_add(1, Ordering::Relaxed);
                    let mut node = TcpStream::connect(behind).await.expect("the node");
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut node).await;
                });
            }
        });
        Self { address, connections, _node: node }
    }

    async fn proxy(&self, tls: &str, files: &[(&str, &str)]) -> Proxy {
        let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@node@", &self.address.to_string());
        let mut options = ProxyOptions::new(BINARY, &yaml.replace("@tls@", tls)).arguments(&["--threads", "2"]);
        for (name, content) in files {
            options = options.file(name, *content);
        }
        Proxy::start_with(options).await.expect("a proxy that serves")
    }
}

#[tokio::test]
async fn a_node_that_its_authority_vouches_for_is_served_and_checked() {
    let authority = Authority::new();
    let node = Secured::start(&authority.issue(&["nodes.internal"]), None).await;
    let proxy = node.proxy("ca: ca.pem, server_name: nodes.internal", &[("ca.pem", &authority.pem())]).await;
    proxy.admin.node_is("api", "n1", "up").await.expect("its check passes over TLS");
    for size in [0_usize, 100_000] {
        let request = Request::new("POST", "/echo").body("x".repeat(size));
        let answer = request.send(proxy.addr()).await.expect("answered");
        assert_eq!((answer.status, answer.json().expect("JSON")["body_bytes"].as_u64()), (200, Some(size as u64)));
    }
}

#[tokio::test]
async fn a_node_is_known_by_its_address_where_no_name_is_given() {
    let authority = Authority::new();
    let node = Secured::start(&authority.issue(&["127.0.0.1"]), None).await;
    let proxy = node.proxy("ca: ca.pem", &[("ca.pem", &authority.pem())]).await;
    proxy.admin.node_is("api", "n1", "up").await.expect("its check passes");
    assert_eq!(Request::get("/echo").send(proxy.addr()).await.expect("answered").status, 200);
}

#[tokio::test]
async fn a_stranger_gets_no_request() {
    let authority = Authority::new();
    for pair in [Authority::new().issue(&["nodes.internal"]), authority.issue(&["other.internal"])] {
        let node = Secured::start(&pair, None).await;
        let files = [("ca.pem", &*authority.pem())];
        let proxy = node.proxy("ca: ca.pem, server_name: nodes.internal", &files).await;
        proxy.admin.node_is("api", "n1", "down").await.expect("its check fails");
        let checked = proxy.config();
        // Without a check the requests themselves find out.
        let text = std::fs::read_to_string(&checked).expect("readable");
        let unchecked: Vec<&str> = text.lines().filter(|line| !line.contains("health:")).collect();
        proxy.write_config(&unchecked.join("\n")).expect("written");
        proxy.admin.node_is("api", "n1", "up").await.expect("nobody looks");
        let answer = Request::get("/echo").send(proxy.addr()).await.expect("answered");
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert_eq!(answer.json().expect("JSON")["reason"], "connect");
    }
}

#[tokio::test]
async fn the_proxy_shows_who_it_is_to_nodes_that_ask() {
    let (authority, proxies) = (Authority::new(), Authority::new());
    let node = Secured::start(&authority.issue(&["nodes.internal"]), Some(&proxies)).await;
    let own = proxies.client("proxy-1");
    let files = [("ca.pem", &*authority.pem()), ("own.pem", &own.cert), ("own.key", &own.key)];
    let tls = "ca: ca.pem, server_name: nodes.internal, cert: own.pem, key: own.key";
    let proxy = node.proxy(tls, &files).await;
    proxy.admin.node_is("api", "n1", "up").await.expect("its check passes");
    let before = node.connections.load(Ordering::Relaxed);
    assert_eq!(Request::get("/echo").send(proxy.addr()).await.expect("answered").status, 200);
    assert!(node.connections.load(Ordering::Relaxed) > before);
    let nameless = node.proxy("ca: ca.pem, server_name: nodes.internal", &files).await;
    nameless.admin.node_is("api", "n1", "down").await.expect("nobody is let in without one");
}
