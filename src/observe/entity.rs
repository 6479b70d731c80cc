//! What an event adds to the features of its action and of its surface: to rows of this process alone,
//! so that sessions do not wait for each other. The job `action_features` brings them together.

use std::collections::BTreeMap;
use std::rc::Rc;

use pgrx::pg_sys::{FLOAT8ARRAYOID, INT4OID, TEXTOID};

use super::fact::Fact;
use super::features::observation;
use crate::math::aggregate::{Observation, cells_at_mut};
use crate::pg::{Statement, array, datum, session};
use crate::policy::{Bundle, Entity};

thread_local! {
    static READ: Statement = const { Statement::new(
        "SELECT s.features FROM decide.entity_state AS s \
          WHERE s.entity = $1 AND s.name = $2 AND s.stripe = $3",
        &[TEXTOID, TEXTOID, INT4OID]) };
    static MAKE: Statement = const { Statement::new(
        "INSERT INTO decide.entity_state (entity, name, stripe, features) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
        &[TEXTOID, TEXTOID, INT4OID, FLOAT8ARRAYOID]) };
    static WRITE: Statement = const { Statement::new(
        "UPDATE decide.entity_state AS s SET features = $4, updated_at = pg_catalog.now() \
          WHERE s.entity = $1 AND s.name = $2 AND s.stripe = $3",
        &[TEXTOID, TEXTOID, INT4OID, FLOAT8ARRAYOID]) };
}

/// What is to be added, gathered so that each row is written once.
#[derive(Default)]
pub struct Additions {
    bundle: Option<Rc<Bundle>>,
    /// By entity and name: features, by their index in the bundle.
    rows: BTreeMap<(&'static str, String), Vec<(usize, Observation)>>,
}

impl Additions {
    /// Gathers what the fact adds to the features of its action and its surface that events of its type move. Names
    /// that the bundle does not have are passed over.
    pub fn add(&mut self, fact: &Fact<'_>, kind: &str, bundle: &Rc<Bundle>) {
        let Some(moved) = bundle.moved_by.get(kind) else {
            return;
        };
        let known = self.bundle.as_ref();
        if known.is_some_and(|known| !Rc::ptr_eq(known, bundle)) {
            self.write();
        }
        for moved in moved {
            let feature = &bundle.features[moved.feature];
            let name = match feature.entity {
                Entity::User => None,
                Entity::Action => fact.action,
                Entity::Surface => fact.surface,
            };
            let Some(name) = name.and_then(|name| bundle.name_of(feature.entity, name)) else {
                continue;
            };
            if let Some(observation) = observation(fact, feature, moved.side) {
                let row = (feature.entity.as_str(), name.to_owned());
                let added = self.rows.entry(row).or_default();
                added.push((moved.feature, observation));
                self.bundle.get_or_insert_with(|| bundle.clone());
            }
        }
    }

    /// Writes what was gathered.
    pub fn write(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        if let Some(bundle) = self.bundle.take() {
            for ((entity, name), added) in rows {
                add(entity, &name, &bundle, &added);
            }
        }
    }
}

/// One read and one write for all of it. No other session writes this process's row, so that it need not be locked; but the
/// job deletes it, and then another is made.
fn add(entity: &str, name: &str, bundle: &Bundle, added: &[(usize, Observation)]) {
    let key = [
        datum::text(entity),
        datum::text(name),
        datum::int4(session::process()),
    ];
    loop {
        let mut cells = Vec::new();
        let there = READ.with(|statement| {
            statement.write(&key, |row| {
                row.datum(1).map(|kept| array::read_into(kept, &mut cells));
            })
        });
        for (index, observation) in added {
            let feature = &bundle.features[*index];
            let aggregate = &feature.aggregate;
            aggregate.add(
                cells_at_mut(&mut cells, feature.cell, aggregate),
                observation,
            );
        }
        let [entity, name, stripe] = key;
        let row = [entity, name, stripe, datum::array(&cells)];
        let statement = if there == 0 { &MAKE } else { &WRITE };
        if statement.with(|statement| statement.write(&row, |_| {})) == 1 {
            return;
        }
        session::check_interrupts();
    }
}
