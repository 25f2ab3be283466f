//! How each listener treats its connections, and the certificates that they are shown.
//!
//! Rebuilt when a configuration went live and when a file of certificates changed. Whatever cannot be read, does not
//! match or has expired leaves what it would replace in force.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use pointsman_config::certificates::{self, Flaw, Identity, Trust};
use pointsman_config::plan::{self, Address, ClientLimits, Mark, Network, Plan};
use pointsman_config::{Problem, Source};
use pointsman_lane::{Limits, Options};
use rustls::RootCertStore;
use tokio::sync::watch;

use super::behind::Behind;
use super::gate::Gate;
use super::tls::Tls;
use crate::world::secure::Speech;
use traces::Traces;

mod traces;

/// How a listener treats its connections.
pub(super) struct Manner {
    pub(super) lane: bool,
    pub(super) http2: bool,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) proxy_protocol: bool,
    pub(super) limits: Arc<ClientLimits>,
    /// The same, as the lane takes them.
    pub(super) options: Arc<Options>,
    /// Proxies that stand before this one.
    trusted: Vec<Network>,
    pub(super) gate: Arc<Gate>,
}

impl Manner {
    /// Whether an address is a proxy's that is trusted; `None`: whoever comes over a Unix socket.
    pub(super) fn trusts(&self, address: Option<IpAddr>) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    fn new(listener: &plan::Listener, tls: Option<Arc<Tls>>, trusted: &[Network], gate: Arc<Gate>) -> Self {
        let granted = Arc::new(listener.limits);
        let limits = judged_by(&granted);
        let options = Options {
            limits,
            head_timeout: granted.head_timeout,
            body_timeout: granted.body_timeout,
            send_timeout: granted.send_timeout,
            keep_alive: granted.keep_alive,
            prior_knowledge: listener.http2 && listener.tls.is_none(),
            upgrades_only: !listener.lane,
            ..Options::default()
        };
        let (lane, http2, proxy_protocol) = (listener.lane, listener.http2, listener.proxy_protocol);
        Self {
            lane,
            http2,
            tls,
            proxy_protocol,
            limits: granted,
            options: Arc::new(options),
            trusted: trusted.to_vec(),
            gate,
        }
    }
}

/// What bounds a message, as the lane's readers take it.
pub(super) fn judged_by(granted: &ClientLimits) -> Limits {
    let head_bytes = usize::try_from(granted.head).unwrap_or(usize::MAX);
    let default = Limits::default();
    Limits {
        head_bytes,
        line_bytes: default.line_bytes.min(head_bytes),
        fields: granted.fields as usize,
        body_bytes: granted.body.unwrap_or(u64::MAX),
        ..default
    }
}

/// How everybody is treated under one configuration.
#[derive(Default)]
pub(super) struct Manners {
    /// By the address in use.
    pub(super) listeners: HashMap<Address, Arc<Manner>>,
    /// Nodes that speak TLS, by service.
    pub(super) nodes: HashMap<String, Arc<Behind>>,
    /// How the operators' address is spoken to.
    pub(super) admin: Speech,
}

/// What became of the certificates.
#[derive(Debug, Default)]
pub struct Renewed {
    /// Files of certificates whose content is in force only now.
    pub new: Vec<PathBuf>,
    /// What is wrong; what was in force before serves on.
    pub problems: Vec<Problem>,
}

/// Builds manners and hands them to the workers.
pub(super) struct Desk {
    manners: watch::Sender<Arc<Manners>>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    traces: Traces,
    /// By the files of certificate and key.
    identities: BTreeMap<(PathBuf, PathBuf), Arc<Identity>>,
    authorities: BTreeMap<PathBuf, RootCertStore>,
    /// What each listener's TLS was made of.
    made: HashMap<Address, (Recipe, Arc<Tls>)>,
    /// What is in force towards the nodes of each service, and what it was made of.
    nodes: HashMap<String, (plan::NodeTls, Trust, Arc<Behind>)>,
    gates: HashMap<Address, Arc<Gate>>,
    generation: u64,
}

/// The same recipe makes the same TLS: what was made is kept then, and with it the clients' tickets.
#[derive(PartialEq)]
struct Recipe {
    plan: plan::Tls,
    http2: bool,
    chains: Vec<Arc<Identity>>,
    roots: Option<Vec<rustls::pki_types::TrustAnchor<'static>>>,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self { manners: watch::Sender::default(), held: Mutex::default() }
    }

    pub(super) fn manners(&self) -> watch::Receiver<Arc<Manners>> {
        self.manners.subscribe()
    }

    /// As `plan` says, with the files as they are now. `places`: the address in use of each listener, if it is open.
    pub(super) fn renew(&self, plan: &Plan, places: &[Option<Address>]) -> Renewed {
        let mut held = self.held.lock();
        held.traces.look(files(plan));
        let (manners, renewed) = held.build(plan, places);
        self.manners.send_replace(Arc::new(manners));
        renewed
    }

    /// Whether a file has changed since the last time and is no longer being written.
    pub(super) fn changed(&self, plan: &Plan) -> bool {
        self.held.lock().traces.changed(files(plan))
    }

    /// When the certificates in force expire, by file, in seconds since 1970.
    pub(super) fn expiries(&self) -> Vec<(PathBuf, i64)> {
        self.held.lock().identities.iter().map(|((cert, _), held)| (cert.clone(), held.not_after)).collect()
    }
}

/// Every file of certificates, keys and authorities.
fn files(plan: &Plan) -> Vec<&Path> {
    let all = plan.served_over_tls().flat_map(|tls| {
        let pairs = tls.certificates.iter().flat_map(|pair| [pair.cert.as_path(), pair.key.as_path()]);
        pairs.chain(tls.client_ca.iter().map(|authorities| authorities.path.as_path()))
    });
    let nodes = plan.services.values().filter_map(|service| service.tls.as_ref()).flat_map(|tls| {
        let pair = tls.certificate.iter().flat_map(|pair| [pair.cert.as_path(), pair.key.as_path()]);
        pair.chain(std::iter::once(tls.ca.path.as_path()))
    });
    all.chain(nodes).collect()
}

impl Held {
    fn build(&mut self, plan: &Plan, places: &[Option<Address>]) -> (Manners, Renewed) {
        let mut renewed = Renewed::default();
        let generation = self.generation + 1;
        let mut next = Self { traces: std::mem::take(&mut self.traces), generation, ..Self::default() };
        let mut manners = Manners::default();
        for (listener, place) in plan.listeners.iter().zip(places) {
            let Some(place) = place else { continue };
            let tls = match &listener.tls {
                None => None,
                Some(tls) => match self.tls(&mut next, (listener.http2, place), tls, &plan.file, &mut renewed) {
                    Some(made) => Some(made),
                    // Nothing to show, nothing to keep: nobody is let in, least of all in clear.
                    None => continue,
                },
            };
            let gate = self.gates.remove(place).unwrap_or_default();
            next.gates.insert(place.clone(), Arc::clone(&gate));
            let manner = Manner::new(listener, tls, &plan.trusted_proxies, gate);
            manners.listeners.insert(place.clone(), Arc::new(manner));
        }
        manners.admin = self.admin(&mut next, plan, &mut renewed);
        for service in plan.services.values() {
            if let Some(tls) = &service.tls
                && let Some(behind) = self.behind(&mut next, &service.name, tls, &plan.file, &mut renewed)
            {
                manners.nodes.insert(service.name.clone(), behind);
            }
        }
        *self = next;
        (manners, renewed)
    }

    fn admin(&self, next: &mut Self, plan: &Plan, renewed: &mut Renewed) -> Speech {
        let Some(admin) = &plan.admin else { return Speech::Closed };
        let Some(tls) = &admin.tls else { return Speech::Clear };
        let made = self.tls(next, (false, &admin.address), tls, &plan.file, renewed);
        made.map_or(Speech::Closed, |tls| tls.speech())
    }

    /// How nodes are spoken to: as their files say now, or as before where those are no good.
    fn behind(
        &mut self,
        next: &mut Self,
        service: &str,
        tls: &plan::NodeTls,
        file: &Path,
        renewed: &mut Renewed,
    ) -> Option<Arc<Behind>> {
        let old = self.nodes.remove(service).filter(|(plan, ..)| plan == tls);
        let made = match certificates::trust(tls) {
            Ok(trust) => match old {
                Some((plan, same, kept)) if same == trust => (plan, same, kept),
                _ => {
                    let behind = Behind::new(trust.clone(), tls.server_name.clone(), next.generation);
                    (tls.clone(), trust, Arc::new(behind))
                }
            },
            Err((mark, flaw)) => {
                renewed.problems.push(Source::new(file, "").problem(mark, flaw.message).help(flaw.hint));
                old?
            }
        };
        let behind = Arc::clone(&made.2);
        next.nodes.insert(service.to_owned(), made);
        Some(behind)
    }

    fn tls(
        &self,
        next: &mut Self,
        (http2, place): (bool, &Address),
        tls: &plan::Tls,
        file: &Path,
        renewed: &mut Renewed,
    ) -> Option<Arc<Tls>> {
        let mut problem = |mark: Mark, flaw: Flaw| {
            renewed.problems.push(Source::new(file, "").problem(mark, flaw.message).help(flaw.hint));
        };
        let mut chains = Vec::new();
        for pair in &tls.certificates {
            let place = (pair.cert.clone(), pair.key.clone());
            let old = self.identities.get(&place);
            let (now, flaw) = better(old, certificates::identity(pair), &pair.cert);
            if let Some(flaw) = flaw {
                problem(pair.mark, flaw);
            }
            let Some(now) = now else { continue };
            if old.is_some_and(|old| !Arc::ptr_eq(old, &now)) {
                renewed.new.push(pair.cert.clone());
            }
            next.identities.insert(place, Arc::clone(&now));
            chains.push(now);
        }
        let mut roots = None;
        if let Some(named) = &tls.client_ca {
            let read = certificates::authorities(named);
            let store = read.map_err(|flaw| problem(named.mark, flaw)).ok();
            // Without its authorities a listener that asks for certificates must not let anybody in.
            roots = Some(store.or_else(|| self.authorities.get(&named.path).cloned())?);
            next.authorities.extend(roots.clone().map(|roots| (named.path.clone(), roots)));
        }
        let known = roots.as_ref().map(|store| store.roots.clone());
        let recipe = Recipe { plan: tls.clone(), http2, chains, roots: known };
        let old = self.made.get(place);
        let made = match old.filter(|(old, _)| *old == recipe) {
            Some((_, kept)) => Arc::clone(kept),
            None => match Tls::new(tls, http2, &recipe.chains, roots) {
                Ok(made) => Arc::new(made),
                Err(message) => {
                    let mark = tls.certificates.first().map_or(Mark::default(), |first| first.mark);
                    problem(mark, Flaw { message, hint: "until then nobody is let in at this listener".into() });
                    return None;
                }
            },
        };
        next.made.insert(place.clone(), (recipe, Arc::clone(&made)));
        Some(made)
    }
}

/// What of two certificates is shown, and what is wrong with the new one.
fn better(
    old: Option<&Arc<Identity>>,
    new: Result<Identity, Flaw>,
    file: &Path,
) -> (Option<Arc<Identity>>, Option<Flaw>) {
    let new = match new {
        Ok(new) => new,
        Err(flaw) => return (old.cloned(), Some(flaw)),
    };
    let now = seconds();
    let wrong = if new.not_after < now {
        "has expired"
    } else if new.not_before > now {
        "is not valid yet"
    } else {
        ""
    };
    match old {
        // The key belongs to the certificate, so this is the same pair.
        Some(old) if old.key.cert == new.key.cert => (Some(Arc::clone(old)), None),
        _ if wrong.is_empty() => (Some(Arc::new(new)), None),
        _ => {
            let message = format!("the certificate in {} {wrong}", file.display());
            let flaw = Flaw { message, hint: "get another; clients refuse this one".into() };
            // At the start there is nothing better to show.
            (Some(old.map_or_else(|| Arc::new(new), Arc::clone)), Some(flaw))
        }
    }
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
