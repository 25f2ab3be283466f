//! `pointsman nodes`: who may serve, and why not; drain, undrain or remove one.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::client::{Client, Failure, Target, finish, segment};
use super::table::{self, Cell};

/// Arguments of `nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pointsman nodes                              every service and its nodes
  pointsman nodes oms                          one service
  pointsman nodes -c pointsman.yaml --json     the same as JSON, for programs
  pointsman nodes drain oms oms-2              oms-2 finishes what it holds and gets nothing new
  pointsman nodes drain oms oms-2 --wait       the same, and return when it holds nothing any more
  pointsman nodes undrain oms oms-2            it gets new requests again
  pointsman nodes remove oms oms-2             take a node that joined out of its service
  pointsman nodes lower-mark oms               forget ordinals above those of the nodes that are there")]
#[command(args_conflicts_with_subcommands = true)]
pub struct NodesArgs {
    #[command(flatten)]
    target: Target,
    /// Print JSON as the proxy sends it.
    #[arg(long, global = true)]
    json: bool,
    /// Show this service only.
    service: Option<String>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Let a node finish what it holds and give it nothing new. Outlives reloads.
    Drain {
        #[command(flatten)]
        which: Which,
        /// Return only when it holds nothing any more.
        #[arg(long)]
        wait: bool,
    },
    /// Give a drained node new requests again.
    Undrain(Which),
    /// Take a node that joined out of its service. One that stands in the YAML is taken out there.
    Remove(Which),
    /// Lower a service's high-water mark to the greatest ordinal of the nodes that are there, e.g. after one had joined
    /// with a mistyped ordinal. Customers of a policy that counts in ordinals move.
    LowerMark {
        /// The service.
        service: String,
    },
}

/// One node.
#[derive(Debug, clap::Args)]
struct Which {
    /// Its service.
    service: String,
    /// Its id.
    id: String,
}

/// Runs the command.
pub fn run(args: NodesArgs) -> ExitCode {
    let NodesArgs { target, json, service, action } = args;
    finish(target.client().and_then(|client| match &action {
        None => show(&client, service.as_deref(), json),
        Some(Action::LowerMark { service }) => lower_mark(&client, service, json),
        Some(Action::Drain { which, wait }) => {
            act(&client, which, ("POST", "/drain", "drains: it gets nothing new"), json)?;
            if *wait { finished(&client, which) } else { Ok(()) }
        }
        Some(Action::Undrain(which)) => act(&client, which, ("POST", "/undrain", "may take new requests again"), json),
        Some(Action::Remove(which)) => act(&client, which, ("DELETE", "", "is removed"), json),
    }))
}

/// `how`: method, what follows the node's path, and what is said once it is done.
fn act(client: &Client, which: &Which, how: (&str, &str, &str), json: bool) -> Result<(), Failure> {
    let (method, suffix, done) = how;
    let path = format!("/v1/services/{}/nodes/{}{suffix}", segment(&which.service), segment(&which.id));
    let answer = client.send(method, &path, b"")?;
    if json {
        println!("{answer}");
    } else {
        println!("{}/{} {done}", which.service, which.id);
    }
    Ok(())
}

/// Waits until a node holds nothing, and says meanwhile how much is left.
fn finished(client: &Client, which: &Which) -> Result<(), Failure> {
    const LOOK: Duration = Duration::from_millis(200);
    let path = format!("/v1/services/{}/nodes/{}", segment(&which.service), segment(&which.id));
    let mut told = None;
    loop {
        let left = client.get_json(&path)?["in_flight"].as_u64();
        if left != told {
            eprintln!("{}/{} holds {}", which.service, which.id, left.unwrap_or_default());
            told = left;
        }
        if left == Some(0) {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

fn lower_mark(client: &Client, service: &str, json: bool) -> Result<(), Failure> {
    let answer = client.send("POST", &format!("/v1/services/{}/high-water/lower", segment(service)), b"")?;
    if json {
        println!("{answer}");
    } else {
        println!("{service}: the high-water mark is {}, it was {}", answer["high_water"], answer["was"]);
    }
    Ok(())
}

fn show(client: &Client, service: Option<&str>, json: bool) -> Result<(), Failure> {
    let answer = match service {
        Some(service) => {
            serde_json::json!({ "services": [client.get_json(&format!("/v1/services/{}", segment(service)))?] })
        }
        None => client.get_json("/v1/services")?,
    };
    if json {
        println!("{answer:#}");
    } else {
        print!("{}", describe(&answer, table::colour()));
    }
    Ok(())
}

/// All services, one table each.
fn describe(answer: &Value, colour: bool) -> String {
    let services = answer["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    if services.is_empty() {
        return "no services; add one under `services:` in the YAML\n".into();
    }
    let mut out = String::new();
    for service in services {
        let nodes = service["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |name: &str| service[name].as_str().unwrap_or_default();
        let serve = nodes.iter().filter(|node| matches!(node["standing"].as_str(), Some("up" | "degraded"))).count();
        let primary = match (service.get("primary"), &service["epoch"]) {
            (None, _) => String::new(),
            (Some(Value::String(id)), epoch) => format!(", primary {id} in epoch {epoch}"),
            (Some(_), epoch) => format!(", no primary now (the last epoch was {epoch})"),
        };
        let (name, policy, all) = (text("name"), text("policy"), nodes.len());
        out += &format!("{name}  policy {policy}, {serve} of {all} nodes serve{primary}\n");
        let rows: Vec<Vec<Cell>> = nodes.iter().map(row).collect();
        if !rows.is_empty() {
            let heads =
                ["STANDING", "NODE", "ORDINAL", "ADDRESS", "WEIGHT", "IN FLIGHT", "REQUESTS", "LEASE", "LAST FAILURE"];
            out += &table::lines(&heads, &rows, colour).join("\n");
            out.push('\n');
        }
        out.push('\n');
    }
    out.pop();
    out
}

fn row(node: &Value) -> Vec<Cell> {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let number = |name: &str| node[name].as_u64().map_or("-".into(), |value| value.to_string());
    let lease = node["lease_ms"].as_u64().map_or("in YAML".into(), |ms| format!("{:.1} s", ms as f64 / 1000.0));
    vec![
        Cell::standing(text("standing")),
        Cell::text(text("id")),
        Cell::number(number("ordinal")),
        Cell::text(text("address")),
        Cell::number(number("weight")),
        Cell::number(number("in_flight")),
        Cell::number(number("requests")),
        Cell::number(lease),
        Cell::text(text("last_failure")),
    ]
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn a_table_a_service() {
        let answer = serde_json::json!({"services": [
            {"name": "oms", "policy": "customer-modulo", "primary": "oms-1", "epoch": 8, "nodes": [
                {"id": "oms-1", "ordinal": 1, "address": "127.0.0.1:9001", "weight": 1, "standing": "up", "in_flight": 3,
                 "requests": 120, "lease_ms": 2500},
                {"id": "b", "address": "127.0.0.1:9002", "weight": 20, "standing": "down", "in_flight": 0,
                 "last_failure": "connection refused"}]},
            {"name": "empty", "policy": "round-robin", "primary": null, "epoch": 7, "nodes": []}]});
        let expected = "\
oms  policy customer-modulo, 1 of 2 nodes serve, primary oms-1 in epoch 8
  STANDING  NODE   ORDINAL  ADDRESS         WEIGHT  IN FLIGHT  REQUESTS    LEASE  LAST FAILURE
  ● up      oms-1        1  127.0.0.1:9001       1          3       120    2.5 s
  ✕ down    b            -  127.0.0.1:9002      20          0         -  in YAML  connection refused

empty  policy round-robin, 0 of 0 nodes serve, no primary now (the last epoch was 7)
";
        assert_eq!(describe(&answer, false), expected);
    }
}
