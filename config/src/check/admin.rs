//! `admin`: the operators' API, who may ask for what, and what is written down of it.

use std::fs;

use super::fields::{Fields, Known};
use super::words::{NAME_RULE, hint_for, is_name};
use super::{Checks, listeners, tls};
use crate::plan::{Address, Admin, Audit, Mark, OnAuditError, Registry, Role, Token, TokenHash};
use crate::raw::{Node, Value};

const ADMIN: Known = Known {
    // `token_file` is told apart below.
    fields: &["address", "mode", "tls", "tokens", "failed_attempts", "audit", "token_file"],
    later: &[],
};
const TOKEN: Known = Known { fields: &["name", "role", "service", "hash", "hash_file"], later: &[] };
const AUDIT: Known = Known { fields: &["file", "max_bytes", "keep", "on_error"], later: &[] };

const ROLES: [(&str, Role); 3] = [("read", Role::Read), ("nodes", Role::Nodes), ("all", Role::All)];

/// What the audit calls those who have no token.
const TAKEN: [&str; 5] = ["loopback", "unix", "nobody", "file", "signal"];

/// A token's hash is 71 bytes; a file that is longer holds something else.
const LONGEST_HASH_FILE: u64 = 4096;

const MAKE: &str = "`pointsman admin token` makes one and prints the line";

/// The admin API, if one is opened; its address is none of `taken`.
pub(crate) fn admin(
    file: &Fields,
    taken: &mut Vec<(Address, Mark)>,
    services: &[&str],
    registry: &Registry,
) -> Option<Admin> {
    let fields = Fields::open(file.checks, file.get("admin")?, "`admin`", &ADMIN);
    if fields.has("token_file") {
        let message = "`token_file` of `admin` would keep a token in clear";
        fields.checks.report(fields.key_mark("token_file"), message, format!("write its hash under `tokens`: {MAKE}"));
    }
    let tls = tls::tls(&fields);
    let tokens = tokens(&fields, services);
    let failed_attempts = fields.small("failed_attempts", 1..=100_000).unwrap_or(30);
    let audit = audit(&fields, registry);
    fields.require("address");
    let address = fields.address("address", false)?;
    listeners::claim(&fields, address.clone(), taken);
    if !address.is_local() {
        closed(&fields, &address);
    }
    Some(Admin { mode: fields.mode(&address), address, tls, tokens, failed_attempts, audit })
}

/// Reports an address that others reach and that lacks tokens or TLS.
fn closed(fields: &Fields, address: &Address) -> Option<()> {
    let mark = fields.get("address")?.mark;
    let (message, hint) = match (fields.has("tokens"), fields.has("tls")) {
        (true, true) => return None,
        (true, false) => (
            format!("tokens would cross the network in clear to {address}"),
            "add `tls: { certificates: [{ cert: admin.pem, key: admin.key }] }`, or listen on 127.0.0.1".into(),
        ),
        (false, true) => (
            format!("the admin API would be open to anyone who reaches {address}"),
            format!("add `tokens` ({MAKE}), or listen on 127.0.0.1"),
        ),
        (false, false) => (
            format!("the admin API would be open to anyone who reaches {address}"),
            format!("add `tls` and `tokens` ({MAKE}), or listen on 127.0.0.1"),
        ),
    };
    fields.checks.report(mark, message, hint);
    Some(())
}

fn tokens(fields: &Fields, services: &[&str]) -> Vec<Token> {
    fields.require_if_written("tokens");
    let items = fields.list("tokens");
    if items.is_empty() && fields.get("tokens").is_some_and(|node| matches!(node.value, Value::List(_))) {
        let message = "`tokens` of `admin` is empty, so nobody could ask for anything";
        fields.checks.report(fields.key_mark("tokens"), message, format!("{MAKE}; leave `tokens` out on loopback"));
    }
    let mut found: Vec<Token> = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let entry = Fields::open(fields.checks, node, format!("token {} of `admin`", index + 1), &TOKEN);
        if let Some(token) = token(&entry, services) {
            if let Some(other) = found.iter().find(|other| other.name == token.name) {
                let hint = format!("the other one stands on line {}", other.mark.line);
                fields.checks.report(token.mark, format!("two tokens are called `{}`", token.name), hint);
            }
            found.push(token);
        }
    }
    found
}

fn token(entry: &Fields, services: &[&str]) -> Option<Token> {
    let name = name(entry);
    entry.require("role");
    let role = entry.choice("role", &ROLES);
    let service = service(entry, role, services);
    let (hash, hash_file) = (hash(entry), entry.path("hash_file"));
    let mark = match (entry.get("hash"), entry.get("hash_file")) {
        (Some(_), Some(file)) => {
            let message = format!("{} has both `hash` and `hash_file`", entry.what);
            entry.checks.report(file.mark, message, "one says it");
            return None;
        }
        (Some(node), None) | (None, Some(node)) => node.mark,
        (None, None) => {
            if entry.is_mapping {
                entry.checks.report(entry.mark, format!("{} has no `hash`", entry.what), MAKE);
            }
            return None;
        }
    };
    (hash.is_some() || hash_file.is_some()).then_some(())?;
    Some(Token { name: name?, role: role?, service, hash, hash_file, mark })
}

fn name(entry: &Fields) -> Option<String> {
    entry.require("name");
    let name = entry.text("name")?;
    let node = entry.get("name")?;
    if !is_name(name) {
        entry.wrong("name", node, NAME_RULE, "");
        return None;
    }
    if TAKEN.contains(&name) {
        let message = format!("`{name}` is what the audit calls somebody without a token");
        entry.checks.report(node.mark, message, "choose another name");
        return None;
    }
    Some(name.to_owned())
}

fn service(entry: &Fields, role: Option<Role>, services: &[&str]) -> Option<String> {
    let name = entry.text("service")?;
    let node = entry.get("service")?;
    if !services.contains(&name) {
        let message = format!("there is no service `{name}` for {}", entry.what);
        entry.checks.report(node.mark, message, hint_for(name, services, "services"));
    }
    if role.is_some_and(|role| role != Role::Nodes) {
        let message = format!("{} is bound to a service, which only `role: nodes` can be", entry.what);
        entry.checks.report(node.mark, message, "leave `service` out, or write `role: nodes`");
    }
    Some(name.to_owned())
}

/// What stands there is never repeated: it may be the token itself.
fn hash(entry: &Fields) -> Option<TokenHash> {
    let node = entry.get("hash")?;
    let hash = node.as_text().and_then(TokenHash::parse);
    if hash.is_none() {
        wrong_hash(entry.checks, node.mark, &format!("`hash` of {}", entry.what));
    }
    hash
}

fn wrong_hash(checks: &Checks, mark: Mark, what: &str) {
    let hint = format!("the token itself does not belong here; {MAKE}");
    checks.report(mark, format!("{what} wants `sha256:` and 64 hexadecimal digits"), hint);
}

/// Reads the hashes that stand in files of their own.
pub(crate) fn read_hashes(admin: &mut Admin, checks: &Checks) {
    for token in &mut admin.tokens {
        let Some(file) = &token.hash_file else { continue };
        let shown = file.display();
        let size = fs::metadata(file).map(|found| found.len());
        match size.and_then(|size| if size > LONGEST_HASH_FILE { Ok(String::new()) } else { fs::read_to_string(file) })
        {
            Ok(text) => {
                token.hash = TokenHash::parse(text.lines().next().unwrap_or_default());
                if token.hash.is_none() {
                    wrong_hash(checks, token.mark, &format!("the first line of {shown}"));
                }
            }
            Err(error) => {
                let hint =
                    "paths are relative to the folder of the configuration; the user that the proxy runs as reads it";
                checks.report(token.mark, format!("cannot read {shown}: {error}"), hint);
            }
        }
    }
}

/// Where changes are written down; beside the registry's data if nothing is said.
fn audit(admin: &Fields, registry: &Registry) -> Option<Audit> {
    let Registry::Embedded { path } = registry;
    let default =
        || Audit { file: path.join("audit.log"), max_bytes: 64 << 20, keep: 9, on_error: OnAuditError::Refuse };
    match admin.get("audit") {
        None => Some(default()),
        Some(Node { value: Value::Map(_), .. }) => {
            let fields = Fields::open(admin.checks, admin.get("audit")?, "`audit` of `admin`", &AUDIT);
            let answers = [("refuse", OnAuditError::Refuse), ("go-on", OnAuditError::GoOn)];
            let usual = default();
            Some(Audit {
                file: fields.path("file").unwrap_or(usual.file),
                max_bytes: fields.size("max_bytes", 64 << 10..=64 << 30).unwrap_or(usual.max_bytes),
                keep: fields.small("keep", 1..=1000).unwrap_or(usual.keep),
                on_error: fields.choice("on_error", &answers).unwrap_or(usual.on_error),
            })
        }
        Some(node) if node.as_switch() == Some(false) => None,
        Some(node) => {
            admin.wrong("audit", node, "`off` or a mapping", "{ file: var/audit.log, keep: 9, on_error: refuse }");
            None
        }
    }
}
