//! Who takes part.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::scenario::Scenario;

/// A proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Contender {
    /// Static round robin; in `modulo` a LuaJIT balancer
    Nginx,
    /// Static round robin; in `modulo` by its own rules
    Haproxy,
    /// HAProxy whose server is chosen by Lua; takes part in `modulo` only
    HaproxyLua,
    /// Static round robin; in `modulo` by its Lua filter
    Envoy,
    /// As it is shipped
    Ours,
    /// The same binary with `lane: off`: every request carried by pingora
    Pingora,
    /// The same proxy with its rule as plain Rust (`native-proxy`): what the sandbox costs
    Native,
}

/// A proxy with so many worker threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entrant {
    pub(crate) contender: Contender,
    pub(crate) threads: u16,
}

/// Where programs are that no package installs.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) ours: PathBuf,
    pub(crate) envoy: PathBuf,
    /// Folder of demo-node and demo-load.
    pub(crate) tools: PathBuf,
}

impl Contender {
    /// Whether it has something of its own to show there.
    pub(crate) fn takes_part(self, scenario: Scenario) -> bool {
        self != Self::HaproxyLua || scenario.is_modulo()
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// `ours`, or `ours-2` with two workers.
impl fmt::Display for Entrant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.threads {
            1 => write!(out, "{}", self.contender),
            more => write!(out, "{}-{more}", self.contender),
        }
    }
}
