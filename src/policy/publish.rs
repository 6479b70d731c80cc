//! Publishing: all policy tables, or nothing, become the bundle in force at commit.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use pgrx::pg_sys::{INT4OID, INT8OID, TEXTOID, UUIDARRAYOID};

use super::bundle_cache::{by_number, live, prepare_images};
use super::check_experiments::check_positions;
use super::chunks::{self, Chunks};
use super::compile::compile;
use super::compiled::Compiled;
use super::faults::Faults;
use super::feature::Feature;
use super::feature_cells::assign_cells;
use super::publication::{self, take_turn};
use super::scorers::{ModelInputs, Scorers};
use super::staging::settle_staged;
use super::tables::{Content, FeatureRow};
use super::visibility::FeatureVisibility;
use super::{bundle_rows, coarsening, identity, outcome_type, validate, warnings};
use crate::caps::{Budget, Cap, Span, settle_at_once};
use crate::eligibility::check;
use crate::error::{Error, Fault, printable};
use crate::govern::pseudonym;
use crate::govern::switches::Switches;
use crate::govern::waiting::{Awaited, waiting_a_second_for};
use crate::pg::attempt::attempt;
use crate::pg::column::FromColumn;
use crate::pg::plan::on_one_snapshot;
use crate::pg::{Session, Statement, clock, datum, image};

thread_local! {
    static SNAPSHOT: Statement = const { Statement::new(include_str!("snapshot.sql"), &[]) };
    static CAP_SLOTS: Statement = const { Statement::new(include_str!("cap_slot.sql"), &[]) };
    static BUNDLE: Statement = const { Statement::new(
        "INSERT INTO decide.bundle (bundle, published_by, published_as, note, content, actions, chunks) \
         VALUES ($1, SESSION_USER, $4, $2, $3::jsonb, $5, $6)",
        &[INT8OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, UUIDARRAYOID]) };
    static LAST_BUNDLE: Statement = const { Statement::new(
        "SELECT COALESCE(pg_catalog.max(b.bundle), 0) FROM decide.bundle AS b", &[]) };
    static ANALYZE: Statement = const { Statement::new("ANALYZE decide.bundle_action", &[]) };
    static EXISTS: Statement = const { Statement::new(
        "SELECT 1 FROM decide.bundle AS b WHERE b.bundle = $1", &[INT8OID]) };
    static PARTITIONS: Statement = const { Statement::new(
        "SELECT decide.make_partitions(today.day - 1, today.day + $1, moving => false) \
           FROM (SELECT (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::pg_catalog.date AS day) AS today", &[INT4OID]) };
}

/// Validates and compiles the policy tables; answers the number of the new bundle, which is in
/// force from commit on. The record names the caller.
pub fn publish(note: Option<&str>, caller: &str) -> Result<i64, Error> {
    let _session = Session::open();
    take_turn()?;
    identity::settle(None, caller)?;
    assign_cells(None)?;
    identity::show_names_of_caps();
    execute(&CAP_SLOTS);
    if !pseudonym::is_any() {
        pseudonym::add(0, true, caller)?;
    }
    let (text, content) = draft()?;
    let last = fetch_one::<i64>(&LAST_BUNDLE);
    let number = last + 1;
    let Checked {
        bundle,
        scorers,
        warnings,
    } = check_content(number, &content)?;
    let bundle = Rc::new(bundle);
    let chunks = Chunks::store(&content.actions, last)?;
    BUNDLE.with(|statement| {
        let args = [
            datum::int8(number),
            datum::optional_text(note),
            datum::text(&text),
            datum::text(caller),
            datum::int4(content.actions.len() as i32),
            datum::uuids(&chunks.ids),
        ];
        statement.write(&args, |_| {})
    });
    bundle_rows::write_for_rules(number, &content)?;
    bundle_rows::write_for_readers(number, &names_in_vector(&bundle), &chunks.changed);
    outcome_type::keep(number);
    // So that the planner knows how many actions each rule is evaluated for.
    execute(&ANALYZE);
    settle_budgets(&bundle);
    prepare_images(number, &bundle, Some(scorers))?;
    put_in_force(number, "publish", note, caller);
    try_to_make_partitions();
    warnings::tell(number, &warnings);
    image::check_written();
    Ok(number)
}

/// All policy tables at one moment: as text but for the actions, and as rows.
fn draft() -> Result<(String, Content), Error> {
    on_one_snapshot(|| {
        let mut text = String::new();
        SNAPSHOT.with(|statement| statement.read(&[], |row| text = row.must(1)));
        let content = serde_json::from_str(&text).map_err(|e| Error::Damaged(e.to_string()))?;
        let actions = chunks::draft()?;
        Ok((text, Content { actions, ..content }))
    })
}

fn names_in_vector(bundle: &Compiled) -> Vec<Option<&str>> {
    let features = bundle.vector.iter();
    let names = features.map(|reading| bundle.own_features[reading.feature].name.as_str());
    names.map(Some).collect()
}

/// Partitions are made ahead here too, for servers without a worker; but rows are moved to them by the job alone. Making
/// one takes a lock that a long report may hold up; the publish does not wait for that.
fn try_to_make_partitions() {
    let partitions = Awaited {
        what: "the tables of traces, outcomes and events".into(),
        by: "Other transactions read or write them.",
    };
    let ahead = [datum::int4(crate::settings::partitions_ahead())];
    let make = || PARTITIONS.with(|statement| statement.write(&ahead, |_| {}));
    if let Err(error) = attempt(|| waiting_a_second_for(partitions, make)) {
        pgrx::warning!(
            "partitions were not made ahead: {}; later, SELECT decide.run_job('partitions')",
            error.message
        );
    }
}

/// Puts an old bundle in force again, as a new entry in the history.
pub fn rollback(bundle: i64, note: Option<&str>, caller: &str) -> Result<(), Error> {
    let _session = Session::open();
    take_turn()?;
    let known = EXISTS.with(|statement| statement.read(&[datum::int8(bundle)], |_| {}));
    if known == 0 {
        return Err(Error::UnknownBundle(bundle));
    }
    let compiled = by_number(bundle)?.compiled().clone();
    settle_budgets(&compiled);
    prepare_images(bundle, &compiled, None)?;
    put_in_force(bundle, "rollback", note, caller);
    image::check_written();
    Ok(())
}

/// Brings the counters of budgets in line with their limits; waits for decisions that hold one.
fn settle_budgets(bundle: &Compiled) {
    let now = clock::now();
    let budgets = bundle.caps.iter().filter(|cap| cap.per.is_budget());
    let budgets: Vec<&Cap> = budgets.collect();
    if budgets.is_empty() {
        return;
    }
    let table = Awaited {
        what: "the counters of budgets".into(),
        by: "Others have locked the table of counters.",
    };
    for cap in waiting_a_second_for(table, || settle_at_once(&budgets, now)) {
        let counters = Awaited {
            what: format!("the counters of cap \"{}\"", printable(&cap.name)).into(),
            by: "A transaction that has decided within that cap has not ended, or the table of counters is locked.",
        };
        waiting_a_second_for(counters, || Budget(cap).settle(now));
    }
}

/// What was compiled of policy tables without a fault, models without what is switched or known of entities, and what
/// has no effect.
struct Checked {
    bundle: Compiled,
    scorers: Scorers,
    warnings: Vec<Fault>,
}

/// All faults at once: of the tables, the rules and the models.
fn check_content(number: i64, content: &Content) -> Result<Checked, Error> {
    let mut faults = Faults::default();
    validate::check(content, &mut faults);
    if let Ok(in_force) = live() {
        check_positions(content, &in_force.experiments, &mut faults);
    }
    coarsening::check(content, &mut faults);
    let of_vector = |row: &&FeatureRow| {
        Feature::of(row).is_ok_and(|feature| feature.visibility() == FeatureVisibility::Vector)
    };
    let rule_features = content.features.iter().filter(of_vector);
    let features: Vec<String> = rule_features.map(|row| row.feature.clone()).collect();
    let mut seen: BTreeMap<&str, Result<bool, String>> = BTreeMap::new();
    for action in &content.actions {
        let Some(rule) = action.eligible_when.as_deref() else {
            continue;
        };
        let verdict = seen
            .entry(rule)
            .or_insert_with(|| check::check(rule, &features));
        if let Err(reason) = verdict {
            faults.add(
                "decide.action",
                &action.action,
                format!("eligible_when: {reason}"),
            );
        }
    }
    for experiment in &content.experiments {
        let Some(rule) = experiment.target_when.as_deref() else {
            continue;
        };
        let verdict = seen
            .entry(rule)
            .or_insert_with(|| check::check(rule, &features));
        if let Err(reason) = verdict {
            let reason = format!("target_when: {reason}");
            faults.add("decide.experiment", &experiment.experiment, reason);
        }
    }
    let bundle = compile(number, content, &mut faults);
    let inputs = ModelInputs {
        snapshot: None,
        switches: &Switches::default(),
    };
    let scorers = Scorers::compile(&bundle, inputs, &mut faults);
    // Many caps have the same span, as those of the values of an attribute.
    let mut spans: Vec<(&Span, Option<String>)> = Vec::new();
    for cap in &bundle.caps {
        if !spans.iter().any(|(span, _)| **span == cap.span) {
            let fault = attempt(|| cap.window(clock::now())).err();
            spans.push((&cap.span, fault.map(|error| error.message)));
        }
        let of_span = spans.iter().find(|(span, _)| **span == cap.span);
        if let Some((_, Some(fault))) = of_span {
            faults.add("decide.cap", &cap.name, fault.clone());
        }
    }
    faults.0.sort();
    faults.0.dedup();
    if faults.0.is_empty() {
        let never = seen.iter().filter(|(_, verdict)| **verdict == Ok(false));
        let never: HashSet<&str> = never.map(|(rule, _)| *rule).collect();
        let warnings = warnings::find(content, &bundle, &never);
        Ok(Checked {
            bundle,
            scorers,
            warnings,
        })
    } else {
        Err(Error::Faults(faults.0))
    }
}

fn put_in_force(bundle: i64, kind: &str, note: Option<&str>, caller: &str) {
    publication::add(bundle, kind, note, caller);
    settle_staged(bundle);
}

fn execute(statement: &'static std::thread::LocalKey<Statement>) {
    statement.with(|statement| statement.write(&[], |_| {}));
}

fn fetch_one<T: for<'a> FromColumn<'a>>(statement: &'static std::thread::LocalKey<Statement>) -> T {
    let mut value = None;
    statement.with(|statement| statement.write(&[], |row| value = row.get(1)));
    value.expect("a statement that answers one row")
}
