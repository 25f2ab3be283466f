//! Forgets owners whom nobody has asked for in time.

use std::sync::Arc;
use std::time::Duration;

use crate::world::{WorldCell, clock};

use super::room;

/// Between two looks. At each, 16 shards of a table (of 256 at most) are swept, so a key that is past its time is out of
/// memory within some 20 s; lookups do not find it from its last second on.
const PAUSE: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 16;

/// Sweeps on a thread of its own for as long as the process lives.
pub(super) fn sweep(world: &WorldCell) {
    let world = Arc::clone(world);
    room::spawn("owners", move || async move {
        let mut turn = 0_usize;
        loop {
            tokio::time::sleep(PAUSE).await;
            for service in world.load_full().services.values() {
                let Some(owners) = &service.state.owners else { continue };
                for each in 0..AT_ONCE {
                    owners.sweep(turn + each, clock::now());
                }
            }
            turn += AT_ONCE;
        }
    });
}
