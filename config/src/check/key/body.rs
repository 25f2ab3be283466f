//! Places in a body.

use super::super::fields::Fields;
use crate::plan::{BodyPlace, XmlPath};

/// Names on the way to a value.
const MOST_NAMES: usize = 16;
/// Bytes of a name or of a pointer as a whole.
const LONGEST: usize = 512;
const LARGEST_TAG: u32 = 999_999;

/// What stands under `json`, `form`, `xml` or `fix`.
pub(super) fn place(fields: &Fields, name: &str) -> Option<BodyPlace> {
    Some(match name {
        "json" => BodyPlace::Json(pointer(fields)?),
        "form" => BodyPlace::Form(short(fields, name)?.into()),
        "xml" => BodyPlace::Xml(xml(fields)?),
        _ => BodyPlace::Fix(fields.small("fix", 1..=LARGEST_TAG)?),
    })
}

fn short<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a str> {
    let text = fields.text(name)?;
    if text.len() > LONGEST {
        fields.wrong(name, fields.get(name)?, format!("at most {LONGEST} bytes"), "");
        return None;
    }
    Some(text)
}

/// RFC 6901: `~1` is a slash, `~0` a tilde.
fn pointer(fields: &Fields) -> Option<Vec<String>> {
    let written = short(fields, "json")?;
    let wrong = |hint: String| {
        let node = fields.get("json")?;
        fields.wrong("json", node, "a JSON pointer", hint);
        None
    };
    let Some(rest) = written.strip_prefix('/') else {
        let path = written.trim_start_matches(['$', '#']).trim_start_matches(['.', '/']).replace('.', "/");
        return wrong(format!("write `/{path}`: every name after a slash"));
    };
    let tokens: Option<Vec<String>> = rest.split('/').map(unescape).collect();
    match tokens {
        Some(tokens) if tokens.len() <= MOST_NAMES => Some(tokens),
        Some(_) => wrong(format!("at most {MOST_NAMES} names deep")),
        None => wrong("`~` stands before `0` (a tilde) or `1` (a slash) alone".into()),
    }
}

fn unescape(token: &str) -> Option<String> {
    let well = token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    well.then(|| token.replace("~1", "/").replace("~0", "~"))
}

/// `/Order/ClientId` from the root, or `ClientId` wherever it stands.
fn xml(fields: &Fields) -> Option<XmlPath> {
    let written = short(fields, "xml")?;
    let names: Vec<&str> = written.strip_prefix('/').unwrap_or(written).split('/').collect();
    let is_name = |name: &&str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.')
            && name.chars().all(|c| c.is_alphanumeric() || "_-.:".contains(c))
    };
    let fine = names.iter().all(is_name) && names.len() <= MOST_NAMES;
    let names = || names.iter().map(|name| (*name).to_owned());
    match written.starts_with('/') {
        true if fine => Some(XmlPath::Root(names().collect())),
        false if fine && !written.contains('/') => Some(XmlPath::Anywhere(written.into())),
        _ => {
            let hint = "names from the root on, as in /Order/ClientId, or one name that may stand anywhere";
            fields.wrong("xml", fields.get("xml")?, "the path of an element", hint);
            None
        }
    }
}
