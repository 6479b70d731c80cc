//! The aggregates of evaluation over real logs, against what reference libraries say of them.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::shop;
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

/// How many decisions there are before and after.
const VISITS: i32 = 20_000;

/// Standard errors of an interval at 95 %.
const Z: f64 = 1.96;

/// The chance of a click on an action in a context, which the shop does not know.
const CHANCE: &str = "CASE device WHEN 'phone' THEN 0.05 + 0.08 * substr(action, 2)::int ELSE 0.3 - 0.04 * substr(action, 2)::int END";

/// A policy that is judged from the traffic of another brings what was promised, once it is in force. Draws and clicks have
/// seeds, so that this holds in every run or in none.
pub fn keeps_its_promise(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute("UPDATE decide.surface SET latency_budget = '1 minute'")?;
    shop::choose_by(&mut client, "uniform", "{}", 1)?;
    client.batch_execute(
        "CREATE TABLE visit (i int, device text, action text, decision_id uuid); \
         UPDATE decide.policy SET selection = 'softmax', params = '{\"temperature\": 0.4}'",
    )?;
    traffic(&mut client, 1)?;
    let promised = client.query(
        "SELECT estimator, value, std_error FROM decide.evaluate_policy('home', 'home', outcome => 'click') \
          WHERE estimator IN ('ips', 'snips', 'dr', 'sndr')",
        &[],
    )?;
    ensure!(promised.len() == 4, "{} promises", promised.len());
    client.batch_execute("SELECT decide.publish('what was judged'); TRUNCATE visit")?;
    let truth: f64 = client
        .query_one(
            &format!(
                "SELECT avg(p.chance) FROM (VALUES ('phone'), ('desk')) AS d (device), \
                   LATERAL (SELECT sum(probability * {CHANCE}) AS chance \
                              FROM decide.explain('anybody', 'home', jsonb_build_object('device', device))) AS p"
            ),
            &[],
        )?
        .get(0);
    traffic(&mut client, VISITS + 1)?;
    let row = client.query_one(
        "SELECT avg(c)::float8, stddev_samp(c)::float8 / sqrt(count(*)) \
           FROM (SELECT count(o.event_id) AS c FROM visit AS v LEFT JOIN decide.outcome AS o USING (decision_id) GROUP BY v.i) AS earned",
        &[],
    )?;
    let (earned, error): (f64, f64) = (row.get(0), row.get(1));
    let mut best = f64::INFINITY;
    for row in &promised {
        let estimator: &str = row.get(0);
        let (value, own): (f64, f64) = (row.get(1), row.get(2));
        best = best.min(own);
        ensure!(
            (truth - value).abs() <= Z * own,
            "{estimator} promises {value} ± {}, and the policy is worth {truth}",
            Z * own
        );
        let reach = Z * own.hypot(error);
        ensure!(
            (earned - value).abs() <= reach,
            "{estimator} promises {value}, and the policy has earned {earned}: more than {reach} apart"
        );
    }
    let naive: f64 = client
        .query_one(
            "SELECT value FROM decide.evaluate_policy('home', 'home', \"to\" => (SELECT min(decide.decided_at(decision_id)) FROM visit), outcome => 'click') WHERE estimator = 'logged'",
            &[],
        )?
        .get(0);
    ensure!(
        (truth - naive).abs() > Z * best,
        "the log itself has earned {naive}, hardly less than the policy is worth, {truth}: this tells nothing"
    );
    Ok(())
}

/// Decides for so many new users, from that one on, and tracks their clicks.
fn traffic(client: &mut postgres::Client, first: i32) -> Result<()> {
    client.batch_execute(&format!(
        "DO $$ BEGIN \
           FOR i IN {first} .. {first} + {VISITS} - 1 LOOP \
             PERFORM set_config('pg_decide.seed', (i * 7919)::text, false); \
             INSERT INTO visit SELECT i, x.device, d.action, d.decision_id \
               FROM (SELECT CASE i % 2 WHEN 0 THEN 'phone' ELSE 'desk' END AS device) AS x, \
                    decide(i, 'home', jsonb_build_object('device', x.device)) AS d; \
           END LOOP; \
         END $$; \
         SELECT count(track(jsonb_build_object('event_id', 'click-' || i, 'type', 'click', 'user_id', i, 'at', clock_timestamp(), \
                                               'decision_id', decision_id, 'action', action))) \
           FROM visit WHERE (hashint8(i * 31) & 1048575) / 1048576.0 < {CHANCE}"
    ))?;
    Ok(())
}
