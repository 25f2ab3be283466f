use std::fs;
use std::path::Path;

use super::*;

fn line(path: &str) -> Line<'_> {
    Line {
        time: SystemTime::UNIX_EPOCH,
        request_id: "r1",
        subject: None,
        client: Some(IpAddr::from([192, 0, 2, 7])),
        method: "GET",
        path,
        status: 200,
        service: "oms",
        node: Some("oms-1"),
        policy: "round-robin",
        by: Some("policy"),
        fault: None,
        attempts: 1,
        duration_us: 1200,
        upstream_us: Some(1100),
        bytes: 70,
        refused: None,
        error: None,
    }
}

fn to_file(path: &Path, max_bytes: u64, keep: u32) -> plan::AccessLog {
    plan::AccessLog::File { path: path.into(), max_bytes, keep }
}

#[test]
fn a_line_is_one_json_object_whatever_the_client_sends() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/access.log");
    let log = AccessLog::start(&to_file(&path, 1 << 20, 2), &Arc::new(Metrics::new())).expect("opens");
    log.write(&line("/a\"\n\u{1}"));
    drop(log);
    let text = fs::read_to_string(&path).expect("was written");
    assert_eq!(text.lines().count(), 1);
    let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let expected = serde_json::json!({
        "time": "1970-01-01T00:00:00.000Z", "request_id": "r1", "client": "192.0.2.7", "method": "GET",
        "path": "/a\"\n\u{1}", "status": 200, "service": "oms", "node": "oms-1", "policy": "round-robin",
        "by": "policy", "attempts": 1, "duration_us": 1200, "upstream_us": 1100, "bytes": 70,
    });
    assert_eq!(read, expected);
}

#[test]
fn a_full_file_moves_aside_and_the_oldest_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let mut sink = Sink::open(&to_file(&path, 4, 2)).expect("opens");
    for text in ["one\n", "two\n", "three\n", "four\n"] {
        sink.write(text.as_bytes()).expect("writes");
    }
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
    assert_eq!(read("access.log").as_deref(), Some("four\n"));
    assert_eq!(read("access.log.1").as_deref(), Some("three\n"));
    assert_eq!(read("access.log.2").as_deref(), Some("two\n"));
    assert_eq!(read("access.log.3"), None);
}

#[test]
fn a_switch_loses_no_line_and_none_goes_to_the_wrong_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let log = AccessLog::start(&to_file(&a, 1 << 20, 2), &Arc::new(Metrics::new())).expect("opens");
    (0..50).for_each(|_| log.write(&line("/a")));
    log.switch(&to_file(&b, 1 << 20, 2));
    (0..50).for_each(|_| log.write(&line("/b")));
    log.switch(&plan::AccessLog::Off);
    assert!(!log.on());
    log.write(&line("/off"));
    drop(log);
    for (file, path) in [(a, "/a"), (b, "/b")] {
        let text = fs::read_to_string(file).expect("was written");
        assert_eq!(text.lines().count(), 50);
        assert!(text.lines().all(|line| line.contains(&format!("\"path\":\"{path}\""))));
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_named_and_the_old_one_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let metrics = Arc::new(Metrics::new());
    // A folder stands where the file should be.
    let error = AccessLog::start(&to_file(folder.path(), 1, 1), &metrics).err().expect("refused");
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    let log = AccessLog::start(&to_file(&path, 1 << 20, 1), &metrics).expect("opens");
    log.switch(&to_file(folder.path(), 1, 1));
    log.write(&line("/still"));
    drop(log);
    assert!(fs::read_to_string(&path).expect("was written").contains("/still"));
}

#[test]
fn lines_that_the_disk_does_not_take_are_counted() {
    let metrics = Arc::new(Metrics::new());
    // Writing to it always fails: no space left on the device.
    let log = AccessLog::start(&to_file(Path::new("/dev/full"), 1 << 40, 1), &metrics).expect("opens");
    (0..10).for_each(|_| log.write(&line("/")));
    drop(log);
    assert_eq!(metrics.access_log_dropped().get(), 10);
}
