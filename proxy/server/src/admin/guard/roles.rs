//! What each path needs, and whether a token's role grants it.

use axum::http::{Method, StatusCode};
use pointsman_config::plan::{Role, Token, TokenHash};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::admin::PATHS;
use crate::admin::problem::Problem;

/// What it takes to ask for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing, not even a token.
    Nothing,
    /// Any token.
    Token,
    /// To look at services; a token that is bound to one looks at that one.
    Look,
    /// To look at everything.
    Read,
    /// To change who serves; a token that is bound to a service, there.
    Nodes,
    /// To change anything.
    All,
}

impl Need {
    /// The roles that have it.
    pub(in crate::admin) fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Token | Self::Look => &["read", "nodes", "all"],
            Self::Read => &["read", "all"],
            Self::Nodes => &["nodes", "all"],
            Self::All => &["all"],
        }
    }

    /// What a request needs, by the path that it matched. What is not there needs a token, so that nobody without one
    /// learns what is.
    pub(super) fn of(method: &Method, matched: Option<&str>) -> Self {
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let path = |listed: &'static str| listed.split('?').next();
        let row = PATHS.iter().find(|(listed, at, ..)| *listed == method && path(at) == matched);
        row.map_or(Self::Token, |(_, _, need, _)| *need)
    }
}

/// The token that is offered, if it is one. Every hash is compared to its end, so time tells neither how much of one
/// was right nor which it was. A hash without salt is right for what nobody can guess: `pointsman admin token` makes
/// 256 random bits (NIST SP 800-63B §5.1.2.2 wants salt and stretching below 112).
pub(super) fn find<'a>(tokens: &'a [Token], offered: &str) -> Option<&'a Token> {
    let offered: [u8; 32] = Sha256::digest(offered).into();
    let mut found = u64::MAX;
    for (index, token) in (0..).zip(tokens) {
        let (hash, known) = token.hash.as_ref().map_or(([0; 32], 0), |hash| (*hash.bytes(), 1));
        let equal = hash.ct_eq(&offered) & Choice::from(known);
        found = u64::conditional_select(&found, &index, equal);
    }
    usize::try_from(found).ok().and_then(|index| tokens.get(index))
}

/// The hash under which a token is kept.
pub fn hash(token: &str) -> TokenHash {
    TokenHash::new(Sha256::digest(token).into())
}

/// Refuses what the token's role does not grant. `service`: the one that the path names.
pub(super) fn grants(token: &Token, need: Need, what: &str, service: Option<&str>) -> Result<(), Problem> {
    let granted = match (need, token.role) {
        (Need::Nothing | Need::Token, _) | (_, Role::All) | (Need::Look | Need::Read, Role::Read) => true,
        (Need::Look | Need::Nodes, Role::Nodes) => match &token.service {
            Some(own) if service != Some(own) => return Err(elsewhere(token, own)),
            _ => true,
        },
        _ => false,
    };
    if granted {
        return Ok(());
    }
    let roles = need.roles();
    let quoted: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
    let detail =
        format!("token `{}` has the role `{}`; {what} needs {}", token.name, token.role.name(), quoted.join(" or "));
    let next = "use a token with that role, or change its `role` under `admin.tokens`";
    Err(Problem::new(StatusCode::FORBIDDEN, "role", detail, next).with("roles", json!(roles)))
}

fn elsewhere(token: &Token, own: &str) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "other-service",
        format!("token `{}` is bound to the service `{own}`", token.name),
        format!("ask below /v1/services/{own}, or use a token that is bound to no service"),
    )
    .with("service", json!(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, text: &str, role: Role, service: Option<&str>) -> Token {
        Token {
            name: name.into(),
            role,
            service: service.map(str::to_owned),
            hash: Some(hash(text)),
            hash_file: None,
            mark: pointsman_config::plan::Mark::default(),
        }
    }

    #[test]
    fn only_what_is_a_token_is_found() {
        let mut tokens = vec![token("a", "first", Role::All, None), token("b", "second", Role::All, None)];
        let unread = Token { hash: None, ..token("c", "third", Role::All, None) };
        tokens.push(unread);
        let named = |offered: &str| find(&tokens, offered).map(|token| token.name.as_str());
        assert_eq!([named("first"), named("second")], [Some("a"), Some("b")]);
        for other in ["", "third", "firs", "first ", "FIRST", "0"] {
            assert_eq!(named(other), None, "{other}");
        }
        assert!(find(&[], "").is_none());
    }

    #[test]
    fn each_role_has_what_it_is_for() {
        use Need::{All, Look, Nodes, Nothing, Read, Token as AnyToken};
        let needs = [Nothing, AnyToken, Look, Read, Nodes, All];
        let may = |role, bound: Option<&str>, at: Option<&str>| {
            let token = token("t", "x", role, bound);
            needs.map(|need| grants(&token, need, "this", at).is_ok())
        };
        assert_eq!(may(Role::All, None, None), [true; 6]);
        assert_eq!(may(Role::Read, None, None), [true, true, true, true, false, false]);
        assert_eq!(may(Role::Nodes, None, Some("oms")), [true, true, true, false, true, false]);
        assert_eq!(may(Role::Nodes, Some("oms"), Some("oms")), [true, true, true, false, true, false]);
        for elsewhere in [None, Some("api"), Some("oms2"), Some("OMS")] {
            assert_eq!(may(Role::Nodes, Some("oms"), elsewhere), [true, true, false, false, false, false]);
        }
    }

    #[test]
    fn every_change_needs_more_than_to_read() {
        for (method, path, need, _) in PATHS {
            assert_eq!(matches!(need, Need::Nodes | Need::All), method != "GET", "{method} {path}");
            let at = path.split('?').next();
            assert_eq!(Need::of(&method.parse().expect("a method"), at), need, "{method} {path}");
        }
        assert_eq!(Need::of(&Method::HEAD, Some("/metrics")), Need::Read);
        assert_eq!(Need::of(&Method::GET, None), Need::Token);
        assert_eq!(Need::of(&Method::DELETE, Some("/metrics")), Need::Token, "a 405");
    }
}
