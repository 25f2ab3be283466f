use std::time::Duration;

use super::*;

#[test]
fn the_same_names_give_the_same_counters() {
    let metrics = Metrics::new();
    metrics.service("oms", "round-robin").request(200, Duration::from_millis(1));
    metrics.service("oms", "customer-modulo").request(200, Duration::from_millis(1));
    assert!(metrics.render().contains("pointsman_requests_total{code=\"200\",service=\"oms\"} 2\n"));
}

#[test]
fn a_pick_counts_under_who_decided() {
    let metrics = Metrics::new();
    let handles = metrics.service("oms", "round-robin");
    handles.picked();
    handles.fell_back("trap");
    handles.fell_back("something new");
    let text = metrics.render();
    for line in [
        "pointsman_picks_total{by=\"policy\",fault=\"\",policy=\"round-robin\",service=\"oms\"} 1",
        "pointsman_picks_total{by=\"fallback\",fault=\"trap\",policy=\"round-robin\",service=\"oms\"} 1",
        "pointsman_picks_total{by=\"fallback\",fault=\"other\",policy=\"round-robin\",service=\"oms\"} 1",
    ] {
        assert!(text.contains(line), "{line} is missing from\n{text}");
    }
}

#[test]
fn a_status_out_of_range_makes_no_series_of_its_own() {
    let metrics = Metrics::new();
    let handles = metrics.service("oms", "p");
    for status in [0, 99, 600, u16::MAX] {
        handles.request(status, Duration::ZERO);
    }
    assert!(metrics.render().contains("pointsman_requests_total{code=\"none\",service=\"oms\"} 4\n"));
}

#[test]
fn gauges_of_a_node_that_left_vanish() {
    let metrics = Metrics::new();
    let there = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let seen = Arc::clone(&there);
    metrics.on_scrape(move |gauges| {
        if seen.load(Ordering::Relaxed) {
            gauges.node("oms", "oms-1", 3, 1, 0);
        }
    });
    assert!(metrics.render().contains("pointsman_node_in_flight{node=\"oms-1\",service=\"oms\"} 3\n"));
    there.store(false, Ordering::Relaxed);
    assert!(!metrics.render().contains("oms-1"));
}

/// What `promtool check metrics` asks for: help and type for each family, counters end in `_total` and nothing else
/// does, base units, no colon.
#[test]
fn families_follow_the_naming_rules() {
    let metrics = Metrics::new();
    let handles = metrics.service("oms", "p");
    handles.request(200, Duration::from_micros(70));
    handles.upstream(Duration::from_micros(60));
    metrics.on_scrape(|gauges| {
        gauges.node("oms", "oms-1", 0, 0, 0);
        gauges.registry("oms", 1);
    });
    metrics.health_transition("oms", "oms-1", "up");
    metrics.check("oms", true);
    metrics.lease_lost("oms");
    metrics.ejected("oms", "oms-1", "row");
    metrics.spared("oms", "oms-1");
    metrics.reloaded("swapped", 2);
    metrics.policy_quarantined("p");
    metrics.policy_swapped("p");
    let text = metrics.render();
    let mut families = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a kind");
        families += 1;
        assert!(name.starts_with("pointsman_") && !name.contains(':'), "{name}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert_eq!(kind == "histogram", name.ends_with("_seconds"), "{name} is a {kind}");
        assert!(!["_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end)), "{name}");
    }
    assert_eq!(families, 27, "{text}");
    let inf = "pointsman_request_duration_seconds_bucket{service=\"oms\",le=\"+Inf\"} 1";
    assert!(text.contains(inf), "{text}");
}
