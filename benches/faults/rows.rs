//! Every fault of the table, with what a first-rate proxy does about it.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use pointsman_demo::load;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Terms;
use crate::seen::{Seen, Verdict};

mod clients;
mod configuration;
mod http2;
mod nodes;
mod policies;
mod registry;
mod resources;
mod secure;
mod stopping;

/// One row.
pub(crate) struct Row {
    pub(crate) number: u8,
    /// For `--only`.
    pub(crate) name: &'static str,
    pub(crate) fault: &'static str,
    pub(crate) expected: &'static str,
    /// What injects it.
    pub(crate) injector: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: Run,
}

/// What becomes of a row.
pub(crate) enum Run {
    Now(fn(&Terms) -> Running<'_>),
    Later(&'static str),
}

/// A row at work.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<Seen, String>> + 'a>>;

/// What a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Root,
    /// A command.
    Tool(&'static str),
    /// One of these files or folders.
    File(&'static [&'static str]),
}

/// Longer than any row takes, a thousand kills included; then it hangs.
const PATIENCE: Duration = Duration::from_secs(1800);

impl Need {
    fn lacking(self) -> Option<String> {
        match self {
            // The owner of our own entry in /proc is who we are.
            Self::Root => {
                use std::os::unix::fs::MetadataExt;
                let root = std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0);
                (!root).then(|| "needs root".into())
            }
            Self::Tool(name) => (!on_path(name)).then(|| format!("needs `{name}`")),
            Self::File(any) => (!any.iter().any(|path| Path::new(path).exists())).then(|| format!("needs {}", any[0])),
        }
    }
}

fn on_path(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|folder| Path::new(folder).join(name).exists())
}

impl Row {
    /// Injects the fault and judges what comes of it.
    pub(crate) async fn play(&self, terms: &Terms) -> (Verdict, Seen) {
        let run = match self.run {
            Run::Later(why) => return (Verdict::Later(why.into()), Seen::default()),
            Run::Now(run) => run,
        };
        if let Some(why) = self.needs.iter().find_map(|need| need.lacking()) {
            return (Verdict::Skipped(why), Seen::default());
        }
        match tokio::time::timeout(PATIENCE, run(terms)).await {
            Ok(Ok(seen)) => (seen.verdict(), seen),
            Ok(Err(why)) => (Verdict::Broken(why), Seen::default()),
            Err(_) => (Verdict::Broken(format!("it did not end within {PATIENCE:?}")), Seen::default()),
        }
    }
}

/// A line of the table: number, name, fault, what is expected, what injects it, what that needs, and the deed.
const fn row(
    number: u8,
    name: &'static str,
    fault: &'static str,
    expected: &'static str,
    injector: &'static str,
    needs: &'static [Need],
    run: Run,
) -> Row {
    Row { number, name, fault, expected, injector, needs, run }
}

/// All of them, in the order of their numbers.
pub(crate) fn all() -> Vec<&'static Row> {
    let groups = [
        nodes::ROWS,
        clients::ROWS,
        http2::ROWS,
        secure::ROWS,
        policies::ROWS,
        configuration::ROWS,
        registry::ROWS,
        resources::ROWS,
        stopping::ROWS,
    ];
    let mut all: Vec<&Row> = groups.into_iter().flatten().collect();
    all.sort_by_key(|row| row.number);
    all
}

/// Starts a load.
fn running(options: load::LoadOptions) -> Result<load::Running, String> {
    load::start(options).map_err(|problem| problem.to_string())
}

/// Sends bytes and reads to the end of the connection, or until `patience` is over.
async fn raw(to: std::net::SocketAddr, bytes: &[u8], patience: Duration) -> Result<Vec<u8>, String> {
    let problem = |problem: std::io::Error| problem.to_string();
    let mut stream = tokio::net::TcpStream::connect(to).await.map_err(problem)?;
    // It may be cut off while it still sends.
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let _ =
        tokio::time::timeout(patience, async { while stream.read_buf(&mut all).await.is_ok_and(|n| n > 0) {} }).await;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_there_once_and_every_name_is_its_own() {
        let rows = all();
        let numbers: Vec<u8> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, (1..=52).collect::<Vec<u8>>());
        let names: std::collections::BTreeSet<_> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows.len());
    }

    #[tokio::test]
    async fn what_is_lacking_is_told_and_not_run() {
        let run = Run::Now(|_| Box::pin(async { Err("it was run".into()) }));
        let row = row(1, "x", "", "", "", &[Need::Tool("no-such-command")], run);
        assert_eq!(row.play(&Terms::default()).await.0, Verdict::Skipped("needs `no-such-command`".into()));
    }

    #[tokio::test]
    async fn a_rig_that_fails_is_no_success() {
        let run = Run::Now(|_| Box::pin(async { Err("no node came up".into()) }));
        let row = row(1, "x", "", "", "", &[], run);
        assert!(!row.play(&Terms::default()).await.0.is_fine());
    }
}
