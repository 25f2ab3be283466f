//! How each proxy is set up for the same work: one worker, kept connections, a line in a log for each request or for none.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contender::{Contender, Entrant, Programs};
use crate::scenario::Scenario;

mod envoy;
mod haproxy;
mod nginx;
mod ours;
mod secure;

/// What is the same for all that take part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) scenario: Scenario,
    pub(crate) nodes: &'a [SocketAddr],
    /// Whether each request leaves a line in a log.
    pub(crate) access_log: bool,
    /// Whether nginx and HAProxy carry large replies as well as they can, instead of as they do by default.
    pub(crate) tuned: bool,
}

/// What one proxy is started with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) command: Command,
    /// Where its standard output and error go.
    pub(crate) says: PathBuf,
    /// Where it logs requests if the stage wants that.
    pub(crate) access_log: PathBuf,
    /// The certificate that clients believe, where they speak TLS.
    pub(crate) ca: Option<PathBuf>,
}

/// What a configuration is written from.
#[derive(Debug)]
struct Site<'a> {
    stage: &'a Stage<'a>,
    listen: SocketAddr,
    /// A folder of its own.
    dir: &'a Path,
    access_log: PathBuf,
    /// What listeners show where clients speak TLS.
    identity: Option<secure::Identity>,
}

/// Writes the configuration into `dir` and says how to start the proxy.
pub(crate) fn prepare(
    entrant: Entrant,
    stage: &Stage<'_>,
    listen: SocketAddr,
    dir: &Path,
    programs: &Programs,
) -> Result<Setup, String> {
    let identity = stage.scenario.is_secure().then(|| secure::Identity::issue(dir)).transpose()?;
    let ca = identity.as_ref().map(|identity| identity.certificate.clone());
    let site = Site { stage, listen, dir, access_log: dir.join("access.log"), identity };
    let mut says = dir.join("says.log");
    let command = match entrant.contender {
        Contender::Nginx => {
            let config = site.write("nginx.conf", &nginx::config(&site)?)?;
            command("nginx", &["-p", &dir.to_string_lossy(), "-c", &config])
        }
        rules @ (Contender::Haproxy | Contender::HaproxyLua) => {
            site.write("pick.lua", &haproxy::script(stage.nodes.len()))?;
            let config = site.write("haproxy.cfg", &haproxy::config(&site, rules == Contender::HaproxyLua))?;
            // It writes no files; without a syslog server its lines go to its standard output.
            if stage.access_log {
                says.clone_from(&site.access_log);
            }
            command("haproxy", &["-db", "-f", &config])
        }
        Contender::Envoy => {
            let config = site.write("envoy.json", &envoy::config(&site))?;
            let mut envoy = command(&programs.envoy, &["-c", &config, "--concurrency", "1", "--disable-hot-restart"]);
            // Lines reach the file as soon as nginx's do: by default they may lie for ten seconds.
            envoy.args(["--log-level", "error", "--file-flush-interval-msec", "100"]);
            envoy
        }
        Contender::Native => {
            let config = site.write("ours.yaml", &ours::config(&site, true))?;
            command(programs.ours.with_file_name("native-proxy"), &["-c", &config, "--threads", "1"])
        }
        lane @ (Contender::Ours | Contender::Pingora) => {
            let config = site.write("ours.yaml", &ours::config(&site, lane == Contender::Ours))?;
            command(&programs.ours, &["run", "-c", &config, "--threads", &entrant.threads.to_string()])
        }
    };
    Ok(Setup { command, says, access_log: site.access_log, ca })
}

impl Site<'_> {
    fn write(&self, name: &str, text: &str) -> Result<String, String> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(|problem| format!("{}: {problem}", path.display()))?;
        Ok(path.to_string_lossy().into_owned())
    }
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests;
