-- Pacing of real budgets: the gate in the rows of counters, prices, what sessions and traces know of them, and views.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('none', 'nothing');
INSERT INTO decide.campaign (campaign) VALUES ('spring');
INSERT INTO decide.action (action, campaign, surfaces, attributes, cost) VALUES
  ('nothing', NULL, '{none}', '{}', 0), ('promo', 'spring', '{home}', '{"worth": 1}', 2.5), ('plain', NULL, '{home}', '{"worth": 0.5}', 1);
INSERT INTO decide.model_version (model, version, family, terms, spec, weights) VALUES
  ('worth', 1, 'linear', '{action.worth}', '{"family": "linear", "terms": [{"factors": [{"source": "action.worth", "encoding": "number"}]}]}', '{1}');
SELECT decide.approve('worth', 1);
INSERT INTO decide.policy (policy, surface, model, selection) VALUES ('home', 'home', 'worth', 'greedy');
CREATE FUNCTION shown(times integer) RETURNS TABLE (promo bigint, plain bigint) LANGUAGE sql AS $$
  SELECT count(*) FILTER (WHERE action = 'promo'), count(*) FILTER (WHERE action = 'plain')
    FROM generate_series(1, times) AS g, decide('ann' || g, 'home')
$$;
-- What cannot be paced.
INSERT INTO decide.cap (cap, per, max_count, window_length, window_kind, pacing, campaign, min_count) VALUES
  ('speed', 'all', 10, '1 day', 'calendar', 'fast', 'spring', NULL), ('user', 'user', 10, '1 day', 'calendar', 'even', 'spring', NULL),
  ('sliding', 'all', 10, '1 day', 'sliding', 'even', 'spring', NULL), ('ever', 'all', 10, NULL, 'calendar', 'even', 'spring', NULL),
  ('goal', 'all', 10, NULL, 'calendar', 'none', 'spring', 5), ('too much', 'all', 10, '1 day', 'calendar', 'none', 'spring', 11);
SELECT decide.publish('faults');
DELETE FROM decide.cap;
-- A century, so that the time of the test makes no difference. From now on it is behind its line, and catches up over years.
INSERT INTO decide.cap (cap, campaign, per, max_count, window_length, pacing, stripes) VALUES ('century', 'spring', 'all', 1000, '100 years', 'even', 1);
SELECT decide.publish('paced');
SELECT * FROM shown(5);
SELECT action, step, reason FROM decide.explain('ann', 'home') ORDER BY action;
SELECT DISTINCT blocked, blocked_reasons FROM decide.decision;
-- Three are allowed; but an allowance of more than a burst, which is two here, is no store for later.
UPDATE decide.budget_stripe SET allowed = 3, paced_at = clock_timestamp();
\c -
SELECT * FROM shown(20);
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
SELECT allowed BETWEEN 2 AND 2.001 AS allowed, paced_at > now() - interval '1 hour' AS lately, ledger[2] AS taken FROM decide.budget_stripe;
SELECT cap, max_count, spent, reserved, free, pacing, target, price FROM decide.budget;
-- The job: prices go up while decisions find it shut.
SELECT decide.run_job('pacing');
SELECT cap, round(target::numeric) BETWEEN 100 AND 990 AS target, price, throttled, forecast_end FROM decide.budget;
SELECT * FROM shown(10);
SELECT decide.run_job('pacing');
SELECT price > 0 AND price < 1e-6 AS dearer, throttled FROM decide.budget;
SELECT count(*), bool_and(delivered = 2) FROM decide.pacing_log;
-- What a price does, for sessions that are there already, at once: the promotion is worth 0.5 more than the other.
UPDATE decide.budget_stripe SET allowed = 500, paced_at = clock_timestamp();
\c -
SELECT * FROM shown(2);
UPDATE decide.pacing SET lambda = 0.6;
SELECT decide.run_job('pacing');
SELECT * FROM shown(3);
SELECT action, round(score::numeric, 4) AS score FROM decide.explain('ann', 'home') ORDER BY action;
SELECT round(duals[2]::numeric, 4) AS price, count(*) FROM decide.trace AS t JOIN decide.cap_slot AS s ON s.slot = duals[1] WHERE duals[2] > 0.1 GROUP BY 1;
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
SELECT bool_and(abs(p - 1) < 1e-9) FROM (SELECT (SELECT sum(x) FROM unnest(probabilities) AS x) AS p FROM decide.decision) AS d;
-- Per cost: 0.25 for a cost of 1 is 0.625 for the promotion.
UPDATE decide.cap SET unit = 'cost';
SELECT decide.publish('by cost');
SELECT decide.run_job('pacing');
UPDATE decide.pacing SET lambda = 0.25 WHERE slot = (SELECT max(slot) FROM decide.cap_slot);
SELECT decide.run_job('pacing');
SELECT action, round(score::numeric, 3) AS score FROM decide.explain('ann', 'home') WHERE step <> 'cap' ORDER BY action;
UPDATE decide.budget_stripe SET allowed = 1e9, paced_at = clock_timestamp();
\c -
SELECT action, round(score::numeric, 3) AS score FROM decide.explain('ann', 'home') ORDER BY action;
-- A goal that is missed earns a bonus.
UPDATE decide.action SET attributes = '{"worth": 0.2}' WHERE action = 'promo';
UPDATE decide.cap SET unit = 'count', pacing = 'none', min_count = 800;
SELECT decide.publish('goal');
UPDATE decide.pacing SET lambda = 0;
SELECT decide.run_job('pacing');
\c -
SELECT * FROM shown(5);
SELECT decide.run_job('pacing');
SELECT min_count, price < 0 AND price > -1e-6 AS bonus FROM decide.budget;
UPDATE decide.pacing SET lambda = -1;
SELECT * FROM shown(1);
SELECT decide.run_job('pacing');
SELECT action, round(score::numeric, 4) AS score FROM decide.explain('ann', 'home') ORDER BY action;
-- A cut: what is left is less, and there are no more than before.
UPDATE decide.cap SET pacing = 'even', min_count = NULL, max_count = 12;
SELECT decide.publish('cut');
SELECT * FROM shown(3);
SELECT max_count, spent, free FROM decide.budget;
-- A forecast follows the hours of the week that traces tell of: there is traffic by night alone.
INSERT INTO decide.trace (decision_id, user_key, decided_at, context_hash, seed, bundle, filled, surface, stage_us, actions, chosen, candidates)
SELECT decide.first_identifier(n.at), gen_random_uuid(), n.at, 0, 0, 1, 1, 'home', '{0,0,0,0,0,0}', '{1}', '{1}', '{1}'
  FROM generate_series(1, 14) AS d, generate_series(1, 350, 5) AS m,
       LATERAL (SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - make_interval(days => d, mins => -m) AS at) AS n;
UPDATE decide.cap SET pacing = 'forecast', window_length = '1 day', max_count = 1000;
SELECT decide.publish('forecast');
SELECT decide.run_job('pacing');
SELECT array_length(forecast, 1) / 2 AS points, round((forecast[14] / forecast[50])::numeric, 1) AS "by 6:00", forecast[49] AS end
  FROM decide.pacing WHERE forecast IS NOT NULL;
SELECT surface, round(counts[3]) > 10 AS night, round(counts[20]) < 30 AS evening FROM decide.traffic_profile WHERE surface = 'home';
SELECT cap, surface, action, count(*) > 0 AS hours, sum(decisions) > 0 AS times FROM decide.cap_hit GROUP BY 1, 2, 3;
-- One that follows no line is looked at once a minute, and has a forecast of its end too.
UPDATE decide.cap SET pacing = 'none', window_length = NULL;
SELECT decide.publish('none');
SELECT decide.run_job('pacing');
UPDATE decide.action SET attributes = '{"worth": 1}' WHERE action = 'promo';
SELECT decide.publish('worth it');
SELECT * FROM shown(5);
SELECT decide.run_job('pacing');
UPDATE decide.pacing SET stepped_at = stepped_at - interval '2 minutes';
SELECT decide.run_job('pacing');
SELECT spent, free, window_end, target, price, forecast_end BETWEEN now() + interval '5 hours' AND now() + interval '8 hours' AS lasts FROM decide.budget;
