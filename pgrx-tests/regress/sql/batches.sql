-- Batches: many requests in one call, and any number of them in chunks that are committed one by one.
CREATE ROLE regress_batch_serve;
CREATE ROLE regress_batch_nobody;
SELECT decide.grant('regress_batch_serve', 'serve');
INSERT INTO decide.surface (surface, slots, fallback_action, context_fields) VALUES ('message', 1, 'nothing', '{device}'), ('feed', 2, 'nothing', '{}');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{none}'), ('a', '{message,feed}'), ('b', '{message,feed}');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('none', 'nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('message', 'message', 'uniform'), ('feed', 'feed', 'uniform');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life) VALUES ('clicks', 'click', 'decayed_count', NULL);
INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('one a', 'a', 'user', 1), ('budget of b', 'b', 'all', 300);
SELECT decide.publish('caps');
SELECT track('{"event_id": "1", "type": "click", "user_id": "u7", "at": "2026-01-01T00:00:00Z"}'::jsonb);

-- The answer: a row per slot of each request, which says whose it is.
SELECT request, user_id, surface, slot, reason FROM decide.decide_batch(ARRAY['{"user_id": "ann", "surface": "message", "context": {"device": "mobile"}}', '{"user_id": 42, "surface": "feed"}',
  '{"surface": "message", "user_id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "context": null}']::jsonb[]) ORDER BY request, slot;
SELECT d.surface, d.user_key = decide.user_key(42) AS is_42, t.context_values, t.context_hash = (SELECT x.context_hash FROM decide.trace AS x WHERE x.user_key = decide.user_key(42)) AS no_context
  FROM decide.decision AS d JOIN decide.trace AS t USING (decision_id) WHERE d.slot = 1 ORDER BY t.context_values, 1, 2;
SELECT count(*) FROM decide.decide_batch('{}');

-- Mistakes of the caller are errors that say which request, and nothing is decided.
CREATE TABLE before AS SELECT count(*) AS traces FROM decide.trace;
\set VERBOSITY default
SELECT * FROM decide.decide_batch(NULL);
SELECT * FROM decide.decide_batch(ARRAY['{"user_id": "ann", "surface": "message"}', NULL]::jsonb[]);
SELECT * FROM decide.decide_batch(ARRAY['[]']::jsonb[]);
SELECT * FROM decide.decide_batch(ARRAY['{"user_id": "ann", "surface": "message"}', '{"user_id": "ann", "surface": "unknown"}']::jsonb[]);
SELECT * FROM decide.decide_batch(ARRAY['{"user_id": "ann"}']::jsonb[]);
SELECT * FROM decide.decide_batch(ARRAY['{"surface": "message"}']::jsonb[]);
SELECT * FROM decide.decide_batch(ARRAY['{"user_id": 1.5, "surface": "message"}']::jsonb[]);
SELECT * FROM decide.decide_batch(ARRAY['{"user_id": "ann", "surface": 1}']::jsonb[]);
SELECT * FROM decide.decide_batch(ARRAY['{"user_id": "ann", "surface": "message", "contxt": {}}']::jsonb[]);
SELECT * FROM decide.decide_batch(ARRAY['{"user_id": "ann", "surface": "message", "context": [1]}']::jsonb[]);
SELECT * FROM decide.decide_batch(array_fill('{"user_id": "ann", "surface": "message"}'::jsonb, ARRAY[100001]));
BEGIN READ ONLY;
SELECT * FROM decide.decide_batch('{}');
ROLLBACK;
\set VERBOSITY terse
SELECT traces = (SELECT count(*) FROM decide.trace) AS nothing_decided FROM before;

-- or rows, if it is called so
SELECT request, user_id, surface, slot, action IS NULL AS nothing, reason FROM decide.decide_each(ARRAY['{"user_id": 7, "surface": "message"}', NULL, '[]', '{"user_id": 8, "surface": "unknown"}', '{"user_id": 1.5, "surface": "message"}',
  '{"surface": "message"}', '{"user_id": "ann", "surface": "message", "context": "{}"}']::jsonb[]) ORDER BY request;

-- Caps are exact over the whole batch, for a user who comes several times too.
CREATE TABLE answer AS SELECT d.* FROM decide.decide_batch((SELECT array_agg(jsonb_build_object('user_id', 'u' || i % 250, 'surface', CASE i % 2 WHEN 0 THEN 'message' ELSE 'feed' END)) FROM generate_series(0, 999) AS i)) AS d;
SELECT count(*) AS slots, count(*) FILTER (WHERE action = 'a') BETWEEN 200 AND 250 AS a, max(n) FILTER (WHERE action = 'a') AS most_a, count(*) FILTER (WHERE action = 'b') BETWEEN 295 AND 300 AS b, array_agg(DISTINCT reason)
  FROM (SELECT action, reason, count(*) OVER (PARTITION BY user_id, action) AS n FROM answer) AS x;
SELECT sum(s.ledger[2]) AS taken FROM decide.budget_stripe AS s JOIN decide.cap_slot USING (slot) WHERE cap = 'budget of b';
SELECT count(*) FILTER (WHERE d.action = 'b') AS b, bool_and(a.request IS NULL OR a.action = d.action AND a.probability = d.probability) AS agrees, count(a.request) AS answered
  FROM decide.decision AS d LEFT JOIN answer AS a USING (decision_id, slot);
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
SELECT DISTINCT features FROM decide.trace WHERE user_key = decide.user_key('u7');
-- nothing is left, once everybody has seen a
SELECT count(*) FROM decide.decide_batch((SELECT array_agg(jsonb_build_object('user_id', 'u' || i, 'surface', 'message')) FROM generate_series(0, 249) AS i)) WHERE action = 'b';
SELECT action, reason FROM decide('u7', 'message');
-- what a savepoint takes back can be had again
UPDATE decide.cap SET max_count = 310 WHERE cap = 'budget of b';
SELECT decide.publish('more');
CREATE FUNCTION b(times integer) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM decide.decide_batch((SELECT array_agg(jsonb_build_object('user_id', 'u' || i, 'surface', 'message')) FROM generate_series(0, times - 1) AS i)) WHERE action = 'b'
$$;
BEGIN;
SELECT b(4);
SAVEPOINT s;
SELECT b(100);
ROLLBACK TO s;
SELECT b(3);
COMMIT;
SELECT b(100);
-- the mode cautious holds a part of the limit back, of what the batch itself has taken too
UPDATE decide.cap SET max_count = 1000 WHERE cap = 'budget of b';
SELECT decide.publish('plenty');
SET pg_decide.cautious_caps = 0.5;
SET pg_decide.cautious_candidates = 1;
SELECT decide.set_mode('message', 'cautious', 'a test');
SELECT b(900);
SELECT decide.set_mode('message', 'normal', 'a test');
RESET pg_decide.cautious_caps;
RESET pg_decide.cautious_candidates;

-- The procedure: the answers go into a table of the caller; called again it does what is left.
CREATE SCHEMA regress_batch AUTHORIZATION regress_batch_serve;
SET ROLE regress_batch_serve;
CREATE TABLE regress_batch.person (id bigint PRIMARY KEY, device text);
INSERT INTO regress_batch.person SELECT i, 'mobile' FROM generate_series(1, 1100) AS i;
CREATE TABLE regress_batch.result (user_id bigint, surface text, slot int, action text, probability float8, decision_id uuid, reason text, PRIMARY KEY (user_id, surface, slot));
CALL decide.decide_batch($$SELECT id AS user_id, 'message' AS surface, jsonb_build_object('device', device) AS context FROM regress_batch.person WHERE id <= 600 -- the first$$, 'regress_batch.result', 250);
SELECT count(*), count(DISTINCT user_id), count(DISTINCT decision_id) FROM regress_batch.result;
CALL decide.decide_batch('SELECT id AS user_id, ''message'' AS surface FROM regress_batch.person', 'regress_batch.result');
CALL decide.decide_batch('SELECT id AS user_id, ''message'' AS surface FROM regress_batch.person', 'regress_batch.result');
SELECT count(*), count(DISTINCT user_id), count(DISTINCT decision_id) FROM regress_batch.result;
-- a request that is wrong has a row that says so, and the rest of its chunk is decided; called again, it is passed by until that row is deleted
INSERT INTO regress_batch.person VALUES (1200, 'mobile'), (1201, 'mobile'), (1202, 'mobile');
\set some 'SELECT id AS user_id, CASE id WHEN 1202 THEN ''unknown'' ELSE ''message'' END AS surface FROM regress_batch.person WHERE id >= 1200 ORDER BY id'
CALL decide.decide_batch(:'some', 'regress_batch.result');
CALL decide.decide_batch(:'some', 'regress_batch.result');
SELECT user_id, surface, slot, action IS NULL AS nothing, decision_id IS NULL AS no_decision, reason FROM regress_batch.result WHERE user_id >= 1200 ORDER BY 1;
DELETE FROM regress_batch.result WHERE slot = 0;
CALL decide.decide_batch('SELECT id AS user_id, ''message'' AS surface FROM regress_batch.person WHERE id >= 1200', 'regress_batch.result');
-- a user that comes twice is decided once, within a chunk or in another one
CALL decide.decide_batch('SELECT 5000 + i % 2 AS user_id, ''message'' AS surface FROM generate_series(1, 7) AS i', 'regress_batch.result', 3);
SELECT user_id, count(*) FROM regress_batch.result WHERE user_id IN (5000, 5001) GROUP BY 1 ORDER BY 1;
-- numbers are the same users as in an array of requests; what cannot be written as it is has no result
CALL decide.decide_batch('SELECT n AS user_id, ''message'' AS surface FROM unnest(ARRAY[5100.0, 5101.00, 1.5, NULL]::numeric[]) AS n', 'regress_batch.result');
CALL decide.decide_batch('SELECT n AS user_id, s AS surface FROM (VALUES (''007'', ''message''), (''9223372036854775808'', ''message''), (''5102'', ''message''), (''5103'', NULL)) AS v (n, s)', 'regress_batch.result');
CALL decide.decide_batch('SELECT j -> ''u'' AS user_id, ''message'' AS surface FROM unnest(ARRAY[''{"u": 5104}'', ''{"u": "5105"}'', ''{"u": [1]}'']::jsonb[]) AS j', 'regress_batch.result');
RESET ROLE;
SELECT r.user_id, t.user_key = decide.user_key(r.user_id) AS is_theirs FROM regress_batch.result AS r JOIN decide.trace AS t USING (decision_id) WHERE r.user_id BETWEEN 5100 AND 5105 ORDER BY 1;
SET ROLE regress_batch_serve;
-- the query does not see what the procedure puts beside it
CALL decide.decide_batch('SELECT 5200 AS user_id, ''message'' AS surface WHERE context IS NOT NULL', 'regress_batch.result');
CALL decide.decide_batch('SELECT 5200 AS user_id, ''message'' AS surface, json_build_object(''device'', ''tv'') AS context', 'regress_batch.result');
-- in a transaction of the caller
BEGIN;
CALL decide.decide_batch('SELECT 6000 + i AS user_id, ''message'' AS surface FROM generate_series(1, 10) AS i', 'regress_batch.result', 4, commits => false);
SELECT count(*) FROM regress_batch.result WHERE user_id > 6000;
ROLLBACK;
SELECT count(*) FROM regress_batch.result WHERE user_id > 6000;
BEGIN;
CALL decide.decide_batch('SELECT 6000 + i AS user_id, ''message'' AS surface FROM generate_series(1, 10) AS i', 'regress_batch.result', 4);
ROLLBACK;
-- mistakes
\set VERBOSITY default
\set SHOW_CONTEXT never
CALL decide.decide_batch(NULL, 'regress_batch.result');
CALL decide.decide_batch('SELECT 1', NULL);
CALL decide.decide_batch('SELECT 1', 'regress_batch.result', 0);
CALL decide.decide_batch('SELECT 1', 'regress_batch.person');
CALL decide.decide_batch('SELECT 1 AS user_id', 'regress_batch.result');
CALL decide.decide_batch('SELECT ''x'' AS user_id, ''message'' AS surface', 'regress_batch.result');
CALL decide.decide_batch('SELECT 8888 AS user_id, ''message'' AS surface, ''{"device": "tv"}'' AS context', 'regress_batch.result');
CREATE TABLE regress_batch.short (user_id varchar(3), surface name, slot int, action text NOT NULL, probability float8, decision_id uuid, reason text, PRIMARY KEY (user_id, surface, slot));
CALL decide.decide_batch('SELECT 1', 'regress_batch.short');
CREATE TABLE regress_batch.cost (user_id numeric, surface text, slot int, action text, probability float8, decision_id uuid, reason text, PRIMARY KEY (user_id, surface, slot));
CALL decide.decide_batch('SELECT 1', 'regress_batch.cost');
CREATE TABLE regress_batch.id (user_id uuid, surface text, slot int, action text, probability float8, decision_id uuid, reason text, PRIMARY KEY (user_id, surface, slot));
CALL decide.decide_batch('SELECT n AS user_id, ''message'' AS surface FROM unnest(ARRAY[''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'', ''A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12'']) AS n', 'regress_batch.id');
SELECT user_id, reason FROM regress_batch.id;
\set VERBOSITY terse
-- The query, and what it calls, runs with the rights of the caller, and so does what writes the results.
CALL decide.decide_batch('SELECT t.user_key AS user_id, ''message'' AS surface FROM decide.trace AS t', 'regress_batch.result');
CREATE FUNCTION regress_batch.who() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'as %', current_user; RETURN 'message'; END $$;
CREATE FUNCTION regress_batch.told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'written as %', current_user; RETURN NEW; END $$;
CREATE TRIGGER told BEFORE INSERT ON regress_batch.result FOR EACH ROW EXECUTE FUNCTION regress_batch.told();
CALL decide.decide_batch('SELECT 7000 AS user_id, regress_batch.who() AS surface', 'regress_batch.result');
CALL decide.decide_batch('SELECT 7001 AS user_id, ''message'' AS surface) AS q) AS f; SELECT * FROM decide.trace --', 'regress_batch.result');
RESET ROLE;
SET ROLE regress_batch_nobody;
CALL decide.decide_batch('SELECT 1', 'pg_class');
SELECT * FROM decide.decide_batch('{}');
RESET ROLE;
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
SET client_min_messages = warning;
DROP SCHEMA regress_batch CASCADE;
DROP OWNED BY regress_batch_serve;
DROP ROLE regress_batch_serve, regress_batch_nobody;
