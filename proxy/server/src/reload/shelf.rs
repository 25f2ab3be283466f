//! Where the bytes of a policy come from: an upload, the file that the YAML names, or the binary itself.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pointsman_config::plan::PolicySource;

/// Uploaded policies on disk: `NAME.wasm`, and `NAME.over` with the digest of what the YAML named at the time.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
}

/// The bytes of a policy and where they came from.
pub(super) struct Found {
    pub(super) bytes: Cow<'static, [u8]>,
    /// `built-in`, `uploaded`, or the path.
    pub(super) source: String,
}

/// What stands in `NAME.over` where the YAML names no file.
const BUILT_IN: &str = "built-in";

/// The source of a policy that was uploaded.
pub(super) const UPLOADED: &str = "uploaded";

impl Shelf {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// An upload serves until the file that the YAML names changes.
    pub(super) fn find(&self, name: &str, named: Option<&PolicySource>) -> Result<Found, String> {
        let original = original(name, named);
        if let Some(uploaded) = self.uploaded(name, &original) {
            return Ok(uploaded);
        }
        original
    }

    fn uploaded(&self, name: &str, original: &Result<Found, String>) -> Option<Found> {
        let over = fs::read_to_string(self.path(name, "over")).ok()?;
        let now = original.as_ref().map_or_else(|_| over.trim().to_owned(), stamp);
        if over.trim() != now {
            return None;
        }
        let bytes = fs::read(self.path(name, "wasm")).ok()?;
        Some(Found { bytes: Cow::Owned(bytes), source: UPLOADED.into() })
    }

    /// Keeps an upload: written aside, synced, renamed, so that a crash leaves the old one or the new one.
    pub(super) fn put(&self, name: &str, wasm: &[u8], named: Option<&PolicySource>) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let over = original(name, named).map_or_else(|_| BUILT_IN.to_owned(), |found| stamp(&found));
        self.replace(name, "wasm", wasm)?;
        self.replace(name, "over", over.as_bytes())?;
        fs::File::open(&self.dir)?.sync_all()
    }

    fn replace(&self, name: &str, extension: &str, bytes: &[u8]) -> io::Result<()> {
        let aside = self.path(name, &format!("{extension}.new"));
        let mut file = fs::File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(aside, self.path(name, extension))
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.dir.join(format!("{name}.{extension}"))
    }
}

/// What serves when nothing was uploaded.
fn original(name: &str, named: Option<&PolicySource>) -> Result<Found, String> {
    match named {
        Some(source) => read(&source.wasm),
        None => pointsman_host::builtin(name)
            .map(|bytes| Found { bytes: Cow::Borrowed(bytes), source: BUILT_IN.into() })
            .ok_or_else(|| format!("there is no built-in policy `{name}`, and `policies:` has no entry of that name")),
    }
}

fn read(path: &Path) -> Result<Found, String> {
    match fs::read(path) {
        Ok(bytes) => Ok(Found { bytes: Cow::Owned(bytes), source: path.display().to_string() }),
        Err(error) => Err(format!("cannot read the component `{}`: {error}", path.display())),
    }
}

fn stamp(found: &Found) -> String {
    if found.source == BUILT_IN { BUILT_IN.to_owned() } else { pointsman_host::Digest::of(&found.bytes).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &Path) -> PolicySource {
        PolicySource {
            wasm: path.to_owned(),
            budget: std::time::Duration::from_millis(1),
            memory: 1 << 20,
            mark: pointsman_config::plan::Mark::default(),
        }
    }

    #[test]
    fn an_upload_serves_until_the_named_file_changes() {
        let dir = tempfile::tempdir().expect("a folder");
        let wasm = dir.path().join("p.wasm");
        fs::write(&wasm, b"first").expect("write");
        let shelf = Shelf::new(dir.path().join("policies"));
        let named = source(&wasm);
        shelf.put("p", b"uploaded", Some(&named)).expect("put");
        assert_eq!(shelf.find("p", Some(&named)).expect("found").bytes.as_ref(), b"uploaded");
        fs::write(&wasm, b"second").expect("write");
        assert_eq!(shelf.find("p", Some(&named)).expect("found").bytes.as_ref(), b"second");
    }

    #[test]
    fn an_upload_serves_while_the_named_file_is_missing() {
        let dir = tempfile::tempdir().expect("a folder");
        let wasm = dir.path().join("p.wasm");
        fs::write(&wasm, b"first").expect("write");
        let shelf = Shelf::new(dir.path().join("policies"));
        let named = source(&wasm);
        shelf.put("p", b"uploaded", Some(&named)).expect("put");
        fs::remove_file(&wasm).expect("remove");
        assert_eq!(shelf.find("p", Some(&named)).expect("found").source, "uploaded");
    }

    #[test]
    fn an_unknown_name_says_so() {
        let shelf = Shelf::new(PathBuf::from("/nonexistent"));
        let error = shelf.find("nobody", None).err().expect("unknown");
        assert!(error.contains("no built-in policy `nobody`"), "{error}");
    }
}
