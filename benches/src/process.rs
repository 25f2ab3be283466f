//! Programs that say where they listen, and ports that nobody's connection takes while they are dead.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts a program and waits for its first line, which it says once it listens.
///
/// # Errors
/// It cannot be started, or it ended before it said so.
pub fn launch<A: AsRef<OsStr>>(binary: &Path, arguments: &[A], stdin: Stdio) -> Result<Child, String> {
    let problem = |problem: std::io::Error| format!("{}: {problem}", binary.display());
    let mut child = Command::new(binary)
        .args(arguments)
        .stdin(stdin)
        .stdout(Stdio::piped())
        // It tells there of each lease that it had to join for again, as each killed node does.
        .stderr(Stdio::null())
        .spawn()
        .map_err(problem)?;
    let mut said = String::new();
    if let Some(stdout) = &mut child.stdout {
        BufReader::new(stdout).read_line(&mut said).map_err(problem)?;
    }
    if said.contains("listening on") {
        return Ok(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
    Err(format!("{} {}: it ended before it listened", binary.display(), arguments.join(" ")))
}

/// A free loopback port below those that Linux gives to clients (32768 and up, `ip_local_port_range`): while the node is
/// dead, nobody's connection may take its port. Twelve nodes of four ports each; the process id keeps two runs apart.
///
/// # Errors
/// The four ports of that number are taken.
pub fn address(number: u64) -> Result<SocketAddr, String> {
    let first = 20_000 + (std::process::id() % 260) * 48 + u32::try_from(number).unwrap_or(0) * 4;
    (first..first + 4)
        .filter_map(|port| u16::try_from(port).ok())
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .ok_or_else(|| format!("ports {first} to {} are taken", first + 3))
}

/// Sends a signal to a child that nobody has waited for.
///
/// # Errors
/// That of the system.
pub fn signal(child: &Child, signal: i32) -> Result<(), String> {
    let pid = libc::pid_t::try_from(child.id()).map_err(|_| "no such process")?;
    #[expect(unsafe_code, reason = "the standard library sends no signal but SIGKILL")]
    // SAFETY: kill(2) takes two integers and touches no memory of ours. The pid is that of a child that nobody has waited
    // for, so it cannot be another process.
    let sent = unsafe { libc::kill(pid, signal) };
    if sent == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
}
