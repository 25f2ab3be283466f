//! What can be wrong with a message, each with the rule it breaks.

/// What is wrong with a message. In a request it is refused with [`Flaw::status`] and the connection closed; in a
/// response it makes the answer malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// Not `method SP target SP version` (RFC 9112 §3).
    RequestLine,
    /// The target is none of the four forms, or holds what a target may not (RFC 9112 §3.2).
    Target,
    /// Neither HTTP/1.1 nor HTTP/1.0 (RFC 9110 §15.6.6).
    Version,
    /// The preface of HTTP/2 where it is not spoken (RFC 9113 §3.4).
    Http2,
    /// CONNECT: this is no forward proxy (RFC 9110 §9.3.6).
    Connect,
    /// The hello of TLS where no TLS is spoken (RFC 8446 §5.1).
    TlsHello,
    /// A request line over the limit.
    LineTooLong,
    /// A head over the limit.
    HeadTooLarge,
    /// More field lines than the limit.
    TooManyFields,
    /// A field name that is no token, or none at all (RFC 9112 §5).
    FieldName,
    /// White space between a field name and its colon (RFC 9112 §5.1).
    BlankBeforeColon,
    /// A line that begins with white space: an obsolete fold, or white space before the first field (RFC 9112 §2.2, §5.2).
    Folded,
    /// A line feed without its carriage return (RFC 9112 §2.2 lets a recipient accept it; two recipients then differ).
    BareLineFeed,
    /// A control byte, a bare carriage return among them (RFC 9110 §5.5, RFC 9112 §2.2).
    ControlByte,
    /// No Host (RFC 9112 §3.2).
    HostMissing,
    /// More than one Host (RFC 9112 §3.2).
    HostRepeated,
    /// A Host, or authority of the target, that is no host with an optional port (RFC 9112 §3.2).
    Host,
    /// A Content-Length that is no plain decimal number, or too large (RFC 9110 §8.6).
    Length,
    /// More than one Content-Length, or a list of them (RFC 9112 §6.3).
    LengthRepeated,
    /// Content-Length beside Transfer-Encoding (RFC 9112 §6.1, §6.3).
    LengthAndEncoding,
    /// A Transfer-Encoding other than exactly one `chunked` (RFC 9112 §6.1).
    Encoding,
    /// A chunk size that is no plain hexadecimal number, or too large (RFC 9112 §7.1).
    ChunkSize,
    /// A chunk extension that is malformed or over the limit (RFC 9112 §7.1.1).
    ChunkExtension,
    /// A chunk that does not end where its size says (RFC 9112 §7.1).
    ChunkEnd,
    /// A trailer section over the limit (RFC 9112 §7.1.2).
    TrailerTooLarge,
    /// A request's body is larger than the bound.
    BodyTooLarge,
    /// No head within the time allowed.
    SlowHead,
    /// No further piece of a body within the time allowed.
    SlowBody,
    /// The proxy is near the limit of its memory: [`crate::traffic::Room`].
    NoRoom,
    /// Not `version SP status SP reason` (RFC 9112 §4).
    StatusLine,
    /// 101 to a request that asked for no upgrade (RFC 9110 §15.2.2).
    WrongUpgrade,
    /// More interim responses than the limit.
    TooManyInterim,
}

impl Flaw {
    /// The status a server answers to a request with this flaw. Response flaws are 502.
    pub fn status(self) -> u16 {
        match self {
            Self::Version | Self::Http2 => 505,
            Self::Connect => 405,
            Self::LineTooLong => 414,
            Self::HeadTooLarge | Self::TooManyFields | Self::TrailerTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::NoRoom => 503,
            Self::SlowHead | Self::SlowBody => 408,
            Self::StatusLine | Self::WrongUpgrade | Self::TooManyInterim => 502,
            _ => 400,
        }
    }

    /// Name for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::RequestLine => "request-line",
            Self::Target => "target",
            Self::Version => "version",
            Self::Http2 => "http2",
            Self::Connect => "connect",
            Self::TlsHello => "tls-hello",
            Self::LineTooLong => "line-too-long",
            Self::HeadTooLarge => "head-too-large",
            Self::TooManyFields => "too-many-fields",
            Self::FieldName => "field-name",
            Self::BlankBeforeColon => "blank-before-colon",
            Self::Folded => "folded",
            Self::BareLineFeed => "bare-line-feed",
            Self::ControlByte => "control-byte",
            Self::HostMissing => "host-missing",
            Self::HostRepeated => "host-repeated",
            Self::Host => "host",
            Self::Length => "length",
            Self::LengthRepeated => "length-repeated",
            Self::LengthAndEncoding => "length-and-encoding",
            Self::Encoding => "encoding",
            Self::ChunkSize => "chunk-size",
            Self::ChunkExtension => "chunk-extension",
            Self::ChunkEnd => "chunk-end",
            Self::TrailerTooLarge => "trailer-too-large",
            Self::BodyTooLarge => "body-too-large",
            Self::SlowHead => "slow-head",
            Self::SlowBody => "slow-body",
            Self::NoRoom => "memory",
            Self::StatusLine => "status-line",
            Self::WrongUpgrade => "wrong-upgrade",
            Self::TooManyInterim => "too-many-interim",
        }
    }

    /// One sentence for whoever sent the message: what is wrong and what would be right.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::RequestLine => "The request line is not `method target HTTP/1.1` with single spaces.",
            Self::Target => "The request target is not a path, an http(s) URI or `*`.",
            Self::Version => "Only HTTP/1.1 and HTTP/1.0 are spoken here.",
            Self::Http2 => "HTTP/2 in clear is not spoken here; `http2: on` at the listener allows it.",
            Self::Connect => {
                "CONNECT is not taken: requests are routed to services, not to hosts that the client names."
            }
            Self::TlsHello => "TLS is not spoken here; use http://, or give the listener certificates.",
            Self::LineTooLong => "The request line is too long.",
            Self::HeadTooLarge => "The head is too large.",
            Self::TooManyFields => "The head has too many fields.",
            Self::FieldName => "A field line does not begin with a name and a colon.",
            Self::BlankBeforeColon => "There is white space between a field name and its colon.",
            Self::Folded => "A field line begins with white space; folded fields are obsolete.",
            Self::BareLineFeed => "A line ends with a line feed alone; lines end with CR LF.",
            Self::ControlByte => "A field or the first line holds a control byte.",
            Self::HostMissing => "The Host field is missing.",
            Self::HostRepeated => "The Host field stands there more than once.",
            Self::Host => "The host is not a name or address with an optional port.",
            Self::Length => "Content-Length is not a plain decimal number.",
            Self::LengthRepeated => "Content-Length stands there more than once.",
            Self::LengthAndEncoding => "Content-Length and Transfer-Encoding exclude each other.",
            Self::Encoding => "The only transfer coding accepted is `chunked`, once.",
            Self::ChunkSize => "A chunk size is not a plain hexadecimal number.",
            Self::ChunkExtension => "A chunk extension is malformed or too long.",
            Self::ChunkEnd => "A chunk does not end where its size says.",
            Self::TrailerTooLarge => "The trailer section is too large.",
            Self::BodyTooLarge => "The body is larger than is taken here.",
            Self::SlowHead => "The head did not arrive in time.",
            Self::SlowBody => "The body did not arrive in time.",
            Self::NoRoom => "The proxy is near the limit of its memory.",
            Self::StatusLine => "The status line is malformed.",
            Self::WrongUpgrade => "The node switched protocols although nobody asked.",
            Self::TooManyInterim => "The node sent too many interim responses.",
        }
    }
}
