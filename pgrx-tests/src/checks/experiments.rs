//! Experiments over real decisions: where variants change nothing, results find nothing more often than chance would.

use anyhow::{Result, ensure};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::temporary::Database;

/// A surface of two slots with caps per user and for all, and experiments that change nothing, whose units are all users.
const SHOP: &str = "
  INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 2, 'nothing');
  INSERT INTO decide.action (action) SELECT 'a' || i FROM generate_series(1, 6) AS i;
  INSERT INTO decide.action (action) VALUES ('nothing');
  INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('user', 'a1', 'user', 1), ('all', 'a2', 'all', 500);
  INSERT INTO decide.policy (policy, surface, selection) VALUES ('even', 'home', 'uniform');
  INSERT INTO decide.experiment (experiment, status, sticky) SELECT 'aa' || i, 'running', i % 2 = 0 FROM generate_series(1, 120) AS i;
  INSERT INTO decide.variant (experiment, variant, position, weight)
    SELECT 'aa' || i, v.variant, v.position, v.weight FROM generate_series(1, 120) AS i, (VALUES ('one', 0, 0.4), ('other', 1, 0.6)) AS v (variant, position, weight);
  SELECT decide.publish()";

/// Three decisions of each user, and what came of them: users differ, and come back.
const TRAFFIC: &str = "
  SELECT count(*) FROM generate_series(1, 500) AS u, generate_series(1, 3) AS n, LATERAL decide(u, 'home') AS d,
    LATERAL track(jsonb_build_object('event_id', format('%s %s %s', u, n, d.slot), 'type', 'order', 'user_id', u, 'at', now(), 'decision_id', d.decision_id,
      'action', d.action, 'value', hashint4(u) % 7 + hashint4(u * 31 + n * 7 + d.slot) % 5)) AS t
   WHERE n <= 1 + abs(hashint4(u)) % 3";

const RESULTS: &str = "
  SELECT r.p_value, r.srm_p FROM decide.experiment AS e, LATERAL decide.experiment_result(e.experiment, 'order', per => $1) AS r";

/// The p-values of differences and of sample ratios are uniform, for the mean of a user and for that of a decision.
pub fn without_an_effect_find_none(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    client.batch_execute(SHOP)?;
    client.batch_execute(TRAFFIC)?;
    for per in ["user", "decision"] {
        let mut p_values: [Vec<f64>; 2] = Default::default();
        for row in client.query(RESULTS, &[&per])? {
            p_values[0].push(row.get(0));
            p_values[1].push(row.get(1));
        }
        for (what, p_values) in ["differences", "sample ratios"].iter().zip(&p_values) {
            ensure!(p_values.len() == 120, "{} {what}", p_values.len());
            let mut tenths = [0.0; 10];
            for p in p_values {
                tenths[((p * 10.0) as usize).min(9)] += 1.0;
            }
            let expected = p_values.len() as f64 / 10.0;
            let square = |count: &f64| (count - expected) * (count - expected) / expected;
            let square: f64 = tenths.iter().map(square).sum();
            let chance = 1.0 - ChiSquared::new(9.0)?.cdf(square);
            ensure!(
                chance > 1e-6,
                "per {per}, p-values of {what} are not uniform: {tenths:?}"
            );
        }
    }
    Ok(())
}
