use super::*;

const DIR: &str = "/tmp/somewhere";

fn nodes() -> Vec<SocketAddr> {
    (9001..=9003).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect()
}

/// Lets `read` see a site for that scenario.
fn with<T>(scenario: Scenario, access_log: bool, read: impl FnOnce(&Site<'_>) -> T) -> T {
    with_tuned(scenario, access_log, false, read)
}

fn with_tuned<T>(scenario: Scenario, access_log: bool, tuned: bool, read: impl FnOnce(&Site<'_>) -> T) -> T {
    let nodes = nodes();
    let stage = Stage { scenario, nodes: &nodes, access_log, tuned };
    let dir = Path::new(DIR);
    let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
    let identity = scenario.is_secure().then(|| secure::Identity {
        certificate: dir.join("front.pem"),
        key: dir.join("front.key"),
        both: dir.join("both.pem"),
    });
    read(&Site { stage: &stage, listen, dir, access_log: dir.join("access.log"), identity })
}

/// nginx's needs its Lua modules on this machine for `modulo`, and says so where they are missing.
fn texts(scenario: Scenario, access_log: bool) -> Vec<(&'static str, String)> {
    with(scenario, access_log, |site| {
        let mut texts = vec![
            ("haproxy", haproxy::config(site, false)),
            ("envoy", envoy::config(site)),
            ("ours", ours::config(site, true)),
        ];
        match nginx::config(site) {
            Ok(text) => texts.push(("nginx", text)),
            Err(problem) => assert!(scenario.is_modulo() && problem.contains("libnginx-mod-http-lua"), "{problem}"),
        }
        if scenario.is_modulo() {
            texts.push(("haproxy-lua", haproxy::config(site, true)));
        }
        texts
    })
}

#[test]
fn every_configuration_names_its_address_and_every_node_and_is_whole() {
    for scenario in [Scenario::Small, Scenario::Modulo, Scenario::Tls] {
        for (name, text) in texts(scenario, false) {
            let identity = text.contains("front.pem") || text.contains("both.pem");
            assert_eq!(identity, scenario.is_secure(), "{name}, {scenario}\n{text}");
            for port in [8080, 9001, 9002, 9003] {
                assert!(text.contains(&port.to_string()), "{name}, {scenario}: no {port} in\n{text}");
            }
            let holder = text.split('@').nth(1).is_some_and(|word| word.chars().all(|c| c.is_ascii_lowercase()));
            assert!(!holder, "{name}, {scenario}: a place is left to fill in\n{text}");
        }
    }
}

#[test]
fn logs_are_written_when_they_are_wanted_and_only_then() {
    let marks = |name: &str| if name.starts_with("haproxy") { "log stdout" } else { "/tmp/somewhere/access.log" };
    for scenario in [Scenario::Small, Scenario::Modulo] {
        for access_log in [false, true] {
            for (name, text) in texts(scenario, access_log) {
                assert_eq!(text.contains(marks(name)), access_log, "{name}, {scenario}\n{text}");
            }
        }
    }
}

#[test]
fn peers_are_tuned_only_when_asked_for() {
    for tuned in [false, true] {
        let haproxy = with_tuned(Scenario::OneMib, false, tuned, |site| haproxy::config(site, false));
        let nginx = with_tuned(Scenario::OneMib, false, tuned, nginx::config).expect("no module is needed");
        assert_eq!((haproxy.contains("splice"), nginx.contains("proxy_buffers")), (tuned, tuned));
        assert!(!haproxy.contains('@') && !nginx.contains('@'), "{haproxy}\n{nginx}");
    }
}

#[test]
fn our_configuration_is_one_that_we_accept() {
    for scenario in [Scenario::Small, Scenario::Modulo] {
        for (access_log, lane) in [(false, true), (true, false)] {
            let text = with(scenario, access_log, |site| ours::config(site, lane));
            let built_in = ["round-robin", "customer-modulo"];
            let plan = pointsman_config::parse(&text, Path::new("ours.yaml"), &|_| None, &built_in);
            let plan = plan.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
            assert_eq!(plan.services["bench"].nodes.len(), 3);
            assert_eq!(plan.listeners[0].lane, lane);
            assert_eq!(plan.access_log != pointsman_config::plan::AccessLog::Off, access_log);
        }
    }
}

#[test]
fn haproxy_chooses_by_its_own_rules_or_by_lua_never_by_both() {
    let own = with(Scenario::Modulo, false, |site| haproxy::config(site, false));
    let lua = with(Scenario::Modulo, false, |site| haproxy::config(site, true));
    assert_eq!((own.matches("use-server").count(), own.contains("lua")), (3, false));
    assert_eq!((lua.matches("use-server").count(), lua.matches("lua-load").count()), (1, 1));
    assert!(haproxy::script(3).contains("{ \"n0\", \"n1\", \"n2\" }"));
}

#[test]
fn envoy_reaches_each_node_through_the_cluster_that_its_lua_names() {
    let parse =
        |scenario| -> serde_json::Value { serde_json::from_str(&with(scenario, false, envoy::config)).expect("JSON") };
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let at = |config: &serde_json::Value, path: &str| {
        config.pointer(path).and_then(serde_json::Value::as_array).map_or(0, Vec::len)
    };
    let small = parse(Scenario::Small);
    assert_eq!(at(&small, "/static_resources/clusters"), 1);
    assert_eq!(at(&small, "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints"), 3);
    assert_eq!(at(&small, &format!("{manager}/http_filters")), 1);
    let modulo = parse(Scenario::Modulo);
    assert_eq!(at(&modulo, "/static_resources/clusters"), 3);
    assert_eq!(at(&modulo, &format!("{manager}/route_config/virtual_hosts/0/routes")), 3);
    assert_eq!(at(&modulo, &format!("{manager}/http_filters")), 2);
}
