//! The configuration in force, and reading it again.

use axum::Json;
use pointsman_config::plan::Plan;
use serde_json::{Value, json};

use super::AppState;
use super::policies::settled;
use super::problem::Problem;
use crate::world::reload::Outcome;

/// `GET /v1/config`
///
/// Shows the file as it was written: what `${VAR}` stands for is never shown, nor what a key named like a secret holds.
pub(super) async fn show(state: AppState) -> Json<Value> {
    let world = state.parts.world.load_full();
    let plan = &world.plan;
    let (yaml, problem) = match std::fs::read_to_string(&plan.file) {
        Ok(text) => (Some(redact(&text)), None),
        Err(error) => (None, Some(format!("{}: {error}", plan.file.display()))),
    };
    Json(json!({
        "generation": world.generation,
        "file": plan.file,
        "listeners": plan.listeners.iter().map(|l| l.address.to_string()).collect::<Vec<_>>(),
        "services": plan.services.keys().collect::<Vec<_>>(),
        "routes": plan.routes.len(),
        "last_reload": state.events.last_reload().as_deref(),
        "yaml": yaml,
        "yaml_problem": problem,
        "yaml_in_force": in_force(plan),
    }))
}

/// Whether the file, read now, says what is in force. Not so after a refused reload, and for a moment after an edit.
fn in_force(plan: &Plan) -> bool {
    let policies: Vec<&str> = plan.services.values().map(|service| service.policy.name.as_str()).collect();
    pointsman_config::load(&plan.file, &policies).is_ok_and(|now| now == *plan)
}

/// `POST /v1/config/reload`
pub(super) async fn reload(state: AppState) -> Result<Json<Outcome>, Problem> {
    let outcome = state.parts.reload.now().await.ok_or_else(Problem::stopping)?;
    settled(outcome, "correct the file and reload again; `pointsman check -c` with its path says the same offline")
}

/// Replaces the values of keys that are named like secrets. By line, since the text may not even be YAML. References
/// to the environment stay: they give nothing away.
fn redact(text: &str) -> String {
    text.split_inclusive('\n').map(redact_line).collect()
}

fn redact_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(colon) = rest.find(':') {
        let (before, after) = rest.split_at(colon + 1);
        out.push_str(before);
        rest = after;
        if is_secret(before) {
            let value = &after[..value_length(after, line.contains('{'))];
            if !value.trim().is_empty() && !value.trim().trim_start_matches(['"', '\'']).starts_with("${") {
                out.push_str(" (hidden)");
                rest = &after[value.len()..];
            }
        }
    }
    out + rest
}

/// Whether the key that ends `before`, which ends in a colon, is named like a secret. What ends in `_file` names a
/// file that holds one.
fn is_secret(before: &str) -> bool {
    let key = before.trim_end_matches([':', '"', '\'', ' ']);
    let key = key.rsplit(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')).next().unwrap_or_default();
    let key = key.to_ascii_lowercase().replace('_', "-");
    !key.ends_with("-file")
        && ["authorization", "token", "secret", "password", "passwd", "cookie", "api-key", "apikey"]
            .iter()
            .any(|word| key.contains(word))
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
        let shown = redact(
            "admin: { token_file: secrets/token }\n  headers: { authorization: \"Bearer a, bc\", x-shard: 7, token: t1 }\n\
             \x20   password: hunter2, and more\n    \"X-API-Key\": k123\n    authorization: ${HEALTH_TOKEN}\n\
             # a comment: stays\n",
        );
        for gone in ["Bearer", "bc", "t1", "hunter2", "more", "k123"] {
            assert!(!shown.contains(gone), "{shown}");
        }
        for kept in ["token_file: secrets/token", "x-shard: 7", "${HEALTH_TOKEN}", "# a comment: stays"] {
            assert!(shown.contains(kept), "{kept} in {shown}");
        }
        assert_eq!(shown.lines().count(), 6);
    }
}
