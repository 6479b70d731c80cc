//! Features: what an event adds to the row of its user, in whatever order events arrive.

use super::fact::Fact;
use crate::math::aggregate::{Observation, Side, cells_at_mut};
use crate::math::hash::fnv64a;
use crate::math::keyed;
use crate::math::model::Value;
use crate::policy::{Amount, Bundle, Feature, UserRow, value_text};

/// Adds the fact to all features of its user that events of its type move. Returns the texts of the keys under which
/// it was counted.
pub fn fold(fact: &Fact<'_>, kind: &str, row: &mut UserRow, bundle: &Bundle) -> Vec<String> {
    let mut keys = Vec::new();
    for moved in bundle.moved_by.get(kind).into_iter().flatten() {
        let feature = &bundle.features[moved.feature];
        if feature.entity.is_user() {
            keys.extend(add(fact, feature, moved.side, row));
        }
    }
    keys
}

/// Adds the fact to one feature of its user, if it counts there; the text of the key, if it has one.
pub fn add(fact: &Fact<'_>, feature: &Feature, side: Side, row: &mut UserRow) -> Option<String> {
    let observation = observation(fact, feature, side)?;
    let Some(kept) = &feature.key else {
        let cells = cells_at_mut(&mut row.features, feature.cell, &feature.aggregate);
        feature.aggregate.add(cells, &observation);
        return None;
    };
    let key = value_text(&fact.value_at(&kept.path))?;
    keyed::add(
        &mut row.keyed,
        feature.cell as u32,
        &feature.aggregate,
        keyed::key_of(&key),
        &observation,
        kept.limit,
    );
    Some(key)
}

/// What the fact adds to the feature; None where a value that it takes is missing, or the filter does not pass.
pub fn observation(fact: &Fact<'_>, feature: &Feature, side: Side) -> Option<Observation> {
    let mut filter = feature.filter.iter();
    if !filter.all(|condition| fact.passes(&condition.path, &condition.test)) {
        return None;
    }
    let (amount, item) = match &feature.amount {
        Amount::One => (1.0, 0),
        Amount::Number(path) => match fact.value_at(path) {
            Value::Number(number) => (number, 0),
            _ => return None,
        },
        Amount::Item(path) => (1.0, fnv64a(&value_text(&fact.value_at(path))?)),
    };
    Some(Observation {
        at: fact.at,
        amount,
        side,
        item,
    })
}
