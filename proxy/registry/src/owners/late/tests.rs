use super::super::Queue;
use super::*;

fn frames(key: &str) -> Vec<u8> {
    let (queue, mut frames) = (Queue::default(), Vec::new());
    queue.put(key, Some(("oms-1", 0)));
    queue.take(&mut frames).expect("short");
    frames
}

#[test]
fn a_write_that_was_cut_short_stands_in_nobodys_way() {
    let folder = tempfile::tempdir().expect("folder");
    let mut late = Late::begin(folder.path(), 17).expect("begun");
    let mut reader = LateReader::of(late.path());
    let mut seen = Vec::new();
    late.append(&frames("a")).expect("written");
    // The disk is full in the middle of a frame: a file that cannot be written, and what would have been.
    let writable = std::mem::replace(&mut late.file, File::open(&late.path).expect("opened"));
    late.append(&frames("b")).expect_err("it cannot be written");
    (&writable).write_all(&frames("b")[..9]).expect("written");
    reader.follow(|key, _| seen.push(key.to_owned())).expect("read");
    late.file = writable;
    late.append(&frames("b")).expect("written");
    late.append(&frames("c")).expect("written");
    late.end().expect("written");
    assert!(reader.follow(|key, _| seen.push(key.to_owned())).expect("read"), "its end is found");
    assert_eq!(seen, ["a", "b", "c"]);
}
