//! A policy that is judged on decisions of others: a row of decide.policy, published or not, put in their place.

use pgrx::pg_sys::{INT8OID, TEXTOID};
use serde_json::value::RawValue;

use super::bundle::Bundle;
use super::bundle_cache::{DecisionInputs, with_policies};
use super::compile::policy_of;
use super::faults::Faults;
use super::selection::choosing;
use super::tables::{ObjectiveKind, PolicyRow};
use crate::error::{Error, printable};
use crate::pg::{Session, Statement, datum};

thread_local! {
    static DRAFT: Statement = const { Statement::new(
        "SELECT decide.policy_content(p)::text FROM decide.policy AS p WHERE p.policy = $1", &[TEXTOID]) };
    static PUBLISHED: Statement = const { Statement::new(
        "SELECT p.content::text FROM decide.bundle AS b CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(b.content -> 'policies') AS p (content) \
          WHERE b.bundle = $1 AND p.content ->> 'surface' = $2 AND p.content -> 'for_variants' IS NULL", &[INT8OID, TEXTOID]) };
    static EXISTS: Statement = const { Statement::new(
        "SELECT 1 FROM decide.bundle AS b WHERE b.bundle = $1", &[INT8OID]) };
    static NEWEST: Statement = const { Statement::new(
        "SELECT pg_catalog.max(m.version) FROM decide.model_version AS m WHERE m.model = $1 AND m.approved_at IS NOT NULL", &[TEXTOID]) };
}

/// The policy that is judged.
pub struct Target {
    row: PolicyRow,
}

impl Target {
    /// As the policy tables have it now.
    pub fn draft(policy: &str, surface: &str) -> Result<Target, Error> {
        let text = one_text(&DRAFT, &[datum::text(policy)]);
        let text = text.ok_or_else(|| Error::Unknown {
            kind: "policy",
            name: printable(policy),
            detail: "decide.policy has no such row.",
            hint: "Insert it, or name the bundle in which it was published.",
        })?;
        let target = Target::read(&text)?;
        if target.row.surface != surface {
            let (policy, its) = (printable(policy), printable(&target.row.surface));
            return Err(refused(format!(
                "policy \"{policy}\" is of surface \"{its}\", not of \"{}\"",
                printable(surface)
            )));
        }
        target.checked()
    }

    /// As a bundle has it.
    pub fn published(bundle: i64, surface: &str) -> Result<Target, Error> {
        let text = one_text(&PUBLISHED, &[datum::int8(bundle), datum::text(surface)]);
        if let Some(text) = text {
            return Target::read(&text)?.checked();
        }
        let _session = Session::open();
        match EXISTS.with(|statement| statement.read(&[datum::int8(bundle)], |_| {})) {
            0 => Err(Error::UnknownBundle(bundle)),
            _ => Err(refused(format!(
                "bundle {bundle} has no policy for surface \"{}\"",
                printable(surface)
            ))),
        }
    }

    /// One that does nothing but ask a model: `model`, for its newest approved version, or `model:version`.
    pub fn of_model(name: &str, surface: &str) -> Result<Target, Error> {
        let version = name.rsplit_once(':');
        let version = version.and_then(|(model, version)| Some((model, version.parse().ok()?)));
        let (model, version) = match version {
            Some((model, version)) => (model, Some(version)),
            None => (name, newest(name)),
        };
        if version.is_none() {
            return Err(refused(format!(
                "model \"{}\" has no approved version",
                printable(model)
            )));
        }
        Ok(Target {
            row: PolicyRow {
                policy: name.to_owned(),
                surface: surface.to_owned(),
                model: Some(model.to_owned()),
                model_version: version,
                model_rows: None,
                selection: "greedy".to_owned(),
                params: RawValue::from_string("{}".to_owned()).expect("JSON"),
                unique_on_page: false,
                objective: ObjectiveKind::Response,
                value_attribute: None,
                cost_attribute: None,
                for_variants: false,
            },
        })
    }

    fn read(text: &str) -> Result<Target, Error> {
        let row = serde_json::from_str(text).map_err(|e| Error::Damaged(e.to_string()))?;
        Ok(Target { row })
    }

    /// What publishing would find wrong with it is an error here.
    fn checked(self) -> Result<Target, Error> {
        let row = &self.row;
        let fault = |reason: String| {
            refused(format!(
                "policy \"{}\" cannot choose: {reason}",
                printable(&row.policy)
            ))
        };
        choosing(row).map_err(fault)?;
        let needs_model = policy_of(row).is_some_and(|policy| policy.needs_scores);
        match (&row.model, row.model_version) {
            (None, _) if needs_model => Err(fault("its selection needs a model".into())),
            (None, _) if row.objective != ObjectiveKind::Response => {
                Err(fault("its objective needs a model".into()))
            }
            (Some(model), None) => Err(fault(format!("model \"{model}\" has no approved version"))),
            _ => Ok(self),
        }
    }

    /// The same apart: the name and the version, 0 of one that asks none.
    pub fn model_version(&self) -> (&str, i32) {
        let row = &self.row;
        let name = row.model.as_deref().unwrap_or_default();
        (name, row.model_version.unwrap_or_default())
    }

    /// Whether its scores are what its model answers.
    pub fn ranks_by_response(&self) -> bool {
        self.row.objective == ObjectiveKind::Response
    }

    /// The model that it asks, as `model:version`.
    pub fn model(&self) -> Option<String> {
        let (model, version) = self.row.model.as_ref().zip(self.row.model_version)?;
        Some(format!("{model}:{version}"))
    }

    /// The bundle of a decision, with this policy for its surface and none for others.
    pub fn in_bundle_of(&self, inputs: DecisionInputs) -> Result<Bundle, Error> {
        let mut faults = Faults::default();
        let bundle = with_policies(inputs, &mut faults, |compiled| {
            for surface in compiled.surfaces.values_mut() {
                let is_its = surface.name == self.row.surface;
                surface.policy = is_its.then(|| policy_of(&self.row)).flatten();
                // Variants that were in force keep their actions and caps; the policy is the target's.
                for arm in &mut surface.arms {
                    arm.policy = None;
                    arm.scorer = surface.index;
                }
            }
        })?;
        match faults.0.first() {
            None => Ok(bundle),
            Some(fault) => Err(Error::Evaluation(
                format!(
                    "policy \"{}\" cannot choose with what was known in bundle {}: {}",
                    printable(&self.row.policy),
                    inputs.bundle,
                    fault.reason
                ),
                "Narrow \"from\" and \"to\" to decisions that were made with the features, attributes and baseline_action that it looks at.",
            )),
        }
    }
}

fn refused(what: String) -> Error {
    Error::Evaluation(
        what,
        "Name a policy of the surface, or a bundle that has one.",
    )
}

fn one_text(
    statement: &'static std::thread::LocalKey<Statement>,
    args: &[datum::Arg<'_>],
) -> Option<String> {
    let _session = Session::open();
    let mut text = None;
    statement.with(|statement| statement.read(args, |row| text = row.get(1)));
    text
}

fn newest(model: &str) -> Option<i32> {
    let _session = Session::open();
    let mut version = None;
    NEWEST.with(|statement| statement.read(&[datum::text(model)], |row| version = row.get(1)));
    version
}
