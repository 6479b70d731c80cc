-- A rule that fails at run time blocks its own action, for that decision, and nothing else.
CREATE ROLE regress_failing_rules;
SELECT decide.grant('regress_failing_rules', 'rules');
SET pg_decide.rule_role = regress_failing_rules;
CREATE TABLE prices (sku text, price numeric);
GRANT SELECT ON prices TO regress_failing_rules;
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 3, 'nothing'), ('many', 100, 'nothing');
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES
  ('nothing', '{home}', NULL),
  ('age', '{home}', $$(context->>'age')::int >= 18$$),
  ('ratio', '{home}', $$1 / (context->>'n')::int = 1$$),
  ('priced', '{home}', 'EXISTS (SELECT 1 FROM public.prices WHERE price > 0)'),
  ('sound', '{home}', $$context ? 'age'$$);
INSERT INTO decide.action (action, surfaces, attributes, eligible_when)
  SELECT 'm' || to_char(i, 'FM00'), '{many}', jsonb_build_object('divisor', i % 20),
         $$10 / (action.attributes->>'divisor')::int > (context->>'least')::int$$
    FROM generate_series(1, 40) AS i;
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('many', 'many', 'uniform');
SELECT decide.publish();
SET pg_decide.seed = 1;

CREATE VIEW newest AS
  SELECT DISTINCT candidates, blocked, blocked_reasons, errors FROM decide.decision
   WHERE decision_id = (SELECT max(decision_id::text)::uuid FROM decide.trace);

-- all is well
SELECT action, reason FROM decide('ann', 'home', '{"age": 20, "n": 1}') ORDER BY slot;
SELECT * FROM newest;
-- one fails
SELECT count(*) FROM decide('ann', 'home', '{"age": 20, "n": 0}');
SELECT * FROM newest;
SELECT action, step, reason FROM decide.explain('ann', 'home', '{"age": 20, "n": 0}');
-- two fail; what the user said is in the error, but not in the trace
SELECT count(*) FROM decide('ann', 'home', '{"age": "my secret age", "n": "my \" quoted secret"}');
SELECT * FROM newest;
SELECT action, step, reason FROM decide.explain('ann', 'home', '{"age": "my secret age", "n": "my \" quoted secret"}');
SELECT count(*) FROM decide('ann', 'home', '{"age": 99999999999, "n": 1}');
SELECT * FROM newest;
SELECT count(*) FROM decide.trace AS t WHERE t::text LIKE '%secret%' OR t::text LIKE '%99999999999%';

-- of forty actions under one rule, two fail
SELECT count(*) FROM decide('ann', 'many', '{"least": 0}') WHERE reason IS NULL;
SELECT cardinality(candidates) AS candidates, cardinality(blocked) AS blocked, errors,
       ARRAY(SELECT b FROM unnest(blocked, blocked_reasons) AS u (b, r) WHERE r = 'rule_failed') AS failed
  FROM newest;
SELECT action, step, reason FROM decide.explain('ann', 'many', '{"least": 0}') WHERE reason LIKE '%failed%';
-- and all of them, when the context is to blame
SELECT count(*), min(reason), max(reason) FROM decide('ann', 'many', '{"least": "none"}');
SELECT cardinality(candidates) AS candidates, cardinality(blocked) AS blocked, cardinality(errors) AS errors FROM newest;

-- the caller's transaction does not notice
BEGIN;
CREATE TABLE kept (x int);
INSERT INTO kept VALUES (1);
SELECT count(*) FROM decide('ann', 'home', '{"age": "x", "n": 0}');
INSERT INTO kept VALUES (2);
COMMIT;
SELECT count(*) FROM kept;

-- rights and tables that go after the publish
REVOKE SELECT ON prices FROM regress_failing_rules;
SELECT count(*) FROM decide('ann', 'home', '{"age": 20, "n": 1}');
SELECT * FROM newest;
GRANT SELECT ON prices TO regress_failing_rules;
ALTER TABLE prices RENAME COLUMN price TO cost;
SELECT count(*) FROM decide('ann', 'home', '{"age": 20, "n": 1}');
SELECT * FROM newest;
ALTER TABLE prices RENAME COLUMN cost TO price;
ALTER TABLE prices ALTER COLUMN price TYPE text;
SELECT count(*) FROM decide('ann', 'home', '{"age": 20, "n": 1}');
SELECT * FROM newest;
ALTER TABLE prices ALTER COLUMN price TYPE int USING price::int;
INSERT INTO prices VALUES ('x', 7);
SELECT count(*) FROM decide('ann', 'home', '{"age": 20, "n": 1}');
SELECT * FROM newest;
DROP TABLE prices;
SELECT count(*) FROM decide('ann', 'home', '{"age": 20, "n": 1}');
SELECT * FROM newest;

-- the role that goes, or is a superuser by now
RESET pg_decide.rule_role;
SELECT count(*) FROM decide('ann', 'home', '{"age": 20, "n": 1}');
SELECT * FROM newest;
SET pg_decide.rule_role = regress_failing_rules;
ALTER ROLE regress_failing_rules SUPERUSER;
SELECT count(*) FROM decide('ann', 'home', '{"age": 20, "n": 1}');
SELECT * FROM newest;
ALTER ROLE regress_failing_rules NOSUPERUSER;
DROP OWNED BY regress_failing_rules;
DROP ROLE regress_failing_rules;
SELECT count(*) FROM decide('ann', 'home', '{"age": 20, "n": 1}');
SELECT * FROM newest;

-- they all agree when recomputed
SELECT agrees, difference, count(*) FROM decide.trace AS t, decide.replay(t.decision_id) GROUP BY 1, 2;
