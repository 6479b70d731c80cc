-- Experiments: who gets which variant, what it changes, and what traces, views and replays say of it.
CREATE ROLE regress_experiments_rules;
SELECT decide.grant('regress_experiments_rules', 'rules');
SET pg_decide.rule_role = regress_experiments_rules;
INSERT INTO decide.surface (surface, slots, fallback_action, context_fields) VALUES ('home', 1, 'nothing', '{device}'), ('list', 2, 'nothing', '{device}');
INSERT INTO decide.campaign (campaign) VALUES ('spring');
INSERT INTO decide.action (action, surfaces, attributes, campaign) VALUES
  ('a', '{home,list}', '{"value": 1, "kind": "red"}', NULL), ('b', '{home,list}', '{"value": 2, "kind": ["blue", "red"]}', 'spring'),
  ('c', '{home,list}', '{"value": 3}', NULL), ('nothing', '{home,list}', '{"value": 0}', NULL);
INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('one c', 'c', 'user', 1);
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at) VALUES
  ('high', 1, 'linear', '{}', '{"family": "linear", "terms": [{"factors": [{"source": "action.value", "encoding": "number"}]}]}', '{1}', now()),
  ('low', 1, 'linear', '{}', '{"family": "linear", "terms": [{"factors": [{"source": "action.value", "encoding": "number"}]}]}', '{-1}', now());
INSERT INTO decide.policy (policy, surface, model, selection, for_variants) VALUES
  ('own', 'home', 'high', 'greedy', false), ('challenger', 'home', 'low', 'greedy', true), ('of list', 'list', 'high', 'greedy', false);
INSERT INTO decide.experiment (experiment, surface, seed) VALUES ('challenge', 'home', 'seed');
INSERT INTO decide.variant (experiment, variant, position, policy) VALUES ('challenge', 'control', 0, NULL), ('challenge', 'new', 1, 'challenger');
-- a draft changes nothing, and its policy is none of the surface's
SELECT decide.publish();
SELECT * FROM decide.variants('u1', 'home');
SELECT decide.start_experiment('challenge', 'go');
SELECT decide.start_experiment('challenge');

-- assignment is GrowthBook's, whoever asks: text, number, or a page or a batch
SELECT u, d.action, v.variant, v.changes, v.variant = CASE decide.choose_variation(decide.bucket('seed', u::text), 1, '{0.5,0.5}') WHEN 0 THEN 'control' ELSE 'new' END AS as_hashed
  FROM generate_series(1, 6) AS u, LATERAL decide(u, 'home') AS d, LATERAL decide.variants(u, 'home') AS v;
CREATE TABLE page AS SELECT * FROM decide(5, ARRAY['home', 'list']);
SELECT p.surface, p.action, d.variants FROM page AS p JOIN decide.decision AS d USING (decision_id, slot) ORDER BY 1, 2;
SELECT surface, slot, action, user_id FROM decide.decide_batch(ARRAY['{"user_id": 1, "surface": "home"}', '{"user_id": "4", "surface": "home"}']::jsonb[]) ORDER BY user_id;
SELECT step, action, reason FROM decide.explain(4, 'home') ORDER BY action;
SELECT experiment, variant, changed, overridden, kept, count(*) FROM decide.experiment_exposure GROUP BY 1, 2, 3, 4, 5 ORDER BY 2;
SELECT count(*), bool_and(r.agrees), min(r.difference) FROM decide.decision AS d, decide.replay(d.decision_id) AS r;
-- who is not known is in no variant, and the trace says so
SET pg_decide.unknown_users = on;
SELECT action FROM decide(NULL::text, 'home');
SELECT variant, "position" FROM decide.experiment_exposure WHERE "position" < 0;
RESET pg_decide.unknown_users;

-- what else a variant changes: actions, caps, and what it hands out; testers by a context field; who is in it by a rule
UPDATE decide.experiment SET status = 'stopped' WHERE experiment = 'challenge';
INSERT INTO decide.experiment (experiment, surface, status, target_when, seed) VALUES ('fewer', 'list', 'running', 'context ->> ''device'' = ''phone''', 's');
INSERT INTO decide.variant (experiment, variant, position, weight, without_actions, without_campaigns, without_attributes, without_caps, payload) VALUES
  ('fewer', 'control', 0, 1, '{}', '{}', NULL, '{}', '{"color": "grey"}'),
  ('fewer', 'no spring', 1, 1, '{}', '{spring}', NULL, '{}', '"text"'),
  ('fewer', 'no red', 2, 1, '{}', '{}', '{"kind": "red"}', '{"one c"}', NULL);
INSERT INTO decide.experiment_override VALUES ('fewer', 'tester', 'a', 'control'), ('fewer', 'tester', 'b', 'no spring'), ('fewer', 'tester', '3', 'no red');
SELECT decide.publish();
CREATE TABLE tested AS SELECT tester, n, d.* FROM (VALUES ('"a"'), ('"b"'), ('3')) AS t (tester), generate_series(1, 2) AS n,
  LATERAL decide('tester ' || tester, 'list', format('{"tester": %s, "n": %s}', tester, n)::jsonb) AS d;
SELECT d.tester, d.n, string_agg(d.action, ' ' ORDER BY d.slot) AS shown, t.variants FROM tested AS d JOIN decide.trace AS t USING (decision_id) GROUP BY 1, 2, 4 ORDER BY 1, 2;
SELECT * FROM decide.variants('x', 'list', '{"tester": "a"}') UNION ALL SELECT * FROM decide.variants('x', 'list', '{"tester": "b"}') UNION ALL SELECT * FROM decide.variants('x', 'list', '{"tester": 3}');
SELECT device, count(*), count(*) FILTER (WHERE v.variant = 'no red') BETWEEN 60 AND 140 AS a_third
  FROM (VALUES ('phone'), ('tv'), (NULL)) AS s (device), generate_series(1, 300) AS u, decide.variants(u, 'list', jsonb_build_object('device', device)) AS v GROUP BY 1;
SELECT action, step, reason FROM decide.explain('x', 'list', '{"tester": "b"}') ORDER BY action;
SELECT count(*), bool_and(r.agrees), min(r.difference) FROM decide.decision AS d, decide.replay(d.decision_id) AS r;

-- ramps only add
UPDATE decide.experiment SET coverage = 0.1, ramp_times = ARRAY[now() - interval '1 hour', now() + interval '1 hour'], ramp_coverages = '{0.5,1}', target_when = NULL WHERE experiment = 'fewer';
SELECT decide.publish();
SELECT count(*) BETWEEN 420 AND 580 AS half FROM generate_series(1, 1000) AS u, decide.variants(u, 'list') AS v;

-- what publish refuses, with the place
BEGIN;
UPDATE decide.experiment SET coverage = 0.9, surface = 'lost', unit = 'device', sticky = true, namespace_to = 0, target_when = 'action IS NULL' WHERE experiment = 'fewer';
UPDATE decide.variant SET position = 9, weight = 0, policy = 'lost', without_actions = '{lost}', without_caps = '{lost}', without_attributes = '{"no": 1}' WHERE experiment = 'fewer' AND variant = 'no red';
UPDATE decide.experiment_override SET variant = 'lost' WHERE value = '3';
SELECT decide.publish();
ROLLBACK;
BEGIN;
UPDATE decide.experiment SET target_when = '1' WHERE experiment = 'fewer';
SELECT decide.publish();
ROLLBACK;
BEGIN;
DELETE FROM decide.variant WHERE variant <> 'control';
SELECT decide.publish();
ROLLBACK;
BEGIN;
UPDATE decide.variant SET position = 9 WHERE experiment = 'fewer' AND position = 0;
UPDATE decide.variant SET position = 0 WHERE experiment = 'fewer' AND position = 1;
UPDATE decide.variant SET position = 1 WHERE experiment = 'fewer' AND position = 9;
SELECT decide.publish();
ROLLBACK;
-- two that change one surface, unless no user is in both; one that only hands something out disturbs nobody
INSERT INTO decide.experiment (experiment, status) VALUES ('everywhere', 'running');
INSERT INTO decide.variant (experiment, variant, position, without_actions) VALUES ('everywhere', 'with', 0, '{}'), ('everywhere', 'without', 1, '{b}');
SELECT decide.publish();
UPDATE decide.experiment SET namespace = 'n', namespace_to = 0.5 WHERE experiment = 'everywhere';
UPDATE decide.experiment SET namespace = 'n', namespace_from = 0.4 WHERE experiment = 'fewer';
SELECT decide.publish();
UPDATE decide.experiment SET namespace_from = 0.5, ramp_times = '{}', ramp_coverages = '{}', coverage = 1 WHERE experiment = 'fewer';
INSERT INTO decide.experiment (experiment, status, unit) VALUES ('words', 'running', 'context.device');
INSERT INTO decide.variant (experiment, variant, position, payload) VALUES ('words', 'short', 0, '1'), ('words', 'long', 1, '2');
SELECT decide.publish();
SELECT count(*), count(DISTINCT u) FROM generate_series(1, 200) AS u, decide.variants(u, 'list') AS v;
SELECT DISTINCT v.variant, v.payload FROM generate_series(1, 50) AS u, decide.variants(u, 'home', '{"device": "tv"}') AS v WHERE v.experiment = 'words';

-- ends: the winner is the policy of all, and who did it is known
SELECT decide.stop_experiment('everywhere');
SELECT decide.conclude_experiment('challenge', 'lost');
SELECT decide.conclude_experiment('challenge', 'new');
SELECT policy, surface, for_variants FROM decide.policy ORDER BY 1;
SELECT action FROM decide(1, 'home');
SELECT decide.conclude_experiment('fewer', 'no spring');
SELECT action, surfaces, eligible_when FROM decide.action ORDER BY 1;
SELECT decide.conclude_experiment('challenge', 'new');
SELECT name, was, status, winner, by = session_user AND acting_as = current_user AS me FROM decide.experiment_change ORDER BY at;
SELECT "table", "row", change FROM decide.bundle_diff(2, 3);

-- what only a variant puts in: nobody else has it, and the cap binds nobody else
INSERT INTO decide.action (action, surfaces, for_variants, attributes) VALUES ('d', '{list}', true, '{"value": 9}');
INSERT INTO decide.cap (cap, surface, action, per, max_count, for_variants) VALUES ('no d twice', 'list', 'd', 'user', 1, true);
INSERT INTO decide.experiment (experiment, surface, status, namespace, namespace_from) VALUES ('more', 'list', 'running', NULL, 0);
INSERT INTO decide.variant (experiment, variant, position, with_actions, with_caps) VALUES ('more', 'control', 0, '{}', '{}'), ('more', 'd', 1, '{d}', '{}'), ('more', 'd once', 2, '{d}', '{no d twice}');
INSERT INTO decide.experiment_override SELECT 'more', 'tester', v.variant, v.variant FROM decide.variant AS v WHERE v.experiment = 'more';
SELECT decide.publish();
CREATE TABLE more AS SELECT tester, n, d.* FROM (VALUES ('control'), ('d'), ('d once')) AS t (tester), generate_series(1, 2) AS n,
  LATERAL decide('more ' || tester, 'list', format('{"tester": "%s", "n": %s}', tester, n)::jsonb) AS d;
SELECT d.tester, d.n, string_agg(d.action, ' ' ORDER BY d.slot) AS shown, t.variants[3] AS bits FROM more AS d JOIN decide.trace AS t USING (decision_id) GROUP BY 1, 2, 4 ORDER BY 1, 2;
SELECT action, step, reason FROM decide.explain('x', 'list', '{"tester": "control"}') WHERE action = 'd';
SELECT count(*), bool_and(r.agrees), min(r.difference) FROM decide.decision AS d, decide.replay(d.decision_id) AS r;
BEGIN;
UPDATE decide.variant SET with_actions = '{a}', with_caps = '{one c}' WHERE variant = 'd';
SELECT decide.publish();
ROLLBACK;
SELECT decide.conclude_experiment('more', 'd once');
SELECT action, for_variants FROM decide.action WHERE action = 'd';
SELECT cap, for_variants FROM decide.cap ORDER BY 1;
INSERT INTO decide.experiment (experiment) VALUES ('less');
INSERT INTO decide.variant (experiment, variant, position, without_actions, without_caps) VALUES ('less', 'as it is', 0, '{}', '{}'), ('less', 'less', 1, '{d}', '{one c}');
SELECT decide.start_experiment('less');
SELECT decide.conclude_experiment('less', 'less');
SELECT action, surfaces, for_variants FROM decide.action WHERE action = 'd';
SELECT cap, for_variants FROM decide.cap ORDER BY 1;

-- names
SELECT decide.rename('experiment', 'words', 'phrases');
SELECT decide.rename('surface', 'home', 'start'), decide.rename('policy', 'challenger', 'champion'), decide.rename('cap', 'one c', 'single c');
SELECT e.experiment, e.surface, e.seed, v.variant, v.policy, v.without_caps FROM decide.experiment AS e JOIN decide.variant AS v USING (experiment) ORDER BY 1, 4;
SELECT decide.publish();
SELECT DISTINCT v.experiment, v.variant FROM decide.variants(1, 'start', '{"device": "tv"}') AS v;
