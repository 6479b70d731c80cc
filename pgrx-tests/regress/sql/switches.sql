-- Kill switches: a campaign, an action, a feature or a coefficient is out of all decisions until it is revived.
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 1, 'a2');
INSERT INTO decide.campaign (campaign) VALUES ('summer'), ('winter');
INSERT INTO decide.action (action, campaign, attributes) VALUES
  ('a1', 'summer', '{"price": 1, "kind": "red"}'), ('a2', NULL, '{"price": 2, "kind": "blue"}'), ('a3', 'summer', '{"price": 3, "kind": "red"}'), ('a4', NULL, '{"price": 4}');
INSERT INTO decide.feature (feature, entity, event_type, aggregate, key_path, default_value) VALUES
  ('visits', 'user', 'visit', 'decayed_count', NULL, 0.5), ('clicks', 'user', 'click', 'decayed_count', NULL, 0), ('liked', 'user', 'click', 'decayed_count', 'action.kind', 0),
  ('sold', 'action', 'order', 'decayed_count', NULL, 0);
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at) VALUES
  ('m', 1, 'linear', '{action.price*user.visits,1,user.liked,action.sold,missing.visits}',
   '{"family": "linear", "terms": [{"factors": [{"source": "action.price", "encoding": "number"}, {"source": "user.visits", "encoding": "number"}]}, {"factors": []},
     {"factors": [{"source": "user.liked", "encoding": "number"}]}, {"factors": [{"source": "action.sold", "encoding": "number"}]}, {"factors": [{"source": "missing.visits", "encoding": "number"}]}]}',
   '{1,100,1000,10000,0.25}', now());
INSERT INTO decide.policy (policy, surface, model, selection) VALUES ('home', 'home', 'm', 'softmax');
SELECT decide.publish();
SET pg_decide.seed = 3;
SELECT track(jsonb_build_object('event_id', type || i, 'type', type, 'user_id', 'ann', 'action', 'a1', 'at', now())) FROM (VALUES ('visit', 1), ('visit', 2), ('click', 3), ('order', 4)) AS e (type, i);
SELECT decide.run_job('action_features');
CREATE FUNCTION scores() RETURNS TABLE (action text, score float8, step text, reason text) LANGUAGE sql AS
  'SELECT action, score, step, reason FROM decide.explain(''ann'', ''home'') ORDER BY 1';
SELECT * FROM scores();
SELECT count(*) FROM decide('ann', 'home');
SELECT switches FROM decide.trace;

-- an action, and all of a campaign
SELECT decide.kill('action', 'a4', 'sold out');
SELECT * FROM scores();
SELECT decide.kill('campaign', 'summer', 'wrong price');
SELECT * FROM scores();
SELECT action, reason FROM decide('ann', 'home');
SELECT candidates, blocked, blocked_reasons, switches FROM decide.decision ORDER BY decided_at DESC LIMIT 1;
-- a killed fallback is the fallback still
SELECT decide.kill('action', 'a2', 'x');
SELECT action, reason FROM decide('ann', 'home');
SELECT kind, name, number, by = session_user AS by_me, why, until FROM decide.switch_in_force ORDER BY number;
SELECT decide.revive('campaign', 'summer', 'the price is right');
SELECT * FROM scores();
SELECT decide.revive('action', 'a2', 'x'), decide.revive('action', 'a4', 'x');
SELECT * FROM scores();

-- a feature counts as missing: of the user, per key, of the action
SELECT feature, value FROM decide.features('ann') WHERE updated_at IS NOT NULL ORDER BY 1, 2;
SELECT decide.kill('feature', 'visits', 'counted twice');
SELECT * FROM scores();
SELECT decide.kill('feature', 'liked', 'counted twice'), decide.kill('feature', 'sold', 'counted twice');
SELECT * FROM scores();
SELECT feature, value, updated_at IS NULL AS is_missing FROM decide.features('ann') ORDER BY 1;
SELECT count(*) FROM decide('ann', 'home');
SELECT features, missing, affinities, switches FROM decide.trace ORDER BY decision_id DESC LIMIT 1;
-- it is counted on meanwhile
SELECT track(jsonb_build_object('event_id', 'v5', 'type', 'visit', 'user_id', 'ann', 'at', now()));
-- and its absence is no skew
SELECT feature, decisions, mismatch, missing, extra FROM decide.feature_consistency('-infinity', 'infinity') ORDER BY 1;
SELECT decide.revive('feature', 'visits', 'x'), decide.revive('feature', 'liked', 'x'), decide.revive('feature', 'sold', 'x');
SELECT * FROM scores();

-- models learn from what decisions saw: here 2 for each that was sold, and nothing while that was not seen
SELECT decide.kill('action', action, 'only a1 is wanted') FROM unnest('{a2,a3,a4}'::text[]) AS action;
SELECT clock_timestamp() AS begun \gset
CREATE TABLE made AS SELECT g, 2 AS value, d.decision_id FROM generate_series(1, 10) AS g, decide('u' || g, 'home') AS d;
SELECT decide.kill('feature', 'sold', 'counted twice');
INSERT INTO made SELECT g, 0 AS value, d.decision_id FROM generate_series(11, 20) AS g, decide('u' || g, 'home') AS d;
SELECT count(*) FROM made, track(jsonb_build_object('event_id', g, 'type', 'bought', 'user_id', 'u' || g, 'at', clock_timestamp(), 'decision_id', decision_id, 'value', value));
SELECT decide.train('learned', 'home', '{action.sold}', outcome => 'bought', family => 'linear', l2 => 1e-9, holdout => 0, decided_from => :'begun');
SELECT (SELECT array_agg(round(w::numeric, 3)) FROM unnest(weights) AS w) AS weights FROM decide.model_version WHERE model = 'learned';
SELECT decide.revive('feature', 'sold', 'x');
SELECT decide.revive('action', action, 'x') FROM unnest('{a2,a3,a4}'::text[]) AS action;

-- a coefficient of all versions of a model, whatever the order of its factors
SELECT decide.kill('coefficient', 'm:user.visits * action.price', 'learned from a bug');
SELECT * FROM scores();
SELECT name FROM decide.switch_in_force;
SELECT decide.kill('coefficient', 'm:1', 'x'), decide.kill('coefficient', 'm:action.price*user.visits', 'again');
SELECT * FROM scores();
SELECT kind, name, why FROM decide.switch_in_force ORDER BY 2;
SELECT count(*) FROM decide('ann', 'home');
SELECT decide.revive('coefficient', 'm:action.price*user.visits', 'x'), decide.revive('coefficient', 'm:1', 'x');
SELECT * FROM scores();
-- a name of a model may have blanks
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at) SELECT 'a  model', 1, family, terms, spec, weights, approved_at FROM decide.model_version WHERE model = 'm';
BEGIN;
UPDATE decide.policy SET model = 'a  model';
SELECT decide.publish() > 0 AS published;
SELECT decide.kill('coefficient', 'a  model: 1', 'x');
SELECT action, score FROM scores() WHERE action = 'a2';
SELECT name FROM decide.switch_in_force;
SELECT decide.revive('coefficient', 'a  model:1', 'x');
SELECT action, score FROM scores() WHERE action = 'a2';
ROLLBACK;

-- a kill expires by the clock, and holds across publishes
SELECT decide.kill('action', 'a1', 'a short break', clock_timestamp() + interval '700 milliseconds');
SELECT decide.kill('coefficient', 'm:user.liked', 'a short break', clock_timestamp() + interval '700 milliseconds');
SELECT decide.publish();
SELECT * FROM scores();
SELECT count(*) FROM decide('ann', 'home');
SELECT pg_sleep(0.8) IS NULL AS slept;
SELECT * FROM scores();
SELECT count(*) FROM decide('ann', 'home');
SELECT count(*) FROM decide.switch_in_force;

-- what is rolled back was never in force; within its own transaction it is
BEGIN;
SELECT decide.kill('action', 'a1', 'a try');
SELECT step FROM scores() WHERE action = 'a1';
ROLLBACK;
SELECT step FROM scores() WHERE action = 'a1';

-- what is no longer in the tables, but was published, can be killed
DELETE FROM decide.action WHERE action = 'a1';
UPDATE decide.action SET campaign = NULL;
DELETE FROM decide.campaign WHERE campaign = 'summer';
SELECT decide.kill('action', 'a1', 'x'), decide.kill('campaign', 'summer', 'x');
SELECT action, step FROM scores() WHERE step = 'switch';

-- mistakes
SELECT decide.kill('action', 'moon', 'x');
SELECT decide.kill('campaign', 'moon', 'x');
SELECT decide.kill('feature', 'moon', 'x');
SELECT decide.kill('coefficient', 'm:user.moon', 'x');
SELECT decide.kill('coefficient', 'moon', 'x');
SELECT decide.kill('surface', 'home', 'x');
SELECT decide.kill('action', NULL, 'x');
SELECT decide.kill('action', 'a2', '');
SELECT decide.kill('action', 'a2', 'x', '2020-01-01Z');
SELECT decide.revive('action', 'a4', 'x');
SELECT decide.revive('action', 'a1', NULL);

-- every change is on record, and stays
SELECT number, kind, name, change, why, until IS NOT NULL AS ends FROM decide.switch_change ORDER BY number;
UPDATE decide.switch_change SET why = 'nobody knows';
DELETE FROM decide.switch_change;

-- all of it can be recomputed, whatever is killed now
SELECT agrees, difference, count(*), count(DISTINCT switches) AS switches FROM decide.trace AS t, decide.replay(t.decision_id) GROUP BY 1, 2;
