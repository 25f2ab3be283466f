//! `sticky_cookie`: the signed cookie by which a client comes back to its node.

use std::fs;
use std::time::Duration;

use super::Checks;
use super::fields::{Fields, Known};
use super::words::{is_token, quote};
use crate::plan::{Mark, Secrets, StickyCookie};
use crate::raw::Value;

const COOKIE: Known = Known { fields: &["name", "secret", "secret_file", "max_age"], later: &[] };

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// Some secrets and room for white space; a file that is longer holds something else.
const LONGEST_FILE: u64 = 4096;

const MAKE: &str = "`openssl rand -hex 32` makes one; where there are several the first signs and any verifies";

/// The cookie of a service, if it has one.
pub(crate) fn cookie(service: &Fields, service_name: &str) -> Option<StickyCookie> {
    service.require_if_written("sticky_cookie");
    let fields = Fields::open(service.checks, service.get("sticky_cookie")?, service.label("sticky_cookie"), &COOKIE);
    let name = name(&fields).unwrap_or_else(|| format!("pointsman-{service_name}"));
    let max_age = fields.duration("max_age", SECOND..=YEAR);
    let (secrets, secret_file) = (secrets(&fields), fields.path("secret_file"));
    let mark = match (fields.get("secret"), fields.get("secret_file")) {
        (Some(_), Some(file)) => {
            let message = format!("{} has both `secret` and `secret_file`", fields.what);
            fields.checks.report(file.mark, message, "one says it");
            return None;
        }
        (Some(node), None) | (None, Some(node)) => node.mark,
        (None, None) => {
            if fields.is_mapping {
                let hint = format!("name a `secret_file`, or write `secret: ${{NAME}}`; {MAKE}");
                fields.checks.report(fields.mark, format!("{} has no secret to sign with", fields.what), hint);
            }
            return None;
        }
    };
    Some(StickyCookie { name, secrets: secrets.unwrap_or_default(), secret_file, max_age, mark })
}

fn name(fields: &Fields) -> Option<String> {
    let name = fields.text("name")?;
    if !is_token(name) || name.starts_with("__") {
        let message = format!("{} is no name for this cookie", quote(name));
        let hint =
            "letters, digits and `-`, such as `node`; names that begin with `__` bind browsers to rules of their own";
        fields.checks.report(fields.get("name")?.mark, message, hint);
    }
    Some(name.to_owned())
}

/// Out of the environment alone. What stands there is never repeated.
fn secrets(fields: &Fields) -> Option<Secrets> {
    let node = fields.get("secret")?;
    let Value::Text(text) = &node.value else {
        return in_clear(fields.checks, node.mark);
    };
    if !text.from_env {
        return in_clear(fields.checks, node.mark);
    }
    let secrets = Secrets::parse(&text.text);
    if secrets.is_none() {
        wrong(fields.checks, node.mark, &fields.label("secret"));
    }
    secrets
}

fn in_clear(checks: &Checks, mark: Mark) -> Option<Secrets> {
    let hint = "write `secret: ${NAME}` and set that variable, or name a `secret_file`";
    checks.report(mark, "a secret does not belong in the configuration", hint);
    None
}

fn wrong(checks: &Checks, mark: Mark, what: &str) {
    let (most, shortest) = (Secrets::MOST, Secrets::SHORTEST);
    let message = format!("{what} wants 1 to {most} secrets of {shortest} characters or more, parted by white space");
    checks.report(mark, message, MAKE);
}

/// Reads the secrets that stand in a file of their own.
pub(crate) fn read_secrets(cookie: &mut StickyCookie, checks: &Checks) {
    let Some(file) = &cookie.secret_file else { return };
    let shown = file.display();
    let size = fs::metadata(file).map(|found| found.len());
    match size.and_then(|size| if size > LONGEST_FILE { Ok(String::new()) } else { fs::read_to_string(file) }) {
        Ok(text) => match Secrets::parse(&text) {
            Some(secrets) => cookie.secrets = secrets,
            None => wrong(checks, cookie.mark, &shown.to_string()),
        },
        Err(error) => {
            let hint =
                "paths are relative to the folder of the configuration; the user that the proxy runs as reads it";
            checks.report(cookie.mark, format!("cannot read {shown}: {error}"), hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Source, plan};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn check(cookie: &str) -> Result<plan::Plan, String> {
        let text = format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\nservices:\n  web:\n    policy: round-robin\n    \
             sticky_cookie: {cookie}\n    nodes: [{{ id: a, address: 127.0.0.1:9 }}]\n\
             routes: [{{ match: {{}}, service: web }}]\n"
        );
        let env = |name: &str| (name == "PM_SECRET").then(|| SECRET.to_owned());
        let checked = Source::new(Path::new("pointsman.yaml"), &text).check(&env, &["round-robin"]);
        checked.map_err(|problems| problems.list.iter().map(|problem| problem.render(false)).collect())
    }

    #[test]
    fn a_cookie_is_named_and_signed() {
        let plan = check("{ secret: \"${PM_SECRET}\", max_age: 8h }").expect("a plan");
        let cookie = plan.services["web"].sticky_cookie.as_ref().expect("a cookie");
        assert_eq!(cookie.name, "pointsman-web");
        assert_eq!(cookie.secrets.iter().collect::<Vec<_>>(), [SECRET.as_bytes()]);
        assert_eq!(cookie.max_age, Some(std::time::Duration::from_hours(8)));
        assert!(!serde_json::to_string(&plan).expect("JSON").contains(SECRET));
        let plan = check("{ name: node, secret_file: keys/web }").expect("a plan, whose file is not read here");
        let cookie = plan.services["web"].sticky_cookie.as_ref().expect("a cookie");
        assert_eq!((cookie.name.as_str(), cookie.secret_file.as_deref()), ("node", Some(Path::new("keys/web"))));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        for (cookie, cause) in [
            ("{}", "has no secret to sign with"),
            ("{ secret: \"${PM_SECRET}\", secret_file: a }", "has both `secret` and `secret_file`"),
            (&format!("{{ secret: {SECRET} }}"), "a secret does not belong in the configuration"),
            ("{ secret: \"${PM_SHORT:-abcdefghijkl}\" }", "wants 1 to 8 secrets of 32 characters or more"),
            ("{ name: a b, secret_file: a }", "`a b` is no name for this cookie"),
            ("{ name: __Host-a, secret_file: a }", "`__Host-a` is no name for this cookie"),
            ("{ file: a }", "unknown field `file`"),
        ] {
            let told = check(cookie).expect_err("it is refused");
            assert!(told.contains(cause), "{cookie}: {told}");
            assert!(!told.contains(SECRET), "{told}");
        }
    }
}
