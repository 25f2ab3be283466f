//! A process that was started here, and what it uses, its children included (proc(5)).

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A child that is asked to end when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts it; what it says is appended to `log`, which begins empty.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let problem = |problem: io::Error| format!("{name}: {problem}");
        // Appended, so that whoever empties the file while it grows leaves no hole.
        let _ = fs::remove_file(log);
        let out = fs::OpenOptions::new().create(true).append(true).open(log).map_err(problem)?;
        let err = out.try_clone().map_err(problem)?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().map_err(problem)?;
        Ok(Self { child })
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// CPU seconds used so far, user and system, all threads of it and of its living children.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, String> {
        let mut ticks = 0;
        for pid in self.tree()? {
            let stat = read(&format!("/proc/{pid}/stat"))?;
            ticks += cpu_ticks(&stat).ok_or_else(|| format!("/proc/{pid}/stat is not as proc(5) says"))?;
        }
        // USER_HZ is 100 on every Linux that Rust's std runs on (the kernel's ABI fixes it).
        Ok(ticks as f64 / 100.0)
    }

    /// Proportional set size in KiB, of it and of its living children.
    pub(crate) fn pss_kib(&self) -> Result<u64, String> {
        let mut sum = 0;
        for pid in self.tree()? {
            let rollup = read(&format!("/proc/{pid}/smaps_rollup"))?;
            sum += field_kib(&rollup, "Pss:").ok_or_else(|| format!("/proc/{pid}/smaps_rollup has no Pss"))?;
        }
        Ok(sum)
    }

    /// Its pid and those of its children. None of the measured servers has grandchildren.
    fn tree(&self) -> Result<Vec<u32>, String> {
        let own = self.child.id();
        let mut pids = vec![own];
        for entry in fs::read_dir("/proc").map_err(|problem| problem.to_string())?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            if parent(&stat) == Some(own) {
                pids.push(pid);
            }
        }
        Ok(pids)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        // SIGTERM, not SIGKILL: nginx's master would leave its worker behind.
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if self.has_ended() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|problem| format!("{path}: {problem}"))
}

/// Fields of /proc/PID/stat from the third on; the second, the name, may hold spaces and brackets.
fn after_name(stat: &str) -> Option<std::str::SplitWhitespace<'_>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

fn parent(stat: &str) -> Option<u32> {
    after_name(stat)?.nth(1)?.parse().ok()
}

/// utime and stime, fields 14 and 15.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = after_name(stat)?.skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn field_kib(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (a (b) c) S 7 42 42 0 -1 4194560 900 0 3 0 120 35 0 0 20 0 4 0 99 1 2 3";

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        assert_eq!(parent(STAT), Some(7));
        assert_eq!(cpu_ticks(STAT), Some(155));
    }

    #[test]
    fn pss_is_found_by_its_whole_name() {
        let rollup = "55d-7ff ---p 00000000 00:00 0 [rollup]\nRss:  900 kB\nPss:  123 kB\nPss_Dirty:  7 kB\n";
        assert_eq!(field_kib(rollup, "Pss:"), Some(123));
    }

    #[test]
    fn this_very_process_can_be_measured() {
        let sleeper = Process { child: Command::new("sleep").arg("60").spawn().expect("sleep") };
        assert!(sleeper.cpu_seconds().expect("a figure") < 1.0);
        assert!(sleeper.pss_kib().expect("a figure") > 0);
    }
}
