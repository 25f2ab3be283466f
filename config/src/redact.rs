//! A configuration as others may see it: what a key named like a secret holds does not show.

/// Masks the values of keys that are named like secrets, character by character, so that everything stays where it is.
/// By line, since the text may not even be YAML. References to the environment stay: they give nothing away.
pub fn redact(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

/// The same for one line.
pub(crate) fn line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(colon) = rest.find(':') {
        let (before, after) = rest.split_at(colon + 1);
        out.push_str(before);
        rest = after;
        if is_secret(before, after) {
            let value = &after[..value_length(after, line.contains('{'))];
            let bare = value.trim().trim_start_matches(['"', '\'']);
            // A key rule names a cookie; what a cookie holds has a `=`.
            let names_one = before.trim_end_matches([':', ' ']).ends_with("cookie") && !bare.contains('=');
            // What stands in for a variable that is not set is as secret as what the variable holds.
            let refers = bare.starts_with("${") && !bare.contains(":-");
            if !refers && !names_one {
                out.extend(value.chars().map(|c| if c == ' ' { ' ' } else { '*' }));
                rest = &after[value.len()..];
            }
        }
    }
    out + rest
}

/// Whether the key that ends `before`, which ends in a colon, is named like a secret. What ends in `_file` names a
/// file that holds one, and a list of `tokens` says who may ask.
fn is_secret(before: &str, after: &str) -> bool {
    let key = before.trim_end_matches([':', '"', '\'', ' ']);
    let key = key.rsplit(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')).next().unwrap_or_default();
    let key = key.to_ascii_lowercase().replace('_', "-");
    let list = key == "tokens" && after.trim_start().starts_with('[');
    let named = ["authorization", "token", "secret", "password", "passwd", "cookie", "api-key", "apikey"];
    !list && !key.ends_with("-file") && (key == "hash" || named.iter().any(|word| key.contains(word)))
}

/// How far the value at the start of `text` reaches: to its closing quote, to the end of its entry in a `{ … }`, or to
/// the end of the line.
fn value_length(text: &str, in_braces: bool) -> usize {
    let start = text.len() - text.trim_start_matches(' ').len();
    let end_of_line = text.find(['\r', '\n']).unwrap_or(text.len());
    if let Some(quote) = text[start..].chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return text[start + 1..].find(quote).map_or(end_of_line, |at| start + at + 2);
    }
    let end_of_entry = text.find([',', '}']).filter(|_| in_braces).unwrap_or(end_of_line);
    end_of_entry.min(end_of_line)
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn secrets_written_in_the_file_are_not_shown() {
        let text = "admin: { token_file: secrets/token }\n  headers: { authorization: \"Bearer a, bc\", x-shard: 7, token: t1 }\n\
             \x20   password: hunter2, and more\n    \"X-API-Key\": k123\n    authorization: ${HEALTH_TOKEN}\n\
             \x20   secret: \"${SECRET:-d789}\"\n    secret_file: shop.secret\n\
             # a comment: stays\n  tokens: [{ name: ops, hash: \"sha256:0123\" }]\n    hash: h456\r\n    hash_file: ops.hash\n";
        let shown = redact(text);
        for gone in ["Bearer", "bc", "t1", "hunter2", "more", "k123", "0123", "h456", "d789"] {
            assert!(!shown.contains(gone), "{shown}");
        }
        for kept in [
            "token_file: secrets/token",
            "x-shard: 7",
            "${HEALTH_TOKEN}",
            "# a comment: stays",
            "tokens: [{ name: ops, hash: *************",
            "hash_file: ops.hash",
            "secret_file: shop.secret",
        ] {
            assert!(shown.contains(kept), "{kept} in {shown}");
        }
        let widths = |text: &str| text.lines().map(|line| line.chars().count()).collect::<Vec<_>>();
        assert_eq!(widths(&shown), widths(text));
    }
}
