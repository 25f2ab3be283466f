//! nginx: static round robin, or a LuaJIT balancer.

use std::fmt::Write;
use std::path::Path;

use super::Site;

const LUA: [&str; 2] = ["ndk_http_module.so", "ngx_http_lua_module.so"];
const MODULES: &str = "/usr/lib/nginx/modules";

pub(super) fn config(site: &Site<'_>) -> Result<String, String> {
    let nodes = site.stage.nodes;
    let (mut modules, mut lua, mut balance) = (String::new(), String::new(), String::new());
    if site.stage.scenario.is_modulo() {
        for module in LUA {
            let path = Path::new(MODULES).join(module);
            if !path.exists() {
                return Err(format!("{} is missing (Debian: libnginx-mod-http-lua)", path.display()));
            }
            let _ = writeln!(modules, "load_module {};", path.display());
        }
        lua = script(nodes.iter().map(std::net::SocketAddr::port));
        let _ = write!(
            balance,
            "server 127.0.0.1:1; balancer_by_lua_block {{ \
             local id = tonumber(ngx.var.http_x_customer_id) or 0; \
             balancer.set_current_peer(\"127.0.0.1\", ports[id % {} + 1]) }}",
            nodes.len()
        );
    } else {
        for node in nodes {
            let _ = write!(balance, "server {node}; ");
        }
    }
    // Ours gathers lines for a few milliseconds before it writes them, so nginx may gather them too.
    let access_log = if site.stage.access_log {
        format!("{} combined buffer=64k flush=100ms", site.access_log.display())
    } else {
        "off".into()
    };
    // A quarter of the system calls of its usual pages of 4 KiB; still larger ones fall out of the processor's cache.
    let buffers = "proxy_buffers 8 16k; proxy_buffer_size 16k; proxy_busy_buffers_size 32k;";
    let (flag, identity) = site.identity.as_ref().map_or_else(Default::default, |identity| {
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        (" ssl", format!("ssl_certificate {certificate}; ssl_certificate_key {key};"))
    });
    Ok(include_str!("nginx.conf.in")
        .replace("@ssl@", flag)
        .replace("@identity@", &identity)
        .replace("@buffers@", if site.stage.tuned { buffers } else { "" })
        .replace("@modules@", &modules)
        .replace("@lua@", &lua)
        .replace("@balance@", &balance)
        .replace("@access_log@", &access_log)
        .replace("@listen@", &site.listen.to_string())
        .replace("@dir@", &site.dir.display().to_string()))
}

fn script(ports: impl Iterator<Item = u16>) -> String {
    let ports: Vec<String> = ports.map(|port| port.to_string()).collect();
    format!("init_by_lua_block {{ balancer = require \"ngx.balancer\"; ports = {{ {} }} }}", ports.join(", "))
}
