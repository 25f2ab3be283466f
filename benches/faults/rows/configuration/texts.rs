//! Files that must be refused whole.

use std::time::Instant;

use crate::Terms;
use crate::rig::{Cause, Puppet, Rig, Setup};
use crate::seen::Seen;

/// Peak of a process's memory in KiB since it was last asked to start anew (proc(5), `VmHWM` and `clear_refs`).
fn peak_kib(pid: u32) -> Result<f64, String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|problem| problem.to_string())?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    peak.ok_or_else(|| "no VmHWM".into())
}

/// Reloads that text and judges that it is refused, where it is wrong, and how soon.
async fn refuse(
    rig: &Rig,
    terms: &Terms,
    seen: &mut Seen,
    name: &str,
    text: &[u8],
    placed: bool,
) -> Result<(), String> {
    let pid = rig.proxy.pid().ok_or("the proxy has ended")?;
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").map_err(|problem| format!("clear_refs: {problem}"))?;
    let before = rig.holds()?.rss_kib;
    let aside = rig.proxy.folder().join("aside.yaml");
    std::fs::write(&aside, text)
        .and_then(|()| std::fs::rename(&aside, rig.proxy.config()))
        .map_err(|p| p.to_string())?;
    let began = Instant::now();
    let outcome = rig.proxy.admin.reload().await.map_err(|problem| format!("{name}: {problem}"))?;
    let took = began.elapsed().as_secs_f64();
    let grown = (peak_kib(pid)? - before) / 1024.0;
    let problems = outcome["problems"].as_array().cloned().unwrap_or_default();
    let refused = outcome["outcome"] == "refused";
    let place = problems.iter().filter_map(|problem| problem.as_str()).any(|text| {
        text.lines().any(|line| {
            let mut parts = line.rsplit(':').map(|part| part.trim().parse::<u64>().is_ok());
            parts.next() == Some(true) && parts.next() == Some(true)
        })
    });
    let serves = rig.ask("GET", "/fault/x").await.status();
    seen.claim(
        name,
        refused && took < terms.slowness() && grown < 64.0 && (place || !placed) && serves == 200,
        format!(
            "{}{} in {:.0} ms, {grown:.0} MiB{}",
            outcome["outcome"].as_str().unwrap_or("no outcome"),
            if place { " with its place" } else { "" },
            took * 1e3,
            if serves == 200 { "" } else { ", and the old one does not serve" }
        ),
    );
    Ok(())
}

async fn rig(terms: &Terms, node: &Puppet) -> Result<Rig, String> {
    Setup::new().faulty(&[node], "policy: round-robin").start(terms).await
}

const REFUSED: Cause<'_> =
    Cause { metric: "pointsman_reloads_total", labels: &["outcome=\"refused\""], log: &["reload-refused"] };

pub(super) async fn wrong(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = rig(terms, &node).await?;
    let good = std::fs::read_to_string(rig.proxy.config()).map_err(|problem| problem.to_string())?;
    let with = |from: &str, to: &str| good.replacen(from, to, 1).into_bytes();
    let cases = [
        ("malformed", with("services:", "services: [")),
        ("a tab", with("  fault:", "\tfault:")),
        ("unknown key", with("policy: round-robin", "polcy: round-robin")),
        ("duplicate key", with("policy: round-robin", "policy: round-robin\n    policy: round-robin")),
        ("duplicate service", with("  fault:\n", "  other: {}\n  fault:\n")),
        ("wrong type", with("policy: round-robin", "nodes: 7")),
        ("wrong duration", with("idle: 1s", "idle: 1 parsec")),
        ("unknown policy", with("policy: round-robin", "policy: no-such-policy")),
        ("a route to nowhere", with("service: fault", "service: nowhere")),
        ("not UTF-8", [good.as_bytes(), b"\xff\xfe\n"].concat()),
        ("two documents", [good.as_bytes(), b"---\n{}\n"].concat()),
    ];
    for (name, text) in cases {
        refuse(&rig, terms, &mut seen, name, &text, name != "not UTF-8").await?;
    }
    rig.judge(&mut seen, &[&node], Vec::new(), &[REFUSED]).await?;
    Ok(seen)
}

pub(super) async fn bombs(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = rig(terms, &node).await?;
    let mut aliases = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let list = vec![format!("*a{}", level - 1); 9].join(", ");
        aliases.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    let nested = format!("services: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let indented: String = (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let large = format!("# {}\nservices: {{}}\n", "x".repeat(100 << 20));
    let long: String = (0..2_000_000).map(|number| format!("k{number}: 1\n")).collect();
    for (name, text, placed) in [
        ("alias bomb", aliases, true),
        ("100,000 brackets", nested, true),
        ("2,000 levels", indented, true),
        ("100 MB in a comment", large, false),
        ("2,000,000 keys", long, false),
    ] {
        refuse(&rig, terms, &mut seen, name, text.as_bytes(), placed).await?;
    }
    rig.judge(&mut seen, &[&node], Vec::new(), &[REFUSED]).await?;
    Ok(seen)
}
