//! What is said of the operators' API: who may ask for what, and what is written down of it.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::{Address, Mark, Tls};

/// The operators' API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// Address; where others than this machine reach it only with tokens and TLS.
    pub address: Address,
    /// Who may connect, where it is a Unix socket: the bits of chmod(2), as said.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::address::serialize_mode")]
    pub mode: Option<u32>,
    /// How TLS is spoken; `None`: in clear.
    pub tls: Option<Tls>,
    /// Who may ask; empty: whoever reaches a loopback address.
    pub tokens: Vec<Token>,
    /// Attempts without a right token that an address has in a minute.
    pub failed_attempts: u32,
    /// Where changes are written down; `None`: nowhere.
    pub audit: Option<Audit>,
}

impl Admin {
    /// The mode of a Unix socket's file; the owner alone unless something else is said.
    pub fn mode(&self) -> u32 {
        self.mode.unwrap_or(0o600)
    }
}

/// Somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// What the audit calls them.
    pub name: String,
    /// What they may ask for.
    pub role: Role,
    /// The only service that they may ask about; `None`: all.
    pub service: Option<String>,
    /// Tells their token. `None`: it stands in `hash_file`, which was not read, so nobody has it.
    pub hash: Option<TokenHash>,
    /// The file that the hash was read from.
    pub hash_file: Option<PathBuf>,
    /// Where the hash, or its file, is named.
    pub mark: Mark,
}

/// What a token may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// To read everything.
    Read,
    /// To let nodes join, renew, leave, drain and come back, and to read how services stand.
    Nodes,
    /// Everything.
    All,
}

impl Role {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Nodes => "nodes",
            Self::All => "all",
        }
    }
}

/// SHA-256 of a token. Never shown, neither for people nor for programs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash by its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix("sha256:").filter(|digits| digits.len() == 64)?.as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

/// Where changes are written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Path of the live file.
    pub file: PathBuf,
    /// Size at which it is rotated.
    pub max_bytes: u64,
    /// How many rotated files are kept.
    pub keep: u32,
    /// What becomes of a change that cannot be written down.
    pub on_error: OnAuditError,
}

/// What becomes of a change that cannot be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnAuditError {
    /// It is refused.
    Refuse,
    /// It is made all the same.
    GoOn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_and_never_shown() {
        let text = format!("sha256:{}", "0aFf".repeat(16));
        let hash = TokenHash::parse(&text).expect("a hash");
        assert_eq!(hash.bytes()[..4], [0x0a, 0xff, 0x0a, 0xff]);
        assert_eq!(format!("{hash:?} {}", serde_json::to_string(&hash).expect("JSON")), "(hidden) \"(hidden)\"");
        for bad in
            ["", "sha256:", &text[..70], &format!("{text}0"), &text.replace("sha256", "md5"), &text.replace("0a", "0g")]
        {
            assert_eq!(TokenHash::parse(bad), None, "{bad}");
        }
    }
}
