//! `demo-node`: one node of a small order-management system, as a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pointsman_demo::join::JoinOptions;
use pointsman_demo::node::{self, NodeOptions};
use pointsman_demo::{bare, span};
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  A node that joins two services of a proxy and leaves them on Ctrl-C:
    demo-node --id oms-1 --ordinal 1 --join http://127.0.0.1:9901 --service oms --service api
  A node that nobody knows of, on a fixed port:
    demo-node --id oms-1 --listen 127.0.0.1:9001
  Make its health check fail, then pass again:
    curl -X POST 'http://127.0.0.1:9001/health?status=503'
    curl -X POST 'http://127.0.0.1:9001/health?status=200'
  An upstream for measurements: 70 bytes for any path, N bytes for /bytes/N:
    demo-node --bare --id a --listen 127.0.0.1:9001

What it answers: GET /health · POST /orders · GET /orders · GET /orders/{id} · /slow?ms=N · /fail?status=N · /echo · /bytes/N
  · PUT and GET /users/{name} · POST /users/{name}/trades · POST /payments/{order} · POST /placed/{order} · POST /trades
  · POST /executions · PUT and GET /sessions/{login} · GET /drop-copy/{stream} · WebSocket echo at /ws
  · GET /stats · GET /stats/ids; each answer names the node in the header x-node.";

/// One node of a small order-management system: it joins a proxy's registry, serves, and leaves when stopped.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Its id, unique in the services that it joins
    #[arg(long)]
    id: String,
    /// Its number, unique in the services that it joins
    #[arg(long)]
    ordinal: Option<u64>,
    /// Where it listens; port 0 asks the system for one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The admin API of the proxy whose registry it joins, as http://HOST:PORT
    #[arg(long, value_name = "URL", requires = "services")]
    join: Option<String>,
    /// A service to join; may be given several times
    #[arg(long = "service", value_name = "NAME", requires = "join")]
    services: Vec<String>,
    /// Life of its lease; it is renewed three times as often
    #[arg(long, default_value = "1s", value_parser = span::parse)]
    ttl: Duration,
    /// File whose first line is the bearer token of the admin API
    #[arg(long, value_name = "FILE", requires = "join")]
    token_file: Option<PathBuf>,
    /// Relative capacity that it joins with
    #[arg(long)]
    weight: Option<u32>,
    /// Failure domain that it joins with
    #[arg(long)]
    zone: Option<String>,
    /// Append every executed order to this file
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Know again after a restart what stands in this file, and append to it; nodes that share one know each other's
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Serve so many requests a second, one after the other, each for the same time
    #[arg(long, value_name = "RATE")]
    capacity: Option<f64>,
    /// Refuse, with 503, requests beyond so many at once
    #[arg(long, value_name = "REQUESTS")]
    most: Option<u64>,
    /// When stopped, ask for no more requests and finish what is under way before leaving
    #[arg(long, requires = "join")]
    drain: bool,
    /// Answer 70 bytes to anything, as fast as can be
    #[arg(long, conflicts_with_all = ["join", "journal", "ledger", "capacity", "most"])]
    bare: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("demo-node: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    // Before anything is said, or a signal right after it would end the process without a farewell.
    let mut terminate = signal(SignalKind::terminate()).map_err(|problem| problem.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|problem| problem.to_string())?;
    let stopped = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    if arguments.bare {
        let server = bare::start(&arguments.id, arguments.listen).map_err(|problem| problem.to_string())?;
        println!("{} listening on {}", arguments.id, server.addr);
        stopped.await;
        server.stop().await;
        return Ok(());
    }
    let id = arguments.id.clone();
    let node = node::start(options(arguments)?).map_err(|problem| problem.to_string())?;
    println!("{id} listening on {}", node.addr);
    stopped.await;
    node.stop().await;
    Ok(())
}

fn options(arguments: Arguments) -> Result<NodeOptions, String> {
    let token = arguments.token_file.as_deref().map(first_line).transpose()?;
    let join = match &arguments.join {
        Some(url) => Some(JoinOptions {
            admin: admin_address(url)?,
            services: arguments.services,
            ttl: arguments.ttl,
            token,
            drain: arguments.drain,
        }),
        None => None,
    };
    Ok(NodeOptions {
        id: arguments.id,
        ordinal: arguments.ordinal,
        listen: arguments.listen,
        weight: arguments.weight,
        zone: arguments.zone,
        join,
        journal: arguments.journal,
        ledger: arguments.ledger,
        capacity: arguments.capacity,
        most_at_once: arguments.most,
    })
}

fn first_line(path: &std::path::Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|problem| format!("{}: {problem}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn admin_address(url: &str) -> Result<SocketAddr, String> {
    use std::net::ToSocketAddrs;
    let authority = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let mut found = authority
        .to_socket_addrs()
        .map_err(|problem| format!("--join {url}: {problem}; write it as http://127.0.0.1:9901"))?;
    found.next().ok_or_else(|| format!("--join {url}: that name has no address"))
}
