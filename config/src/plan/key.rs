//! Key rules: where the value stands that routing depends on, and what is made of it.
//!
//! A rule is compiled when the file is read: pointers are unescaped, templates and paths are parted. Whoever applies it
//! parses nothing but the request.

use serde::Serialize;

/// How a routing key is pulled out of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRule {
    /// What the key is made of.
    pub part: KeyPart,
    /// Which of its service's [`Place`]s `part` names, each once. Empty: no byte of a body is looked at.
    pub body: Vec<usize>,
    /// What becomes of a request that has no usable key.
    pub otherwise: Otherwise,
}

impl KeyRule {
    /// A rule of the request's head with nothing said beside.
    pub fn of(from: KeySource) -> Self {
        Self { part: KeyPart { from, steps: Vec::new() }, body: Vec::new(), otherwise: Otherwise::default() }
    }
}

/// A place in a body as rules of a service want it read. A service has one list of those in requests and one of those in
/// responses, so that a body is read in one pass whatever the number of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Where.
    pub at: BodyPlace,
    /// Whether the first value counts, and nothing is read to look for another ([`Repeated::First`]).
    pub first: bool,
    /// Bytes of a body that are read for it at most.
    pub limit: u64,
}

/// Bytes of a body that are read for a key unless a rule says otherwise.
pub const DEFAULT_BODY_LIMIT: u64 = 64 << 10;

/// One value of a request, and the steps that it is taken through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyPart {
    /// Where it stands.
    pub from: KeySource,
    /// What is made of it, in this order.
    pub steps: Vec<KeyStep>,
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum KeySource {
    /// The value of a header (name in lower case).
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The value of a query parameter, percent-decoded.
    Query(String),
    /// A path segment, counted from 0, percent-decoded.
    Path(usize),
    /// The segment that a template of a path calls so, percent-decoded.
    Capture(PathTemplate),
    /// The client's IP address; of IPv4 and IPv6 addresses only so many leading bits count.
    ClientAddress {
        /// Bits of an IPv4 address, 1 to 32.
        v4: u8,
        /// Bits of an IPv6 address, 1 to 128.
        v6: u8,
    },
    /// The subject of the certificate that the client has shown (RFC 4514 text).
    TlsSubject,
    /// The place of this index in its service's list.
    Body(usize),
    /// The first of these that is there. One that is malformed or ambiguous decides: what follows is not asked.
    FirstOf(Vec<KeyPart>),
    /// All of these, in this order, with a text between two.
    Join {
        /// What is joined.
        parts: Vec<KeyPart>,
        /// What stands between two.
        with: String,
    },
}

/// `/customers/{id}/orders`: segments that must stand there, and the one that is the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathTemplate {
    /// The segments from the first on; a path may go on after them.
    pub segments: Vec<Segment>,
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Segment {
    /// This text, as sent.
    Is(String),
    /// Any text, which is not the key.
    Any,
    /// The key.
    Key,
}

/// Where a value stands in a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum BodyPlace {
    /// A JSON pointer (RFC 6901), parted and unescaped: one token or more.
    Json(Vec<String>),
    /// A field of `application/x-www-form-urlencoded`.
    Form(String),
    /// The text of an XML element.
    Xml(XmlPath),
    /// The value of a FIX tag (`tag=value`, ended by SOH).
    Fix(u32),
}

/// Which element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum XmlPath {
    /// Names from the root element down, one or more.
    Root(Vec<String>),
    /// The element of this name, wherever it stands.
    Anywhere(String),
}

/// What is made of a value. A value to which a step does not apply is malformed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum KeyStep {
    /// ASCII letters in lower case. Others stay, so that a key does not move with a version of Unicode.
    Lower,
    /// ASCII letters in upper case.
    Upper,
    /// Without white space at both ends.
    Trim,
    /// Without this text before it, if it stands there.
    StripPrefix(String),
    /// Without this text behind it, if it stands there.
    StripSuffix(String),
    /// So many characters from one on, counted from 0.
    Slice {
        /// The first, from 0. A value that ends before it is malformed.
        from: usize,
        /// How many at most; `None`: all that follow.
        length: Option<usize>,
    },
    /// One of the parts between separators, counted from 0.
    Part {
        /// What parts them.
        of: String,
        /// Which one.
        at: usize,
    },
    /// A decimal integer as it is written shortest: `+007` is `7`, `-0` is `0`.
    Integer,
}

/// What becomes of a request that has no usable key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Otherwise {
    /// Nothing stands there, or nothing but an empty text.
    pub missing: NoKey,
    /// What stands there cannot be read, or a step does not apply.
    pub malformed: NoKey,
    /// It stands there more than once.
    pub ambiguous: Repeated,
    /// The body is longer than is read, and what was read does not say.
    pub too_large: NoKey,
}

impl Default for Otherwise {
    /// A request without a key is the policy's to judge; one whose key two readers may read differently is refused.
    fn default() -> Self {
        Self { missing: NoKey::NoKey, malformed: NoKey::Refuse, ambiguous: Repeated::Refuse, too_large: NoKey::Refuse }
    }
}

/// What is done without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum NoKey {
    /// The policy is asked without one.
    NoKey,
    /// The client is told.
    Refuse,
}

/// What is done where a key stands more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Repeated {
    /// The policy is asked without one.
    NoKey,
    /// The client is told.
    Refuse,
    /// The first is taken, and nothing is read to look for another. For nodes that read the first too.
    First,
}
