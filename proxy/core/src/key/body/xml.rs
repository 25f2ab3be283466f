//! XML 1.0: the text of one element.
//!
//! Barely parsed: elements nest and close, attributes and comments are stepped over, text is decoded only where it is
//! kept. A document type is refused: what it declares could change what any reader reads, and reading it is how XML
//! readers are attacked. So is an encoding other than UTF-8 or ASCII, in which names could hide.

use pointsman_config::plan::XmlPath;

use super::value::{Seen, Step, Value};
use reference::Reference;

mod declaration;
mod reference;

/// Elements inside each other.
const DEEPEST: usize = 64;
const CDATA: &[u8] = b"[CDATA[";
const COMMENT: &[u8] = b"--";
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Where in a document one is.
#[derive(Debug)]
pub(super) struct Xml {
    lex: Lex,
    depth: usize,
    /// Hashes of the names of the open elements: one that closes must be the one that was opened last.
    names: [u32; DEEPEST],
    /// The hash of the name that is being read.
    hash: u32,
    /// How many of the open elements, from the outermost on, lie on the way.
    on_path: usize,
    /// Bytes of the name that are the same so far; `None`: it is another name.
    same: Option<usize>,
    /// Depth of the element whose text is kept, 0 outside.
    keeping: usize,
    /// Whether the element was met.
    met: bool,
    reference: Reference,
    started: bool,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lex {
    /// Bytes of a byte order mark that were read.
    Mark(usize),
    Text,
    Reference,
    /// After `<`.
    Open,
    Name,
    Tag,
    Quoted(u8),
    /// After `/` in a tag.
    Slash,
    EndName,
    EndSpace,
    /// After `<!`.
    Bang,
    /// What is left of the beginning of a comment or of CDATA.
    Begin(&'static [u8]),
    /// Dashes in a row.
    Comment(u8),
    /// Brackets in a row.
    CData(u8),
    /// Whether the last byte was `?`.
    Instruction(bool),
}

impl Default for Xml {
    fn default() -> Self {
        Self {
            lex: Lex::Mark(0),
            depth: 0,
            names: [0; DEEPEST],
            hash: 0,
            on_path: 0,
            same: None,
            keeping: 0,
            met: false,
            reference: Reference::default(),
            started: false,
            value: Value::default(),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

impl Xml {
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    pub(super) fn feed(&mut self, path: &XmlPath, first: bool, bytes: &[u8]) -> Seen {
        for &byte in bytes {
            if let Err(seen) = self.byte(path, first, byte) {
                return seen;
            }
        }
        Seen::More
    }

    /// The outermost element never closed; but for a document of nothing, that is half of one.
    pub(super) fn end(&self) -> Seen {
        if self.started { Seen::Malformed } else { Seen::Missing }
    }

    fn byte(&mut self, path: &XmlPath, first: bool, byte: u8) -> Step {
        self.started |= !is_space(byte);
        match self.lex {
            Lex::Mark(read) if BYTE_ORDER_MARK.get(read) == Some(&byte) => self.lex = Lex::Mark(read + 1),
            Lex::Mark(1 | 2) => return Err(Seen::Malformed),
            Lex::Mark(_) | Lex::Text => return self.text(byte),
            Lex::Reference => {
                if let Some(character) = self.reference.take(byte)? {
                    self.lex = Lex::Text;
                    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                        self.keep(byte)?;
                    }
                }
            }
            Lex::Open => return self.after_open(path, byte),
            Lex::Name => return self.name(path, byte),
            Lex::Tag => return self.tag(path, byte),
            Lex::Quoted(_) if byte == b'<' => return Err(Seen::Malformed),
            Lex::Quoted(quote) if byte == quote => self.lex = Lex::Tag,
            Lex::Quoted(_) => {}
            Lex::Slash if byte == b'>' => return self.empty(path, first),
            Lex::EndName if is_space(byte) => self.lex = Lex::EndSpace,
            Lex::EndName | Lex::EndSpace if byte == b'>' => return self.close(first),
            Lex::EndName => self.add_to_name(path, byte)?,
            Lex::EndSpace if is_space(byte) => {}
            Lex::Slash | Lex::EndSpace => return Err(Seen::Malformed),
            _ => return self.markup(byte),
        }
        Ok(())
    }

    fn text(&mut self, byte: u8) -> Step {
        self.lex = Lex::Text;
        match byte {
            b'<' => self.lex = Lex::Open,
            _ if self.depth == 0 => return if is_space(byte) { Ok(()) } else { Err(Seen::Malformed) },
            _ if self.keeping == 0 => {}
            b'&' => {
                self.reference = Reference::default();
                self.lex = Lex::Reference;
            }
            _ => return self.keep(byte),
        }
        Ok(())
    }

    /// White space before a value is not part of it; that behind it is cut off once the element closes.
    fn keep(&mut self, byte: u8) -> Step {
        if self.value.bytes().is_empty() && is_space(byte) { Ok(()) } else { self.value.push(byte) }
    }

    fn after_open(&mut self, path: &XmlPath, byte: u8) -> Step {
        match byte {
            b'!' => self.lex = Lex::Bang,
            b'?' => self.lex = Lex::Instruction(false),
            b'/' => {
                self.begin_name();
                self.lex = Lex::EndName;
            }
            // Elements in it: it is no key.
            _ if self.keeping > 0 => return Err(Seen::Malformed),
            _ => {
                self.begin_name();
                self.lex = Lex::Name;
                return self.add_to_name(path, byte);
            }
        }
        Ok(())
    }

    fn begin_name(&mut self) {
        // FNV-1a, 32 bits.
        self.hash = 0x811C_9DC5;
        self.same = Some(0);
    }

    fn add_to_name(&mut self, path: &XmlPath, byte: u8) -> Step {
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | 0x80..)) {
            return Err(Seen::Malformed);
        }
        self.hash = (self.hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let Some(wanted) = self.wanted(path) else { return Ok(()) };
        // A name without a prefix is meant whatever prefix the document gives it.
        self.same = match self.same.filter(|at| wanted.as_bytes().get(*at) == Some(&byte)) {
            Some(at) => Some(at + 1),
            None if byte == b':' && !wanted.contains(':') => Some(0),
            None => None,
        };
        Ok(())
    }

    /// The name that an element here would lie on the way by.
    fn wanted<'p>(&self, path: &'p XmlPath) -> Option<&'p str> {
        match path {
            XmlPath::Anywhere(name) => Some(name),
            XmlPath::Root(names) if self.depth == self.on_path => names.get(self.depth).map(String::as_str),
            XmlPath::Root(_) => None,
        }
    }

    fn name(&mut self, path: &XmlPath, byte: u8) -> Step {
        if is_space(byte) || matches!(byte, b'/' | b'>') {
            self.lex = Lex::Tag;
            return self.tag(path, byte);
        }
        self.add_to_name(path, byte)
    }

    fn tag(&mut self, path: &XmlPath, byte: u8) -> Step {
        match byte {
            b'"' | b'\'' => self.lex = Lex::Quoted(byte),
            b'/' => self.lex = Lex::Slash,
            b'>' => {
                self.open(path)?;
                self.lex = Lex::Text;
            }
            b'<' => return Err(Seen::Malformed),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, path: &XmlPath) -> Step {
        if self.depth == DEEPEST {
            return Err(Seen::Malformed);
        }
        let on_way = self.wanted(path).is_some_and(|name| self.same == Some(name.len()));
        self.names[self.depth] = self.hash;
        self.depth += 1;
        if !on_way {
            return Ok(());
        }
        if let XmlPath::Root(names) = path {
            self.on_path = self.depth;
            if self.depth < names.len() {
                return Ok(());
            }
        }
        if std::mem::replace(&mut self.met, true) {
            return Err(Seen::Ambiguous);
        }
        self.keeping = self.depth;
        self.value.clear();
        Ok(())
    }

    fn empty(&mut self, path: &XmlPath, first: bool) -> Step {
        self.open(path)?;
        self.close(first)
    }

    fn close(&mut self, first: bool) -> Step {
        self.lex = Lex::Text;
        if self.depth == 0 || self.names[self.depth - 1] != self.hash {
            return Err(Seen::Malformed);
        }
        let kept = self.keeping == self.depth;
        self.depth -= 1;
        self.on_path = self.on_path.min(self.depth);
        if kept {
            self.keeping = 0;
            let end = self.value.bytes().iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
            self.value.truncate(end);
        }
        if self.depth == 0 || kept && first { Err(self.value.seen()) } else { Ok(()) }
    }

    /// Comments, CDATA and processing instructions.
    fn markup(&mut self, byte: u8) -> Step {
        self.lex = match (self.lex, byte) {
            (Lex::Bang, b'-') => Lex::Begin(&COMMENT[1..]),
            (Lex::Bang, b'[') if self.depth > 0 => Lex::Begin(&CDATA[1..]),
            (Lex::Begin([next]), _) if *next == byte => {
                if byte == b'-' {
                    Lex::Comment(0)
                } else {
                    Lex::CData(0)
                }
            }
            (Lex::Begin([next, rest @ ..]), _) if *next == byte => Lex::Begin(rest),
            (Lex::Comment(2), b'>') => Lex::Text,
            // A document type, or nothing that stands there; two dashes end a comment and stand nowhere else in it.
            (Lex::Bang | Lex::Begin(_) | Lex::Comment(2), _) => return Err(Seen::Malformed),
            (Lex::Comment(dashes), b'-') => Lex::Comment(dashes + 1),
            (Lex::Comment(_), _) => Lex::Comment(0),
            (Lex::CData(brackets), _) => return self.in_cdata(brackets, byte),
            (Lex::Instruction(true), b'>') => {
                self.instruction_ends()?;
                Lex::Text
            }
            (Lex::Instruction(_), _) => {
                self.keep_instruction(byte);
                Lex::Instruction(byte == b'?')
            }
            (other, _) => other,
        };
        Ok(())
    }

    fn in_cdata(&mut self, brackets: u8, byte: u8) -> Step {
        self.lex = match byte {
            b']' if brackets == 2 => {
                // Of three, the first belongs to the text.
                self.keep_cdata(b']')?;
                Lex::CData(2)
            }
            b']' => Lex::CData(brackets + 1),
            b'>' if brackets == 2 => Lex::Text,
            _ => {
                for _ in 0..brackets {
                    self.keep_cdata(b']')?;
                }
                self.keep_cdata(byte)?;
                Lex::CData(0)
            }
        };
        Ok(())
    }

    fn keep_cdata(&mut self, byte: u8) -> Step {
        if self.keeping > 0 { self.keep(byte) } else { Ok(()) }
    }

    /// Before the outermost element nothing is kept, so an instruction may lie where the value will.
    fn keep_instruction(&mut self, byte: u8) {
        if self.depth == 0 {
            // What has no room is longer than any declaration of an encoding.
            self.value.push(byte).unwrap_or_default();
        }
    }

    fn instruction_ends(&mut self) -> Step {
        if self.depth > 0 {
            return Ok(());
        }
        let readable = declaration::is_readable(self.value.bytes());
        self.value.clear();
        if readable { Ok(()) } else { Err(Seen::Malformed) }
    }
}

#[cfg(test)]
mod tests;
