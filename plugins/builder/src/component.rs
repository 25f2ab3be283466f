//! From a core module to a component, proven to import nothing.

use wit_component::{ComponentEncoder, DecodedWasm};

use crate::BuildError;

/// Makes a component of a core module that carries its world (wit-bindgen embeds it), and validates it.
pub fn encode(name: &str, module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let fault = |cause: String| BuildError::Component { name: name.to_owned(), cause };
    let component = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|cause| fault(format!("{cause:#}")))?;
    let imports = imports(&component).map_err(fault)?;
    if imports.is_empty() {
        return Ok(component);
    }
    Err(fault(format!(
        "it imports {}, but a policy imports nothing: leave out what needs a clock, chance, files or output",
        imports.join(", ")
    )))
}

/// What a component imports, by name.
pub fn imports(component: &[u8]) -> Result<Vec<String>, String> {
    match decode(component)? {
        DecodedWasm::Component(resolve, world) => {
            Ok(resolve.worlds[world].imports.keys().map(|key| resolve.name_world_key(key)).collect())
        }
        DecodedWasm::WitPackage(..) => Err("it is a package of interfaces, not a component".to_owned()),
    }
}

/// What a component exports, by name.
pub fn exports(component: &[u8]) -> Result<Vec<String>, String> {
    match decode(component)? {
        DecodedWasm::Component(resolve, world) => {
            Ok(resolve.worlds[world].exports.keys().map(|key| resolve.name_world_key(key)).collect())
        }
        DecodedWasm::WitPackage(..) => Err("it is a package of interfaces, not a component".to_owned()),
    }
}

fn decode(component: &[u8]) -> Result<DecodedWasm, String> {
    wit_component::decode(component).map_err(|cause| format!("it is no component: {cause:#}"))
}
