//! A process that is killed (`SIGKILL`) while it writes keeps what it acknowledged.
//!
//! In a file of its own: a child holds the locks of its parent for the moment between `fork` and `exec`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use pointsman_registry::{Change, Kept, Store};

/// Ten seconds of a slow disk; a thousand passed when the store was written.
const KILLS: usize = 200;

fn put(number: u64) -> Change {
    let labels = [("rack".to_owned(), "r".repeat(number as usize % 40))].into();
    let address = ([10, 0, 0, 1], 8_000).into();
    let id = format!("n{number}");
    let node = Kept { id, ordinal: Some(number), address, weight: 1, zone: "z".into(), labels, ttl_ms: 10_000 };
    Change::Put { service: "oms".into(), node }
}

const CHILD: &str = "POINTSMAN_TEST_STORE";

/// Not a test of its own: what the killed process runs. It says each number once it is committed.
#[test]
fn child_that_commits_until_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = Store::open(Path::new(&path)).expect("opens").store;
    let mut store = store.with_log_bytes(2_000);
    let from = store.state().services.get("oms").map_or(1, |s| s.high_water + 1);
    let mut out = std::io::stdout().lock();
    for number in from.. {
        let mut batch = vec![put(number), Change::Ordinal { service: "oms".into(), ordinal: number }];
        if number > 20 {
            batch.push(Change::Remove { service: "oms".into(), id: format!("n{}", number - 20) });
        }
        store.commit(&batch).expect("commits");
        writeln!(out, "committed {number}").expect("the parent reads");
    }
}

#[test]
fn killed_while_it_writes_it_keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir().expect("folder");
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child_that_commits_until_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("child");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let mut numbers =
            lines.by_ref().map_while(Result::ok).filter_map(|l| l.strip_prefix("committed ")?.parse().ok());
        // Let it acknowledge a few, then kill it at whatever it is doing.
        let last: u64 = numbers.nth(round % 7).expect("it commits");
        child.kill().expect("killed");
        acknowledged = numbers.last().unwrap_or(last);
        child.wait().expect("gone");
        let store = Store::open(folder.path()).expect("opens").store;
        let service = &store.state().services["oms"];
        let found = service.high_water;
        assert!(found == acknowledged || found == acknowledged + 1, "round {round}: {acknowledged} became {found}");
        let kept: Vec<u64> = (found.saturating_sub(19).max(1)..=found).collect();
        let mut nodes: Vec<u64> = service.nodes.values().filter_map(|n| n.ordinal).collect();
        nodes.sort_unstable();
        assert_eq!(nodes, kept, "round {round}: a batch is there whole or not at all");
    }
    assert!(acknowledged > KILLS as u64);
}
