//! From a request to the route that takes it.
//!
//! Precedence is a value that compares ([`Precedence`]); of equals the one written first wins. The [`Router`] is an
//! index that finds the winner without comparing all routes: by host, then by path. A test proves it equal to the one
//! fold over all routes that defines what "best" means.

use std::collections::HashMap;

use pointsman_config::plan::{self, Match, PathMatch};

use crate::facts::{HeaderValue, RequestFacts};

pub mod course;
mod precedence;
pub mod share;

pub use precedence::{HostRank, PathRank, Precedence};

/// Hosts longer than this match no rule that names a host (RFC 1035 §2.3.4 ends names at 255 octets).
const LONGEST_HOST: usize = 255;

/// Finds routes.
#[derive(Debug, Default)]
pub struct Router {
    exact: HashMap<Box<str>, Paths>,
    /// Without `*.`, so `*.example.com` stands under `example.com`.
    wildcard: HashMap<Box<str>, Paths>,
    any: Paths,
}

/// The routes of one host, by path.
#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<Box<str>, Vec<Rule>>,
    /// Without a slash at the end, so `/` stands under the empty text.
    prefix: HashMap<Box<str>, Vec<Rule>>,
    /// Lengths that occur in `prefix`, longest first.
    lengths: Vec<usize>,
    any: Vec<Rule>,
}

/// What is left to compare once host and path hold.
#[derive(Debug)]
struct Rule {
    index: usize,
    precedence: Precedence,
    methods: Vec<String>,
    headers: Vec<(String, String)>,
}

impl Router {
    /// An index over the routes of a plan.
    pub fn new(routes: &[plan::Route]) -> Self {
        let mut built = Self::default();
        for (index, route) in routes.iter().enumerate() {
            let rule = Rule {
                index,
                precedence: Precedence::of(&route.matches),
                methods: route.matches.methods.clone(),
                headers: route.matches.headers.clone(),
            };
            built.paths_of(&route.matches).add(route.matches.path.as_ref(), rule);
        }
        built.exact.values_mut().chain(built.wildcard.values_mut()).chain([&mut built.any]).for_each(Paths::sort);
        built
    }

    fn paths_of(&mut self, matches: &Match) -> &mut Paths {
        let Some(host) = &matches.host else { return &mut self.any };
        let host = host.to_ascii_lowercase();
        match host.strip_prefix("*.") {
            Some(suffix) => self.wildcard.entry(suffix.into()).or_default(),
            None => self.exact.entry(host.into()).or_default(),
        }
    }

    /// Index in the plan's routes of the one that takes this request. Does not allocate.
    pub fn find(&self, facts: &impl RequestFacts) -> Option<usize> {
        let mut buffer = [0; LONGEST_HOST];
        self.find_by_host(facts, &mut buffer).or_else(|| self.any.find(facts))
    }

    fn find_by_host(&self, facts: &impl RequestFacts, buffer: &mut [u8; LONGEST_HOST]) -> Option<usize> {
        if self.exact.is_empty() && self.wildcard.is_empty() {
            return None;
        }
        let host = lower_case(facts.host(), buffer)?;
        if let Some(found) = self.exact.get(host).and_then(|paths| paths.find(facts)) {
            return Some(found);
        }
        if self.wildcard.is_empty() {
            return None;
        }
        // Labels go from the left, so the longest suffix comes first.
        let suffixes = host.match_indices('.').map(|(dot, _)| &host[dot + 1..]);
        suffixes.filter_map(|suffix| self.wildcard.get(suffix)).find_map(|paths| paths.find(facts))
    }
}

/// The host in lower case without a dot at the end. `None`: there is none, or it cannot be a name.
fn lower_case<'a>(host: &str, buffer: &'a mut [u8; LONGEST_HOST]) -> Option<&'a str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let place = buffer.get_mut(..host.len()).filter(|place| !place.is_empty())?;
    place.copy_from_slice(host.as_bytes());
    place.make_ascii_lowercase();
    std::str::from_utf8(place).ok()
}

impl Paths {
    fn add(&mut self, path: Option<&PathMatch>, rule: Rule) {
        match path {
            None => self.any.push(rule),
            Some(PathMatch::Exact(path)) => self.exact.entry(path.as_str().into()).or_default().push(rule),
            Some(PathMatch::Prefix(prefix)) => {
                let prefix = precedence::without_slash(prefix);
                if !self.lengths.contains(&prefix.len()) {
                    self.lengths.push(prefix.len());
                }
                self.prefix.entry(prefix.into()).or_default().push(rule);
            }
        }
    }

    /// Best first; the sort is stable, so of equals the one written first stays first.
    fn sort(&mut self) {
        self.lengths.sort_unstable_by(|a, b| b.cmp(a));
        for rules in self.exact.values_mut().chain(self.prefix.values_mut()).chain([&mut self.any]) {
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.precedence));
        }
    }

    fn find(&self, facts: &impl RequestFacts) -> Option<usize> {
        let path = facts.path();
        if let Some(found) = self.exact.get(path).and_then(|rules| first_that_holds(rules, facts)) {
            return Some(found);
        }
        let on_segments =
            |&&length: &&usize| path.get(length..).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.lengths
            .iter()
            .filter(on_segments)
            .filter_map(|&length| self.prefix.get(&path[..length]))
            .find_map(|rules| first_that_holds(rules, facts))
            .or_else(|| first_that_holds(&self.any, facts))
    }
}

fn first_that_holds(rules: &[Rule], facts: &impl RequestFacts) -> Option<usize> {
    rules.iter().find(|rule| rule.holds(facts)).map(|rule| rule.index)
}

impl Rule {
    fn holds(&self, facts: &impl RequestFacts) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|method| method == facts.method()))
            && self.headers.iter().all(|(name, value)| facts.header(name) == HeaderValue::One(value))
    }
}

#[cfg(test)]
mod tests;
