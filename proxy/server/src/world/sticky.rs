//! The signed cookie by which a client comes back to its node (docs/adr/0015-sticky-cookie.md).
//!
//! Its value is the node's id, a point, and the HMAC-SHA256 (RFC 2104) over what it is for, the service and the id, as 64
//! hexadecimal digits. Nothing is kept of it: whoever has the secrets can tell.

use pointsman_config::plan::StickyCookie;
use pointsman_core::cluster::membership::{Member, Membership};
use pointsman_core::cluster::node::Incarnation;
use pointsman_core::facts::{HeaderValue, RequestFacts};
use ring::hmac;
use subtle::ConstantTimeEq;

use crate::metrics::StickyMetrics;

/// What is signed begins so: a tag that was made for something else with the same secret says nothing here.
const PURPOSE: &[u8] = b"pointsman sticky cookie 1\0";
/// Cookies of our name that are looked at. Browsers send several where paths or domains differ; each costs a hash.
const MOST: usize = 4;
const TAG: usize = 64;

/// The cookie of a service.
pub struct Sticky {
    service: String,
    name: String,
    attributes: String,
    /// The first signs, any verifies.
    keys: Vec<hmac::Key>,
    metrics: StickyMetrics,
}

/// What a request's cookie says.
#[derive(Debug, PartialEq, Eq)]
enum Claim<'c> {
    Nothing,
    Forged,
    /// The node of this id.
    Node(&'c str),
}

impl Sticky {
    /// The cookie of that service.
    pub fn new(plan: &StickyCookie, service: &str, metrics: StickyMetrics) -> Self {
        let max_age = plan.max_age.map(|age| format!("; Max-Age={}", age.as_secs())).unwrap_or_default();
        Self {
            service: service.to_owned(),
            name: plan.name.clone(),
            attributes: format!("; Path=/; HttpOnly; SameSite=Lax{max_age}"),
            keys: plan.secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)).collect(),
            metrics,
        }
    }

    /// The node that the client comes back to, if it may take requests. `counts`: this is the first time that the request
    /// is looked at.
    pub fn node(&self, facts: &impl RequestFacts, membership: &Membership, counts: bool) -> Option<Incarnation> {
        let (count, life) = match self.claim(facts) {
            Claim::Nothing => (&self.metrics.none, None),
            Claim::Forged => (&self.metrics.forged, None),
            Claim::Node(id) => {
                let named = |member: &&Member| member.node.spec.id == id && member.eligible();
                match membership.members().iter().find(named) {
                    Some(member) => (&self.metrics.kept, Some(member.node.incarnation)),
                    None => (&self.metrics.gone, None),
                }
            }
        };
        if counts {
            count.inc();
        }
        life
    }

    /// Appends what a Set-Cookie field says to a client that this node has answered, unless its cookie says so already.
    /// `secure`: it may be told not to send the cookie in clear.
    pub fn issue(&self, facts: &impl RequestFacts, node: &str, secure: bool, out: &mut Vec<u8>) -> bool {
        let Some(key) = self.keys.first() else { return false };
        let tag = self.sign(key, node);
        let same = |value: &str| value.rsplit_once('.').is_some_and(|(id, told)| id == node && same(&tag, told));
        if self.values(facts).any(same) {
            return false;
        }
        for part in [self.name.as_bytes(), b"=", node.as_bytes(), b".", &tag, self.attributes.as_bytes()] {
            out.extend_from_slice(part);
        }
        if secure {
            out.extend_from_slice(b"; Secure");
        }
        self.metrics.issued.inc();
        true
    }

    fn claim<'c>(&self, facts: &'c impl RequestFacts) -> Claim<'c> {
        let mut claim = Claim::Nothing;
        for value in self.values(facts) {
            match value.rsplit_once('.').filter(|(node, tag)| self.signed(node, tag)) {
                Some((node, _)) => return Claim::Node(node),
                None => claim = Claim::Forged,
            }
        }
        claim
    }

    fn signed(&self, node: &str, tag: &str) -> bool {
        tag.len() == TAG && self.keys.iter().any(|key| same(&self.sign(key, node), tag))
    }

    fn sign(&self, key: &hmac::Key, node: &str) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(key);
        // Names hold no zero, so no two of service and node give the same bytes.
        for part in [PURPOSE, self.service.as_bytes(), b"\0", node.as_bytes()] {
            context.update(part);
        }
        let mut digits = [0; TAG];
        let tag = context.sign();
        for (pair, byte) in digits.chunks_exact_mut(2).zip(tag.as_ref()) {
            pair.copy_from_slice(&[byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        }
        digits
    }

    /// The values of the request's cookies of our name.
    fn values<'c>(&self, facts: &'c impl RequestFacts) -> impl Iterator<Item = &'c str> {
        let header = match facts.header("cookie") {
            HeaderValue::One(header) => header,
            HeaderValue::Absent | HeaderValue::Ambiguous => "",
        };
        let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| name.trim_matches([' ', '\t']) == self.name).map(|(_, value)| value.trim()).take(MOST)
    }
}

/// Takes as long whether it is right from the beginning or wrong.
fn same(tag: &[u8; TAG], told: &str) -> bool {
    tag.as_slice().ct_eq(told.as_bytes()).into()
}

#[cfg(test)]
mod tests;
