//! Where operators ask for an upgrade: a socket in the registry's folder, for those alone who could start the proxy's
//! process themselves. Not the admin API: whoever may name a program to run may do anything.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Name of the socket in the registry's folder.
const NAME: &str = "upgrade.sock";

/// A request is a line, no longer than a path or two.
const LONGEST: u64 = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The program to start; absent: the one that this process was started as.
    pub binary: Option<PathBuf>,
    /// Its worker threads; absent: as many as this process was told.
    pub threads: Option<u16>,
    /// Seconds that it may take until it serves; absent: 60.
    pub timeout: Option<u64>,
}

/// A request, and who asks.
#[derive(Debug)]
pub(super) struct Asked {
    /// As the audit names it.
    pub(super) by: String,
    pub(super) request: Request,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// The new process serves.
    Upgraded {
        /// Its id.
        pid: u32,
        /// Id of the process before it.
        before: u32,
        /// Seconds until that has ended, at most.
        grace: u64,
    },
    /// The one before serves on.
    Refused {
        /// Why, in whole sentences.
        why: String,
    },
}

/// The place of the socket, under a name that is short however long the folder's is (unix(7): 108 bytes).
fn place(folder: &Path) -> io::Result<(File, PathBuf)> {
    let folder = File::open(folder)?;
    let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(NAME);
    Ok((folder, path))
}

/// Listens; whoever listened before does no longer.
pub(super) fn listen(folder: &Path) -> io::Result<net::UnixListener> {
    let (_folder, path) = place(folder)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = net::UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The next request, from somebody who may ask.
pub(super) async fn next(socket: &UnixListener) -> io::Result<(UnixStream, Asked)> {
    // Not of `/proc/self`: that is root's where a process has become somebody else.
    let own = UnixStream::pair()?.0.peer_cred()?.uid();
    loop {
        let (stream, _) = socket.accept().await?;
        let from = stream.peer_cred()?.uid();
        if from != own && from != 0 {
            log::warn!("user {from} asks for an upgrade and is not listened to");
            continue;
        }
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut bounded = (&mut stream).take(LONGEST);
        let read = tokio::time::timeout(PATIENCE, bounded.read_line(&mut line)).await;
        match read.map(|_| serde_json::from_str(&line)) {
            Ok(Ok(request)) => return Ok((stream.into_inner(), Asked { by: format!("user {from}"), request })),
            Ok(Err(error)) => log::warn!("an upgrade is asked for in words that mean nothing: {error}"),
            Err(_) => log::warn!("an upgrade is asked for too slowly"),
        }
    }
}

/// Tells whoever asked.
pub(super) async fn answer(mut stream: UnixStream, outcome: &Outcome) {
    let line = serde_json::to_string(outcome).unwrap_or_default() + "\n";
    if let Err(error) = stream.write_all(line.as_bytes()).await {
        log::warn!("whoever asked for the upgrade has not waited for its end: {error}");
    }
}

/// Asks the proxy whose registry this is, and waits for the outcome.
pub async fn ask(folder: &Path, request: &Request) -> io::Result<Outcome> {
    let (_folder, path) = place(folder)?;
    let mut stream = BufReader::new(UnixStream::connect(path).await?);
    let line = serde_json::to_string(request)? + "\n";
    stream.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    if answer.is_empty() {
        return Err(io::Error::other("the proxy has ended, or does not listen to this user"));
    }
    Ok(serde_json::from_str(&answer)?)
}
