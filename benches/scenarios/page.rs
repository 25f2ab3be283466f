//! NAME.html: one file that loads nothing, read in light and in dark.

use std::fmt::Write;

use crate::chart::{self, escaped};
use crate::report::Report;

const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#fff;--ink:#1c2733;--soft:#5b6875;--grid:#dfe4ea;--good:#2f7fb8;--bad:#c8321f;--mark:#8a5a00;
--s0:#1f77b4;--s1:#c2570c;--s2:#2c8a3d;--s3:#8e44ad;--s4:#b0183a;--s5:#00838f;--s6:#6b5900;--s7:#555}
@media (prefers-color-scheme:dark){:root{--ground:#12181f;--ink:#e4e9ee;--soft:#9fabb7;--grid:#2c3742;--good:#5cb0e6;--bad:#ff7b66;
--mark:#e8b04a;--s0:#6cb8f0;--s1:#ff9e57;--s2:#76d08a;--s3:#cf9bea;--s4:#ff8099;--s5:#5fd6e0;--s6:#d9c860;--s7:#bbb}}
body{background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:920px;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem}h2{margin-top:2.2rem}p.soft,td.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:14px}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--grid);
vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.no{color:var(--bad);font-weight:700}
.wide{overflow-x:auto}svg{width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:var(--ink)}svg .small{font-size:10px;fill:var(--mark)}
.axis{stroke:var(--soft);fill:none}.grid{stroke:var(--grid);fill:none}.line{fill:none;stroke-width:2}.good{fill:var(--good)}.bad{fill:var(--bad)}
.box{fill-opacity:.25;stroke-width:1.5}.mark{stroke:var(--mark);stroke-dasharray:3 3;fill:none}
.s0{--c:var(--s0)}.s1{--c:var(--s1);stroke-dasharray:7 3}.s2{--c:var(--s2);stroke-dasharray:2 3}.s3{--c:var(--s3);stroke-dasharray:9 3 2 3}
.s4{--c:var(--s4);stroke-dasharray:1 4}.s5{--c:var(--s5);stroke-dasharray:12 4}.s6{--c:var(--s6);stroke-dasharray:5 2 1 2}.s7{--c:var(--s7)}
g[class^=s]{stroke-dasharray:none}.line,.box{stroke:var(--c)}.box,.dot{fill:var(--c)}.line{fill:none}";

/// Time is cut into about so many bars.
const BARS: f64 = 120.0;

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut text = format!(
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>\
         <title>{name}</title><style>{STYLE}</style><h1>{name}</h1><p>{about}</p>",
        name = escaped(report.scenario),
        about = escaped(report.about)
    );
    let verdict = if report.fine { "Everything is as expected." } else { "<span class='no'>Not as expected.</span>" };
    let _ = write!(
        text,
        "<p><strong>{verdict}</strong> {} requests in {:.1} s, {} failed, {} misrouted, {} ran twice, {} kills; p50 {} ms, p99 {} \
         ms.</p><p class='soft'>Proxy, nodes and clients on one machine; proxy built with profile {}. Latency counts from when a \
         request was due.</p>",
        report.requests,
        report.seconds,
        report.failed,
        report.misrouted,
        report.duplicated,
        report.kills,
        report.p50_ms,
        report.p99_ms,
        report.profile
    );
    tables(&mut text, report);
    plots(&mut text, report);
    samples(&mut text, report);
    text.push_str("</html>\n");
    text
}

fn tables(text: &mut String, report: &Report) {
    text.push_str("<h2>What was asked</h2><div class='wide'><table>");
    for asked in &report.asked {
        let _ = write!(text, "<tr><td>{}<td>{}", escaped(asked.what), escaped(&asked.value));
    }
    text.push_str(
        "</table></div><h2>Expected and seen</h2><div class='wide'><table><tr><th>what<th>expected<th>seen<th>",
    );
    for claim in &report.claims {
        let fine = match (claim.fine, claim.timed) {
            (true, _) if claim.expected == "–" => "told",
            (true, _) => "as expected",
            (false, true) => "<span class='no'>slower</span>",
            (false, false) => "<span class='no'>NO</span>",
        };
        let cells = [&claim.what, &claim.expected, &claim.told_of()].map(|cell| escaped(cell));
        let _ = write!(text, "<tr><td>{}<td>{}<td>{}<td>{fine}", cells[0], cells[1], cells[2]);
    }
    text.push_str(
        "</table></div><h2>Parts of the play</h2><div class='wide'><table><tr><th>part<th class='n'>from, s<th class='n'>requests\
         <th class='n'>failed<th class='n'>p50, ms<th class='n'>p99, ms<th class='n'>slowest, ms",
    );
    for part in &report.phases {
        let _ = write!(
            text,
            "<tr><td>{}<td class='n'>{:.1}<td class='n'>{}<td class='n'>{}<td class='n'>{}<td class='n'>{}<td class='n'>{}",
            escaped(&part.name),
            part.from_s,
            part.requests,
            part.failed,
            part.p50_ms,
            part.p99_ms,
            part.max_ms
        );
    }
    text.push_str(
        "</table></div><h2>What was done to nodes</h2><div class='wide'><table><tr><th class='n'>at, s<th>what<th>node\
                   <th class='n'>the proxy saw it after, ms",
    );
    for deed in &report.marks {
        let node = escaped(&deed.node);
        let _ = write!(
            text,
            "<tr><td class='n'>{:.2}<td>{}<td>{node}<td class='n'>{}",
            deed.at_s, deed.what, deed.seen_after_ms
        );
    }
    text.push_str("</table></div>");
}

fn plots(text: &mut String, report: &Report) {
    let end = report.ends.iter().map(|(at, _)| *at).fold(0.0, f64::max);
    let step = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0].into_iter().find(|step| end / step <= BARS).unwrap_or(30.0);
    let mut all = vec![0.0; (end / step) as usize + 1];
    let mut failed = all.clone();
    for (at, bad) in &report.ends {
        let slot = (at / step) as usize;
        all[slot] += 1.0 / step;
        failed[slot] += f64::from(u8::from(*bad)) / step;
    }
    let marks: Vec<(f64, String)> =
        report.marks.iter().map(|deed| (deed.at_s, format!("{} {}", deed.what, deed.node))).collect();
    let nodes: Vec<(String, u64)> = report.per_node.iter().map(|(name, count)| (name.clone(), *count)).collect();
    for (title, plot) in [
        ("Latency distribution", chart::percentiles(&report.times)),
        ("Latency by part (5, 25, 50, 75, 95%; dot 99%; cross slowest)", chart::boxes(&report.times)),
        ("Errors over time", chart::over_time(&failed, step, "failed requests, 1/s", &marks, "bad")),
        ("Requests over time", chart::over_time(&all, step, "ended requests, 1/s", &marks, "good")),
        ("Share per node", chart::shares(&nodes)),
    ] {
        let _ = write!(text, "<h2>{title}</h2>{plot}");
    }
}

fn samples(text: &mut String, report: &Report) {
    if report.failures.is_empty() {
        return;
    }
    text.push_str("<h2>Failures</h2><div class='wide'><table><tr><th>what<th class='n'>requests");
    for (what, count) in &report.failures {
        let _ = write!(text, "<tr><td>{}<td class='n'>{count}", escaped(what));
    }
    text.push_str("</table></div>");
}
