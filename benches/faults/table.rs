//! Plays the rows one after the other and shows what came of them.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Instant;

use serde::Serialize;

use crate::Terms;
use crate::rows::{Row, Run};
use crate::seen::{Seen, Verdict};

/// A row that was played.
#[derive(Debug, Serialize)]
pub(crate) struct Played {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) fault: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) injector: &'static str,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    pub(crate) seen: Seen,
    pub(crate) seconds: f64,
}

/// Plays each; what it does stands on standard error, on a terminal while it does it.
pub(crate) async fn play(rows: &[&Row], terms: &Terms) -> Vec<Played> {
    let terminal = std::io::stderr().is_terminal();
    let mut played = Vec::new();
    for (at, row) in (1..).zip(rows) {
        if terminal {
            eprint!("\r\x1b[K{at}/{} row {}: {} …", rows.len(), row.number, row.fault);
        }
        let began = Instant::now();
        let (verdict, seen) = row.play(terms).await;
        let seconds = began.elapsed().as_secs_f64();
        let clear = if terminal { "\r\x1b[K" } else { "" };
        eprintln!("{clear}{:>2} {}: {} ({seconds:.0} s)", row.number, row.name, verdict.text().replace("**", ""));
        if let Verdict::Unexpected(why) = &verdict {
            why.iter().for_each(|why| eprintln!("     {why}"));
        }
        let Row { number, name, fault, expected, injector, .. } = row;
        played.push(Played { number: *number, name, fault, expected, injector, verdict, seen, seconds });
    }
    played
}

/// Every row, as Markdown.
pub(crate) fn table(played: &[Played]) -> String {
    let mut text =
        String::from("| # | fault | expected | seen | failed requests | verdict |\n|---|---|---|---|---|---|\n");
    for row in played {
        let seen = row.seen.summary().replace('|', "\\|").replace('\n', " ");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {seen} | {} | {} |",
            row.number,
            row.fault,
            row.expected,
            row.seen.failed,
            row.verdict.text().replace('|', "\\|").replace('\n', " "),
        );
    }
    let of = |wanted: fn(&Verdict) -> bool| played.iter().filter(|row| wanted(&row.verdict)).count();
    let _ = writeln!(
        text,
        "\n{} rows: {} as expected, {} unexpected, {} skipped, {} later.\n",
        played.len(),
        of(|verdict| *verdict == Verdict::Expected),
        of(|verdict| !verdict.is_fine()),
        of(|verdict| matches!(verdict, Verdict::Skipped(_))),
        of(|verdict| matches!(verdict, Verdict::Later(_))),
    );
    text
}

/// What there is to select.
pub(crate) fn list(rows: &[&Row], measurements: &[&str]) -> String {
    let mut text = String::new();
    for row in rows {
        let later = if let Run::Later(why) = row.run { format!(" (later: {why})") } else { String::new() };
        let _ = writeln!(text, "{:>2}  {:<22} {}{later}; by {}", row.number, row.name, row.fault, row.injector);
    }
    let _ = writeln!(text, "Measurements under load: {}", measurements.join(", "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_ends_badly_stands_out() {
        let mut seen = Seen::default();
        seen.same("status", 200, 502);
        seen.failed = 3;
        let verdict = seen.verdict();
        let row =
            Played { number: 7, name: "x", fault: "f", expected: "e", injector: "i", verdict, seen, seconds: 0.0 };
        let text = table(&[row]);
        assert!(text.contains("| 7 | f | e | **NOT** status = 502: 200 | 3 | **unexpected** |"), "{text}");
        assert!(text.contains("1 rows: 0 as expected, 1 unexpected, 0 skipped, 0 later."), "{text}");
    }
}
