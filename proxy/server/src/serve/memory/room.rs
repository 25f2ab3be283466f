//! How much memory is in use of what the process may have: of its control groups' limits (cgroups(7), versions 1 and 2),
//! and of what the machine has left.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Bytes that are in use of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) used: u64,
    /// More than 0.
    pub(super) limit: u64,
}

impl Use {
    pub(super) fn share(self) -> f64 {
        self.used as f64 / self.limit as f64
    }
}

/// Where a version of control groups writes its figures, in bytes.
struct Names {
    limit: &'static str,
    used: &'static str,
    /// Pages of files, which the kernel takes back when it needs room, in `memory.stat`.
    files: [&'static str; 2],
}

const ONE: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    files: ["total_inactive_file", "total_active_file"],
};
const TWO: Names = Names { limit: "memory.max", used: "memory.current", files: ["inactive_file", "active_file"] };

/// Version 1 writes "no limit" as the largest number of whole pages.
const NONE: u64 = 1 << 62;

/// Where the kernel tells of memory.
#[derive(Debug)]
pub(super) struct Kernel {
    process: PathBuf,
    machine: PathBuf,
    groups: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { process: "/proc/self".into(), machine: "/proc/meminfo".into(), groups: "/sys/fs/cgroup".into() }
    }
}

impl Kernel {
    /// The fullest of all. Read anew each time, since a process may be moved and a limit changed.
    pub(super) fn in_use(&self) -> Option<Use> {
        let all = self.in_groups().into_iter().chain(self.on_machine());
        all.reduce(|a, b| if a.share() >= b.share() { a } else { b })
    }

    /// Of its own group and of those around it that have a limit.
    fn in_groups(&self) -> Vec<Use> {
        let membership = fs::read_to_string(self.process.join("cgroup")).unwrap_or_default();
        let groups = membership.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            if controllers.is_empty() {
                return Some((self.groups.clone(), path, TWO));
            }
            controllers.split(',').any(|name| name == "memory").then(|| (self.groups.join("memory"), path, ONE))
        });
        let mut uses = Vec::new();
        for (root, path, names) in groups {
            // A container may see the path of the host, and its own group as the root: what is not there is passed over.
            let inside: PathBuf =
                Path::new(path).components().filter(|part| matches!(part, Component::Normal(_))).collect();
            uses.extend(inside.ancestors().filter_map(|group| in_group(&root.join(group), &names)));
        }
        uses
    }

    /// What the process has, of that and what the machine could still give: a machine that others fill is no reason to
    /// turn clients away as long as there is anything left.
    fn on_machine(&self) -> Option<Use> {
        let used = kib(&self.process.join("status"), "VmRSS:")?;
        let left = kib(&self.machine, "MemAvailable:")?;
        Some(Use { used, limit: (used + left).max(1) })
    }
}

/// Of one group's limit, if it has one.
fn in_group(group: &Path, names: &Names) -> Option<Use> {
    let limit = number(&group.join(names.limit)).filter(|limit| *limit > 0 && *limit < NONE)?;
    let used = number(&group.join(names.used))?;
    // Far from the limit nobody asks what of it could be had back.
    let files = if used > limit / 2 { files(group, names) } else { 0 };
    Some(Use { used: used.saturating_sub(files), limit })
}

fn files(group: &Path, names: &Names) -> u64 {
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let value = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        names.files.contains(&name).then(|| value.trim().parse::<u64>().ok())?
    };
    stat.lines().filter_map(value).sum()
}

/// `max`, which version 2 writes for "no limit", is no number.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// A line such as `VmRSS:  1234 kB`, in bytes (proc(5)).
fn kib(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with these files: of the process below `self`, of groups below `groups`.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Kernel) {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for (name, text) in files {
            fs::create_dir_all(at(name).parent().expect("a folder")).expect("made");
            fs::write(at(name), format!("{text}\n")).expect("written");
        }
        let kernel = Kernel { process: at("self"), machine: at("meminfo"), groups: at("groups") };
        (folder, kernel)
    }

    #[expect(clippy::unnecessary_wraps, reason = "as it is answered")]
    fn of(used: u64, limit: u64) -> Option<Use> {
        Some(Use { used, limit })
    }

    #[test]
    fn version_2_and_the_groups_around() {
        let (_folder, kernel) = machine(&[
            ("self/cgroup", "0::/a/b"),
            ("groups/a/b/memory.max", "max"),
            ("groups/a/b/memory.current", "900"),
            ("groups/a/memory.max", "1000"),
            ("groups/a/memory.current", "950"),
            ("groups/a/memory.stat", "anon 700\ninactive_file 100\nactive_file 50\nfile 160"),
        ]);
        assert_eq!(kernel.in_use(), of(800, 1000));
        fs::write(kernel.groups.join("a/b/memory.max"), "1500").expect("written");
        assert_eq!(kernel.in_use(), of(800, 1000), "the tighter of both");
        fs::write(kernel.groups.join("a/b/memory.max"), "910").expect("written");
        assert_eq!(kernel.in_use(), of(900, 910), "the tighter of both");
    }

    #[test]
    fn version_1() {
        let (_folder, kernel) = machine(&[
            ("self/cgroup", "9:name=systemd:/x\n4:cpu,memory:/x\n0::/"),
            ("groups/memory/x/memory.limit_in_bytes", "1000"),
            ("groups/memory/x/memory.usage_in_bytes", "980"),
            ("groups/memory/x/memory.stat", "inactive_file 1\ntotal_inactive_file 20\ntotal_active_file 10"),
            ("groups/memory/memory.limit_in_bytes", "9223372036854771712"),
            ("groups/memory/memory.usage_in_bytes", "123456"),
        ]);
        assert_eq!(kernel.in_use(), of(950, 1000));
    }

    #[test]
    fn a_container_that_sees_the_path_of_the_host() {
        let (_folder, kernel) = machine(&[
            ("self/cgroup", "0::/../docker/0123"),
            ("groups/memory.max", "1000"),
            ("groups/memory.current", "400"),
        ]);
        assert_eq!(kernel.in_use(), of(400, 1000));
    }

    #[test]
    fn without_groups_what_the_machine_has_left_counts() {
        let (_folder, kernel) = machine(&[
            ("self/cgroup", "0::/a"),
            ("groups/a/memory.max", "max"),
            ("groups/a/memory.current", "5"),
            ("self/status", "VmPeak:\t   99 kB\nVmRSS:\t   30 kB\nRssAnon:\t   20 kB"),
            ("meminfo", "MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:  70 kB"),
        ]);
        assert_eq!(kernel.in_use(), of(30 << 10, 100 << 10));
    }

    #[test]
    fn where_the_kernel_says_nothing_nothing_is_known() {
        let (_folder, kernel) = machine(&[("self/cgroup", "")]);
        assert_eq!(kernel.in_use(), None);
        assert!(Kernel::default().on_machine().is_some_and(|seen| seen.used > 0 && seen.share() < 1.0));
    }
}
