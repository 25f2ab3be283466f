//! What a service uses: a module set up with its settings, an instance a worker, and a way back to the version before.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pointsman_core::cluster::membership::Membership;
use pointsman_core::pick::policy::{About, Ask, Fault, Needs, Policy, Verdict};

use crate::digest::Digest;
use crate::instance::{Failure, Instance};
use crate::module::Module;
use crate::options::HostOptions;
use crate::pool::{Held, Next, Pool};
use crate::quarantine::Strikes;
use crate::version::{self, ConfigureError, Version};

/// Told when a module is quarantined. Called on the worker whose pick was one fault too many: it must not block.
pub type OnQuarantine = Arc<dyn Fn(QuarantineNotice) + Send + Sync>;

/// A module was quarantined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineNotice {
    /// Name of the policy in the configuration.
    pub policy: String,
    /// The module that is quarantined.
    pub digest: Digest,
    /// The last fault.
    pub fault: Fault,
    /// The module that serves now; none means that every pick fails as [`Fault::Quarantined`].
    pub serving: Option<Digest>,
}

/// How a policy is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The module that was set up.
    pub digest: Digest,
    /// The module that serves; another one than `digest` after a quarantine, none when there was none to go back to.
    pub serving: Option<Digest>,
    /// Whether the module that was set up is quarantined.
    pub quarantined: bool,
    /// Faults since it was set up, by label; every label is there.
    pub faults: BTreeMap<&'static str, u64>,
}

/// A module and settings that served before.
pub(crate) struct LastGood {
    module: Arc<Module>,
    settings: String,
}

/// A policy in a sandbox, set up for one service.
pub struct WasmPolicy {
    /// The module that was set up, then the last good one if there is one.
    versions: Vec<Version>,
    needs: Needs,
    pool: Pool,
    /// Two low bits: which version serves ([`NOBODY`]: none). The rest counts up whenever instances made before must not be used
    /// again. Workers only read it, so it stays in every core's cache.
    epoch: AtomicU64,
    strikes: Mutex<Strikes>,
    faults: [AtomicU64; Fault::ALL.len()],
    on_quarantine: Option<OnQuarantine>,
}

const NOBODY: u64 = 2;
const WHICH: u64 = 3;

impl fmt::Debug for WasmPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmPolicy")
            .field("versions", &self.versions)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl WasmPolicy {
    pub(crate) fn new(
        module: &Arc<Module>,
        settings: &str,
        membership: &Arc<Membership>,
        last_good: Option<LastGood>,
        on_quarantine: Option<OnQuarantine>,
        options: &HostOptions,
    ) -> Result<Self, ConfigureError> {
        let (mut candidate, first) = Version::prove(module, settings, membership)?;
        let mut former = last_good.and_then(|last| restore(&last, settings, membership));
        let needs = version::union(std::iter::once(&candidate).chain(&former));
        candidate.place_headers(&needs.headers);
        former.iter_mut().for_each(|v| v.place_headers(&needs.headers));
        let mut instances = vec![first];
        while instances.len() < options.workers.max(1) {
            let another = candidate.instance(membership).map_err(|e| ConfigureError {
                message: format!("policy `{}` could not be started again: {}", module.name, e.message),
            })?;
            instances.push(another);
        }
        Ok(Self {
            versions: std::iter::once(candidate).chain(former).collect(),
            needs,
            pool: Pool::new(0, instances),
            epoch: AtomicU64::new(0),
            strikes: Mutex::new(Strikes::new(options.tolerance)),
            faults: Default::default(),
            on_quarantine,
        })
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        let epoch = self.epoch.load(Ordering::Acquire);
        let count = |i: usize| self.faults[i].load(Ordering::Relaxed);
        Status {
            digest: self.versions[0].module.digest(),
            serving: self.serving(epoch).map(|v| v.module.digest()),
            quarantined: epoch & WHICH != 0,
            faults: Fault::ALL.iter().enumerate().map(|(i, f)| (f.label(), count(i))).collect(),
        }
    }

    /// The module that was set up.
    pub fn module(&self) -> &Arc<Module> {
        &self.versions[0].module
    }

    /// The module that serves: the one that was set up, or the last good one once that is quarantined; `None`: none.
    pub fn serving_module(&self) -> Option<&Arc<Module>> {
        self.serving(self.epoch.load(Ordering::Acquire)).map(|version| &version.module)
    }

    /// Whether it was set up with this very module, limits and settings.
    pub(crate) fn runs(&self, module: &Module, settings: &str) -> bool {
        let own = &self.versions[0];
        own.module.digest() == module.digest()
            && own.module.limits() == module.limits()
            && own.module.name() == module.name()
            && own.settings == settings
    }

    /// What the next version goes back to: what serves here now, or what this one would go back to, whichever is another module.
    pub(crate) fn last_good_for(&self, next: &Module) -> Option<LastGood> {
        let serving = usize::try_from(self.epoch.load(Ordering::Acquire) & WHICH).ok()?;
        let good = self.versions.get(serving..)?;
        let other = good.iter().find(|v| v.module.digest() != next.digest())?;
        Some(LastGood { module: Arc::clone(&other.module), settings: other.settings.clone() })
    }

    fn serving(&self, epoch: u64) -> Option<&Version> {
        self.versions.get(usize::try_from(epoch & WHICH).ok()?)
    }

    /// Makes sure that the instance in hand is of this epoch, then asks it. After a failure the hand is empty.
    fn ask<T>(
        &self,
        epoch: u64,
        (mut held, next): (parking_lot::MutexGuard<'_, Held>, &Next),
        membership: &Arc<Membership>,
        enter: impl FnOnce(&Version, &mut Instance) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(version) = self.serving(epoch) else {
            // Nothing is kept for a version that serves no more.
            held.instance = None;
            return Err(Failure { fault: Fault::Quarantined, message: String::new() });
        };
        if held.epoch != epoch {
            held.instance = None;
            held.epoch = epoch;
        }
        if !held.instance.as_ref().is_some_and(|instance| instance.knows_nodes_of(membership)) {
            take_next(&mut held, next, membership);
        }
        let instance = match &mut held.instance {
            Some(instance) => instance,
            empty => empty.insert(version.instance(membership)?),
        };
        let answer = enter(version, instance);
        if answer.is_err() {
            held.instance = None;
        }
        answer
    }

    /// Counts a fault by its name, and says so once a name.
    #[cold]
    fn count(&self, fault: Fault, message: &str) {
        let index = Fault::ALL.iter().position(|f| *f == fault).expect("ALL holds every fault");
        let before = self.faults[index].fetch_add(1, Ordering::Relaxed);
        if before == 0 {
            log::warn!("policy {}: {}: {message} (said once a fault)", self.module().name(), fault.label());
        } else {
            log::debug!("policy {}: {}: {message}", self.module().name(), fault.label());
        }
    }

    /// A fault of the version that serves in `epoch`. `renew`: no instance made so far may be used again.
    #[cold]
    fn strike(&self, epoch: u64, fault: Fault, now_ms: u64, renew: bool) {
        let mut strikes = self.strikes.lock();
        let now = self.epoch.load(Ordering::Acquire);
        if now & WHICH != epoch & WHICH || now & WHICH == NOBODY {
            return;
        }
        let count = (now >> 2) + 1;
        if !strikes.strike(now_ms) {
            if renew {
                self.epoch.store(count << 2 | now & WHICH, Ordering::Release);
            }
            return;
        }
        let next = if now & WHICH == 0 && self.versions.len() > 1 { 1 } else { NOBODY };
        strikes.forget();
        self.epoch.store(count << 2 | next, Ordering::Release);
        drop(strikes);
        self.tell(now, next, fault);
    }

    fn tell(&self, before: u64, after: u64, fault: Fault) {
        let (Some(failed), serving) = (self.serving(before), self.serving(after)) else { return };
        let notice = QuarantineNotice {
            policy: failed.module.name().to_owned(),
            digest: failed.module.digest(),
            fault,
            serving: serving.map(|v| v.module.digest()),
        };
        let back = serving.map_or("nothing to go back to".into(), |v| format!("back to {}", v.module.digest()));
        log::error!(
            "policy {} ({}) is quarantined, last fault {}; {back}",
            notice.policy,
            notice.digest,
            fault.label()
        );
        if let Some(tell) = &self.on_quarantine {
            tell(notice);
        }
    }
}

/// Services smaller than this are told by the first pick: that takes less than making an instance does (some 70 µs).
const FEW: usize = 64;

/// Takes the instance that was prepared for these nodes, if there is one.
#[cold]
fn take_next(held: &mut Held, next: &Next, membership: &Arc<Membership>) {
    let mut next = next.lock();
    if next.as_ref().is_some_and(|(epoch, ready)| *epoch == held.epoch && ready.knows_nodes_of(membership)) {
        held.instance = next.take().map(|(_, ready)| ready);
    }
}

/// Sets the last good version up: under the settings of today if it takes them, else under those it served with.
fn restore(last: &LastGood, settings: &str, membership: &Arc<Membership>) -> Option<Version> {
    let today = Version::prove(&last.module, settings, membership);
    let either = today.or_else(|_| Version::prove(&last.module, &last.settings, membership));
    match either {
        Ok((version, _instance)) => Some(version),
        Err(e) => {
            log::warn!("policy {} has no version to go back to: {e}", last.module.name());
            None
        }
    }
}

impl Policy for WasmPolicy {
    fn about(&self) -> About {
        let serving = self.serving(self.epoch.load(Ordering::Acquire)).unwrap_or(&self.versions[0]);
        serving.module.about().clone()
    }

    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn pick(&self, worker: usize, membership: &Arc<Membership>, ask: &Ask<'_>) -> Result<Verdict, Fault> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let held = self.pool.worker(worker, ask.now_ms);
        let answer = self.ask(epoch, held, membership, |version, instance| {
            version.with_own_headers(ask, |ask| instance.pick(&version.needs, membership, ask))
        });
        answer.map_err(|failure| {
            self.count(failure.fault, &failure.message);
            self.strike(epoch, failure.fault, ask.now_ms, false);
            failure.fault
        })
    }

    fn prepare(&self, membership: &Arc<Membership>) {
        let epoch = self.epoch.load(Ordering::Acquire);
        let Some(version) = self.serving(epoch).filter(|_| membership.members().len() >= FEW) else { return };
        for next in self.pool.next() {
            // One that fails is left for the worker to find out, which counts it as a fault.
            let Ok(ready) = version.instance(membership) else { return };
            // What stood there was for a list that no worker will meet any more.
            *next.lock() = Some((epoch, ready));
        }
    }

    fn explain(&self, membership: &Arc<Membership>, ask: &Ask<'_>) -> Result<String, Fault> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let answer = self.ask(epoch, self.pool.explainer(), membership, |version, instance| {
            version.with_own_headers(ask, |ask| instance.explain(&version.needs, membership, ask))
        });
        // Counted, but no strike: what an operator asks takes nothing from traffic.
        answer.map_err(|failure| {
            self.count(failure.fault, &failure.message);
            failure.fault
        })
    }

    fn blame(&self, fault: Fault) {
        let epoch = self.epoch.load(Ordering::Acquire);
        self.count(fault, "the picker could not use its answer");
        // Which worker's instance it was is not known, so all are made anew.
        self.strike(epoch, fault, self.pool.latest_ms(), true);
    }
}
