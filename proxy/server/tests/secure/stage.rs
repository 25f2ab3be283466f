//! What every test sets up: an authority, certificates, a proxy that shows them, and a node behind it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use pointsman_demo::client::Connection;
use pointsman_demo::harness::{Proxy, ProxyOptions};
use pointsman_demo::node::{self, NodeHandle, NodeOptions};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");

/// One TLS listener, one node. `@tls@` stands for what a test says of TLS.
const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@, tls: { @tls@ } }]
admin: { address: "@admin@" }
access_log: { path: access.log }
registry: { store: embedded, path: registry }
services:
  api:
    nodes: [{ id: n1, address: "@node@" }]
  known:
    policy: consistent-hash
    key: { tls_subject: true, otherwise: { missing: refuse } }
    nodes: [{ id: n1, address: "@node@" }]
routes:
  - { match: { path: /known }, service: known, rewrite: { path: /echo } }
  - { match: {}, service: api }
"#;

/// What most tests say of TLS.
pub(crate) const SITE: &str = "certificates: [{ cert: site.pem, key: site.key }]";

/// Who signs certificates.
pub(crate) struct Authority {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().expect("a key");
        Self { certificate: params.self_signed(&key).expect("a certificate"), key }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for these hosts.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_with(&self, names: &[&str], adjust: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        adjust(&mut params);
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.certificate, &self.key).expect("a certificate");
        Pair { cert: made.pem(), key: key.serialize_pem() }
    }

    /// A certificate for a client of that name.
    pub(crate) fn client(&self, name: &str) -> Pair {
        self.issue_with(&[], |params| {
            params.distinguished_name.push(DnType::OrganizationName, "Acme");
            params.distinguished_name.push(DnType::CommonName, name);
        })
    }
}

/// A TLS client of this authority's.
pub(crate) struct Client {
    config: ClientConfig,
}

impl Client {
    pub(crate) fn new(authority: &Authority) -> Self {
        Self::speaking(authority, rustls::ALL_VERSIONS, None)
    }

    /// With the versions that it speaks and the certificate that it has.
    pub(crate) fn speaking(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Pair>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                use rustls::pki_types::pem::PemObject;
                let chain = rustls::pki_types::CertificateDer::pem_slice_iter(pair.cert.as_bytes());
                let chain = chain.collect::<Result<Vec<_>, _>>().expect("a chain");
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        Self { config }
    }

    /// Offering these protocols.
    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Shakes hands, asking for `host`.
    pub(crate) async fn shake(&self, to: SocketAddr, host: &str) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let host = ServerName::try_from(host.to_owned()).expect("a host");
        TlsConnector::from(Arc::new(self.config.clone())).connect(host, stream).await
    }

    pub(crate) async fn connect(&self, to: SocketAddr, host: &str) -> io::Result<Connection<TlsStream<TcpStream>>> {
        Ok(Connection::over(self.shake(to, host).await?, to))
    }
}

/// A proxy behind TLS, and the node behind it.
pub(crate) struct Stage {
    pub(crate) proxy: Proxy,
    pub(crate) node: NodeHandle,
    yaml: String,
}

impl Stage {
    /// `tls`: what stands in the mapping; `files`: what lies beside the configuration.
    pub(crate) async fn new(tls: &str, files: &[(&str, &str)]) -> Self {
        let node = node::start(NodeOptions::new("n1")).expect("a node");
        let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@node@", &node.addr.to_string());
        let mut options = ProxyOptions::new(BINARY, &yaml.replace("@tls@", tls)).arguments(&["--threads", "2"]);
        for (name, content) in files {
            options = options.file(name, *content);
        }
        let proxy = Proxy::start_with(options).await.expect("a proxy that serves");
        Self { proxy, node, yaml }
    }

    /// With one certificate for `site.example`.
    pub(crate) async fn site(authority: &Authority) -> Self {
        let pair = authority.issue(&["site.example"]);
        Self::new(SITE, &[("site.pem", &pair.cert), ("site.key", &pair.key)]).await
    }

    /// The configuration with something else said of TLS.
    pub(crate) fn yaml(&self, tls: &str) -> String {
        self.yaml.replace("@tls@", tls)
    }

    /// Puts files beside the configuration, each aside and then renamed, as those who renew certificates do.
    pub(crate) fn write(&self, files: &[(&str, &str)]) {
        for (name, content) in files {
            let aside = self.proxy.folder().join(format!("{name}.new"));
            std::fs::write(&aside, content).expect("written");
            std::fs::rename(aside, self.proxy.folder().join(name)).expect("renamed");
        }
    }

    /// Waits for a line of the metrics.
    pub(crate) async fn counted(&self, line: &str) {
        let found = self.proxy.admin.answers("/metrics", |answer| answer.text().lines().any(|l| l == line)).await;
        found.unwrap_or_else(|_| panic!("`{line}` never stood in the metrics"));
    }

    /// Waits for the line of the access log that holds `text`.
    pub(crate) async fn logged(&self, text: &str) -> serde_json::Value {
        let log = self.proxy.folder().join("access.log");
        let line = pointsman_demo::harness::until(|| async {
            let all = std::fs::read_to_string(&log).ok()?;
            all.lines().find(|line| line.contains(text)).map(str::to_owned)
        });
        serde_json::from_str(&line.await.expect("a line")).expect("JSON")
    }
}
