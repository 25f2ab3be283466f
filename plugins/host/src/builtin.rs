//! The policies that the binary carries.

/// Name and component, sorted by name; written by `build.rs` from `policies/dist`.
static TABLE: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// The component of a built-in policy.
pub fn builtin(name: &str) -> Option<&'static [u8]> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

/// Names of the built-in policies, sorted.
pub fn builtins() -> &'static [&'static str] {
    static NAMES: std::sync::LazyLock<Vec<&'static str>> =
        std::sync::LazyLock::new(|| TABLE.iter().map(|(name, _)| *name).collect());
    &NAMES
}
