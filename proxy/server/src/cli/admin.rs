//! `pointsman admin`: what the admin API needs that is made offline.

use std::process::ExitCode;

use clap::ValueEnum;
use rand::RngCore;
use rand::rngs::OsRng;

use crate::exit;

/// Arguments of `admin`.
#[derive(Debug, clap::Args)]
pub struct AdminArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a token: it is printed once; the proxy keeps its hash.
    #[command(after_help = "\
Examples:
  pointsman admin token --name prometheus --role read
  pointsman admin token --name oms-nodes --role nodes --service oms

Roles: read (GET), nodes (join, heartbeat, leave, drain, undrain, and to look at services), all.")]
    Token {
        /// What the audit calls whoever has it.
        #[arg(long, default_value = "operator")]
        name: String,
        /// What it may ask for.
        #[arg(long, value_enum, default_value = "all")]
        role: Role,
        /// The only service that it may ask about; with `--role nodes`.
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Read,
    Nodes,
    All,
}

/// Runs the command.
pub fn run(args: &AdminArgs) -> ExitCode {
    let Action::Token { name, role, service } = &args.action;
    if service.is_some() && !matches!(role, Role::Nodes) {
        eprintln!("error: only a token with `--role nodes` can be bound to a service");
        return ExitCode::from(exit::USAGE);
    }
    let token = make();
    let role = role.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    println!("{token}");
    eprintln!("\nThe token stands above, this once. Under `admin.tokens` of the YAML:\n");
    eprintln!("{}", line(&token, name, &role, service.as_deref()));
    ExitCode::from(exit::OK)
}

/// 256 bits of the system's chance; the prefix lets those who look for leaked secrets know it.
fn make() -> String {
    let mut bits = [0; 32];
    OsRng.fill_bytes(&mut bits);
    bits.iter().fold(String::from("pointsman_"), |text, byte| text + &format!("{byte:02x}"))
}

fn line(token: &str, name: &str, role: &str, service: Option<&str>) -> String {
    let hash: String = crate::admin::hash(token).bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let service = service.map(|service| format!("service: {service}, ")).unwrap_or_default();
    format!("    - {{ name: {name}, role: {role}, {service}hash: \"sha256:{hash}\" }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_what_the_configuration_reads() {
        let token = make();
        assert!(token.len() == 74 && token != make(), "{token}");
        let yaml = |line: String| {
            format!(
                "listeners: [{{ address: 127.0.0.1:0 }}]\nservices: {{ oms: {{ nodes: [] }} }}\nadmin:\n  address: 127.0.0.1:0\n  tokens:\n{line}\n"
            )
        };
        for (role, service) in [("read", None), ("nodes", Some("oms")), ("all", None)] {
            let text = yaml(line(&token, "somebody", role, service));
            let plan = pointsman_config::parse(&text, "x.yaml".as_ref(), &|_| None, &["round-robin"]).expect("good");
            let found = &plan.admin.expect("an admin API").tokens[0];
            assert_eq!((found.name.as_str(), found.role.name(), found.service.as_deref()), ("somebody", role, service));
            assert_eq!(found.hash, Some(crate::admin::hash(&token)));
        }
    }
}
