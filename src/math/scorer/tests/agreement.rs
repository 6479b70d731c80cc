//! Whatever the model and the facts: a score is the weighted sum of the row that the model would learn from.

use super::spreads::{some_covariance, spreads};
use super::*;
use proptest::prelude::*;

fn any_encoding() -> impl Strategy<Value = Encoding> {
    prop_oneof![
        Just(Encoding::Number),
        Just(levels(&["1", "2", "app", "tv", "web"])),
        Just(levels(&["1", "a", "b"])),
        (1..5u32).prop_map(Encoding::Hashed),
    ]
}

fn any_factor() -> impl Strategy<Value = Factor> {
    let names = [
        "user.clicks",
        "user.spend",
        "context.device",
        "context.hour",
        "action",
        "action.category",
        "action.price",
        "surface.views",
    ];
    (prop::sample::select(names.to_vec()), any_encoding())
        .prop_map(|(source, encoding)| factor(source, encoding))
}

pub(super) fn any_model() -> impl Strategy<Value = LinearModel> {
    let terms = prop::collection::vec(prop::collection::vec(any_factor(), 0..4), 0..7);
    (terms, any::<bool>()).prop_flat_map(|(terms, logistic)| {
        let model = linear(terms, vec![]);
        let family = if logistic {
            Family::Logistic
        } else {
            Family::Linear
        };
        let width = model.width().unwrap();
        prop::collection::vec(-1.0..1.0f32, width).prop_map(move |weights| LinearModel {
            family,
            ..model.clone().with_weights(weights)
        })
    })
}

pub(super) fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => -3.0..3.0f64, 2 => prop::sample::select(vec![0.0, 1.0, 2.0]), 1 => Just(f64::NAN)]
}

pub(super) fn any_text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "app", "tv", "web", "1", "2.5", "other"])
        .prop_map(str::to_owned)
}

pub(super) fn any_action() -> impl Strategy<Value = Action> {
    (
        any_text(),
        prop::option::of(any_text()),
        prop::option::of(any_number()),
    )
        .prop_map(|(name, category, price)| Action {
            name,
            category,
            price,
        })
}

proptest! {
    #[test]
    fn a_score_is_the_weighted_row(
        model in any_model(),
        actions in prop::collection::vec(any_action(), 0..12),
        features in prop::collection::vec(any_number(), 2),
        device in prop::option::of(any_text()),
        hour in any_number(),
    ) {
        let context = [device.as_deref().map_or(Value::Missing, Value::Text), Value::Number(hour)];
        let scorer = compile(&model, &actions).unwrap();
        let scores = scores(&scorer, &features, &context);
        let mut row = Vec::new();
        for (action, &score) in actions.iter().zip(&scores) {
            let lookup = |source: &Source| match source {
                Source::User(name) => Value::Number(features[index(&FEATURES)(name).unwrap()]),
                Source::Context(name) => context[index(&CONTEXT)(name).unwrap()],
                Source::Attribute(_) | Source::Action | Source::Surface(_) => action.value(source),
                Source::Missing(_) => Value::Missing,
            };
            model.encode(&lookup, &mut row);
            prop_assert!(row.is_sorted_by_key(|&(column, _)| column));
            let eta: f64 = row.iter().map(|&(j, x)| f64::from(x) * f64::from(model.weights[j as usize])).sum();
            let size: f64 = row.iter().map(|&(_, x)| f64::from(x.abs())).sum();
            let expected = model.family.mean(eta);
            prop_assert!((f64::from(score) - expected).abs() <= 1e-6 * (1.0 + size), "{} is not {}", score, expected);
        }
    }

    #[test]
    fn a_spread_is_that_of_the_weighted_row(
        model in any_model(),
        actions in prop::collection::vec(any_action(), 0..20),
        features in prop::collection::vec(any_number(), 2),
        device in prop::option::of(any_text()),
        hour in any_number(),
    ) {
        let context = [device.as_deref().map_or(Value::Missing, Value::Text), Value::Number(hour)];
        let covariance = some_covariance(model.weights.len());
        let scorer = compile_with(&model, Some(&covariance), &actions).unwrap();
        let (scores, spreads) = spreads(&scorer, &features, &context);
        let mut row = Vec::new();
        for ((action, &score), &spread) in actions.iter().zip(&scores).zip(&spreads) {
            let lookup = |source: &Source| match source {
                Source::User(name) => Value::Number(features[index(&FEATURES)(name).unwrap()]),
                Source::Context(name) => context[index(&CONTEXT)(name).unwrap()],
                Source::Attribute(_) | Source::Action | Source::Surface(_) => action.value(source),
                Source::Missing(_) => Value::Missing,
            };
            model.encode(&lookup, &mut row);
            let mut expected = 0.0;
            for &(i, x) in &row {
                for &(j, y) in &row {
                    expected += f64::from(x) * f64::from(y) * covariance.between(i as usize, j as usize);
                }
            }
            let p = f64::from(score);
            let scale = if model.family == Family::Logistic { p * (1.0 - p) } else { 1.0 };
            let expected = expected.max(0.0).sqrt() * scale;
            let size: f64 = row.iter().map(|&(_, x)| f64::from(x.abs())).sum();
            prop_assert!((f64::from(spread) - expected).abs() <= 1e-6 * (1.0 + size), "{} is not {}", spread, expected);
        }
    }
}
