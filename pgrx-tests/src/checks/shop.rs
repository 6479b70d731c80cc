//! A small shop that checks decide for: actions with a value, and a model that scores by it.

use anyhow::Result;
use postgres::Client;

/// Creates the shop's actions a1 to a6, the surface home, a model, a feature and a policy; publishes.
pub fn open(client: &mut Client) -> Result<()> {
    client.batch_execute(
        r#"
        INSERT INTO decide.surface (surface, fallback_action, context_fields)
          VALUES ('home', 'nothing', '{device}');
        INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{elsewhere}');
        INSERT INTO decide.surface (surface, fallback_action) VALUES ('elsewhere', 'nothing');
        INSERT INTO decide.action (action, surfaces, attributes)
          SELECT 'a' || i, '{home}', pg_catalog.jsonb_build_object('value', i)
            FROM pg_catalog.generate_series(1, 6) AS i;
        INSERT INTO decide.feature (feature, event_type, aggregate, half_life)
          VALUES ('clicks', 'click', 'decayed_count', '1 day');
        INSERT INTO decide.model_version (model, version, family, terms, spec, weights, covariance, approved_at)
          VALUES ('value', 1, 'linear', '{action.value,user.clicks}',
                  '{"family": "linear", "terms": [
                     {"factors": [{"source": "action.value", "encoding": "number"}]},
                     {"factors": [{"source": "user.clicks", "encoding": "number"},
                                  {"source": "action.value", "encoding": "number"}]}]}',
                  '{0.3,-0.05}', '{0.01,0.001,0.002}', pg_catalog.now());
        INSERT INTO decide.policy (policy, surface, model, selection)
          VALUES ('home', 'home', 'value', 'softmax');
        SELECT decide.publish('the shop opens');
        "#,
    )?;
    Ok(())
}

/// Publishes another way to choose.
pub fn choose_by(client: &mut Client, selection: &str, params: &str, slots: i32) -> Result<()> {
    client.execute(
        "UPDATE decide.policy SET selection = $1, params = $2::text::jsonb",
        &[&selection, &params],
    )?;
    client.execute(
        "UPDATE decide.surface SET slots = $1 WHERE surface = 'home'",
        &[&slots],
    )?;
    client.execute("SELECT decide.publish($1)", &[&selection])?;
    Ok(())
}

/// One number that a query answers.
pub fn count(client: &mut Client, query: &str) -> Result<i64> {
    Ok(client.query_one(query, &[])?.get(0))
}

/// How many traces there are, and that a replay of each agrees.
pub fn replay_all(client: &mut Client) -> Result<i64> {
    let row = client.query_one(
        "SELECT count(*), count(*) FILTER (WHERE r.agrees), min(r.difference) \
           FROM decide.trace AS t, decide.replay(t.decision_id) AS r",
        &[],
    )?;
    let (all, agree): (i64, i64) = (row.get(0), row.get(1));
    let difference: Option<String> = row.get(2);
    anyhow::ensure!(
        all == agree,
        "{} of {all} replays differ, such as: {difference:?}",
        all - agree
    );
    Ok(all)
}
