-- Selections that look at how sure a model is of its scores, or at how far they are apart.
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 1, 'nothing');
INSERT INTO decide.action (action, surfaces, attributes) VALUES
  ('nothing', '{elsewhere}', '{}'), ('a', '{home}', '{"value": 1}'), ('b', '{home}', '{"value": 2}'),
  ('c', '{home}', '{"value": 2}'), ('d', '{home}', '{"value": -1}');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('elsewhere', 'nothing');
-- scores 1, 2, 2, -1 with standard deviations 0.2, 1, 0.5, 2
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, covariance, rows, approved_at) VALUES
  ('value', 1, 'linear', '{action}', '{"family": "linear", "terms": [{"factors": [{"source": "action", "encoding": {"levels": ["a", "b", "c", "d"]}}]}]}',
   '{1,2,2,-1}', '{0.04,0,1,0,0,0.25,0,0,0,4}', 10000, now());
INSERT INTO decide.policy (policy, surface, model, selection) VALUES ('home', 'home', 'value', 'thompson');

CREATE FUNCTION probabilities(selection text, params jsonb DEFAULT '{}', slots integer DEFAULT 1)
RETURNS TABLE (slot integer, chosen text, p text, reason text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  UPDATE decide.policy SET selection = probabilities.selection, params = probabilities.params;
  UPDATE decide.surface SET slots = probabilities.slots WHERE surface = 'home';
  PERFORM decide.publish();
  PERFORM public.decide('ann', 'home');
  RETURN QUERY SELECT d.slot, d.action,
         (SELECT string_agg(c || ' ' || round(q::numeric, 8), ', ' ORDER BY i) FROM unnest(d.candidates, d.probabilities) WITH ORDINALITY AS u (c, q, i)),
         d.reason
    FROM decide.decision AS d WHERE d.bundle = (SELECT max(bundle) FROM decide.bundle) ORDER BY 1;
END
$$;
SET pg_decide.seed = 3;
SELECT * FROM probabilities('thompson');
SELECT * FROM probabilities('thompson', '{"scale": 0.1}');
SELECT * FROM probabilities('thompson', '{"min_probability": 0.1}');
SELECT * FROM probabilities('thompson', '{}', 4);
SELECT * FROM probabilities('ucb');
SELECT * FROM probabilities('ucb', '{"gamma": 3}', 2);
SELECT * FROM probabilities('ucb', '{"gamma": -3}', 4);
SELECT * FROM probabilities('ucb', '{"gamma": 0, "min_probability": 0.1}');
-- 10 times the square root of 10,000 rows is 1,000
SELECT * FROM probabilities('squarecb');
SELECT * FROM probabilities('squarecb', '{"gamma": 1000}');
SELECT * FROM probabilities('squarecb', '{"gamma_scale": 5, "gamma_exponent": 0}', 3);
SELECT * FROM probabilities('squarecb', '{"gamma": 2, "min_probability": 0.05}');

-- with scores and spreads anyone can compute them again: here for the two that matter, b and c
SELECT DISTINCT candidates, scores, spreads FROM decide.decision WHERE spreads IS NOT NULL;
SELECT count(*), count(d.spreads) FROM decide.decision AS d JOIN decide.trace AS t USING (decision_id) WHERE t.choice[1] = 6;
-- what is answered is what is traced, each row sums to 1, and all can be recomputed
SELECT count(*) FROM decide.decision WHERE probability IS DISTINCT FROM probabilities[array_position(candidates, action)];
SELECT count(*) FROM decide.decision WHERE abs((SELECT sum(p) FROM unnest(probabilities) AS p) - 1) > 1e-12;
SELECT bool_and(agrees), count(*) FROM decide.trace AS t, decide.replay(t.decision_id);

-- the mode cautious: half of the candidates, and a quarter of the exploration
SELECT decide.set_mode('home', 'cautious', 'a test');
SELECT * FROM probabilities('thompson');
SELECT * FROM probabilities('ucb', '{"gamma": 4}');
SELECT * FROM probabilities('ucb', '{"gamma": -4}');
SELECT * FROM probabilities('squarecb', '{"gamma": 2}');
SELECT choice FROM decide.trace WHERE mode = 'cautious' ORDER BY decided_at;
SELECT bool_and(agrees), count(*) FROM decide.trace AS t, decide.replay(t.decision_id) WHERE mode = 'cautious';
SELECT decide.set_mode('home', 'normal', 'a test');

-- what is not sure to be worth enough is not shown: score - gamma * spread is 0.6, 0, 1 and -5
SELECT * FROM probabilities('greedy', '{"min_lower_bound": 0}');
SELECT * FROM probabilities('thompson', '{"min_lower_bound": 0.5}');
SELECT * FROM probabilities('thompson', '{"min_lower_bound": 1, "lower_bound_gamma": 1}', 3);
SELECT * FROM probabilities('softmax', '{"min_lower_bound": 5}', 2);
-- without a factor of the spread it is a least score
SELECT * FROM probabilities('greedy', '{"min_lower_bound": 1.5, "lower_bound_gamma": 0}');
SELECT blocked, blocked_reasons, spreads FROM decide.decision WHERE 'unsure' = ANY (blocked_reasons) ORDER BY decision_id, slot;
SELECT action, step, reason, slot FROM decide.explain('ann', 'home');
UPDATE decide.policy SET params = '{"min_lower_bound": 5}';
SELECT decide.publish();
SELECT action, step, reason, slot FROM decide.explain('ann', 'home') ORDER BY slot NULLS FIRST, action;
SELECT bool_and(agrees), count(*) FROM decide.trace AS t, decide.replay(t.decision_id);

-- a coefficient that is killed is known to be 0
UPDATE decide.policy SET selection = 'thompson', params = '{}';
SELECT decide.publish();
SELECT decide.kill('coefficient', 'value:action', 'a test');
SELECT action, score, probability FROM decide.explain('ann', 'home');
SELECT decide.revive('coefficient', 'value:action', 'a test');

-- what cannot be
\set VERBOSITY default
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, covariance, approved_at) VALUES
  ('plain', 1, 'linear', '{1}', '{"family": "linear", "terms": [{"factors": []}]}', '{1}', NULL, now()),
  ('short', 1, 'linear', '{1}', '{"family": "linear", "terms": [{"factors": []}]}', '{1}', '{1,2}', now()),
  ('below', 1, 'linear', '{1}', '{"family": "linear", "terms": [{"factors": []}]}', '{1}', '{-1}', now()),
  ('nan', 1, 'linear', '{1}', '{"family": "linear", "terms": [{"factors": []}]}', '{1}', '{NaN}', now()),
  ('null', 1, 'linear', '{1}', '{"family": "linear", "terms": [{"factors": []}]}', '{1}', '{NULL}', now());
CREATE FUNCTION fault(model text, selection text, params jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  UPDATE decide.policy SET model = fault.model, selection = fault.selection, params = fault.params;
  PERFORM decide.publish();
  RETURN 'published';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN COALESCE(detail, SQLERRM);
END
$$;
SELECT fault('plain', 'thompson');
SELECT fault('plain', 'ucb');
SELECT fault('plain', 'greedy', '{"min_lower_bound": 1}');
SELECT fault('plain', 'greedy', '{"min_lower_bound": 1, "lower_bound_gamma": 0}');
SELECT fault('plain', 'squarecb');
SELECT fault(m, 'greedy') FROM unnest('{short,below,nan,"null"}'::text[]) AS m;
SELECT fault('value', 'thompson', p::jsonb) FROM unnest(ARRAY['{"scale": 0}', '{"scale": "1"}', '{"gamma": 1}']) AS p;
SELECT fault('value', 'ucb', p::jsonb) FROM unnest(ARRAY['{"gamma": 1e999}', '{"gamma": null}']) AS p;
SELECT fault('value', 'squarecb', p::jsonb)
  FROM unnest(ARRAY['{"gamma": 0}', '{"gamma": 1, "gamma_scale": 1}', '{"gamma_exponent": 2}', '{"gamma_scale": -1}']) AS p;
SELECT fault('value', 'greedy', p::jsonb) FROM unnest(ARRAY['{"lower_bound_gamma": 1}', '{"min_lower_bound": "x"}']) AS p;
SELECT fault('value', 'uniform', '{"min_lower_bound": 1}');
-- a selection that does not look at spreads keeps none
SELECT fault('value', 'greedy');
SELECT count(*) FROM decide('bob', 'home');
SELECT spreads IS NULL AS none, scores IS NULL AS no_scores FROM decide.trace ORDER BY decision_id DESC LIMIT 1;
SELECT fault(NULL, 'thompson');
SELECT action, reason FROM decide('bob', 'home');
