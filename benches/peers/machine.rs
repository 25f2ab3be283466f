//! On what it was measured, and with which versions.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The machine and the software.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Machine {
    date: String,
    cpu: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    system: String,
    nginx: String,
    haproxy: String,
    ours: String,
    commit: String,
    profile: String,
}

impl Machine {
    /// Looks around. What cannot be found out reads `unknown`.
    pub(crate) fn look(ours: &Path) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let memory_kib: u64 =
            field(&meminfo, "MemTotal:").and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0);
        let profile = ours.parent().and_then(Path::file_name).map_or("unknown".into(), |name| name.to_string_lossy());
        Self {
            date: said("date", &["-u", "+%Y-%m-%d"]),
            cpu: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory_kib / 1024,
            kernel: said("uname", &["-sr"]),
            system: field(&os, "PRETTY_NAME=").unwrap_or("unknown").trim_matches('"').to_owned(),
            nginx: said("nginx", &["-v"]),
            haproxy: said("haproxy", &["-v"]),
            ours: said(ours, &["--version"]),
            commit: said("git", &["describe", "--always", "--dirty"]),
            profile: profile.into_owned(),
        }
    }

    /// The head of a run's README.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("# Beside nginx and HAProxy, {}\n\n", self.date);
        let _ = writeln!(
            text,
            "- machine: {}, {} cores, {} MiB, {}, {}",
            self.cpu, self.cores, self.memory_mib, self.system, self.kernel
        );
        let _ = writeln!(text, "- ours: {} at commit {}, profile {}", self.ours, self.commit, self.profile);
        let _ = writeln!(text, "- nginx: {}", self.nginx);
        let _ = writeln!(text, "- HAProxy: {}", self.haproxy);
        text
    }

    fn slug(&self) -> String {
        let cpu: Vec<String> = self
            .cpu
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty() && !["R", "TM", "CPU", "Processor"].contains(word))
            .take(4)
            .map(str::to_ascii_lowercase)
            .collect();
        format!("{}-{}-{}cores", self.date, cpu.join("-"), self.cores)
    }
}

/// A folder that is not there yet: a run is kept as it was.
pub(crate) fn fresh_folder(runs: &Path, machine: &Machine) -> PathBuf {
    let first = runs.join(machine.slug());
    let later = (2..).map(|number| runs.join(format!("{}-{number}", machine.slug())));
    std::iter::once(first).chain(later).find(|path| !path.exists()).unwrap_or_else(|| runs.to_owned())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.trim_start_matches([' ', '\t', ':']).trim())
}

/// The first line that is not empty of what a command says, on whichever stream.
pub(crate) fn said(program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return "unknown".into() };
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&both).lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_the_shapes_of_proc_and_of_os_release() {
        assert_eq!(field("a: 1\nmodel name\t: Xeon(R) 2.7\n", "model name"), Some("Xeon(R) 2.7"));
        assert_eq!(field("MemTotal:       24000 kB\n", "MemTotal:"), Some("24000 kB"));
    }

    #[test]
    fn a_run_never_overwrites_another() {
        let runs = tempfile::tempdir().expect("a folder");
        let machine = Machine::look(Path::new("/nowhere/dist/pointsman"));
        let first = fresh_folder(runs.path(), &machine);
        std::fs::create_dir(&first).expect("made");
        let second = fresh_folder(runs.path(), &machine);
        assert_ne!(first, second);
        assert_eq!((machine.profile.as_str(), machine.ours.as_str()), ("dist", "unknown"));
    }
}
