//! `tls` of a listener: certificates with their keys, and who has to show one; and of a service: whom nodes must be.

use std::time::Duration;

use rustls::pki_types::ServerName;

use super::fields::{Fields, Known};
use crate::plan::{Authorities, Certificate, NodeTls, Tls, TlsVersion};
use crate::raw::Value;

const TLS: Known = Known { fields: &["certificates", "client_ca", "min_version", "handshake_timeout"], later: &[] };
const NODE: Known = Known { fields: &["ca", "cert", "key", "server_name"], later: &[] };
const CERTIFICATE: Known = Known { fields: &["cert", "key"], later: &[] };

const EXAMPLE: &str = "tls: { certificates: [{ cert: site.pem, key: site.key }] }";

/// How the listener speaks TLS, if it does.
pub(super) fn tls(listener: &Fields) -> Option<Tls> {
    listener.require_if_written("tls");
    let node = listener.get("tls")?;
    let fields = Fields::open(listener.checks, node, format!("`tls` of {}", listener.what), &TLS);
    let timeout = Duration::from_millis(100)..=Duration::from_mins(2);
    Some(Tls {
        certificates: certificates(&fields),
        client_ca: authorities(&fields, "client_ca"),
        min_version: version(&fields).unwrap_or(TlsVersion::V1_2),
        handshake_timeout: fields.duration("handshake_timeout", timeout).unwrap_or(Duration::from_secs(10)),
    })
}

fn certificates(fields: &Fields) -> Vec<Certificate> {
    let items = fields.list("certificates");
    let wrong_kind = fields.get("certificates").is_some_and(|node| node.kind() != "a list");
    if fields.is_mapping && items.is_empty() && !wrong_kind {
        let message = format!("{} has no certificate, so no client could connect", fields.what);
        fields.checks.report(fields.key_mark("certificates"), message, format!("for example `{EXAMPLE}`"));
    }
    let mut found = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let what = format!("certificate {} in {}", index + 1, fields.what);
        let entry = Fields::open(fields.checks, node, what, &CERTIFICATE);
        let (cert, key) = (entry.require("cert"), entry.require("key"));
        if let (Some(_), Some(_), Some(cert), Some(key)) = (cert, key, entry.path("cert"), entry.path("key")) {
            found.push(Certificate { cert, key, mark: entry.mark });
        }
    }
    found
}

/// A file of authorities, where one is named.
pub(super) fn authorities(fields: &Fields, name: &str) -> Option<Authorities> {
    fields.require_if_written(name);
    let mark = fields.get(name)?.mark;
    fields.path(name).map(|path| Authorities { path, mark })
}

fn version(fields: &Fields) -> Option<TlsVersion> {
    let node = fields.get("min_version")?;
    let written = match &node.value {
        Value::Text(text) => text.text.clone(),
        Value::Float(number) => number.to_string(),
        Value::Int(number) => number.to_string(),
        _ => String::new(),
    };
    match written.as_str() {
        "1.2" => Some(TlsVersion::V1_2),
        "1.3" => Some(TlsVersion::V1_3),
        old => {
            let hint = if matches!(old, "1" | "1.0" | "1.1") { "older ones are broken (RFC 8996)" } else { "" };
            fields.wrong("min_version", node, "`1.2` or `1.3`", hint);
            None
        }
    }
}

/// How the nodes of a service are spoken to over TLS, if they are.
pub(super) fn node(service: &Fields) -> Option<NodeTls> {
    service.require_if_written("tls");
    let node = service.get("tls")?;
    let fields = Fields::open(service.checks, node, format!("`tls` of {}", service.what), &NODE);
    if fields.is_mapping && !fields.has("ca") {
        let message = format!("{} has no `ca`, so any node would be believed to be one", fields.what);
        let hint =
            "name the authorities' certificates; those of the system often are /etc/ssl/certs/ca-certificates.crt";
        fields.checks.report(fields.mark, message, hint);
    }
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if fields.has(one) && !fields.has(other) {
            let message = format!("{} has `{one}` without `{other}`", fields.what);
            fields.checks.report(fields.key_mark(one), message, "a certificate is shown with its key, or none is");
        }
    }
    let pair = fields.path("cert").zip(fields.path("key"));
    let certificate = pair.map(|(cert, key)| Certificate { cert, key, mark: fields.key_mark("cert") });
    let server_name = fields.text("server_name").filter(|name| {
        let sound = ServerName::try_from(*name).is_ok();
        if let (false, Some(node)) = (sound, fields.get("server_name")) {
            fields.wrong("server_name", node, "a host name or an IP address", "no port, no scheme");
        }
        sound
    });
    let ca = authorities(&fields, "ca")?;
    Some(NodeTls { ca, certificate, server_name: server_name.map(str::to_owned) })
}
