-- An event that tells of an exposure is about that exposure: who, what, where, how much and when come from the decision.
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 1, 'logo'), ('other', 1, 'logo'), ('feed', 2, 'logo'), ('none', 1, 'logo');
INSERT INTO decide.campaign (campaign) VALUES ('spring'), ('autumn');
INSERT INTO decide.action (action, campaign, surfaces) VALUES
  ('logo', NULL, '{none}'), ('tulips', NULL, '{home,other}'), ('a', 'spring', '{feed}'), ('b', 'spring', '{feed}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('h', 'home', 'uniform'), ('o', 'other', 'uniform'), ('f', 'feed', 'uniform');
CREATE FUNCTION seen(id text, who text, decision uuid DEFAULT NULL, action text DEFAULT NULL, at timestamptz DEFAULT clock_timestamp()) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('event_id', id, 'type', 'impression', 'user_id', who, 'at', at, 'decision_id', decision, 'action', action))
$$;
CREATE FUNCTION had(who text) RETURNS TABLE (cap text, counted double precision, reserved double precision) LANGUAGE sql AS $$
  SELECT e.cap, e.counted, e.reserved FROM decide.exposure AS e WHERE e.user_key = decide.user_key(who) ORDER BY e.cap
$$;
CREATE FUNCTION of_all() RETURNS TABLE (cap text, spent double precision, reserved double precision) LANGUAGE sql AS $$
  SELECT b.cap, b.spent, b.reserved FROM decide.budget AS b ORDER BY b.cap
$$;

-- Windows: an event of yesterday counts yesterday, one that is dated into the next window counts there, in any order.
INSERT INTO decide.cap (cap, action, per, max_count, counts, window_length) VALUES ('two a day', 'tulips', 'user', 2, 'impression', '1 day');
SELECT decide.publish('windows');
SELECT track(seen('today', 'ann', action => 'tulips'));
SELECT track(seen('yesterday', 'ann', action => 'tulips', at => now() - interval '1 day'));
SELECT counted, last_at >= window_start AS of_today FROM decide.exposure;
SELECT action, reason FROM decide('ann', 'home');
SELECT track(seen('yesterday', 'bob', action => 'tulips', at => now() - interval '1 day'));
SELECT track(seen('long ago', 'bob', action => 'tulips', at => now() - interval '5 days'));
SELECT track(seen('today', 'bob', action => 'tulips'));
SELECT * FROM had('bob');
INSERT INTO decide.event_type (event_type, future_tolerance) VALUES ('impression', '2 days'), ('click', '5 minutes');
SELECT decide.publish('clocks that are far ahead');
SELECT count(track(seen('ahead ' || g, 'cas', action => 'tulips', at => now() + interval '1 day'))) FROM generate_series(1, 3) AS g;
SELECT track(seen('today', 'cas', action => 'tulips'));
SELECT track(seen('late', 'cas', action => 'tulips', at => now() - interval '1 day'));
SELECT * FROM had('cas');
SELECT amount, state, (at AT TIME ZONE 'UTC')::date - (now() AT TIME ZONE 'UTC')::date AS days
  FROM decide.user_state AS u, decide.exposure_entries(u.exposures) WHERE user_key = decide.user_key('cas') ORDER BY days;
-- What one window has is one entry, and of windows that are yet to come no more than 64 are kept apart.
UPDATE decide.cap SET window_length = '10 minutes';
SELECT decide.publish('short windows');
SELECT count(track(seen('w' || g, 'dan', action => 'tulips', at => now() + g * interval '10 minutes'))) FROM generate_series(1, 100) AS g;
SELECT count(*) AS entries, sum(amount) AS amount FROM decide.user_state AS u, decide.exposure_entries(u.exposures) WHERE user_key = decide.user_key('dan');
SELECT action FROM decide('dan', 'home');
-- A sliding window counts at once what is dated ahead.
UPDATE decide.cap SET window_length = '1 day', window_kind = 'sliding';
SELECT decide.publish('sliding');
SELECT count(track(seen('s' || g, 'eva', action => 'tulips', at => now() + interval '1 hour' * g))) FROM generate_series(-30, 1, 31) AS g;
SELECT counted FROM had('eva');
SELECT action FROM decide('eva', 'home');

-- An exposure counts once, whichever events tell of it: with its action, without, with another's.
DELETE FROM decide.event_type;
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, action, per, max_count, counts) VALUES ('seen', 'tulips', 'user', 5, 'impression');
SELECT decide.publish('once');
SELECT decision_id AS d1 FROM decide('once', 'home') \gset
SELECT decision_id AS d2 FROM decide('once', 'home') \gset
SELECT h.* FROM decide.trace AS t, LATERAL (SELECT t.holds[1] AS slot, t.holds[3] AS stripe, t.holds[4] AS amount, cardinality(t.holds)) AS h WHERE t.decision_id = :'d1';
SELECT track(seen('1', 'once', :'d1', 'tulips'));
SELECT track(seen('2', 'once', :'d1'));
SELECT * FROM had('once');
SELECT track(seen('3', 'once', :'d2', 'tulips'));
SELECT * FROM had('once');
SELECT decision_id AS d3 FROM decide('once', 'home') \gset
SELECT track(seen('4', 'once', :'d3', 'logo'));
SELECT track(seen('5', 'once', :'d3', 'never heard of'));
SELECT * FROM had('once');
SELECT track(seen('6', 'once', :'d3'));
SELECT track(seen('7', 'once', :'d3', 'tulips'));
SELECT track(seen('8', 'once', :'d3'));
SELECT * FROM had('once');
-- Another user's decision, one that never was, one of another time: no exposure of theirs.
SELECT decision_id AS d4 FROM decide('somebody', 'home') \gset
SELECT track(seen('f1', 'once', :'d4', 'tulips'));
SELECT track(seen('f2', 'nobody', :'d4'));
SELECT track(seen('f3', 'once', '01890000-0000-7000-8000-000000000000', 'tulips'));
SELECT * FROM had('once');
SELECT * FROM had('nobody');
SELECT * FROM had('somebody');
SELECT track(seen('f5', 'somebody', :'d4', 'tulips'));
SELECT * FROM had('somebody');
-- An event that names no decision takes the oldest reservation of its action, and counts as of its own time.
SELECT decision_id AS d5 FROM decide('alone', 'home') \gset
SELECT decision_id AS d6 FROM decide('alone', 'home') \gset
SELECT track(seen('a1', 'alone', action => 'tulips'));
SELECT * FROM had('alone');
SELECT track(seen('a2', 'alone', :'d5', 'tulips'));
SELECT * FROM had('alone');
SELECT track(seen('a3', 'alone', action => 'tulips', at => clock_timestamp() - interval '1 hour'));
SELECT * FROM had('alone');

-- A slate: all of its slots, or the one that the event names; both in any order.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, campaign, per, max_count, counts, hold) VALUES ('all', 'spring', 'all', 100, 'impression', '1 second'), ('u', 'spring', 'user', 2, 'impression', '1 second');
SELECT decide.publish('slates');
SELECT max(decision_id::text) AS d FROM decide('whole', 'feed') \gset
SELECT track(seen('1', 'whole', :'d'));
SELECT track(seen('2', 'whole', :'d', 'a'));
SELECT track(seen('3', 'whole', :'d'));
SELECT max(decision_id::text) AS d FROM decide('part', 'feed') \gset
SELECT track(seen('1', 'part', :'d', 'a'));
SELECT counted FROM had('part');
SELECT track(seen('2', 'part', :'d'));
SELECT track(seen('3', 'part', :'d', 'b'));
SELECT max(decision_id::text) AS d FROM decide('slots', 'feed') \gset
SELECT accepted, duplicate, quarantined FROM track(ARRAY[seen('1', 'slots', :'d', 'b'), seen('2', 'slots', :'d', 'b'), seen('3', 'slots', :'d')]);
SELECT max(decision_id::text) AS d FROM decide('half', 'feed') \gset
SELECT track(seen('1', 'half', :'d', 'b'));
SELECT w.who, h.counted FROM unnest('{whole,part,slots,half}'::text[]) AS w (who), had(w.who) AS h;
SELECT slot, action FROM decide('whole', 'feed');
SELECT pg_sleep(1.5);
SELECT decide.run_job('budgets') LIKE '% reservations looked up' AS done;
SELECT * FROM of_all();

-- Where: a cap of one surface has nothing of what was shown on another, whatever the event says.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, surface, action, per, max_count, counts) VALUES ('at home', 'home', 'tulips', 'user', 1, 'impression');
SELECT decide.publish('where');
SELECT decision_id AS d FROM decide('where', 'other') \gset
SELECT track(seen('1', 'where', :'d', 'tulips'));
SELECT track(seen('2', 'where', :'d', 'tulips') || '{"surface": "home"}');
SELECT * FROM had('where');
SELECT decision_id AS d, action FROM decide('where', 'home') \gset
SELECT :'action' AS action;
SELECT track(seen('3', 'where', :'d', 'tulips') || '{"surface": "other"}');
SELECT * FROM had('where');

-- How much: what was reserved, whatever the action costs by now. What costs nothing reserves nothing.
DELETE FROM decide.cap;
UPDATE decide.action SET cost = 0.40 WHERE action = 'tulips';
INSERT INTO decide.cap (cap, action, per, max_count, unit, counts, hold) VALUES
  ('money', 'tulips', 'all', 1, 'cost', 'impression', '2 seconds'), ('money of a user', 'tulips', 'user', 1, 'cost', 'impression', '2 seconds');
SELECT decide.publish('how much');
SELECT decision_id AS d1 FROM decide('dear', 'home') \gset
SELECT decision_id AS d2 FROM decide('dearer', 'home') \gset
UPDATE decide.action SET cost = 5 WHERE action = 'tulips';
SELECT decide.publish('dearer');
SELECT track(seen('1', 'dear', :'d1', 'tulips'));
UPDATE decide.action SET cost = 0 WHERE action = 'tulips';
SELECT decide.publish('cheaper');
SELECT track(seen('1', 'dearer', :'d2', 'tulips'));
SELECT * FROM had('dear');
SELECT * FROM had('dearer');
SELECT decision_id AS d3, action FROM decide('free', 'home') \gset
SELECT :'action' AS action, (SELECT t.holds FROM decide.trace AS t WHERE t.decision_id = :'d3');
SELECT track(seen('1', 'free', :'d3', 'tulips'));
SELECT * FROM had('free');
SELECT pg_sleep(2.5);
SELECT decide.run_job('budgets') LIKE '% reservations looked up' AS done;
SELECT * FROM of_all();

-- What: an action that is deleted, moved to another campaign or given another name meanwhile was shown all the same.
DELETE FROM decide.cap;
UPDATE decide.action SET cost = 1, campaign = 'spring', surfaces = '{home}' WHERE action IN ('tulips', 'a');
INSERT INTO decide.cap (cap, campaign, per, max_count, counts, hold) VALUES ('all', 'spring', 'all', 50, 'impression', '400 milliseconds'), ('u', 'spring', 'user', 2, 'impression', '400 milliseconds');
SELECT decide.publish('what');
SET pg_decide.seed = 5; -- the same action in all of them
CREATE TEMP TABLE meanwhile AS SELECT g AS n, 'what' || g AS who, d.decision_id, d.action FROM generate_series(1, 5) AS g, LATERAL decide('what' || g, 'home') AS d;
RESET pg_decide.seed;
SELECT count(DISTINCT action) AS actions, count(*) FROM meanwhile;
SELECT track(seen('1', who, decision_id, action)) FROM meanwhile WHERE n = 1;
SELECT pg_sleep(0.6);
SELECT decide.run_job('budgets') LIKE '% reservations looked up' AS done;
SELECT spent, reserved FROM of_all() WHERE cap = 'all';
UPDATE decide.action SET campaign = 'autumn' WHERE action = (SELECT DISTINCT action FROM meanwhile);
SELECT decide.publish('moved');
SELECT track(seen('1', who, decision_id, action)) FROM meanwhile WHERE n = 2;
DELETE FROM decide.action WHERE action = (SELECT DISTINCT action FROM meanwhile);
SELECT decide.publish('deleted');
SELECT track(seen('1', who, decision_id, action)) FROM meanwhile WHERE n = 3;
SELECT track(seen('1', who, decision_id)) FROM meanwhile WHERE n = 4;
SELECT track(seen('1', who, decision_id, 'a new name')) FROM meanwhile WHERE n = 5;
SELECT m.n, h.counted FROM meanwhile AS m, had(m.who) AS h WHERE h.cap = 'u' ORDER BY 1;
SELECT pg_sleep(0.7);
SELECT decide.run_job('budgets') LIKE '% reservations looked up' AS done;
SELECT spent, reserved FROM of_all() WHERE cap = 'all';

-- A cap that is deleted and comes back finds what was told of meanwhile; events that it does not count are no matter.
INSERT INTO decide.action (action, campaign, surfaces) VALUES ('roses', 'spring', '{home}');
DELETE FROM decide.action WHERE action IN ('tulips', 'a') AND 'home' = ANY (surfaces);
UPDATE decide.cap SET hold = '1 hour' WHERE per = 'user';
UPDATE decide.cap SET hold = '1 second' WHERE per = 'all';
SELECT decide.publish('back 1');
SELECT decision_id AS d1, action FROM decide('back', 'home') \gset
SELECT decision_id AS d2 FROM decide('back', 'home') \gset
CREATE TEMP TABLE gone AS SELECT * FROM decide.cap;
DELETE FROM decide.cap;
SELECT decide.publish('back 2');
SELECT track(seen('1', 'back', :'d1', 'roses'));
SELECT track(seen('2', 'back', :'d1'));
SELECT track(seen('3', 'back', :'d2') || '{"type": "click"}');
SELECT accepted, duplicate, quarantined FROM track(ARRAY[seen('4', 'back', :'d1', 'roses'), seen('1', 'back', :'d1', 'roses')]);
INSERT INTO decide.cap SELECT * FROM gone;
SELECT decide.publish('back 3');
SELECT * FROM had('back');
SELECT pg_sleep(1.2);
SELECT decide.run_job('budgets') LIKE '% reservations looked up' AS done;
SELECT spent, reserved FROM of_all() WHERE cap = 'all';

-- The same statement, and a transaction that sees one snapshot throughout; and in all the ways in which events come in.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, action, per, max_count, counts) VALUES ('seen', 'roses', 'user', 8, 'impression');
SELECT decide.publish('ways');
SELECT track(seen('s1', 'ways', d.decision_id, d.action)) FROM decide('ways', 'home') AS d;
SELECT t.accepted FROM decide('ways', 'home') AS d, LATERAL track(ARRAY[seen('s2', 'ways', d.decision_id, d.action), seen('s3', 'ways', d.decision_id)]) AS t;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM decide.trace WHERE user_key = decide.user_key('ways');
SELECT track(seen('s4', 'ways', d.decision_id)) FROM decide('ways', 'home') AS d;
SELECT decision_id AS d FROM decide('ways', 'home') \gset
SELECT track(seen('s5', 'ways', :'d', 'roses'));
SELECT track(seen('s6', 'ways', :'d', 'roses'));
COMMIT;
SELECT * FROM had('ways');
BEGIN;
SELECT decision_id AS d FROM decide('ways', 'home') \gset
SAVEPOINT s;
SELECT track(seen('s7', 'ways', :'d', 'roses'));
SELECT counted, reserved FROM had('ways');
ROLLBACK TO s;
SELECT counted, reserved FROM had('ways');
SELECT track(seen('s8', 'ways', :'d'));
COMMIT;
SELECT counted, reserved FROM had('ways');
SELECT decision_id AS d1 FROM decide('ways', 'home') \gset
SELECT decision_id AS d2 FROM decide('ways', 'home') \gset
SELECT decision_id AS d3 FROM decide('ways', 'home') \gset
INSERT INTO decide.event_inbox (event) SELECT seen('i' || g, 'ways', :'d1', CASE g WHEN 1 THEN 'roses' END)::text FROM generate_series(1, 2) AS g;
SELECT decide.run_job('fold');
SELECT counted, reserved FROM had('ways');
SELECT track(seen('q1', 'ways', :'d2', 'roses') - 'at');
SELECT counted, reserved FROM had('ways');
SELECT decide.release_quarantine(quarantine_id, jsonb_build_object('at', clock_timestamp())) FROM decide.quarantine;
SELECT counted, reserved FROM had('ways');
CREATE TABLE banner (id int PRIMARY KEY, who text, decision uuid, shown text, at timestamptz DEFAULT clock_timestamp());
SELECT decide.track_table('banner', '{"type": "impression", "user_id": "who", "decision_id": "decision", "action": "shown", "at": "at"}');
INSERT INTO banner (id, who, decision, shown) VALUES (1, 'ways', :'d3', 'roses'), (2, 'ways', :'d3', NULL);
SELECT counted, reserved FROM had('ways');
SELECT action, reason FROM decide('ways', 'home');
