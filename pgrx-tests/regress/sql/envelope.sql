-- A decision keeps to the latency budget of its surface, and rules that fail or hang are left out.
CREATE ROLE regress_envelope_rules;
SELECT decide.grant('regress_envelope_rules', 'rules');
SET pg_decide.rule_role = regress_envelope_rules;
SET pg_decide.enforce_latency_budget = on;
SET pg_decide.breaker_failures = 2;
SET pg_decide.breaker_sessions = 1;
SET pg_decide.breaker_pause = '5min';
CREATE TABLE stock (on_hand int);
INSERT INTO stock VALUES (1);
GRANT SELECT ON stock TO regress_envelope_rules;
CREATE TABLE patience (seconds float8);
INSERT INTO patience VALUES (5);
GRANT SELECT ON patience TO regress_envelope_rules;
CREATE FUNCTION hangs() RETURNS boolean LANGUAGE plpgsql STABLE AS
  $$ BEGIN PERFORM pg_sleep(seconds) FROM public.patience; RETURN true; END $$;
INSERT INTO decide.surface (surface, fallback_action, latency_budget) VALUES
  ('home', 'nothing', '300 ms'), ('ruled', 'nothing', '300 ms'), ('stocked', 'nothing', '10 s'), ('said', 'nothing', '10 s');
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES
  ('nothing', '{}', NULL), ('plain', '{home}', NULL), ('sound', '{home}', 'context IS NOT NULL'), ('hung', '{home}', 'public.hangs()'),
  ('slow', '{ruled}', 'public.hangs() AND true'),
  ('in stock', '{stocked}', 'EXISTS (SELECT 1 FROM public.stock WHERE on_hand > 0)'), ('always', '{stocked}', NULL),
  ('of age', '{said}', $$(context->>'age')::int > 17$$);
UPDATE decide.action SET surfaces = '{none}' WHERE action = 'nothing';
INSERT INTO decide.surface (surface, fallback_action) VALUES ('none', 'nothing');
INSERT INTO decide.policy (policy, surface, selection)
SELECT surface, surface, 'uniform' FROM decide.surface;
SELECT decide.publish();
CREATE VIEW newest AS
  SELECT reason, candidates, blocked, blocked_reasons, regexp_replace(errors::text, '\d+ ms', '… ms', 'g') AS errors
    FROM decide.decision WHERE decision_id = (SELECT max(decision_id::text)::uuid FROM decide.trace);
CREATE VIEW breakers AS
  SELECT rule, state, actions, failures, slow, openings, regexp_replace(last_error, '\d+ ms', '… ms') AS last_error
    FROM decide.breaker_status ORDER BY rule;

-- together they are late, so none has answered; what has no rule goes on
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT * FROM newest;
-- then each has its own part of the time
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT * FROM newest;
SELECT * FROM breakers;
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT * FROM breakers;
-- an open breaker: it is not asked
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT * FROM newest;
SELECT action, step, reason FROM decide.explain('ann', 'home') WHERE step NOT IN ('shown', 'choose') ORDER BY action;

-- where nothing is left it is the fallback, and the only rule is to blame at once
SELECT action, reason FROM decide('ann', 'ruled');
SELECT * FROM newest;
SELECT action, reason FROM decide('ann', 'ruled');
SELECT action, reason FROM decide('ann', 'ruled');
SELECT * FROM newest;
SELECT rule, slow FROM breakers;

-- when the pause is over one decision tries it, and it stays open for longer
UPDATE decide.breaker SET probe_at = clock_timestamp();
SELECT pg_sleep(1.1);
SELECT rule, state FROM breakers;
SELECT count(*) FROM decide.explain('ann', 'home') WHERE reason LIKE '%too often%';
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT * FROM newest;
SELECT rule, state, failures, openings, probe_at > clock_timestamp() + interval '4 minutes' AS later
  FROM decide.breaker_status ORDER BY rule;
-- the shop heals it
UPDATE patience SET seconds = 0;
UPDATE decide.breaker SET probe_at = clock_timestamp();
SELECT pg_sleep(1.1);
BEGIN;
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT count(*) FROM breakers;
ROLLBACK;
SELECT count(*) FROM breakers;
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT * FROM newest;
SELECT action, reason FROM decide('ann', 'ruled');
SELECT * FROM breakers;

-- a rule that fails is left out as well, and the opening goes with the transaction
ALTER TABLE stock RENAME TO shelf;
SELECT action FROM decide('ann', 'stocked');
BEGIN;
SELECT action FROM decide('ann', 'stocked');
SELECT * FROM breakers;
ROLLBACK;
SELECT * FROM breakers;
SELECT action FROM decide('ann', 'stocked');
SELECT action FROM decide('ann', 'stocked');
SELECT * FROM newest;
SELECT * FROM breakers;
SELECT action FROM decide('ann', 'stocked');
SELECT * FROM newest;
ALTER TABLE shelf RENAME TO stock;
UPDATE decide.breaker SET probe_at = clock_timestamp();
SELECT pg_sleep(1.1);
SELECT count(*) FROM decide('ann', 'stocked') WHERE reason IS NULL;
SELECT * FROM newest;
SELECT * FROM breakers;
-- whoever operates can close one by hand
ALTER TABLE stock RENAME TO shelf;
SELECT action FROM decide('ann', 'stocked');
SELECT action FROM decide('ann', 'stocked');
SELECT rule FROM breakers;
ALTER TABLE shelf RENAME TO stock;
DELETE FROM decide.breaker;
SELECT pg_sleep(1.1);
SELECT count(*) FROM decide('ann', 'stocked');
SELECT * FROM newest;
-- what one caller says does not break a rule for all
SELECT action FROM decide('ann', 'said', '{"age": "x"}'), generate_series(1, 3);
SELECT * FROM breakers;
SELECT action FROM decide('ann', 'said', '{"age": 18}');

-- a rule that looks at the action is late for all its actions at once; one that fails for some of them stays
INSERT INTO decide.surface (surface, fallback_action, latency_budget) VALUES ('sets', 'nothing', '300 ms'), ('some', 'nothing', '10 s');
INSERT INTO decide.action (action, surfaces, eligible_when)
SELECT 's' || i, '{sets}', 'action.cost = 1 AND public.hangs()' FROM generate_series(1, 5) AS i;
INSERT INTO decide.action (action, surfaces, attributes, eligible_when)
SELECT 'd' || i, '{some}', jsonb_build_object('n', i), $$1 / (action.attributes->>'n')::int IS NOT NULL$$ FROM generate_series(0, 4) AS i;
INSERT INTO decide.action (action, surfaces) VALUES ('free', '{sets}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('sets', 'sets', 'uniform'), ('some', 'some', 'uniform');
SELECT decide.publish();
UPDATE patience SET seconds = 5;
SELECT action, reason FROM decide('ann', 'sets');
SELECT action, reason FROM decide('ann', 'sets');
SELECT * FROM newest;
SELECT count(*) FROM decide('ann', 'some'), generate_series(1, 3) WHERE reason IS NULL;
SELECT * FROM newest;
SELECT rule, actions, failures, slow FROM breakers;
UPDATE patience SET seconds = 0;

-- the rest of a transaction does not notice, and later sleeps are not cut short
UPDATE patience SET seconds = 5;
BEGIN;
INSERT INTO stock VALUES (2);
SELECT action, reason FROM decide('ann', 'ruled');
SELECT count(*) FROM stock, pg_sleep(0.5);
COMMIT;
SELECT count(*) FROM stock;

-- the row of the user: what this session has last seen of it serves
INSERT INTO decide.feature (feature, event_type, aggregate, default_value) VALUES ('clicks', 'click', 'decayed_count', 0.5);
SELECT decide.publish();
SELECT track('{"event_id": "1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}'::jsonb);
SELECT count(*) FROM decide('ann', 'stocked');
ALTER TABLE decide.user_state RENAME TO hidden;
SELECT count(*) FROM decide('ann', 'stocked') WHERE reason IS NULL;
SELECT features, errors FROM decide.decision ORDER BY decision_id DESC LIMIT 1;
SELECT count(*) FROM decide('bob', 'stocked') WHERE reason IS NULL;
SELECT features, errors FROM decide.decision ORDER BY decision_id DESC LIMIT 1;
ALTER TABLE decide.hidden RENAME TO user_state;
SELECT feature, decisions, mismatch, missing, extra FROM decide.feature_consistency(now() - interval '1 day', clock_timestamp());

-- all of it can be recomputed
SELECT agrees, difference, min(t.reason), count(*) > 0 FROM decide.trace AS t, decide.replay(t.decision_id) GROUP BY 1, 2, t.reason ORDER BY t.reason;

SELECT surface, min(latency_budget) AS latency_budget, sum(decisions) > 0 AS decisions, sum(fallbacks) > 0 AS fallbacks,
       sum(errors) > 0 AS errors, bool_and(slo_met) AS slo_met, bool_and(p50_us <= p95_us AND p95_us <= p99_us) AS in_order,
       max(candidates_p99_us) > 100000 AS slow
  FROM decide.slo GROUP BY surface ORDER BY surface;
DROP OWNED BY regress_envelope_rules;
DROP ROLE regress_envelope_rules;
