-- Decisions made elsewhere come in whole or not at all, and are marked as imported.
INSERT INTO decide.surface (surface, slots, fallback_action, context_fields) VALUES ('home', 3, 'nothing', '{device,age}');
INSERT INTO decide.action (action) VALUES ('nothing'), ('a'), ('b');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();

CREATE TABLE log (
  user_id bigint, surface text, decided_at timestamptz, action varchar(20), propensity numeric, slot smallint, context jsonb, reward integer, reward_type text, note text);
INSERT INTO log VALUES
  (1, 'home', '2026-01-01 10:00Z', 'a', 0.5, 1, '{"device": "mobile", "age": 30, "name": "Ann"}', 1, 'click', 'x'),
  (1, 'home', '2026-01-01 10:00Z', 'b', 0.25, 2, '{"device": "mobile"}', 0, 'click', 'x'),
  (2, 'home', '2026-01-03 23:59:59.999999Z', 'old and gone', 1, 3, NULL, NULL, NULL, 'x'),
  (3, 'home', '2026-01-01 00:00Z', 'a', 0.001, NULL, '{}', 20, NULL, 'x');
SELECT decide.import_decisions('log', 'shop v1');
SELECT slot, action, probability, candidates, probabilities, policy, bundle, reason, context_values, origin, surface,
       user_key = decide.user_key(CASE action WHEN 'old and gone' THEN 2 ELSE 1 END) AS of_user
  FROM decide.decision ORDER BY probability, slot;
SELECT o.type, o.action, o.value, o.at = t.decided_at AS at_once, o.decided_at = t.decided_at AS same FROM decide.outcome AS o JOIN decide.trace AS t USING (decision_id, user_key) ORDER BY 3;
SELECT tableoid::regclass, count(*) FROM decide.trace GROUP BY tableoid ORDER BY tableoid::regclass::text;
SELECT agrees, difference, count(*) FROM decide.trace AS t, decide.replay(t.decision_id) GROUP BY 1, 2;
SELECT number, action FROM decide.action_number ORDER BY 1;
SELECT count(*) FROM decide.trace WHERE decided_at <> decide.decided_at(decision_id);
SELECT count(*) FROM decide.trace AS t WHERE t::text ~ 'Ann';

-- the least that a source must have; from a view, from a temporary table, from a name with quotes
CREATE VIEW "odd ""name" AS SELECT user_id, surface, decided_at, action, propensity FROM log;
SELECT decide.import_decisions('"odd ""name"');
CREATE TEMP TABLE least AS SELECT user_id::text, surface, decided_at, action, propensity::float4, true AS dropped FROM log;
ALTER TABLE least DROP COLUMN dropped;
SELECT decide.import_decisions('least', 'temporary');
SELECT origin, count(*) FROM decide.trace GROUP BY 1 ORDER BY 1;
CREATE TEMP TABLE none AS SELECT * FROM log LIMIT 0;
SELECT decide.import_decisions('none');

-- each bad row is an error that says which and why, and nothing comes in
CREATE VIEW sorted AS SELECT * FROM log ORDER BY surface = 'home' AND user_id < 2 AND decided_at < now() DESC, slot;
CREATE FUNCTION refused(change text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'UPDATE log SET ' || change || ' WHERE user_id = 2';
  PERFORM decide.import_decisions('sorted');
  RAISE EXCEPTION USING ERRCODE = 'P0099', MESSAGE = 'it came in';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
DELETE FROM log WHERE user_id = 3;
SELECT change, refused(change) FROM (VALUES
  ('note = NULL'), ('surface = ''moon'''), ('surface = NULL'), ('user_id = NULL, slot = 1'), ('action = NULL'), ('action = '''''), ('action = '' a'''), ('action = E''a\n'''),
  ('decided_at = NULL'), ('decided_at = ''infinity'''), ('decided_at = ''-infinity'''), ('decided_at = now() + interval ''1 day'''), ('decided_at = ''1950-01-01'''),
  ('propensity = NULL'), ('propensity = 0'), ('propensity = -0.1'), ('propensity = 1.0001'), ('propensity = ''NaN'''),
  ('slot = 0'), ('slot = 101'), ('slot = -1'), ('context = ''[]'''), ('context = ''"x"'''), ('reward = NULL, reward_type = ''x''')
) AS c (change);
DROP VIEW sorted, "odd ""name";
ALTER TABLE log ALTER COLUMN reward TYPE float8, ALTER COLUMN user_id TYPE text;
UPDATE log SET reward = 'NaN' WHERE user_id = '2';
SELECT decide.import_decisions('log');
UPDATE log SET reward = 'infinity' WHERE user_id = '2';
SELECT decide.import_decisions('log');
UPDATE log SET reward = 1, user_id = ' ' WHERE user_id = '2';
SELECT decide.import_decisions('log');
SELECT count(*) FROM decide.trace;

-- days far apart have their partitions, and no others; too many are refused before anything is done
CREATE TABLE far AS SELECT 1 AS user_id, 'home' AS surface, '1999-12-31 12:00Z'::timestamptz - i * interval '1000 days' AS decided_at, 'a' AS action, 1.0 AS propensity FROM generate_series(0, 9) AS i;
SELECT decide.import_decisions('far');
SELECT count(*) FROM pg_inherits WHERE inhparent = 'decide.trace'::regclass AND inhrelid::regclass::text ~ 'trace_19';
SELECT count(*) FROM decide.trace_default;
CREATE VIEW too_far AS SELECT 1 AS user_id, 'home' AS surface, '1999-12-31 12:00Z'::timestamptz - i * interval '1 day' AS decided_at, 'a' AS action, 1.0 AS propensity FROM generate_series(0, 366) AS i;
SELECT decide.import_decisions('too_far');

-- columns that are missing or of another type
ALTER TABLE log RENAME COLUMN propensity TO p;
SELECT decide.import_decisions('log');
\echo :SQLSTATE
ALTER TABLE log RENAME COLUMN p TO propensity;
\set VERBOSITY sqlstate
ALTER TABLE log ALTER COLUMN propensity TYPE text USING 'half';
SELECT decide.import_decisions('log');
ALTER TABLE log ALTER COLUMN propensity TYPE boolean USING true;
SELECT decide.import_decisions('log');
SELECT decide.import_decisions('absent');
SELECT decide.import_decisions('decide.user_state_pkey');
\set VERBOSITY default
SELECT decide.import_decisions(0);
SELECT decide.import_decisions(NULL);
SELECT decide.import_decisions('log', NULL);
SELECT decide.import_decisions('log', E'bad\tname');
SELECT count(*) FROM decide.trace;
