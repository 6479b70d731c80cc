-- Policies are judged from traces by the code that decides: with the vector, candidates and prices of each.
INSERT INTO decide.surface (surface, slots, fallback_action, context_fields) VALUES ('home', 1, 'nothing', '{device,hour}'), ('list', 3, 'nothing', '{device,hour}');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life) VALUES ('clicks', 'click', 'decayed_count', '1 hour');
INSERT INTO decide.action (action, attributes) SELECT 'a' || i, jsonb_build_object('value', i / 7.0, 'kind', i % 3) FROM generate_series(1, 6) AS i;
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{elsewhere}');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('elsewhere', 'nothing');
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, covariance, approved_at) VALUES
  ('m', 1, 'logistic', '{}', '{"family": "logistic", "terms": [{"factors": [{"source": "user.clicks", "encoding": "number"}, {"source": "action.kind", "encoding": {"levels": ["0", "1", "2"]}}]},
     {"factors": [{"source": "action.value", "encoding": "number"}, {"source": "context.hour", "encoding": "number"}]}]}', '{0.3,-0.2,0.1, 0.07}', NULL, now()),
  ('n', 1, 'linear', '{}', '{"family": "linear", "terms": [{"factors": [{"source": "action.value", "encoding": "number"}, {"source": "context.hour", "encoding": "number"}]}]}', '{-0.05}', '{0.04}', now());
INSERT INTO decide.policy (policy, surface, model, selection, params) VALUES
  ('home', 'home', 'm', 'softmax', '{"temperature": 0.3, "min_probability": 0.02}'), ('list', 'list', 'm', 'softmax', '{"temperature": 0.3, "min_probability": 0.02}');
SELECT decide.publish();
SELECT count(*) FROM generate_series(1, 50) AS i,
  track(jsonb_build_object('event_id', i, 'type', 'click', 'user_id', i % 7, 'at', now() - i * interval '7 minutes'));
-- with seeds, so that every run is the same
CREATE TABLE made (u int, surface text, slot int, action text, probability float8, decision_id uuid, reason text, context jsonb);
DO $$
BEGIN
  FOR u IN 1 .. 300 LOOP
    PERFORM set_config('pg_decide.seed', (u * 7919)::text, false);
    INSERT INTO made
      SELECT u, s.surface, d.*, c.context
        FROM (VALUES ('home'), ('list')) AS s (surface),
             (SELECT jsonb_build_object('device', CASE u % 3 WHEN 0 THEN 'phone' WHEN 1 THEN 'it''s "new"' END, 'hour', u % 24)) AS c (context),
             decide(u % 9, s.surface, c.context) AS d;
  END LOOP;
END
$$;
RESET pg_decide.seed;
SELECT count(*) FROM made, track(jsonb_build_object('event_id', 'o' || u || surface || slot, 'type', 'order', 'user_id', u % 9, 'at', now(), 'decision_id', decision_id, 'action', action,
  'value', 1 + (u * slot) % 5)) WHERE (u + slot) % 4 = 0;
-- one for a whole slate
SELECT count(*) FROM made, track(jsonb_build_object('event_id', 'w' || u, 'type', 'order', 'user_id', u % 9, 'at', now(), 'decision_id', decision_id, 'value', 2)) WHERE slot = 3 AND u % 10 = 0;

-- a policy is what the log is of: every weight is 1, bit for bit, and all say what was earned
CREATE VIEW own AS
  SELECT surface, string_agg(estimator, ' ' ORDER BY ordinality) AS estimators, count(DISTINCT n) AS one, min(n) AS n, bool_and(ess = n OR ess IS NULL) AS all_alike,
         min(mean_weight) = 1 AND max(max_weight) = 1 AS is_one, bool_and(warning IS NULL) AS without_warning,
         max(abs(value - (SELECT sum(o.value) FROM decide.outcome AS o JOIN made AS m USING (decision_id) WHERE m.slot = 1 AND m.surface = e.surface AND o.type = 'order') / 300)) < 1e-12 AS same_value
    FROM (SELECT s.surface, e.*, row_number() OVER () AS ordinality FROM (VALUES ('home'), ('list')) AS s (surface), decide.evaluate_policy(s.surface, 1, outcome => 'order') AS e
           WHERE e.estimator NOT IN ('dm', 'dr', 'sndr', 'switch_dr', 'dros', 'cascade_dr')) AS e
   GROUP BY surface ORDER BY surface;
SELECT * FROM own;
SELECT estimator, abs(value - (SELECT l.value FROM decide.evaluate_policy('home', 1, outcome => 'order') AS l WHERE l.estimator = 'logged')) < 0.2 AS near, ess, mean_weight
  FROM decide.evaluate_policy('home', 1, outcome => 'order') WHERE estimator IN ('dm', 'dr', 'sndr', 'switch_dr', 'dros');
-- also when everything else has become another
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('a_first_one', 'click', 'decayed_count');
UPDATE decide.surface SET context_fields = '{hour,device,more}' WHERE surface <> 'elsewhere';
UPDATE decide.action SET attributes = '{}';
UPDATE decide.policy SET selection = 'greedy', params = '{}';
SELECT decide.publish();
SELECT * FROM own;
UPDATE decide.action SET attributes = jsonb_build_object('value', substr(action, 2)::int / 7.0, 'kind', substr(action, 2)::int % 3) WHERE action <> 'nothing';
UPDATE decide.surface SET context_fields = '{device,hour}' WHERE surface <> 'elsewhere';

-- a draft is what explain() says of it once it is in force; a model that looks at nothing that changes
BEGIN;
UPDATE decide.policy SET model = 'n', selection = 'softmax', params = '{"temperature": 0.2}';
CREATE TEMP TABLE judged AS SELECT * FROM decide.evaluate_policy('home', 'home', outcome => 'order');
SELECT decide.publish();
CREATE TEMP TABLE by_hand AS
  SELECT COALESCE(o.value, 0) AS reward, m.probability AS logged, e.probability AS target, e.score::float8 AS q_logged,
         (SELECT sum(x.probability * x.score) FROM decide.explain(m.u % 9, m.surface, m.context) AS x) AS q_target
    FROM made AS m CROSS JOIN LATERAL decide.explain(m.u % 9, m.surface, m.context) AS e
    LEFT JOIN decide.outcome AS o ON o.decision_id = m.decision_id AND o.type = 'order'
   WHERE m.surface = 'home' AND e.action = m.action;
SELECT j.estimator, abs(j.value - (h.e).value) < 1e-9 AND abs(j.std_error - (h.e).std_error) < 1e-9 AND COALESCE(abs(j.ess - (h.e).ess) < 1e-6, (h.e).ess IS NULL) AS same
  FROM judged AS j JOIN (
    SELECT v.* FROM (SELECT decide.ips(reward, logged, target) AS ips, decide.snips(reward, logged, target) AS snips, decide.cips(reward, logged, target, 10) AS cips, decide.dm(q_target) AS dm,
                            decide.dr(reward, logged, target, q_logged, q_target) AS dr, decide.sndr(reward, logged, target, q_logged, q_target) AS sndr,
                            decide.switch_dr(reward, logged, target, q_logged, q_target, 10) AS switch_dr, decide.dros(reward, logged, target, q_logged, q_target, 100) AS dros FROM by_hand) AS a,
           LATERAL (VALUES ('ips', ips), ('snips', snips), ('cips', cips), ('dm', dm), ('dr', dr), ('sndr', sndr), ('switch_dr', switch_dr), ('dros', dros)) AS v (estimator, e)) AS h USING (estimator) ORDER BY 1;
ROLLBACK;
-- slates: the product of the slots' weights, and a reward by the slots up to its own
BEGIN;
UPDATE decide.policy SET model = NULL, selection = 'uniform', params = '{}';
SELECT e.estimator, abs(e.value - h.value) < 1e-9 AS same
  FROM decide.evaluate_policy('list', 'list', outcome => 'order') AS e JOIN (
    SELECT v.* FROM (
      SELECT avg(w3 * r) AS ips, sum(w3 * r) / sum(w3) AS snips, avg(w1 * r1 + w2 * r2 + w3 * (r3 + rs)) AS rips
        FROM (SELECT 1 / 6.0 / p1 AS w1, 1 / 30.0 / (p1 * p2) AS w2, 1 / 120.0 / (p1 * p2 * p3) AS w3, r1, r2, r3, rs, r1 + r2 + r3 + rs AS r
                FROM (SELECT decision_id, max(probability) FILTER (WHERE slot = 1) AS p1, max(probability) FILTER (WHERE slot = 2) AS p2, max(probability) FILTER (WHERE slot = 3) AS p3,
                             COALESCE(sum(value) FILTER (WHERE slot = 1), 0) AS r1, COALESCE(sum(value) FILTER (WHERE slot = 2), 0) AS r2, COALESCE(sum(value) FILTER (WHERE slot = 3), 0) AS r3,
                             COALESCE((SELECT sum(w.value) FROM decide.outcome AS w WHERE w.decision_id = m.decision_id AND w.action IS NULL), 0) AS rs
                        FROM made AS m LEFT JOIN decide.outcome AS o USING (decision_id, action) WHERE surface = 'list' GROUP BY decision_id) AS s) AS t) AS u,
      LATERAL (VALUES ('ips', ips), ('snips', snips), ('rips', rips)) AS v (estimator, value)) AS h USING (estimator) ORDER BY 1;
-- another model says which rewards to expect
SELECT string_agg(estimator, ' ') FROM decide.evaluate_policy('home', 'home', outcome => 'order', reward_model => 'n:1');
SELECT string_agg(estimator, ' ') FROM decide.evaluate_policy('list', 'list', outcome => 'order', reward_model => 'n');
-- the difference has an interval of its own
SELECT c.estimator, abs(c.difference - (c.policy_value - c.baseline_value)) < 1e-9 AS is_difference, c.std_error < e.std_error AS is_narrower, c.n
  FROM decide.compare_policies('home', 'home', baseline_bundle => 1, outcome => 'order', reward_model => 'n') AS c JOIN decide.evaluate_policy('home', 'home', outcome => 'order', reward_model => 'n') AS e USING (estimator) ORDER BY 1;
SELECT estimator, difference, std_error FROM decide.compare_policies('home', 'home', 'home', outcome => 'order');
SELECT estimator, abs(difference) < 1e-12 AS none, std_error < 1e-12 AS sure FROM decide.compare_policies('home', bundle => 1, outcome => 'order') WHERE estimator <> 'dr';
ROLLBACK;

-- cohorts: a context field, an expression, and nothing that is more than one
SELECT cohort, n FROM decide.evaluate_policy('home', 1, cohort => 'device') WHERE estimator = 'logged' ORDER BY 1;
SELECT cohort, n FROM decide.evaluate_policy('home', 1, cohort => 'CASE WHEN (context ->> ''hour'')::int < 12 THEN ''am'' END') WHERE estimator = 'logged' ORDER BY 1;
SELECT cohort, count(*) FROM decide.evaluate_policy('home', 1, cohort => 'bundle') GROUP BY 1;
\set SHOW_CONTEXT never
SELECT count(*) FROM decide.evaluate_policy('home', 1, cohort => 'context ->>');
SELECT count(*) FROM decide.evaluate_policy('home', 1, cohort => '1 FROM decide.secret');
SELECT count(*) FROM decide.evaluate_policy('home', 1, cohort => '1) FROM decide.kept_trace AS t; DELETE FROM made; SELECT (1');
SELECT count(*) FROM decide.evaluate_policy('home', 1, cohort => 'generate_series(1, 2)');
SELECT count(*) FROM decide.evaluate_policy('home', 1, cohort => 'count(*)');
SELECT count(*) FROM decide.evaluate_policy('home', 'away');
SELECT count(*) FROM decide.evaluate_policy('home', 'list');
SELECT count(*) FROM decide.evaluate_policy('home', 99);
SELECT count(*) FROM decide.evaluate_policy('elsewhere', 1);
SELECT count(*) FROM decide.evaluate_policy(NULL, 1);
SELECT count(*) FROM decide.evaluate_policy('home', 1, within => '0');
SELECT count(*) FROM decide.evaluate_policy('home', 1, lambda => -1);
SELECT count(*) FROM decide.evaluate_policy('home', 1, reward_model => 'nobody');
SELECT count(*) FROM decide.evaluate_policy('home', 1, reward_model => 'm:7');
SELECT count(*) FROM decide.compare_policies('home');
SELECT count(*) FROM decide.compare_policies('home', 'home', bundle => 1);
-- a model that looks at what was not known then
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at) VALUES
  ('late', 1, 'linear', '{}', '{"family": "linear", "terms": [{"factors": [{"source": "user.a_first_one", "encoding": "number"}, {"source": "action.value", "encoding": "number"}]}]}', '{1}', now());
UPDATE decide.policy SET model = 'late' WHERE policy = 'home';
SELECT count(*) FROM decide.evaluate_policy('home', 'home');
UPDATE decide.policy SET params = '{"temperature": 0}', selection = 'softmax' WHERE policy = 'home';
SELECT count(*) FROM decide.evaluate_policy('home', 'home');
UPDATE decide.policy SET model = 'm', params = '{}', selection = 'greedy' WHERE policy = 'home';

-- what the log cannot tell: a policy that takes what had hardly a chance
SELECT estimator, warning LIKE 'the effective sample size is%' AS warns FROM decide.evaluate_policy('home', 1, outcome => 'order', "to" => (SELECT decide.decided_at(decision_id) FROM made WHERE surface = 'home' ORDER BY decision_id OFFSET 20 LIMIT 1)) WHERE estimator = 'ips';
SELECT action, candidate, without_chance, shown > 0 AS was_shown, abs(expected - shown) < 60 AS about, least_probability > 0.0199 AS floor, value IS NOT NULL AS is_known
  FROM decide.exploration_value('home', outcome => 'order');
SELECT sum(shown), max(candidate) FROM decide.exploration_value('list', outcome => 'order');
SELECT cohort, sum(shown) FROM decide.exploration_value('home', cohort => 'device') GROUP BY 1 ORDER BY 1;

-- paused: any policy would have shown the fallback; outcomes count for so long only, and young decisions not at all
SELECT decide.set_mode('home', 'paused', 'a test');
SELECT action, reason FROM decide('p', 'home');
SELECT estimator, n, mean_weight, max_weight FROM decide.evaluate_policy('home', 1, outcome => 'order') WHERE estimator IN ('logged', 'ips');
SELECT decide.set_mode('home', 'normal', 'a test');
SELECT count(*) FROM decide.evaluate_policy('home', 1, outcome => 'order', within => '1 day');
BEGIN READ ONLY;
SELECT count(*) FROM decide.evaluate_policy('home', 'home', outcome => 'order');
ROLLBACK;

-- an analyst may, and an expression has no more rights than the analyst
CREATE ROLE regress_judge;
SELECT decide.grant('regress_judge', 'analyse');
SET ROLE regress_judge;
SELECT count(*) FROM decide.evaluate_policy('home', 'home', outcome => 'order');
SELECT count(*) FROM decide.evaluate_policy('home', 1, cohort => '(SELECT count(*) FROM decide.secret)');
SELECT count(*) FROM decide.evaluate_policy('home', 1, cohort => '(SELECT count(*) FROM decide.trace)');
SELECT count(*) > 0 AS some FROM decide.compare_policies('home', bundle => 1), decide.exploration_value('home');
RESET ROLE;
DROP OWNED BY regress_judge;
DROP ROLE regress_judge;
