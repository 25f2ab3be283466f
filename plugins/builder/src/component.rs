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
    if !imports.is_empty() {
        return Err(fault(format!(
            "it imports {}, but a policy imports nothing: leave out what needs a clock, chance, files or output",
            imports.join(", ")
        )));
    }
    let exports = exports(&component).map_err(fault)?;
    if exports.iter().all(|export| export != CONTRACT) {
        return Err(fault(format!("it does not export {CONTRACT}: is there an `export_policy!(YourType);`?")));
    }
    Ok(component)
}

/// What a policy exports.
pub const CONTRACT: &str = "pointsman:policy/routing@1.0.0";

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

#[cfg(test)]
mod tests {
    use super::{encode, imports};

    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn garbage_is_no_module() {
        let message = encode("mine", b"garbage").unwrap_err().to_string();
        assert!(message.starts_with("mine: "), "{message}");
        assert!(imports(b"garbage").unwrap_err().starts_with("it is no component: "));
    }

    #[test]
    fn a_module_without_the_contract_is_told_what_is_missing() {
        let message = encode("mine", EMPTY).unwrap_err().to_string();
        assert!(message.contains("does not export pointsman:policy/routing@1.0.0"), "{message}");
        assert!(message.contains("export_policy!"), "{message}");
    }

    /// `(import "env" "now" (func))`, as a crate gets it that declares a function of the host.
    #[test]
    fn a_module_that_imports_is_refused() {
        let module = [EMPTY, &[1, 4, 1, 0x60, 0, 0], &[2, 11, 1, 3], b"env", &[3], b"now", &[0, 0]].concat();
        let message = encode("mine", &module).unwrap_err().to_string();
        assert!(message.contains("env"), "{message}");
    }
}
