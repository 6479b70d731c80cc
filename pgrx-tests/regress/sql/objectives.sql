-- What a policy ranks by: the response, its increment over the baseline of the surface, or what these are worth.
INSERT INTO decide.surface (surface, slots, fallback_action, baseline_action) VALUES ('home', 1, 'nothing', 'a'), ('elsewhere', 1, 'nothing', NULL);
INSERT INTO decide.action (action, surfaces, attributes) VALUES
  ('nothing', '{elsewhere}', '{}'), ('a', '{home}', '{}'), ('b', '{home}', '{"margin": 10, "postage": 4}'),
  ('c', '{home}', '{"margin": 30, "postage": 4}'), ('d', '{home}', '{"margin": -2, "postage": 0}');
-- answers 1, 2, 2, -1 with standard deviations 0.2, 1, 0.5, 2
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, covariance, rows, approved_at) VALUES
  ('value', 1, 'linear', '{action}', '{"family": "linear", "terms": [{"factors": [{"source": "action", "encoding": {"levels": ["a", "b", "c", "d"]}}]}]}',
   '{1,2,2,-1}', '{0.04,0,1,0,0,0.25,0,0,0,4}', 10000, now());
-- the same on the scale of log odds, where all share a constant that is unsure too
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, covariance, rows, approved_at) VALUES
  ('chance', 1, 'logistic', '{action}', '{"family": "logistic", "terms": [{"factors": []}, {"factors": [{"source": "action", "encoding": {"levels": ["a", "b", "c", "d"]}}]}]}',
   '{0.5,1,2,2,-1}', '{9,0,0.04,0,0,1,0,0,0,0.25,0,0,0,0,4}', 10000, now());
INSERT INTO decide.policy (policy, surface, model, selection) VALUES ('home', 'home', 'value', 'thompson');

-- nobody looks at the baseline yet
SELECT decide.publish();
SELECT "table", "row", warning FROM decide.policy_warning;
SELECT action, score FROM decide.explain('ann', 'home');

SET pg_decide.seed = 3;
CREATE FUNCTION scored() RETURNS TABLE (candidates text[], scores real[], spreads real[]) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM decide.publish();
  PERFORM public.decide('ann', 'home');
  RETURN QUERY SELECT d.candidates, d.scores, d.spreads FROM decide.decision AS d ORDER BY d.decision_id DESC LIMIT 1;
END
$$;
-- the spread of a difference is that of both
UPDATE decide.policy SET objective = 'uplift';
SELECT * FROM scored();
SELECT array_agg(sqrt(0.04 + v)::real) AS spreads FROM unnest(ARRAY[1, 0.25, 4]) AS v;
-- worth 10, 30 and -2 a unit; showing it costs 4, 4 and 0. The baseline's increment is 0, whatever it is worth
UPDATE decide.policy SET objective = 'value', value_attribute = 'margin';
SELECT * FROM scored();
UPDATE decide.policy SET cost_attribute = 'postage';
SELECT decide.publish();
UPDATE decide.action SET attributes = '{"postage": 0.5}' WHERE action = 'a';
SELECT * FROM scored();
SELECT action, score, round(probability::numeric, 6) AS probability FROM decide.explain('ann', 'home');
-- what is not sure to bring more than the baseline is not shown: the baseline is
UPDATE decide.policy SET objective = 'uplift', value_attribute = NULL, cost_attribute = NULL, selection = 'greedy', params = '{"min_lower_bound": 0, "lower_bound_gamma": 2}';
SELECT decide.publish();
SELECT action, reason FROM decide('ann', 'home');
SELECT action, step, reason FROM decide.explain('ann', 'home') ORDER BY action;
-- without a baseline what is worth something is the response
UPDATE decide.surface SET baseline_action = NULL;
UPDATE decide.policy SET objective = 'value', value_attribute = 'margin', selection = 'thompson', params = '{}';
SELECT decide.publish();
UPDATE decide.action SET attributes = '{"margin": 1, "postage": 0.5}' WHERE action = 'a';
SELECT * FROM scored();

-- of chances: the difference of two, and its spread by the delta method, in which what both share counts by their slopes
UPDATE decide.surface SET baseline_action = 'a' WHERE surface = 'home';
UPDATE decide.policy SET model = 'chance', objective = 'uplift', value_attribute = NULL;
SELECT candidates, (SELECT array_agg(round(s::numeric, 6) ORDER BY i) FROM unnest(scores) WITH ORDINALITY AS u (s, i)) AS scores,
       (SELECT array_agg(round(s::numeric, 6) ORDER BY i) FROM unnest(spreads) WITH ORDINALITY AS u (s, i)) AS spreads FROM scored();
WITH p AS (SELECT a, 1 / (1 + exp(-0.5 - w)) AS p, v FROM (VALUES ('a', 1, 0.04), ('b', 2, 1), ('c', 2, 0.25), ('d', -1, 4)) AS w (a, w, v)),
     g AS (SELECT a, p, v, p * (1 - p) AS g FROM p)
SELECT array_agg(round((g.p - b.p)::numeric, 6) ORDER BY g.a) AS scores,
       array_agg(round(CASE WHEN g.a <> 'a' THEN sqrt(9 * (g.g - b.g) ^ 2 + g.g ^ 2 * g.v + b.g ^ 2 * b.v) ELSE 0 END::numeric, 6) ORDER BY g.a) AS spreads
  FROM g, g AS b WHERE b.a = 'a';

-- all can be recomputed
SELECT bool_and(agrees), count(*) FROM decide.trace AS t, decide.replay(t.decision_id);
-- a policy is judged by the response that its model expects, whatever it ranks by
UPDATE decide.policy SET selection = 'greedy';
CREATE TEMP TABLE judged AS SELECT 'uplift' AS objective, e.* FROM decide.evaluate_policy('home', 'home', "from" => (SELECT max(decided_at) FROM decide.trace)) AS e;
UPDATE decide.policy SET objective = 'response';
INSERT INTO judged SELECT 'response', e.* FROM decide.evaluate_policy('home', 'home', "from" => (SELECT max(decided_at) FROM decide.trace)) AS e;
SELECT estimator, count(DISTINCT value), round(max(value)::numeric, 6) AS value FROM judged WHERE estimator LIKE 'd%' GROUP BY 1 ORDER BY 1;
SELECT round((1 / (1 + exp(-2.5)))::numeric, 6) AS response_of_b;
SELECT count(*) FROM decide.evaluate_policy('home', 'home');
UPDATE decide.policy SET objective = 'uplift';
SELECT decide.evaluate_policy('home', 'home');
UPDATE decide.policy SET selection = 'thompson';

-- what cannot be
UPDATE decide.surface SET baseline_action = NULL;
SELECT decide.publish();
UPDATE decide.surface SET baseline_action = 'nothing' WHERE surface = 'home';
SELECT decide.publish();
UPDATE decide.surface SET baseline_action = 'none' WHERE surface = 'home';
SELECT decide.publish();
UPDATE decide.surface SET baseline_action = 'a' WHERE surface = 'home';
UPDATE decide.policy SET model = NULL, selection = 'uniform';
SELECT decide.publish();
UPDATE decide.policy SET objective = 'value';
\echo :SQLSTATE
UPDATE decide.policy SET cost_attribute = 'postage';
\echo :SQLSTATE
UPDATE decide.policy SET objective = 'gain';
\echo :SQLSTATE

-- a name that changes
UPDATE decide.policy SET model = 'value', selection = 'greedy';
SELECT decide.rename('action', 'a', 'alone');
SELECT surface, baseline_action FROM decide.surface ORDER BY surface;
SELECT action, score FROM decide.explain('ann', 'home') ORDER BY action;
SELECT decide.publish();
SELECT action, score FROM decide.explain('ann', 'home') ORDER BY action;
