//! `pointsman policy`: which policies route, and new versions of them while traffic flows.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use super::client::{Client, Failure, Target, finish, segment};
use super::table::{self, Cell};

/// Arguments of `policy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pointsman policy list                        name, version, digest and faults of each
  pointsman policy upload vip-first vip.wasm   prove a new version and swap it in; requests under way keep the old

An uploaded policy is kept and serves until the file that the YAML names changes. One that is no good is refused, and
the old one keeps serving.")]
pub struct PolicyArgs {
    #[command(flatten)]
    target: Target,
    /// Print JSON as the proxy sends it.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// The policies in force.
    List,
    /// Bring a new version of a policy.
    Upload {
        /// Its name in the YAML.
        name: String,
        /// The component.
        file: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: PolicyArgs) -> ExitCode {
    let PolicyArgs { target, json, action } = args;
    finish(target.client().and_then(|client| match &action {
        Action::List => list(&client, json),
        Action::Upload { name, file } => upload(&client, name, file, json),
    }))
}

fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let answer = client.get_json("/v1/policies")?;
    if json {
        println!("{answer:#}");
        return Ok(());
    }
    let policies = answer["policies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Vec<Cell>> = policies.iter().map(row).collect();
    let heads = ["POLICY", "VERSION", "DIGEST", "FAULTS", "SERVICES", "SOURCE"];
    println!("{}", table::lines(&heads, &rows, table::colour()).join("\n"));
    Ok(())
}

fn row(policy: &Value) -> Vec<Cell> {
    let text = |name: &str| policy[name].as_str().unwrap_or_default();
    let services: Vec<&str> = policy["services"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let faults: u64 =
        policy["faults"].as_object().into_iter().flat_map(|faults| faults.values()).filter_map(Value::as_u64).sum();
    let quarantined = policy["quarantined"].as_bool() == Some(true);
    let bad = policy["quarantined_digest"].as_str().map(|digest| format!("{digest:.12} ")).unwrap_or_default();
    vec![
        Cell::text(text("name")),
        Cell::text(text("version")),
        Cell::text(text("digest").chars().take(12).collect::<String>()),
        Cell::text(if quarantined { format!("{faults}, {bad}quarantined") } else { faults.to_string() }),
        Cell::text(if services.is_empty() { "-".into() } else { services.join(", ") }),
        Cell::text(text("source")),
    ]
}

fn upload(client: &Client, name: &str, file: &Path, json: bool) -> Result<(), Failure> {
    let wasm = std::fs::read(file).map_err(|error| {
        Failure::Config(format!(
            "error: {}: {error}\n  help: name the component's file, e.g. vip_first.wasm",
            file.display()
        ))
    })?;
    let answer = client.send("PUT", &format!("/v1/policies/{}", segment(name)), &wasm)?;
    if json {
        println!("{answer:#}");
    } else {
        println!("{name}: {}, generation {}", answer["outcome"].as_str().unwrap_or("done"), answer["generation"]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_a_policy() {
        let policy = serde_json::json!({"name": "vip-first", "version": "1.2.0", "digest": "0123456789abcdef",
            "source": "./vip.wasm", "services": ["oms", "api"], "faults": {"trap": 2, "late": 1}, "quarantined": true, "quarantined_digest": "fedcba9876543210"});
        let text = table::lines(&["P", "V", "D", "F", "S", "FROM"], &[row(&policy)], false).pop().expect("a row");
        assert_eq!(text, "  vip-first  1.2.0  0123456789ab  3, fedcba987654 quarantined  oms, api  ./vip.wasm");
    }
}
