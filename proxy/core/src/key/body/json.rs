//! JSON (RFC 8259): the value at a pointer (RFC 6901).
//!
//! What is on the way to the value is read by the grammar, with strings as UTF-8 and escapes whole, so that what is found
//! is what a parser of the whole document finds. A name that stands twice in an object on the way makes the key ambiguous:
//! parsers differ in which they take. That is known only once the outermost object closes, unless the first is taken.

use super::utf8::Utf8;
use super::value::{Seen, Step, Value};
use escape::Escape;
use number::Number;

mod escape;
mod number;

/// Arrays and objects inside each other, as many as `serde_json` reads.
const DEEPEST: usize = 127;

/// Where in a document one is.
#[derive(Debug)]
pub(super) struct Json {
    lex: Lex,
    expect: Expect,
    /// Whether the container at each depth is an object, outermost in the lowest bit.
    objects: u128,
    depth: usize,
    /// How many of the open containers, from the outermost on, lie on the way.
    on_path: usize,
    /// Steps of the way whose name or index was met.
    met: u32,
    /// Elements of the innermost array on the way that have begun.
    index: u32,
    /// Whether the value that comes next lies on the way, or is its end.
    hit: bool,
    /// What becomes of the characters of a string, or of the digits of a number.
    role: Role,
    /// Bytes of the name that are the same so far; `None`: it is another name.
    same: Option<usize>,
    utf8: Utf8,
    escape: Escape,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lex {
    Between,
    String,
    Escape,
    Number(Number),
    /// What is left of `true`, `false` or `null`.
    Word(&'static [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Skipped,
    Name,
    Kept,
}

impl Default for Json {
    fn default() -> Self {
        Self {
            lex: Lex::Between,
            expect: Expect::Value,
            objects: 0,
            depth: 0,
            on_path: 0,
            met: 0,
            index: 0,
            hit: true,
            role: Role::Skipped,
            same: None,
            utf8: Utf8::default(),
            escape: Escape::default(),
            value: Value::default(),
        }
    }
}

impl Json {
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// `pointer`: one token or more.
    pub(super) fn feed(&mut self, pointer: &[String], first: bool, bytes: &[u8]) -> Seen {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.lex == Lex::String && self.role == Role::Skipped && self.utf8.is_whole() && self.escape.is_whole() {
                let plain = |byte: &&u8| matches!(byte, 0x20..=0x7F) && !matches!(byte, b'"' | b'\\');
                let run = bytes[at..].iter().take_while(plain).count();
                if run > 0 {
                    at += run;
                    continue;
                }
            }
            match self.byte(pointer, first, byte) {
                Ok(taken) => at += usize::from(taken),
                Err(seen) => return seen,
            }
        }
        Seen::More
    }

    pub(super) fn end(&mut self) -> Seen {
        let whole = match self.lex {
            Lex::Between => self.expect == Expect::Value,
            Lex::Number(number) => number.may_end(),
            _ => false,
        };
        // A document of nothing, or of one number.
        if whole && self.depth == 0 { Seen::Missing } else { Seen::Malformed }
    }

    /// `Ok(false)`: the byte ended a number, and is to be read again.
    fn byte(&mut self, pointer: &[String], first: bool, byte: u8) -> Step<bool> {
        match self.lex {
            Lex::Between => self.between(pointer, first, byte)?,
            Lex::String => self.in_string(pointer, first, byte)?,
            Lex::Escape => self.in_escape(pointer, byte)?,
            Lex::Number(number) => match number.take(byte) {
                Some(next) => {
                    self.lex = Lex::Number(next);
                    self.keep_digit(byte)?;
                }
                None if number.may_end() => {
                    self.number_ends();
                    self.value_ends(first)?;
                    return Ok(false);
                }
                None => return Err(Seen::Malformed),
            },
            Lex::Word([next, rest @ ..]) if *next == byte => {
                self.lex = Lex::Word(rest);
                if rest.is_empty() {
                    self.value_ends(first)?;
                }
            }
            Lex::Word(_) => return Err(Seen::Malformed),
        }
        Ok(true)
    }

    fn between(&mut self, pointer: &[String], first: bool, byte: u8) -> Step {
        match (self.expect, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => Ok(()),
            (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') => self.close(first, false),
            (Expect::Value | Expect::ValueOrEnd, _) => self.value_begins(pointer, byte),
            (Expect::Name | Expect::NameOrEnd, b'"') => {
                let on_way = self.depth == self.on_path;
                self.role = if on_way { Role::Name } else { Role::Skipped };
                self.same = Some(0);
                self.expect = Expect::Colon;
                self.lex = Lex::String;
                Ok(())
            }
            (Expect::NameOrEnd | Expect::CommaOrEnd, b'}') => self.close(first, true),
            (Expect::Colon, b':') => {
                self.expect = Expect::Value;
                Ok(())
            }
            (Expect::CommaOrEnd, b',') => {
                self.expect = if self.in_object() { Expect::Name } else { Expect::Value };
                Ok(())
            }
            _ => Err(Seen::Malformed),
        }
    }

    fn in_object(&self) -> bool {
        self.depth > 0 && self.objects >> (self.depth - 1) & 1 == 1
    }

    fn value_begins(&mut self, pointer: &[String], byte: u8) -> Step {
        if self.depth > 0 && self.depth == self.on_path && !self.in_object() {
            self.hit = self.element(&pointer[self.on_path - 1]);
        }
        let hit = std::mem::take(&mut self.hit);
        let target = hit && self.on_path == pointer.len();
        self.role = if target { Role::Kept } else { Role::Skipped };
        self.lex = match byte {
            b'"' => Lex::String,
            // A container is no key.
            b'{' | b'[' if target => return Err(Seen::Malformed),
            b'{' | b'[' => return self.open(byte == b'{', hit),
            b't' => Lex::Word(self.keep_word(b"true")?),
            b'f' => Lex::Word(self.keep_word(b"false")?),
            b'n' => Lex::Word(b"ull"),
            _ => {
                let number = Number::begin(byte).ok_or(Seen::Malformed)?;
                self.keep_digit(byte)?;
                Lex::Number(number)
            }
        };
        Ok(())
    }

    /// Whether the element that begins is the one that a token names. Once it was met the count is another array's.
    fn element(&mut self, token: &str) -> bool {
        let step = 1 << (self.on_path - 1);
        let index = self.index;
        self.index += 1;
        let canonical = token == "0" || !token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit());
        if self.met & step != 0 || !canonical || token.parse() != Ok(index) {
            return false;
        }
        self.met |= step;
        true
    }

    fn open(&mut self, object: bool, hit: bool) -> Step {
        if self.depth == DEEPEST {
            return Err(Seen::Malformed);
        }
        let bit = 1 << self.depth;
        self.objects = if object { self.objects | bit } else { self.objects & !bit };
        self.depth += 1;
        if hit {
            self.on_path += 1;
            self.index = 0;
        }
        self.expect = if object { Expect::NameOrEnd } else { Expect::ValueOrEnd };
        self.lex = Lex::Between;
        Ok(())
    }

    fn close(&mut self, first: bool, object: bool) -> Step {
        if self.in_object() != object {
            return Err(Seen::Malformed);
        }
        let on_way = self.depth == self.on_path;
        self.depth -= 1;
        self.on_path = self.on_path.min(self.depth);
        if on_way && first {
            // Whatever follows is a second of its name, or beside the way.
            return Err(Seen::Missing);
        }
        self.value_ends(first)
    }

    fn value_ends(&mut self, first: bool) -> Step {
        self.lex = Lex::Between;
        self.expect = Expect::CommaOrEnd;
        let kept = std::mem::replace(&mut self.role, Role::Skipped) == Role::Kept;
        if self.depth == 0 || kept && first { Err(self.value.seen()) } else { Ok(()) }
    }

    fn in_string(&mut self, pointer: &[String], first: bool, byte: u8) -> Step {
        match byte {
            b'"' | b'\\' if !self.utf8.is_whole() => Err(Seen::Malformed),
            b'\\' => {
                self.lex = Lex::Escape;
                Ok(())
            }
            _ if !self.escape.is_whole() => Err(Seen::Malformed),
            b'"' if self.expect == Expect::Colon => self.name_ends(pointer, first),
            b'"' => self.value_ends(first),
            0..=0x1F => Err(Seen::Malformed),
            _ if !self.utf8.take(byte) => Err(Seen::Malformed),
            _ => self.put(pointer, &[byte]),
        }
    }

    fn in_escape(&mut self, pointer: &[String], byte: u8) -> Step {
        let Some(character) = self.escape.take(byte)? else {
            // Half of a pair is followed by another escape.
            if self.escape.is_between() {
                self.lex = Lex::String;
            }
            return Ok(());
        };
        self.lex = Lex::String;
        self.put(pointer, character.encode_utf8(&mut [0; 4]).as_bytes())
    }

    fn put(&mut self, pointer: &[String], bytes: &[u8]) -> Step {
        match self.role {
            Role::Skipped => Ok(()),
            Role::Kept => self.value.extend(bytes),
            Role::Name => {
                let token = pointer[self.on_path - 1].as_bytes();
                let goes_on = |at: &usize| token[*at..].starts_with(bytes);
                self.same = self.same.filter(goes_on).map(|at| at + bytes.len());
                Ok(())
            }
        }
    }

    fn name_ends(&mut self, pointer: &[String], first: bool) -> Step {
        self.lex = Lex::Between;
        let step = self.on_path.wrapping_sub(1);
        if self.role == Role::Name && self.same == Some(pointer[step].len()) {
            let again = self.met >> step & 1 == 1;
            if again && !first {
                return Err(Seen::Ambiguous);
            }
            self.met |= 1 << step;
            self.hit = !again;
        }
        self.role = Role::Skipped;
        Ok(())
    }

    fn keep_digit(&mut self, byte: u8) -> Step {
        if self.role == Role::Kept { self.value.push(byte) } else { Ok(()) }
    }

    /// Keeps a word, and answers what is left of it once its first letter is read.
    fn keep_word(&mut self, word: &'static [u8]) -> Step<&'static [u8]> {
        if self.role == Role::Kept {
            self.value.extend(word)?;
        }
        Ok(&word[1..])
    }

    fn number_ends(&mut self) {
        if self.role == Role::Kept && self.value.bytes() == b"-0" {
            self.value.clear();
            self.value.extend(b"0").unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests;
