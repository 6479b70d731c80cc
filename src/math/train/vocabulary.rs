//! Which facts are numbers, and which levels there are: encodings learned from data.

use crate::model::{Encoding, Factor, Source, Term, Value, with_text};
use std::collections::BTreeMap;

/// The most different numbers of one fact that are counted as levels, should the fact turn out to have texts as well.
const MAX_NUMBERS: usize = 10_000;

/// What the rows seen so far have in each fact that some terms use.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    facts: BTreeMap<Source, Tally>,
}

/// In how many rows a fact had which value.
#[derive(Clone, Debug, Default)]
struct Tally {
    texts: BTreeMap<String, usize>,
    /// By the bits of the number.
    numbers: BTreeMap<u64, usize>,
}

/// How levels are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A level needs at least this many rows.
    pub min_count: usize,
    /// The most levels of one fact; the most frequent are kept, and among equals the first bytewise.
    pub max_levels: usize,
    /// If set, texts are hashed into this many buckets instead.
    pub hashed: Option<u32>,
    /// What the fact was declared to be.
    pub declared: Option<Scale>,
}

/// What the values of a fact mean, where that is declared and not told from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Numbers are codes: levels as texts are.
    Categorical,
    /// Texts that read as numbers are numbers, and others are missing.
    Numeric,
}

impl Vocabulary {
    /// Prepares for the facts of these terms (see [`crate::model::parse_term`]).
    pub fn new(terms: &[Vec<Source>]) -> Vocabulary {
        let facts = terms
            .iter()
            .flatten()
            .map(|source| (source.clone(), Tally::default()))
            .collect();
        Vocabulary { facts }
    }

    /// Looks at one row. The order of rows does not matter, except for facts that have both texts and more than ten
    /// thousand different numbers.
    pub fn observe<'v>(&mut self, lookup: &dyn Fn(&Source) -> Value<'v>) {
        for (source, tally) in &mut self.facts {
            tally.add(lookup(source));
        }
    }

    /// The encoding of a fact, as it was declared: or else a number if all values that were present are numbers, and levels
    /// (of numbers among them the shortest text form), or hashed if asked for. A fact that was never present has no
    /// levels.
    pub fn encoding(&self, source: &Source, limits: Limits) -> Encoding {
        let is_number = |tally: &Tally| match limits.declared {
            Some(scale) => scale == Scale::Numeric,
            None => tally.texts.is_empty() && !tally.numbers.is_empty(),
        };
        match self.facts.get(source) {
            Some(tally) if is_number(tally) => Encoding::Number,
            tally => match limits.hashed {
                Some(buckets) => Encoding::Hashed(buckets),
                None => Encoding::Levels(tally.map_or(Vec::new(), |tally| tally.levels(limits))),
            },
        }
    }

    /// The terms with the encodings of their facts; `limits` may differ from fact to fact.
    pub fn terms(&self, terms: &[Vec<Source>], limits: &dyn Fn(&Source) -> Limits) -> Vec<Term> {
        let factor = |source: &Source| Factor {
            source: source.clone(),
            encoding: self.encoding(source, limits(source)),
        };
        terms
            .iter()
            .map(|sources| Term {
                factors: sources.iter().map(factor).collect(),
            })
            .collect()
    }
}

impl Tally {
    fn add(&mut self, value: Value<'_>) {
        match value {
            Value::Missing => {}
            Value::Text(text) => match self.texts.get_mut(text) {
                Some(count) => *count += 1,
                None => drop(self.texts.insert(text.to_owned(), 1)),
            },
            Value::Number(x) if x.is_finite() => {
                let bits = x.to_bits();
                let room = self.numbers.len() < MAX_NUMBERS;
                match self.numbers.get_mut(&bits) {
                    Some(count) => *count += 1,
                    None if room => drop(self.numbers.insert(bits, 1)),
                    None => {}
                }
            }
            Value::Number(_) => {}
        }
    }

    fn levels(&self, limits: Limits) -> Vec<String> {
        let mut counts = self.texts.clone();
        for (&bits, &count) in &self.numbers {
            let text = with_text(Value::Number(f64::from_bits(bits)), |text| {
                Some(text.to_owned())
            });
            *counts.entry(text.unwrap_or_default()).or_default() += count;
        }
        let mut kept: Vec<_> = counts
            .into_iter()
            .filter(|&(_, count)| count >= limits.min_count)
            .collect();
        kept.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        kept.truncate(limits.max_levels);
        let mut levels: Vec<String> = kept.into_iter().map(|(level, _)| level).collect();
        levels.sort_unstable();
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_term;

    const ALL: Limits = Limits {
        min_count: 1,
        max_levels: usize::MAX,
        hashed: None,
        declared: None,
    };

    fn source(text: &str) -> Source {
        text.parse().unwrap()
    }

    /// Every value becomes a row.
    fn learned(values: &[Value<'_>]) -> Vocabulary {
        let mut vocabulary = Vocabulary::new(&[vec![source("user.x")]]);
        for &value in values {
            vocabulary.observe(&|_| value);
        }
        vocabulary
    }

    fn levels(vocabulary: &Vocabulary, limits: Limits) -> Vec<String> {
        match vocabulary.encoding(&source("user.x"), limits) {
            Encoding::Levels(levels) => levels,
            other => panic!("{other:?} are no levels"),
        }
    }

    #[test]
    fn all_numbers_are_a_number() {
        let vocabulary = learned(&[
            Value::Number(1.0),
            Value::Missing,
            Value::Number(f64::NAN),
            Value::Number(2.5),
        ]);
        assert_eq!(
            vocabulary.encoding(&source("user.x"), ALL),
            Encoding::Number
        );
        let hashed = Limits {
            hashed: Some(8),
            ..ALL
        };
        assert_eq!(
            vocabulary.encoding(&source("user.x"), hashed),
            Encoding::Number
        );
    }

    #[test]
    fn texts_are_levels_sorted_bytewise() {
        let vocabulary = learned(&["b", "a", "é", "B", "b"].map(Value::Text));
        assert_eq!(levels(&vocabulary, ALL), ["B", "a", "b", "é"]);
        assert_eq!(
            levels(
                &vocabulary,
                Limits {
                    min_count: 2,
                    ..ALL
                }
            ),
            ["b"]
        );
        assert_eq!(
            levels(
                &vocabulary,
                Limits {
                    max_levels: 3,
                    ..ALL
                }
            ),
            ["B", "a", "b"]
        );
        let hashed = Limits {
            hashed: Some(8),
            ..ALL
        };
        assert_eq!(
            vocabulary.encoding(&source("user.x"), hashed),
            Encoding::Hashed(8)
        );
    }

    #[test]
    fn numbers_among_texts_are_levels() {
        let vocabulary = learned(&[
            Value::Number(3.0),
            Value::Text("3"),
            Value::Number(-0.0),
            Value::Text("x"),
        ]);
        assert_eq!(levels(&vocabulary, ALL), ["0", "3", "x"]);
        assert_eq!(
            levels(
                &vocabulary,
                Limits {
                    min_count: 2,
                    ..ALL
                }
            ),
            ["3"]
        );
    }

    #[test]
    fn what_is_declared_is_not_told_from_the_values() {
        let declared = |scale| Limits {
            declared: Some(scale),
            ..ALL
        };
        let codes = learned(&[Value::Number(10.0), Value::Number(3.0)]);
        assert_eq!(levels(&codes, declared(Scale::Categorical)), ["10", "3"]);
        let hashed = Limits {
            hashed: Some(8),
            ..declared(Scale::Categorical)
        };
        assert_eq!(
            codes.encoding(&source("user.x"), hashed),
            Encoding::Hashed(8)
        );
        let texts = learned(&["10", "x"].map(Value::Text));
        assert_eq!(
            texts.encoding(&source("user.x"), declared(Scale::Numeric)),
            Encoding::Number
        );
    }

    #[test]
    fn what_was_never_there_has_no_levels() {
        assert!(levels(&learned(&[Value::Missing]), ALL).is_empty());
        assert!(levels(&learned(&[]), ALL).is_empty());
        assert_eq!(
            learned(&[]).encoding(&source("user.other"), ALL),
            Encoding::Levels(vec![])
        );
    }

    #[test]
    fn terms_get_the_encodings_of_their_facts() {
        let written = ["1", "user.clicks*action.category", "action.category"];
        let sources: Vec<_> = written
            .iter()
            .map(|term| parse_term(term).unwrap())
            .collect();
        let mut vocabulary = Vocabulary::new(&sources);
        for category in ["a", "b", "a"] {
            vocabulary.observe(&|source| match source {
                Source::User(_) => Value::Number(1.0),
                _ => Value::Text(category),
            });
        }
        let terms = vocabulary.terms(&sources, &|_| ALL);
        let category = Factor {
            source: source("action.category"),
            encoding: Encoding::Levels(vec!["a".into(), "b".into()]),
        };
        assert_eq!(
            terms.iter().map(Term::to_string).collect::<Vec<_>>(),
            written
        );
        assert_eq!(terms[1].factors[0].encoding, Encoding::Number);
        assert_eq!(terms[2].factors[0], category);
        assert_eq!(terms[1].factors[1], category);
        let least = |_: &Source| Limits {
            min_count: 2,
            ..ALL
        };
        assert_eq!(
            vocabulary.terms(&sources, &least)[2].width(),
            Some(1),
            "each fact is counted once a row"
        );
    }
}
