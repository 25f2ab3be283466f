//! What nodes of a service with a primary are told with every request: in which epoch it was decided where that goes. One
//! that has seen a higher one refuses, so that a primary which did not notice its fall does no harm.

use std::io::Write;

use pingora_error::Result;
use pingora_http::RequestHeader;
use pointsman_core::exchange::Attempt;

use crate::world::Service;

/// Nobody but the proxy says it: what a client sends of it is left out.
pub(super) const EPOCH: &str = "pointsman-epoch";

/// What to tell with an attempt, if the service has a primary.
pub(super) fn of(service: &Service, attempt: &Attempt) -> Option<u64> {
    service.plan.primary.map(|_| attempt.epoch)
}

/// Appends the line of the lane. Writing to a `Vec` cannot fail.
pub(super) fn write_line(service: Option<&Service>, attempt: &Attempt, out: &mut Vec<u8>) {
    if let Some(epoch) = service.and_then(|service| of(service, attempt)) {
        let _ = write!(out, "{EPOCH}: {epoch}\r\n");
    }
}

/// The same for pingora, in place of what there is.
pub(super) fn tell(epoch: Option<u64>, request: &mut RequestHeader) -> Result<()> {
    match epoch {
        Some(epoch) => request.insert_header(EPOCH, epoch.to_string()),
        None => {
            request.remove_header(EPOCH);
            Ok(())
        }
    }
}
