//! Outcome types: what counts as an outcome. The job `attribution` reads them from decide.bundle_outcome_type; who takes in
//! events needs to know which of them they speak of, and what they look at.

use std::collections::{BTreeSet, HashMap};

use pgrx::pg_sys::INT8OID;
use serde::{Deserialize, Serialize};

use super::contract::Contracts;
use super::faults::Faults;
use super::name::is_name;
use super::purposes::Purposes;
use super::tables::{Content, OutcomeTypeRow};
use crate::error::printable;
use crate::pg::{Statement, datum};

thread_local! {
    static KEEP: Statement = const { Statement::new(
        "INSERT INTO decide.bundle_outcome_type (bundle, outcome_type, event_types, window_length, match_by, requires, touch, value_path, \
                margin_path, max_value, reversal_types, reference_path, reversal_value_path, delay_attribute, purpose, opt_out) \
         SELECT $1, t.outcome_type, t.event_types, t.window_length, t.match_by, t.requires, t.touch, t.value_path, t.margin_path, t.max_value, \
                t.reversal_types, t.reference_path, t.reversal_value_path, t.delay_attribute, i.number, COALESCE(p.consent = 'opt-out', true) \
           FROM decide.outcome_type AS t LEFT JOIN decide.purpose AS p ON p.purpose = t.purpose \
           LEFT JOIN decide.identity AS i ON i.kind = 'purpose' AND i.id = p.id", &[INT8OID]) };
}

/// What outcome types ask of events.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct OutcomeTypes {
    /// By the type of the events that they speak of: attributes that they look at.
    attributes: HashMap<String, BTreeSet<String>>,
}

impl OutcomeTypes {
    /// The attributes of events of a type that outcome types look at; None if they do not speak of such events.
    pub fn attributes(&self, kind: &str) -> Option<&BTreeSet<String>> {
        self.attributes.get(kind)
    }

    /// From the published rows; what is wrong with them is among the faults.
    pub fn of(
        content: &Content,
        contracts: &Contracts,
        purposes: &Purposes,
        faults: &mut Faults,
    ) -> OutcomeTypes {
        let mut types = OutcomeTypes::default();
        for row in &content.outcome_types {
            let mut found = check(row);
            found.extend(purposes.fault(row.purpose.as_deref()));
            let kinds = row.event_types.iter().chain(&row.reversal_types);
            for kind in kinds.chain(&row.requires) {
                if !contracts.takes(kind) {
                    found.push(format!(
                        "event type \"{}\" has no version in decide.event_type that is taken in",
                        printable(kind)
                    ));
                }
            }
            for reason in found {
                faults.add("decide.outcome_type", &row.outcome_type, reason);
            }
            types.note(row);
        }
        types
    }

    fn note(&mut self, row: &OutcomeTypeRow) {
        let mut note = |kinds: &[String], paths: &[Option<&str>]| {
            for kind in kinds {
                let attributes = self.attributes.entry(kind.clone()).or_default();
                let names = paths.iter().filter_map(|path| attribute((*path)?));
                attributes.extend(names.map(str::to_owned));
            }
        };
        let match_by = match row.match_by.as_str() {
            "campaign" => "attributes.campaign",
            path => path,
        };
        let reference = row.reference_path.as_deref();
        let value = row.value_path.as_deref();
        let margin = row.margin_path.as_deref();
        note(
            &row.event_types,
            &[Some(match_by), reference, value, margin],
        );
        let taken_back = row.reversal_value_path.as_deref().or(value);
        note(&row.reversal_types, &[reference, taken_back]);
        note(row.requires.as_slice(), &[]);
    }
}

/// The name in `attributes.x`.
fn attribute(path: &str) -> Option<&str> {
    path.strip_prefix("attributes.")
        .filter(|name| is_name(name))
}

/// What is wrong with a row by itself.
fn check(row: &OutcomeTypeRow) -> Vec<String> {
    let mut faults = Vec::new();
    if row.event_types.is_empty() {
        faults.push("event_types is empty, so that nothing would count".to_owned());
    }
    for kind in row
        .event_types
        .iter()
        .chain(&row.reversal_types)
        .chain(&row.requires)
    {
        if !is_name(kind) {
            faults.push(format!(
                "\"{}\" is not a valid name of an event type",
                printable(kind)
            ));
        }
    }
    for kind in row
        .event_types
        .iter()
        .filter(|kind| row.reversal_types.contains(kind))
    {
        faults.push(format!(
            "event type \"{}\" is among event_types and reversal_types: it cannot count and reverse",
            printable(kind)
        ));
    }
    if row.reference_path.is_none() && !row.reversal_types.is_empty() {
        faults.push(
            "reversal_types needs reference_path, by which a reversal finds its original"
                .to_owned(),
        );
    }
    let is_attribute = |path: &str| attribute(path).is_some();
    let is_number = |path: &str| path == "value" || is_attribute(path);
    let is_match =
        |path: &str| matches!(path, "decision" | "action" | "campaign") || is_attribute(path);
    let mut path =
        |column: &str, path: Option<&str>, is_valid: &dyn Fn(&str) -> bool, may_be: &str| {
            if let Some(path) = path.filter(|path| !is_valid(path)) {
                faults.push(format!(
                    "{column}: \"{}\" is none of {may_be}",
                    printable(path)
                ));
            }
        };
    path(
        "value_path",
        row.value_path.as_deref(),
        &is_number,
        "value, attributes.x",
    );
    path(
        "margin_path",
        row.margin_path.as_deref(),
        &is_number,
        "value, attributes.x",
    );
    path(
        "reversal_value_path",
        row.reversal_value_path.as_deref(),
        &is_number,
        "value, attributes.x",
    );
    path(
        "reference_path",
        row.reference_path.as_deref(),
        &is_attribute,
        "attributes.x",
    );
    path(
        "match_by",
        Some(&row.match_by),
        &is_match,
        "decision, action, campaign, attributes.x",
    );
    if let Some(kind) = &row.requires {
        if row.match_by == "decision" {
            faults.push("requires is for events that name no decision, and with match_by decision these find none".to_owned());
        }
        if row.event_types.contains(kind) || row.reversal_types.contains(kind) {
            faults.push(format!(
                "requires: \"{}\" is among its own event_types or reversal_types",
                printable(kind)
            ));
        }
    }
    faults
}

/// Keeps the outcome types of a bundle where the job reads them.
pub fn keep(bundle: i64) {
    KEEP.with(|statement| statement.write(&[datum::int8(bundle)], |_| {}));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> OutcomeTypeRow {
        OutcomeTypeRow {
            outcome_type: "order".into(),
            event_types: vec!["order".into()],
            match_by: "attributes.sku".into(),
            requires: Some("click".into()),
            value_path: Some("value".into()),
            margin_path: Some("attributes.margin".into()),
            reversal_types: vec!["return".into()],
            reference_path: Some("attributes.order_no".into()),
            reversal_value_path: None,
            purpose: None,
        }
    }

    #[test]
    fn what_they_look_at_is_kept() {
        let mut types = OutcomeTypes::default();
        types.note(&row());
        let names = |kind| {
            types
                .attributes(kind)
                .map(|names| names.iter().cloned().collect::<Vec<_>>())
        };
        assert_eq!(names("order").unwrap(), ["margin", "order_no", "sku"]);
        assert_eq!(names("return").unwrap(), ["order_no"]);
        assert_eq!(names("click").unwrap(), [""; 0]);
        assert_eq!(names("visit"), None);
    }

    #[test]
    fn what_contradicts_is_a_fault() {
        assert_eq!(check(&row()), [""; 0]);
        let faults = |change: &dyn Fn(&mut OutcomeTypeRow)| {
            let mut row = row();
            change(&mut row);
            check(&row).len()
        };
        assert_eq!(faults(&|row| row.event_types.clear()), 1);
        assert_eq!(faults(&|row| row.reversal_types = vec!["order".into()]), 1);
        assert_eq!(faults(&|row| row.reference_path = None), 1);
        assert_eq!(faults(&|row| row.reference_path = Some("value".into())), 1);
        assert_eq!(faults(&|row| row.match_by = "decision".into()), 1);
        assert_eq!(faults(&|row| row.requires = Some("order".into())), 1);
        assert_eq!(
            faults(&|row| row.value_path = Some("attributes.".into())),
            1
        );
    }
}
