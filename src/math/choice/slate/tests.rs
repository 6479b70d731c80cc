//! Slates: what was drawn, how often, and from which distributions.

use super::*;
use crate::choice::tests::{RULES, any_score, any_selection, distribution};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The 99.9% point of chi-square (Wilson and Hilferty, 1931).
fn chi_square_bound(degrees: f64) -> f64 {
    let t = 2.0 / (9.0 * degrees);
    degrees * (1.0 - t + 3.0902 * t.sqrt()).powi(3)
}

/// Draws many slates and compares how often each one came up with the product of its conditional probabilities.
fn frequencies_agree<'a>(choice: Choice, scored: impl Into<Scored<'a>>, slots: usize) {
    let scored = scored.into();
    let draws = 60_000u64;
    let mut slate = Slate::default();
    let mut seen = BTreeMap::new();
    for seed in 0..draws {
        slate.choose(&choice, scored, slots, seed);
        let p: f64 = slate.chosen.iter().product();
        let (count, known) = seen.entry(slate.picks.clone()).or_insert((0.0, p));
        assert_eq!(*known, p, "the same slate has the same probability");
        *count += 1.0;
    }
    // slates too rare for the chi-square approximation are put together
    let (mut chi2, mut cells, mut rare, mut rest) = (0.0, 0.0, 0.0, draws as f64);
    for (count, p) in seen.values() {
        let expected = p * draws as f64;
        if expected >= 10.0 {
            chi2 += (count - expected) * (count - expected) / expected;
            cells += 1.0;
            rest -= expected;
        } else {
            rare += count;
        }
    }
    if rest >= 10.0 {
        chi2 += (rare - rest) * (rare - rest) / rest;
        cells += 1.0;
    } else {
        assert!(rare <= 30.0, "{rare} draws where {rest} were expected");
    }
    let degrees = f64::max(cells - 1.0, 1.0);
    assert!(
        chi2 < chi_square_bound(degrees),
        "{choice:?}, {slots} slots: chi-square {chi2} of {degrees}"
    );
}

#[test]
fn draws_follow_the_probabilities() {
    let scores = [0.3, 1.0, -0.5, 0.9, 0.0, 1.0];
    for selection in RULES {
        for min_probability in [0.0, 0.05] {
            for slots in [1, 3] {
                frequencies_agree(
                    Choice {
                        selection,
                        min_probability,
                    },
                    &scores,
                    slots,
                );
            }
        }
    }
}

/// The same where scores have spreads.
#[test]
fn draws_follow_the_chances_of_uncertain_scores() {
    let scored = Scored {
        scores: &[0.3, 1.0, -0.5, 0.9, 0.0, 1.0],
        spreads: &[0.5, 0.2, 1.0, 0.0, 0.4, 0.1],
    };
    for selection in [
        Selection::Thompson { scale: 1.0 },
        Selection::Ucb { gamma: 1.0 },
        Selection::SquareCb { gamma: 5.0 },
    ] {
        for slots in [1, 3] {
            let choice = Choice {
                selection,
                min_probability: 0.01,
            };
            frequencies_agree(choice, scored, slots);
        }
    }
}

#[test]
fn a_slate_has_no_repetition_and_is_reusable() {
    let choice = Choice {
        selection: Selection::Softmax { temperature: 1.0 },
        min_probability: 0.01,
    };
    let mut slate = Slate::default();
    slate.choose(&choice, &[0.0; 50], 50, 3);
    let mut sorted = slate.picks.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..50).collect::<Vec<_>>());

    slate.choose(&choice, &[1.0, 2.0, 3.0], 2, 9);
    let mut fresh = Slate::default();
    fresh.choose(&choice, &[1.0, 2.0, 3.0], 2, 9);
    assert_eq!(
        (&slate.picks, &slate.probabilities),
        (&fresh.picks, &fresh.probabilities)
    );
    assert_eq!((slate.picks.len(), slate.probabilities.len()), (2, 6));

    slate.choose(&choice, &[1.0, 2.0, 3.0], 10, 9);
    assert_eq!(
        (
            slate.picks.len(),
            slate.probabilities.len(),
            slate.chosen.len()
        ),
        (3, 9, 3)
    );
    assert_eq!(slate.chosen[2], 1.0, "the last candidate left is certain");
    slate.choose(&choice, &[], 3, 9);
    assert!(slate.picks.is_empty() && slate.probabilities.is_empty() && slate.chosen.is_empty());
    slate.choose(&choice, &[1.0], 0, 9);
    assert!(slate.picks.is_empty());
}

/// If this fails, decisions of earlier versions can no longer be replayed bit for bit.
#[test]
fn slates_of_earlier_versions_keep_their_bits() {
    let mut facts = Draws::from_seed(1);
    let scores: Vec<f32> = (0..101).map(|_| facts.unit() as f32).collect();
    let mut slate = Slate::default();
    let mut seen = String::new();
    for selection in RULES {
        slate.choose(
            &Choice {
                selection,
                min_probability: 1e-4,
            },
            &scores,
            3,
            7,
        );
        for (pick, p) in slate.picks.iter().zip(&slate.chosen) {
            seen += &format!("{pick} {:016x} ", p.to_bits());
        }
        for p in &slate.probabilities {
            seen += &format!("{:x}", p.to_bits());
        }
    }
    assert_eq!(crate::hash::fnv32a(&seen), 1_780_812_600);
}

#[test]
fn a_slate_that_cannot_have_been_ends_early() {
    let greedy = Choice {
        selection: Selection::Greedy,
        min_probability: 0.0,
    };
    let mut slate = Slate::default();
    slate.retrace(&greedy, &[1.0, 3.0, 2.0], &[1, 0], |_, _, _| {});
    assert_eq!(slate.picks, [1]);
    slate.retrace(&greedy, &[1.0, 3.0, 2.0], &[7], |_, _, _| {});
    assert!(slate.picks.is_empty());
    for numbers in [&[7.0, 0.0, 0.0][..], &[f64::NAN, 0.0, 0.0], &[1.0], &[]] {
        assert_eq!(Choice::from_numbers(numbers), None);
    }
}

#[test]
fn far_behind_the_best_the_others_still_have_their_proportions() {
    let choice = Choice {
        selection: Selection::Softmax { temperature: 1.0 },
        min_probability: 0.0,
    };
    let mut slate = Slate::default();
    slate.choose(&choice, &[5000.0, 1.0, 0.0], 3, 1);
    assert_eq!(slate.picks[0], 0);
    let (b, c) = (slate.probabilities[4], slate.probabilities[5]);
    assert!((b / c - 1f64.exp()).abs() < 1e-12, "{b} {c}");
}

proptest! {
    #[test]
    fn a_slate_draws_from_the_conditional_distributions(
        selection in any_selection(),
        min_probability in 0.0..0.1f64,
        scores in prop::collection::vec(any_score(), 1..30),
        slots in 1..5usize,
        seed in any::<u64>(),
    ) {
        let choice = Choice { selection, min_probability };
        let mut slate = Slate::default();
        slate.choose(&choice, &scores, slots, seed);
        let mut again = slate.clone();
        again.choose(&choice, &scores, slots, seed);
        prop_assert_eq!(&slate.probabilities, &again.probabilities);
        prop_assert_eq!(&slate.picks, &again.picks);
        let kept = Choice::from_numbers(&choice.to_numbers()).expect("a choice");
        again.retrace(&kept, &scores, &slate.picks, |_, _, _| {});
        prop_assert_eq!(&slate.probabilities, &again.probabilities);
        prop_assert_eq!(&slate.picks, &again.picks);
        prop_assert_eq!(&slate.chosen, &again.chosen);

        let mut draws = Draws::from_seed(seed);
        let mut taken = vec![false; scores.len()];
        prop_assert_eq!(slate.picks.len(), slots.min(scores.len()));
        for (slot, row) in slate.probabilities.chunks(scores.len()).enumerate() {
            let stated = distribution(selection, min_probability, &scores, &taken);
            for (p, q) in row.iter().zip(&stated) {
                prop_assert!((p - q).abs() <= 1e-12);
            }
            prop_assert_eq!(pick(row, draws.unit()), Some(slate.picks[slot]));
            prop_assert_eq!(row[slate.picks[slot]], slate.chosen[slot]);
            prop_assert!(slate.chosen[slot] > 0.0);
            taken[slate.picks[slot]] = true;
        }
    }
}

#[test]
fn what_a_pick_leaves_no_room_for_is_out_of_the_later_slots() {
    let softmax = Choice {
        selection: Selection::Softmax { temperature: 1.0 },
        min_probability: 0.01,
    };
    let scores = [0.3f32, 0.1, 0.7, 0.2, 0.5];
    // the two of a pair exclude each other
    let others =
        |picked: usize| (0..4).filter(move |&i| i != picked && i / 2 == picked / 2 && picked < 4);
    for seed in 0..200 {
        let mut slate = Slate::default();
        slate.choose_within(&softmax, &scores, 5, seed, |_, picked, gone| {
            gone.extend(others(picked))
        });
        assert_eq!(
            slate.picks.len(),
            3,
            "one of each pair, and the one without"
        );
        let mut taken = [false; 5];
        for (slot, row) in slate.probabilities.chunks_exact(5).enumerate() {
            let mut alone = [0.0; 5];
            softmax.distribution(&scores, &taken, &mut alone);
            assert!(row.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-12));
            taken[slate.picks[slot]] = true;
            others(slate.picks[slot]).for_each(|gone| taken[gone] = true);
        }
        let mut again = Slate::default();
        again.retrace(&softmax, &scores, &slate.picks, |_, picked, gone| {
            gone.extend(others(picked))
        });
        assert_eq!(
            (again.probabilities, again.chosen),
            (slate.probabilities, slate.chosen)
        );
    }
}
