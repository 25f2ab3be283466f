//! What stands in the body of a trade, read by the node itself and in another way than the proxy reads it.

use serde_json::Value;

use super::orders::text;

/// Where a value stands in a body, by its format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// JSON pointer (RFC 6901).
    pub(super) json: &'static str,
    /// Local name of an XML element that holds text alone.
    pub(super) xml: &'static str,
    /// FIX tag.
    pub(super) fix: u32,
}

/// Who trades.
pub(super) const CLIENT: Place = Place { json: "/client/id", xml: "ClientId", fix: 1 };
/// Which order an execution is of.
pub(super) const ORDER: Place = Place { json: "/execution/clOrdID", xml: "ClOrdID", fix: 11 };

/// What stands there; `None` where nothing does, or the body is not of that type.
pub(super) fn read(content_type: &str, body: &[u8], place: Place) -> Option<String> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let found = if kind.ends_with("json") {
        let value: Value = serde_json::from_slice(body).ok()?;
        text(value.pointer(place.json)?)
    } else if kind.ends_with("xml") {
        let document = std::str::from_utf8(body).ok()?;
        let (_, rest) = document.split_once(&format!("<{}>", place.xml))?;
        rest.split_once('<')?.0.trim().to_owned()
    } else {
        let message = std::str::from_utf8(body).ok()?;
        let field = |field: &str| {
            let (tag, value) = field.split_once('=')?;
            (tag.parse() == Ok(place.fix)).then(|| value.to_owned())
        };
        message.split('\u{1}').find_map(field)?
    };
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_found_in_each_format() {
        let fix = "8=FIX.4.4\u{1}35=D\u{1}11=o-1\u{1}1=C7\u{1}10=000\u{1}";
        for (kind, body) in [
            ("application/json; charset=utf-8", r#"{"client":{"id":"C7"},"execution":{"clOrdID":"o-1"}}"#),
            ("application/xml", "<Trade><ClientId>C7</ClientId><ClOrdID> o-1 </ClOrdID></Trade>"),
            ("application/fix", fix),
        ] {
            let found = (read(kind, body.as_bytes(), CLIENT), read(kind, body.as_bytes(), ORDER));
            assert_eq!(found, (Some("C7".into()), Some("o-1".into())), "{kind}");
        }
        assert_eq!(read("application/json", b"{\"client\":7", CLIENT), None);
        assert_eq!(read("application/fix", b"8=FIX.4.4\x0111=", ORDER), None);
    }
}
