//! The contract as Rust, generated from `plugins/wit/policy.wit`; the one place with `bindgen!`.
//!
//! Arguments are borrowed (`&str`, `&[u32]`), so a pick copies them into the guest once and nowhere else.
#![allow(missing_docs, reason = "generated; the WIT documents every item")]
#![allow(unsafe_code, reason = "generated; the type of each export is checked when a component is loaded")]
#![allow(clippy::pedantic, unreachable_pub, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../wit/policy.wit",
    world: "policy",
    ownership: Borrowing { duplicate_if_necessary: false },
});
