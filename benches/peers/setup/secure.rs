//! The certificate of a proxy whose clients speak TLS.

use std::fs;
use std::path::{Path, PathBuf};

/// A key and its certificate, as PEM files. ECDSA over P-256, as public authorities issue.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Both in one file.
    pub(super) both: PathBuf,
}

impl Identity {
    /// One for 127.0.0.1, signed by itself.
    pub(super) fn issue(dir: &Path) -> Result<Self, String> {
        let names = vec!["127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(|problem| problem.to_string())?;
        let (certificate, key) = (made.cert.pem(), made.key_pair.serialize_pem());
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::write(&path, text).map_err(|problem| format!("{}: {problem}", path.display()))?;
            Ok::<_, String>(path)
        };
        Ok(Self {
            certificate: write("front.pem", &certificate)?,
            key: write("front.key", &key)?,
            both: write("both.pem", &format!("{certificate}{key}"))?,
        })
    }
}
