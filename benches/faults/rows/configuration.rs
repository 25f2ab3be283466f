//! Rows 34 to 38: what stands in files.

use crate::rows::{Row, Run, row};

mod files;
mod secrets;
mod texts;

pub(super) const ROWS: &[Row] = &[
    row(
        34,
        "yaml",
        "YAML malformed, unknown or duplicate keys, wrong types",
        "refused whole, line and column, < 1 s; a metric says so",
        "reloads of wrong files",
        &[],
        Run::Now(|t| Box::pin(texts::wrong(t))),
    ),
    row(
        35,
        "yaml-bombs",
        "alias bomb, deep nesting, 100 MB",
        "refused whole, < 1 s, < 64 MB; a metric says so",
        "reloads of hostile files",
        &[],
        Run::Now(|t| Box::pin(texts::bombs(t))),
    ),
    row(
        36,
        "config-file",
        "config renamed over, written in place, truncated, deleted, symlink swapped, mode 000",
        "the folder is watched; empty or missing never means no routes",
        "the file system",
        &[],
        Run::Now(|t| Box::pin(files::moved(t))),
    ),
    row(
        37,
        "hangups",
        "1,000 SIGHUPs in a second",
        "coalesced; last content wins; 0 errors",
        "kill -HUP",
        &[],
        Run::Now(|t| Box::pin(files::hangups(t))),
    ),
    row(
        38,
        "certificate",
        "bad or expired certificate at reload",
        "refused, the old one kept",
        "the certificate's file",
        &[],
        Run::Now(|t| Box::pin(secrets::certificates(t))),
    ),
];
