//! Coarsening: what decisions and events may know of a field of the context, or of an attribute. It comes before
//! everything else: hashes, rules, features, traces and the quarantine see what is left.
//!
//! An expression is pure (`pg/pure.rs`): it makes something of the value, and nothing else is known to it, so nobody's
//! rights matter. Where it fails, or takes too long, its field is left out: what cannot be coarsened is not known.

use std::cell::{Cell, OnceCell};

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::name::is_name;
use super::tables::{Content, ContextFieldRow};
use crate::pg::attempt::attempt_for;
use crate::pg::json::Json;
use crate::pg::pure::PureExpression;
use crate::pg::session;

/// How long all expressions of a document may take, in milliseconds.
const LONGEST: u32 = 20;

/// Fields of contexts, and attributes, that are not kept as they are: each has a bit in [`Known::failed`].
const MOST: usize = 64;

/// What is done with a field.
#[derive(Serialize, Deserialize)]
enum Treatment {
    /// The value of an SQL expression of it.
    Coarsen(String),
    /// A keyed hash of it.
    Hash,
    /// Nothing of it is known.
    Drop,
}

/// A field that is not kept as it is.
#[derive(Serialize, Deserialize)]
struct Treated {
    field: String,
    treatment: Treatment,
    /// As this backend has compiled it.
    #[serde(skip)]
    compiled: OnceCell<PureExpression>,
}

/// The fields of contexts, or the attributes of events, that are not kept as they are.
#[derive(Default, Serialize, Deserialize)]
pub struct Coarsening {
    treated: Vec<Treated>,
    /// The field that names the region.
    region: Option<String>,
}

/// What may be known of a document.
pub struct Known<'a> {
    pub document: Json<'a>,
    /// Fields that are left out since they could not be coarsened, by their index, as bits.
    pub failed: u64,
}

/// Both. There is nothing to do where no row says so.
#[derive(Default, Serialize, Deserialize)]
pub struct ContextFields {
    pub of_context: Coarsening,
    pub of_events: Coarsening,
}

impl ContextFields {
    pub fn of(content: &Content) -> ContextFields {
        let of = |source: &str| {
            let rows = content.context_fields.iter();
            let rows = || rows.clone().filter(|row| row.source == source);
            let treated = |row: &ContextFieldRow| {
                Some(Treated {
                    field: row.field.clone(),
                    treatment: treatment(row)?,
                    compiled: OnceCell::new(),
                })
            };
            let region = rows().find(|row| row.names_region);
            Coarsening {
                treated: rows().filter_map(treated).take(MOST).collect(),
                region: region.map(|row| row.field.clone()),
            }
        };
        ContextFields {
            of_context: of("context"),
            of_events: of("event"),
        }
    }
}

fn treatment(row: &ContextFieldRow) -> Option<Treatment> {
    match row.treatment.as_str() {
        "coarsen" => Some(Treatment::Coarsen(row.expression.clone()?)),
        "hash" => Some(Treatment::Hash),
        "drop" => Some(Treatment::Drop),
        _ => None,
    }
}

impl Coarsening {
    pub fn is_empty(&self) -> bool {
        self.treated.is_empty()
    }

    /// What may be known of an object, in the current memory context; None where it may be known as it is. Fields that
    /// are `done` were coarsened or hashed before. `hash` makes the hash of a field, if there is a key.
    pub fn of<'a>(
        &self,
        document: &Json<'a>,
        done: &[String],
        hash: impl Fn(&str, &str) -> Option<String>,
    ) -> Option<Known<'a>> {
        let (mut changes, mut to_evaluate) = (Vec::new(), Vec::new());
        for (index, treated) in self.treated.iter().enumerate() {
            let is_done = |treatment: &Treatment| {
                !matches!(treatment, Treatment::Drop) && done.contains(&treated.field)
            };
            if is_done(&treated.treatment) {
                continue;
            }
            let field = treated.field.as_str();
            let Some(value) = document.part(field) else {
                continue;
            };
            match &treated.treatment {
                Treatment::Drop => changes.push((field, None)),
                Treatment::Hash => {
                    let hash = hash(field, &value.text());
                    changes.push((field, hash.map(|hash| Json::of_text(&hash))));
                }
                Treatment::Coarsen(_) => to_evaluate.push((index, value)),
            }
        }
        if changes.is_empty() && to_evaluate.is_empty() {
            return None;
        }
        let failed = self.evaluate(&to_evaluate, &mut changes);
        Some(Known {
            document: document.changed(&changes),
            failed,
        })
    }

    /// Evaluates expressions of these values, and adds what they make; the fields of those that fail, as bits.
    fn evaluate<'s, 'a>(
        &'s self,
        values: &[(usize, Json<'a>)],
        changes: &mut Vec<(&'s str, Option<Json<'a>>)>,
    ) -> u64 {
        // Before the time is taken: compiling has a limit of its own, and there is one timer.
        let ready = values
            .iter()
            .map(|(index, _)| self.treated[*index].compiled());
        let ready: Vec<Option<&PureExpression>> = ready.collect();
        let (mut failed, next) = (0, Cell::new(0));
        let mut is_late = false;
        while next.get() < values.len() {
            let evaluated = attempt_for(LONGEST, || {
                while !is_late && let Some(&Some(expression)) = ready.get(next.get()) {
                    session::check_interrupts();
                    let (index, value) = &values[next.get()];
                    changes.push((&self.treated[*index].field, expression.evaluate(value)));
                    next.set(next.get() + 1);
                }
            });
            is_late |= evaluated.is_err_and(|error| error.timed_out);
            if let Some(&(index, _)) = values.get(next.get()) {
                failed |= 1 << index;
                changes.push((&self.treated[index].field, None));
                next.set(next.get() + 1);
            }
        }
        failed
    }

    /// The names of fields whose bits are set.
    pub fn names_of(&self, failed: u64) -> impl Iterator<Item = &str> {
        let treated = self.treated.iter().enumerate();
        treated
            .filter(move |(index, _)| failed & (1 << index) != 0)
            .map(|(_, treated)| treated.field.as_str())
    }

    /// Which fields of a document, that has been treated, are not what they were.
    pub fn treated_in(&self, document: &Json<'_>) -> Vec<&str> {
        let treated = self.treated.iter();
        let stays = |treated: &&Treated| {
            !matches!(treated.treatment, Treatment::Drop) && document.get(&treated.field).is_some()
        };
        treated
            .filter(stays)
            .map(|treated| treated.field.as_str())
            .collect()
    }

    /// The field that names the region, if one does.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }
}

impl Treated {
    /// Its expression, compiled once by each backend; None where that fails.
    fn compiled(&self) -> Option<&PureExpression> {
        if let Treatment::Coarsen(text) = &self.treatment
            && self.compiled.get().is_none()
        {
            let compiled = PureExpression::of(text).ok()?;
            let _ = self.compiled.set(compiled);
        }
        self.compiled.get()
    }
}

/// What is wrong with the rows.
pub fn check(content: &Content, faults: &mut Faults) {
    for source in ["context", "event"] {
        let rows = content.context_fields.iter();
        let rows = || rows.clone().filter(|row| row.source == source);
        if rows().filter(|row| row.treatment != "keep").count() > MOST {
            let reason =
                format!("more than {MOST} fields of source {source} are not kept as they are");
            faults.add("decide.context_field", "", reason);
        }
        let mut of_region = rows().filter(|row| row.names_region);
        let first = of_region.next();
        for row in of_region {
            let first = first.map_or("", |row| &row.field);
            let reason = format!("names_region: \"{first}\" names the region already");
            faults.add("decide.context_field", &row.field, reason);
        }
    }
    for row in &content.context_fields {
        let treatment = row.treatment.as_str();
        let fault = match (treatment, &row.expression) {
            _ if !is_name(&row.field) => Some("field is not a valid name".to_owned()),
            ("coarsen", None) => Some("it is to be coarsened, and has no expression".to_owned()),
            ("coarsen", Some(text)) => PureExpression::of(text)
                .err()
                .map(|why| format!("expression: {why}")),
            (_, Some(_)) => Some("it has an expression, and is not to be coarsened".to_owned()),
            (_, None) => None,
        };
        let names_nothing = row.names_region && matches!(treatment, "hash" | "drop");
        let fault = fault.or_else(|| {
            names_nothing
                .then(|| format!("names_region: treatment {treatment} leaves no name of a region"))
        });
        if let Some(fault) = fault {
            faults.add("decide.context_field", &row.field, fault);
        }
    }
}
