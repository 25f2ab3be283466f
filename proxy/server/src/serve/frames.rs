//! Counts the frames of a connection of HTTP/2 that ask for work and bring nothing.
//!
//! The library bounds what it would have to hold. What it forgets at once costs time even so: requests that are taken back
//! (CVE-2023-44487), streams that it must reset because a rule was broken (CVE-2025-8671), PING, SETTINGS and PRIORITY
//! without end (CVE-2019-9512, -9513, -9515). It shows none of them, so their headers (RFC 9113 §4.1: nine bytes) are
//! counted as they pass by in both directions; payloads are skipped.

use std::time::Duration;

use pointsman_config::plan::Http2Limits;

mod scan;

use scan::{Frame, Scanner};

/// Bytes of the client's preface (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// Counts begin anew after this: a connection may live for days.
const WINDOW: Duration = Duration::from_secs(10);

/// What a connection may end for, in the order in which [`Frames::counts`] has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Resets,
    Errors,
    Ping,
    Settings,
    Priority,
    WindowUpdate,
    EmptyData,
    Continuation,
    /// Frames that nobody knows (RFC 9113 §5.5 has them ignored).
    Unknown,
    /// Not counted: what the library ended the connection for.
    Calm,
    Compression,
    FlowControl,
    FrameSize,
    Protocol,
    Other,
    /// Not counted: silence.
    Preface,
    Idle,
}

const COUNTED: [Cause; 9] = [
    Cause::Resets,
    Cause::Errors,
    Cause::Ping,
    Cause::Settings,
    Cause::Priority,
    Cause::WindowUpdate,
    Cause::EmptyData,
    Cause::Continuation,
    Cause::Unknown,
];

impl Cause {
    /// As metrics and the log name it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::Errors => "errors",
            Self::Ping => "ping",
            Self::Settings => "settings",
            Self::Priority => "priority",
            Self::WindowUpdate => "window-update",
            Self::EmptyData => "empty-data",
            Self::Continuation => "continuation",
            Self::Unknown => "unknown",
            Self::Calm => "calm",
            Self::Compression => "compression",
            Self::FlowControl => "flow-control",
            Self::FrameSize => "frame-size",
            Self::Protocol => "protocol",
            Self::Other => "other",
            Self::Preface => "preface",
            Self::Idle => "idle",
        }
    }
}

impl Cause {
    /// What the log says.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Resets => "it takes back too many requests (RST_STREAM); `limits.http2.resets` bounds them",
            Self::Errors => "it breaks too many rules of HTTP/2; `limits.http2.errors` bounds that",
            Self::Ping => "it sends too many PING frames; `limits.http2.control` bounds them",
            Self::Settings => "it sends too many SETTINGS frames; `limits.http2.control` bounds them",
            Self::Priority => "it sends too many PRIORITY frames; `limits.http2.control` bounds them",
            Self::WindowUpdate => "it sends too many WINDOW_UPDATE frames; `limits.http2.control` bounds them",
            Self::EmptyData => "it sends too many DATA frames without data",
            Self::Continuation => "it sends a head in too many pieces (CONTINUATION)",
            Self::Unknown => "it sends too many frames of unknown kinds; `limits.http2.control` bounds them",
            Self::Calm => "it asks for more than a connection is granted",
            Self::Compression => "its head cannot be decompressed",
            Self::FlowControl => "it breaks flow control",
            Self::FrameSize => "it sends a frame of a wrong size",
            Self::Protocol => "it breaks the rules of HTTP/2",
            Self::Other => "the library gave it up",
            Self::Preface => "it sent no preface within `limits.head_timeout`",
            Self::Idle => "nothing was under way for `limits.keep_alive`",
        }
    }
}

/// Errors of a stream that its client is to blame for (RFC 9113 §7), as metrics name them. A node that fails resets with
/// `INTERNAL_ERROR` or CANCEL.
const BLAMED: [(u32, &str); 5] = [
    (1, "protocol-error"),
    (3, "flow-control-error"),
    (5, "stream-closed"),
    (6, "frame-size-error"),
    (7, "refused-stream"),
];

/// The frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    limits: Http2Limits,
    /// Bytes of the preface that are still to come.
    preface: usize,
    from_client: Scanner,
    to_client: Scanner,
    counts: [u32; COUNTED.len()],
    /// Streams reset since somebody asked, in the order of [`BLAMED`].
    reset: [u32; BLAMED.len()],
    since: Duration,
    cause: Option<Cause>,
}

impl Frames {
    pub(super) fn new(limits: Http2Limits, now: Duration) -> Self {
        Self {
            limits,
            preface: PREFACE,
            from_client: Scanner::default(),
            to_client: Scanner::default(),
            counts: [0; COUNTED.len()],
            reset: [0; BLAMED.len()],
            since: now,
            cause: None,
        }
    }

    /// Why the connection is to end, or has ended.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Streams that were reset since the last time because the client broke a rule: which, and how many.
    pub(super) fn reset(&mut self) -> impl Iterator<Item = (&'static str, u32)> + use<> {
        let all = BLAMED.into_iter().zip(std::mem::take(&mut self.reset));
        all.filter(|(_, count)| *count > 0).map(|((_, name), count)| (name, count))
    }

    /// These bytes came from the client.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Duration) {
        self.begin_anew(now);
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        bytes = &bytes[skipped..];
        while let Some(frame) = self.from_client.next(&mut bytes) {
            self.came(frame);
        }
    }

    /// These bytes go to the client.
    pub(super) fn written(&mut self, mut bytes: &[u8], now: Duration) {
        self.begin_anew(now);
        while let Some(frame) = self.to_client.next(&mut bytes) {
            self.goes(frame);
        }
    }

    fn begin_anew(&mut self, now: Duration) {
        if now.saturating_sub(self.since) > WINDOW {
            (self.since, self.counts) = (now, [0; COUNTED.len()]);
        }
    }

    fn came(&mut self, frame: Frame) {
        match frame.kind {
            // An end of a message is of use, however small.
            scan::DATA if frame.length == 0 && !frame.has(scan::END_STREAM) => self.count(Cause::EmptyData),
            scan::DATA | scan::HEADERS => self.carried(),
            scan::PRIORITY => self.count(Cause::Priority),
            scan::RST_STREAM => self.count(Cause::Resets),
            scan::SETTINGS | scan::PING if frame.has(scan::ACK) => {}
            scan::SETTINGS => self.count(Cause::Settings),
            scan::PING => self.count(Cause::Ping),
            scan::GOAWAY => {}
            scan::WINDOW_UPDATE => self.count(Cause::WindowUpdate),
            scan::CONTINUATION => self.count(Cause::Continuation),
            _ => self.count(Cause::Unknown),
        }
    }

    fn goes(&mut self, frame: Frame) {
        match frame.kind {
            scan::DATA | scan::HEADERS => self.carried(),
            scan::RST_STREAM => {
                if let Some(at) = BLAMED.iter().position(|(code, _)| *code == frame.code) {
                    self.reset[at] += 1;
                    self.count(Cause::Errors);
                }
            }
            scan::GOAWAY if frame.code != 0 => self.ended(frame.code),
            _ => {}
        }
    }

    /// A frame of a message: those who ask for the next, or measure how fast they come, send up to two frames for each.
    fn carried(&mut self) {
        for cause in [Cause::Ping, Cause::WindowUpdate] {
            let count = &mut self.counts[cause as usize];
            *count = count.saturating_sub(2);
        }
    }

    fn count(&mut self, cause: Cause) {
        let count = &mut self.counts[cause as usize];
        *count += 1;
        let most = match cause {
            Cause::Resets => self.limits.resets,
            Cause::Errors => self.limits.errors,
            _ => self.limits.control,
        };
        if *count > most {
            self.cause.get_or_insert(cause);
        }
    }

    /// The library ends the connection with this error (RFC 9113 §7).
    fn ended(&mut self, code: u32) {
        let cause = match code {
            1 => Cause::Protocol,
            3 => Cause::FlowControl,
            6 => Cause::FrameSize,
            9 => Cause::Compression,
            11 => self.most().unwrap_or(Cause::Calm),
            _ => Cause::Other,
        };
        self.cause.get_or_insert(cause);
    }

    /// What came most often, since the library does not say which of its bounds was reached.
    fn most(&self) -> Option<Cause> {
        let all = COUNTED.into_iter().zip(self.counts);
        all.filter(|(_, count)| *count > 1).max_by_key(|(_, count)| *count).map(|(cause, _)| cause)
    }
}

#[cfg(test)]
mod tests;
