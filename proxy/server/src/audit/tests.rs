//! The audit on a real disk; on a full one where the tests may mount one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use pointsman_config::plan;
use serde_json::Value;

use super::*;

fn settings(file: PathBuf, on_error: OnAuditError) -> plan::Audit {
    plan::Audit { file, max_bytes: 64 << 10, keep: 2, on_error }
}

async fn open(file: &Path, on_error: OnAuditError) -> (Audit, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    let audit = Audit::closed(Some(&settings(file.to_owned(), on_error)), &metrics, &Bus::default()).expect("started");
    audit.open().await.expect("opened");
    (audit, metrics)
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("there");
    assert!(text.is_empty() || text.ends_with('\n'), "whole lines: {text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn change(node: &str) -> Record {
    Record { node: Some(node.into()), after: serde_json::json!({ "weight": 1 }), ..Record::new("ops", "join") }
}

#[tokio::test]
async fn what_was_recorded_is_on_disk_when_it_is_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("deep/audit.log");
    let (audit, metrics) = open(&file, OnAuditError::Refuse).await;
    audit.room().await.expect("room");
    audit.record(change("n1")).await.expect("written");
    audit.refusal(Record { outcome: "refused", reason: Some("role".into()), ..change("n2") }).await;
    let found = lines(&file);
    assert_eq!(
        (&found[0]["who"], &found[0]["node"], &found[0]["outcome"]),
        (&"ops".into(), &"n1".into(), &"done".into())
    );
    assert_eq!((&found[1]["outcome"], &found[1]["reason"]), (&"refused".into(), &"role".into()));
    assert!(found[0]["time"].as_str().is_some_and(|time| time.ends_with('Z')) && found[0]["before"].is_null());
    assert!(metrics.render().contains("pointsman_audit_records_total{outcome=\"written\"} 2"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_line_that_a_crash_cut_short_is_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.log");
    let (audit, _) = open(&file, OnAuditError::Refuse).await;
    audit.room().await.expect("room");
    audit.record(change("n1")).await.expect("written");
    drop(audit);
    let whole = fs::read(&file).expect("there");
    for cut in 1..whole.len() {
        fs::write(&file, [&whole[..], &whole[..cut]].concat()).expect("written");
        drop(open(&file, OnAuditError::Refuse).await);
        let found = lines(&file);
        assert_eq!(found.len(), 2, "after {cut} bytes");
        assert_eq!((&found[0]["node"], &found[1]["what"]), (&"n1".into(), &"repair-audit".into()));
        assert_eq!(found[1]["before"]["bytes"], cut);
    }
    fs::write(&file, &whole[..9]).expect("written");
    drop(open(&file, OnAuditError::Refuse).await);
    assert_eq!(lines(&file).len(), 1, "nothing but a torn line");
}

#[tokio::test]
async fn it_rotates_by_size_and_keeps_so_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.log");
    let (audit, _) = open(&file, OnAuditError::Refuse).await;
    let long = Record { after: "x".repeat(30_000).into(), ..change("n1") };
    for _ in 0..12 {
        audit.room().await.expect("room");
        audit.record(long.clone()).await.expect("written");
    }
    let names = |name: &str| folder.path().join(name);
    assert_eq!(["audit.log", "audit.log.1", "audit.log.2"].map(|name| lines(&names(name)).len()), [3, 3, 3]);
    assert!(!names("audit.log.3").exists() && !names("audit.log.new").exists());
}

#[tokio::test]
async fn a_record_that_is_too_long_is_still_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.log");
    let (audit, _) = open(&file, OnAuditError::Refuse).await;
    audit.room().await.expect("room");
    audit.record(Record { after: "x".repeat(300_000).into(), ..change("n1") }).await.expect("written");
    let found = lines(&file);
    assert_eq!((&found[0]["node"], &found[0]["after"]), (&"n1".into(), &"too long to be written down".into()));
}

/// A file system of half a megabyte, for as long as it lives.
struct Tiny(PathBuf);

impl Tiny {
    /// `None`, with the reason said, where nobody may mount one.
    fn mount(at: &Path) -> Option<Self> {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(at).output();
        match done {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            other => {
                eprintln!("skipped: a small file system cannot be mounted here (it takes root): {other:?}");
                None
            }
        }
    }

    fn fill(&self) -> PathBuf {
        let stuff = self.0.join("stuff");
        let mut file = fs::File::create(&stuff).expect("created");
        while io::Write::write_all(&mut file, &[7; 4096]).is_ok() {}
        stuff
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_loses_no_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = Tiny::mount(folder.path()) else { return };
    let file = folder.path().join("audit.log");
    let (audit, metrics) = open(&file, OnAuditError::Refuse).await;
    audit.room().await.expect("room");
    let stuff = disk.fill();
    audit.record(change("n1")).await.expect("its room was set aside");
    // One line may still fit where the last one had room to spare; then the disk is full for good.
    let refused = loop {
        match audit.room().await {
            Ok(()) => audit.record(Record { after: "x".repeat(60_000).into(), ..change("more") }).await.expect("room"),
            Err(error) => break error,
        }
    };
    assert!(refused.to_string().contains("No space left"), "{refused}");
    assert_eq!(lines(&file)[0]["node"], "n1");
    fs::remove_file(stuff).expect("removed");
    audit.room().await.expect("room again");
    audit.record(change("n2")).await.expect("written");
    assert_eq!(lines(&file).last().expect("a line")["node"], "n2");
    assert!(!metrics.render().contains("pointsman_audit_records_total{outcome=\"failed\"}"));
}

#[tokio::test]
async fn where_changes_go_on_their_lines_are_owed() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = Tiny::mount(folder.path()) else { return };
    let file = folder.path().join("audit.log");
    let (audit, metrics) = open(&file, OnAuditError::GoOn).await;
    let stuff = disk.fill();
    for number in 0..40 {
        audit.room().await.expect("it goes on");
        let after = "x".repeat(10_000).into();
        audit.record(Record { after, ..change(&format!("n{number}")) }).await.expect("it goes on");
    }
    assert!(metrics.render().contains("pointsman_audit_records_total{outcome=\"failed\"}"), "the disk was full");
    fs::remove_file(stuff).expect("removed");
    audit.room().await.expect("room");
    audit.record(change("last")).await.expect("written");
    let found: Vec<Value> = lines(&file).into_iter().map(|line| line["node"].clone()).collect();
    let expected: Vec<Value> = (0..40).map(|number| format!("n{number}").into()).chain(["last".into()]).collect();
    assert_eq!(found, expected, "in order, none twice");
}

/// A process that hands over, and the one that it hands over to.
#[tokio::test]
async fn two_processes_write_it_one_after_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.log");
    let (before, _) = open(&file, OnAuditError::Refuse).await;
    let metrics = Arc::new(Metrics::new());
    let settings = settings(file.clone(), OnAuditError::Refuse);
    let after = Audit::closed(Some(&settings), &metrics, &Bus::default()).expect("started");
    // One change is under way as the file is let go of; its line comes first. Another waits.
    before.room().await.expect("room");
    before.hold();
    let waits = tokio::spawn({
        let before = before.clone();
        async move { before.room().await }
    });
    let closing = before.close(Duration::from_secs(600));
    let (closed, written) = tokio::join!(closing, before.record(change("first")));
    closed.and(written).expect("written, then closed");
    let late = before.record(change("late")).await.expect_err("the file is another's");
    assert!(late.to_string().contains("another process"), "{late}");
    after.open().await.expect("opened");
    after.room().await.expect("room");
    after.record(change("second")).await.expect("written");
    // The other does not serve after all: what waited goes on, and what was owed is written.
    after.close(Duration::ZERO).await.expect("closed");
    assert!(!waits.is_finished());
    before.open().await.expect("opened again");
    waits.await.expect("no panic").expect("room");
    before.record(change("third")).await.expect("written");
    let found: Vec<Value> = lines(&file).into_iter().map(|line| line["node"].clone()).collect();
    assert_eq!(found, ["first", "second", "late", "third"]);
    // And now it does: whoever still asks here is refused.
    before.close(Duration::ZERO).await.expect("closed");
    before.leave();
    before.room().await.expect_err("the file is another's");
    assert_eq!(lines(&file).len(), 4);
}

#[tokio::test]
async fn a_change_whose_line_does_not_come_holds_nobody_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let (audit, _) = open(&folder.path().join("audit.log"), OnAuditError::Refuse).await;
    audit.room().await.expect("room");
    audit.hold();
    audit.close(Duration::from_millis(10)).await.expect("closed");
}
