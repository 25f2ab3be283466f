//! Keeps the house: who may import whom, how long a file and a function may be, and where certain names may stand.
//! ARCHITECTURE.md says why; each rule there names its test here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::Visit;

/// Crates of the house, by folder, with what each may depend on among ourselves and what it must never name.
const FLOORS: &[(&str, &[&str], &[&str])] = &[
    ("config", &[], &["tokio", "wasmtime", "pingora_core", "pingora_proxy"]),
    (
        "proxy/core",
        &["pointsman_config"],
        &[
            "tokio",
            "wasmtime",
            "pingora_core",
            "pingora_proxy",
            "std::thread",
            "Instant::now",
            "SystemTime::now",
            "std::net::Tcp",
        ],
    ),
    ("proxy/registry", &["pointsman_config", "pointsman_core"], &["wasmtime", "pingora_core", "pingora_proxy"]),
    ("proxy/lane", &["pointsman_config", "pointsman_core"], &["wasmtime", "prometheus"]),
    ("plugins/host", &["pointsman_core", "pointsman_builder"], &["tokio", "pingora_core", "pingora_proxy"]),
    ("plugins/sdk", &[], &["tokio", "wasmtime", "pingora_core"]),
    ("plugins/builder", &[], &["tokio", "wasmtime", "pingora_core"]),
    ("demo", &[], &["wasmtime", "pingora_core", "pingora_proxy"]),
    (
        "proxy/server",
        &[
            "pointsman_config",
            "pointsman_core",
            "pointsman_host",
            "pointsman_registry",
            "pointsman_lane",
            "pointsman_demo",
        ],
        &["wasmtime"],
    ),
];

/// What each crate calls itself.
const OWN: &[(&str, &str)] = &[
    ("config", "pointsman_config"),
    ("proxy/core", "pointsman_core"),
    ("proxy/registry", "pointsman_registry"),
    ("proxy/lane", "pointsman_lane"),
    ("plugins/host", "pointsman_host"),
    ("plugins/builder", "pointsman_builder"),
    ("demo", "pointsman_demo"),
];

/// Names that may stand in these files only (paths by prefix). The reason is in ARCHITECTURE.md.
const PLACES: &[(&str, &[&str])] = &[
    ("bindgen!", &["plugins/host/src/bindings.rs", "plugins/sdk/src/"]),
    ("serde_yaml::", &["config/src/raw.rs", "config/src/raw/", "config/src/document.rs", "config/src/yaml.rs"]),
    (
        "pingora_",
        &["proxy/server/src/serve.rs", "proxy/server/src/serve/", "proxy/server/src/app.rs", "proxy/server/src/app/"],
    ),
    ("prometheus::", &["proxy/server/src/metrics.rs", "proxy/server/src/metrics/"]),
];

const ROOMS: &[&str] = &["serve", "control", "reload", "admin"];
const MAX_FILE: usize = 400;
const MAX_FUNCTION: usize = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// Every Rust file of the house, as a path relative to the root, with its text.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut files = Vec::new();
    for top in ["config", "plugins", "policies", "proxy", "demo", "benches", "fuzz"] {
        collect(&root.join(top), &mut files);
    }
    assert!(files.len() > 30, "found only {} files: the walk is broken", files.len());
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("readable");
            let short = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            (short, text)
        })
        .collect()
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, into);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The text without comments and string literals' worth of prose: lines that start with `//` are dropped.
fn code(text: &str) -> String {
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

fn report(title: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{title}:\n  {}", wrong.join("\n  "));
}

#[test]
fn a_crate_names_only_what_its_floor_allows() {
    let ours: BTreeSet<&str> = FLOORS.iter().flat_map(|(_, may, _)| may.iter().copied()).collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some((dir, may, never)) = FLOORS.iter().find(|(dir, ..)| path.starts_with(&format!("{dir}/"))) else {
            continue;
        };
        let code = code(&text);
        // A crate's own tests and binaries name it, and dev-dependencies may reach up.
        let own = OWN.iter().find(|(crate_dir, _)| crate_dir == dir).map_or("", |(_, name)| *name);
        for name in ours.iter().filter(|name| **name != own && !is_test(&path)) {
            if !may.contains(name) && code.contains(&format!("{name}::")) {
                wrong.push(format!("{path}: names {name}, which is not below it"));
            }
        }
        for name in *never {
            if !is_test(&path) && names(&code, name) {
                wrong.push(format!("{path}: names {name}, which this crate never does"));
            }
        }
    }
    report("floors", &wrong);
}

/// Whether the code names a crate (`name::`) or a path.
fn names(code: &str, name: &str) -> bool {
    let needle = if name.contains("::") { name.to_owned() } else { format!("{name}::") };
    code.match_indices(&needle).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn policies_know_only_the_sdk() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if path.starts_with("policies/") {
            for name in ["pointsman_core", "pointsman_config", "pointsman_host", "pointsman_registry"] {
                if code(&text).contains(name) {
                    wrong.push(format!("{path}: names {name}"));
                }
            }
        }
    }
    report("policies", &wrong);
}

#[test]
fn the_rooms_of_the_server_never_import_each_other() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(inside) = path.strip_prefix("proxy/server/src/") else { continue };
        let room = inside.trim_end_matches(".rs").split('/').next().unwrap_or_default();
        let code = code(&text);
        let other = |name: &str| names(&code, &format!("crate::{name}"));
        for name in ROOMS.iter().filter(|n| ROOMS.contains(&room) && **n != room) {
            if other(name) {
                wrong.push(format!("{path}: {room} imports {name}"));
            }
        }
        if room == "metrics" && code.contains("use crate::") {
            wrong.push(format!("{path}: metrics imports the house"));
        }
        if room == "world" && ROOMS.iter().any(|n| other(n)) {
            wrong.push(format!("{path}: world imports a room above it"));
        }
    }
    report("rooms", &wrong);
}

#[test]
fn certain_names_stand_in_one_place() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if is_test(&path) || path.starts_with("benches/") {
            continue;
        }
        for (name, places) in PLACES {
            if code(&text).contains(name) && !places.iter().any(|p| path.starts_with(p)) {
                wrong.push(format!("{path}: `{name}` may stand only in {}", places.join(", ")));
            }
        }
    }
    report("places", &wrong);
}

#[test]
fn files_are_short_and_named_for_what_they_hold() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > MAX_FILE && !path.contains("/tests/") {
            wrong.push(format!("{path}: {lines} lines, at most {MAX_FILE}"));
        }
        let name = Path::new(&path).file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        if ["mod", "utils", "util", "common", "helpers", "misc"].contains(&name) {
            wrong.push(format!("{path}: a name that says nothing"));
        }
    }
    report("files", &wrong);
}

#[test]
fn functions_are_short() {
    struct Functions<'a> {
        path: &'a str,
        wrong: Vec<String>,
    }
    impl Functions<'_> {
        fn measure(&mut self, name: &syn::Ident, block: &syn::Block) {
            let span = block.span();
            let lines = span.end().line - span.start().line + 1;
            if lines > MAX_FUNCTION {
                self.wrong.push(format!("{}:{} {name}: {lines} lines", self.path, span.start().line));
            }
        }
    }
    impl<'ast> Visit<'ast> for Functions<'_> {
        fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
            self.measure(&item.sig.ident, &item.block);
            syn::visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
            self.measure(&item.sig.ident, &item.block);
            syn::visit::visit_impl_item_fn(self, item);
        }
    }
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut functions = Functions { path: &path, wrong: Vec::new() };
        functions.visit_file(&file);
        wrong.append(&mut functions.wrong);
    }
    report(&format!("functions over {MAX_FUNCTION} lines"), &wrong);
}

/// Who copies a policy must not be left with tests of the old one, whichever page they read.
#[test]
fn both_pages_write_a_policy_by_the_same_steps() {
    let steps = |page: &str| {
        let text = fs::read_to_string(root().join(page)).expect("the page");
        let block = text.split("```").find(|block| block.contains("cp -r policies/round-robin ")).map(str::to_owned);
        block.unwrap_or_else(|| panic!("{page} copies no policy"))
    };
    let in_readme = steps("README.md");
    assert_eq!(in_readme, steps("policies/README.md"));
    for file in fs::read_dir(root().join("policies/round-robin/src")).expect("its sources") {
        let name = file.expect("a file").file_name().into_string().expect("a name");
        let step = format!("rm policies/vip-first/src/{name}");
        assert!(name == "lib.rs" || in_readme.contains(&step), "`{step}` is missing");
    }
}

#[test]
fn modules_of_a_crate_form_no_circle() {
    let mut wrong = Vec::new();
    let sources = sources();
    for (dir, ..) in FLOORS {
        let prefix = format!("{dir}/src/");
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, text) in sources.iter().filter(|(p, _)| p.starts_with(&prefix) && !is_test(p)) {
            let inside = path.trim_start_matches(&prefix).trim_end_matches(".rs");
            let room = inside.split('/').next().unwrap_or_default().to_owned();
            if ["lib", "main"].contains(&room.as_str()) {
                continue;
            }
            let edges = graph.entry(room.clone()).or_default();
            for part in code(text).split("crate::").skip(1) {
                let to: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if to != room && sources.iter().any(|(p, _)| *p == format!("{prefix}{to}.rs")) {
                    edges.insert(to);
                }
            }
        }
        wrong.extend(circles(&graph).into_iter().map(|c| format!("{dir}: {c}")));
    }
    report("import circles", &wrong);
}

/// Pairs of rooms that reach each other.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let reach = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from.to_owned()];
        while let Some(room) = next.pop() {
            for to in graph.get(&room).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen
    };
    graph.keys().filter(|room| reach(room).contains(*room)).map(|room| format!("{room} reaches itself")).collect()
}
