//! What is read of a request's body before anybody is asked where it goes, since its key stands there.

use pointsman_core::key::body::{BodyReader, Progress};

use crate::world::Service;

/// What a request that pingora carries keeps of that.
#[derive(Default)]
pub(super) struct Ahead {
    pub(super) reader: Option<BodyReader>,
}

/// Reads on. `end`: the body is over behind these bytes. Whether more is wanted.
pub(super) fn feed(reader: &mut BodyReader, service: &Service, bytes: &[u8], end: bool) -> bool {
    let more = reader.feed(&service.plan.places, bytes) == Progress::More;
    if more && end {
        reader.end(&service.plan.places);
    }
    more && !end
}
