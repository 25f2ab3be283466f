//! Proves that bytes are a policy before anything of them runs: the encoding, the imports, the exports, the version.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::contract::{INTERFACE, VERSION, Version};
use crate::load_error::LoadCause;

/// What the first bytes say, before a compiler looks at the rest.
pub(crate) fn encoding(bytes: &[u8], cap: usize) -> Result<(), LoadCause> {
    if bytes.is_empty() {
        return Err(LoadCause::Empty);
    }
    if bytes.len() > cap {
        return Err(LoadCause::TooLarge { bytes: bytes.len(), cap });
    }
    if !bytes.starts_with(b"\0asm") {
        let text = bytes.trim_ascii_start();
        let is_text = [&b"(component"[..], b"(module", b";;"].iter().any(|start| text.starts_with(start));
        return Err(if is_text { LoadCause::Text } else { LoadCause::NotWasm(first_bytes(bytes)) });
    }
    // Version and layer, two bytes each: layer 0 is a core module, layer 1 a component (component-model, Binary.md).
    match bytes.get(4..8) {
        Some([0x0d, 0, 1, 0]) => Ok(()),
        Some([_, _, 0, 0]) => Err(LoadCause::CoreModule),
        Some(other) => Err(LoadCause::Encoding(u32::from_le_bytes([other[0], other[1], other[2], other[3]]))),
        None => Err(LoadCause::NotWasm(first_bytes(bytes))),
    }
}

fn first_bytes(bytes: &[u8]) -> String {
    format!("`{}`", bytes[..bytes.len().min(8)].escape_ascii())
}

/// What a compiled component asks for and offers.
pub(crate) fn shape(engine: &Engine, component: &Component) -> Result<(), LoadCause> {
    let kind = component.component_type();
    let imports: Vec<String> = kind.imports(engine).map(|(name, _)| name.to_owned()).collect();
    imports_nothing(imports)?;
    let exports: Vec<String> = kind.exports(engine).map(|(name, _)| name.to_owned()).collect();
    speaks(&exports)
}

fn imports_nothing(imports: Vec<String>) -> Result<(), LoadCause> {
    if imports.is_empty() {
        return Ok(());
    }
    let wasi: Vec<String> = imports.iter().filter(|name| name.starts_with("wasi")).cloned().collect();
    Err(if wasi.is_empty() { LoadCause::Imports(imports) } else { LoadCause::Wasi(wasi) })
}

/// Whether the exports hold a version of the contract that this host speaks: the same major, no later minor. A patch
/// changes no types.
fn speaks(exports: &[String]) -> Result<(), LoadCause> {
    let offered =
        exports.iter().find_map(|name| name.strip_prefix(INTERFACE).filter(|v| v.is_empty() || v.starts_with('@')));
    let Some(offered) = offered else { return Err(LoadCause::WrongWorld(exports.to_vec())) };
    let text = offered.strip_prefix('@').unwrap_or("0.0.0");
    let Some(version) = Version::parse(text) else { return Err(LoadCause::WrongWorld(exports.to_vec())) };
    let found = text.to_owned();
    match (version.major, version.minor) {
        (major, _) if major < VERSION.major => Err(LoadCause::Older { found }),
        (major, _) if major > VERSION.major => Err(LoadCause::Newer { found }),
        (_, minor) if minor > VERSION.minor => Err(LoadCause::Newer { found }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str) -> Result<(), LoadCause> {
        speaks(&[name.to_owned()])
    }

    #[test]
    fn a_patch_is_spoken_a_minor_to_come_is_not() {
        assert_eq!(check("pointsman:policy/routing@1.0.0"), Ok(()));
        assert_eq!(check("pointsman:policy/routing@1.0.7"), Ok(()));
        assert_eq!(check("pointsman:policy/routing@1.1.0"), Err(LoadCause::Newer { found: "1.1.0".into() }));
        assert_eq!(check("pointsman:policy/routing@2.0.0"), Err(LoadCause::Newer { found: "2.0.0".into() }));
        assert_eq!(check("pointsman:policy/routing@0.9.0"), Err(LoadCause::Older { found: "0.9.0".into() }));
        assert_eq!(check("pointsman:policy/routing@1.0.0-rc.1"), Ok(()));
    }

    #[test]
    fn other_worlds_are_not_policies() {
        for name in ["wasi:cli/run@0.2.0", "pointsman:policy/routing@x", "pointsman:policy/routing2@1.0.0", "run"] {
            assert!(matches!(check(name), Err(LoadCause::WrongWorld(_))), "{name}");
        }
    }

    #[test]
    fn the_first_bytes_are_told_apart() {
        assert_eq!(encoding(b"", 9), Err(LoadCause::Empty));
        assert_eq!(encoding(b"\0asm\x01\0\0\0", 9), Err(LoadCause::CoreModule));
        assert_eq!(encoding(b"\0asm\x0d\0\x01\0", 9), Ok(()));
        assert_eq!(encoding(b"\0asm\x0e\0\x01\0", 9), Err(LoadCause::Encoding(0x0001_000e)));
        assert_eq!(encoding(b"\n (module)", 99), Err(LoadCause::Text));
        assert!(matches!(encoding(b"\x7fELF", 99), Err(LoadCause::NotWasm(_))));
        assert!(matches!(encoding(b"\0asm", 99), Err(LoadCause::NotWasm(_))));
        assert_eq!(encoding(b"\0asm\x0d\0\x01\0", 7), Err(LoadCause::TooLarge { bytes: 8, cap: 7 }));
    }
}
