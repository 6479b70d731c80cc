-- Long forms of decisions: names, documents, what actions were as of the bundle; and what the planner makes of the views.
SET pg_decide.seed = 7;
SET TimeZone = 'Asia/Kolkata';
INSERT INTO decide.surface (surface, slots, fallback_action, context_fields) VALUES ('home', 2, 'nothing', '{device,city}'), ('empty', 1, 'nothing', '{}');
INSERT INTO decide.campaign (campaign, ends_at) VALUES ('summer', NULL), ('over', '2020-01-01');
INSERT INTO decide.action (action, campaign, surfaces, attributes) VALUES
  ('nothing', NULL, '{empty}', '{}'), ('hat', 'summer', '{home}', '{"category": "hats"}'), ('shoe', NULL, '{home}', '{"category": "shoes"}'),
  ('coat', NULL, '{home}', '{"category": "coats"}'), ('relic', 'over', '{home}', '{"category": "hats"}');
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('clicks', 'click', 'decayed_count'), ('orders', 'order', 'decayed_count');
INSERT INTO decide.feature (feature, event_type, aggregate, value_path, ttl) VALUES ('recent', 'click', 'last', 'value', '1 hour');
INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('one coat', 'coat', 'user', 0);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('empty', 'empty', 'uniform');
SELECT decide.publish();
SELECT track('{"event_id": "1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}'::jsonb);
SELECT slot, action, reason FROM decide('ann', 'home', '{"device": "mobile", "city": "Bern", "secret": 1}');
SELECT slot, action, reason FROM decide('ann', 'empty');

-- what an action was then, also once it is another
UPDATE decide.action SET attributes = '{"category": "headwear", "new": true}', campaign = NULL WHERE action = 'hat';
DELETE FROM decide.action WHERE action = 'relic';
DELETE FROM decide.cap;
UPDATE decide.surface SET context_fields = '{city,device,lang}' WHERE surface = 'home';
DELETE FROM decide.feature WHERE feature = 'orders';
SELECT decide.publish();
SELECT slot, action, reason FROM decide('ann', 'home', '{"lang": "de", "city": "Bern"}');
SELECT decide.rollback(1);
SELECT slot, action, reason FROM decide('ann', 'home', '{"device": "tablet"}');
SELECT number, bundle, campaign, attributes FROM decide.action_version ORDER BY number, bundle;
SELECT bundle, surface, context_fields, features FROM decide.bundle_surface ORDER BY 1, 2;
SELECT d.bundle, d.surface, d.slot, d.action, d.reason, d.campaign, d.attributes, d.context, d.missing FROM decide.decision_detail AS d ORDER BY d.decision_id, d.slot;
SELECT d.bundle, f.key AS feature, f.value::text::float8 BETWEEN 0 AND 1 AS kept FROM decide.decision_detail AS d CROSS JOIN LATERAL jsonb_each(d.features) AS f WHERE d.slot = 1 ORDER BY d.decision_id, 2;

-- one row per candidate: with the same probabilities as in the arrays
SELECT bundle, surface, slot, action, shown, score, round(probability::numeric, 4) AS probability, blocked, blocked_reason
  FROM decide.decision_candidate ORDER BY decision_id, slot, action;
SELECT count(*) AS candidates, count(*) FILTER (WHERE c.probability IS DISTINCT FROM d.probabilities[array_position(d.candidates, c.action)]) AS differ
  FROM decide.decision_candidate AS c JOIN decide.decision AS d USING (decision_id, slot) WHERE NOT c.blocked;
SELECT count(*) AS blocked, count(*) FILTER (WHERE c.blocked_reason IS DISTINCT FROM d.blocked_reasons[array_position(d.blocked, c.action)]) AS differ
  FROM decide.decision_candidate AS c JOIN decide.decision AS d USING (decision_id, slot) WHERE c.blocked;

-- names of one number, of several, of what there is not; and of empty arrays
SELECT decide.action_name(1) IS NOT NULL AS known, decide.action_name(0) AS zero, decide.action_name(-5) AS negative, decide.action_name(2147483647) AS large;
SELECT decide.action_names('{}') AS nothing, decide.action_names(NULL) AS unknown, decide.action_names('{1,NULL,999,2}') AS some, decide.action_names('{{1,2},{3,4}}') AS square;
SELECT decide.candidate_names('{1,-2}') AS three, decide.candidate_numbers('{1,-2,7}') AS numbers, decide.candidate_numbers('{}') AS nothing;
SELECT decide.blocked_reasons('{1,3,100,101,999999,50,NULL,-7}') AS reasons, decide.blocked_reason(100) = (decide.blocked_reasons('{100}'))[1] AS same;
SELECT decide.places(1, 3);
SELECT (decide.action_names('{1,NULL}'))[2] IS NULL AS is_null, array_dims(decide.action_names('{1,2}')), array_dims(decide.action_names('{}')) AS none;

-- what is computed of a decision is computed for the rows that are left: below the sort are columns of the trace
CREATE FUNCTION below_sort(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text; below boolean := false;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
    below := below OR line ~ '->  Sort';
    IF below THEN RETURN NEXT line; END IF;
  END LOOP;
END
$$;
SELECT count(*) > 0 AS sorted, count(*) FILTER (WHERE line ~ '(action_name|action_names|candidate_names|slot_probabilities|blocked_reasons|deferred)\(') AS computed
  FROM below_sort('SELECT * FROM decide.decision ORDER BY decided_at DESC LIMIT 1') AS line;
-- a condition on the time reaches the partitions
CREATE FUNCTION scanned(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, SUMMARY OFF, FORMAT JSON) ' || query INTO plan;
  RETURN (WITH RECURSIVE node (n) AS (
    SELECT plan -> 0 -> 'Plan' UNION ALL SELECT json_array_elements(n -> 'Plans') FROM node WHERE n -> 'Plans' IS NOT NULL)
  SELECT count(DISTINCT n ->> 'Relation Name') FROM node
   WHERE n ->> 'Relation Name' LIKE 'trace\_%' AND (n ->> 'Actual Loops')::numeric > 0 AND n ->> 'Alias' !~ '^(e|f|l)(_|$)');
END
$$;
INSERT INTO decide.trace SELECT decide.first_identifier(n.at), user_key, n.at, context_hash, seed, bundle, filled, first_slot, surface, policy, model_version, mode, reason, origin, stage_us, actions, chosen, candidates,
       scores, choice, features, context_values, blocked, blocked_by FROM decide.trace AS t, (VALUES (now() + interval '1 day'), (now() + interval '2 days')) AS n (at) WHERE t.bundle = 1 AND t.surface = 'home' AND t.context_values[1] = 'mobile';
SELECT count(DISTINCT tableoid) AS partitions FROM decide.trace;
SELECT scanned('SELECT * FROM decide.decision WHERE decided_at > now() + interval ''42 hours'' AND decided_at < now() + interval ''50 hours''') <= 2 AS decision, scanned('SELECT * FROM decide.decision_detail WHERE decided_at > now() + interval ''42 hours'' AND decided_at < now() + interval ''50 hours''') <= 2 AS detail,
       scanned('SELECT * FROM decide.decision_candidate WHERE decided_at > now() + interval ''42 hours'' AND decided_at < now() + interval ''50 hours''') <= 2 AS candidate, scanned('SELECT * FROM decide.slo') > 2 AS slo,
       scanned('SELECT * FROM decide.slo WHERE hour > now() + interval ''42 hours''') <= 2 AS slo_later, scanned('SELECT * FROM decide.cap_hit WHERE hour > now() + interval ''42 hours''') <= 2 AS cap_hit_later;
-- hours are whole ones in UTC, whatever the zone of the session; none is lost
SELECT DISTINCT EXTRACT(minute FROM hour AT TIME ZONE 'UTC') AS minute FROM (SELECT hour FROM decide.slo UNION SELECT hour FROM decide.cap_hit) AS h;
SELECT (SELECT count(*) FROM decide.trace WHERE origin IS NULL) - (SELECT sum(decisions) FROM decide.slo) AS lost, (SELECT sum(decisions) FROM decide.cap_hit) AS blocked;
SELECT surface, bool_and(seconds_per_1000 > 0) AS seconds, bool_and(bytes_per_1000 BETWEEN 250000 AND 600000) AS bytes, sum(cost_per_1000) AS cost FROM decide.slo GROUP BY surface ORDER BY surface;
SET pg_decide.price_cpu_hour = 3600;
SET pg_decide.price_written_gb = 1e9;
SELECT surface, abs(sum(cost_per_1000 - seconds_per_1000 - bytes_per_1000)) < 5 AS agrees FROM decide.slo GROUP BY surface ORDER BY surface;

-- in parallel workers, which read the names themselves
CREATE TABLE serial AS SELECT decision_id, slot, action, candidates, probabilities, blocked, blocked_reasons FROM decide.decision;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off;
SELECT decide.publish();
CREATE TABLE parallel AS SELECT decision_id, slot, action, candidates, probabilities, blocked, blocked_reasons FROM decide.decision;
SELECT count(*) > 5 AS some, count(*) FILTER (WHERE s IS DISTINCT FROM p) AS differ FROM serial AS s FULL JOIN parallel AS p USING (decision_id, slot);
CREATE FUNCTION plan_has(query text, node text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
  RETURN plan::text LIKE '%' || node || '%';
END
$$;
SELECT plan_has('SELECT action, count(*) FROM decide.decision GROUP BY action', 'Gather') AS grouped, plan_has('SELECT * FROM decide.decision', 'Gather') AS whole, plan_has('SELECT * FROM decide.decision_detail', 'Gather') AS detail;
