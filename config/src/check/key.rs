//! `key`: how the routing key is pulled out of a request.

use super::fields::{Fields, Known};
use crate::plan::KeyRule;

const LATER: &str = "take the key from a header, cookie, query parameter or path segment until then";
const KEY: Known = Known {
    fields: &["header", "cookie", "query", "path", "client_address"],
    later: &[("json", LATER), ("form", LATER), ("fix", LATER)],
};

/// The key rule of a service, if it has one.
pub(crate) fn key(service: &Fields) -> Option<KeyRule> {
    let node = service.get("key")?;
    let fields = Fields::open(service.checks, node, format!("`key` of {}", service.what), &KEY);
    let given: Vec<&str> = KEY.fields.iter().copied().filter(|name| fields.has(name)).collect();
    for name in &given {
        fields.require(name);
    }
    let rule = match given.as_slice() {
        ["header"] => KeyRule::Header(fields.token("header", "the name of a header")?.to_ascii_lowercase()),
        ["cookie"] => KeyRule::Cookie(fields.token("cookie", "the name of a cookie")?.into()),
        ["query"] => KeyRule::Query(fields.text("query")?.into()),
        ["path"] => KeyRule::Path(usize::try_from(fields.integer("path", 0..=63)?).ok()?),
        ["client_address"] => {
            fields.switch("client_address").filter(|on| *on).map(|_| KeyRule::ClientAddress).or_else(|| {
                let hint = "write `client_address: true`, or leave `key` out";
                fields.checks.report(
                    fields.key_mark("client_address"),
                    "`client_address` can only be switched on",
                    hint,
                );
                None
            })?
        }
        [] => {
            if node.kind() == "a mapping" {
                let hint = "for example { header: x-customer-id }";
                fields.checks.report(
                    service.key_mark("key"),
                    format!("{} does not say where it is", fields.what),
                    hint,
                );
            }
            return None;
        }
        [_, second, ..] => {
            let message = format!("{} takes one rule, found {}", fields.what, given.len());
            fields.checks.report(fields.key_mark(second), message, "keep the one that is meant");
            return None;
        }
        [_] => return None,
    };
    Some(rule)
}
