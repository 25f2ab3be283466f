//! Words in messages: quoting what the user wrote, guessing what was meant, and which names are fit to be one.

/// Characters of a user's text that a message repeats.
const QUOTED: usize = 60;

/// The user's words between backticks: cut to a readable length, nothing in it that a terminal would obey.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("`");
    for c in text.chars().take(QUOTED) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(QUOTED).is_some() {
        out.push_str("...");
    }
    out.push('`');
    out
}

/// The known name that was probably meant, if one is near enough.
pub(crate) fn meant<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    let folded = written.to_ascii_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_ascii_lowercase().replace('_', "-")), name))
        // One slip in a short word, one in three letters of a longer one.
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1) && *distance < written.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A hint for a name that is not among the known ones: the nearest, or all of them if they are few.
pub(crate) fn hint_for(written: &str, known: &[&str], nouns: &str) -> String {
    match meant(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => format!("there are no {nouns} yet"),
        None if known.len() <= 20 => format!("{nouns}: {}", list(known)),
        None => String::new(),
    }
}

/// Names in backticks, separated by commas.
pub(crate) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What a name of a service, policy or node may look like: it stands in URLs, metrics and logs.
pub(crate) const NAME_RULE: &str = "1 to 63 letters, digits, `.`, `_` or `-`, the first a letter or digit";

/// Whether a text keeps [`NAME_RULE`].
pub(crate) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Whether a text is a token, as methods, header names and cookie names are (RFC 9110, section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_near_or_not_made() {
        let known = ["policy", "nodes", "key", "retry", "all_down", "connections_per_node"];
        assert_eq!(meant("polcy", known), Some("policy"));
        assert_eq!(meant("kye", known), Some("key"));
        assert_eq!(meant("all-down", known), Some("all_down"));
        assert_eq!(meant("Retry", known), Some("retry"));
        assert_eq!(meant("banana", known), None);
        assert_eq!(meant("x", known), None);
        assert_eq!(meant(&"k".repeat(5000), known), None);
    }

    #[test]
    fn quoting_disarms_a_terminal_and_keeps_it_short() {
        assert_eq!(quote("a\x1b[31mb"), "`a\\u{1b}[31mb`");
        assert_eq!(quote(&"x".repeat(1000)).len(), QUOTED + 5);
    }
}
