//! What a rule may read, and the role that it runs as.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

use pgrx::pg_sys::{self, FLOAT8ARRAYOID, INT4OID, JSONBOID, UUIDOID};

use crate::pg::identity;
use crate::settings;

/// The parameters of a rule's statement: user, context, features, and first and last number of the
/// actions that are evaluated. Bundle and surface are written into it, so that the planner knows how many
/// actions a set has.
pub(super) const TYPES: [pg_sys::Oid; 5] = [UUIDOID, JSONBOID, FLOAT8ARRAYOID, INT4OID, INT4OID];

/// The rows that a rule may read: `request(user_key, context)` and `features`, a column per feature.
#[derive(Serialize, Deserialize)]
pub struct RuleInputs {
    request: String,
    features: String,
    /// Names by which a rule refers to the one and to the other.
    of_request: Vec<String>,
    of_features: Vec<String>,
}

impl RuleInputs {
    /// The rows of a request, as parameters.
    pub fn new(features: &[String]) -> RuleInputs {
        RuleInputs::from(features, "$1", "$2", &|i| format!("($3)[{}]", i + 1))
    }

    /// The same rows with nothing in them: against these a rule is checked, so that it cannot name the
    /// parameters of the statement.
    pub fn empty(features: &[String]) -> RuleInputs {
        let (user_key, context) = ("NULL::pg_catalog.uuid", "NULL::pg_catalog.jsonb");
        RuleInputs::from(features, user_key, context, &|_| {
            "NULL::pg_catalog.float8".to_owned()
        })
    }

    fn from(
        features: &[String],
        user_key: &str,
        context: &str,
        feature: &dyn Fn(usize) -> String,
    ) -> RuleInputs {
        let mut columns = String::new();
        for (i, name) in features.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let quoted = as_column(name).replace('"', "\"\"");
            write!(columns, "{comma}{} AS \"{quoted}\"", feature(i)).expect("writing to memory");
        }
        let of_request = ["request", "user_key", "context", UNICODE];
        let of_features = ["features", UNICODE].into_iter().map(str::to_owned);
        RuleInputs {
            request: format!("(SELECT {user_key} AS user_key, {context} AS context) AS request"),
            features: format!("(SELECT {columns}) AS features"),
            of_request: of_request.map(str::to_owned).into(),
            of_features: of_features
                .chain(features.iter().map(|name| normalized(as_column(name))))
                .collect(),
        }
    }

    /// Both, as a FROM clause lists them.
    pub fn all(&self) -> String {
        format!("{}, {}", self.request, self.features)
    }

    /// Those that any of these rules may refer to: the server visits every column of a row whenever it
    /// starts the plan.
    pub fn read_by<'a>(&self, rules: impl Iterator<Item = &'a str>) -> Vec<&str> {
        let texts: Vec<String> = rules.map(normalized).collect();
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

/// How a name begins that has escapes, and so may be any name.
const UNICODE: &str = "u&";

/// The name of the column that holds a feature: what the server keeps of a name.
fn as_column(feature: &str) -> &str {
    &feature[..feature.floor_char_boundary(pg_sys::NAMEDATALEN as usize - 1)]
}

/// A text in which names can be searched for: in lower case, and without quotes.
fn normalized(text: &str) -> String {
    text.to_ascii_lowercase().replace('"', "")
}

/// Whether the rule has to be evaluated per action. A false positive (`transaction`) costs speed only.
pub fn looks_at_action(text: &str) -> bool {
    text.to_ascii_lowercase().contains("action")
}

/// The role that rules run as, or why they cannot.
pub(super) fn rule_role() -> Result<pg_sys::Oid, String> {
    let Some(name) = settings::rule_role() else {
        return Err("pg_decide.rule_role is not set".into());
    };
    let fault = match identity::role(&name) {
        None => "does not exist",
        Some(role) if identity::is_superuser(role) => "is a superuser",
        Some(role) => return Ok(role),
    };
    let name = name.to_string_lossy();
    Err(format!("pg_decide.rule_role: role \"{name}\" {fault}"))
}
