//! What a rule may see, and what is wrong with one.

use std::fmt::Write;

use crate::pg::attempt::attempt;
use crate::pg::confined::confined;
use crate::pg::plan::{Access, pinned};
use crate::pg::{Plan, identity, rule_text, session};
use pgrx::pg_sys;

use super::rules::{TYPES, looks_at_action, rule_role};

/// The rows that a rule sees: `request(user_key, context)` and `features`, a column per feature.
pub struct Rows {
    request: String,
    features: String,
    /// By which a rule names something of the one and of the other.
    of_request: Vec<String>,
    of_features: Vec<String>,
}

impl Rows {
    /// The rows of a request, as parameters.
    pub fn new(features: &[String]) -> Rows {
        Rows::from(features, "$1", "$2", &|i| format!("($3)[{}]", i + 1))
    }

    /// The same rows with nothing in them: against these a rule is checked, so that it cannot name the
    /// parameters of the statement.
    fn empty(features: &[String]) -> Rows {
        let (user_key, context) = ("NULL::pg_catalog.uuid", "NULL::pg_catalog.jsonb");
        Rows::from(features, user_key, context, &|_| {
            "NULL::pg_catalog.float8".to_owned()
        })
    }

    fn from(
        features: &[String],
        user_key: &str,
        context: &str,
        feature: &dyn Fn(usize) -> String,
    ) -> Rows {
        let mut columns = String::new();
        for (i, name) in features.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let quoted = as_column(name).replace('"', "\"\"");
            write!(columns, "{comma}{} AS \"{quoted}\"", feature(i)).expect("writing to memory");
        }
        let of_request = ["request", "user_key", "context", UNICODE];
        let of_features = ["features", UNICODE].into_iter().map(str::to_owned);
        Rows {
            request: format!("(SELECT {user_key} AS user_key, {context} AS context) AS request"),
            features: format!("(SELECT {columns}) AS features"),
            of_request: of_request.map(str::to_owned).into(),
            of_features: of_features
                .chain(features.iter().map(|name| bare(as_column(name))))
                .collect(),
        }
    }

    /// Both.
    fn all(&self) -> String {
        format!("{}, {}", self.request, self.features)
    }

    /// Those that any of these rules may name: the server visits every column of a row whenever it
    /// takes up the plan again.
    pub fn named_by<'a>(&self, rules: impl Iterator<Item = &'a str>) -> Vec<&str> {
        let texts: Vec<String> = rules.map(bare).collect();
        let named = |names: &[String]| {
            let in_text = |text: &String| names.iter().any(|name| text.contains(name.as_str()));
            texts.iter().any(in_text)
        };
        [
            (&self.request, &self.of_request),
            (&self.features, &self.of_features),
        ]
        .into_iter()
        .filter_map(|(row, names)| named(names).then_some(row.as_str()))
        .collect()
    }
}

/// How names begin that may be spelled in any way.
const UNICODE: &str = "u&";

/// The name of the column that holds a feature: what the server keeps of a name.
fn as_column(feature: &str) -> &str {
    &feature[..feature.floor_char_boundary(pg_sys::NAMEDATALEN as usize - 1)]
}

/// A text as far as names in it go: whatever case, and with or without quotes.
fn bare(text: &str) -> String {
    text.to_ascii_lowercase().replace('"', "")
}

/// What is wrong with a rule, if anything: it must be one boolean expression that reads only, and
/// the rule role must have the rights that it takes. Needs an open session.
pub fn check(text: &str, features: &[String]) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("it is empty; use null for an action that is always eligible".into());
    }
    let role = rule_role()?;
    let expression = |rows: &Rows| {
        let rows = rows.all();
        match looks_at_action(text) {
            true => format!("SELECT (\n{text}\n) FROM {rows}, decide.bundle_action AS action"),
            false => format!("SELECT (\n{text}\n) FROM {rows}"),
        }
    };
    attempt(|| {
        if !pinned(|| rule_text::is_one_expression(text)) {
            return Err("it is not one expression".to_owned());
        }
        let _acting = identity::act_as(role);
        let _reading = session::ReadOnly::begin();
        let analyse = || rule_text::analyse(&expression(&Rows::empty(features)), &[]);
        let analysis = confined(|| pinned(analyse));
        if analysis.result_type != pg_sys::BOOLOID {
            return Err("it is not boolean".to_owned());
        }
        if analysis.volatile {
            return Err("it calls something volatile, so a decision could not be explained".into());
        }
        if analysis.aggregates {
            return Err(
                "it has an aggregate, a window function or a set, so it is not one truth".into(),
            );
        }
        // Starting the statement, without a row, checks the rights.
        let probe = Plan::prepare(
            &format!("{} LIMIT 0", expression(&Rows::new(features))),
            &TYPES,
        );
        let nothing = [None; TYPES.len()];
        confined(|| probe.run(Access::Read, &nothing, |_| {}));
        Ok(())
    })
    .unwrap_or_else(|error| Err(error.message))
}
