//! A module with the settings it was set up with: what instances are made from.

use std::sync::Arc;

use pointsman_core::cluster::membership::Membership;
use pointsman_core::pick::policy::{Ask, Fault, Needs};
use smallvec::SmallVec;

use crate::instance::{Failure, Instance};
use crate::module::Module;

/// Longest `with:` that is handed to a policy, in bytes of JSON.
const SETTINGS_BYTES: usize = 1 << 20;
/// Most headers that a policy may ask for: each is looked up on every request.
const HEADERS: usize = 32;
/// Longest name of a header.
const HEADER_NAME: usize = 128;
/// Longest message of a policy about its settings, in characters.
const MESSAGE: usize = 1000;

/// A policy that could not be set up for a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigureError {
    /// What is wrong, for the operator, without line breaks. The policy's own words where it refused its settings.
    pub message: String,
}

/// A module under some settings.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) module: Arc<Module>,
    pub(crate) settings: String,
    pub(crate) needs: Needs,
    /// For each header it needs, its place among those that the policy asks the host for. `None`: they are the same.
    places: Option<Box<[usize]>>,
}

impl Version {
    /// Proves that the module takes the settings and the members. Answers the instance it was proven with.
    pub(crate) fn prove(
        module: &Arc<Module>,
        settings: &str,
        membership: &Arc<Membership>,
    ) -> Result<(Self, Instance), ConfigureError> {
        if settings.len() > SETTINGS_BYTES {
            let message = format!("`with:` has {} bytes of JSON, more than {SETTINGS_BYTES}", settings.len());
            return Err(ConfigureError { message });
        }
        let failed = |doing: &str, e: Failure| {
            let message =
                format!("policy `{}` failed while it was {doing} ({}): {}", module.name, e.fault.label(), e.message);
            ConfigureError { message }
        };
        let started = Instance::start(&module.artifact, &module.limits, &module.budgets);
        let mut instance = started.map_err(|e| failed("started", e.into()))?;
        let answer = instance.configure(settings, module.about().pins).map_err(|e| failed("given its settings", e))?;
        let needs = answer.map_err(|words| ConfigureError { message: plain(&words) })?;
        check_needs(&needs).map_err(|message| ConfigureError { message })?;
        instance.learn(membership).map_err(|e| failed("told the members", e))?;
        let version = Self { module: Arc::clone(module), settings: settings.to_owned(), needs, places: None };
        Ok((version, instance))
    }

    /// Another instance: started, configured, and told the members.
    pub(crate) fn instance(&self, membership: &Arc<Membership>) -> Result<Instance, Failure> {
        let module = &self.module;
        let mut instance = Instance::start(&module.artifact, &module.limits, &module.budgets)?;
        let unlike = |message: String| Failure { fault: Fault::Malformed, message };
        match instance.configure(&self.settings, module.about().pins)? {
            Ok(needs) if needs == self.needs => {}
            Ok(_) => return Err(unlike("it asked for other things under the same settings".into())),
            Err(words) => return Err(unlike(format!("it refused settings it took before: {}", plain(&words)))),
        }
        instance.learn(membership)?;
        Ok(instance)
    }

    /// Fixes where the headers it needs stand among those that the host looks up.
    pub(crate) fn place_headers(&mut self, all: &[String]) {
        let place = |name: &String| all.iter().position(|n| n == name).expect("the union holds every part");
        let places: Box<[usize]> = self.needs.headers.iter().map(place).collect();
        let same = self.needs.headers.len() == all.len() && places.iter().enumerate().all(|(i, p)| i == *p);
        self.places = (!same).then_some(places);
    }

    /// Asks with the headers in the order that this version named them.
    pub(crate) fn with_own_headers<T>(&self, ask: &Ask<'_>, then: impl FnOnce(&Ask<'_>) -> T) -> T {
        let (Some(places), Some(all)) = (&self.places, ask.headers) else { return then(ask) };
        let own: SmallVec<[Option<&str>; 8]> = places.iter().map(|p| all.get(*p).copied().flatten()).collect();
        then(&Ask { headers: Some(&own), ..*ask })
    }
}

/// What the host must compute so that any of the versions can be asked.
pub(crate) fn union<'a>(versions: impl IntoIterator<Item = &'a Version>) -> Needs {
    let mut all = Needs::default();
    for version in versions {
        let needs = &version.needs;
        all.key = all.key.max(needs.key);
        all.loads |= needs.loads;
        all.owner |= needs.owner;
        all.observations |= needs.observations;
        for name in &needs.headers {
            if !all.headers.contains(name) {
                all.headers.push(name.clone());
            }
        }
    }
    all
}

fn check_needs(needs: &Needs) -> Result<(), String> {
    if needs.headers.len() > HEADERS {
        return Err(format!("it asks for {} headers, and {HEADERS} are the most", needs.headers.len()));
    }
    // RFC 9110 §5.6.2 tokens, in lower case.
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    // What no header can be called: the host has these from elsewhere (`pointsman_core::facts::named`).
    let other = |name: &String| matches!(name.as_str(), ":method" | ":path");
    let headers = || needs.headers.iter().filter(|name| !other(name));
    match headers().find(|n| n.is_empty() || n.len() > HEADER_NAME || !n.bytes().all(token)) {
        Some(name) => {
            Err(format!("it asks for a header named \"{}\", which is no header name in lower case", plain(name)))
        }
        None => Ok(()),
    }
}

/// A guest's words on one bounded line, fit for a terminal.
fn plain(words: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut out: String = words.chars().take(MESSAGE).map(clean).collect();
    if words.chars().nth(MESSAGE).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_headers_only_method_and_path_may_be_asked_for() {
        let asks = |names: &[&str]| {
            check_needs(&Needs { headers: names.iter().map(ToString::to_string).collect(), ..Needs::default() })
        };
        assert_eq!(asks(&[":method", "x-a", ":path"]), Ok(()));
        for name in [":host", ":authority", "method:", ":", "X-A", ""] {
            assert!(asks(&[name]).is_err_and(|told| told.contains("no header name in lower case")), "{name}");
        }
    }
}
