//! However many actions there are, and however they fall into panels: the sums have the bits of the plain loop.

use super::*;
use crate::scorer::panels::Panels;
use proptest::prelude::*;

/// Values that round when they are added, and those around which loops go wrong.
fn any_value() -> impl Strategy<Value = f32> {
    prop_oneof![8 => -3.0..3.0f32, 1 => prop::sample::select(vec![1e-40, -1e30, 1e30])]
}

/// How many actions and coordinates, the index of the first coordinate, the weights, and a request vector.
fn any_matrix() -> impl Strategy<Value = (usize, u32, Vec<f32>, Vec<Coordinate>)> {
    (0..140usize, 0..12u32, 0..5u32).prop_flat_map(|(actions, coordinates, first)| {
        let weights = prop::collection::vec(any_value(), actions * coordinates as usize);
        let indexes: Vec<u32> = (first..first + coordinates).collect();
        let indexes = prop::sample::subsequence(indexes, 0..=coordinates as usize);
        let x = (indexes, prop::collection::vec(any_value(), 12)).prop_map(|(indexes, values)| {
            let pairs = indexes.into_iter().zip(values);
            pairs.map(|(index, value)| at(index, value)).collect()
        });
        (Just(actions), Just(first), weights, x)
    })
}

proptest! {
    #[test]
    fn sums_have_the_bits_of_the_plain_loop(
        (actions, first, weights, x) in any_matrix(),
        start in any_value(),
    ) {
        let mut scores = vec![f32::NAN; actions];
        Panels::cut(&weights, actions).add(&x, first as usize, start, &mut scores);
        for (a, score) in scores.iter().enumerate() {
            let mut expected = start;
            for &Coordinate { index, value } in &x {
                expected += value * weights[(index - first) as usize * actions + a];
            }
            prop_assert_eq!(score.to_bits(), expected.to_bits());
        }
    }
}
