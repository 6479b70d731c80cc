use super::*;
use crate::model::{Covariance, Encoding, Factor, LinearModel, ModelError, Source, Term};

mod agreement;
mod by_action;
mod objective;
mod panels;
mod spreads;

const CONTEXT: [&str; 2] = ["device", "hour"];
const FEATURES: [&str; 2] = ["clicks", "spend"];

fn index<'n>(names: &'n [&str]) -> impl Fn(&str) -> Option<usize> + 'n {
    |name| names.iter().position(|known| *known == name)
}

/// An action of the tests: its name is its position.
#[derive(Clone, Debug)]
struct Action {
    name: String,
    category: Option<String>,
    price: Option<f64>,
}

impl Action {
    fn value(&self, source: &Source) -> Value<'_> {
        match source {
            Source::Action => Value::Text(&self.name),
            Source::Attribute(name) if name == "category" => {
                self.category.as_deref().map_or(Value::Missing, Value::Text)
            }
            Source::Attribute(name) if name == "price" => {
                self.price.map_or(Value::Missing, Value::Number)
            }
            Source::Surface(_) => Value::Number(2.0),
            _ => Value::Missing,
        }
    }
}

fn compile(model: &LinearModel, actions: &[Action]) -> Result<Scorer, ModelError> {
    compile_with(model, None, actions)
}

fn compile_with(
    model: &LinearModel,
    covariance: Option<&Covariance>,
    actions: &[Action],
) -> Result<Scorer, ModelError> {
    compile_for(model, covariance, Objective::default(), actions)
}

fn compile_for(
    model: &LinearModel,
    covariance: Option<&Covariance>,
    objective: Objective,
    actions: &[Action],
) -> Result<Scorer, ModelError> {
    let value = |a: usize, source: &Source| actions[a].value(source);
    Scorer::compile(
        model,
        covariance,
        objective,
        actions.len(),
        &value,
        &|source| match source {
            Source::User(name) => index(&FEATURES)(name).map(Position::At),
            _ => None,
        },
        &index(&CONTEXT),
    )
}

fn scores(scorer: &Scorer, features: &[f64], context: &[Value<'_>]) -> Vec<f32> {
    let mut x = Vec::new();
    scorer.vector(features, context, &mut x);
    let mut scores = vec![f32::NAN; scorer.actions()];
    scorer.respond(&x, &mut scores);
    scores
}

fn factor(source: &str, encoding: Encoding) -> Factor {
    Factor {
        source: source.parse().unwrap(),
        encoding,
    }
}

fn levels(levels: &[&str]) -> Encoding {
    Encoding::Levels(levels.iter().map(|&level| level.to_owned()).collect())
}

fn at(index: u32, value: f32) -> Coordinate {
    Coordinate { index, value }
}

fn linear(terms: Vec<Vec<Factor>>, weights: Vec<f32>) -> LinearModel {
    let terms = terms.into_iter().map(|factors| Term { factors }).collect();
    LinearModel {
        family: Family::Linear,
        terms,
        weights,
    }
}

fn action(name: &str, category: &str, price: f64) -> Action {
    Action {
        name: name.to_owned(),
        category: Some(category.to_owned()),
        price: Some(price),
    }
}

#[test]
fn terms_with_the_same_request_part_share_coordinates() {
    let clicks = || factor("user.clicks", Encoding::Number);
    let device = || factor("context.device", levels(&["app", "web"]));
    let category = || factor("action.category", levels(&["a", "b"]));
    let price = || factor("action.price", Encoding::Number);
    let model = linear(
        vec![
            vec![],
            vec![category()],
            vec![clicks()],
            vec![clicks(), category()],
            vec![price(), clicks()],
            vec![clicks(), device()],
            vec![device(), price(), clicks()],
        ],
        vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0],
    );
    let scorer = compile(
        &model,
        &[
            action("x", "a", 0.5),
            action("y", "b", 2.0),
            action("z", "?", 1.0),
        ],
    )
    .unwrap();
    assert_eq!(
        scorer.inputs(),
        4,
        "the constant, clicks, clicks × two devices"
    );
    let eta = |device: &str| {
        scores(
            &scorer,
            &[3.0, f64::NAN],
            &[Value::Text(device), Value::Missing],
        )
    };
    let c = 3.0;
    let of = |category: f32, by_category: f32, price: f32, web: [f32; 2]| {
        1.0 + category + c * (4.0 + by_category + 7.0 * price) + c * (web[0] + web[1] * price)
    };
    let web = [9.0, 11.0];
    assert_eq!(
        eta("web"),
        [
            of(2.0, 5.0, 0.5, web),
            of(3.0, 6.0, 2.0, web),
            of(0.0, 0.0, 1.0, web)
        ]
    );
    assert_eq!(eta("tv")[0], of(2.0, 5.0, 0.5, [0.0; 2]));
    assert_eq!(
        scores(&scorer, &[], &[]),
        [3.0, 4.0, 1.0],
        "facts that are not there are missing"
    );
}

#[test]
fn a_request_vector_can_be_used_again() {
    let hour = factor("context.hour", levels(&["1", "2", "3"]));
    let scorer = compile(&linear(vec![vec![hour]], vec![1.0; 3]), &[]).unwrap();
    let mut x = vec![at(7, 9.0); 9];
    scorer.vector(&[], &[Value::Missing, Value::Number(3.0)], &mut x);
    assert_eq!(x, [at(2, 1.0)]);
    scorer.vector(&[], &[Value::Missing, Value::Number(1.0)], &mut x);
    assert_eq!(x, [at(0, 1.0)]);
    scorer.vector(&[], &[Value::Missing, Value::Number(9.0)], &mut x);
    assert_eq!(x, []);
}

#[test]
fn coordinates_without_action_part_keep_one_number() {
    let city = factor("context.device", Encoding::Hashed(1000));
    let model = linear(
        vec![vec![factor("action", levels(&["x", "y"]))], vec![city]],
        vec![0.5; 1002],
    );
    let scorer = compile(&model, &[action("x", "a", 1.0), action("y", "a", 1.0)]).unwrap();
    assert_eq!((scorer.inputs(), scorer.common.len()), (1001, 1000));
    assert_eq!(scores(&scorer, &[], &[Value::Text("Oslo")]), [1.0, 1.0]);
}

#[test]
fn unknown_names_are_told_with_their_term() {
    let model = linear(
        vec![vec![
            factor("action.price", Encoding::Number),
            factor("user.visits", Encoding::Number),
        ]],
        vec![1.0],
    );
    let error = compile(&model, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "term action.price*user.visits uses user.visits, which does not exist"
    );
    let model = linear(
        vec![vec![factor("context.city", Encoding::Number)]],
        vec![1.0],
    );
    assert!(matches!(
        compile(&model, &[]),
        Err(ModelError::UnknownSource { .. })
    ));
    assert!(matches!(
        compile(&linear(vec![vec![]], vec![]), &[]),
        Err(ModelError::Weights {
            expected: 1,
            found: 0
        })
    ));
}

#[test]
fn too_large_a_matrix_is_refused_before_it_is_made() {
    let factors = vec![
        factor("context.device", Encoding::Hashed(1_000_000)),
        factor("action.price", Encoding::Number),
    ];
    let model = linear(vec![factors], vec![0.0; 1_000_000]);
    let actions = vec![action("x", "a", 1.0); 100];
    let error = compile(&model, &actions).unwrap_err();
    assert_eq!(
        error,
        ModelError::TooManyCells {
            coordinates: 1_000_000,
            actions: 100
        }
    );
}

#[test]
fn no_actions_and_no_terms_are_fine() {
    let scorer = compile(&linear(vec![], vec![]), &[action("x", "a", 1.0)]).unwrap();
    assert_eq!(scores(&scorer, &[1.0, 2.0], &[]), [0.0]);
    let scorer = compile(
        &linear(
            vec![vec![factor("action.price", Encoding::Number)]],
            vec![1.0],
        ),
        &[],
    )
    .unwrap();
    assert_eq!(scorer.inputs(), 1);
    assert!(scores(&scorer, &[1.0], &[]).is_empty());
}

/// What one unit of a coordinate adds to an action's score.
fn weight(scorer: &Scorer, index: u32, action: usize) -> f32 {
    let mut scores = vec![f32::NAN; scorer.actions()];
    scorer.respond(&[at(index, 1.0)], &mut scores);
    scores[action]
}

/// The order that the documentation promises, action by action.
#[test]
fn scores_have_the_bits_of_the_stated_order() {
    let price = |request: &str| {
        vec![
            factor(request, Encoding::Number),
            factor("action", levels(&["a", "b", "c"])),
        ]
    };
    let model = linear(
        vec![
            vec![factor("user.spend", Encoding::Number)],
            price("user.clicks"),
            price("user.spend"),
            price("context.hour"),
        ],
        vec![0.1, 0.2, 0.3, 0.4, 0.7, 0.11, 0.13, 0.17, 0.19, 0.23],
    );
    let actions: Vec<Action> = ["a", "b", "c"]
        .iter()
        .map(|name| action(name, "", 0.0))
        .collect();
    let scorer = compile(&model, &actions).unwrap();
    let mut x = Vec::new();
    scorer.vector(
        &[0.3, 1.7],
        &[Value::Missing, Value::Number(1.0 / 3.0)],
        &mut x,
    );
    let mut out = [0.0; 3];
    scorer.respond(&x, &mut out);
    for (a, score) in out.iter().enumerate() {
        let mut expected = 0.0f32;
        for &Coordinate { index, value } in &x {
            expected += value * weight(&scorer, index, a);
        }
        assert_eq!(score.to_bits(), expected.to_bits());
    }
}

/// If this fails, decisions of earlier versions can no longer be replayed bit for bit.
#[test]
fn scores_of_earlier_versions_keep_their_bits() {
    let mut draws = crate::random::Draws::from_seed(2);
    let price = || factor("action.price", Encoding::Number);
    let clicks = || factor("user.clicks", Encoding::Number);
    let mut model = linear(
        vec![
            vec![],
            vec![clicks(), factor("action", Encoding::Hashed(16))],
            vec![price(), clicks()],
            vec![
                factor("context.device", levels(&["app", "tv", "web"])),
                price(),
            ],
            vec![factor("context.hour", Encoding::Number)],
        ],
        (0..22).map(|_| draws.unit() as f32 - 0.5).collect(),
    );
    let actions: Vec<Action> = (0..37)
        .map(|i| action(&i.to_string(), "", draws.unit()))
        .collect();
    let mut seen = String::new();
    for family in [Family::Linear, Family::Logistic] {
        model.family = family;
        let scorer = compile(&model, &actions).unwrap();
        for score in scores(
            &scorer,
            &[0.7, 1.3],
            &[Value::Text("tv"), Value::Number(0.1)],
        ) {
            seen += &format!("{:08x}", score.to_bits());
        }
    }
    assert_eq!(crate::hash::fnv32a(&seen), 3_562_797_057);
}
