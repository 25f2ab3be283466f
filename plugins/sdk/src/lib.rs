//! Write a routing policy for Pointsman: implement [`Policy`], name the type in [`export_policy!`], build it for Wasm.
//!
//! ```
//! use pointsman_policy::{Members, NoSettings, Policy, Request, Verdict, export_policy};
//!
//! pub struct FirstUp;
//!
//! impl Policy for FirstUp {
//!     type Settings = NoSettings;
//!
//!     fn new(_: NoSettings) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn pick(&self, _: &Request, members: &Members) -> Verdict {
//!         members.eligible().first().copied().into()
//!     }
//! }
//!
//! export_policy!(FirstUp);
//! # fn main() {}
//! ```
//!
//! A policy imports nothing: what it answers depends only on its settings, the members, the state broadcast to it and
//! the arguments of the call. So it is tested natively, with [`bench`], by a plain `cargo test`.
//!
//! A pick runs on the request path: work out everything that depends on the members in [`Policy::members`], and let
//! [`Policy::pick`] look it up.

#[cfg(not(target_family = "wasm"))]
pub mod bench;
pub mod hash;
mod members;
mod policy;
mod primary;
mod request;
mod runtime;
mod settings;
mod verdict;

#[cfg(any(target_family = "wasm", test))]
mod heap;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;

pub use members::{Members, Node, Standing, State};
pub use policy::{KeyNeed, Needs, Policy};
pub use primary::NoPrimary;
pub use request::{Outcome, Request, is_safe};
pub use runtime::Runtime;
pub use settings::{NoSettings, Wait};
pub use verdict::Verdict;

/// The example that authors are shown compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../policies/README.md")]
struct Readme;

/// Makes the crate's policy the one that the component exports. Name and version are those of the crate.
///
/// Expands to nothing in a native build, where there is nobody to export to.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        mod pointsman_export {
            use super::*;

            static SLOT: $crate::guest::Slot<$policy> = $crate::guest::Slot::new();

            impl $crate::guest::Exported for $policy {
                const NAME: &'static str = env!("CARGO_PKG_NAME");
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");

                #[inline(always)]
                fn slot() -> &'static $crate::guest::Slot<Self> {
                    &SLOT
                }
            }

            type Component = $crate::guest::Component<$policy>;
            $crate::guest::bindings::export_component!(Component with_types_in $crate::guest::bindings);
            $crate::export_pick!($policy);
        }
    };
}

/// The export that [`guest::pick`] serves: sixteen flat values, the most that pass without a copy.
#[doc(hidden)]
#[macro_export]
macro_rules! export_pick {
    ($policy:ty) => {
        #[unsafe(export_name = "pointsman:policy/routing@1.0.0#pick")]
        unsafe extern "C" fn pick(
            turn: u64,
            random: u64,
            now_ms: u64,
            has_key_hash: i32,
            key_hash: u64,
            has_key: i32,
            key: usize,
            key_length: usize,
            has_owner: i32,
            owner: u32,
            has_loads: i32,
            loads: usize,
            loads_length: usize,
            has_headers: i32,
            headers: usize,
            headers_length: usize,
        ) -> *const $crate::guest::pick::Stored {
            let arguments = $crate::guest::pick::Arguments {
                turn,
                random,
                now_ms,
                key_hash: (has_key_hash, key_hash),
                key: (has_key, (key, key_length)),
                owner: (has_owner, owner),
                loads: (has_loads, (loads, loads_length)),
                headers: (has_headers, (headers, headers_length)),
            };
            // SAFETY: only the host calls this, with what the canonical ABI says.
            unsafe { $crate::guest::pick::pick::<$policy>(&arguments) }
        }
    };
}
