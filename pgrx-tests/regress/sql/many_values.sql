-- Caps on so many values of an attribute that a decision looks only at those of which something is used.
CREATE ROLE regress_many_values_rules;
SELECT decide.grant('regress_many_values_rules', 'rules');
SET pg_decide.rule_role = regress_many_values_rules;
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 5, 'nothing'), ('shelf', 1, 'nothing'), ('none', 1, 'nothing');
INSERT INTO decide.action (action, surfaces, attributes, eligible_when)
SELECT 'a' || i, '{home,shelf}', jsonb_build_object('sku', i, 'brand', i % 2), CASE WHEN i > 66 THEN $$context->>'all' = 'yes'$$ END FROM generate_series(1, 70) AS i;
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{none}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('shelf', 'shelf', 'uniform');
INSERT INTO decide.cap (cap, surface, attribute, per, max_count) VALUES ('seen', 'home', 'sku', 'user', 1);
INSERT INTO decide.cap (cap, surface, attribute, per, max_count) VALUES ('brand', 'home', 'brand', 'decision', 3);
INSERT INTO decide.cap (cap, surface, attribute, per, max_count, stripes) VALUES ('stock', 'shelf', 'sku', 'all', 1024, 16);
SELECT decide.publish('values');
-- a user sees everything once, whatever is drawn, and no more than three of a brand at once
SELECT bool_and(answers.n = 5) AS filled, bool_and(answers.brand BETWEEN 2 AND 3) AS within
  FROM (SELECT count(*) FILTER (WHERE d.reason IS NULL) AS n, count(*) FILTER (WHERE substr(d.action, 2)::int % 2 = 0) AS brand
          FROM generate_series(1, 10) AS i, decide('ann', 'home', jsonb_build_object('all', 'yes', 'i', i)) AS d GROUP BY i) AS answers;
SELECT count(*), count(DISTINCT action) FROM decide.decision WHERE user_key = decide.user_key('ann');
SELECT array_length(blocked, 1) AS blocked, count(*) AS slots FROM decide.decision WHERE user_key = decide.user_key('ann') GROUP BY 1 ORDER BY 1;
-- and the reasons are those caps
SELECT count(DISTINCT why), bool_and(why LIKE 'cap: seen (%)') AS by_its_value
  FROM decide.decision, unnest(blocked_reasons) AS why WHERE user_key = decide.user_key('ann');
-- what a rule leaves out needs no cap
SELECT bool_and(substr(action, 2)::int <= 66) AS by_rule, count(*) = count(DISTINCT action) AS once, count(*) > 60 AS most
  FROM generate_series(1, 14) AS i, decide('bob', 'home', jsonb_build_object('i', i)) AS d WHERE d.reason IS NULL;
-- budgets that are used up while the session has had all of them as plenty
SELECT count(*) FROM generate_series(1, 20) AS i, decide('u' || i, 'shelf', '{"all": "yes"}');
SELECT count(*) FROM (VALUES ('3'), ('5')) AS v (value), decide.adjust_budget('stock', 1024 - (SELECT b.spent FROM decide.budget AS b WHERE b.cap = 'stock' AND b.value = v.value), 'sold out', v.value);
SELECT count(*) FILTER (WHERE action IN ('a3', 'a5')) AS sold_out, count(reason) AS reasons FROM generate_series(1, 300) AS i, decide('v' || i, 'shelf', '{"all": "yes"}');
SELECT DISTINCT b.action, b.why FROM decide.decision AS d, unnest(d.blocked, d.blocked_reasons) AS b (action, why)
 WHERE d.surface = 'shelf' AND d.blocked IS NOT NULL ORDER BY 1;
SELECT action, step, reason FROM decide.explain('x', 'shelf', '{"all": "yes"}') WHERE step = 'cap' ORDER BY 1;
SELECT cap, value, spent FROM decide.budget WHERE cap = 'stock' AND free = 0 ORDER BY value;
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);

DROP OWNED BY regress_many_values_rules;
DROP ROLE regress_many_values_rules;
