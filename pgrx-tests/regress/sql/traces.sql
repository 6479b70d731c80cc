-- A trace is the record of one decision: complete, readable in decide.decision, and never changed.
CREATE ROLE regress_traces_rules;
SELECT decide.grant('regress_traces_rules', 'rules');
SET pg_decide.rule_role = regress_traces_rules;
INSERT INTO decide.surface (surface, slots, fallback_action, context_fields) VALUES ('home', 2, 'nothing', '{device,hour,absent,flag,list}');
INSERT INTO decide.feature (feature, event_type, aggregate, default_value) VALUES ('clicks', 'click', 'decayed_count', 0), ('spent', 'order', 'decayed_count', -1);
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES
  ('nothing', '{}', NULL), ('a', '{home}', NULL), ('b', '{home}', 'false'), ('c', '{home}', NULL);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('plain', 'home', 'uniform');
SELECT decide.publish();
SELECT track('{"event_id": "1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}'::jsonb);

SELECT column_name, data_type FROM information_schema.columns
 WHERE table_schema = 'decide' AND table_name = 'decision' ORDER BY ordinal_position;

SET pg_decide.seed = 11;
CREATE TABLE answer AS SELECT now() AS before, d.*
  FROM decide('ann', 'home', '{"device": "mobile", "hour": 12, "flag": true, "list": [1], "name": "Ann Example"}') AS d;
SELECT d.surface, d.slot, d.action, d.probability, d.candidates, d.probabilities, d.policy, d.bundle, d.model_version, d.mode, d.reason,
       d.seed, d.features, d.context_values, d.blocked, d.blocked_reasons, d.errors, d.origin
  FROM decide.decision AS d JOIN answer AS a USING (decision_id, slot, action, probability) ORDER BY slot;
SELECT d.user_key = decide.user_key('ann') AS user_key, d.decided_at BETWEEN a.before AND clock_timestamp() AS decided_at,
       d.decided_at = decide.decided_at(d.decision_id) AS says_the_same, d.context_hash <> 0 AS context_hash,
       d.request_us >= 0 AND d.features_us >= 0 AND d.candidates_us >= 0 AND d.score_us >= 0 AND d.choose_us >= 0 AS microseconds
  FROM decide.decision AS d JOIN answer AS a USING (decision_id, slot);

-- one row a decision, in the partition of its day
SELECT count(*) FROM decide.trace;
SELECT tableoid::regclass::text = 'decide.trace_' || to_char(decided_at AT TIME ZONE 'UTC', 'YYYYMMDD') AS of_its_day FROM decide.trace;

-- the context is hashed whole, whatever its order and spacing
SELECT count(*) FROM decide('cid', 'home', '{"x": 1, "y": [1, 2]}');
SELECT count(*) FROM decide('cid', 'home', '{ "y":[1,2],"x":1.0 }');
SELECT count(*) FROM decide('cid', 'home', '{"x": 1, "y": [2, 1]}');
SELECT count(*), count(DISTINCT context_hash) FROM decide.trace WHERE user_key = decide.user_key('cid');

-- nothing of the person or of unlisted fields is in any table of ours
SELECT count(*) FROM decide.trace AS t WHERE t::text ~ 'ann|Ann|Example';
SELECT count(*) FROM decide.user_state AS t WHERE t::text ~ '\mann\M';
SELECT count(*) FROM decide.event AS t WHERE t::text ~ '\mann\M';

-- immutable, for the superuser too
UPDATE decide.trace SET seed = 1;
\echo :SQLSTATE
DELETE FROM decide.trace;
\echo :SQLSTATE
DELETE FROM decide.trace WHERE surface = 'absent';
-- through its partition too
DO $$
DECLARE
  part regclass := (SELECT tableoid FROM decide.trace LIMIT 1);
  statement text;
BEGIN
  FOREACH statement IN ARRAY ARRAY['UPDATE %s SET seed = 1', 'DELETE FROM %s'] LOOP
    BEGIN
      EXECUTE format(statement, part);
      RAISE NOTICE '% was let through', statement;
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE NOTICE '% %', SQLSTATE, SQLERRM;
    END;
  END LOOP;
END
$$;
-- and so are bundles
UPDATE decide.bundle SET content = '{}';
DELETE FROM decide.bundle;
UPDATE decide.decision SET action = 'b';
DELETE FROM decide.decision;
SELECT count(*), bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);

-- erasure says so, for its own transaction, and can delete but not change
BEGIN;
SET LOCAL pg_decide.erasing = on;
UPDATE decide.trace SET seed = 1;
ROLLBACK;
BEGIN;
SET LOCAL pg_decide.erasing = on;
DELETE FROM decide.trace WHERE user_key = decide.user_key('cid');
SELECT count(*) FROM decide.trace;
ROLLBACK;
DELETE FROM decide.trace WHERE user_key = decide.user_key('cid');

-- the caller's rollback takes them along
BEGIN;
SELECT count(*) FROM decide('ann', 'home');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM decide('ann', 'home');
ROLLBACK TO s;
COMMIT;
SELECT count(*) FROM decide.trace;

-- what reads traces bears what no trace says
SELECT cardinality(decide.candidate_names('{1,-2147483648}')) < 2000000 AS bounded, decide.candidate_names('{NULL,1}') = decide.candidate_names('{1}') AS same;
SELECT cardinality(decide.action_names('{1,NULL,-7,2147483647}')) AS four, decide.action_names('{}') AS none;
SELECT decide.slot_probabilities('{1,-2147483648}', NULL, '{0,0,0}', '{1}', 1) IS NULL AS no_million_at_once,
       decide.slot_probabilities('{1,-1}', NULL, '{0,0,0}', array_fill(1, ARRAY[100000]), 100000) IS NULL AS nor_so_many_slots,
       decide.slot_probabilities('{1,NULL}', NULL, '{0,0,0}', '{1}', 1) IS NULL AS nor_nulls, decide.slot_probabilities('{1,-1}', '{NaN,1}', '{1,0,0}', '{1}', 1) AS nan;

DROP OWNED BY regress_traces_rules;
DROP ROLE regress_traces_rules;
