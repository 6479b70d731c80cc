-- explain() tells what decide() would do: with the same seed it agrees in everything, and it writes nothing.
CREATE ROLE regress_explain_rules;
SELECT decide.grant('regress_explain_rules', 'rules');
SET pg_decide.rule_role = regress_explain_rules;
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('one', 1, 'nothing'), ('three', 3, 'nothing'), ('many', 8, 'nothing');
INSERT INTO decide.campaign (campaign, ends_at) VALUES ('over', '2020-01-01Z');
INSERT INTO decide.action (action, attributes, eligible_when, campaign)
  SELECT 'a' || i, jsonb_build_object('value', i), CASE WHEN i = 3 THEN $$context ? 'three'$$ WHEN i = 4 THEN $$(context->>'n')::int > 0$$ END,
         CASE WHEN i = 5 THEN 'over' END
    FROM generate_series(1, 8) AS i;
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{one}');
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at) VALUES
  ('value', 1, 'linear', '{action.value}', '{"family": "linear", "terms": [{"factors": [{"source": "action.value", "encoding": "number"}]}]}', '{0.25}', now());
INSERT INTO decide.policy (policy, surface, model, selection) VALUES
  ('one', 'one', 'value', 'softmax'), ('three', 'three', 'value', 'softmax'), ('many', 'many', 'value', 'epsilon_greedy');
SELECT decide.publish();

SELECT action, score, round(probability::numeric, 6) AS probability, step, reason, slot, round(slot_probability::numeric, 6) AS slot_probability
  FROM decide.explain('ann', 'three', '{"n": "x"}', 42);

-- each decision, explained with its seed
CREATE TABLE made AS
  SELECT i AS user_id, surface, context, d.* FROM generate_series(1, 40) AS i, (VALUES ('one'), ('three'), ('many')) AS s (surface),
         (VALUES ('{}'::jsonb), ('{"three": 1, "n": 1}'), ('{"n": "x"}')) AS c (context), decide(i, surface, context) AS d;
SELECT count(*) AS slots, count(DISTINCT decision_id) AS decisions, count(e.slot) AS explained,
       count(*) FILTER (WHERE e.action = m.action AND e.slot_probability = m.probability) AS agree
  FROM made AS m JOIN decide.trace AS t USING (decision_id)
  LEFT JOIN LATERAL decide.explain(m.user_id, m.surface, m.context, t.seed) AS e ON e.slot = m.slot;
SELECT count(*) AS candidates, count(*) FILTER (WHERE e.probability = d.probabilities[array_position(d.candidates, e.action)]) AS agree,
       count(*) FILTER (WHERE e.action = ANY (d.blocked)) AS blocked
  FROM made AS m JOIN decide.decision AS d USING (decision_id, slot), decide.explain(m.user_id, m.surface, m.context, d.seed) AS e
 WHERE m.slot = 1 AND e.step <> 'fallback';

-- in a READ ONLY transaction, without taking a transaction number
BEGIN READ ONLY;
SELECT count(*), pg_current_xact_id_if_assigned() IS NULL AS no_xid FROM decide.explain('ann', 'three', '{"n": "x"}');
SELECT count(*) FROM decide.features('ann');
SELECT bool_and(agrees), pg_current_xact_id_if_assigned() IS NULL AS no_xid
  FROM decide.replay((SELECT decision_id FROM decide.trace ORDER BY decision_id LIMIT 1));
COMMIT;
SELECT count(*) FROM decide.trace;
SELECT count(*) FROM decide.explain('ann', 'three');
SELECT count(*) FROM decide.trace;
-- pg_decide.seed is used where none is given
SET pg_decide.seed = 9;
SELECT string_agg(e.action, ' ' ORDER BY e.slot) = (SELECT string_agg(d.action, ' ' ORDER BY d.slot) FROM decide('ann', 'many') AS d)
       AS agree FROM decide.explain('ann', 'many') AS e WHERE e.slot IS NOT NULL;
SELECT DISTINCT seed FROM decide.trace WHERE decision_id = (SELECT max(decision_id::text)::uuid FROM decide.trace);

DROP OWNED BY regress_explain_rules;
DROP ROLE regress_explain_rules;
