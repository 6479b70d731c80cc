//! Increments over a baseline, and what they are worth.

use super::agreement::{any_action, any_model, any_number, any_text};
use super::spreads::some_covariance;
use super::*;
use proptest::prelude::*;

/// Scores and spreads of facts, by the objective.
fn weighed(
    scorer: &Scorer,
    features: &[f64],
    context: &[Value<'_>],
    with_spreads: bool,
) -> (Vec<f32>, Vec<f32>) {
    let mut x = Vec::new();
    scorer.vector(features, context, &mut x);
    let mut scores = vec![f32::NAN; scorer.actions()];
    scorer.respond(&x, &mut scores);
    let mut spreads = Vec::new();
    if with_spreads {
        spreads.resize(scorer.actions(), f32::NAN);
        scorer.spread(&x, &scores, &mut SpreadBuffers::default(), &mut spreads);
    }
    scorer.weigh(&mut scores, &mut spreads);
    (scores, spreads)
}

fn uplift(baseline: usize) -> Objective {
    Objective {
        baseline: Some(baseline),
        worths: None,
    }
}

#[test]
fn an_increment_by_hand() {
    let clicks = || factor("user.clicks", Encoding::Number);
    let by_name = || factor("action", levels(&["none", "offer"]));
    let terms = vec![
        vec![],
        vec![clicks()],
        vec![by_name()],
        vec![clicks(), by_name()],
    ];
    let model = linear(terms, vec![1000.0, 50.0, 0.125, 0.5, 0.25, -0.5]);
    let actions = [action("none", "a", 1.0), action("offer", "a", 2.0)];
    let scorer = compile_for(&model, None, uplift(0), &actions).unwrap();
    // What all have in common takes no digits from what differs.
    let (scores, _) = weighed(&scorer, &[3.0, 0.0], &[], false);
    assert_eq!(scores, [0.0, 0.375 + 3.0 * -0.75]);

    let worths = [
        Worth {
            of_unit: 0.0,
            cost: 0.0,
        },
        Worth {
            of_unit: -20.0,
            cost: 1.5,
        },
    ];
    let value = Objective {
        worths: Some(worths.to_vec().into()),
        ..uplift(0)
    };
    let known = Covariance::new(
        6,
        (0..21)
            .map(|i| f64::from(u8::from([0, 2, 5, 9, 14, 20].contains(&i))))
            .collect(),
    );
    let scorer = compile_for(&model, known.as_ref(), value, &actions).unwrap();
    let (scores, spreads) = weighed(&scorer, &[3.0, 0.0], &[], true);
    assert_eq!(scores, [0.0, -20.0 * (0.375 + 3.0 * -0.75) - 1.5]);
    // Two constants of their own and two slopes of their own differ; what is common has no part in it.
    assert_eq!(spreads, [0.0, (20.0 * (2.0f64 + 2.0 * 9.0).sqrt()) as f32]);
}

#[test]
fn without_a_baseline_a_response_is_worth_what_it_is() {
    let model = linear(vec![vec![]], vec![0.25]);
    let worths = vec![Worth {
        of_unit: 8.0,
        cost: 0.5,
    }];
    let objective = Objective {
        baseline: None,
        worths: Some(worths.into()),
    };
    let scorer = compile_for(&model, None, objective, &[action("x", "a", 1.0)]).unwrap();
    assert_eq!(weighed(&scorer, &[], &[], true), (vec![1.5], vec![0.0]));
}

proptest! {
    /// The spread of an increment is √(hᵀ·Σ·h), where h is the gradient of the difference by the weights.
    #[test]
    fn an_increment_is_the_difference_of_the_rows(
        model in any_model(),
        actions in prop::collection::vec(any_action(), 1..20),
        baseline in any::<prop::sample::Index>(),
        features in prop::collection::vec(any_number(), 2),
        device in prop::option::of(any_text()),
        hour in any_number(),
    ) {
        let baseline = baseline.index(actions.len());
        let context = [device.as_deref().map_or(Value::Missing, Value::Text), Value::Number(hour)];
        let covariance = some_covariance(model.weights.len());
        let scorer = compile_for(&model, Some(&covariance), uplift(baseline), &actions).unwrap();
        let (scores, spreads) = weighed(&scorer, &features, &context, true);
        let of = |action: &Action| {
            let lookup = |source: &Source| match source {
                Source::User(name) => Value::Number(features[index(&FEATURES)(name).unwrap()]),
                Source::Context(name) => context[index(&CONTEXT)(name).unwrap()],
                Source::Attribute(_) | Source::Action | Source::Surface(_) => action.value(source),
                Source::Missing(_) => Value::Missing,
            };
            let mut row = Vec::new();
            model.encode(&lookup, &mut row);
            let eta = row.iter().map(|&(j, x)| f64::from(x) * f64::from(model.weights[j as usize])).sum::<f64>();
            let mean = model.family.mean(eta);
            let slope = if model.family == Family::Logistic { mean * (1.0 - mean) } else { 1.0 };
            let gradient: Vec<(usize, f64)> =
                row.iter().map(|&(j, x)| (j as usize, slope * f64::from(x))).collect();
            (mean, gradient)
        };
        let (zero, down) = of(&actions[baseline]);
        for (a, action) in actions.iter().enumerate() {
            let (mean, up) = of(action);
            let mut gradient = vec![0.0; model.weights.len()];
            up.iter().for_each(|&(j, x)| gradient[j] += x);
            down.iter().for_each(|&(j, x)| gradient[j] -= x);
            let mut variance = 0.0f64;
            for (i, x) in gradient.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                for (j, y) in gradient.iter().enumerate().filter(|(_, y)| **y != 0.0) {
                    variance += x * y * covariance.between(i, j);
                }
            }
            let size: f64 = up.iter().chain(&down).map(|&(_, x)| x.abs()).sum();
            prop_assert!((f64::from(scores[a]) - (mean - zero)).abs() <= 1e-6 * (1.0 + size), "{} is not {}", scores[a], mean - zero);
            let expected = variance.max(0.0).sqrt();
            prop_assert!((f64::from(spreads[a]) - expected).abs() <= 2e-4 * (1.0 + size), "{} is not {}", spreads[a], expected);
        }
        prop_assert_eq!((scores[baseline], spreads[baseline]), (0.0, 0.0));
    }
}
