//! Proxies and nodes that accept.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::contender::{Entrant, Programs};
use crate::process::Process;
use crate::setup::{self, Stage};

/// A proxy or node that accepts.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
    /// Where it writes a line for each request, if it does.
    pub(crate) access_log: Option<PathBuf>,
    /// The certificate that clients believe, if they speak TLS.
    pub(crate) ca: Option<PathBuf>,
}

/// Starts a proxy and waits until it accepts. `folder`: where it gets a folder of its own.
pub(crate) fn start_proxy(
    entrant: Entrant,
    stage: &Stage<'_>,
    programs: &Programs,
    folder: &Path,
) -> Result<Running, String> {
    let dir = folder.join(format!("{entrant}-{}", stage.scenario));
    fs::create_dir_all(&dir).map_err(|problem| problem.to_string())?;
    let listen = free_address()?;
    let mut setup = setup::prepare(entrant, stage, listen, &dir, programs)?;
    let mut running = accepting(entrant.to_string(), &mut setup.command, listen, &setup.says)?;
    running.access_log = stage.access_log.then_some(setup.access_log);
    running.ca = setup.ca;
    Ok(running)
}

/// Starts the nodes behind the proxies.
pub(crate) fn start_nodes(tools: &Path, count: usize, folder: &Path) -> Result<Vec<Running>, String> {
    (1..=count)
        .map(|number| {
            let (name, listen) = (format!("node-{number}"), free_address()?);
            let mut command = Command::new(tools.join("demo-node"));
            command.args(["--bare", "--id", &name, "--listen", &listen.to_string()]);
            let says = folder.join(format!("{name}.log"));
            accepting(name, &mut command, listen, &says)
        })
        .collect()
}

fn accepting(name: String, command: &mut Command, address: SocketAddr, says: &Path) -> Result<Running, String> {
    let mut process = Process::start(command, says)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).is_err() {
        if process.has_ended() || Instant::now() > deadline {
            let said = fs::read_to_string(says).unwrap_or_default();
            return Err(format!("{name} does not accept on {address}; it said:\n{said}"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(Running { name, address, process, access_log: None, ca: None })
}

/// nginx and HAProxy cannot tell which port the system gave them, so one is looked for first.
fn free_address() -> Result<SocketAddr, String> {
    let held = TcpListener::bind("127.0.0.1:0").map_err(|problem| problem.to_string())?;
    held.local_addr().map_err(|problem| problem.to_string())
}
