//! One body on its way through: found by a decoder, written anew, counted.

use super::buffer::{Buffer, Outbox};
use crate::body::{Decoder, Step, chunk_head, last_chunk};
use crate::edit::Coding;
use crate::flaw::Flaw;
use crate::head::Framing;
use crate::options::Limits;

/// Runs of payload from this size on are written from where they were read. Below, one copy is cheaper than a second
/// element in the write.
const DIRECT: usize = 16 * 1024;
/// At most this much is copied before it is written.
const BATCH: usize = 64 * 1024;

/// One body on its way through.
#[derive(Debug)]
pub(super) struct Flow {
    decoder: Decoder,
    coding: Coding,
    /// Up to where the buffer has been used.
    pub(super) cursor: usize,
    /// Whether the end was found, and staged.
    pub(super) ended: bool,
    last: bool,
    /// Payload bytes that came through.
    pub(super) bytes: u64,
}

impl Flow {
    /// A body with this framing that begins at `cursor`. A request or response without one has ended already.
    pub(super) fn new(framing: Framing, coding: Coding, cursor: usize) -> Self {
        let decoder = Decoder::new(framing);
        let ended = decoder.is_done();
        Self { decoder, coding, cursor, ended, last: false, bytes: 0 }
    }

    /// Payload bytes that are known to be missing yet.
    pub(super) fn expects(&self) -> u64 {
        self.decoder.expects()
    }

    /// The connection ended. Whether that ends the body soundly; if so its end is staged.
    pub(super) fn close(&mut self, out: &mut Outbox) -> bool {
        if self.ended {
            return true;
        }
        if !self.decoder.ends_with_connection() {
            return false;
        }
        self.finish(out);
        true
    }

    fn finish(&mut self, out: &mut Outbox) {
        if self.coding == Coding::Chunked {
            if !self.last {
                last_chunk(&mut out.bytes);
            }
            out.bytes.extend_from_slice(b"\r\n");
        }
        self.ended = true;
    }

    /// Moves what has been read into the outbox, as far as that makes one sensible write.
    pub(super) fn stage(&mut self, source: &Buffer, out: &mut Outbox, limits: &Limits) -> Result<(), Flaw> {
        self.stage_seen(source, out, limits, |_| {})
    }

    /// The same; `see` is shown the payload.
    pub(super) fn stage_seen(
        &mut self,
        source: &Buffer,
        out: &mut Outbox,
        limits: &Limits,
        mut see: impl FnMut(&[u8]),
    ) -> Result<(), Flaw> {
        let bytes = source.filled();
        while !self.ended && out.direct.is_empty() && out.bytes.len() < BATCH {
            match self.decoder.step(&bytes[self.cursor..], limits)? {
                Step::Data { skip, take } => {
                    let from = self.cursor + skip;
                    self.cursor = from + take;
                    self.bytes += take as u64;
                    see(&bytes[from..self.cursor]);
                    self.payload(bytes, from, out);
                }
                Step::Trailer { skip, take, forward } => {
                    let from = self.cursor + skip;
                    self.cursor = from + take;
                    if forward && self.coding == Coding::Chunked {
                        if !std::mem::replace(&mut self.last, true) {
                            last_chunk(&mut out.bytes);
                        }
                        out.bytes.extend_from_slice(&bytes[from..from + take]);
                    }
                }
                Step::More { skip } => {
                    self.cursor += skip;
                    break;
                }
                Step::End { skip } => {
                    self.cursor += skip;
                    self.finish(out);
                }
            }
        }
        Ok(())
    }

    fn payload(&mut self, bytes: &[u8], from: usize, out: &mut Outbox) {
        let run = from..self.cursor;
        match self.coding {
            Coding::Plain => {
                if run.len() < DIRECT {
                    out.bytes.extend_from_slice(&bytes[run]);
                } else {
                    out.direct = run;
                }
                self.ended = self.decoder.is_done();
            }
            Coding::Chunked => {
                chunk_head(&mut out.bytes, run.len());
                out.bytes.extend_from_slice(&bytes[run]);
                out.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Reads on without keeping anything: whether the body's end is in the buffer.
    pub(super) fn skim(&mut self, source: &Buffer, limits: &Limits) -> bool {
        self.look(source, limits, |_| true).is_ok() && self.ended
    }

    /// Reads on without staging anything, for as long as `more` wants payload and the buffer has some.
    pub(super) fn look(
        &mut self,
        source: &Buffer,
        limits: &Limits,
        mut more: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Flaw> {
        let bytes = source.filled();
        while !self.ended {
            match self.decoder.step(&bytes[self.cursor..], limits)? {
                Step::Data { skip, take } => {
                    let from = self.cursor + skip;
                    self.cursor = from + take;
                    self.bytes += take as u64;
                    if !more(&bytes[from..self.cursor]) {
                        return Ok(());
                    }
                }
                Step::Trailer { skip, take, .. } => self.cursor += skip + take,
                Step::End { skip } => {
                    self.cursor += skip;
                    self.ended = true;
                }
                Step::More { skip } => {
                    self.cursor += skip;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
