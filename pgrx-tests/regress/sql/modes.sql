-- Modes: normal, cautious or paused; for one surface or for all, the stricter holds, and each expires by itself.
CREATE ROLE regress_modes_rules;
SELECT decide.grant('regress_modes_rules', 'rules');
SET pg_decide.rule_role = regress_modes_rules;
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 2, 'nothing'), ('feed', 1, 'nothing'), ('bare', 1, 'nothing');
INSERT INTO decide.action (action, surfaces, attributes) SELECT 'a' || i, '{home,feed}', jsonb_build_object('value', i) FROM generate_series(1, 6) AS i;
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{bare}');
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES ('broken', '{bare}', $$(context->>'n')::int > 0$$);
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at) VALUES
  ('value', 1, 'linear', '{action.value}', '{"family": "linear", "terms": [{"factors": [{"source": "action.value", "encoding": "number"}]}]}', '{1}', now());
INSERT INTO decide.policy (policy, surface, model, selection, params) VALUES
  ('home', 'home', 'value', 'softmax', '{"temperature": 2, "min_probability": 0.04}'),
  ('feed', 'feed', 'value', 'epsilon_greedy', '{"epsilon": 0.4}'), ('bare', 'bare', NULL, 'uniform', '{}');
SELECT decide.publish();
SET pg_decide.seed = 3;
CREATE FUNCTION in_force() RETURNS TABLE (surface text, mode text, number bigint, of_all boolean, why text, ends boolean) LANGUAGE sql AS
  'SELECT surface, mode, number, of_all, why, until IS NOT NULL FROM decide.mode_in_force';

SELECT * FROM in_force();
SELECT slot, action, reason FROM decide('ann', 'home');

-- cautious: the better half of the candidates, and a quarter of the exploration
SELECT decide.set_mode('home', 'cautious', 'the new model looks odd');
SELECT * FROM in_force();
SELECT slot, action, reason FROM decide('ann', 'home');
SELECT slot, mode, candidates, blocked, blocked_reasons FROM decide.decision WHERE mode = 'cautious' ORDER BY slot;
SELECT choice FROM decide.trace ORDER BY decision_id;
SELECT slot, (SELECT array_agg(round(p::numeric, 6)) FROM unnest(probabilities) AS p) AS probabilities,
       probability = probabilities[array_position(candidates, action)] AS agrees FROM decide.decision ORDER BY decided_at, slot;
SELECT action, score, round(probability::numeric, 6) AS probability, step, reason, slot FROM decide.explain('ann', 'home', '{}', 3);
-- at least as many as there are slots, and all where the share is 1
SET pg_decide.cautious_candidates = 0;
SET pg_decide.cautious_exploration = 0;
SELECT action, round(probability::numeric, 6) AS probability, step FROM decide.explain('ann', 'home');
SELECT slot, action, probability FROM decide('ann', 'home');
SET pg_decide.cautious_candidates = 1;
SET pg_decide.cautious_exploration = 1;
SELECT count(*) FILTER (WHERE step = 'narrow') AS narrowed FROM decide.explain('ann', 'home');
RESET pg_decide.cautious_candidates;
RESET pg_decide.cautious_exploration;
SET pg_decide.cautious_caps = 1.5;
-- other surfaces go on as they were
SELECT slot, action, reason FROM decide('ann', 'feed');

-- paused, for all: the fallback only
SELECT decide.set_mode(NULL, 'paused', 'prices are wrong', now() + interval '1 hour');
SELECT * FROM in_force();
SELECT slot, action, probability, reason FROM decide('ann', 'home');
-- no rule is asked
SELECT slot, action, probability, reason FROM decide('ann', 'bare', '{"n": "x"}');
SELECT candidates, blocked, errors FROM decide.decision WHERE surface = 'bare';
SELECT slot, action, mode, candidates, probabilities, reason, features, blocked FROM decide.decision WHERE mode = 'paused' AND surface = 'home' ORDER BY slot;
SELECT * FROM decide.explain('ann', 'home');
-- the stricter holds: a surface cannot be freer than all are
SELECT decide.set_mode('feed', 'normal', 'we need it');
SELECT DISTINCT reason FROM decide('ann', 'feed');
SELECT decide.set_mode(NULL, 'normal', 'prices are right again');
SELECT action, step, left(reason, 21) AS reason FROM decide.explain('ann', 'bare', '{"n": "x"}');
SELECT slot, action, reason FROM decide('ann', 'feed');
SELECT * FROM in_force();
SELECT decide.set_mode('home', 'normal', 'the model was fine');
SELECT * FROM in_force();

-- it expires by the clock, without a commit of anybody
SELECT decide.set_mode('feed', 'paused', 'a short break', clock_timestamp() + interval '700 milliseconds');
SELECT reason FROM decide('ann', 'feed');
SELECT pg_sleep(0.8) IS NULL AS slept;
SELECT reason FROM decide('ann', 'feed');
SELECT * FROM in_force() WHERE surface = 'feed';
-- after it normal holds, whatever was before
SELECT decide.set_mode('feed', 'paused', 'for long', 'infinity');
SELECT decide.set_mode('feed', 'cautious', 'for a while', clock_timestamp() + interval '700 milliseconds');
SELECT mode, ends FROM in_force() WHERE surface = 'feed';
SELECT pg_sleep(0.8) IS NULL AS slept;
SELECT mode FROM in_force() WHERE surface = 'feed';

-- what is rolled back was never in force; within its own transaction it is
BEGIN;
SELECT decide.set_mode(NULL, 'paused', 'a try');
SELECT reason FROM decide('ann', 'feed');
SAVEPOINT s;
SELECT decide.set_mode(NULL, 'normal', 'another');
SELECT reason FROM decide('ann', 'feed');
ROLLBACK TO s;
SELECT reason FROM decide('ann', 'feed');
ROLLBACK;
SELECT reason FROM decide('ann', 'feed');

-- a surface can be paused before it is published
INSERT INTO decide.surface (surface, fallback_action) VALUES ('new', 'nothing');
SELECT decide.set_mode('new', 'paused', 'not yet');
SELECT decide.publish();
SELECT action, reason FROM decide('ann', 'new');

-- caps are tightened: four of five
INSERT INTO decide.cap (cap, surface, per, max_count, window_length) VALUES ('five a day', 'feed', 'user', 5, '1 day');
SELECT decide.publish();
SELECT count(*) FILTER (WHERE reason IS NULL) AS shown FROM generate_series(1, 10) AS g, decide(CASE WHEN g > 0 THEN 'cat' END, 'feed');
SELECT decide.set_mode('feed', 'cautious', 'x');
SELECT count(*) FILTER (WHERE reason IS NULL) AS shown FROM generate_series(1, 10) AS g, decide(CASE WHEN g > 0 THEN 'dan' END, 'feed');
SELECT action, step FROM decide.explain('dan', 'feed') WHERE step <> 'cap';
SELECT decide.set_mode('feed', 'normal', 'x');
SELECT count(*) FILTER (WHERE reason IS NULL) AS shown FROM generate_series(1, 10) AS g, decide(CASE WHEN g > 0 THEN 'dan' END, 'feed');
-- narrowed to the best of those that caps leave room for
INSERT INTO decide.cap (cap, action, per, max_count, window_length) VALUES ('not the best', 'a6', 'user', 1, '1 day');
SELECT decide.publish();
SELECT decide.set_mode('home', 'cautious', 'x');
SELECT string_agg(action, ' ' ORDER BY slot) FROM decide('dan', 'home');
SELECT action, step FROM decide.explain('dan', 'home');
SELECT decide.set_mode('home', 'normal', 'x');

-- explain reads only
BEGIN READ ONLY;
SELECT step, reason, pg_current_xact_id_if_assigned() IS NULL AS no_xid FROM decide.explain('ann', 'new') WHERE slot = 1;
SELECT count(*) FROM decide.mode_in_force;
COMMIT;

-- mistakes
SELECT decide.set_mode('moon', 'paused', 'x');
SELECT decide.set_mode('home', 'stopped', 'x');
SELECT decide.set_mode('home', NULL, 'x');
SELECT decide.set_mode('home', 'paused', ' ');
SELECT decide.set_mode('home', 'paused', NULL);
SELECT decide.set_mode('home', 'paused', 'x', now() - interval '1 second');
SELECT decide.set_mode('home', 'paused', 'x', '-infinity');
BEGIN READ ONLY;
SELECT decide.set_mode('home', 'paused', 'x');
ROLLBACK;

-- every change is on record, and stays
SELECT number, by = session_user AS by_me, surface, mode, why, until IS NOT NULL AS ends FROM decide.mode_change ORDER BY number;
UPDATE decide.mode_change SET why = 'nobody knows';
DELETE FROM decide.mode_change;

-- all of it can be recomputed
SELECT mode, agrees, difference, count(*) FROM decide.trace AS t, decide.replay(t.decision_id) GROUP BY 1, 2, 3 ORDER BY 1;

DROP OWNED BY regress_modes_rules;
DROP ROLE regress_modes_rules;
