//! A compiled policy, proven and ready to be set up for services.

use std::sync::Arc;

use pointsman_core::pick::policy::About;

use crate::artifact::Artifact;
use crate::budget::Budgets;
use crate::digest::Digest;
use crate::instance::{Instance, NoStart};
use crate::limits::Limits;
use crate::load_error::LoadCause;

/// A policy that compiled, imports nothing, exports the contract, and said who it is.
#[derive(Debug)]
pub struct Module {
    pub(crate) name: String,
    pub(crate) artifact: Arc<Artifact>,
    pub(crate) limits: Limits,
    pub(crate) budgets: Budgets,
    about: About,
}

impl Module {
    /// Starts it once, under its limits, and asks it who it is.
    pub(crate) fn prove(
        name: &str,
        artifact: Arc<Artifact>,
        limits: Limits,
        budgets: Budgets,
    ) -> Result<Self, LoadCause> {
        if artifact.initial_memory > limits.memory {
            return Err(LoadCause::Memory { needs: artifact.initial_memory, granted: limits.memory });
        }
        let mut first = Instance::start(&artifact, &limits, &budgets).map_err(|e| match e {
            NoStart::Failed(failure) => LoadCause::Start(failure.message),
            NoStart::Mismatch(message) => LoadCause::Mismatch(message),
        })?;
        let about = first.describe().map_err(|e| LoadCause::Start(e.message))?;
        check_about(&about)?;
        Ok(Self { name: name.to_owned(), artifact, limits, budgets, about })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who it says it is.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// SHA-256 of its bytes.
    pub fn digest(&self) -> Digest {
        self.artifact.digest
    }

    /// What it may use.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

/// Names become metric labels and log fields, so they are short and plain.
fn check_about(about: &About) -> Result<(), LoadCause> {
    let plain = |text: &str, also: char| {
        (1..=64).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || c == also)
    };
    if plain(&about.name, '-') && plain(&about.version, '+') {
        return Ok(());
    }
    let shown = |text: &str| text.escape_debug().take(80).collect::<String>();
    Err(LoadCause::Nameless(format!("name \"{}\", version \"{}\"", shown(&about.name), shown(&about.version))))
}
