//! `policy:` of a service.

use serde::Serialize;

use super::{Mark, OnFault};

/// Which policy a service uses, and how it is set up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyUse {
    /// Name of a built-in policy or of an entry under `policies`.
    pub name: String,
    /// The `with:` mapping as compact JSON (`{}` when absent). The policy itself checks it.
    pub settings: String,
    /// What a fault of the policy costs; `None`: refuse where it pins keys, round robin otherwise.
    pub on_fault: Option<OnFault>,
    /// Where `with:` stands, or `policy:` where it is absent, for problems that the policy reports.
    pub mark: Mark,
    /// Where each setting stands, for problems that name one.
    #[serde(skip)]
    pub places: Vec<Setting>,
}

/// Where an entry of a `with:` stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its key, after those of the mappings around it.
    pub path: Vec<String>,
    /// Where the key stands.
    pub key: Mark,
    /// Where the value stands.
    pub value: Mark,
}

impl PolicyUse {
    /// Where a policy's words about its settings belong. The SDK begins them with the keys that lead to the value
    /// (`` `failover`: … ``), and names a key that the policy does not have (`` unknown setting `failovr` ``); words of
    /// another form belong to `with:` as a whole.
    pub fn place_of(&self, words: &str) -> Mark {
        let (mut path, mut rest) = (Vec::new(), words);
        while let Some((key, after)) = rest.strip_prefix('`').and_then(|named| named.split_once("`: ")) {
            path.push(key);
            rest = after;
        }
        let find = |path: &[&str]| self.places.iter().find(|setting| setting.path == path);
        let unknown = rest.strip_prefix("unknown setting `").and_then(|named| named.split_once('`'));
        if let Some((key, _)) = unknown
            && let Some(setting) = find(&[&path[..], &[key]].concat())
        {
            return setting.key;
        }
        find(&path).map_or(self.mark, |setting| setting.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_a_setting_belong_where_it_stands() {
        let setting = |path: &[&str], line| {
            let path = path.iter().map(|&key| key.to_owned()).collect();
            Setting { path, key: Mark { line, column: 1 }, value: Mark { line, column: 9 } }
        };
        let used = PolicyUse {
            name: "p".into(),
            settings: "{}".into(),
            on_fault: None,
            mark: Mark { line: 1, column: 1 },
            places: vec![setting(&["slots"], 2), setting(&["inner"], 3), setting(&["inner", "facto"], 4)],
        };
        for (words, line, column) in [
            ("`slots`: 0 is no modulus", 2, 9),
            ("`slots`: unknown value `a`: did you mean `b`?", 2, 9),
            ("unknown setting `slots`: this policy takes none", 2, 1),
            ("`inner`: `facto`: expected a number, not true", 4, 9),
            ("`inner`: unknown setting `facto`: did you mean `factor`?", 4, 1),
            ("slots: must be 1 or more", 1, 1),
            ("`with` is not JSON: `x`: y", 1, 1),
            ("`other`: is missing", 1, 1),
            ("", 1, 1),
        ] {
            assert_eq!(used.place_of(words), Mark { line, column }, "{words}");
        }
    }
}
