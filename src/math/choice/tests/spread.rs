//! Selections that explore by how well scores are known, or by how far they are apart.

use super::*;
use crate::choice::{Growth, LowerBound, Scored, Slate};

fn of(selection: Selection, scores: &[f32], spreads: &[f32]) -> Vec<f64> {
    let mut out = vec![f64::NAN; scores.len()];
    let choice = Choice {
        selection,
        min_probability: 0.0,
    };
    choice.distribution(
        Scored { scores, spreads },
        &vec![false; scores.len()],
        &mut out,
    );
    out
}

#[derive(serde::Deserialize)]
struct SquareCase {
    scale: f64,
    exponent: f64,
    rows: i64,
    gaps: Vec<f32>,
    probabilities: Vec<f64>,
}

#[derive(serde::Deserialize)]
struct SquareGolden {
    cases: Vec<SquareCase>,
}

#[test]
fn squarecb_agrees_with_vowpalwabbit() {
    let golden = include_str!("../../../../pgrx-tests/golden/squarecb.json");
    let golden: SquareGolden = serde_json::from_str(golden).unwrap();
    for case in golden.cases {
        let gamma = Growth::at(case.scale, case.exponent, case.rows);
        let scores: Vec<f32> = case.gaps.iter().map(|gap| -gap).collect();
        let p = of_all(Selection::SquareCb { gamma }, &scores);
        for (p, expected) in p.iter().zip(&case.probabilities) {
            // It computes in f32.
            assert!((p - expected).abs() < 2e-6, "{p}, not {expected}");
        }
    }
}

#[test]
fn squarecb_by_hand() {
    let gamma = 10.0;
    let p = of_all(Selection::SquareCb { gamma }, &[1.0, 0.5, 1.0, -1.0]);
    let expected = [1.0 / 9.0, 1.0 / 4.0, 1.0 / 24.0];
    assert_eq!(p[1..], expected);
    assert!((p[0] - (1.0 - expected.iter().sum::<f64>())).abs() < 1e-15);
    for gamma in [f64::INFINITY, f64::NAN] {
        assert_eq!(
            of_all(Selection::SquareCb { gamma }, &[1.0, 1.0, 0.0]),
            [1.0, 0.0, 0.0]
        );
    }
    assert_eq!(Growth::at(10.0, 0.5, 10_000), 1000.0);
    assert_eq!(Growth::at(10.0, 0.5, 0), 10.0, "no rows count as one");
}

#[test]
fn ucb_takes_the_best_bound() {
    let (scores, spreads) = ([0.5, 0.4, 0.7, 0.6], [0.1, 0.4, 0.0, 0.1]);
    let best = |gamma| {
        of(Selection::Ucb { gamma }, &scores, &spreads)
            .iter()
            .position(|&p| p == 1.0)
    };
    assert_eq!(best(2.0), Some(1));
    assert_eq!(best(0.0), Some(2));
    assert_eq!(best(-1.0), Some(2));
    let p = of(
        Selection::Ucb { gamma: 1.0 },
        &[1.0, 0.5, 0.5],
        &[0.0, 0.5, 0.5],
    );
    assert_eq!(p, [1.0, 0.0, 0.0], "ties go to the first");
    let p = of(
        Selection::Ucb { gamma: 1.0 },
        &[f32::NAN, f32::MIN],
        &[f32::NAN, f32::INFINITY],
    );
    assert_eq!(p, [0.0, 1.0]);
}

#[test]
fn thompson_is_scaled() {
    let (scores, spreads) = ([0.3f32, 0.1, 0.2], [0.1f32, 0.2, 0.05]);
    let doubled = spreads.map(|spread| 2.0 * spread);
    assert_eq!(
        of(Selection::Thompson { scale: 2.0 }, &scores, &spreads),
        of(Selection::Thompson { scale: 1.0 }, &scores, &doubled)
    );
    assert_eq!(
        of(Selection::Thompson { scale: 0.0 }, &scores, &spreads),
        [1.0, 0.0, 0.0]
    );
}

/// Less exploration comes nearer to the best; caution stays.
#[test]
fn exploration_in_a_measure() {
    for (selection, share, expected) in [
        (
            Selection::Thompson { scale: 2.0 },
            0.25,
            Selection::Thompson { scale: 0.5 },
        ),
        (
            Selection::Ucb { gamma: 2.0 },
            0.25,
            Selection::Ucb { gamma: 0.5 },
        ),
        (
            Selection::Ucb { gamma: -2.0 },
            0.25,
            Selection::Ucb { gamma: -2.0 },
        ),
        (
            Selection::SquareCb { gamma: 2.0 },
            0.25,
            Selection::SquareCb { gamma: 8.0 },
        ),
        (
            Selection::Softmax { temperature: 2.0 },
            0.25,
            Selection::Softmax { temperature: 0.5 },
        ),
    ] {
        let less = selection.exploring(share);
        assert_eq!(less, expected);
        assert!(
            less.explores_no_more_than(selection) && selection.explores_no_more_than(selection)
        );
        assert!(less == selection || !selection.explores_no_more_than(less));
    }
    let none = Selection::SquareCb { gamma: 2.0 }.exploring(0.0);
    assert_eq!(of_all(none, &[1.0, 1.0, 0.0]), [1.0, 0.0, 0.0]);
    assert!(!Selection::Greedy.explores_no_more_than(Selection::Uniform));
}

#[test]
fn a_lower_bound_holds_from_itself_on() {
    let bound = LowerBound {
        least: 0.5,
        gamma: 2.0,
    };
    assert!(bound.holds(1.0, 0.25) && !bound.holds(1.0, 0.26));
    assert!(bound.holds(0.5, 0.0) && bound.holds(0.5, f32::NAN) && bound.holds(0.5, -1.0));
    assert!(!bound.holds(f32::NAN, 0.0) && !bound.holds(1.0, f32::INFINITY));
}

/// If this fails, decisions of earlier versions can no longer be replayed bit for bit.
#[test]
fn chances_of_earlier_versions_keep_their_bits() {
    let mut facts = crate::random::Draws::from_seed(1);
    let mut draw = || facts.unit() as f32;
    let scores: Vec<f32> = (0..101).map(|_| draw()).collect();
    let spreads: Vec<f32> = (0..101)
        .map(|i| draw() * if i % 7 == 0 { 1e-4 } else { 0.5 })
        .collect();
    let scored = Scored {
        scores: &scores,
        spreads: &spreads,
    };
    let mut slate = Slate::default();
    let mut seen = String::new();
    for selection in [
        Selection::Thompson { scale: 0.7 },
        Selection::Ucb { gamma: 1.5 },
        Selection::SquareCb { gamma: 100.0 },
    ] {
        let choice = Choice {
            selection,
            min_probability: 1e-4,
        };
        slate.choose(&choice, scored, 3, 7);
        for p in &slate.probabilities {
            seen += &format!("{:x}", p.to_bits());
        }
    }
    assert_eq!(crate::hash::fnv32a(&seen), 4_065_225_462);
}
