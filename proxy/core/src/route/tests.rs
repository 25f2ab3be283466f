use pointsman_config::plan::Route;
use proptest::prelude::*;

use super::*;
use crate::facts::Plain;

fn route(host: &str, path: &str, methods: &[&str], headers: &[(&str, &str)]) -> Route {
    let path = match path.strip_prefix('=') {
        Some(exact) => Some(PathMatch::Exact(exact.into())),
        None if path.is_empty() => None,
        None => Some(PathMatch::Prefix(path.into())),
    };
    Route {
        matches: Match {
            host: (!host.is_empty()).then(|| host.into()),
            path,
            methods: methods.iter().map(ToString::to_string).collect(),
            headers: headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        },
        ..Route::default()
    }
}

fn get(host: &str, path: &str) -> Plain {
    Plain { method: "GET".into(), host: host.into(), path: path.into(), ..Plain::default() }
}

fn found(routes: &[Route], facts: &Plain) -> Option<usize> {
    Router::new(routes).find(facts)
}

#[test]
fn nothing_matches_where_nothing_is_written() {
    assert_eq!(found(&[], &get("a.com", "/")), None);
}

#[test]
fn an_exact_host_beats_a_wildcard_beats_any() {
    let routes = [route("", "=/x", &["GET"], &[]), route("*.a.com", "=/x", &[], &[]), route("b.a.com", "", &[], &[])];
    assert_eq!(found(&routes, &get("b.a.com", "/x")), Some(2));
    assert_eq!(found(&routes, &get("c.a.com", "/x")), Some(1));
    assert_eq!(found(&routes, &get("a.org", "/x")), Some(0));
}

#[test]
fn of_wildcards_the_longer_suffix_wins() {
    let routes = [route("*.com", "", &[], &[]), route("*.a.com", "", &[], &[])];
    assert_eq!(found(&routes, &get("x.a.com", "/")), Some(1));
    assert_eq!(found(&routes, &get("a.com", "/")), Some(0));
}

#[test]
fn a_wildcard_takes_several_labels_but_not_none() {
    let routes = [route("*.a.com", "", &[], &[])];
    assert_eq!(found(&routes, &get("x.y.a.com", "/")), Some(0));
    assert_eq!(found(&routes, &get("a.com", "/")), None);
    assert_eq!(found(&routes, &get("xa.com", "/")), None);
}

#[test]
fn a_host_that_holds_but_not_its_path_leaves_the_request_to_the_next_host() {
    let routes = [route("a.com", "/x", &[], &[]), route("", "", &[], &[])];
    assert_eq!(found(&routes, &get("a.com", "/y")), Some(1));
}

#[test]
fn hosts_are_compared_without_case_and_without_the_last_dot() {
    let routes = [route("a.com", "", &[], &[])];
    assert_eq!(found(&routes, &get("A.CoM", "/")), Some(0));
    assert_eq!(found(&routes, &get("a.com.", "/")), Some(0));
}

#[test]
fn a_host_longer_than_any_name_matches_only_any() {
    let long = "a".repeat(300);
    assert_eq!(found(&[route(&long, "", &[], &[])], &get(&long, "/")), None);
    assert_eq!(found(&[route("", "", &[], &[])], &get(&long, "/")), Some(0));
}

#[test]
fn an_exact_path_beats_a_longer_prefix() {
    let routes = [route("", "/orders/7", &[], &[]), route("", "=/orders/7", &[], &[])];
    assert_eq!(found(&routes, &get("", "/orders/7")), Some(1));
    assert_eq!(found(&routes, &get("", "/orders/7/")), Some(0));
}

#[test]
fn of_prefixes_the_longer_wins() {
    let routes = [route("", "/", &[], &[]), route("", "/orders/", &[], &[]), route("", "/orders/big", &[], &[])];
    assert_eq!(found(&routes, &get("", "/orders/big/7")), Some(2));
    assert_eq!(found(&routes, &get("", "/orders/7")), Some(1));
    assert_eq!(found(&routes, &get("", "/other")), Some(0));
}

#[test]
fn a_prefix_ends_on_a_whole_segment() {
    let routes = [route("", "/orders/", &[], &[])];
    for (path, index) in [("/orders", Some(0)), ("/orders/", Some(0)), ("/orders/7", Some(0)), ("/ordersx", None)] {
        assert_eq!(found(&routes, &get("", path)), index, "{path}");
    }
}

#[test]
fn a_prefix_that_would_cut_a_character_does_not_match() {
    assert_eq!(found(&[route("", "/é", &[], &[])], &get("", "/aé")), None);
}

#[test]
fn any_prefix_beats_no_path() {
    let routes = [route("", "", &["GET"], &[("x", "1")]), route("", "/", &[], &[])];
    let facts = Plain { headers: vec![("x".into(), "1".into())], ..get("", "/") };
    assert_eq!(found(&routes, &facts), Some(1));
}

#[test]
fn a_named_method_beats_none() {
    let routes = [route("", "/", &[], &[]), route("", "/", &["POST", "GET"], &[])];
    assert_eq!(found(&routes, &get("", "/")), Some(1));
    assert_eq!(found(&routes, &Plain { method: "PUT".into(), ..get("", "/") }), Some(0));
}

#[test]
fn more_headers_beat_fewer() {
    let routes = [route("", "/", &[], &[("a", "1")]), route("", "/", &[], &[("a", "1"), ("b", "2")])];
    let both = Plain { headers: vec![("a".into(), "1".into()), ("b".into(), "2".into())], ..get("", "/") };
    assert_eq!(found(&routes, &both), Some(1));
    let one = Plain { headers: vec![("a".into(), "1".into())], ..get("", "/") };
    assert_eq!(found(&routes, &one), Some(0));
}

#[test]
fn a_header_that_stands_there_twice_matches_nothing() {
    let routes = [route("", "/", &[], &[("a", "1")])];
    let twice = Plain { headers: vec![("a".into(), "1".into()), ("a".into(), "1".into())], ..get("", "/") };
    assert_eq!(found(&routes, &twice), None);
}

#[test]
fn of_equals_the_first_written_wins() {
    let routes = [route("", "/a", &["GET"], &[]), route("", "/a/", &["GET"], &[])];
    assert_eq!(found(&routes, &get("", "/a")), Some(0));
}

/// What "best" means: one fold over all routes that match, keeping the first of equals.
fn by_fold(routes: &[Route], facts: &Plain) -> Option<usize> {
    let mut best: Option<(Precedence, usize)> = None;
    for (index, route) in routes.iter().enumerate() {
        let precedence = Precedence::of(&route.matches);
        if holds(&route.matches, facts) && best.is_none_or(|(other, _)| precedence > other) {
            best = Some((precedence, index));
        }
    }
    best.map(|(_, index)| index)
}

fn holds(matches: &Match, facts: &Plain) -> bool {
    let host = match matches.host.as_deref() {
        None => true,
        Some(host) => match host.strip_prefix('*') {
            Some(suffix) => facts.host.ends_with(suffix) && facts.host.len() > suffix.len(),
            None => host == facts.host,
        },
    };
    let path = match &matches.path {
        None => true,
        Some(PathMatch::Exact(path)) => *path == facts.path,
        Some(PathMatch::Prefix(prefix)) => {
            format!("{}/", facts.path).starts_with(&format!("{}/", precedence::without_slash(prefix)))
        }
    };
    let method = matches.methods.is_empty() || matches.methods.contains(&facts.method);
    host && path && method && matches.headers.iter().all(|(name, value)| facts.header(name) == HeaderValue::One(value))
}

fn any_route() -> impl Strategy<Value = Route> {
    let host = prop::sample::select(vec!["", "a.com", "b.a.com", "*.a.com", "*.com"]);
    let path = prop::sample::select(vec!["", "/", "/a", "/a/", "/a/b", "=/a", "=/a/b", "=/"]);
    let methods = prop::sample::select(vec![&[][..], &["GET"], &["POST", "GET"]]);
    let headers = prop::sample::select(vec![&[][..], &[("x", "1")], &[("x", "1"), ("y", "1")]]);
    (host, path, methods, headers).prop_map(|(h, p, m, r)| route(h, p, m, r))
}

fn any_request() -> impl Strategy<Value = Plain> {
    let host = prop::sample::select(vec!["", "a.com", "b.a.com", "c.b.a.com", "com", "x.org"]);
    let path = prop::sample::select(vec!["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "*"]);
    let method = prop::sample::select(vec!["GET", "POST", "PUT"]);
    let headers = prop::sample::subsequence(vec![("x", "1"), ("y", "1"), ("y", "2")], 0..=3);
    (host, path, method, headers).prop_map(|(host, path, method, headers)| Plain {
        method: method.into(),
        headers: headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        ..get(host, path)
    })
}

proptest! {
    #[test]
    fn the_index_finds_what_the_fold_finds(routes in prop::collection::vec(any_route(), 0..12), facts in any_request()) {
        prop_assert_eq!(found(&routes, &facts), by_fold(&routes, &facts));
    }
}
