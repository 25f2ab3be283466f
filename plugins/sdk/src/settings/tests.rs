//! What an operator reads when a `with:` is wrong.

use serde::Deserialize;

use super::{NoSettings, parse};

#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(default)]
struct Sample {
    slots: Option<u32>,
    on_missing: OnMissing,
    inner: Inner,
}

#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum OnMissing {
    #[default]
    Refuse,
    RoundRobin,
}

#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(default)]
struct Inner {
    factor: f64,
}

fn message<T: serde::de::DeserializeOwned + Default + std::fmt::Debug>(json: &str) -> String {
    parse::<T>(json).expect_err("it was accepted")
}

#[test]
fn an_absent_with_is_the_default() {
    for json in ["", "null", " ", "{}"] {
        assert_eq!(parse::<Sample>(json), Ok(Sample::default()), "{json:?}");
    }
}

#[test]
fn values_arrive() {
    let sample: Sample = parse(r#"{"slots": 3, "on_missing": "round-robin", "inner": {"factor": 2}}"#).unwrap();
    assert_eq!(sample, Sample { slots: Some(3), on_missing: OnMissing::RoundRobin, inner: Inner { factor: 2.0 } });
}

#[test]
fn a_misspelt_key_is_refused_with_the_nearest() {
    assert_eq!(message::<Sample>(r#"{"slts": 3}"#), "unknown setting `slts`: did you mean `slots`?");
    assert_eq!(message::<Sample>(r#"{"on-missing": 3}"#), "unknown setting `on-missing`: did you mean `on_missing`?");
    assert_eq!(
        message::<Sample>(r#"{"inner": {"facto": 3}}"#),
        "`inner`: unknown setting `facto`: did you mean `factor`?"
    );
}

#[test]
fn a_strange_key_is_refused_with_all_there_are() {
    assert_eq!(
        message::<Sample>(r#"{"weight": 3}"#),
        "unknown setting `weight`: there are `slots`, `on_missing`, `inner`"
    );
    assert_eq!(message::<NoSettings>(r#"{"slots": 3}"#), "unknown setting `slots`: this policy takes none");
}

#[test]
fn a_wrong_type_names_its_key() {
    assert_eq!(
        message::<Sample>(r#"{"slots": "three"}"#),
        "`slots`: expected a whole number, 0 or more, not the text \"three\""
    );
    assert_eq!(message::<Sample>(r#"{"slots": -1}"#), "`slots`: expected a whole number, 0 or more, not -1");
    assert_eq!(message::<Sample>(r#"{"on_missing": 3}"#), "`on_missing`: expected one of `refuse`, `round-robin`");
    assert_eq!(message::<Sample>(r#"{"inner": {"factor": true}}"#), "`inner`: `factor`: expected a number, not true");
    assert_eq!(
        message::<Sample>(r#"{"slots": 1.5}"#),
        "`slots`: expected a whole number, 0 or more, not a number with a fraction"
    );
}

#[test]
fn a_value_that_is_none_of_those_there_are_is_refused_with_the_nearest() {
    assert_eq!(
        message::<Sample>(r#"{"on_missing": "round_robin"}"#),
        "`on_missing`: unknown value `round_robin`: did you mean `round-robin`?"
    );
    assert_eq!(
        message::<Sample>(r#"{"on_missing": "guess"}"#),
        "`on_missing`: unknown value `guess`: there are `refuse`, `round-robin`"
    );
}

#[test]
fn what_is_no_mapping_is_refused() {
    assert_eq!(message::<Sample>("[3]"), "expected a mapping of settings");
    assert!(message::<Sample>("{").starts_with("`with` is not JSON: "));
}
