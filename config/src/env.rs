//! Fills `${NAME}` and `${NAME:-default}` in from the environment, in values (never in keys), after the YAML was read:
//! what a variable holds cannot change the shape of the file. `$${` stands for `${`.

use crate::check::Checks;
use crate::check::words::quote;
use crate::plan::Mark;
use crate::raw::{Node, Text, Value};

/// Bytes that variables may add to a file in all.
const MAX_ADDED: usize = 4 << 20;

/// Fills in every value below `node`. A variable that is not set and has no default is a problem.
pub(crate) fn fill(node: &mut Node, env: &dyn Fn(&str) -> Option<String>, checks: &Checks) {
    Filler { env, checks, left: MAX_ADDED }.fill(node);
}

struct Filler<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    checks: &'a Checks<'a>,
    left: usize,
}

impl Filler<'_> {
    fn fill(&mut self, node: &mut Node) {
        let mark = node.mark;
        match &mut node.value {
            Value::Text(text) if text.text.contains("${") => {
                match self.expand(&text.text, mark) {
                    Some(expanded) => *text = expanded,
                    // What is wrong with half a value says nothing new.
                    None => self.checks.silence(mark),
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.fill(item)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.fill(&mut entry.value)),
            _ => {}
        }
    }

    /// `None` if a problem was reported.
    fn expand(&mut self, text: &str, mark: Mark) -> Option<Text> {
        let mut out = String::new();
        let mut from_env = false;
        let mut whole = true;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let Some((reference, after)) = after.split_once('}') else {
                let hint = "write `${NAME}`, or `$${` for the characters themselves";
                self.checks.report(self.place(mark, "${"), "`${` without its `}`", hint);
                return None;
            };
            match self.value(reference, mark) {
                Some(value) => out.push_str(&value),
                None => whole = false,
            }
            from_env = true;
            rest = after;
        }
        out.push_str(rest);
        whole.then_some(Text { text: out, from_env })
    }

    fn value(&mut self, reference: &str, mark: Mark) -> Option<String> {
        let (name, default) =
            reference.split_once(":-").map_or((reference, None), |(name, default)| (name, Some(default)));
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(fits) {
            let message = format!("{} is not the name of a variable", quote(name));
            let hint = "letters, digits and `_`: `${NAME}` or `${NAME:-default}`";
            self.checks.report(self.place(mark, &format!("${{{reference}")), message, hint);
            return None;
        }
        // As in a shell, `:-` also takes the place of a variable that is set but empty.
        let set = (self.env)(name).filter(|value| default.is_none() || !value.is_empty());
        let Some(value) = set.or_else(|| default.map(str::to_owned)) else {
            let message = format!("the environment has no variable {}", quote(name));
            let hint = format!("set it, or give a default: `${{{name}:-default}}`");
            self.checks.report(self.place(mark, &format!("${{{name}")), message, hint);
            return None;
        };
        if let Some(left) = self.left.checked_sub(value.len()) {
            self.left = left;
            return Some(value);
        }
        self.checks.report(mark, "variables add more than 4 MiB to this file", "");
        None
    }

    /// The place of the reference itself, if it stands on the line where the value starts.
    fn place(&self, mark: Mark, reference: &str) -> Mark {
        let line: String = self.checks.line(mark).chars().skip(mark.column.saturating_sub(1)).collect();
        let offset = line.find(reference).map_or(0, |at| line[..at].chars().count());
        Mark { column: mark.column + offset, ..mark }
    }
}
