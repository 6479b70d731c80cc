//! What was decided, on which facts, and what came of it: the rows that models are trained on.

use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys::{BOOLOID, TEXTOID, TIMESTAMPTZOID};

use crate::error::Error;
use crate::govern::switches::Switches;
use crate::math::model::{Source, Value};
use crate::pg::record::{Timestamp, of_row, select_row};
use crate::pg::{Session, Statement, datum};
use crate::policy::{self, Action, Bundle, EntitySnapshot, EntityValues, FeatureMask, Surface};

thread_local! {
    static ROWS: Statement = const { Statement::new(include_str!("history.sql"),
        &[TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID]) };
}

select_row! {
    /// A row of the statement.
    struct Slot {
        decided_at: Timestamp,
        bundle: i64,
        action: i32,
        propensity: f64,
        features: Vec<f64>,
        context_values: Vec<Option<String>>,
        reward: f64,
        missing: Vec<i16>,
        affinities: Vec<f64>,
        snapshot: Option<Timestamp>,
        own: bool,
        switches: Option<i64>,
        features_at: Timestamp,
        to_come: f64,
        value_to_come: f64,
    }
}

/// One slot of one decision: what a model is trained on.
pub struct Example {
    pub decided_at: i64,
    /// As of when its features were read.
    features_at: i64,
    pub propensity: f64,
    /// What the outcomes of the asked type add up to.
    pub reward: f64,
    /// The chance that there is none yet and will be one, and what that adds up to; 0 unless delays are corrected.
    pub to_come: f64,
    pub value_to_come: f64,
    bundle: usize,
    action: i32,
    features: Vec<f64>,
    missing: Vec<i16>,
    affinities: Vec<f64>,
    fields: Vec<Option<String>>,
    /// It was decided here, with that snapshot of entity features, and not imported.
    own: bool,
    snapshot: Option<i64>,
    switches: Option<i64>,
    /// The features of its action and of the surface, in the bundle's order; empty where they are not known.
    entities: Vec<f64>,
}

/// The rows of a surface, with the bundles that say what their vectors mean.
pub struct History {
    pub rows: Vec<Example>,
    surface: String,
    bundles: Vec<Rc<Bundle>>,
    /// Per bundle: the surface's actions by number.
    actions: Vec<HashMap<i32, usize>>,
}

/// Which decisions: of a surface, within a time, judged by outcomes of a type.
pub struct Span<'a> {
    pub surface: &'a str,
    pub outcome: &'a str,
    /// Microseconds since 2000.
    pub from: i64,
    pub to: i64,
    /// Whether decisions that may yet have an outcome count with the chance of it.
    pub delay_corrected: bool,
}

impl History {
    /// Reads the slots that a policy filled, in order of time.
    pub fn read(span: &Span<'_>) -> Result<History, Error> {
        let mut rows = Vec::new();
        let mut indexes: HashMap<i64, usize> = HashMap::new();
        let mut numbers = Vec::new();
        let session = Session::open();
        ROWS.with(|statement| {
            let args = [
                datum::text(span.surface),
                datum::text(span.outcome),
                datum::timestamp(span.from),
                datum::timestamp(span.to),
                datum::bool(span.delay_corrected),
            ];
            statement.read(&args, |row| {
                let slot: Slot = of_row(&row);
                let bundle = *indexes.entry(slot.bundle).or_insert_with(|| {
                    numbers.push(slot.bundle);
                    numbers.len() - 1
                });
                rows.push(Example {
                    decided_at: slot.decided_at.0,
                    features_at: slot.features_at.0,
                    propensity: slot.propensity,
                    reward: slot.reward,
                    to_come: slot.to_come,
                    value_to_come: slot.value_to_come,
                    bundle,
                    action: slot.action,
                    features: slot.features,
                    missing: slot.missing,
                    affinities: slot.affinities,
                    fields: slot.context_values,
                    own: slot.own,
                    snapshot: slot.snapshot.map(|at| at.0),
                    switches: slot.switches,
                    entities: Vec::new(),
                });
            })
        });
        drop(session);
        let bundles: Vec<Rc<Bundle>> = numbers
            .into_iter()
            .map(policy::by_number)
            .collect::<Result<_, _>>()?;
        let actions = bundles.iter().map(|bundle| {
            let surface = bundle.surfaces.get(span.surface);
            let listed = surface.map_or(&[][..], |surface| &surface.actions[..]);
            listed
                .iter()
                .enumerate()
                .map(|(i, action)| (action.number, i))
                .collect()
        });
        let actions = actions.collect();
        let mut history = History {
            rows,
            surface: span.surface.to_owned(),
            bundles,
            actions,
        };
        history.find_entities()?;
        Ok(history)
    }

    /// Adds the features of actions and of the surface as each decision saw them. One snapshot is looked
    /// at after the other: rows are in order of time, and so are they.
    fn find_entities(&mut self) -> Result<(), Error> {
        let _session = Session::open();
        let mut read: (Option<i64>, Option<EntitySnapshot>) = (None, None);
        let mut switches = Switches::default();
        for i in 0..self.rows.len() {
            let example = &self.rows[i];
            let bundle = &self.bundles[example.bundle];
            let Some(action) = self.action(example) else {
                continue;
            };
            if bundle.entities.is_empty() || !example.own {
                continue;
            }
            if read.0 != example.snapshot {
                let snapshot = example
                    .snapshot
                    .map(EntitySnapshot::read)
                    .transpose()?
                    .flatten();
                read = (example.snapshot, snapshot);
            }
            if read.0.is_some() && read.1.is_none() {
                continue;
            }
            switches.turn_to(example.switches, example.features_at);
            let values = EntityValues {
                features: &bundle.features,
                snapshot: read.1.as_ref(),
                mask: &FeatureMask::of(&bundle.features, &switches),
            };
            let entities = bundle.entities.iter();
            let entities =
                entities.map(|&i| values.of(i, bundle.actions.name(action), &self.surface));
            self.rows[i].entities = entities.collect();
        }
        Ok(())
    }

    /// The action that was shown.
    fn action(&self, example: &Example) -> Option<&Action> {
        let index = *self.actions[example.bundle].get(&example.action)?;
        self.surface(example)?.actions.get(index)
    }

    /// What was known of the action or of the surface.
    fn entity(&self, example: &Example, source: &Source) -> Value<'_> {
        let bundle = &self.bundles[example.bundle];
        let feature = policy::entity_feature(source, &bundle.features);
        let index = feature.and_then(|(i, _)| bundle.entities.iter().position(|&e| e == i));
        number(index.and_then(|index| example.entities.get(index)))
    }

    fn surface(&self, example: &Example) -> Option<&Surface> {
        self.bundles[example.bundle].surfaces.get(&self.surface)
    }

    /// What was kept of the user under the key of the action that was shown.
    fn affinity(&self, example: &Example, name: &str) -> Value<'_> {
        let bundle = &self.bundles[example.bundle];
        let offset = self
            .surface(example)
            .and_then(|surface| surface.offset_of_affinity(bundle, name, self.action(example)?));
        let mut pairs = example.affinities.as_chunks::<2>().0.iter();
        let found = offset.and_then(|offset| pairs.find(|pair| pair[0] == offset as f64));
        number(found.map(|pair| &pair[1]))
    }

    /// What a model sees of one fact of a row.
    pub fn value<'a>(&'a self, example: &'a Example, source: &Source) -> Value<'a> {
        let bundle = &self.bundles[example.bundle];
        match source {
            Source::User(name) => match bundle.index_in_vector(name) {
                Some(index) => number(example.features.get(index)),
                None => self.affinity(example, name),
            },
            Source::Missing(name) => match bundle.index_in_vector(name) {
                Some(index) if index < example.features.len() => {
                    let missing = example.missing.contains(&(index as i16 + 1));
                    Value::Number(f64::from(u8::from(missing)))
                }
                _ => Value::Missing,
            },
            Source::Context(name) => {
                let fields = self.surface(example).map(|surface| &surface.context_fields);
                let index = fields.and_then(|fields| fields.iter().position(|f| f == name));
                let text = index
                    .and_then(|i| example.fields.get(i))
                    .and_then(Option::as_deref);
                policy::kept_value(text)
            }
            Source::Action | Source::Attribute(_) | Source::Surface(_) => {
                let action = self.action(example);
                match action.map_or(Value::Missing, |action| bundle.actions.fact(action, source)) {
                    Value::Missing => self.entity(example, source),
                    value => value,
                }
            }
        }
    }
}

fn number(value: Option<&f64>) -> Value<'static> {
    match value {
        Some(value) if !value.is_nan() => Value::Number(*value),
        _ => Value::Missing,
    }
}
