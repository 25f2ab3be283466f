//! Envoy: static round robin, or its Lua filter naming the cluster of one node.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::Site;

const HEADER: &str = "x-node-number";

pub(super) fn config(site: &Site<'_>) -> String {
    let nodes = site.stage.nodes;
    let type_of = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
    let mut filters = Vec::new();
    let (clusters, routes): (Vec<Value>, Vec<Value>) = if site.stage.scenario.is_modulo() {
        filters.push(json!({
            "name": "envoy.filters.http.lua",
            "typed_config": {
                "@type": type_of("filters.http.lua.v3.Lua"),
                "default_source_code": { "inline_string": script(nodes.len()) },
            },
        }));
        (0..).zip(nodes).map(|(number, node)| (cluster(number, &[*node]), route(number, true))).unzip()
    } else {
        (vec![cluster(0, nodes)], vec![route(0, false)])
    };
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": type_of("filters.http.router.v3.Router") },
    }));
    let mut manager = json!({
        "@type": type_of("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }] },
        "http_filters": filters,
    });
    if site.stage.access_log {
        manager["access_log"] = json!([{
            "name": "envoy.access_loggers.file",
            "typed_config": { "@type": type_of("access_loggers.file.v3.FileAccessLog"), "path": site.access_log },
        }]);
    }
    let mut chain = json!({ "filters": [
        { "name": "envoy.filters.network.http_connection_manager", "typed_config": manager },
    ] });
    if let Some(identity) = &site.identity {
        chain["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": type_of("transport_sockets.tls.v3.DownstreamTlsContext"),
                "common_tls_context": { "tls_certificates": [{
                    "certificate_chain": { "filename": identity.certificate },
                    "private_key": { "filename": identity.key },
                }] },
            },
        });
    }
    json!({ "static_resources": {
        "listeners": [{ "name": "front", "address": address(site.listen), "filter_chains": [chain] }],
        "clusters": clusters,
    } })
    .to_string()
}

fn address(of: SocketAddr) -> Value {
    json!({ "socket_address": { "address": of.ip().to_string(), "port_value": of.port() } })
}

fn cluster(number: usize, nodes: &[SocketAddr]) -> Value {
    let endpoints: Vec<Value> = nodes.iter().map(|node| json!({ "endpoint": { "address": address(*node) } })).collect();
    let name = format!("nodes-{number}");
    // Its circuit breakers stop at 1,024 connections and requests unless told otherwise.
    let many = 100_000;
    json!({
        "name": name,
        "type": "STATIC",
        "lb_policy": "ROUND_ROBIN",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [
            { "max_connections": many, "max_pending_requests": many, "max_requests": many },
        ] },
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": endpoints }] },
    })
}

fn route(number: usize, by_header: bool) -> Value {
    let mut condition = json!({ "prefix": "/" });
    if by_header {
        condition["headers"] = json!([{ "name": HEADER, "string_match": { "exact": number.to_string() } }]);
    }
    json!({ "match": condition, "route": { "cluster": format!("nodes-{number}") } })
}

fn script(nodes: usize) -> String {
    format!(
        "function envoy_on_request(handle)\n\
         \x20 local headers = handle:headers()\n\
         \x20 local id = tonumber(headers:get(\"x-customer-id\")) or 0\n\
         \x20 headers:replace(\"{HEADER}\", tostring(id % {nodes}))\n\
         end\n"
    )
}
