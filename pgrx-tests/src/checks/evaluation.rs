//! The aggregates of evaluation over real logs, against what reference libraries say of them.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::demo::data;
use crate::temporary::Database;
use crate::workspace::Workspace;

/// Columns of the logs that are read: row, timestamp, item_id, position, click, propensity_score.
const COLUMNS: usize = 6;

/// The six logs under the target and the model of the golden file: item i has the weight 1 + (7·i mod 5), and the value
/// (clicks + 1) / (rows + 100).
const JUDGED: &str = "
  CREATE TABLE judged AS
  WITH item AS (
    SELECT i, 1.0 + (7 * i) % 5 AS weight, (count(l.item) FILTER (WHERE l.click = 1) + 1)::float8 / (count(l.item) + 100) AS q
      FROM generate_series(0, (SELECT max(item) FROM log)) AS i LEFT JOIN log AS l ON l.item = i GROUP BY i
  ), policy AS (
    SELECT i, q, weight::float8 / (SELECT sum(weight)::float8 FROM item) AS target FROM item
  )
  SELECT l.click AS reward, l.propensity AS logged, p.target, p.q AS q_logged, (SELECT sum(target * q) FROM policy) AS q_target
    FROM log AS l JOIN policy AS p ON p.i = l.item";

const GOLDEN: &str = include_str!("../../golden/open_bandit.json");

#[derive(Deserialize)]
struct Golden {
    most_weight: f64,
    threshold: f64,
    lambda: f64,
    estimates: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    policy: String,
    campaign: String,
    estimator: String,
    value: f64,
    std_error: f64,
    ess: Option<f64>,
    max_weight: Option<f64>,
    mean_weight: Option<f64>,
}

/// Every estimator over the six logs of the Open Bandit Dataset agrees with obp.
pub fn agrees_with_obp(database: &Database) -> Result<()> {
    let golden: Golden = serde_json::from_str(GOLDEN)?;
    let folder = data::folder(&Workspace::find()?)?;
    let logs = folder.parent().and_then(|folder| folder.parent());
    let logs = logs.context("the folder of the logs")?;
    let mut client = database.connect()?;
    let mut compared = 0;
    for policy in ["random", "bts"] {
        for campaign in ["all", "men", "women"] {
            let path = logs
                .join(policy)
                .join(campaign)
                .join(format!("{campaign}.csv"));
            let csv = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            client.batch_execute(
                "DROP TABLE IF EXISTS log, judged; \
                 CREATE TABLE log (nr integer, at text, item integer, place integer, click float8, propensity float8)",
            )?;
            data::copy(&mut client, "log", &data::first_columns(&csv, COLUMNS))?;
            client.batch_execute(JUDGED)?;
            let references = golden.estimates.iter();
            for expected in references.filter(|of| of.policy == policy && of.campaign == campaign) {
                let log = "reward, logged, target";
                let model = "reward, logged, target, q_logged, q_target";
                let arguments = match expected.estimator.as_str() {
                    "ips" | "snips" => log.to_owned(),
                    "cips" => format!("{log}, {}", golden.most_weight),
                    "dm" => "q_target".to_owned(),
                    "switch_dr" => format!("{model}, {}", golden.threshold),
                    "dros" => format!("{model}, {}", golden.lambda),
                    _ => model.to_owned(),
                };
                let query = format!(
                    "SELECT (decide.{}({arguments})).* FROM judged",
                    expected.estimator
                );
                let row = client.query_one(&query, &[])?;
                for (column, expected) in [
                    ("value", Some(expected.value)),
                    ("std_error", Some(expected.std_error)),
                    ("ess", expected.ess),
                    ("max_weight", expected.max_weight),
                    ("mean_weight", expected.mean_weight),
                ] {
                    let found: Option<f64> = row.get(column);
                    let same = match (found, expected) {
                        (Some(found), Some(expected)) => {
                            (found - expected).abs() <= 1e-9 * (1.0 + expected.abs())
                        }
                        (found, expected) => found == expected,
                    };
                    ensure!(
                        same,
                        "{policy}/{campaign}: {column} of {query} is {found:?}, not {expected:?}"
                    );
                }
                compared += 1;
            }
        }
    }
    ensure!(compared == 48, "{compared} estimates were compared");
    Ok(())
}
