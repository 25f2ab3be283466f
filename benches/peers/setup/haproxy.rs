//! HAProxy: static round robin, its own rules, or a server chosen by Lua.

use std::fmt::Write;

use super::Site;

pub(super) fn config(site: &Site<'_>, lua: bool) -> String {
    let nodes = site.stage.nodes;
    let (mut load, mut rules) = (String::new(), String::new());
    if lua {
        let _ = write!(load, "    lua-load {}", site.dir.join("pick.lua").display());
        let _ = writeln!(rules, "    use-server %[req.hdr(x-customer-id),lua.node_of] if TRUE");
    }
    for (index, node) in nodes.iter().enumerate() {
        if site.stage.scenario.is_modulo() && !lua {
            let _ = writeln!(
                rules,
                "    use-server n{index} if {{ req.hdr(x-customer-id),mod({}) eq {index} }}",
                nodes.len()
            );
        }
        let _ = writeln!(rules, "    server n{index} {node}");
    }
    let log = ["", "    log stdout format raw local0\n    option httplog"][usize::from(site.stage.access_log)];
    // Bodies then go from socket to socket inside the kernel.
    let splice = ["", "    option splice-response"][usize::from(site.stage.tuned)];
    let identity = site.identity.as_ref().map(|identity| format!(" ssl crt {}", identity.both.display()));
    include_str!("haproxy.cfg.in")
        .replace("@identity@", identity.as_deref().unwrap_or_default())
        .replace("@splice@", splice)
        .replace("@lua@", &load)
        .replace("@log@", log)
        .replace("@listen@", &site.listen.to_string())
        .replace("@rules@", &rules)
}

/// The converter that `use-server` asks: the cheapest door from HAProxy into Lua.
pub(super) fn script(nodes: usize) -> String {
    let names: Vec<String> = (0..nodes).map(|index| format!("\"n{index}\"")).collect();
    format!(
        "local nodes = {{ {} }}\n\
         core.register_converters(\"node_of\", function(id)\n\
         \x20   return nodes[(tonumber(id) or 0) % {nodes} + 1]\n\
         end)\n",
        names.join(", ")
    )
}
