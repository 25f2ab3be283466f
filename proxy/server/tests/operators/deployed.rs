//! What lies in `deploy/`, as far as it can be tried without installing it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::BINARY;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_unit_is_sound_and_locked_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("pointsman.service");
    std::fs::write(&unit, read("deploy/pointsman.service").replace("/usr/local/bin/pointsman", BINARY))
        .expect("written");
    let analyze = |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).arg(&unit).output();
    let Ok(verified) = analyze(&["verify", "--man=no"]) else {
        eprintln!("skipped: systemd-analyze is not there");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !said.contains("pointsman.service"), "{said}");
    // Exposure in tenths: below 2.0 is what systemd calls OK.
    let judged = analyze(&["security", "--offline=true", "--threshold=20"]).expect("as before");
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}

#[test]
fn the_recipe_names_what_is_there() {
    let recipe = read("deploy/Containerfile");
    let manifest = read("Cargo.toml");
    assert!(recipe.contains("--profile dist") && manifest.contains("[profile.dist]"));
    assert!(recipe.contains("--bin pointsman") && root().join("policies/dist/digests.json").exists());
    // The binary needs of the second stage what Debian's smallest image has: its C library.
    let Ok(needs) = Command::new("ldd").arg(BINARY).output() else {
        eprintln!("skipped: ldd is not there");
        return;
    };
    for line in String::from_utf8_lossy(&needs.stdout).lines() {
        let library = line.split_whitespace().next().unwrap_or_default();
        let known =
            ["linux-vdso.so", "libc.so", "libm.so", "libgcc_s.so", "ld-linux", "libdl.so", "libpthread.so", "librt.so"];
        assert!(known.iter().any(|known| library.contains(known)), "{line}");
    }
}
