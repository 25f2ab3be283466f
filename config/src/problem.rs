//! What a person reads when the configuration is wrong: cause, place, the line drawn, and the cure.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::plan::Mark;
use crate::redact;

/// Bytes that a configuration file may have.
pub const MAX_FILE: u64 = 4 << 20;
/// Columns of a line that are drawn; the rest is cut off on both sides of the caret.
const DRAWN: usize = 110;

/// The text of a configuration and the file that it came from.
#[derive(Debug)]
pub struct Source {
    file: PathBuf,
    text: String,
    /// Whether it was read from there.
    on_disk: bool,
    /// Byte at which each line starts, filled at the first problem.
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    /// Text that has been read already. `file` is what problems name.
    pub fn new(file: &Path, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), text: text.into(), on_disk: false, lines: OnceLock::new() }
    }

    /// Reads a file. Errors: one problem, if it cannot be read, is over [`MAX_FILE`] or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let refuse = |message: String, help: &str| {
            Err(Problems::from(vec![Source::new(path, "").problem(Mark::default(), message).help(help)]))
        };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return refuse(format!("cannot read this file: {error}"), "name the configuration with `-c FILE`");
        }
        if bytes.len() as u64 > MAX_FILE {
            return refuse("this file is larger than 4 MiB".into(), "let nodes join through the registry instead");
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { on_disk: true, ..Self::new(path, text) }),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let source = Self::new(path, String::from_utf8_lossy(error.as_bytes()));
                let problem = source.problem(source.mark_of_byte(good), "this file is not UTF-8 from here on");
                Err(Problems::from(vec![problem.help("save it as UTF-8")]))
            }
        }
    }

    /// The file, as given.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether it was read from disk, so that other files that it names can be looked at.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.on_disk
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A problem at a place in this text, its line drawn. Line 0 (unknown): no line is drawn.
    pub fn problem(&self, mark: Mark, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            line: mark.line,
            column: mark.column,
            message: message.into(),
            hint: None,
            excerpt: self
                .line(mark.line)
                .filter(|line| !line.trim().is_empty())
                .map(|line| Excerpt::of(&redact::line(line), mark.column)),
        }
    }

    /// A line by its number from 1, without its end.
    pub(crate) fn line(&self, number: usize) -> Option<&str> {
        let starts = self.lines.get_or_init(|| line_starts(&self.text));
        let start = *starts.get(number.checked_sub(1)?)? as usize;
        let end = starts.get(number).map_or(self.text.len(), |end| *end as usize);
        Some(self.text[start..end].trim_end_matches(is_break))
    }

    /// The line and column of a byte.
    pub(crate) fn mark_of_byte(&self, byte: usize) -> Mark {
        let starts = self.lines.get_or_init(|| line_starts(&self.text));
        let line = starts.partition_point(|start| *start as usize <= byte);
        let start = starts[line.saturating_sub(1)] as usize;
        let before = self.text.get(start..byte).unwrap_or_default();
        Mark { line, column: before.chars().count() + 1 }
    }
}

/// What YAML 1.1, and so the library's count of lines, takes for a line's end.
fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn line_starts(text: &str) -> Vec<u32> {
    let mut starts = vec![0];
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let crlf = c == '\r' && rest.peek().is_some_and(|(_, next)| *next == '\n');
        if is_break(c) && !crlf {
            starts.push((at + c.len_utf8()) as u32);
        }
    }
    starts
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Line from 1; 0 where the problem is with the file as a whole.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line, if it is known.
    pub excerpt: Option<Excerpt>,
}

/// A line as it is drawn: its printable characters around the place, and where the caret goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The part of the line that is shown.
    pub text: String,
    /// Characters before the caret.
    pub indent: usize,
    /// Characters that are underlined, 1 or more.
    pub width: usize,
}

impl Excerpt {
    fn of(line: &str, column: usize) -> Self {
        let at = column.saturating_sub(1);
        let skip = if at < DRAWN - 20 { 0 } else { at - DRAWN / 2 };
        let cut_before = if skip > 0 { "... " } else { "" };
        let mut rest = line.chars().skip(skip);
        // A terminal must not obey what a file says: what cannot be printed is drawn as a box.
        let shown: String = rest
            .by_ref()
            .take(DRAWN)
            .map(|c| match c {
                '\t' => ' ',
                c if c.is_control() || is_reordering(c) => '\u{fffd}',
                c => c,
            })
            .collect();
        let cut_after = if rest.next().is_some() { " ..." } else { "" };
        let from_caret: String = shown.chars().skip(at - skip).collect();
        Self {
            indent: at - skip + cut_before.len(),
            width: token_width(&from_caret),
            text: format!("{cut_before}{}{cut_after}", shown.trim_end()),
        }
    }
}

/// Characters that change the direction of text and so can make a line look like another (Unicode TR 36).
fn is_reordering(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How many characters the word at the start of `text` has: a quoted string whole, otherwise up to what ends a plain
/// one.
fn token_width(text: &str) -> usize {
    let mut chars = text.chars();
    let width = match chars.next() {
        Some(quote @ ('"' | '\'')) => chars.position(|c| c == quote).map_or(1, |inner| inner + 2),
        Some('[' | '{' | ',' | ']' | '}') | None => 1,
        Some(_) => {
            let ends = text.char_indices().find(|(at, c)| {
                let after = &text[at + c.len_utf8()..];
                matches!(c, ',' | ']' | '}') && !text[..*at].contains("${")
                    || *c == ':' && (after.is_empty() || after.starts_with(' '))
                    || *c == ' ' && after.starts_with('#')
            });
            text[..ends.map_or(text.len(), |(at, _)| at)].trim_end().chars().count()
        }
    };
    width.max(1)
}

impl Problem {
    /// The same problem with what to do about it.
    #[must_use]
    pub fn help(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The problem as a person reads it, several lines, no line end after the last. `colour`: with ANSI colours;
    /// pass true only for a terminal.
    pub fn render(&self, colour: bool) -> String {
        let (red, blue, green, plain) =
            if colour { ("\x1b[1;31m", "\x1b[1;34m", "\x1b[1;32m", "\x1b[0m") } else { ("", "", "", "") };
        let mut out = format!("{red}error{plain}: {}\n", self.message);
        let gutter = " ".repeat(self.line.to_string().len());
        let _ = write!(out, "{gutter}{blue}-->{plain} {}", self.file.display());
        if self.line > 0 {
            let _ = write!(out, ":{}:{}", self.line, self.column);
        }
        if let Some(Excerpt { text, indent, width }) = &self.excerpt {
            let (line, space, underline) = (self.line, " ".repeat(*indent), "^".repeat(*width));
            let _ = write!(out, "\n{gutter} {blue}|{plain}\n{blue}{line} |{plain} {text}");
            let _ = write!(out, "\n{gutter} {blue}|{plain} {space}{red}{underline}{plain}");
        }
        if let Some(hint) = &self.hint {
            let _ = write!(out, "\n{gutter} {blue}={plain} {green}help{plain}: {hint}");
        }
        out
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Everything that is wrong, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The problems, at least one.
    pub list: Vec<Problem>,
    /// How many more there are than are kept (a thousand wrong lines help nobody).
    pub left_out: usize,
}

impl From<Vec<Problem>> for Problems {
    fn from(list: Vec<Problem>) -> Self {
        Self { list, left_out: 0 }
    }
}

impl Problems {
    /// All problems as a person reads them, and how many there are. `colour`: as in [`Problem::render`].
    pub fn render(&self, colour: bool) -> String {
        let mut out: String = self.list.iter().map(|problem| problem.render(colour) + "\n\n").collect();
        let count = self.list.len() + self.left_out;
        let _ = match (count, self.left_out) {
            (1, _) => write!(out, "1 problem found"),
            (_, 0) => write!(out, "{count} problems found"),
            (_, left_out) => write!(out, "{count} problems found, {left_out} of them not shown"),
        };
        out
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}
