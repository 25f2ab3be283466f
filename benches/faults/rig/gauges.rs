//! What can be read of a process from outside: its metrics, its memory, its descriptors, its share of a core.

use std::collections::BTreeMap;
use std::path::Path;

/// The text of `/metrics`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// The sum over all series of that family whose labels hold all of `labels` (`reason="reset"`).
    pub(crate) fn sum(&self, family: &str, labels: &[&str]) -> f64 {
        let of = |line: &str| {
            let rest = line.strip_prefix(family)?;
            let (series, value) = rest.rsplit_once(' ')?;
            let whole = series.is_empty() || series.starts_with('{');
            let matches = whole && labels.iter().all(|label| series.contains(label));
            matches.then(|| value.parse::<f64>().ok()).flatten()
        };
        self.0.lines().filter_map(of).sum()
    }

    /// How many series there are.
    pub(crate) fn series(&self) -> usize {
        self.0.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count()
    }
}

/// What a process holds at some moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Holds {
    /// Resident memory, KiB (proc(5), `VmRSS`).
    pub(crate) rss_kib: f64,
    /// Open descriptors.
    pub(crate) descriptors: usize,
    /// Hundredths of a second of a core, user and system, since its start.
    pub(crate) ticks: u64,
}

/// Looks at a process.
pub(crate) fn look(pid: u32) -> Result<Holds, String> {
    let folder = format!("/proc/{pid}");
    let read = |name: &str| {
        let path = Path::new(&folder).join(name);
        std::fs::read_to_string(&path).map_err(|problem| format!("{}: {problem}", path.display()))
    };
    let status = read("status")?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    let descriptors = std::fs::read_dir(format!("{folder}/fd")).map_err(|problem| format!("{folder}/fd: {problem}"))?;
    let stat = read("stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(2);
    Ok(Holds {
        rss_kib: rss.ok_or("no VmRSS")?,
        descriptors: descriptors.count(),
        ticks: fields.filter_map(|field| field.parse::<u64>().ok()).sum(),
    })
}

/// What its descriptors are, and how many of each: `socket`, `anon_inode:[eventpoll]`, a file's path.
pub(crate) fn kinds(pid: u32) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
        let target = std::fs::read_link(entry.path()).map(|path| path.display().to_string()).unwrap_or_default();
        let kind =
            target.strip_suffix(']').and_then(|rest| rest.split_once(":[")).map_or(target.as_str(), |(kind, of)| {
                if of.bytes().all(|byte| byte.is_ascii_digit()) { kind } else { target.as_str() }
            });
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_family_and_label() {
        let text = "# TYPE a_total counter\na_total{reason=\"x\",service=\"s\"} 2\na_total{reason=\"y\",service=\"s\"} 3\n\
                    a_total_more{reason=\"x\"} 9\nbare 4\n";
        let metrics = Metrics(text.into());
        assert_eq!(metrics.sum("a_total", &[]), 5.0);
        assert_eq!(metrics.sum("a_total", &["reason=\"x\""]), 2.0);
        assert_eq!(metrics.sum("a_total", &["reason=\"z\""]), 0.0);
        assert_eq!(metrics.sum("bare", &[]), 4.0);
        assert_eq!(metrics.series(), 4);
    }

    #[test]
    fn this_process_holds_something() {
        let holds = look(std::process::id()).expect("it runs");
        assert!(holds.rss_kib > 0.0 && holds.descriptors > 2);
        assert!(look(0).is_err());
        let kinds = kinds(std::process::id());
        assert!(
            kinds.values().sum::<usize>() > 2 && !kinds.keys().any(|kind| kind.starts_with("socket:[")),
            "{kinds:?}"
        );
    }
}
