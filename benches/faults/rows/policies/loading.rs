//! Modules that must not be loaded, and those that come one after the other.

use std::fmt::Write as _;

use crate::Terms;
use crate::rig::{Cause, Puppet, Rig, Setup, until};
use crate::rows::policies::{guest, own};
use crate::rows::running;
use crate::seen::Seen;

/// A module that takes the compiler minutes: half a million additions in one function, and thousands of those.
fn bomb() -> Vec<u8> {
    let mut text = String::from(";;; module\n");
    for function in 0..60 {
        let _ = writeln!(text, "(func (export \"f{function}\") (param i64) (result i64) (local.get 0)");
        for step in 0..20_000 {
            let _ = writeln!(text, "(i64.mul (i64.const {})) (i64.xor (local.get 0))", function * 20_000 + step);
        }
        text.push_str(")\n");
    }
    own(&text)
}

async fn upload(rig: &Rig, wasm: Vec<u8>) -> Result<u16, String> {
    let request = pointsman_demo::client::Request::new("PUT", "/v1/policies/bad").body(wasm);
    let answer = rig.proxy.admin.send(request.patience(std::time::Duration::from_secs(150))).await;
    match answer {
        Ok(answer) => Ok(answer.status),
        // What is refused by its length may be refused while it is still sent.
        Err(problem) if problem.kind() == std::io::ErrorKind::ConnectionReset => Ok(413),
        Err(problem) if problem.kind() == std::io::ErrorKind::BrokenPipe => Ok(413),
        Err(problem) => Err(format!("the upload: {problem}")),
    }
}

pub(super) async fn refused(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = Setup::new()
        .top("policies: { bad: { wasm: bad.wasm } }\n")
        .file("bad.wasm", guest("base"))
        .faulty(&[&node], "policy: bad")
        .start(terms)
        .await?;
    let core = wat::parse_str("(module (func (export \"pick\")))").map_err(|problem| problem.to_string())?;
    let other = wat::parse_str("(component)").map_err(|problem| problem.to_string())?;
    let mut damaged = guest("base");
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    let mut large = guest("base");
    large.resize(100 << 20, 0);
    let cases = [
        ("garbage", b"not wasm at all".to_vec(), vec![400, 422]),
        ("a core module", core, vec![422]),
        ("another world", other, vec![422]),
        ("damaged", damaged, vec![422]),
        ("100 MB", large, vec![413, 422]),
    ];
    for (name, wasm, wanted) in cases {
        let status = upload(&rig, wasm).await?;
        seen.claim(format!("{name}: {wanted:?}"), wanted.contains(&status), status);
        let served = rig.ask("GET", "/fault/x").await.status();
        if served != 200 {
            seen.claim(format!("{name}: the old one serves"), false, served);
        }
    }
    if terms.quick {
        seen.note("no compile bomb in a quick run");
    } else {
        let began = std::time::Instant::now();
        let status = upload(&rig, bomb()).await?;
        let took = began.elapsed().as_secs_f64();
        seen.claim(
            "compile bomb: refused, or compiled within 60 s",
            status == 422 || status == 200 && took < 90.0,
            format!("{status} after {took:.0} s"),
        );
        seen.same("meanwhile others failed", rig.others_failed(), 0);
    }
    let generation = rig.moved("pointsman_policy_swaps_total", &["policy=\"bad\""]).await?;
    seen.at_most("versions that went live", generation, if terms.quick { 0.0 } else { 1.0 });
    let cause =
        Cause { metric: "pointsman_reloads_total", labels: &["outcome=\"refused\""], log: &["policy-refused", "bad"] };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

/// Answers with a status that says how often this instance was asked.
const COUNTS: &str = ";;; module\n(global $asked (mut i32) (i32.const 0))\n;;; pick\n\
    (global.set $asked (i32.add (global.get $asked) (i32.const 1)))\n\
    (call $refuse (i32.add (i32.const 420) (global.get $asked)) (i32.const 256) (i32.const 17))\n";

pub(super) async fn apart(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = Setup::new()
        .threads("1")
        .top("policies: { counts: { wasm: counts.wasm } }\n")
        .file("counts.wasm", own(COUNTS))
        .faulty(&[&node], "policy: counts")
        .service("also", &[("also-1", node.address)], "policy: counts")
        .start(terms)
        .await?;
    let mut of = [Vec::new(), Vec::new()];
    for (at, path) in [(0, "/fault/x"), (0, "/fault/x"), (1, "/also/x"), (0, "/fault/x"), (1, "/also/x")] {
        of[at].push(rig.ask("GET", path).await.status());
        seen.failed += 1;
    }
    let counted = |statuses: &[u16]| statuses.windows(2).all(|pair| pair[1] == pair[0] + 1);
    seen.claim("each service counts for itself", counted(&of[0]) && counted(&of[1]), format!("{of:?}"));
    seen.same("the first count of both", of[0][0], of[1][0]);
    let cause = Cause {
        metric: "pointsman_refusals_total",
        labels: &["reason=\"policy\"", "service=\"also\""],
        log: &["\"refused\":\"policy\"", "\"service\":\"also\""],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

pub(super) async fn swapped(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let nodes = [Puppet::start("fault-1").await?, Puppet::start("fault-2").await?];
    let only = |node: u32, mark: usize| {
        own(&format!(
            ";;; module\n(data (i32.const 2048) \"{mark:06}\")\n;;; pick\n(call $verdict (i32.const 0) (i32.const {node}))\n"
        ))
    };
    let rig = Setup::new()
        .top("policies: { bad: { wasm: bad.wasm } }\n")
        .file("bad.wasm", only(0, 0))
        .faulty(&[&nodes[0], &nodes[1]], "policy: { use: bad, on_fault: refuse }")
        .start(terms)
        .await?;
    let load = running(rig.load("GET", "/fault/x", 8).rate(200.0))?;
    let (swaps, mut late) = (if terms.quick { 20 } else { 100 }, 0);
    for swap in 1..=swaps {
        let node = swap % 2;
        let status = upload(&rig, only(node as u32, swap)).await?;
        if status != 200 {
            seen.claim(format!("swap {swap} is taken"), false, status);
            break;
        }
        // From the acknowledgement on every worker asks the new one.
        for _ in 0..4 {
            let reply = rig.ask("GET", "/fault/x").await;
            let by = reply.answer.as_ref().ok().and_then(|answer| answer.header("x-node").map(str::to_owned));
            late += u64::from(by.as_deref() != Some(if node == 0 { "fault-1" } else { "fault-2" }));
        }
    }
    let report = load.stop_and_finish().await;
    seen.same(format!("failed of {}", report.requests), report.failed, 0);
    seen.same(format!("by the old one once the new one was acknowledged, of {}", swaps * 4), late, 0);
    until(std::time::Duration::from_secs(5), || async { rig.others_failed() == 0 }).await;
    seen.failed = report.failed;
    let cause =
        Cause { metric: "pointsman_policy_swaps_total", labels: &["policy=\"bad\""], log: &["policy-swapped", "bad"] };
    rig.judge(&mut seen, &[&nodes[0], &nodes[1]], Vec::new(), &[cause]).await?;
    Ok(seen)
}
