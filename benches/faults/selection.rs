//! `--only`: which rows and which measurements.

use std::collections::BTreeSet;
use std::str::FromStr;

/// One word of `--only`: `7`, `10-20`, or a name or part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Numbers(u8, u8),
    Name(String),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<u8>().ok();
        let word = word.trim();
        if let Some(only) = number(word) {
            return Ok(Self::Numbers(only, only));
        }
        if let Some((first, last)) = word.split_once('-').and_then(|(a, b)| number(a).zip(number(b))) {
            return if first <= last {
                Ok(Self::Numbers(first, last))
            } else {
                Err(format!("`{word}`: {first} comes after {last}"))
            };
        }
        if word.is_empty() { Err("an empty word selects nothing".into()) } else { Ok(Self::Name(word.to_lowercase())) }
    }
}

/// Which of `rows` (number and name) and of `measurements` the words select; no word means every row and no measurement.
///
/// # Errors
/// A word that selects nothing: a typing mistake must not look like a clean run.
pub(crate) fn select(
    words: &[Wanted],
    rows: &[(u8, &str)],
    measurements: &[&'static str],
) -> Result<(BTreeSet<u8>, BTreeSet<&'static str>), String> {
    if words.is_empty() {
        return Ok((rows.iter().map(|row| row.0).collect(), BTreeSet::new()));
    }
    let (mut chosen, mut measured) = (BTreeSet::new(), BTreeSet::new());
    for word in words {
        let (mut of_rows, mut of_measurements) = (BTreeSet::new(), BTreeSet::<&'static str>::new());
        match word {
            Wanted::Numbers(first, last) => {
                of_rows.extend(rows.iter().map(|row| row.0).filter(|number| (first..=last).contains(&number)));
            }
            Wanted::Name(name) if measurements.contains(&name.as_str()) => {
                of_measurements.extend(measurements.iter().filter(|measurement| *measurement == name));
            }
            Wanted::Name(name) => {
                of_rows.extend(rows.iter().filter(|row| row.1.contains(name.as_str())).map(|row| row.0));
            }
        }
        if of_rows.is_empty() && of_measurements.is_empty() {
            return Err(format!("--only: nothing is called {word:?}; --list shows what there is"));
        }
        chosen.extend(of_rows);
        measured.extend(of_measurements);
    }
    Ok((chosen, measured))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[(u8, &str)] = &[(1, "node-killed"), (2, "node-killed-mid-body"), (10, "malformed"), (20, "upgrade")];

    fn selected(text: &str) -> Result<(Vec<u8>, Vec<&'static str>), String> {
        let words: Vec<Wanted> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let (rows, measurements) = select(&words, ROWS, &["swaps", "deaths"])?;
        Ok((rows.into_iter().collect(), measurements.into_iter().collect()))
    }

    #[test]
    fn numbers_ranges_and_names() {
        assert_eq!(selected("1,10-20"), Ok((vec![1, 10, 20], vec![])));
        assert_eq!(selected("killed"), Ok((vec![1, 2], vec![])));
        assert_eq!(selected("swaps,upgrade"), Ok((vec![20], vec!["swaps"])));
        assert_eq!(selected("1,1-2"), Ok((vec![1, 2], vec![])));
    }

    #[test]
    fn every_row_unless_something_is_said() {
        let (rows, measurements) = select(&[], ROWS, &["swaps"]).expect("all");
        assert_eq!((rows.len(), measurements.len()), (4, 0));
    }

    #[test]
    fn what_selects_nothing_is_an_error() {
        for text in ["3-9", "no-such-row", "20-10", "99", ""] {
            assert!(selected(text).is_err(), "{text}");
        }
    }
}
