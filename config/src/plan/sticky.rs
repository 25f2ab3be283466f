//! The signed cookie by which a client comes back to its node.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Mark;
use crate::units::serialize_optional_duration;

/// How a service's cookie is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StickyCookie {
    /// Its name.
    pub name: String,
    /// What it is signed with. Empty where they stand in `secret_file`, which was not read.
    pub secrets: Secrets,
    /// The file that they were read from.
    pub secret_file: Option<PathBuf>,
    /// How long clients keep it; `None`: until they end their session.
    #[serde(serialize_with = "serialize_optional_duration")]
    pub max_age: Option<Duration>,
    /// Where the secrets, or their file, are named.
    pub mark: Mark,
}

/// Secrets of which the first signs and any verifies. Never shown, neither for people nor for programs.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// The fewest characters that a secret may have: as hexadecimal digits, 128 bits.
    pub const SHORTEST: usize = 32;
    /// The most secrets: each costs a hash per request.
    pub const MOST: usize = 8;

    /// What white space parts: one to [`Self::MOST`] secrets, none shorter than [`Self::SHORTEST`].
    pub fn parse(text: &str) -> Option<Self> {
        let secrets: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let fits = (1..=Self::MOST).contains(&secrets.len()) && secrets.iter().all(|one| one.len() >= Self::SHORTEST);
        fits.then_some(Self(secrets))
    }

    /// One by one, the one that signs first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(String::as_bytes)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for Secrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_parted_by_white_space_and_never_shown() {
        let (one, other) = ("0123456789abcdef".repeat(2), "f".repeat(64));
        let secrets = Secrets::parse(&format!("  {one}\n{other}\r\n")).expect("two");
        assert_eq!(secrets.iter().collect::<Vec<_>>(), [one.as_bytes(), other.as_bytes()]);
        assert_eq!(format!("{secrets:?} {}", serde_json::to_string(&secrets).expect("JSON")), "(hidden) \"(hidden)\"");
        let many = format!("{one} ").repeat(Secrets::MOST + 1);
        for bad in ["", " \n", "short", &one[1..], &format!("{one} short"), &many] {
            assert_eq!(Secrets::parse(bad), None, "{bad}");
        }
    }
}
