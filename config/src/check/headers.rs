//! `headers:` mappings, in health checks and in matches: lower-case names, exact values.

use super::fields::Fields;
use super::words::{is_token, quote};

/// The headers of a mapping, sorted by name. Names are tokens; values are printable ASCII, no space at the ends
/// (RFC 9110, section 5.5).
pub(crate) fn headers(fields: &Fields, field: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for entry in fields.map(field) {
        let name = entry.key.to_ascii_lowercase();
        if !is_token(&name) {
            let message = format!("{} is not the name of a header", quote(&entry.key));
            let hint = "letters, digits and !#$%&'*+-.^_`|~, no spaces or colons";
            fields.checks.report(entry.key_mark, message, hint);
            continue;
        }
        let Some(value) = entry.value.as_text() else {
            let message = format!("header `{name}` of {} wants text, found {}", fields.what, entry.value.kind());
            fields.checks.report(entry.value.mark, message, "put it in quotes to make it text");
            continue;
        };
        let printable = value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'));
        if !printable || value.trim_matches([' ', '\t']) != value {
            let message = format!("{} cannot be the value of header `{name}`", quote(value));
            fields.checks.report(entry.value.mark, message, "printable ASCII, no space at the ends");
            continue;
        }
        // The same name twice in the same letters is reported as a repeated key.
        if headers.iter().any(|(other, _)| *other == name)
            && fields.map(field).iter().filter(|e| e.key == entry.key).count() == 1
        {
            let message = format!("header `{name}` is given twice in {}", fields.what);
            fields.checks.report(entry.key_mark, message, "names of headers do not tell upper from lower case");
        }
        headers.push((name, value.to_owned()));
    }
    headers.sort();
    headers
}
