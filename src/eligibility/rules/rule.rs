//! A rule of a surface, and the actions that it binds.

use serde::{Deserialize, Serialize};

use crate::math::slab::Slab;

/// Up to how many actions of a set are evaluated one by one.
const FEW: usize = 3;

#[derive(Serialize, Deserialize)]
pub struct Rule {
    pub text: String,
    /// Its number in `decide.bundle_action`, if it looks at the action.
    pub set: Option<i32>,
    /// The numbers of the actions that it binds, in order.
    pub actions: Slab<i32>,
    /// These, if they are few and it looks at the action.
    pub(super) few: Vec<SingleAction>,
}

/// An action that a rule binds and looks at: what a row of `decide.bundle_action` says.
pub struct BoundAction<'a> {
    pub bundle: i64,
    pub surface: &'a str,
    /// The number of the rule there.
    pub set: i32,
    pub number: i32,
    pub action: &'a str,
    pub campaign: Option<&'a str>,
    pub surfaces: &'a [String],
    pub attributes: &'a str,
    pub cost: f64,
}

impl Rule {
    /// One that looks at the action if it has a number there. `bound` are the actions that it binds, in order of their
    /// numbers.
    pub fn new<'a>(
        text: &str,
        set: Option<i32>,
        bound: &[i32],
        row: impl Fn(i32, i32) -> Option<BoundAction<'a>>,
    ) -> Rule {
        let rows = bound.iter().take(FEW);
        let rows = rows.filter_map(|&number| row(set?, number));
        Rule {
            text: text.to_owned(),
            set,
            few: match bound.len() <= FEW {
                true => rows.map(|row| SingleAction::of(&row)).collect(),
                false => Vec::new(),
            },
            actions: bound.to_vec().into(),
        }
    }
}

/// An action with its row as a query of constants.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SingleAction {
    pub set: i32,
    pub number: i32,
    pub row: String,
}

impl SingleAction {
    /// From what a row of `decide.bundle_action` says.
    fn of(action: &BoundAction<'_>) -> SingleAction {
        let BoundAction {
            bundle,
            set,
            number,
            cost,
            ..
        } = *action;
        let surfaces: Vec<String> = action.surfaces.iter().map(|of| literal(of)).collect();
        let row = format!(
            "SELECT {bundle}::pg_catalog.int8 AS bundle, {}::pg_catalog.text AS surface, {set}::pg_catalog.int4 AS rule, \
                    {number}::pg_catalog.int4 AS number, {}::pg_catalog.text AS action, {}::pg_catalog.text AS campaign, \
                    ARRAY[{}]::pg_catalog.text[] AS surfaces, {}::pg_catalog.jsonb AS attributes, '{cost:?}'::pg_catalog.float8 AS cost",
            literal(action.surface),
            literal(action.action),
            action.campaign.map_or("NULL".to_owned(), literal),
            surfaces.join(", "),
            literal(action.attributes),
        );
        SingleAction { set, number, row }
    }
}

/// A text as a constant, where backslashes stand for themselves.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
