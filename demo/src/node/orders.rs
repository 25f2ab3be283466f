//! The orders of one node.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value};

/// Older orders are forgotten beyond this many, so that a load test does not fill the memory.
const KEPT: usize = 100_000;

/// Orders in memory, newest last.
#[derive(Debug, Default)]
pub(super) struct Orders {
    taken: u64,
    by_id: HashMap<String, Map<String, Value>>,
    in_order: VecDeque<String>,
}

impl Orders {
    /// Takes an order: what the client sent, with the id, node and status that stand from now on.
    pub(super) fn take(&mut self, node: &str, sent: Map<String, Value>) -> Map<String, Value> {
        self.taken += 1;
        let id = format!("{node}-{}", self.taken);
        let mut order = sent;
        order.insert("id".into(), id.clone().into());
        order.insert("node".into(), node.into());
        order.insert("status".into(), "new".into());
        self.by_id.insert(id.clone(), order.clone());
        self.in_order.push_back(id);
        if self.in_order.len() > KEPT
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        order
    }

    pub(super) fn get(&self, id: &str) -> Option<&Map<String, Value>> {
        self.by_id.get(id)
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The newest first, of one customer if asked, at most `limit`.
    pub(super) fn newest(&self, customer: Option<&str>, limit: usize) -> Vec<&Map<String, Value>> {
        let of_customer = |order: &&Map<String, Value>| {
            customer.is_none_or(|wanted| order.get("customer").is_some_and(|has| text(has) == wanted))
        };
        self.in_order.iter().rev().filter_map(|id| self.by_id.get(id)).filter(of_customer).take(limit).collect()
    }
}

/// A JSON value as a client would write it in a query: strings without quotes.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_found_by_its_id_and_by_its_customer() {
        let mut orders = Orders::default();
        for customer in [7, 8, 7] {
            let sent = serde_json::json!({ "customer": customer, "symbol": "ABC" });
            orders.take("oms-1", sent.as_object().cloned().unwrap_or_default());
        }
        assert_eq!(orders.get("oms-1-2").map(|order| text(&order["customer"])), Some("8".into()));
        let of_seven: Vec<String> = orders.newest(Some("7"), 9).iter().map(|order| text(&order["id"])).collect();
        assert_eq!(of_seven, ["oms-1-3", "oms-1-1"]);
        assert_eq!(orders.get("oms-2-1"), None);
    }

    #[test]
    fn a_client_cannot_choose_the_id() {
        let sent = serde_json::json!({ "id": "mine", "node": "other" });
        let order = Orders::default().take("oms-1", sent.as_object().cloned().unwrap_or_default());
        assert_eq!((text(&order["id"]), text(&order["node"])), ("oms-1-1".into(), "oms-1".into()));
    }
}
