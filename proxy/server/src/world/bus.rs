//! What happened, for operators: one bounded broadcast that `/v1/events` and the log read.

use serde::Serialize;
use tokio::sync::broadcast;

/// Something an operator wants to know of.
#[derive(Debug, Clone, Serialize)]
pub struct Notice {
    /// Counts up from 1 within a process.
    pub seq: u64,
    /// Milliseconds since 1970, for people; nothing decides by it.
    pub at_ms: u64,
    /// What happened, e.g. `node-joined`, `node-up`, `node-down`, `node-left`, `lease-lost`, `node-draining`, `node-drained`,
    /// `reloaded`, `reload-refused`, `policy-quarantined`, `policy-swapped`, `certificate-renewed`,
    /// `certificate-refused`.
    pub kind: &'static str,
    /// The service it concerns, or empty.
    pub service: String,
    /// The node it concerns, or empty.
    pub node: String,
    /// One sentence.
    pub message: String,
    /// Of the primary that it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// What made or unmade that primary, for programs: `elected`, `resumed`, `gone`, `drained`, `down`, `reborn`,
    /// `abolished`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

/// Sends notices. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Bus {
    sender: broadcast::Sender<Notice>,
    /// Hears everything, for whoever comes first.
    first: std::sync::Arc<parking_lot::Mutex<Option<broadcast::Receiver<Notice>>>>,
    seq: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Default for Bus {
    fn default() -> Self {
        // 1,024 notices: a burst of 1,000 joins a second reaches a reader that looks once a second.
        let (sender, first) = broadcast::channel(1024);
        Self { sender, first: std::sync::Arc::new(Some(first).into()), seq: std::sync::Arc::default() }
    }
}

impl Bus {
    /// Tells whoever listens, and the log.
    pub fn tell(&self, kind: &'static str, service: &str, node: &str, message: impl Into<String>) {
        self.send(kind, service, node, message.into(), None);
    }

    /// Tells of a primary: its epoch, and what made or unmade it.
    pub fn tell_of_primary(
        &self,
        kind: &'static str,
        service: &str,
        node: &str,
        office: (u64, &'static str),
        message: impl Into<String>,
    ) {
        self.send(kind, service, node, message.into(), Some(office));
    }

    fn send(
        &self,
        kind: &'static str,
        service: &str,
        node: &str,
        message: String,
        office: Option<(u64, &'static str)>,
    ) {
        log::info!(target: "pointsman::events", "{kind} service={service} node={node} {message}");
        let at_ms = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        let seq = self.seq.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        let (epoch, why) = office.unzip();
        let (service, node) = (service.into(), node.into());
        // An error means that nobody listens.
        let _ = self.sender.send(Notice { seq, at_ms, kind, service, node, message, epoch, why });
    }

    /// Listens from the first notice on, once; whoever comes later listens from now on.
    pub fn listen_from_the_start(&self) -> broadcast::Receiver<Notice> {
        self.first.lock().take().unwrap_or_else(|| self.listen())
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.sender.subscribe()
    }
}
