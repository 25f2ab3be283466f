//! A policy whose answers a test writes down, and memberships to ask it about.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::policy::{About, Ask, Fault, Needs, Policy, Verdict};
use crate::cluster::membership::{Member, Membership, Standing};
use crate::cluster::node::{Incarnation, Node, NodeSpec, Source};

/// What a policy was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) version: u64,
    pub(crate) turn: u64,
    pub(crate) key: Option<String>,
    pub(crate) key_hash: Option<u64>,
    pub(crate) headers: Option<Vec<Option<String>>>,
    pub(crate) attempt: u32,
    pub(crate) tried: Vec<u32>,
}

type Answer = Box<dyn FnMut(&Membership, &Ask<'_>) -> Result<Verdict, Fault> + Send>;

/// Answers what the test says and remembers what it was asked.
pub(crate) struct Scripted {
    pins: bool,
    needs: Needs,
    answer: Mutex<Answer>,
    pub(crate) asked: Mutex<Vec<Asked>>,
    pub(crate) blamed: Mutex<Vec<Fault>>,
}

impl Scripted {
    pub(crate) fn new(
        pins: bool,
        needs: Needs,
        answer: impl FnMut(&Membership, &Ask<'_>) -> Result<Verdict, Fault> + Send + 'static,
    ) -> Arc<Self> {
        let answer: Answer = Box::new(answer);
        Arc::new(Self { pins, needs, answer: Mutex::new(answer), asked: Mutex::default(), blamed: Mutex::default() })
    }

    /// One answer after another; panics when asked more often.
    pub(crate) fn list(pins: bool, answers: impl IntoIterator<Item = Result<Verdict, Fault>>) -> Arc<Self> {
        let mut answers: VecDeque<_> = answers.into_iter().collect();
        Self::new(pins, Needs::default(), move |_, _| answers.pop_front().expect("asked once too often"))
    }
}

impl Policy for Scripted {
    fn about(&self) -> About {
        About { name: "scripted".into(), version: "1.0.0".into(), pins: self.pins }
    }

    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn pick(&self, _: usize, membership: &Arc<Membership>, ask: &Ask<'_>) -> Result<Verdict, Fault> {
        self.asked.lock().expect("no panic before").push(Asked {
            version: membership.version(),
            turn: ask.turn,
            key: ask.key.map(Into::into),
            key_hash: ask.key_hash,
            headers: ask.headers.map(|values| values.iter().map(|value| value.map(Into::into)).collect()),
            attempt: ask.attempt,
            tried: ask.tried.to_vec(),
        });
        (self.answer.lock().expect("no panic before"))(membership, ask)
    }

    fn explain(&self, _: &Arc<Membership>, _: &Ask<'_>) -> Result<String, Fault> {
        Ok("scripted".into())
    }

    fn blame(&self, fault: Fault) {
        self.blamed.lock().expect("no panic before").push(fault);
    }
}

/// A node whose id and address follow from its incarnation.
pub(crate) fn node(incarnation: u64) -> Arc<Node> {
    let spec = NodeSpec {
        id: format!("n{incarnation}"),
        ordinal: Some(incarnation),
        address: ([127, 0, 0, 1], 9000 + incarnation as u16).into(),
        weight: 1,
        zone: String::new(),
        labels: std::collections::BTreeMap::new(),
    };
    Arc::new(Node { spec, incarnation: Incarnation(incarnation), source: Source::Static, load: Arc::default() })
}

/// A membership of these nodes.
pub(crate) fn membership(version: u64, nodes: &[(Arc<Node>, Standing)]) -> Arc<Membership> {
    let members =
        nodes.iter().map(|(node, standing)| Member { node: Arc::clone(node), standing: *standing, share: 1000 });
    Arc::new(Membership::new(version, version, members.collect(), None))
}
