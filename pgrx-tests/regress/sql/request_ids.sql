-- A request that its client has named: a retry within the hour gets the same answer, and takes nothing again.
CREATE ROLE regress_request_serve;
SELECT decide.grant('regress_request_serve', 'serve');
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 2, 'nothing'), ('side', 1, 'nothing'), ('none', 1, 'nothing');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{none}'), ('a', '{home,side}'), ('b', '{home,side}'), ('c', '{home,side}'), ('d', '{home,side}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('side', 'side', 'uniform');
INSERT INTO decide.campaign (campaign) VALUES ('spring');
UPDATE decide.action SET campaign = 'spring' WHERE action <> 'nothing';
INSERT INTO decide.cap (cap, campaign, per, max_count) VALUES ('budget', 'spring', 'all', 8), ('each', 'spring', 'user', 3);
SELECT decide.publish('caps');
CREATE VIEW taken AS SELECT sum(s.ledger[2]) AS taken, (SELECT count(*) FROM decide.trace) AS traces FROM decide.budget_stripe AS s;
SET ROLE regress_request_serve;
CREATE TEMP TABLE answer AS SELECT 1 AS try, d.* FROM decide('ann', 'home', '{}', 'r1') AS d;
-- whatever the context, untyped or by name
INSERT INTO answer SELECT 2, d.* FROM decide('ann', 'home', '{"device": "tv"}', request_id => 'r1') AS d;
INSERT INTO answer SELECT 3, d.* FROM decide('ann', 'home', request_id => 'r1') AS d;
RESET ROLE;
SELECT count(*), count(DISTINCT (slot, action, probability, decision_id)) AS different FROM answer;
SELECT * FROM taken;
-- slots that have the fallback have their reason again
CREATE TEMP TABLE scarce AS SELECT i, d.* FROM generate_series(1, 3) AS i, decide('ann', 'home', '{}', 'r' || 2 + 0 * i) AS d;
SELECT DISTINCT slot, action IS NOT NULL AS shown, action = 'nothing' AS is_fallback, reason FROM scarce ORDER BY slot;
SELECT count(DISTINCT (slot, action, probability, decision_id)) FROM scarce;
SELECT * FROM taken;
-- another user, or another identifier, is another request; without one nothing is remembered
SELECT count(DISTINCT decision_id) FROM (SELECT * FROM decide('bob', 'home', '{}', 'r1') UNION ALL SELECT * FROM decide('bob', 'home', '{}', 'r3') UNION ALL SELECT * FROM decide('bob', 'home') UNION ALL SELECT * FROM decide('bob', 'home', '{}', NULL)) AS d;
SELECT count(*) FROM decide.request;
-- no raw identifier
SELECT count(*) FROM decide.request AS r WHERE r::text LIKE '%r1%' OR r::text LIKE '%ann%';
-- pages
CREATE TEMP TABLE page AS SELECT i, d.* FROM generate_series(1, 3) AS i, decide('cat', ARRAY['side', 'home'], '{}', 'p' || 1 + 0 * i) AS d;
SELECT surface, slot, count(*), count(DISTINCT (action, probability, decision_id)) AS different FROM page GROUP BY 1, 2 ORDER BY 1, 2;
-- batches: also twice in one, and in order of the requests
CREATE TEMP TABLE batch AS SELECT t, d.* FROM generate_series(1, 2) AS t, decide.decide_batch((ARRAY['{"user_id": "dan", "surface": "side", "request_id": "b1"}', '{"user_id": "dan", "surface": "side", "request_id": "b1"}',
  '{"user_id": "dan", "surface": "side"}', '{"user_id": "eve", "surface": "home", "request_id": "b1"}']::jsonb[])[1:4 + 0 * t]) AS d;
SELECT user_id, surface, slot, count(*), count(DISTINCT (action, probability, decision_id)) AS different FROM batch WHERE request <> 3 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT count(DISTINCT decision_id) FROM batch WHERE request = 3;
-- what is rolled back was never decided
BEGIN;
CREATE TEMP TABLE undone AS SELECT * FROM decide('fay', 'side', '{}', 'u1');
SAVEPOINT s;
INSERT INTO undone SELECT * FROM decide('fay', 'side', '{}', 'u2');
ROLLBACK TO s;
INSERT INTO undone SELECT * FROM decide('fay', 'side', '{}', 'u2');
INSERT INTO undone SELECT * FROM decide('fay', 'side', '{}', 'u2');
SELECT count(*), count(DISTINCT decision_id) FROM undone;
ROLLBACK;
SELECT count(*) FROM decide.request WHERE user_key = decide.user_key('fay');
-- after the hour, or once the trace is gone, it is another request
UPDATE decide.request SET requested_at = requested_at - interval '61 minutes' WHERE user_key = decide.user_key('ann');
SELECT count(DISTINCT d.decision_id) FROM (SELECT decision_id FROM answer UNION ALL SELECT decision_id FROM decide('ann', 'home', '{}', 'r1')) AS d;
UPDATE decide.request SET decisions = ARRAY[gen_random_uuid()] WHERE user_key = decide.user_key('bob');
CREATE TEMP TABLE anew AS SELECT * FROM decide('bob', 'home', '{}', 'r1');
SELECT count(DISTINCT d.decision_id) FROM anew AS d JOIN decide.request AS r ON r.decisions = ARRAY[d.decision_id];
SELECT decide.run_job('requests');
SELECT count(*) FROM decide.request WHERE requested_at < now() - interval '1 hour';
-- a paused surface answers as before
SELECT decide.set_mode(NULL, 'paused', 'a test');
SELECT count(DISTINCT (slot, action, decision_id)) FROM (SELECT slot, action, decision_id FROM page WHERE surface = 'side' UNION ALL SELECT slot, action, decision_id FROM decide('cat', ARRAY['side', 'home'], '{}', 'p1') WHERE surface = 'side') AS d;
SELECT decide.set_mode(NULL, 'normal', 'a test');
-- a claim that is slow, though nobody else has the request, is no open request
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END';
CREATE TRIGGER slow BEFORE INSERT ON decide.request FOR EACH ROW EXECUTE FUNCTION slow();
SELECT count(*) AS open FROM decide('gus', 'side', '{}', 's1') WHERE reason = 'request_open';
DROP TRIGGER slow ON decide.request;
DROP FUNCTION slow();
-- mistakes
\set VERBOSITY default
SELECT * FROM decide('cat', 'side', '{}', 'p1');
SELECT * FROM decide('cat', ARRAY['home', 'side'], '{}', 'p1');
SELECT * FROM decide('cat', 'side', '{}', ' ');
SELECT * FROM decide('cat', 'side', '{}', repeat('x', 513));
SELECT * FROM decide.decide_batch(ARRAY['{"user_id": "dan", "surface": "home", "request_id": "b1"}']::jsonb[]);
SELECT * FROM decide.decide_batch(ARRAY['{"user_id": "dan", "surface": "home", "request_id": 1}']::jsonb[]);
\set VERBOSITY terse
SELECT request, slot, reason FROM decide.decide_each(ARRAY['{"user_id": "dan", "surface": "home", "request_id": "b1"}']::jsonb[]);
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
DROP OWNED BY regress_request_serve;
DROP ROLE regress_request_serve;
