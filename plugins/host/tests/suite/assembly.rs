//! Builds a component from a guest's text.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract, as the repository holds it.
pub(crate) const WIT: &str = include_str!("../../../wit/policy.wit");

/// The parts of a guest's file: what stands after each `;;; part`. What comes before the first is under "".
fn parts(text: &str) -> BTreeMap<&str, String> {
    let mut parts = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(next) = line.strip_prefix(";;; ") {
            name = next.trim();
            parts.insert(name, String::new());
        } else {
            let part: &mut String = parts.entry(name).or_default();
            part.push_str(line);
            part.push('\n');
        }
    }
    parts
}

/// The component of a guest in that folder.
pub(crate) fn guest(folder: &Path, name: &str) -> Vec<u8> {
    let path = folder.join(format!("{name}.wat"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assemble(folder, name, &text, WIT)
}

/// A component of a guest's text against some version of the contract.
pub(crate) fn assemble(folder: &Path, name: &str, text: &str, wit: &str) -> Vec<u8> {
    let base = fs::read_to_string(folder.join("base.wat")).expect("base.wat");
    let mut whole = parts(&base);
    let template = whole.remove("").expect("the module");
    whole.extend(parts(text));
    let core = whole.iter().fold(template, |core, (part, body)| core.replace(&format!("{{{part}}}"), body.trim()));
    let mut module = wat::parse_str(&core).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", &wit.replace("@1.0.0", &format!("@{}", whole["version"].trim())));
    let package = package.expect("the contract parses");
    let world = resolve.select_world(&[package], Some("policy")).expect("the world is there");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let encoder = ComponentEncoder::default().validate(true).module(&module);
    encoder.and_then(|mut e| e.encode()).unwrap_or_else(|e| panic!("{name}: {e:?}"))
}
