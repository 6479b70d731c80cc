-- Each selection rule gives the probabilities that it says, slot by slot.
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 1, 'nothing');
INSERT INTO decide.action (action, surfaces, attributes) VALUES
  ('nothing', '{home}', '{"value": 0}'), ('a', '{home}', '{"value": 1}'), ('b', '{home}', '{"value": 2}'),
  ('c', '{home}', '{"value": 2}'), ('d', '{home}', '{"value": -1}');
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at) VALUES
  ('value', 1, 'linear', '{action.value}', '{"family": "linear", "terms": [{"factors": [{"source": "action.value", "encoding": "number"}]}]}', '{1}', now());
INSERT INTO decide.policy (policy, surface, model, selection) VALUES ('home', 'home', 'value', 'uniform');

CREATE FUNCTION probabilities(selection text, params jsonb DEFAULT '{}', slots integer DEFAULT 1)
RETURNS TABLE (slot integer, chosen text, p text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  UPDATE decide.policy SET selection = probabilities.selection, params = probabilities.params;
  UPDATE decide.surface SET slots = probabilities.slots;
  PERFORM decide.publish();
  PERFORM public.decide('ann', 'home');
  RETURN QUERY SELECT d.slot, d.action,
         (SELECT string_agg(c || ' ' || round(q::numeric, 4), ', ' ORDER BY i) FROM unnest(d.candidates, d.probabilities) WITH ORDINALITY AS u (c, q, i))
    FROM decide.decision AS d WHERE d.bundle = (SELECT max(bundle) FROM decide.bundle) ORDER BY 1;
END
$$;
SET pg_decide.seed = 3;
SELECT * FROM probabilities('uniform');
-- the better of two equal ones is the first by name
SELECT * FROM probabilities('greedy');
SELECT * FROM probabilities('epsilon_greedy', '{"epsilon": 0.5}');
SELECT * FROM probabilities('epsilon_greedy');
SELECT * FROM probabilities('softmax');
SELECT * FROM probabilities('softmax', '{"temperature": 0.1}');
SELECT * FROM probabilities('softmax', '{"temperature": 100}');
-- a floor: f + (1 - n f) p, or 1/n where n f is above 1
SELECT * FROM probabilities('greedy', '{"min_probability": 0.1}');
SELECT * FROM probabilities('softmax', '{"min_probability": 0.05}');
SELECT * FROM probabilities('greedy', '{"min_probability": 0.5}');
-- several slots, without repetition
SELECT * FROM probabilities('uniform', '{}', 3);
SELECT * FROM probabilities('greedy', '{}', 5);
SELECT * FROM probabilities('softmax', '{}', 3);
SELECT * FROM probabilities('epsilon_greedy', '{"epsilon": 0.5, "min_probability": 0.1}', 3);

-- what is answered is what is traced, and each row sums to 1
SELECT count(*) FROM decide.decision WHERE probability IS DISTINCT FROM probabilities[array_position(candidates, action)];
SELECT count(*) FROM decide.decision WHERE abs((SELECT sum(p) FROM unnest(probabilities) AS p) - 1) > 1e-12;
SELECT bool_and(agrees), count(*) FROM decide.trace AS t, decide.replay(t.decision_id);

-- another seed, another draw; the same seed, the same draw, whoever the user is
UPDATE decide.policy SET selection = 'uniform', params = '{}';
UPDATE decide.surface SET slots = 5;
SELECT decide.publish();
SELECT string_agg(action, ' ' ORDER BY slot) FROM decide('ann', 'home');
SELECT string_agg(action, ' ' ORDER BY slot) FROM decide('bob', 'home');
SET pg_decide.seed = 4;
SELECT string_agg(action, ' ' ORDER BY slot) FROM decide('ann', 'home');
-- 0 draws a new one for each
SET pg_decide.seed = 0;
SELECT count(*) FROM generate_series(1, 50) AS i, decide(i, 'home');
SELECT count(DISTINCT seed) FROM decide.trace WHERE seed NOT IN (3, 4);

-- every selection, as publishing reads it
SELECT selection, parameter, default_value, lowest, highest, number FROM decide.selection_catalog();
SELECT DISTINCT selection, description FROM decide.selection_catalog() ORDER BY 1;
