//! Facts that stand at different indexes for different actions.

use super::*;
use proptest::prelude::*;

#[test]
fn each_action_sees_the_fact_of_its_own_place() {
    let liking = || factor("user.liking", Encoding::Number);
    let price = factor("action.price", Encoding::Number);
    let device = factor("context.device", levels(&["app", "web"]));
    let model = linear(
        vec![
            vec![liking()],
            vec![liking(), price],
            vec![liking(), device],
        ],
        vec![2.0, 10.0, 100.0, 1000.0],
    );
    let actions = [
        action("x", "a", 1.0),
        action("y", "b", 2.0),
        action("z", "a", 3.0),
        action("none", "?", 4.0),
    ];
    let scorer = Scorer::compile(
        &model,
        None,
        Objective::default(),
        actions.len(),
        &|a, source| actions[a].value(source),
        &|_| Some(Position::ByAction(vec![Some(1), Some(2), Some(1), None])),
        &index(&CONTEXT),
    )
    .unwrap();
    let web = [Value::Text("web"), Value::Missing];
    // per unit of liking: 2 + 10 · price + 1000
    let liked = scores(&scorer, &[9.0, 1.0, f64::NAN], &web);
    assert_eq!(liked, [1012.0, 0.0, 1032.0, 0.0]);
    let both = scores(&scorer, &[9.0, 1.0, 2.0], &web);
    assert_eq!(both, [1012.0, 2044.0, 1032.0, 0.0]);
}

proptest! {
    /// The index of an action's fact is of no account: only the fact is.
    #[test]
    fn places_by_action_give_what_one_place_gives(
        indexes in prop::collection::vec(prop::option::of(0..4usize), 1..12),
        facts in prop::collection::vec(-8..8i32, 4),
    ) {
        let model = linear(vec![vec![], vec![factor("user.liking", Encoding::Number)]], vec![0.5, 3.0]);
        let facts: Vec<f64> = facts.into_iter().map(f64::from).collect();
        let position = |_: &Source| Some(Position::ByAction(indexes.clone()));
        let nothing = |_: usize, _: &Source| Value::Missing;
        let scorer = Scorer::compile(&model, None, Objective::default(), indexes.len(), &nothing, &position, &index(&CONTEXT)).unwrap();
        let found = scores(&scorer, &facts, &[]);
        for (score, index) in found.iter().zip(&indexes) {
            let fact = index.map_or(0.0, |index| facts[index]);
            prop_assert_eq!(f64::from(*score), 0.5 + 3.0 * fact);
        }
    }
}
