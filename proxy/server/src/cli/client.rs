//! Asks a running proxy over its admin API: a small blocking HTTP/1.1 client, one connection a question.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

mod wire;

pub(super) use wire::Place;
use wire::Wire;

/// Where `run` listens for operators when the file says nothing else.
const USUAL: &str = "127.0.0.1:9901";

/// The variable that holds a token.
const TOKEN: &str = "POINTSMAN_TOKEN";

/// An answer may not be larger: 10,000 nodes are about 4 MiB.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Which proxy to ask.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Target {
    /// The proxy's admin API: IP:PORT, https://HOST:PORT or unix:PATH [default: 127.0.0.1:9901, or the `admin` of -c FILE]
    #[arg(long, value_name = "WHERE", global = true)]
    admin: Option<Place>,
    /// The configuration of the proxy; its `admin` says where to ask.
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// File whose first line is the API's token [default: the token in $POINTSMAN_TOKEN]
    #[expect(clippy::doc_markdown, reason = "the help shows it as it stands")]
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// Certificates of the authorities that the API's must be signed by [default: those of the system]
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
}

/// One proxy's admin API.
#[derive(Debug)]
pub(super) struct Client {
    place: Place,
    wire: Wire,
    token: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The configuration or the token file cannot be used; the text says it all.
    Config(String),
    /// Nobody answered there.
    Unreachable { place: Place, cause: String },
    /// The proxy answered, but no.
    Refused { status: u16, problem: Value },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(text) => f.write_str(text),
            Self::Unreachable { place, cause } => write!(
                f,
                "error: no proxy answers at {place}: {cause}\n  help: is `pointsman run` running, with `admin: {{ address: \
                 {} }}`? --admin or -c FILE names another address",
                place.address()
            ),
            Self::Refused { status, problem } => {
                let text = |name: &str| problem[name].as_str().unwrap_or_default();
                write!(f, "error: {} ({status})", if text("detail").is_empty() { "refused" } else { text("detail") })?;
                // Field problems are repeated in the detail; those of a reload are not.
                for told in problem["problems"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    write!(f, "\n\n{}\n", told.trim_end())?;
                }
                if text("next").is_empty() { Ok(()) } else { write!(f, "\n  help: {}", text("next")) }
            }
        }
    }
}

impl Target {
    /// The client for this target. Reads the configuration only where it is needed.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let admin = match &self.config {
            Some(file) => Some(admin_of(file)?),
            None => None,
        };
        let place = match (&self.admin, &admin) {
            (Some(place), _) => place.clone(),
            (None, Some(admin)) => Place::of(&admin.address, admin.tls.is_some()),
            (None, None) => USUAL.parse().map_err(Failure::Config)?,
        };
        let token = match &self.token_file {
            Some(file) => Some(token(file)?),
            None => std::env::var(TOKEN).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        };
        let wire = Wire::new(place.secure, self.ca.as_deref()).map_err(Failure::Config)?;
        Ok(Client { place, wire, token })
    }
}

fn admin_of(file: &Path) -> Result<pointsman_config::plan::Admin, Failure> {
    let plan = pointsman_config::load(file, pointsman_host::builtins())
        .map_err(|problems| Failure::Config(problems.to_string().trim_end().to_owned()))?;
    plan.admin.ok_or_else(|| {
        Failure::Config(format!(
            "error: {} opens no admin API\n  help: add `admin: {{ address: {USUAL} }}` and start the proxy again, or name \
             another with --admin",
            file.display()
        ))
    })
}

fn token(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::Config(format!(
            "error: {}: {error}\n  help: --token-file names the file with the token",
            file.display()
        ))
    })?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

impl Client {
    /// Where it asks.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Gets a text.
    pub(super) fn get(&self, path: &str) -> Result<String, Failure> {
        self.ask("GET", path, &[], Duration::from_secs(10))
    }

    /// Gets JSON.
    pub(super) fn get_json(&self, path: &str) -> Result<Value, Failure> {
        self.get(path).and_then(|text| self.json(&text))
    }

    /// Sends a body and gets JSON. Compiling an uploaded policy may take the proxy a while.
    pub(super) fn send(&self, method: &str, path: &str, body: &[u8]) -> Result<Value, Failure> {
        self.ask(method, path, body, Duration::from_secs(120)).and_then(|text| self.json(&text))
    }

    fn json(&self, text: &str) -> Result<Value, Failure> {
        serde_json::from_str(text).map_err(|error| self.unreachable(format!("the answer is not JSON ({error})")))
    }

    fn ask(&self, method: &str, path: &str, body: &[u8], patience: Duration) -> Result<String, Failure> {
        let raw = self.exchange(method, path, body, patience).map_err(|error| self.unreachable(error.to_string()))?;
        let (status, body) = read(&raw).ok_or_else(|| self.unreachable("the answer is not HTTP".into()))?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if (200..300).contains(&status) {
            return Ok(text);
        }
        Err(Failure::Refused { status, problem: serde_json::from_str(&text).unwrap_or_default() })
    }

    fn exchange(&self, method: &str, path: &str, body: &[u8], patience: Duration) -> std::io::Result<Vec<u8>> {
        let mut stream = self.wire.connect(&self.place, patience)?;
        let token = self.token.as_ref().map(|t| format!("authorization: Bearer {t}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{token}\r\n",
            self.place.authority(),
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        // A proxy that refuses a body early may close while we write; its answer is what counts.
        let written = stream.write_all(body);
        let mut raw = Vec::new();
        match stream.take(LARGEST).read_to_end(&mut raw) {
            Err(error) if raw.is_empty() => Err(written.err().unwrap_or(error)),
            _ => Ok(raw),
        }
    }

    fn unreachable(&self, cause: String) -> Failure {
        Failure::Unreachable { place: self.place.clone(), cause }
    }
}

/// Status and body of a response that ends with its connection; `None`: malformed or cut short.
fn read(raw: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(raw).ok()? else { return None };
    let header = |name: &str| head.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value);
    let rest = &raw[length..];
    let body = if header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case(b"chunked")) {
        unchunk(rest)?
    } else if let Some(length) = header("content-length") {
        rest.get(..std::str::from_utf8(length).ok()?.trim().parse().ok()?)?.to_vec()
    } else {
        rest.to_vec()
    };
    Some((head.code?, body))
}

/// RFC 9112 §7.1.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) else { return None };
        if size == 0 {
            return Some(body);
        }
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        body.extend_from_slice(rest.get(start..end)?);
        rest = rest.get(end..)?.strip_prefix(b"\r\n")?;
    }
}

/// A segment of a path, percent-encoded (RFC 3986 §3.3).
pub(super) fn segment(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// What a failure means for the exit code.
pub(super) fn exit_code(failure: &Failure) -> u8 {
    match failure {
        Failure::Config(_) => crate::exit::CONFIG,
        Failure::Unreachable { .. } | Failure::Refused { .. } => crate::exit::FAILED,
    }
}

/// Ends a command: prints a failure, and answers the exit code.
pub(super) fn finish(result: Result<(), Failure>) -> std::process::ExitCode {
    match result {
        Ok(()) => std::process::ExitCode::from(crate::exit::OK),
        Err(failure) => {
            eprintln!("{failure}");
            std::process::ExitCode::from(exit_code(&failure))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_by_length_by_chunks_and_by_the_end() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokxx"), Some((200, b"ok".to_vec())));
        let chunked =
            b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(read(chunked), Some((404, b"abcde".to_vec())));
        assert_eq!(read(b"HTTP/1.0 200 OK\r\n\r\nall"), Some((200, b"all".to_vec())));
    }

    #[test]
    fn what_is_cut_short_is_no_answer() {
        for cut in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            assert_eq!(read(cut.as_bytes()), None, "{cut:?}");
        }
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(segment("oms-1._~"), "oms-1._~");
        assert_eq!(segment("a/b é%"), "a%2Fb%20%C3%A9%25");
    }

    #[test]
    fn a_refusal_says_all_problems_and_what_to_do() {
        let problem = serde_json::json!({"detail": "2 problems", "problems": ["one\n", "two"], "next": "correct them"});
        let text = Failure::Refused { status: 422, problem }.to_string();
        assert_eq!(text, "error: 2 problems (422)\n\none\n\n\ntwo\n\n  help: correct them");
    }
}
