//! Opens ledgers, and says what was found in them.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use pointsman_core::owners::OwnerTable;
use pointsman_registry::RegistryError;
use pointsman_registry::owners::{Found, Ledger, Opened};

use crate::world::bus::Bus;
use crate::world::clock;

/// Takes what is on disk into a table that nobody asks yet.
pub(super) fn open(folder: &Path, service: &str, table: &OwnerTable, bus: &Bus) -> Result<Ledger, RegistryError> {
    let began = Instant::now();
    let Opened { ledger, found } = Ledger::open(folder, table, clock::now())?;
    let Found { taken_in, left_out, cut, damage } = found;
    if taken_in + left_out > 0 {
        let owners = table.len();
        log::info!("owners of `{service}`: {owners} known from disk after {:?} ({left_out} left out)", began.elapsed());
    }
    if cut > 0 {
        log::info!("{}: {cut} bytes are no whole frame: a write that a crash cut short", folder.display());
    }
    for damage in damage {
        let kept = damage.kept.map_or_else(
            |error| format!("no copy could be kept: {error}"),
            |copy| format!("kept as {}", copy.display()),
        );
        let message = format!(
            "{}: {} stretch(es) cannot be read, and owners are lost with them; {kept}; check the disk",
            damage.file.display(),
            damage.stretches.len()
        );
        bus.tell("owners-damaged", service, "", message);
    }
    Ok(ledger)
}

/// Nothing is left of a ledger.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes over from a table what requests cannot have changed here meanwhile: keys that are unknown here, and later epochs, but
/// for those that were released. Nobody is pushed out for them: what another process learns while it has the ledger is little,
/// and where the table is full most keys that are unknown here were pushed out themselves.
pub(super) fn take_over(table: &OwnerTable, from: &OwnerTable, released: &HashSet<String>, now: Duration) {
    for part in 0..from.parts() {
        from.each_of(part, now, |kept| {
            let room = || !table.is_full() || table.peek(kept.key, now).is_some();
            if !released.contains(kept.key) && room() {
                table.take_later(kept, now);
            }
        });
    }
}
