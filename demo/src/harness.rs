//! Starts the real proxy for end-to-end tests: its binary, a configuration in a folder of its own, free ports, and an
//! end when the test ends.
//!
//! The configuration may hold `@listen@`, `@listen2@`, … and `@admin@` where addresses stand. At the first start each is
//! `127.0.0.1:0`; [`Proxy::restart`] puts the addresses that the system gave there, so a proxy comes back where it was.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

mod admin;
mod heir;
mod wait;

pub use admin::Admin;
use heir::Heir;
pub use wait::{PATIENCE, until};

/// How the proxy is started.
#[derive(Debug, Clone)]
pub struct ProxyOptions {
    /// The `pointsman` binary: `env!("CARGO_BIN_EXE_pointsman")` in its own tests.
    pub binary: PathBuf,
    /// The configuration, with the marks that the module describes.
    pub yaml: String,
    /// Further arguments of `run`, such as `--threads 1`.
    pub arguments: Vec<String>,
    /// Environment variables to set.
    pub environment: Vec<(String, String)>,
    /// Files to write beside the configuration before the start: name and content.
    pub files: Vec<(String, Vec<u8>)>,
}

impl ProxyOptions {
    /// That binary with that configuration, nothing else.
    pub fn new(binary: impl Into<PathBuf>, yaml: &str) -> Self {
        Self {
            binary: binary.into(),
            yaml: yaml.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Adds arguments of `run`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Adds a file beside the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), content.into()));
        self
    }
}

/// A running proxy. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct Proxy {
    /// Where on the network it accepts requests, in the order of the configuration.
    pub listeners: Vec<SocketAddr>,
    /// Its admin API.
    pub admin: Admin,
    options: ProxyOptions,
    folder: TempDir,
    child: Child,
    /// Processes that took over from it, the newest last.
    heirs: Vec<Heir>,
    output: Output,
}

/// What the proxy writes once everything accepts, to the file named by `--ports-file`.
#[derive(Debug, Clone, Deserialize)]
struct Ports {
    listeners: Vec<String>,
    admin: Option<SocketAddr>,
}

impl Ports {
    fn on_the_network(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|address| address.parse().ok()).collect()
    }
}

/// What it said so far, both streams, line by line.
#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<Vec<String>>>);

impl Proxy {
    /// Starts that binary with that configuration and waits until `/readyz` is 200.
    ///
    /// # Errors
    /// It ended, or was not ready within [`PATIENCE`]; the message holds what it said.
    pub async fn start(binary: impl Into<PathBuf>, yaml: &str) -> io::Result<Self> {
        Self::start_with(ProxyOptions::new(binary, yaml)).await
    }

    /// As [`Proxy::start`], with every option.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub async fn start_with(options: ProxyOptions) -> io::Result<Self> {
        let proxy = Self::start_unready(options).await?;
        proxy.ready().await?;
        Ok(proxy)
    }

    /// As [`Proxy::start_with`], but waits only until it accepts: for tests of what stands before the first checks.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub async fn start_unready(options: ProxyOptions) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pointsman-").tempdir()?;
        for (name, content) in &options.files {
            std::fs::write(folder.path().join(name), content)?;
        }
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        write_config(folder.path(), &options.yaml, &[], nowhere)?;
        let output = Output::default();
        let (child, listeners, admin) = launch(&options, folder.path(), &output).await?;
        Ok(Self { listeners, admin, options, folder, child, heirs: Vec::new(), output })
    }

    /// The first listener.
    pub fn addr(&self) -> SocketAddr {
        self.listeners[0]
    }

    /// Process id of the one that serves.
    pub fn pid(&self) -> Option<u32> {
        self.heirs.last().map_or_else(|| self.child.id(), |heir| Some(heir.pid))
    }

    /// Takes note that this process serves now (`pointsman upgrade` says so): signals are for it from now on, and it ends
    /// with this value. The file of ports must have been written anew.
    ///
    /// # Errors
    /// There is no such process, or the file cannot be read.
    pub fn upgraded(&mut self, pid: u32) -> io::Result<()> {
        self.heirs.push(Heir::new(pid)?);
        let ports: Ports = serde_json::from_slice(&std::fs::read(self.folder().join(PORTS))?)?;
        self.listeners = ports.on_the_network();
        self.admin = ports.admin.map_or_else(|| self.admin.clone(), Admin::new);
        Ok(())
    }

    /// Waits until the newest process that took over has ended.
    ///
    /// # Errors
    /// Not within [`PATIENCE`], or there is none.
    pub async fn heir_ended(&self) -> io::Result<()> {
        let heir = self.heirs.last().ok_or_else(|| io::Error::other("no process has taken over"))?;
        let ended = until(|| async { heir.has_ended().then_some(()) });
        ended.await.ok_or_else(|| failure("the new process did not end", &self.output))
    }

    /// The `pointsman` command with these arguments, in the proxy's folder.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn command(&self, arguments: &[&str]) -> io::Result<std::process::Output> {
        Command::new(&self.options.binary).args(arguments).current_dir(self.folder()).output().await
    }

    /// The folder that holds the configuration and what lies beside it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder().join(CONFIG)
    }

    /// What it said so far on both streams.
    pub fn said(&self) -> String {
        self.output.text()
    }

    /// Waits until it has said `text`, since its first start.
    ///
    /// # Errors
    /// Not within [`PATIENCE`]; the message holds what it said.
    pub async fn has_said(&self, text: &str) -> io::Result<()> {
        until(|| async { self.said().contains(text).then_some(()) })
            .await
            .ok_or_else(|| failure(&format!("`{text}` was not said"), &self.output))
    }

    /// Waits until `/readyz` is 200.
    ///
    /// # Errors
    /// Not within [`PATIENCE`]; the message holds what it said.
    pub async fn ready(&self) -> io::Result<()> {
        self.admin.ready().await.map_err(|problem| failure(&problem.to_string(), &self.output))
    }

    /// Replaces the configuration the way an editor does (written aside, then renamed); marks stand for the addresses in
    /// use. The proxy notices by itself.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_config(&self, yaml: &str) -> io::Result<()> {
        write_config(self.folder(), yaml, &self.listeners, self.admin.address())
    }

    /// Sends a signal, such as `libc::SIGHUP`.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        if let Some(heir) = self.heirs.last() {
            return heir.signal(signal);
        }
        let pid = self.child.id().and_then(|pid| libc::pid_t::try_from(pid).ok());
        let pid = pid.ok_or_else(|| io::Error::other("the proxy has ended"))?;
        #[expect(unsafe_code, reason = "the standard library sends no signal but SIGKILL")]
        // SAFETY: kill(2) takes two integers and touches no memory of ours. The pid is that of a child which was not
        // reaped yet (`Child::id` is `None` afterwards), so it cannot be another process.
        let sent = unsafe { libc::kill(pid, signal) };
        if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits for the end of the process that was started first and answers its exit code; `None` if a signal ended it.
    ///
    /// # Errors
    /// Not within [`PATIENCE`].
    pub async fn ended(&mut self) -> io::Result<Option<i32>> {
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => Ok(status?.code()),
            Err(_) => Err(failure("the proxy did not end", &self.output)),
        }
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Starts it again after it ended, in the same folder and, where the configuration has marks, on the same addresses.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub async fn restart(&mut self) -> io::Result<()> {
        write_config(self.folder(), &self.options.yaml, &self.listeners, self.admin.address())?;
        (self.child, self.listeners, self.admin) = launch(&self.options, self.folder.path(), &self.output).await?;
        self.ready().await
    }
}

const CONFIG: &str = "pointsman.yaml";
const PORTS: &str = "ports.json";

async fn launch(options: &ProxyOptions, folder: &Path, output: &Output) -> io::Result<(Child, Vec<SocketAddr>, Admin)> {
    let ports_file = folder.join(PORTS);
    let _ = std::fs::remove_file(&ports_file);
    let mut child = Command::new(&options.binary)
        .arg("run")
        .arg("-c")
        .arg(folder.join(CONFIG))
        .arg("--ports-file")
        .arg(&ports_file)
        .args(&options.arguments)
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|problem| io::Error::new(problem.kind(), format!("{}: {problem}", options.binary.display())))?;
    output.collect(child.stdout.take());
    output.collect(child.stderr.take());
    let ports = until(|| {
        let found: Option<Ports> = std::fs::read(&ports_file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let ended = child.try_wait().ok().flatten();
        async move {
            match (found, ended) {
                (Some(ports), _) => Some(Ok(ports)),
                (None, Some(status)) => Some(Err(format!("the proxy ended with {status}"))),
                (None, None) => None,
            }
        }
    });
    match ports.await {
        Some(Ok(ports @ Ports { admin: Some(admin), .. })) => Ok((child, ports.on_the_network(), Admin::new(admin))),
        Some(Ok(_)) => Err(failure("the configuration opens no admin API, which the harness needs", output)),
        Some(Err(why)) => Err(output.complete_failure(&why).await),
        None => Err(failure("the proxy did not come up", output)),
    }
}

fn write_config(folder: &Path, yaml: &str, listeners: &[SocketAddr], admin: SocketAddr) -> io::Result<()> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut text = yaml.replace("@admin@", &admin.to_string());
    for index in 0..yaml.matches("@listen").count() {
        let mark = if index == 0 { "@listen@".to_owned() } else { format!("@listen{}@", index + 1) };
        text = text.replace(&mark, &listeners.get(index).unwrap_or(&nowhere).to_string());
    }
    let aside = folder.join("pointsman.yaml.new");
    std::fs::write(&aside, text)?;
    std::fs::rename(aside, folder.join(CONFIG))
}

impl Output {
    fn collect(&self, stream: Option<impl AsyncRead + Unpin + Send + 'static>) {
        let (Some(stream), lines) = (stream, self.0.clone()) else { return };
        tokio::spawn(async move {
            let mut read = BufReader::new(stream).lines();
            while let Ok(Some(line)) = read.next_line().await {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// The process has ended, so both streams end too: waits until the readers have let go of the lines.
    async fn complete_failure(&self, why: &str) -> io::Error {
        let _ = tokio::time::timeout(
            Duration::from_secs(1),
            until(|| async { (Arc::strong_count(&self.0) == 1).then_some(()) }),
        )
        .await;
        failure(why, self)
    }
}

fn failure(why: &str, output: &Output) -> io::Error {
    io::Error::other(format!("{why}; it said:\n{}", output.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_addresses() {
        let folder = tempfile::tempdir().expect("a folder");
        let admin = SocketAddr::from(([127, 0, 0, 1], 99));
        let listeners = [SocketAddr::from(([127, 0, 0, 1], 81))];
        write_config(folder.path(), "@listen@ @listen2@ @admin@", &listeners, admin).expect("written");
        let text = std::fs::read_to_string(folder.path().join(CONFIG)).expect("there");
        assert_eq!(text, "127.0.0.1:81 127.0.0.1:0 127.0.0.1:99");
    }

    #[tokio::test]
    async fn a_proxy_that_ends_at_once_is_reported_with_its_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("proxy");
        std::fs::write(&script, "#!/bin/sh\necho no such policy >&2\nexit 3\n").expect("written");
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("made executable");
        let problem = Proxy::start(&script, "").await.expect_err("it ended").to_string();
        assert!(problem.contains("no such policy") && problem.contains("exit status: 3"), "{problem}");
    }
}
