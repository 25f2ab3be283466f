//! Which contract this host speaks.

use std::fmt;

/// The interface that a policy exports, without its version.
pub(crate) const INTERFACE: &str = "pointsman:policy/routing";
/// The interface as this host speaks it.
pub(crate) const CONTRACT: &str = "pointsman:policy/routing@1.0.0";
/// The version in [`CONTRACT`]; a test keeps the two alike.
pub(crate) const VERSION: Version = Version { major: 1, minor: 0, patch: 0 };

/// A version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    /// `MAJOR.MINOR.PATCH`; what follows (`-rc.1`, `+build`) does not count.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let core = text.split(['-', '+']).next()?;
        let mut parts = core.split('.').map(|p| p.parse::<u64>().ok());
        let version = Self { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
        parts.next().is_none().then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_names_its_version() {
        assert_eq!(CONTRACT, format!("{INTERFACE}@{VERSION}"));
        let wit = include_str!("../../wit/policy.wit");
        assert!(wit.contains(&format!("package pointsman:policy@{VERSION};")), "the WIT and the host disagree");
    }

    #[test]
    fn versions_are_three_numbers() {
        assert_eq!(Version::parse("1.20.3-rc.1+b"), Some(Version { major: 1, minor: 20, patch: 3 }));
        for text in ["", "1", "1.0", "1.0.0.0", "a.b.c", "1.0.x"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
