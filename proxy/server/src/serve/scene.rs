//! What an exchange sees, whoever carries the request.

use pointsman_core::exchange::Scene;

use super::owned;
use crate::world::Service;

/// A request with these facts at this service, on this worker.
pub(super) fn of<'a, F>(service: &'a Service, worker: usize, facts: &'a F) -> Scene<'a, F> {
    Scene {
        picker: &service.picker,
        owners: owned::owning(service),
        key: service.plan.key.as_ref(),
        places: &service.plan.places,
        retry: &service.plan.retry,
        budget: &service.state.budget,
        rate: service.rate.as_deref(),
        limits: &service.plan.limits,
        all_down: service.plan.all_down,
        members: service.state.members(),
        turn: &service.state.turn,
        stuck: None,
        facts,
        worker,
    }
}
