-- Features of actions and of surfaces: counted by track(), brought together by a job, used by models as of a snapshot that the trace names.
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 1, 'nothing'), ('feed', 1, 'nothing');
INSERT INTO decide.action (action, attributes) VALUES ('nothing', '{}'), ('sneaker', '{"price": 80}'), ('boot', '{"price": 120}'), ('hat', '{"price": 20}');
INSERT INTO decide.feature (feature, entity, event_type, aggregate, value_path, trial_event_type, prior_weight, prior_rate, filter, ttl, offline_only, default_value) VALUES
  ('ctr', 'action', 'click', 'rate', NULL, 'impression', 0, NULL, '{}', NULL, false, 0.25),
  ('clicks', 'action', 'click', 'decayed_count', NULL, NULL, 0, NULL, '{}', NULL, false, 0),
  ('sold', 'action', 'order', 'decayed_sum', 'value', NULL, 0, NULL, '{"value": {"min": 10}}', NULL, false, -1),
  ('lately', 'action', 'click', 'decayed_count', NULL, NULL, 0, NULL, '{}', '1 hour', false, 0),
  ('aside', 'action', 'click', 'decayed_count', NULL, NULL, 0, NULL, '{}', NULL, true, 0),
  ('views', 'surface', 'impression', 'decayed_count', NULL, NULL, 0, NULL, '{}', NULL, false, 0),
  ('own', 'user', 'click', 'decayed_count', NULL, NULL, 0, NULL, '{}', NULL, false, 0);
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at) VALUES ('m', 1, 'linear', '{action.ctr,action.sold,surface.views}',
  '{"family": "linear", "terms": [{"factors": [{"source": "action.ctr", "encoding": "number"}]}, {"factors": [{"source": "action.sold", "encoding": "number"}]},
     {"factors": [{"source": "surface.views", "encoding": "number"}]}]}', '{1,10,100}', now());
INSERT INTO decide.policy (policy, surface, selection, model, params) VALUES ('home', 'home', 'softmax', 'm', '{"temperature": 100}');
-- before anything is published the job has nothing to do
SELECT decide.run_job('action_features');
SELECT decide.publish();

CREATE FUNCTION event(id text, type text, action text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', id, 'type', type, 'user_id', 'ann', 'at', clock_timestamp(), 'action', action) || more
$$;
CREATE VIEW seen AS SELECT entity, name, feature, round(value::numeric, 4) AS value FROM decide.entity_features;
CREATE VIEW scores AS SELECT action, round(score::numeric, 4) AS score FROM decide.explain('ann', 'home');

-- nothing is known: default values, and no snapshot in the trace
SELECT * FROM scores ORDER BY 1;
CREATE TABLE made AS SELECT 1 AS round, * FROM decide('ann', 'home');
SELECT decide.run_job('action_features');
SELECT * FROM seen;

-- several events, some of them twice, some about what the bundle does not have
SELECT * FROM track(ARRAY[
  event('i1', 'impression', 'sneaker', '{"surface": "home"}'), event('i2', 'impression', 'sneaker', '{"surface": "home"}'), event('i3', 'impression', 'boot', '{"surface": "feed"}'),
  event('i4', 'impression', 'sneaker', '{"surface": "elsewhere"}'), event('i5', 'impression', 'gone'),
  event('c1', 'click', 'sneaker'), event('c1', 'click', 'sneaker'), event('c2', 'click', 'boot'), event('c3', 'click', 'gone'), event('c4', 'click', NULL),
  event('c5', 'click', 'boot', jsonb_build_object('at', now() - interval '3 hours')),
  event('o1', 'order', 'sneaker', '{"value": 80}'), event('o2', 'order', 'sneaker', '{"value": 5}'), event('o3', 'order', 'hat', '{"value": 20}')]);
SELECT entity, name, stripe = pg_backend_pid() AS own_row FROM decide.entity_state ORDER BY 1, 2;
-- not in force before the job has run
SELECT count(*) FROM seen;
SELECT * FROM scores ORDER BY 1;
SELECT decide.run_job('action_features');
SELECT entity, name, stripe FROM decide.entity_state ORDER BY 1, 2;
SELECT * FROM seen ORDER BY 1, 2, 3;
SELECT * FROM scores ORDER BY 1;
-- what is the same is not written again, unless it would grow too old
SELECT decide.run_job('action_features');
SELECT count(*) FROM decide.entity_snapshot;
SET pg_decide.snapshot_max_age = 1;
SELECT pg_sleep(0.6);
SELECT decide.run_job('action_features');
SELECT count(*) FROM decide.entity_snapshot;

-- the trace names the snapshot; what is older than the bound is not used
RESET pg_decide.snapshot_max_age;
INSERT INTO made SELECT 2, * FROM decide('ann', 'home');
SELECT pg_sleep(1.1);
SET pg_decide.snapshot_max_age = 1;
SELECT * FROM scores ORDER BY 1;
INSERT INTO made SELECT 3, * FROM decide('ann', 'home');
SET pg_decide.snapshot_max_age = 0;
SELECT * FROM scores ORDER BY 1;
RESET pg_decide.snapshot_max_age;
SELECT m.round, t.snapshot = (SELECT max(taken_at) FROM decide.entity_snapshot) AS newest, t.decided_at - t.snapshot < interval '1 hour' AS fresh
  FROM made AS m JOIN decide.trace AS t USING (decision_id) ORDER BY 1;

-- more events, counted on top; a job that is rolled back leaves nothing behind, not in this session either
SELECT * FROM track(ARRAY[event('c6', 'click', 'sneaker'), event('o4', 'order', 'boot', '{"value": 100}')]);
BEGIN;
SELECT decide.run_job('action_features');
SELECT * FROM scores ORDER BY 1;
ROLLBACK;
SELECT * FROM scores ORDER BY 1;
SELECT decide.run_job('action_features');
INSERT INTO made SELECT 4, * FROM decide('ann', 'home');
SELECT name, value FROM seen WHERE feature = 'clicks' ORDER BY 1;

-- each is recomputed with the snapshot of then
SELECT m.round, r.* FROM made AS m, decide.replay(m.decision_id) AS r ORDER BY 1;
SELECT count(DISTINCT t.snapshot), count(DISTINCT t.scores) FROM decide.trace AS t;
-- and a bundle that is published later has the values at once, but for definitions that are others
UPDATE decide.feature SET half_life = '100 years' WHERE feature = 'sold';
SELECT decide.publish();
SELECT * FROM scores ORDER BY 1;
SELECT m.round, r.agrees FROM made AS m, decide.replay(m.decision_id) AS r ORDER BY 1;
UPDATE decide.feature SET half_life = NULL WHERE feature = 'sold';
SELECT decide.publish();
SELECT * FROM scores ORDER BY 1;

-- training sees what was seen: the label is 2 ctr + 3 views of then, to the last bit but for the penalty
CREATE TABLE shown AS SELECT d.decision_id, d.action FROM generate_series(1, 60) AS i, decide(i, 'home') AS d;
SELECT * FROM track(ARRAY[event('i6', 'impression', 'boot', '{"surface": "home"}'), event('i7', 'impression', 'hat', '{"surface": "home"}'), event('c7', 'click', 'hat')]);
SELECT decide.run_job('action_features');
INSERT INTO shown SELECT d.decision_id, d.action FROM generate_series(1, 60) AS i, decide(i, 'home') AS d;
INSERT INTO decide.outcome (user_key, decision_id, event_id, decided_at, at, type, action, value)
  SELECT t.user_key, t.decision_id, 'o', t.decided_at, now(), 'gain', s.action,
         2 * COALESCE((c.content #>> ARRAY['action', 'ctr', s.action])::float8, 0.25) + 3 * (c.content #>> '{surface,views,home}')::float8
    FROM shown AS s JOIN decide.trace AS t USING (decision_id) JOIN decide.entity_snapshot AS c ON c.taken_at = t.snapshot;
SELECT count(DISTINCT t.snapshot) FROM shown JOIN decide.trace AS t USING (decision_id);
SELECT decide.train('t', 'home', '{action.ctr,surface.views}', outcome => 'gain', family => 'linear', l2 => 1e-9, holdout => 0, decided_from => (SELECT decide.decided_at(min(decision_id::text)::uuid) FROM shown));
SELECT spec #>> '{terms,1,factors,0}' AS first, spec #>> '{terms,2,factors,0}' AS second, (SELECT array_agg(round(w::numeric, 3)) FROM unnest(weights) AS w) AS weights FROM decide.model_version WHERE model = 't';
SELECT bool_and(r.agrees) FROM shown AS s, decide.replay(s.decision_id) AS r;

-- features(user_id) is about users alone, and so are rules
SELECT feature FROM decide.features('ann');
-- the rows of several sessions are brought together, and those of a definition that is no longer in force with them
INSERT INTO decide.entity_state (entity, name, stripe, features) SELECT s.entity, s.name, i, s.features FROM decide.entity_state AS s, generate_series(1, 600) AS i WHERE s.stripe = 0 AND s.name IN ('sneaker', 'home');
DELETE FROM decide.feature WHERE feature = 'clicks';
SELECT decide.publish();
SELECT decide.run_job('action_features');
SELECT name, count(*), max(stripe) FROM decide.entity_state GROUP BY 1 ORDER BY 1;
SELECT name, feature, value FROM seen WHERE name IN ('sneaker', 'home') ORDER BY 1, 2;
INSERT INTO decide.feature (feature, entity, event_type, aggregate) VALUES ('clicks', 'action', 'click', 'decayed_count');
SELECT decide.publish();
SELECT decide.run_job('action_features');
SELECT name, value FROM seen WHERE feature = 'clicks' ORDER BY 1;

-- snapshots go after the traces that may need them, but for the one that the oldest of these may have used
INSERT INTO decide.entity_snapshot (taken_at, bundle, content, slots) SELECT now() - i * interval '1 day', 1, '{}', '{}' FROM unnest(ARRAY[3, 8.5, 9.5, 20]) AS i;
SELECT decide.run_job('action_features');
SELECT count(*) FROM decide.entity_snapshot WHERE content = '{}';
SET pg_decide.trace_retention = 7;
SELECT decide.run_job('action_features');
SELECT round(EXTRACT(epoch FROM now() - taken_at) / 86400, 1) AS days FROM decide.entity_snapshot WHERE content = '{}' ORDER BY 1;
RESET pg_decide.trace_retention;
DELETE FROM decide.entity_snapshot;
SELECT decide.replay(decision_id) FROM made WHERE round = 4;

-- faults
CREATE FUNCTION faults(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  EXECUTE change;
  PERFORM decide.publish();
  RAISE EXCEPTION 'published';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN COALESCE(NULLIF(detail, ''), SQLERRM);
END
$$;
SELECT faults(change) FROM (VALUES
  ($$UPDATE decide.action SET attributes = '{"ctr": 1, "views": 2, "own": 3}' WHERE action = 'hat'$$), ($$UPDATE decide.feature SET entity = 'user' WHERE feature = 'views'$$),
  ($$UPDATE decide.feature SET offline_only = true WHERE feature = 'views'$$),
  ($$UPDATE decide.feature SET key_path = 'action' WHERE feature = 'views'$$)) AS c (change);
