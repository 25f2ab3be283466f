//! What the answers of nodes to a broadcast come to, and how the client is told.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use pointsman_config::plan::Gather;
use serde_json::{Map, Value, json};

/// What became of a node's copy.
#[derive(Debug)]
pub(super) enum Became {
    /// It answered.
    Answered { status: u16, content_type: Option<HeaderValue>, body: Bytes, took: Duration },
    /// It did not, for this reason.
    Failed(&'static str),
}

impl Became {
    /// Whether it did what it was asked to.
    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Answered { status: 200..400, .. })
    }

    /// As metrics call it.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Answered { .. } if self.is_good() => "good",
            Self::Answered { .. } => "refused",
            Self::Failed(why) => why,
        }
    }
}

/// Counts answers until they decide.
#[derive(Debug)]
pub(super) struct Tally {
    gather: Gather,
    expected: usize,
    good: usize,
    bad: usize,
}

impl Tally {
    /// Of so many nodes.
    pub(super) fn new(gather: Gather, expected: usize) -> Self {
        Self { gather, expected, good: 0, bad: 0 }
    }

    /// One more is there.
    pub(super) fn count(&mut self, good: bool) {
        if good { self.good += 1 } else { self.bad += 1 }
    }

    /// Whether it went well; `None`: that is not decided yet.
    pub(super) fn decided(&self) -> Option<bool> {
        let Self { gather, expected, good, bad } = *self;
        let over = good + bad >= expected;
        match gather {
            Gather::All => over.then_some(bad == 0 && good > 0),
            Gather::Quorum if good > expected / 2 => Some(true),
            // As many have failed as leave no majority.
            Gather::Quorum => (expected - bad <= expected / 2).then_some(false),
            Gather::First if good > 0 => Some(true),
            Gather::First => over.then_some(false),
        }
    }

    /// The document that the client gets.
    pub(super) fn document(&self, well: bool, results: Vec<(String, Became)>, pending: &[String], id: &str) -> String {
        let gather = match self.gather {
            Gather::All => "all",
            Gather::Quorum => "quorum",
            Gather::First => "first",
        };
        let mut nodes: Vec<Value> = results.into_iter().map(|(node, became)| told(node, became)).collect();
        nodes.extend(pending.iter().map(|node| json!({ "node": node, "pending": true })));
        let document = json!({
            "answer": gather,
            "well": well,
            "asked": self.expected,
            "good": self.good,
            "failed": self.bad,
            "nodes": nodes,
            "request_id": id,
        });
        format!("{document}\n")
    }
}

fn told(node: String, became: Became) -> Value {
    let mut told = Map::new();
    told.insert("node".into(), node.into());
    match became {
        Became::Failed(why) => {
            told.insert("error".into(), why.into());
        }
        Became::Answered { status, content_type, body, took } => {
            told.insert("status".into(), status.into());
            told.insert("took_ms".into(), (took.as_secs_f64() * 1e3).into());
            let json = content_type.as_ref().is_some_and(|kind| is_json(kind.as_bytes()));
            let parsed = if json { serde_json::from_slice(&body).ok() } else { None };
            match parsed.or_else(|| std::str::from_utf8(&body).ok().map(Value::from)) {
                Some(body) => told.insert("body".into(), body),
                None => told.insert("body_bytes".into(), body.len().into()),
            };
        }
    }
    Value::Object(told)
}

/// `application/json`, or what is written as JSON (RFC 6839 §3.1).
fn is_json(kind: &[u8]) -> bool {
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    essence == b"application/json" || essence.ends_with(b"+json")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(gather: Gather, expected: usize, answers: &[bool]) -> (Option<bool>, usize) {
        let mut tally = Tally::new(gather, expected);
        for (seen, good) in answers.iter().enumerate() {
            if let Some(well) = tally.decided() {
                return (Some(well), seen);
            }
            tally.count(*good);
        }
        (tally.decided(), answers.len())
    }

    #[test]
    fn it_is_decided_as_soon_as_nothing_can_change_it() {
        let (good, bad) = (true, false);
        assert_eq!(after(Gather::All, 2, &[good]), (None, 1));
        assert_eq!(after(Gather::All, 2, &[good, good]), (Some(true), 2));
        assert_eq!(after(Gather::All, 2, &[bad, good]), (Some(false), 2));
        assert_eq!(after(Gather::Quorum, 3, &[good, bad, good]), (Some(true), 3));
        assert_eq!(after(Gather::Quorum, 3, &[good, good, bad]), (Some(true), 2));
        assert_eq!(after(Gather::Quorum, 4, &[good, bad, bad, good]), (Some(false), 3));
        assert_eq!(after(Gather::First, 3, &[bad, good, good]), (Some(true), 2));
        assert_eq!(after(Gather::First, 2, &[bad, bad]), (Some(false), 2));
        for gather in [Gather::All, Gather::Quorum, Gather::First] {
            assert_eq!(after(gather, 0, &[]), (Some(false), 0), "nobody was asked");
        }
    }

    proptest! {
        /// However answers come in, once all are there it is decided, and as the whole of them says.
        #[test]
        fn the_order_of_answers_does_not_matter(answers in prop::collection::vec(any::<bool>(), 1..9)) {
            let good = answers.iter().filter(|good| **good).count();
            let whole = |gather| match gather {
                Gather::All => good == answers.len(),
                Gather::Quorum => good * 2 > answers.len(),
                Gather::First => good > 0,
            };
            for gather in [Gather::All, Gather::Quorum, Gather::First] {
                prop_assert_eq!(after(gather, answers.len(), &answers).0, Some(whole(gather)));
            }
        }
    }

    #[test]
    fn a_body_is_told_as_what_it_is() {
        let answered = |kind: &'static str, body: &'static [u8]| Became::Answered {
            status: 200,
            content_type: Some(HeaderValue::from_static(kind)),
            body: Bytes::from_static(body),
            took: Duration::from_millis(2),
        };
        let body = |became| told("a".into(), became).get("body").cloned();
        assert_eq!(body(answered("application/json; charset=utf-8", b"{\"a\":1}")), Some(json!({ "a": 1 })));
        assert_eq!(body(answered("application/problem+json", b"{broken")), Some(json!("{broken")));
        assert_eq!(body(answered("text/plain", b"{\"a\":1}")), Some(json!("{\"a\":1}")));
        assert_eq!(told("a".into(), answered("image/png", b"\xff\xfe"))["body_bytes"], json!(2));
        assert_eq!(told("a".into(), Became::Failed("down")), json!({ "node": "a", "error": "down" }));
    }
}
