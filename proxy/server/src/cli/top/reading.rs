//! What one look at `/metrics` says, and what happened between two looks.

use std::collections::HashMap;

use serde_json::Value;

/// Counters of one moment.
#[derive(Debug, Default)]
pub(super) struct Reading {
    services: HashMap<String, Counters>,
    /// Requests by service and a node's incarnation.
    nodes: HashMap<(String, u64), u64>,
}

/// Counters of one service.
#[derive(Debug, Default, Clone)]
struct Counters {
    requests: f64,
    failed: f64,
    /// Upper bound in seconds and cumulative count, ascending.
    buckets: Vec<(f64, f64)>,
}

/// What happened between two looks.
#[derive(Debug, PartialEq)]
pub(super) struct Figures {
    /// Requests a second.
    pub(super) requests: f64,
    /// Requests a second that ended in a 5xx, or without an answer.
    pub(super) failed: f64,
    /// Median latency in seconds.
    pub(super) p50: Option<f64>,
    /// 99th percentile in seconds.
    pub(super) p99: Option<f64>,
}

impl Reading {
    /// Reads Prometheus' text format and the body of `/v1/services`.
    pub(super) fn of(metrics: &str, services: &Value) -> Self {
        let mut reading = Self::default();
        for line in metrics.lines() {
            reading.take(line);
        }
        for service in services["services"].as_array().into_iter().flatten() {
            let name = service["name"].as_str().unwrap_or_default();
            for node in service["nodes"].as_array().into_iter().flatten() {
                if let (Some(life), Some(requests)) = (node["incarnation"].as_u64(), node["requests"].as_u64()) {
                    reading.nodes.insert((name.into(), life), requests);
                }
            }
        }
        reading
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (name, rest) = line.split_once('{')?;
        let (labels, value) = rest.rsplit_once("} ")?;
        let label = |wanted: &str| {
            labels.split(',').find_map(|pair| pair.strip_prefix(wanted)?.strip_prefix("=\"")?.strip_suffix('"'))
        };
        let value: f64 = value.parse().ok()?;
        let service = || label("service").map(str::to_owned);
        match name {
            "pointsman_requests_total" => {
                let counters = self.services.entry(service()?).or_default();
                counters.requests += value;
                if label("code").is_some_and(|code| code.starts_with('5') || code == "none") {
                    counters.failed += value;
                }
            }
            "pointsman_request_duration_seconds_bucket" => {
                let bound = label("le")?.parse().unwrap_or(f64::INFINITY);
                self.services.entry(service()?).or_default().buckets.push((bound, value));
            }
            _ => {}
        }
        Some(())
    }

    /// What happened to a service since `before`, `span` seconds ago. A counter that fell began anew.
    pub(super) fn since(&self, before: &Self, service: &str, span: f64) -> Figures {
        let none = Counters::default();
        let now = self.services.get(service).unwrap_or(&none);
        let then = before.services.get(service).filter(|then| then.requests <= now.requests).unwrap_or(&none);
        let grown: Vec<(f64, f64)> = now
            .buckets
            .iter()
            .map(|&(bound, count)| {
                let old = then.buckets.iter().find(|(known, _)| *known == bound).map_or(0.0, |&(_, count)| count);
                (bound, count - old)
            })
            .collect();
        Figures {
            requests: (now.requests - then.requests) / span,
            failed: (now.failed - then.failed) / span,
            p50: percentile(&grown, 0.5),
            p99: percentile(&grown, 0.99),
        }
    }

    /// Requests a second that went to a node; `None` when it has just come.
    pub(super) fn node_rate(&self, before: &Self, service: &str, node: &Value, span: f64) -> Option<f64> {
        let key = (service.to_owned(), node["incarnation"].as_u64()?);
        let (now, then) = (*self.nodes.get(&key)?, *before.nodes.get(&key)?);
        Some(now.checked_sub(then)? as f64 / span)
    }
}

/// A percentile of a cumulative histogram, linear inside its bucket.
fn percentile(buckets: &[(f64, f64)], share: f64) -> Option<f64> {
    let wanted = buckets.last().map(|&(_, all)| all * share).filter(|wanted| *wanted > 0.0)?;
    let index = buckets.iter().position(|&(_, count)| count >= wanted)?;
    let (low, below) = if index == 0 { (0.0, 0.0) } else { buckets[index - 1] };
    let (high, upto) = buckets[index];
    Some(if high.is_finite() { low + (high - low) * (wanted - below) / (upto - below) } else { low })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(ok: u32, failed: u32, fast: u32, all: u32) -> String {
        format!(
            "# HELP pointsman_requests_total x\npointsman_requests_total{{code=\"200\",service=\"oms\"}} {ok}\n\
             pointsman_requests_total{{code=\"503\",service=\"oms\"}} {failed}\n\
             pointsman_request_duration_seconds_bucket{{service=\"oms\",le=\"0.01\"}} {fast}\n\
             pointsman_request_duration_seconds_bucket{{service=\"oms\",le=\"0.1\"}} {all}\n\
             pointsman_request_duration_seconds_bucket{{service=\"oms\",le=\"+Inf\"}} {all}\n"
        )
    }

    fn services(requests: u64) -> Value {
        serde_json::json!({"services": [{"name": "oms", "nodes": [{"incarnation": 7, "requests": requests}]}]})
    }

    #[test]
    fn rates_and_percentiles_are_those_between_two_looks() {
        let before = Reading::of(&metrics(100, 0, 100, 100), &services(40));
        let now = Reading::of(&metrics(296, 4, 200, 300), &services(240));
        let figures = now.since(&before, "oms", 2.0);
        assert_eq!((figures.requests, figures.failed), (100.0, 2.0));
        assert!((figures.p50.expect("some") - 0.01).abs() < 1e-9, "{figures:?}");
        assert!((figures.p99.expect("some") - 0.0982).abs() < 1e-9, "{figures:?}");
        let node = &services(0)["services"][0]["nodes"][0];
        assert_eq!(now.node_rate(&before, "oms", node, 2.0), Some(100.0));
    }

    #[test]
    fn nothing_between_two_looks_has_no_percentile() {
        let (a, b) = (Reading::of(&metrics(5, 0, 5, 5), &services(1)), Reading::of(&metrics(5, 0, 5, 5), &services(1)));
        assert_eq!(b.since(&a, "oms", 1.0), Figures { requests: 0.0, failed: 0.0, p50: None, p99: None });
        assert_eq!(b.since(&a, "nobody", 1.0).requests, 0.0);
    }

    #[test]
    fn a_proxy_that_restarted_does_not_count_backwards() {
        let (a, b) = (
            Reading::of(&metrics(900, 0, 900, 900), &services(900)),
            Reading::of(&metrics(10, 0, 10, 10), &services(10)),
        );
        assert_eq!(b.since(&a, "oms", 1.0).requests, 10.0);
        assert_eq!(b.node_rate(&a, "oms", &services(0)["services"][0]["nodes"][0], 1.0), None);
    }
}
