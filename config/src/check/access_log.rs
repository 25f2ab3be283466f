//! `access_log`: off, standard output, or a file.

use super::fields::{Fields, Known};
use crate::plan::AccessLog;
use crate::raw::Value;

const FILE: Known = Known { fields: &["path", "max_size", "keep"], later: &[] };

/// Where the access log goes; standard output if nothing is said.
pub(crate) fn access_log(file: &Fields) -> AccessLog {
    let Some(node) = file.get("access_log") else { return AccessLog::Stdout };
    match &node.value {
        Value::Map(_) => {
            let fields = Fields::open(file.checks, node, "`access_log`", &FILE);
            fields.require("path");
            let max_bytes = fields.size("max_size", 64 << 10..=64 << 30).unwrap_or(64 << 20);
            let keep = fields.small("keep", 0..=1000).unwrap_or(5);
            fields.path("path").map_or(AccessLog::Off, |path| AccessLog::File { path, max_bytes, keep })
        }
        // Readers of YAML 1.1 take `off` for false, and so do people.
        Value::Bool(false) => AccessLog::Off,
        _ => match node.as_text() {
            Some("off") => AccessLog::Off,
            Some("stdout") => AccessLog::Stdout,
            _ => {
                file.wrong("access_log", node, "`off`, `stdout` or a mapping with `path`", "{ path: var/access.log }");
                AccessLog::Off
            }
        },
    }
}
