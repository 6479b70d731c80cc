-- How long outcomes take is fitted from decisions that may yet have one; what is to come makes young ones whole.
\pset null -
SET pg_decide.attribution_lag = 0;
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('none', 'nothing');
INSERT INTO decide.action (action, surfaces, attributes) VALUES ('nothing', '{none}', '{}'), ('fast', '{home}', '{"pace": "fast"}'), ('slow', '{home}', '{"pace": "slow"}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
INSERT INTO decide.outcome_type (outcome_type, event_types, match_by, window_length, delay_attribute) VALUES ('order', '{order}', 'action', '3 days', 'pace');
INSERT INTO decide.outcome_type (outcome_type, event_types, match_by, window_length, value_path) VALUES ('value', '{order}', 'action', '3 days', 'value');
SELECT decide.publish();
SELECT decide.run_job('outcome_delays');
SELECT count(*) FROM decide.outcome_interim;
-- both actions convert three of ten, the one after an hour, the other after twenty; decisions are up to four days old
SELECT setseed(0.25);
CREATE TABLE truth AS
SELECT n, 'user' || n AS user_id, 'home' AS surface, now() - random() * interval '4 days' AS decided_at, CASE WHEN n % 2 = 0 THEN 'fast' ELSE 'slow' END AS action, 0.5::float8 AS propensity,
       CASE WHEN random() < 0.3 THEN -ln(1 - random()) * CASE WHEN n % 2 = 0 THEN 1 ELSE 20 END END AS hours
  FROM generate_series(1, 6000) AS n;
SELECT decide.import_decisions('truth', 'simulated');
SELECT accepted FROM track(ARRAY(SELECT jsonb_build_object('event_id', 'o', 'type', 'order', 'user_id', t.user_id, 'at', t.decided_at + t.hours * interval '1 hour', 'action', t.action, 'value', 10)
                                   FROM truth AS t WHERE t.decided_at + t.hours * interval '1 hour' < now())) AS told, LATERAL (SELECT accepted > 1000 AS accepted) AS a (many);
SELECT decide.run_job('attribution') LIKE '% events %' AS done;
SELECT decide.run_job('outcome_delays');
SELECT outcome_type, surface, cohort, version, family, abs(share - 0.3) < 0.04 AS share, CASE cohort WHEN 'fast' THEN abs(scale / 3600 - 1) < 0.15 WHEN 'slow' THEN abs(scale / 72000 - 1) < 0.25 END AS scale,
       exposures, round(mean_value::numeric, 1) AS value
  FROM decide.outcome_delay ORDER BY 1, 2, 3;
-- fitted again: another version
SELECT decide.run_job('outcome_delays');
SELECT version, count(*) FROM decide.outcome_delay GROUP BY 1 ORDER BY 1;
-- realized, expected and matured, side by side; the truth is 0.3, less what takes longer than the window
SELECT i.outcome_type, i.policy, i.action, i.exposures, abs((i.converted + i.conversions_to_come) / i.exposures - 0.3) < 0.03 AS interim, i.converted::float8 / i.exposures > 0.27 AS naive,
       abs(f.value_per_exposure - 0.3) < 3 * f.std_error + 0.01 AS final, i.low < i.value_per_exposure AND i.value_per_exposure < i.high AND f.std_error > 0.9 * i.std_error AS intervals, i.delay_version
  FROM decide.outcome_interim AS i JOIN decide.outcome_final AS f USING (outcome_type, surface, action) WHERE i.outcome_type = 'order' ORDER BY 3;
SELECT count(*) AS of_a_time FROM decide.outcome_estimates(now() - interval '1 day', now()) WHERE exposures < 1000;
-- a model of naive labels takes the slow action for the worse one, by a third; one of corrected labels does not
SELECT decide.train('naive', 'home', '{action}', 'order', 'linear', l2 => 0.001, holdout => 0), decide.train('whole', 'home', '{action}', 'order', 'linear', l2 => 0.001, holdout => 0, delay_corrected => true),
       decide.train('naive odds', 'home', '{action}', 'order', l2 => 0.001, holdout => 0), decide.train('whole odds', 'home', '{action}', 'order', l2 => 0.001, holdout => 0, delay_corrected => true);
SELECT m.model, CASE m.family WHEN 'linear' THEN round((m.weights[2] - m.weights[3])::numeric, 1) ELSE round((m.weights[2] - m.weights[3])::numeric / 5, 1) END AS difference, m.hyperparameters ->> 'delay_version' AS delay_version
  FROM decide.model_version AS m ORDER BY 1;
SELECT decide.train('none', 'home', '{action}', 'click', delay_corrected => true);
-- who learns and judges reads what is credited; where an outcome type has no such name, the events of that type
SELECT abs(sum(r.reward) - (SELECT sum(c.net_value) FROM decide.credited_outcome AS c WHERE c.outcome_type = 'value')) < 1e-6 AS as_credited, count(*) > 1000 AS many
  FROM decide.rewards('value', '-infinity', 'infinity') AS r;
SELECT count(*) FROM decide.rewards('click', '-infinity', 'infinity');
-- what cannot be fitted
SELECT decide.fit_delay('{}', '{}', '{}'), decide.fit_delay('{1,2}', '{1,1}', '{f,f}'), decide.fit_delay('{NaN}', '{1}', '{t}'), decide.still_to_come(0.5, 1, 1, 9, 9), decide.still_to_come(0.5, 0, 1, 1, 9), decide.seen_by_now(1, 1, 'NaN', 1);
