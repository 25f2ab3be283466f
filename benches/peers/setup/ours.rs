//! This proxy.

use std::fmt::Write;

use super::Site;

pub(super) fn config(site: &Site<'_>, lane: bool) -> String {
    let nodes = site.stage.nodes;
    let policy = if site.stage.scenario.is_modulo() {
        format!(
            "    policy: {{ use: customer-modulo, with: {{ slots: {} }} }}\n    key: {{ header: x-customer-id }}",
            nodes.len()
        )
    } else {
        "    policy: round-robin".to_owned()
    };
    let mut list = String::new();
    for (number, node) in (1..).zip(nodes) {
        let _ = writeln!(list, "      - {{ id: node-{number}, ordinal: {number}, address: \"{node}\" }}");
    }
    // One file for a whole measurement: a rotated one would not be counted.
    let access_log = if site.stage.access_log {
        format!("{{ path: \"{}\", max_size: 64GiB }}", site.access_log.display())
    } else {
        "off".to_owned()
    };
    let identity = site.identity.as_ref().map(|identity| {
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        format!(", tls: {{ certificates: [{{ cert: \"{certificate}\", key: \"{key}\" }}] }}")
    });
    include_str!("ours.yaml.in")
        .replace("@identity@", identity.as_deref().unwrap_or_default())
        .replace("@listen@", &site.listen.to_string())
        .replace("@lane@", if lane { "on" } else { "off" })
        .replace("@access_log@", &access_log)
        .replace("@policy@", &policy)
        .replace("@nodes@", list.trim_end())
}
