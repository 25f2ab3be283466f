//! The configuration of a rig, in parts, and its start.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use pointsman_demo::harness::{Proxy, ProxyOptions};
use pointsman_demo::load::Report;

use crate::Terms;
use crate::rig::{Holds, Metrics, Puppet, Rig};

/// A configuration in parts, and how the proxy is started with it.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    listener: String,
    listeners: String,
    top: String,
    access_log: String,
    registry: String,
    services: String,
    routes: String,
    threads: &'static str,
    arguments: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
    environment: Vec<(String, String)>,
    wrapper: Option<PathBuf>,
}

const TEMPLATE: &str = r#"
listeners:
  - { address: "@listen@"%listener% }
%listeners%
admin: { address: "@admin@" }
access_log: %access_log%
registry: { store: embedded, path: %registry% }
%top%
services:
  other:
    nodes: [{ id: other-1, address: "%other%" }]
    timeouts: { connect: 1s, response: 30s, idle: 1s }
%services%
routes:
  - { match: { path: /other }, service: other }
%routes%
"#;

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            listener: String::new(),
            listeners: String::new(),
            top: String::new(),
            access_log: "{ path: access.log }".into(),
            registry: "registry".into(),
            services: String::new(),
            routes: String::new(),
            threads: "2",
            arguments: Vec::new(),
            files: Vec::new(),
            environment: Vec::new(),
            wrapper: None,
        }
    }

    /// A service and the route to it, `/NAME`; `also` are further lines of the service, such as `policy: round-robin`.
    pub(crate) fn service(mut self, name: &str, nodes: &[(&str, std::net::SocketAddr)], also: &str) -> Self {
        let nodes: String = nodes.iter().map(|(id, at)| format!("{{ id: {id}, address: \"{at}\" }}, ")).collect();
        self.services.push_str(&format!("  {name}:\n"));
        if !nodes.is_empty() {
            self.services.push_str(&format!("    nodes: [{nodes}]\n"));
        }
        if !also.contains("timeouts:") {
            self.services.push_str("    timeouts: { connect: 500ms, response: 30s, idle: 1s }\n");
        }
        also.lines().for_each(|line| self.services.push_str(&format!("    {}\n", line.trim_start_matches('|'))));
        self.routes.push_str(&format!("  - {{ match: {{ path: /{name} }}, service: {name} }}\n"));
        self
    }

    /// The service `fault`, whose nodes misbehave.
    pub(crate) fn faulty(self, nodes: &[&Puppet], also: &str) -> Self {
        let nodes: Vec<_> = nodes.iter().map(|node| (node.id.as_str(), node.address)).collect();
        self.service("fault", &nodes, also)
    }

    /// Another route, after those of the services.
    pub(crate) fn route(mut self, yaml: &str) -> Self {
        self.routes.push_str(&format!("  - {yaml}\n"));
        self
    }

    /// Further fields of the first listener.
    pub(crate) fn listener(mut self, also: &str) -> Self {
        self.listener = format!(", {also}");
        self
    }

    /// Another listener; its address is `@listen2@` and so on.
    pub(crate) fn also_listen(mut self, yaml: &str) -> Self {
        self.listeners.push_str(&format!("  - {yaml}\n"));
        self
    }

    /// More at the top of the file.
    pub(crate) fn top(mut self, yaml: &str) -> Self {
        self.top.push_str(yaml);
        self
    }

    /// Workers; two unless said otherwise.
    pub(crate) fn threads(mut self, threads: &'static str) -> Self {
        self.threads = threads;
        self
    }

    pub(crate) fn access_log(mut self, value: &str) -> Self {
        self.access_log = value.into();
        self
    }

    pub(crate) fn registry(mut self, path: &str) -> Self {
        self.registry = path.into();
        self
    }

    pub(crate) fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), content.into()));
        self
    }

    /// A further argument of `run`.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// A script that is started instead of the proxy, and ends by becoming it.
    pub(crate) fn wrapped_by(mut self, script: PathBuf) -> Self {
        self.wrapper = Some(script);
        self
    }

    fn yaml(&self, other: &Puppet) -> String {
        TEMPLATE
            .replace("%listener%", &self.listener)
            .replace("%listeners%", self.listeners.trim_end())
            .replace("%access_log%", &self.access_log)
            .replace("%registry%", &self.registry)
            .replace("%top%", &self.top)
            .replace("%other%", &other.address.to_string())
            .replace("%services%", self.services.trim_end())
            .replace("%routes%", self.routes.trim_end())
    }

    /// Starts the proxy, lets some load run on the other route, waits until it is quiet, and notes what it holds. The load
    /// on the other route goes on from then until [`Rig::judge`].
    pub(crate) async fn start(self, terms: &Terms) -> Result<Rig, String> {
        let mut rig = self.start_idle(terms).await?;
        rig.begin().await?;
        Ok(rig)
    }

    /// As [`Setup::start`], before any load: for rows that have something to do before [`Rig::begin`].
    pub(crate) async fn start_idle(self, terms: &Terms) -> Result<Rig, String> {
        let other = Puppet::start("other-1").await?;
        let yaml = self.yaml(&other);
        let binary = self.wrapper.clone().unwrap_or_else(|| terms.pointsman.clone());
        let mut options = ProxyOptions::new(binary, &yaml).arguments(&["--threads", self.threads]);
        options.arguments.extend(self.arguments);
        options.files = self.files;
        options.environment = self.environment;
        let proxy = Proxy::start_with(options).await.map_err(|problem| problem.to_string())?;
        let run = format!("{:x}", std::process::id());
        Ok(Rig {
            proxy,
            yaml,
            other,
            load: None,
            quiet: Report::default(),
            kinds: std::collections::BTreeMap::new(),
            before: Holds { rss_kib: 0.0, descriptors: 0, ticks: 0 },
            metrics: Metrics::default(),
            logged: 0,
            run,
            number: AtomicU64::new(0),
            acknowledged: Mutex::default(),
        })
    }
}
