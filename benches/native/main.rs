//! `native-proxy`: the whole proxy with its rule as plain Rust instead of Wasm, to measure what the sandbox costs.
//! Takes the arguments of `pointsman run`.

use std::sync::Arc;
use std::sync::Mutex;

use clap::Parser;
use pointsman::app::{RunArgs, run_with};
use pointsman_config::plan::Service;
use pointsman_core::cluster::membership::Membership;
use pointsman_core::pick::policy::{About, Ask, Fault, Needs, Policy, Verdict};

#[path = "../micro/native.rs"]
mod native;

use native::Native;

/// As in `pointsman` itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    run: RunArgs,
}

/// A rule in plain Rust, one instance for the one worker that is measured.
struct Plain<P> {
    needs: Needs,
    settings: String,
    instance: Mutex<Option<(u64, Native<P>)>>,
}

impl<P: pointsman_policy::Policy + Send> Policy for Plain<P>
where
    Native<P>: Send,
{
    fn about(&self) -> About {
        About { name: "native".into(), version: String::new(), pins: P::PINS }
    }

    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn pick(&self, _worker: usize, membership: &Arc<Membership>, ask: &Ask<'_>) -> Result<Verdict, Fault> {
        let mut slot = self.instance.lock().map_err(|_| Fault::Trap)?;
        let (_, native) = match &mut *slot {
            Some(known) if known.0 == membership.version() => known,
            other => other.insert((membership.version(), Native::new(&self.settings, membership))),
        };
        Ok(verdict(native.pick(membership, ask)))
    }

    fn explain(&self, _: &Arc<Membership>, _: &Ask<'_>) -> Result<String, Fault> {
        Ok("native".into())
    }

    fn blame(&self, _: Fault) {}
}

fn verdict(said: pointsman_policy::Verdict) -> Verdict {
    use pointsman_policy::Verdict as Said;
    match said {
        Said::Node(index) => Verdict::Node(index),
        Said::Ranked(list) => Verdict::Ranked(list.into_iter().collect()),
        Said::Lightest(list) => Verdict::Lightest(list.into_iter().collect()),
        Said::Only(index) => Verdict::Only(index),
        Said::Park(milliseconds) => Verdict::Park(milliseconds),
        Said::Refuse { status, reason } => Verdict::Refuse { status, reason: reason.into() },
    }
}

fn plain<P: pointsman_policy::Policy + Send>(needs: Needs, service: &Service) -> Arc<dyn Policy>
where
    Native<P>: Send,
{
    Arc::new(Plain::<P> { needs, settings: service.policy.settings.clone(), instance: Mutex::new(None) })
}

/// The two rules that the comparison of whole proxies uses.
fn instead(service: &Service) -> Option<Arc<dyn Policy>> {
    use pointsman_core::pick::policy::KeyNeed;
    match service.policy.name.as_str() {
        "round-robin" => Some(plain::<round_robin::RoundRobin>(Needs::default(), service)),
        "customer-modulo" => {
            let needs = Needs { key: KeyNeed::Number, ..Needs::default() };
            Some(plain::<customer_modulo::CustomerModulo>(needs, service))
        }
        _ => None,
    }
}

fn main() -> std::process::ExitCode {
    run_with(&Arguments::parse().run, Some(instead))
}
