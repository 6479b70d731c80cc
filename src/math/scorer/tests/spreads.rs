//! How sure a scorer says it is.

use super::*;
use crate::model::FULL_WIDTH;

/// What a scorer says of facts: scores and spreads.
pub(super) fn spreads(
    scorer: &Scorer,
    features: &[f64],
    context: &[Value<'_>],
) -> (Vec<f32>, Vec<f32>) {
    let scores = scores(scorer, features, context);
    let (mut x, mut buffers) = (Vec::new(), SpreadBuffers::default());
    scorer.vector(features, context, &mut x);
    let mut spreads = vec![f32::NAN; scorer.actions()];
    scorer.spread(&x, &scores, &mut buffers, &mut spreads);
    (scores, spreads)
}

/// A covariance of so many weights: a diagonal and, where that is not all, two dominant directions.
pub(super) fn some_covariance(width: usize) -> Covariance {
    let mut draws = crate::random::Draws::from_seed(width as u64);
    let mut draw = || draws.unit() - 0.5;
    let diagonal: Vec<f64> = (0..width).map(|_| 0.1 + draw().abs()).collect();
    let directions: Vec<[f64; 2]> = (0..width).map(|_| [draw(), draw()]).collect();
    let mut entries = diagonal;
    if width <= FULL_WIDTH {
        let own = std::mem::take(&mut entries);
        for i in 0..width {
            for j in 0..=i {
                let common: f64 = (0..2).map(|k| directions[i][k] * directions[j][k]).sum();
                entries.push(common + if i == j { own[i] } else { 0.0 });
            }
        }
    }
    Covariance::new(width, entries).unwrap()
}

#[test]
fn a_spread_by_hand() {
    let model = linear(
        vec![
            vec![],
            vec![factor("user.clicks", Encoding::Number)],
            vec![factor("action.price", Encoding::Number)],
        ],
        vec![0.1, 0.2, 0.3],
    );
    let known = Covariance::new(3, vec![4.0, -1.0, 2.0, 0.5, 0.25, 1.0]).unwrap();
    let actions = [action("x", "a", 1.0), action("y", "a", 2.0)];
    let scorer = compile_with(&model, Some(&known), &actions).unwrap();
    assert!(scorer.has_spreads());
    let (_, of) = spreads(&scorer, &[3.0, 0.0], &[]);
    let variance = |price: f64| {
        4.0 + 9.0 * 2.0 + price * price + 2.0 * (-3.0 + price * 0.5 + 3.0 * price * 0.25)
    };
    assert_eq!(of, [variance(1.0), variance(2.0)].map(|v| v.sqrt() as f32));
    let (_, of) = spreads(&scorer, &[f64::NAN, 0.0], &[]);
    assert_eq!(of[0], (4.0 + 1.0 + 2.0 * 0.5f64).sqrt() as f32);
}

#[test]
fn without_covariance_there_is_no_spread() {
    let scorer = compile(&linear(vec![vec![]], vec![1.0]), &[action("x", "a", 1.0)]).unwrap();
    assert!(!scorer.has_spreads());
    assert_eq!(spreads(&scorer, &[], &[]).1, [0.0]);
}

#[test]
fn facts_that_no_action_has_both_of_take_no_cells() {
    let liking = || factor("user.clicks", Encoding::Number);
    let model = linear(vec![vec![], vec![liking()]], vec![0.5, 2.0]);
    let positions: Vec<Option<usize>> = (0..40).map(Some).collect();
    let scorer = Scorer::compile(
        &model,
        Some(&Covariance::new(2, vec![1.0, 0.5, 1.0]).unwrap()),
        Objective::default(),
        40,
        &|_, _| Value::Missing,
        &|_| Some(Position::ByAction(positions.clone())),
        &index(&CONTEXT),
    )
    .unwrap();
    let known: Vec<f64> = (0..40).map(f64::from).collect();
    let (_, of) = spreads(&scorer, &known, &[]);
    for (x, spread) in known.iter().zip(of) {
        assert_eq!(spread, (1.0 + x * x + x).sqrt() as f32);
    }
    // The constant with itself, and each liking with itself and with the constant.
    let pairs = scorer.spreads.as_ref().map(Spreads::pairs);
    assert_eq!(pairs, Some(1 + 2 * 40));
}

#[test]
fn too_many_cells_are_refused_before_they_are_made() {
    let hashed = |buckets| {
        vec![
            factor("context.device", Encoding::Hashed(buckets)),
            factor("action.price", Encoding::Number),
        ]
    };
    let model = linear(vec![hashed(200_000)], vec![0.0; 200_000]);
    let actions = vec![action("x", "a", 1.0); 200];
    let known = Covariance::new(200_000, vec![1.0; 200_000]).unwrap();
    let refused = compile_with(&model, Some(&known), &actions);
    assert!(matches!(refused, Err(ModelError::TooManyCells { .. })));
}
