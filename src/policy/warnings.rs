//! What is valid in policy tables and has no effect: found at publish, told there, and kept for decide.policy_warning.

use std::collections::{BTreeMap, HashMap, HashSet};

use pgrx::PgLogLevel;
use pgrx::PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{INT8OID, TEXTARRAYOID, TEXTOID};

use super::compiled::{Compiled, Policy};
use super::faults::Faults;
use super::tables::{CapRow, Content, FeatureRow, ObjectiveKind};
use crate::error::{Fault, printable};
use crate::math::model::{Source, parse_term};
use crate::pg::{Statement, clock, datum};
use crate::settings;

thread_local! {
    static CAPS: Statement = const { Statement::new(
        "SELECT c.cap, c.attribute FROM decide.cap AS c", &[]) };
    static KNOWN_TYPES: Statement = const { Statement::new(include_str!("known_types.sql"), &[]) };
    static TERMS: Statement = const { Statement::new(
        "SELECT t.term FROM decide.model_version AS m CROSS JOIN LATERAL pg_catalog.unnest(m.terms) AS t (term) \
          WHERE (m.model || ':' || m.version) = ANY ($1)", &[TEXTARRAYOID]) };
    static KEEP: Statement = const { Statement::new(
        "INSERT INTO decide.bundle_warning (bundle, number, \"table\", \"row\", warning) VALUES ($1, $2, $3, $4, $5)",
        &[INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID]) };
}

/// How many warnings of a bundle are kept, and how many of them who publishes is told.
const MOST: usize = 1_000;
const MOST_TOLD: usize = 20;

/// Finds them, in order. `never` has the rules that are false for everybody.
pub fn find(content: &Content, bundle: &Compiled, never: &HashSet<&str>) -> Vec<Fault> {
    let mut found = Faults::default();
    surfaces(content, bundle, &mut found);
    campaigns(content, &mut found);
    rules(content, never, &mut found);
    caps(content, bundle, &mut found);
    event_types(content, &mut found);
    features(content, bundle, &mut found);
    found.0.sort();
    found.0.dedup();
    found.0
}

/// Keeps them with the bundle, and tells who publishes.
pub fn tell(bundle: i64, warnings: &[Fault]) {
    for (number, warning) in (1..).zip(warnings.iter().take(MOST)) {
        KEEP.with(|statement| {
            let args = [
                datum::int8(bundle),
                datum::int8(number),
                datum::text(warning.table),
                datum::text(&warning.row),
                datum::text(&warning.reason),
            ];
            statement.write(&args, |_| {})
        });
    }
    if warnings.is_empty() || !settings::publish_warnings() {
        return;
    }
    let mut lines: Vec<String> = warnings
        .iter()
        .take(MOST_TOLD)
        .map(Fault::to_string)
        .collect();
    if warnings.len() > MOST_TOLD {
        lines.push(format!("and {} more", warnings.len() - MOST_TOLD));
    }
    let number = match warnings.len() {
        1 => "one row has".to_owned(),
        number => format!("{number} rows have"),
    };
    let message = format!("{number} no effect in the policy that was published");
    ErrorReport::new(ERRCODE_SUCCESSFUL_COMPLETION, message, "pg_decide")
        .set_detail(lines.join("\n"))
        .set_hint("They are valid, and may be meant so. decide.policy_warning lists them.")
        .report(PgLogLevel::NOTICE);
}

fn surfaces(content: &Content, bundle: &Compiled, found: &mut Faults) {
    for row in &content.surfaces {
        let Some(surface) = bundle.surfaces.get(&row.surface) else {
            continue;
        };
        let mut add = |reason: &str| found.add("decide.surface", &row.surface, reason);
        if surface.policy.is_none() {
            add("it has no policy, so that every slot gets the fallback");
        } else if surface
            .actions
            .iter()
            .all(|of| of.number == surface.fallback.number)
        {
            add("no action but its fallback may be shown there");
        }
        let looks_at_it = |policy: &Policy| policy.objective.kind != ObjectiveKind::Response;
        if row.baseline_action.is_some() && !surface.policy.as_ref().is_some_and(looks_at_it) {
            add("nothing looks at its baseline_action: its policy has the objective response");
        }
    }
}

fn campaigns(content: &Content, found: &mut Faults) {
    let now = clock::to_unix_micros(clock::now());
    let mut actions: HashMap<&str, usize> = HashMap::new();
    for campaign in content
        .actions
        .iter()
        .filter_map(|of| of.campaign.as_deref())
    {
        *actions.entry(campaign).or_default() += 1;
    }
    for row in &content.campaigns {
        let actions = actions.get(row.campaign.as_str()).copied().unwrap_or(0);
        let reason = match row.ends_us {
            _ if actions == 0 => "no action belongs to it".to_owned(),
            Some(ends) if ends <= now => {
                format!("it has ended, so that none of its actions ({actions}) is ever shown")
            }
            _ => continue,
        };
        found.add("decide.campaign", &row.campaign, reason);
    }
}

fn rules(content: &Content, never: &HashSet<&str>, found: &mut Faults) {
    if never.is_empty() {
        return;
    }
    for row in &content.actions {
        if row
            .eligible_when
            .as_deref()
            .is_some_and(|rule| never.contains(rule))
        {
            let reason = "eligible_when is never true, so that it is never a candidate";
            found.add("decide.action", &row.action, reason);
        }
    }
}

fn caps(content: &Content, bundle: &Compiled, found: &mut Faults) {
    let mut binding: HashSet<i32> = HashSet::new();
    for surface in bundle.surfaces.values() {
        binding.extend(bundle.caps_of(surface).map(|cap| cap.number));
        let of_arms = surface.arms.iter().filter_map(|arm| arm.limits.as_ref());
        binding.extend(of_arms.flat_map(|of| of.caps.iter().map(|&i| bundle.caps[i].number)));
    }
    // One that limits each value of an attribute by itself has a row for each value.
    let binding: HashSet<&str> = content
        .caps
        .iter()
        .filter(|row| binding.contains(&row.number))
        .map(|row| row.cap.as_str())
        .collect();
    let rows: BTreeMap<&str, &CapRow> = content
        .caps
        .iter()
        .map(|row| (row.cap.as_str(), row))
        .collect();
    for (name, row) in &rows {
        if !binding.contains(name) {
            found.add("decide.cap", name, unbound(row));
        } else if row.max_count == 0 {
            let reason = "its max_count is 0, so that nothing that it limits is ever shown";
            found.add("decide.cap", name, reason);
        }
    }
    // Such a cap has no row at all where no action has the attribute.
    CAPS.with(|statement| {
        statement.write(&[], |row| {
            let name: String = row.must(1);
            if let (Some(attribute), None) = (row.get::<String>(2), rows.get(name.as_str())) {
                let attribute = printable(&attribute);
                let reason =
                    format!("it limits nothing: no action has the attribute \"{attribute}\"");
                found.add("decide.cap", &name, reason);
            }
        })
    });
}

/// Why a cap limits nothing.
fn unbound(row: &CapRow) -> String {
    match (&row.attribute, &row.attribute_value) {
        (Some(attribute), Some(value)) => {
            let (attribute, value) = (printable(attribute), printable(value));
            format!(
                "it limits nothing: no action there has the value \"{value}\" of the attribute \"{attribute}\""
            )
        }
        _ if row.unit == "cost" => {
            "it limits nothing: no action there has a cost, or there is none".to_owned()
        }
        _ => "it limits nothing: there is no action of its surface, campaign and action".to_owned(),
    }
}

/// Types of events that nobody sends. Where nothing is known of any, nothing is said.
fn event_types(content: &Content, found: &mut Faults) {
    let mut known: HashSet<String> = HashSet::new();
    KNOWN_TYPES.with(|statement| statement.write(&[], |row| known.extend(row.get::<String>(1))));
    let contracts = content.event_types.iter();
    known.extend(
        contracts
            .filter(|row| row.status != "retired")
            .map(|row| row.event_type.clone()),
    );
    if known.is_empty() {
        return;
    }
    let mut check = |table, row: &str, kind: &str| {
        if !known.contains(kind) {
            let kind = printable(kind);
            let reason = format!(
                "it is kept from events of the type \"{kind}\", of which none came lately, no contract speaks, and no tracked table makes any"
            );
            found.add(table, row, reason);
        }
    };
    for row in &content.features {
        check("decide.feature", &row.feature, &row.event_type);
        if let Some(trials) = &row.trial_event_type {
            check("decide.feature", &row.feature, trials);
        }
    }
    for row in content.caps.iter().filter(|row| row.counts != "decision") {
        check("decide.cap", &row.cap, &row.counts);
    }
}

/// Features that decisions compute and nobody reads.
fn features(content: &Content, bundle: &Compiled, found: &mut Faults) {
    if content.features.iter().all(|row| row.offline_only) {
        return;
    }
    let (mut read, mut of_models) = (HashSet::new(), HashSet::new());
    let labels: Vec<Option<&str>> = bundle
        .policies()
        .filter_map(|policy| Some(Some(policy.model.as_ref()?.label.as_str())))
        .collect();
    if !labels.is_empty() {
        TERMS.with(|statement| {
            statement.write(&[datum::texts(&labels)], |row| {
                of_models.extend(parse_term(&row.must::<String>(1)).unwrap_or_default())
            })
        });
    }
    let rules: HashSet<&str> = content
        .actions
        .iter()
        .filter_map(|action| action.eligible_when.as_deref())
        .collect();
    for rule in rules {
        words(rule, &mut read);
    }
    for row in content.features.iter().filter(|row| !row.offline_only) {
        if !is_in(row, &of_models) && !is_word(&row.feature, &read) {
            let reason = "no model and no rule in force reads it; if it is kept for analysis, set offline_only";
            found.add("decide.feature", &row.feature, reason);
        }
    }
}

/// Whether a factor of a model is the feature: that of the entity whose it is.
fn is_in(row: &FeatureRow, factors: &HashSet<Source>) -> bool {
    let name = || row.feature.clone();
    match row.entity.as_str() {
        "action" => factors.contains(&Source::Attribute(name())),
        "surface" => factors.contains(&Source::Surface(name())),
        _ => factors.contains(&Source::User(name())) || factors.contains(&Source::Missing(name())),
    }
}

/// Names in the text of a rule: letters, digits and underscores.
fn words(text: &str, into: &mut HashSet<String>) {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    for word in words.filter(|word| !word.is_empty()) {
        if !into.contains(word) {
            // A name without quotes is in lower case.
            into.insert(word.to_lowercase());
            into.insert(word.to_owned());
        }
    }
}

/// Whether a name, or all its parts if it has other characters, is among the words.
fn is_word(name: &str, words: &HashSet<String>) -> bool {
    let mut parts = name
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|part| !part.is_empty());
    parts.all(|part| words.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_rules() {
        let mut read = HashSet::new();
        words("features.clicks > 1 AND action = 'a'", &mut read);
        words(
            "(features).\"days since\" > 3 AND features.orders_30d > 0",
            &mut read,
        );
        for name in ["clicks", "days since", "orders_30d"] {
            assert!(is_word(name, &read), "{name}");
        }
        for name in ["click", "orders", "weeks since"] {
            assert!(!is_word(name, &read), "{name}");
        }
    }
}
