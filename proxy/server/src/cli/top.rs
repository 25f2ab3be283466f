//! `pointsman top`: services and nodes live in a terminal.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::{Client, Failure, Target, finish};
use super::table::{self, Cell};

mod reading;

use reading::Reading;

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pointsman top                                watch until Ctrl-C
  pointsman top -c pointsman.yaml --every 2    look every two seconds
  pointsman top --once                         one look, e.g. into a file

REQ/S and latencies are those of the time between two looks. Into a file or a pipe it looks once.")]
pub struct TopArgs {
    #[command(flatten)]
    target: Target,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    every: f64,
    /// Look once and end.
    #[arg(long)]
    once: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.2..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.2 to 3600".into()),
    }
}

/// Runs the command.
pub fn run(args: TopArgs) -> ExitCode {
    let TopArgs { target, every, once } = args;
    finish(target.client().and_then(|client| {
        let every = Duration::from_secs_f64(every);
        let live = std::io::stdout().is_terminal() && !once;
        if live { watch(&client, every) } else { look_once(&client, every) }
    }))
}

/// One look's worth: what `/v1/services` and `/metrics` said at one moment.
struct Look {
    at: Instant,
    services: Value,
    reading: Reading,
}

fn look(client: &Client) -> Result<Look, Failure> {
    let services = client.get_json("/v1/services")?;
    let reading = Reading::of(&client.get("/metrics")?, &services);
    Ok(Look { at: Instant::now(), services, reading })
}

/// A rate needs two looks.
fn look_once(client: &Client, every: Duration) -> Result<(), Failure> {
    let before = look(client)?;
    std::thread::sleep(every);
    let now = look(client)?;
    println!("{}", page(client, &before, &now, table::colour()).join("\n"));
    Ok(())
}

/// Draws over what it drew, line by line, so that nothing flickers. A proxy that goes away is waited for.
fn watch(client: &Client, every: Duration) -> Result<(), Failure> {
    let mut before = look(client)?;
    print!("\u{1b}[2J");
    loop {
        std::thread::sleep(every);
        let lines = match look(client) {
            Ok(now) => {
                let lines = page(client, &before, &now, table::colour());
                before = now;
                lines
            }
            Err(failure @ Failure::Unreachable { .. }) => vec![failure.to_string()],
            Err(failure) => return Err(failure),
        };
        let mut out = String::from("\u{1b}[H");
        lines.iter().flat_map(|line| line.lines()).for_each(|line| out += &format!("{line}\u{1b}[K\n"));
        out.push_str("\u{1b}[J");
        let mut terminal = std::io::stdout();
        if terminal.write_all(out.as_bytes()).and_then(|()| terminal.flush()).is_err() {
            // The terminal is gone.
            return Ok(());
        }
    }
}

fn page(client: &Client, before: &Look, now: &Look, colour: bool) -> Vec<String> {
    let span = (now.at - before.at).as_secs_f64();
    let mut lines = vec![format!("pointsman at {}, generation {}", client.place(), now.services["generation"])];
    for service in now.services["services"].as_array().into_iter().flatten() {
        let name = service["name"].as_str().unwrap_or_default();
        let figures = now.reading.since(&before.reading, name, span);
        lines.push(String::new());
        lines.push(format!(
            "{name}  policy {}  {} req/s  {} failed/s  p50 {}  p99 {}",
            service["policy"].as_str().unwrap_or_default(),
            show(figures.requests),
            show(figures.failed),
            figures.p50.map_or("-".into(), time),
            figures.p99.map_or("-".into(), time),
        ));
        let nodes = service["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rows: Vec<Vec<Cell>> =
            nodes.iter().map(|node| row(node, now.reading.node_rate(&before.reading, name, node, span))).collect();
        if !rows.is_empty() {
            lines.extend(table::lines(
                &["STANDING", "NODE", "REQ/S", "IN FLIGHT", "LEASE", "LAST FAILURE"],
                &rows,
                colour,
            ));
        }
    }
    lines
}

fn row(node: &Value, rate: Option<f64>) -> Vec<Cell> {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let lease = node["lease_ms"].as_u64().map_or("in YAML".into(), |ms| format!("{:.1} s", ms as f64 / 1000.0));
    vec![
        Cell::standing(text("standing")),
        Cell::text(text("id")),
        Cell::number(rate.map_or("-".into(), show)),
        Cell::number(node["in_flight"].to_string()),
        Cell::number(lease),
        Cell::text(text("last_failure")),
    ]
}

fn show(rate: f64) -> String {
    if rate >= 100.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

fn time(seconds: f64) -> String {
    if seconds >= 1.0 { format!("{seconds:.2} s") } else { format!("{:.2} ms", seconds * 1000.0) }
}
