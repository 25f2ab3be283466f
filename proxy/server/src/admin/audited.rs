//! Lets a change happen where it can be written down, and writes it down.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use pointsman_core::cluster::membership::Standing;
use serde_json::{Value, json};

use super::Shared;
use super::guard::Who;
use super::owners::{self, Given};
use super::problem::{Problem, Reason};
use crate::audit::{Record, Unwritable};
use crate::world::control::Denied;

/// Changes of owners.
const REASSIGN: &str = "reassign-owners";
const RELEASE: &str = "release-owner";

/// A change that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Change {
    what: &'static str,
    service: Option<String>,
    node: Option<String>,
    policy: Option<String>,
    /// Of an owner.
    key: Option<String>,
}

impl Change {
    /// The change that a path stands for. A heartbeat is none.
    pub(super) fn of<'a>(
        method: &Method,
        matched: Option<&str>,
        params: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Option<Self> {
        let what = match (method.as_str(), matched?) {
            ("PUT", "/v1/services/{service}/nodes/{id}") => "join",
            ("DELETE", "/v1/services/{service}/nodes/{id}") => "leave",
            ("POST", "/v1/services/{service}/nodes/{id}/drain") => "drain",
            ("POST", "/v1/services/{service}/nodes/{id}/undrain") => "undrain",
            ("POST", "/v1/services/{service}/high-water/lower") => "lower-mark",
            ("POST", "/v1/services/{service}/owners/reassign") => REASSIGN,
            ("DELETE", "/v1/services/{service}/owners/{key}") => RELEASE,
            ("PUT", "/v1/policies/{name}") => "upload-policy",
            ("POST", "/v1/config/reload") => "reload",
            _ => return None,
        };
        let named = |name| params.clone().find(|(param, _)| *param == name).map(|(_, value)| value.to_owned());
        Some(Self { what, service: named("service"), node: named("id"), policy: named("name"), key: named("key") })
    }

    fn record(&self, who: &Who) -> Record {
        let (service, node, policy) = (self.service.clone(), self.node.clone(), self.policy.clone());
        Record { from: who.from, service, node, policy, ..Record::new(&who.name, self.what) }
    }

    /// What it changes, as it is now.
    async fn look(&self, shared: &Shared) -> Value {
        let world = shared.parts.world.load_full();
        if let Some(name) = &self.policy {
            let policies = shared.parts.reload.policies().await.unwrap_or_default();
            let digest = policies.into_iter().find(|policy| policy.name == *name).map(|policy| policy.digest);
            return json!({ "generation": shared.parts.world.load().generation, "digest": digest });
        }
        let Some(service) = &self.service else { return json!({ "generation": world.generation }) };
        let Some(service) = world.services.get(service) else { return Value::Null };
        if matches!(self.what, REASSIGN | RELEASE) {
            return owners::look(service, self.key.as_deref());
        }
        let members = service.state.members().load_full();
        let Some(id) = &self.node else { return json!({ "high_water": members.high_water() }) };
        let Some(member) = members.members().iter().find(|member| member.node.spec.id == *id) else {
            return Value::Null;
        };
        let spec = &member.node.spec;
        json!({
            "address": spec.address, "ordinal": spec.ordinal, "weight": spec.weight, "zone": spec.zone,
            "labels": spec.labels, "draining": member.standing == Standing::Draining,
        })
    }
}

/// A change that was refused before anybody looked at it.
pub(super) async fn refused(shared: &Shared, change: &Change, who: &Who, reason: &str) {
    let record = Record { outcome: "refused", reason: Some(reason.into()), ..change.record(who) };
    shared.parts.audit.refusal(record).await;
}

/// Carries a change out to its end, and its line with it, whether or not whoever asked waits for that.
pub(super) async fn carry_out(shared: Arc<Shared>, change: Change, who: Who, request: Request, next: Next) -> Response {
    let carried = tokio::spawn(async move {
        if let Err(unwritable) = shared.parts.audit.room().await {
            if matches!(unwritable, Unwritable::Elsewhere) {
                return Problem::from(Denied::HandedOver).into_response();
            }
            shared.parts.metrics.admin().refused("audit");
            return unwritten(&unwritable, "nothing was changed").into_response();
        }
        let before = change.look(&shared).await;
        let response = next.run(request).await;
        let after = change.look(&shared).await;
        if change.what == "join" && response.status() == StatusCode::OK && before == after {
            // No more than a heartbeat.
            shared.parts.audit.nothing();
            return response;
        }
        let reason = response.extensions().get::<Reason>().map(|Reason(reason)| (*reason).to_owned());
        let given = response.extensions().get::<Given>().cloned();
        // Owners change by themselves, too: what a node has more or less of may be another's doing.
        let changed = given.as_ref().map_or(before != after, |given| given.moved > 0);
        let outcome = match changed {
            _ if !response.status().is_success() => "refused",
            true => "done",
            false => "unchanged",
        };
        let given = given.map(|given| given.told);
        match shared.parts.audit.record(Record { given, before, after, outcome, reason, ..change.record(&who) }).await {
            Err(unwritable) if outcome == "done" => {
                unwritten(&unwritable, "the change was made; its line waits in memory").into_response()
            }
            _ => response,
        }
    });
    carried.await.unwrap_or_else(|_| Problem::stopping().into_response())
}

fn unwritten(unwritable: &Unwritable, state: &str) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "audit",
        format!("{unwritable}; {state}"),
        "make room on the disk of `admin.audit.file`, or say `on_error: go-on` there, then send it again",
    )
    .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
}
