//! Who takes part, and how each is set up for the same work: one worker, kept connections, nothing logged.

use std::fmt::{self, Write};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::scenario::Scenario;

const LUA: [&str; 2] = ["ndk_http_module.so", "ngx_http_lua_module.so"];
const NGINX_MODULES: &str = "/usr/lib/nginx/modules";

/// A proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Contender {
    Nginx,
    Haproxy,
    /// As it is shipped.
    Ours,
    /// The same binary with `lane: off`: every request carried by pingora.
    Pingora,
    /// The same proxy with its rule as plain Rust (`native-proxy`): what the sandbox costs.
    Native,
}

/// A proxy or node that accepts.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

impl fmt::Display for Contender {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Ours => "ours",
            Self::Pingora => "pingora",
            Self::Native => "native",
        })
    }
}

impl Contender {
    /// Starts it in front of `nodes` and waits until it accepts.
    pub(crate) fn start(
        self,
        scenario: Scenario,
        nodes: &[SocketAddr],
        ours: &Path,
        folder: &Path,
    ) -> Result<Running, String> {
        let dir = folder.join(format!("{self}-{scenario}"));
        fs::create_dir_all(&dir).map_err(|problem| problem.to_string())?;
        let listen = free_address()?;
        let (file, text) = match self {
            Self::Nginx => ("nginx.conf", nginx(scenario, nodes, &dir)?),
            Self::Haproxy => ("haproxy.cfg", haproxy(scenario, nodes)),
            Self::Ours | Self::Native => ("ours.yaml", yaml(scenario, nodes)),
            Self::Pingora => {
                ("ours.yaml", yaml(scenario, nodes).replace("address: @listen@", "{ address: @listen@, lane: off }"))
            }
        };
        let config = dir.join(file);
        fs::write(&config, text.replace("@listen@", &listen.to_string())).map_err(|problem| problem.to_string())?;
        let mut command = match self {
            Self::Nginx => Command::new("nginx"),
            Self::Haproxy => Command::new("haproxy"),
            Self::Ours | Self::Pingora => Command::new(ours),
            Self::Native => Command::new(ours.with_file_name("native-proxy")),
        };
        match self {
            Self::Nginx => command.arg("-p").arg(&dir).arg("-c").arg(&config),
            Self::Haproxy => command.arg("-db").arg("-f").arg(&config),
            Self::Native => command.arg("-c").arg(&config).args(["--threads", "1"]),
            Self::Ours | Self::Pingora => command.arg("run").arg("-c").arg(&config).args(["--threads", "1"]),
        };
        accepting(self.to_string(), &mut command, listen, &dir)
    }
}

/// Starts the nodes behind the proxies.
pub(crate) fn start_nodes(tools: &Path, count: usize) -> Result<Vec<Running>, String> {
    let dir = std::env::temp_dir();
    (1..=count)
        .map(|number| {
            let (name, listen) = (format!("node-{number}"), free_address()?);
            let mut command = Command::new(tools.join("demo-node"));
            command.args(["--bare", "--id", &name, "--listen", &listen.to_string()]);
            accepting(name, &mut command, listen, &dir)
        })
        .collect()
}

fn accepting(name: String, command: &mut Command, address: SocketAddr, dir: &Path) -> Result<Running, String> {
    let log = dir.join(format!("{name}-{}.log", std::process::id()));
    let mut process = Process::start(command, &log)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).is_err() {
        if process.has_ended() || Instant::now() > deadline {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("{name} does not accept on {address}; it said:\n{said}"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = fs::remove_file(&log);
    Ok(Running { name, address, process })
}

/// nginx and HAProxy cannot tell which port the system gave them, so one is looked for first.
fn free_address() -> Result<SocketAddr, String> {
    let held = TcpListener::bind("127.0.0.1:0").map_err(|problem| problem.to_string())?;
    held.local_addr().map_err(|problem| problem.to_string())
}

fn nginx(scenario: Scenario, nodes: &[SocketAddr], dir: &Path) -> Result<String, String> {
    let (mut modules, mut lua, mut balance) = (String::new(), String::new(), String::new());
    if scenario.is_modulo() {
        for module in LUA {
            let path = Path::new(NGINX_MODULES).join(module);
            if !path.exists() {
                return Err(format!("{} is missing (Debian: libnginx-mod-http-lua)", path.display()));
            }
            let _ = writeln!(modules, "load_module {};", path.display());
        }
        let ports: Vec<String> = nodes.iter().map(|node| node.port().to_string()).collect();
        let _ = write!(
            lua,
            "init_by_lua_block {{ balancer = require \"ngx.balancer\"; ports = {{ {} }} }}",
            ports.join(", ")
        );
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
    Ok(include_str!("nginx.conf.in")
        .replace("@modules@", &modules)
        .replace("@lua@", &lua)
        .replace("@balance@", &balance)
        .replace("@dir@", &dir.display().to_string()))
}

fn haproxy(scenario: Scenario, nodes: &[SocketAddr]) -> String {
    let mut rules = String::new();
    for (index, node) in nodes.iter().enumerate() {
        if scenario.is_modulo() {
            let _ = writeln!(
                rules,
                "    use-server n{index} if {{ req.hdr(x-customer-id),mod({}) eq {index} }}",
                nodes.len()
            );
        }
        let _ = writeln!(rules, "    server n{index} {node}");
    }
    include_str!("haproxy.cfg.in").replace("@rules@", &rules)
}

fn yaml(scenario: Scenario, nodes: &[SocketAddr]) -> String {
    let policy = if scenario.is_modulo() {
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
    include_str!("ours.yaml.in").replace("@policy@", &policy).replace("@nodes@", list.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_configuration_is_one_that_we_accept() {
        let nodes = [SocketAddr::from(([127, 0, 0, 1], 9001)), SocketAddr::from(([127, 0, 0, 1], 9002))];
        for scenario in [Scenario::Small, Scenario::Modulo] {
            let text = yaml(scenario, &nodes).replace("@listen@", "127.0.0.1:8080");
            let built_in = ["round-robin", "customer-modulo"];
            let plan = pointsman_config::parse(&text, Path::new("ours.yaml"), &|_| None, &built_in);
            let plan = plan.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
            assert_eq!(plan.services["bench"].nodes.len(), 2);
        }
    }
}
