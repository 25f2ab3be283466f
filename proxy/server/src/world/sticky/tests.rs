//! What a cookie says, and what nobody but the proxy can make it say.

use pointsman_config::plan::{self, Secrets};
use pointsman_core::facts::Plain;
use proptest::prelude::*;

use super::*;
use crate::metrics::Metrics;

const OLD: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210";

fn sticky(service: &str, secrets: &str, max_age: Option<u64>) -> Sticky {
    let plan = StickyCookie {
        name: "node".into(),
        secrets: Secrets::parse(secrets).expect("secrets"),
        secret_file: None,
        max_age: max_age.map(std::time::Duration::from_secs),
        mark: plan::Mark::default(),
    };
    Sticky::new(&plan, service, Metrics::new().sticky(service))
}

fn request(cookie: Option<&str>) -> Plain {
    let headers = cookie.map(|cookie| ("cookie".to_owned(), cookie.to_owned())).into_iter().collect();
    Plain { headers, ..Plain::default() }
}

/// The value of the cookie that a client without one is given, with its attributes.
fn issued(sticky: &Sticky, node: &str, secure: bool) -> String {
    let mut out = Vec::new();
    assert!(sticky.issue(&request(None), node, secure, &mut out));
    String::from_utf8(out).expect("text")
}

/// What stands before the attributes.
fn pair(sticky: &Sticky, node: &str) -> String {
    issued(sticky, node, false).split(';').next().expect("a pair").to_owned()
}

/// The tag is the one that `printf 'pointsman sticky cookie 1\0web\0oms.1' | openssl dgst -sha256 -hmac SECRET` prints.
#[test]
fn a_cookie_is_frozen() {
    let tag = "153e30feee822e1cd93cd57209e97c98021c26717f82acc02b412016931d25c1";
    let sticky = sticky("web", OLD, Some(60));
    assert_eq!(
        issued(&sticky, "oms.1", true),
        format!("node=oms.1.{tag}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure")
    );
}

#[test]
fn who_brings_it_back_is_known_and_given_no_other() {
    let web = sticky("web", OLD, None);
    assert!(issued(&web, "a", false).ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    let cookie = pair(&web, "a");
    for sent in [cookie.clone(), format!("x=1; {cookie}"), format!(" {cookie} ;y"), format!("node=old.junk; {cookie}")]
    {
        let request = request(Some(&sent));
        assert_eq!(web.claim(&request), Claim::Node("a"), "{sent}");
        assert!(!web.issue(&request, "a", true, &mut Vec::new()), "{sent}");
        assert!(web.issue(&request, "b", true, &mut Vec::new()), "another node answered: {sent}");
    }
    assert_eq!(web.metrics.issued.get(), 6);
}

#[test]
fn forged_ones_say_nothing_and_are_replaced() {
    let web = sticky("web", OLD, None);
    let own = pair(&web, "a");
    let tag = own.strip_prefix("node=a.").expect("a tag");
    let foreign = pair(&sticky("shop", OLD, None), "a");
    let stranger = pair(&sticky("web", NEW, None), "a");
    for forged in [
        format!("node=b.{tag}"),
        format!("node=.{tag}"),
        format!("node={tag}"),
        format!("node=a.{}", &tag[1..]),
        format!("node=a.{}", tag.to_uppercase()),
        format!("node=a.{}", "0".repeat(64)),
        "node=".into(),
        "node=a".into(),
        "node=a.".into(),
        "node=ü.".into(),
        foreign,
        stranger,
    ] {
        let request = request(Some(&forged));
        assert_eq!(web.claim(&request), Claim::Forged, "{forged}");
        assert!(web.issue(&request, "a", false, &mut Vec::new()), "{forged}");
    }
    let many = format!("{}{own}", "node=a.junk; ".repeat(MOST));
    assert_eq!(web.claim(&request(Some(&many))), Claim::Forged, "whatever is sent, few are looked at");
    for other in [None, Some(""), Some("Node=a; nodes=b; x"), Some(tag)] {
        assert_eq!(web.claim(&request(other)), Claim::Nothing, "{other:?}");
    }
}

#[test]
fn secrets_rotate() {
    let (old, both, new) =
        (sticky("web", OLD, None), sticky("web", &format!("{NEW} {OLD}"), None), sticky("web", NEW, None));
    let request = request(Some(&pair(&old, "a")));
    assert_eq!(both.claim(&request), Claim::Node("a"));
    assert!(both.issue(&request, "a", false, &mut Vec::new()), "it is signed anew with the first");
    assert_eq!(pair(&both, "a"), pair(&new, "a"));
    assert_eq!(new.claim(&request), Claim::Forged, "the old one is no secret any more");
}

proptest! {
    /// Nobody without a secret makes a cookie, whatever they send.
    #[test]
    fn nothing_else_is_believed(node in "[a-z0-9._-]{0,12}", tag in "[0-9a-f]{64}", junk in ".{0,80}") {
        let web = sticky("web", OLD, None);
        for value in [format!("{node}.{tag}"), junk] {
            let sent = format!("node={value}");
            prop_assert!(!matches!(web.claim(&request(Some(&sent))), Claim::Node(_)), "{}", sent);
        }
    }

    /// What was issued for any node and service is believed there and nowhere else.
    #[test]
    fn a_cookie_holds_for_its_service_alone(
        node in "[a-z0-9][a-zA-Z0-9._-]{0,62}",
        service in "[a-z][a-z.]{0,8}",
        other in "[a-z][a-z.]{0,8}",
    ) {
        let cookie = pair(&sticky(&service, OLD, None), &node);
        let asked = request(Some(&cookie));
        prop_assert_eq!(sticky(&service, OLD, None).claim(&asked), Claim::Node(&node));
        prop_assert_eq!(sticky(&other, OLD, None).claim(&asked) == Claim::Node(&node), service == other);
    }
}
