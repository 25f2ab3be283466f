//! The inputs written by hand, one file a class.
//!
//! A case is `[name] verdict`, then its bytes to the next empty line: the lines as they stand, without their own line
//! ends, with `\r`, `\n`, `\t`, `\0`, `\\`, `\xHH` and `\{N:text}` (so many times). Verdicts: `refuse` (nobody forwards
//! anything), `carry N` (the lane forwards N requests, pingora the first at least), `cut N` (the lane forwards N and
//! refuses what follows), `any` (nothing but that both read it in the same way).

use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Refuse,
    Carry(usize),
    Cut(usize),
    Any,
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// `file/name`.
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    pub(crate) bytes: Vec<u8>,
}

/// All cases of the corpus in that folder.
pub(crate) fn all(folder: &Path) -> Vec<Case> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the corpus").map(|e| e.expect("readable").path()).collect();
    files.sort();
    let cases: Vec<Case> = files
        .iter()
        .flat_map(|file| {
            let stem = file.file_stem().and_then(|s| s.to_str()).expect("a name");
            read(stem, &std::fs::read_to_string(file).expect("readable"))
        })
        .collect();
    assert!(cases.len() > 100, "only {} cases: the corpus is not read", cases.len());
    cases
}

fn read(file: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let place = || format!("{file}.txt:{number}");
        if line.is_empty() || !open && line.starts_with('#') {
            open = false;
        } else if let Some((name, verdict)) = line.strip_prefix('[').and_then(|l| l.split_once("] ")).filter(|_| !open)
        {
            let verdict = verdict_of(verdict).unwrap_or_else(|| panic!("{}: no verdict: {verdict}", place()));
            cases.push(Case { name: format!("{file}/{name}"), verdict, bytes: Vec::new() });
            open = true;
        } else {
            assert!(open, "{}: a line outside a case", place());
            let bytes = unescape(line).unwrap_or_else(|| panic!("{}: a wrong escape", place()));
            cases.last_mut().expect("open").bytes.extend(bytes);
        }
    }
    cases
}

fn verdict_of(text: &str) -> Option<Verdict> {
    match text.split_once(' ') {
        None if text == "refuse" => Some(Verdict::Refuse),
        None if text == "any" => Some(Verdict::Any),
        Some(("carry", count)) => count.parse().ok().map(Verdict::Carry),
        Some(("cut", count)) => count.parse().ok().map(Verdict::Cut),
        _ => None,
    }
}

fn unescape(line: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest.get(at + 1..)?;
        let used = match escape.as_bytes().first()? {
            b'r' => push(&mut bytes, b'\r'),
            b'n' => push(&mut bytes, b'\n'),
            b't' => push(&mut bytes, b'\t'),
            b'0' => push(&mut bytes, 0),
            b'\\' => push(&mut bytes, b'\\'),
            b'x' => {
                push(&mut bytes, u8::from_str_radix(escape.get(1..3)?, 16).ok()?);
                3
            }
            b'{' => {
                let end = escape.find('}')?;
                let (count, text) = escape[1..end].split_once(':')?;
                bytes.extend(unescape(text)?.repeat(count.parse().ok()?));
                end + 1
            }
            _ => return None,
        };
        rest = &escape[used..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

fn push(bytes: &mut Vec<u8>, byte: u8) -> usize {
    bytes.push(byte);
    1
}

#[test]
fn cases_are_read_as_they_are_written() {
    let text = "# words\n[a] carry 2\nG\\r\\n\n\\x41\\{3:b\\t}\\\\\n\n[b] refuse\n#\n";
    let cases = read("f", text);
    assert_eq!(cases.len(), 2);
    assert_eq!((cases[0].name.as_str(), cases[0].verdict), ("f/a", Verdict::Carry(2)));
    assert_eq!(cases[0].bytes, b"G\r\nAb\tb\tb\t\\");
    assert_eq!((cases[1].verdict, cases[1].bytes.as_slice()), (Verdict::Refuse, &b"#"[..]));
}
