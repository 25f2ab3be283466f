//! A small reader of JSON (RFC 8259). Strict: no comments, no trailing commas, no key twice, nothing after the value.

/// One JSON value. Mappings keep their order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// A negative integer.
    Signed(i64),
    /// A number with a fraction or an exponent, or one that fits no integer.
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

/// Nesting that is read: settings are shallow, and the guest's stack is small.
const DEEPEST: u32 = 64;

/// Reads one value; nothing but white space reads as null. The error says what is wrong and at which byte.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    reader.blank();
    if reader.at == text.len() {
        return Ok(Value::Null);
    }
    let value = reader.value(0);
    reader.blank();
    match value {
        Ok(_) if reader.at < text.len() => Err(format!("something follows the value at byte {}", reader.at)),
        Ok(value) => Ok(value),
        Err(cause) => Err(format!("{cause} at byte {}", reader.at)),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.peek() == Some(byte);
        self.at += usize::from(eaten);
        eaten
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: u32) -> Result<Value, &'static str> {
        if depth > DEEPEST {
            return Err("nested too deeply");
        }
        match self.peek() {
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err("unexpected character"),
            None => Err("unexpected end"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, &'static str> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err("unknown word");
        }
        self.at += word.len();
        Ok(value)
    }

    fn list(&mut self, depth: u32) -> Result<Value, &'static str> {
        self.at += 1;
        let mut list = Vec::new();
        self.blank();
        if self.eat(b']') {
            return Ok(Value::List(list));
        }
        loop {
            self.blank();
            list.push(self.value(depth + 1)?);
            self.blank();
            if self.eat(b']') {
                return Ok(Value::List(list));
            }
            if !self.eat(b',') {
                return Err("expected `,` or `]`");
            }
        }
    }

    fn map(&mut self, depth: u32) -> Result<Value, &'static str> {
        self.at += 1;
        let mut entries: Vec<(String, Value)> = Vec::new();
        self.blank();
        if self.eat(b'}') {
            return Ok(Value::Map(entries));
        }
        loop {
            self.blank();
            let key = self.string()?;
            if entries.iter().any(|(other, _)| *other == key) {
                return Err("the same key twice");
            }
            self.blank();
            if !self.eat(b':') {
                return Err("expected `:`");
            }
            self.blank();
            entries.push((key, self.value(depth + 1)?));
            self.blank();
            if self.eat(b'}') {
                return Ok(Value::Map(entries));
            }
            if !self.eat(b',') {
                return Err("expected `,` or `}`");
            }
        }
    }

    fn string(&mut self) -> Result<String, &'static str> {
        if !self.eat(b'"') {
            return Err("expected a text in quotes");
        }
        let mut text = Vec::new();
        loop {
            match self.peek() {
                None => return Err("a text without its closing quote"),
                Some(0..0x20) => return Err("a control character in a text"),
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    let character = self.escape()?;
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
                Some(byte) => text.push(byte),
            }
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(text).map_err(|_| "a text that is not UTF-8")
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Result<char, &'static str> {
        let byte = self.peek().ok_or("a text without its closing quote")?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err("an unknown escape"),
        })
    }

    /// Four hex digits, or eight with an escape between for a character outside the basic plane.
    fn unicode(&mut self) -> Result<char, &'static str> {
        let first = self.hex()?;
        let code = if (0xD800..0xDC00).contains(&first) && self.eat(b'\\') && self.eat(b'u') {
            match self.hex()? {
                second @ 0xDC00..0xE000 => 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                _ => return Err("half a surrogate pair"),
            }
        } else {
            first
        };
        char::from_u32(code).ok_or("half a surrogate pair")
    }

    fn hex(&mut self) -> Result<u32, &'static str> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16)).ok_or("expected four hex digits")?;
            self.at += 1;
            code = code << 4 | digit;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, &'static str> {
        let negative = self.eat(b'-');
        let mut number = Decimal::default();
        let first = self.peek();
        match self.digits(&mut number, false) {
            0 => return Err("expected a digit"),
            1 => {}
            _ if first == Some(b'0') => return Err("a number with a leading zero"),
            _ => {}
        }
        let mut integer = number.exponent == 0;
        if self.eat(b'.') {
            integer = false;
            if self.digits(&mut number, true) == 0 {
                return Err("expected a digit");
            }
        }
        if self.eat(b'e') || self.eat(b'E') {
            integer = false;
            let down = !self.eat(b'+') && self.eat(b'-');
            let mut power = Decimal::default();
            if self.digits(&mut power, false) == 0 {
                return Err("expected a digit");
            }
            let power = power.mantissa.min(10_000) as i32;
            number.exponent += if down { -power } else { power };
        }
        Ok(match (integer, negative) {
            (true, false) => Value::Unsigned(number.mantissa),
            (true, true) if number.mantissa <= 1 << 63 => Value::Signed(0i64.wrapping_sub_unsigned(number.mantissa)),
            _ => Value::Float(if negative { -number.float() } else { number.float() }),
        })
    }

    /// Reads digits into a number; answers how many there were.
    fn digits(&mut self, number: &mut Decimal, fraction: bool) -> usize {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number.push(digit - b'0', fraction);
            self.at += 1;
        }
        self.at - start
    }
}

/// A number as `mantissa * 10^exponent`. Digits that the mantissa cannot hold are dropped.
#[derive(Default)]
struct Decimal {
    mantissa: u64,
    exponent: i32,
    full: bool,
}

impl Decimal {
    fn push(&mut self, digit: u8, fraction: bool) {
        let longer = self.mantissa.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit)));
        if let Some(longer) = longer.filter(|_| !self.full) {
            self.mantissa = longer;
            self.exponent -= i32::from(fraction);
        } else {
            self.full = true;
            self.exponent += i32::from(!fraction);
        }
    }

    /// The nearest float where both parts are exact (15 digits, powers up to 22: Clinger 1990, the fast path), within
    /// a few units of the last place elsewhere.
    fn float(&self) -> f64 {
        let mut value = self.mantissa as f64;
        let mut left = self.exponent.abs().min(400);
        while left > 0 {
            let step = left.min(22);
            let power = 10f64.powi(step);
            value = if self.exponent < 0 { value / power } else { value * power };
            left -= step;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Value, read};

    /// The same value, read by somebody else.
    fn convert(value: serde_json::Value) -> Value {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => Value::Unsigned(value),
                (_, Some(value), _) => Value::Signed(value),
                (.., value) => Value::Float(value.unwrap()),
            },
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Array(list) => Value::List(list.into_iter().map(convert).collect()),
            serde_json::Value::Object(map) => Value::Map(map.into_iter().map(|(k, v)| (k, convert(v))).collect()),
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<u64>().prop_map(serde_json::Value::from),
            (i64::MIN..0).prop_map(serde_json::Value::from),
            (-9_999_999i64..9_999_999, 1i32..6)
                .prop_map(|(n, d)| serde_json::Value::from((n * 10 + 1) as f64 / 10f64.powi(d))),
            ".{0,12}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_writes(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            prop_assert_eq!(read(&text.unwrap()), Ok(convert(value)));
        }

        /// Whatever it is given, it accepts what serde_json accepts (but for a key given twice) and refuses the rest.
        #[test]
        fn it_refuses_what_serde_json_refuses(text in r#"[\[\]{}:,"\\0-9eE.+ tfnrula-]{1,12}"#) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match (read(&text), theirs) {
                (Ok(ours), Err(_)) => {
                    // Powers of ten that no float holds, and no text at all.
                    let huge = matches!(ours, Value::Float(value) if value.is_infinite()) || text.contains(['e', 'E']);
                    prop_assert!(huge || text.trim().is_empty(), "{text:?} was read as {ours:?}");
                }
                (Err(cause), Ok(value)) => prop_assert!(cause.starts_with("the same key twice"), "{value}: {cause}"),
                _ => {}
            }
        }

        #[test]
        fn it_never_panics(text in ".{0,80}") {
            let _ = read(&text);
        }
    }

    #[test]
    fn escapes() {
        let text = r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#;
        assert_eq!(read(text), Ok(Value::Text("\"\\/\u{8}\u{c}\n\r\té😀".to_owned())));
        for half in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#] {
            assert!(read(half).unwrap_err().starts_with("half a surrogate pair"), "{half}");
        }
    }

    #[test]
    fn numbers_at_the_edges() {
        assert_eq!(read("18446744073709551615"), Ok(Value::Unsigned(u64::MAX)));
        assert_eq!(read("18446744073709551616"), Ok(Value::Float(18_446_744_073_709_551_616.0)));
        assert_eq!(read("-9223372036854775808"), Ok(Value::Signed(i64::MIN)));
        assert_eq!(read("-9223372036854775809"), Ok(Value::Float(-9_223_372_036_854_775_809.0)));
        assert_eq!(read("1.25"), Ok(Value::Float(1.25)));
        assert_eq!(read("125e-2"), Ok(Value::Float(1.25)));
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(read("{\"a\": 1, \"a\": 2}").unwrap_err(), "the same key twice at byte 12");
        assert_eq!(read("[1, 2").unwrap_err(), "expected `,` or `]` at byte 5");
        assert_eq!(read("1 2").unwrap_err(), "something follows the value at byte 2");
        assert!(read(&"[".repeat(100_000)).unwrap_err().starts_with("nested too deeply"));
    }
}
