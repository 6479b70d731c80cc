//! Contracts: what events of each type must look like, as decide.event_type says it.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::faults::Faults;
use super::name::is_name;
use super::purposes::Purposes;
use super::tables::{Content, EventTypeRow};
use crate::pg::clock::DAY;

/// The contracts in force.
#[derive(Serialize, Deserialize)]
pub struct Contracts {
    /// The versions of each type that are taken in. With no type at all, every type is, as `open`.
    types: HashMap<String, Vec<Contract>>,
    /// How long the events of each type are kept, if not for ever; of retired ones as well.
    retentions: BTreeMap<String, Option<i64>>,
    open: Contract,
}

/// One version of a type of event. Times are in microseconds.
#[derive(Serialize, Deserialize)]
pub struct Contract {
    pub version: i16,
    pub fields: Vec<FieldRule>,
    /// Attributes that are kept though no feature asks for them.
    pub keep: Vec<String>,
    /// How far apart in time two events of one identifier are still the same event.
    pub dedup_horizon: i64,
    /// How old an event may be when it is received.
    lateness: Option<i64>,
    /// How far into the future it may be dated: clocks differ.
    pub future_tolerance: i64,
    /// How long events are kept.
    retention: Option<i64>,
    /// Purposes that a person must consent to for events of theirs to be kept, as bits.
    pub needs: u64,
    /// Whether its events tell what a person decides about a purpose.
    pub sets_consent: bool,
}

/// What must be true of one field.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldRule {
    /// As it is called in the contract and in reasons.
    pub path: String,
    /// Its name among the attributes, if it is one.
    pub attribute: Option<String>,
    pub required: bool,
    pub kind: Kind,
}

/// The type of a field, with its range.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    Any,
    Text {
        one_of: Vec<String>,
        max_length: Option<usize>,
    },
    Number {
        min: f64,
        max: f64,
    },
    Integer {
        min: f64,
        max: f64,
    },
    Boolean,
    Time,
    Uuid,
}

/// Why there is no contract for an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Unknown {
    Type,
    Schema,
}

impl Contracts {
    /// The contract of a type and version. The version is None where it is no number of one.
    pub fn of(&self, kind: &str, version: Option<i16>) -> Result<&Contract, Unknown> {
        let versions = if self.types.is_empty() {
            std::slice::from_ref(&self.open)
        } else {
            self.types.get(kind).ok_or(Unknown::Type)?
        };
        let mut found = versions.iter();
        found
            .find(|contract| Some(contract.version) == version)
            .ok_or(Unknown::Schema)
    }

    /// Purposes that events of a type need, as bits: those of its versions agree.
    pub fn needs(&self, kind: &str) -> u64 {
        let version = self.types.get(kind).and_then(|versions| versions.first());
        version.map_or(0, |contract| contract.needs)
    }

    /// The contract of events that have none of their own.
    pub fn open(&self) -> &Contract {
        &self.open
    }

    /// The types whose events expire, with how long they are kept.
    pub fn retentions(&self) -> impl Iterator<Item = (&str, i64)> {
        let kept = self.retentions.iter();
        kept.filter_map(|(kind, kept)| Some((kind.as_str(), (*kept)?)))
    }

    /// How long any event is kept; None if some are for ever.
    pub fn longest_retention(&self) -> Option<i64> {
        let mut longest = None;
        for &kept in self.retentions.values() {
            longest = longest.max(Some(kept?));
        }
        longest
    }

    pub(super) fn takes(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.get(kind).is_some_and(|v| !v.is_empty())
    }
}

impl Contract {
    /// The oldest moment of an event that is received then and looked at now. One that has waited,
    /// in quarantine or elsewhere, until its first copy may have expired could count twice.
    pub fn oldest(&self, received: i64, now: i64) -> i64 {
        let fresh = self.lateness.map_or(i64::MIN, |lateness| {
            received.min(now).saturating_sub(lateness)
        });
        let known = self.retention.map_or(i64::MIN, |retention| {
            now.saturating_sub(retention - self.dedup_horizon)
        });
        fresh.max(known)
    }
}

/// Longest dedup horizon and tolerance.
const LONGEST_HORIZON: f64 = 30.0 * DAY as f64;
/// Longest lateness and retention: a hundred years.
const LONGEST: f64 = 36_525.0 * DAY as f64;

/// Reads the contracts; what is wrong with them is among the faults.
pub fn contracts(content: &Content, purposes: &Purposes, faults: &mut Faults) -> Contracts {
    let mut contracts = Contracts {
        types: HashMap::new(),
        retentions: BTreeMap::new(),
        open: Contract {
            version: 1,
            fields: Vec::new(),
            keep: Vec::new(),
            dedup_horizon: DAY,
            lateness: None,
            future_tolerance: 300_000_000,
            retention: None,
            needs: 0,
            sets_consent: false,
        },
    };
    let mut first: HashMap<&str, &EventTypeRow> = HashMap::new();
    for row in &content.event_types {
        let mut found = times(row);
        let other = *first.entry(&row.event_type).or_insert(row);
        found.extend(disagreement(row, other, purposes));
        let mut contract = Contract {
            needs: purposes.mask(row.purpose.as_deref()),
            ..contract(row, &mut found)
        };
        if row.sets_consent {
            contract.fields.extend(consent_fields(purposes));
        }
        for fault in found {
            faults.add("decide.event_type", &label(row), fault);
        }
        contracts
            .retentions
            .insert(row.event_type.clone(), contract.retention);
        let versions = contracts.types.entry(row.event_type.clone()).or_default();
        if row.status != "retired" {
            versions.push(contract);
        }
    }
    for feature in &content.features {
        for kind in std::iter::once(&feature.event_type).chain(&feature.trial_event_type) {
            if !contracts.takes(kind) {
                faults.add(
                    "decide.feature",
                    &feature.feature,
                    format!(
                        "event_type \"{kind}\" has no version in decide.event_type that is taken in"
                    ),
                );
            }
        }
    }
    contracts
}

/// What must be true of events that tell of a consent.
fn consent_fields(purposes: &Purposes) -> [FieldRule; 2] {
    let required = |name: &str, kind| FieldRule {
        path: format!("attributes.{name}"),
        attribute: Some(name.to_owned()),
        required: true,
        kind,
    };
    let one_of = purposes.iter().map(|(_, name)| name.to_owned()).collect();
    let max_length = None;
    [
        required("purpose", Kind::Text { one_of, max_length }),
        required("granted", Kind::Boolean),
    ]
}

/// A row as faults and differences call it.
fn label(row: &EventTypeRow) -> String {
    format!("{} {}", row.event_type, row.schema_version)
}

/// What is wrong with the times of a row.
fn times(row: &EventTypeRow) -> Vec<String> {
    let mut faults = Vec::new();
    if !(1.0..=LONGEST_HORIZON).contains(&row.dedup_horizon_us) {
        faults.push("dedup_horizon must be positive and at most 30 days".to_owned());
    }
    if !(0.0..=LONGEST_HORIZON).contains(&row.future_tolerance_us) {
        faults.push("future_tolerance must be from 0 to 30 days".to_owned());
    }
    for (name, time) in [
        ("lateness", row.lateness_us),
        ("retention", row.retention_us),
    ] {
        if time.is_some_and(|time| !(1.0..=LONGEST).contains(&time)) {
            faults.push(format!("{name} must be positive and at most 100 years"));
        }
    }
    match (row.retention_us, row.lateness_us) {
        (Some(_), None) => faults.push(
            "with a retention it needs a lateness: an event whose first copy has expired would count again"
                .to_owned(),
        ),
        (Some(retention), Some(lateness)) if retention < lateness + row.dedup_horizon_us => {
            faults.push(
                "retention must be at least lateness and dedup_horizon together: an event whose first copy has expired would count again"
                    .to_owned(),
            );
        }
        _ => {}
    }
    faults
}

/// What the versions of one type must agree in: an event may come in two of them.
fn disagreement(row: &EventTypeRow, first: &EventTypeRow, purposes: &Purposes) -> Vec<String> {
    let differs = |name: &str| {
        format!(
            "{name} differs from that of version {}",
            first.schema_version
        )
    };
    let mut faults = Vec::new();
    if row.dedup_horizon_us != first.dedup_horizon_us {
        faults.push(differs("dedup_horizon"));
    }
    if row.retention_us != first.retention_us {
        faults.push(differs("retention"));
    }
    if purposes.mask(row.purpose.as_deref()) != purposes.mask(first.purpose.as_deref()) {
        faults.push(differs("purpose"));
    }
    faults
}

fn contract(row: &EventTypeRow, faults: &mut Vec<String>) -> Contract {
    let mut seen: Vec<&String> = Vec::new();
    for name in &row.keep_attributes {
        if !is_name(name) {
            faults.push(format!("keep_attributes: \"{name}\" is not a valid name"));
        } else if seen.contains(&name) {
            faults.push(format!("keep_attributes has \"{name}\" twice"));
        }
        seen.push(name);
    }
    let micros = |us: f64| us as i64;
    Contract {
        version: row.schema_version,
        fields: rules(row.fields.get(), faults),
        keep: row.keep_attributes.clone(),
        dedup_horizon: micros(row.dedup_horizon_us),
        lateness: row.lateness_us.map(micros),
        future_tolerance: micros(row.future_tolerance_us),
        retention: row.retention_us.map(micros),
        needs: 0,
        sets_consent: row.sets_consent,
    }
}

/// The rules of all fields.
fn rules(fields: &str, faults: &mut Vec<String>) -> Vec<FieldRule> {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(fields) else {
        faults.push("fields: a number is out of range".into());
        return Vec::new();
    };
    let rule = |(path, spec): (String, Value)| rule(&path, spec, faults);
    fields.into_iter().filter_map(rule).collect()
}

/// The rule of one field, unless there is no such field.
fn rule(path: &str, spec: Value, faults: &mut Vec<String>) -> Option<FieldRule> {
    let attribute = path
        .strip_prefix("attributes.")
        .filter(|name| is_name(name));
    let (usual, possible): (&str, &[&str]) = match (path, attribute) {
        ("value", _) => ("number", &["number", "integer"]),
        ("action" | "surface", _) => ("text", &["text"]),
        ("decision_id", _) => ("uuid", &["uuid"]),
        (_, Some(_)) => (
            "",
            &["text", "number", "integer", "boolean", "time", "uuid"],
        ),
        _ => {
            faults.push(format!(
                "fields: \"{path}\" is none of value, action, surface, decision_id, attributes.x"
            ));
            return None;
        }
    };
    let Value::Object(members) = spec else {
        faults.push(format!("fields: \"{path}\": it must be an object"));
        return None;
    };
    let mut spec = Spec {
        path,
        members,
        faults,
    };
    let required = spec
        .take("required", Value::as_bool, "true or false")
        .unwrap_or(false);
    let known = |value: &Value| {
        possible
            .iter()
            .find(|kind| value.as_str() == Some(kind))
            .copied()
    };
    let named = spec.members.contains_key("type");
    let kind = match spec.take("type", known, &one_of(possible)) {
        // What else it says cannot be judged.
        None if named => return None,
        kind => spec.kind(kind.unwrap_or(usual)),
    };
    // The form of a decision_id is checked in every event.
    let kind = match path {
        "decision_id" => Kind::Any,
        _ => kind,
    };
    Some(FieldRule {
        path: path.to_owned(),
        attribute: attribute.map(str::to_owned),
        required,
        kind,
    })
}

fn one_of(names: &[&str]) -> String {
    match names {
        [name] => (*name).to_owned(),
        names => format!("one of {}", names.join(", ")),
    }
}

/// What a contract says of one field, as far as it has not been read.
struct Spec<'a> {
    path: &'a str,
    members: Map<String, Value>,
    faults: &'a mut Vec<String>,
}

impl Spec<'_> {
    fn fault(&mut self, what: String) {
        self.faults
            .push(format!("fields: \"{}\": {what}", self.path));
    }

    /// A member, if it is there and as it must be.
    fn take<T>(&mut self, name: &str, read: impl Fn(&Value) -> Option<T>, must: &str) -> Option<T> {
        let value = self.members.remove(name)?;
        let read = read(&value);
        if read.is_none() {
            self.fault(format!("{name} must be {must}"));
        }
        read
    }

    /// The type with its own members; any that are left are faults.
    fn kind(&mut self, name: &str) -> Kind {
        let kind = match name {
            "text" => Kind::Text {
                one_of: self
                    .take("one_of", texts, "a list of texts that is not empty")
                    .unwrap_or_default(),
                max_length: self.take("max_length", length, "a whole number from 1 up"),
            },
            "number" => {
                let (min, max) = self.range();
                Kind::Number { min, max }
            }
            "integer" => {
                let (min, max) = self.range();
                Kind::Integer { min, max }
            }
            "boolean" => Kind::Boolean,
            "time" => Kind::Time,
            "uuid" => Kind::Uuid,
            _ => Kind::Any,
        };
        let left: Vec<String> = self.members.keys().cloned().collect();
        for member in left {
            self.fault(match name {
                "" => format!("without a type it takes no \"{member}\""),
                name => format!("type {name} takes no \"{member}\""),
            });
        }
        kind
    }

    fn range(&mut self) -> (f64, f64) {
        let min = self.take("min", Value::as_f64, "a number");
        let max = self.take("max", Value::as_f64, "a number");
        let range = (
            min.unwrap_or(f64::NEG_INFINITY),
            max.unwrap_or(f64::INFINITY),
        );
        if range.0 > range.1 {
            self.fault("min is above max".into());
        }
        range
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array().filter(|list| !list.is_empty())?;
    list.iter()
        .map(|text| text.as_str().map(str::to_owned))
        .collect()
}

fn length(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?)
        .ok()
        .filter(|length| *length > 0)
}

#[cfg(test)]
mod tests;
