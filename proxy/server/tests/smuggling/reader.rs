//! A strict reader of requests (RFC 9112), written apart from the proxy and as plainly as possible: what is not exactly
//! by the grammar is wrong.

/// A request, reduced to what two readers may disagree about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Host and target; an absolute target gives both (RFC 9112 §3.2.2).
    pub(crate) host: String,
    pub(crate) target: String,
    pub(crate) chunked: bool,
    pub(crate) body: Vec<u8>,
}

/// What stands at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Whole { request: Request, used: usize },
    Partial,
    Wrong(&'static str),
}

/// How a sequence of requests ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Clean,
    Partial,
    Wrong(&'static str),
}

/// All requests in a row, and what stands behind the last.
pub(crate) fn read_all(bytes: &[u8]) -> (Vec<Request>, End) {
    let mut requests = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match read(&bytes[at..]) {
            Reading::Whole { request, used } => {
                requests.push(request);
                at += used;
            }
            Reading::Partial => return (requests, End::Partial),
            Reading::Wrong(why) => return (requests, End::Wrong(why)),
        }
    }
    (requests, End::Clean)
}

enum Line<'a> {
    Text(&'a [u8], usize),
    Partial,
    Wrong(&'static str),
}

/// A line up to CR LF, and where the next begins.
fn line(bytes: &[u8], at: usize) -> Line<'_> {
    let Some(feed) = bytes[at..].iter().position(|b| *b == b'\n').map(|i| at + i) else {
        return if bytes[at..].contains(&0) { Line::Wrong("NUL") } else { Line::Partial };
    };
    if feed == at || bytes[feed - 1] != b'\r' {
        return Line::Wrong("a line feed alone");
    }
    let text = &bytes[at..feed - 1];
    if text.iter().any(|b| *b < 0x20 && *b != b'\t' || *b == 0x7f) {
        return Line::Wrong("a control byte in a line");
    }
    Line::Text(text, feed + 1)
}

macro_rules! take_line {
    ($bytes:expr, $at:expr) => {
        match line($bytes, $at) {
            Line::Text(text, next) => {
                $at = next;
                text
            }
            Line::Partial => return Reading::Partial,
            Line::Wrong(why) => return Reading::Wrong(why),
        }
    };
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[derive(Default)]
struct Fields {
    host: Vec<String>,
    lengths: Vec<String>,
    codings: Vec<String>,
}

impl Fields {
    fn add(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let colon = line.iter().position(|b| *b == b':').ok_or("a field without a colon")?;
        if !is_token(&line[..colon]) {
            return Err("a field name that is no token");
        }
        let value = text(&line[colon + 1..]).trim_matches([' ', '\t']).to_owned();
        match text(&line[..colon]).to_ascii_lowercase().as_str() {
            "host" => self.host.push(value),
            // Some nodes take the second spelling for the first (RFC 3875 §4.1.18).
            "content-length" => self.lengths.push(value),
            "transfer-encoding" => self.codings.push(value.to_ascii_lowercase()),
            name if matches!(name.replace('_', "-").as_str(), "content-length" | "transfer-encoding" | "host") => {
                return Err("a field that some take for framing");
            }
            _ => {}
        }
        Ok(())
    }

    /// Length of the body; `None`: chunked.
    fn framing(&self, old: bool) -> Result<Option<usize>, &'static str> {
        match (self.lengths.as_slice(), self.codings.as_slice()) {
            ([], []) => Ok(Some(0)),
            ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
                length.parse().map(Some).map_err(|_| "a length too large")
            }
            ([], [coding]) if coding == "chunked" && !old => Ok(None),
            (_, []) => Err("lengths that are not one number"),
            ([], _) => Err("codings other than one `chunked`"),
            _ => Err("a length and a coding"),
        }
    }
}

/// The first request.
pub(crate) fn read(bytes: &[u8]) -> Reading {
    let mut at = 0;
    let first = take_line!(bytes, at);
    let mut words = first.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Reading::Wrong("a request line that is not three words");
    };
    let old = version == b"HTTP/1.0";
    if !is_token(method) || target.is_empty() || !(old || version == b"HTTP/1.1") {
        return Reading::Wrong("a request line that is malformed");
    }
    let mut fields = Fields::default();
    loop {
        let field = take_line!(bytes, at);
        if field.is_empty() {
            break;
        }
        if let Err(why) = fields.add(field) {
            return Reading::Wrong(why);
        }
    }
    if fields.host.len() > 1 || fields.host.is_empty() && !old {
        return Reading::Wrong("not exactly one Host");
    }
    let length = match fields.framing(old) {
        Ok(length) => length,
        Err(why) => return Reading::Wrong(why),
    };
    let (host, target) = place(&text(target), fields.host.pop().unwrap_or_default());
    let mut request = Request { method: text(method), host, target, chunked: length.is_none(), body: Vec::new() };
    let Some(length) = length else { return chunks(bytes, at, request) };
    if bytes.len() - at < length {
        return Reading::Partial;
    }
    request.body = bytes[at..at + length].to_vec();
    Reading::Whole { request, used: at + length }
}

fn place(target: &str, host: String) -> (String, String) {
    let Some((scheme, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else {
        return (host, target.to_owned());
    };
    debug_assert!(!scheme.is_empty());
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    (authority.to_owned(), if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

fn chunks(bytes: &[u8], mut at: usize, mut request: Request) -> Reading {
    loop {
        let size = take_line!(bytes, at);
        let digits = size.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        // The proxy writes no extension, and the inputs that have one are judged by what the node received.
        if digits == 0 || digits > 15 || digits != size.len() {
            return Reading::Wrong("a chunk size that is not a plain number");
        }
        let Ok(size) = usize::from_str_radix(&text(size), 16) else { return Reading::Wrong("a chunk size") };
        if size == 0 {
            break;
        }
        if bytes.len() < at + size {
            return Reading::Partial;
        }
        request.body.extend_from_slice(&bytes[at..at + size]);
        at += size;
        match bytes.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(_) => return Reading::Wrong("a chunk that does not end where it says"),
            None => return Reading::Partial,
        }
    }
    loop {
        let trailer = take_line!(bytes, at);
        if trailer.is_empty() {
            return Reading::Whole { request, used: at };
        }
        if let Err(why) = Fields::default().add(trailer) {
            return Reading::Wrong(why);
        }
    }
}

#[test]
fn the_reader_is_strict() {
    let whole = |bytes: &str| matches!(read(bytes.as_bytes()), Reading::Whole { .. });
    assert!(whole("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(whole("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n"));
    assert!(whole("GET / HTTP/1.0\r\n\r\n"));
    for wrong in [
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 1\r\n\r\n",
    ] {
        assert!(matches!(read(wrong.as_bytes()), Reading::Wrong(_)), "{wrong:?}");
    }
    let two = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET http://b/c HTTP/1.1\r\nHost: a\r\n\r\nG";
    let (requests, end) = read_all(two);
    assert_eq!((requests.len(), end), (2, End::Partial));
    assert_eq!((requests[1].host.as_str(), requests[1].target.as_str()), ("b", "/c"));
}
