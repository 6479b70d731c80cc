-- Caps: what they limit, over which window, and what a decision does when one has no room left.
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 1, 'nothing'), ('feed', 3, 'nothing');
INSERT INTO decide.campaign (campaign) VALUES ('spring');
INSERT INTO decide.action (action, campaign, surfaces, attributes, cost) VALUES
  ('nothing', NULL, '{none}', '{}', 0),
  ('a', 'spring', '{home,feed}', '{"category": "shoes"}', 2.5), ('b', 'spring', '{home,feed}', '{"category": "shoes"}', 0.1),
  ('c', NULL, '{home,feed}', '{"category": "hats"}', 1), ('d', NULL, '{feed}', '{"category": "hats"}', 1);
INSERT INTO decide.surface (surface, fallback_action) VALUES ('none', 'nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('feed', 'feed', 'uniform');

CREATE FUNCTION many(who text, place text, times integer) RETURNS TABLE (slot integer, action text, decision_id uuid, reason text) LANGUAGE sql AS $$
  SELECT d.slot, d.action, d.decision_id, d.reason FROM generate_series(1, times) AS g, decide(CASE WHEN g > 0 THEN who END, place) AS d
$$;
CREATE FUNCTION shown(who text, place text, times integer) RETURNS TABLE (action text, n bigint, reasons text[]) LANGUAGE sql AS $$
  SELECT m.action, count(*), array_agg(DISTINCT m.reason) FROM many(who, place, times) AS m GROUP BY 1 ORDER BY 1
$$;

-- Per user and campaign: three a day, then something else; others are not concerned.
INSERT INTO decide.cap (cap, campaign, per, max_count, window_length) VALUES ('spring a day', 'spring', 'user', 3, '1 day');
SELECT decide.publish('per user');
SELECT sum(n) FILTER (WHERE action IN ('a', 'b')) AS spring, sum(n) FILTER (WHERE action = 'c') AS other FROM shown('ann', 'home', 30);
SELECT sum(n) FILTER (WHERE action IN ('a', 'b')) AS spring FROM shown('bob', 'home', 30);
-- In one answer too; and the probability is that among what could be had.
SELECT d.slot, d.probability FROM decide('cas', 'feed') AS d;
SELECT d.slot, d.probability, array_length(d.candidates, 1) AS candidates, d.blocked_reasons
  FROM decide.decision AS d WHERE d.user_key = decide.user_key('ann') ORDER BY d.decided_at DESC LIMIT 1;
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
-- A rollback gives back.
BEGIN;
SELECT sum(n) FILTER (WHERE action IN ('a', 'b')) AS spring FROM shown('dan', 'home', 30);
ROLLBACK;
SELECT sum(n) FILTER (WHERE action IN ('a', 'b')) AS spring FROM shown('dan', 'home', 30);
BEGIN;
SAVEPOINT s;
SELECT sum(n) FILTER (WHERE action IN ('a', 'b')) AS spring FROM shown('eva', 'home', 30);
ROLLBACK TO s;
SELECT sum(n) FILTER (WHERE action IN ('a', 'b')) AS spring FROM shown('eva', 'home', 30);
COMMIT;
SELECT count(*) FROM decide.decision WHERE user_key = decide.user_key('eva') AND action IN ('a', 'b');
SELECT action, step, reason FROM decide.explain('ann', 'home') ORDER BY action;

-- For all users: the surface has nothing else then, and falls back.
UPDATE decide.cap SET per = 'all', max_count = 5, window_length = NULL;
INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('no c', 'c', 'all', 0);
SELECT decide.publish('for all');
SELECT sum(n) FILTER (WHERE action IN ('a', 'b')) AS spring, sum(n) FILTER (WHERE action = 'nothing') AS nothing,
       array_agg(DISTINCT r) FILTER (WHERE r IS NOT NULL) AS reasons FROM shown('ann', 'home', 30), unnest(reasons) AS r;
SELECT sum(quota) AS quota, sum(s.ledger[2]) AS taken FROM decide.budget_stripe AS s JOIN decide.cap_slot USING (slot) WHERE cap = 'spring a day' AND definition ->> 'per' = 'all';
-- More of it: at once.
UPDATE decide.cap SET max_count = 7 WHERE cap = 'spring a day';
SELECT decide.publish('more');
SELECT sum(n) FILTER (WHERE action IN ('a', 'b')) AS spring FROM shown('bob', 'home', 30);
-- Less than is spent: nothing.
UPDATE decide.cap SET max_count = 2 WHERE cap = 'spring a day';
SELECT decide.publish('less');
SELECT sum(n) FILTER (WHERE action IN ('a', 'b')) AS spring FROM shown('bob', 'home', 30);

-- By cost: what is left is spent on what it is enough for.
UPDATE decide.cap SET unit = 'cost', max_count = 3 WHERE cap = 'spring a day';
SELECT decide.publish('by cost');
SELECT sum(n * CASE action WHEN 'a' THEN 2.5 ELSE 0.1 END) AS cost FROM shown('ann', 'home', 200) WHERE action IN ('a', 'b');

-- By attribute: each value by itself, within one answer.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, attribute, per, max_count) VALUES ('one of a kind', 'category', 'decision', 1);
SELECT decide.publish('by attribute');
SELECT array_agg(DISTINCT filled) AS filled, count(*) FROM (
  SELECT d.decision_id, count(*) FILTER (WHERE d.action <> 'nothing') AS filled FROM many('ann', 'feed', 50) AS d GROUP BY 1) AS f;
SELECT DISTINCT slot, probability FROM decide.decision AS d JOIN decide.bundle AS b USING (bundle) WHERE b.note = 'by attribute' ORDER BY 1, 2;
SELECT bool_and(agrees) FROM decide.trace AS t JOIN decide.bundle AS b USING (bundle), decide.replay(t.decision_id) WHERE b.note = 'by attribute';
SELECT bool_and(abs(s - 1) < 1e-9) AS sums_to_1 FROM (SELECT (SELECT sum(p) FROM unnest(d.probabilities) AS p) AS s FROM decide.decision AS d
  JOIN decide.bundle AS b USING (bundle) WHERE b.note = 'by attribute' AND d.probabilities IS NOT NULL) AS x;

-- Soft: gives way where slots could not be filled otherwise, the lowest order first.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, campaign, per, max_count, hard, relax_order) VALUES ('soft spring', 'spring', 'user', 1, false, 1);
INSERT INTO decide.cap (cap, action, per, max_count, hard, relax_order) VALUES ('soft c', 'c', 'user', 1, false, 2);
SELECT decide.publish('soft');
SELECT sum(n) FILTER (WHERE action IN ('a', 'b')) AS spring, sum(n) FILTER (WHERE action = 'c') AS c, sum(n) FILTER (WHERE action = 'nothing') AS nothing
  FROM shown('soft', 'home', 20);

-- A gap: none within an hour of the last.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, surface, per, max_count, window_length, window_kind) VALUES ('gap', 'home', 'user', 1, '1 hour', 'sliding');
SELECT decide.publish('gap');
SELECT count(*) FILTER (WHERE d.reason IS NULL) AS shown FROM many('gap', 'home', 5) AS d;
UPDATE decide.user_state SET exposures[3] = exposures[3] - 3600000000 WHERE user_key = decide.user_key('gap');
SELECT count(*) FILTER (WHERE d.reason IS NULL) AS shown FROM many('gap', 'home', 5) AS d;

-- Impressions: reserved at the decision, confirmed by the event, free again when it does not come.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, surface, per, max_count, counts, hold) VALUES ('seen', 'home', 'user', 2, 'impression', '1 hour');
SELECT decide.publish('impressions');
SET pg_decide.seed = 5; -- the same action twice
CREATE TEMP TABLE seen AS SELECT d.* FROM many('imp', 'home', 4) AS d;
RESET pg_decide.seed;
SELECT count(*) FILTER (WHERE reason IS NULL) AS reserved FROM seen;
SELECT track(jsonb_build_object('event_id', 'i1', 'type', 'impression', 'user_id', 'imp', 'at', now(), 'decision_id', decision_id, 'action', action))
  FROM seen WHERE reason IS NULL ORDER BY decision_id LIMIT 1;
-- the same exposure once more
SELECT track(jsonb_build_object('event_id', 'i2', 'type', 'impression', 'user_id', 'imp', 'at', now(), 'decision_id', decision_id, 'action', action))
  FROM seen WHERE reason IS NULL ORDER BY decision_id LIMIT 1;
SELECT count(*) FILTER (WHERE d.reason IS NULL) AS shown FROM many('imp', 'home', 3) AS d;
-- its time is over
UPDATE decide.cap SET hold = '1 microsecond';
SELECT decide.publish('short');
SELECT count(*) FILTER (WHERE d.reason IS NULL) AS shown FROM many('imp', 'home', 1) AS d;

-- What cannot be held is refused, with the place named.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('of the fallback', 'nothing', 'user', 1);
INSERT INTO decide.cap (cap, per, max_count, window_length, time_zone) VALUES ('zone', 'user', 1, '1 day', 'Mars/Olympus');
INSERT INTO decide.cap (cap, per, max_count, window_length) VALUES ('mixed', 'user', 1, '1 month 3 days');
INSERT INTO decide.cap (cap, per, max_count, pacing) VALUES ('paced', 'user', 1, 'even'), ('unknown pace', 'all', 1, 'gallop');
INSERT INTO decide.cap (cap, per, max_count, unit) VALUES ('huge', 'all', 9223372036854775807, 'cost');
SELECT decide.publish('faults');

-- Calendar windows: months from January, weeks from their day, days from midnight, on days of 23 and 25 hours too.
SELECT w.* FROM decide.cap_window('2026-11-24 12:00+00', '3 months', 'UTC', 1) AS w;
SELECT w.* FROM decide.cap_window('2026-11-24 12:00+00', '7 days', 'UTC', 7) AS w;
SELECT w.starts, w.ends, w.ends - w.starts AS length FROM decide.cap_window('2026-03-29 12:00+00', '1 day', 'Europe/Berlin', 1) AS w;
-- where the clocks show midnight twice, the day and the month begin at the first
SELECT at, w.starts, w.ends, w.ends - w.starts AS length FROM unnest(ARRAY['2026-10-24 23:59+00', '2026-10-25 00:30+00', '2026-10-25 01:30+00', '2026-10-26 00:59+00']::timestamptz[]) AS at, decide.cap_window(at, '1 day', 'Atlantic/Azores', 1) AS w;
SELECT at, w.starts, w.ends FROM unnest(ARRAY['2026-11-01 03:59+00', '2026-11-01 04:30+00', '2026-11-01 05:30+00']::timestamptz[]) AS at, decide.cap_window(at, '1 mon', 'America/Havana', 1) AS w;
SELECT w.starts, w.ends, w.ends - w.starts AS length FROM decide.cap_window('2026-10-25 12:00+00', '24 hours', 'Europe/Berlin', 1) AS w;
SELECT w.starts, w.ends FROM decide.cap_window('2026-10-25 22:30+00', '7 hours', 'Europe/Berlin', 1) AS w;

-- Impressions of all users: reserved rows are looked up when their time is over, counted or given back, late ones too.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, surface, per, max_count, counts, hold) VALUES ('seen by all', 'home', 'all', 4, 'impression', '8 seconds');
SELECT decide.publish('impressions of all');
CREATE TEMP TABLE seen_by_all AS SELECT g AS n, d.* FROM generate_series(1, 6) AS g, LATERAL decide('all' || g, 'home') AS d;
SELECT count(*) FILTER (WHERE reason IS NULL) AS reserved FROM seen_by_all;
SELECT count(*) AS holds FROM decide.trace WHERE holds IS NOT NULL;
SELECT track(jsonb_build_object('event_id', 'a' || n, 'type', 'impression', 'user_id', 'all' || n, 'at', now(), 'decision_id', decision_id, 'action', action))
  FROM seen_by_all WHERE reason IS NULL AND n = 1;
SELECT decide.run_job('budgets');
-- Ten seconds later, which is said by moving all that was reserved into the past.
CREATE FUNCTION stripe() RETURNS TABLE (quota bigint, amount bigint, state bigint) LANGUAGE sql AS $$
  SELECT s.quota, s.ledger[i + 1], s.ledger[i + 2] FROM decide.budget_stripe AS s JOIN decide.cap_in_force AS c USING (slot),
         generate_series(1, cardinality(s.ledger), 3) AS i ORDER BY 1, 2, 3
$$;
SELECT min(quota), sum(amount), max(state) FROM stripe();
SELECT pg_sleep(1);
UPDATE decide.cap SET hold = '10 milliseconds';
SELECT decide.publish('its time is over');
SELECT decide.run_job('budgets') LIKE '% reservations looked up';
SELECT sum(amount) AS counted FROM stripe();
SELECT cap, max_count, spent, reserved, free FROM decide.budget;
SELECT count(*) FILTER (WHERE d.reason IS NULL) AS again FROM many('more', 'home', 6) AS d;
SELECT track(jsonb_build_object('event_id', 'a' || n, 'type', 'impression', 'user_id', 'all' || n, 'at', now(), 'decision_id', decision_id, 'action', action))
  FROM seen_by_all WHERE reason IS NULL AND n IN (1, 2);
-- What people look at.
SELECT cap, per, counts, max_count, hard, window_start, window_end FROM decide.cap_in_force;
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, campaign, per, max_count, window_length, unit) VALUES ('spring cost', 'spring', 'user', 5, '1 day', 'cost');
SELECT decide.publish('exposure');
SELECT count(*) FROM many('exp', 'home', 20);
SELECT e.cap, e.max_count, e.counted <= 5 AND e.counted > 0 AS counted, e.reserved, e.last_at BETWEEN e.window_start AND e.window_end AS in_window
  FROM decide.exposure AS e WHERE user_key = decide.user_key('exp');

-- A user that nobody knows: an error, or, if that is wanted, a decision without what has a cap per user.
SELECT * FROM decide(NULL::text, 'home');
SET pg_decide.unknown_users = on;
SELECT action, probability, reason FROM decide(NULL::text, 'home');
SELECT blocked, blocked_reasons, user_key FROM decide.decision ORDER BY decided_at DESC LIMIT 1;
SELECT action, step, reason FROM decide.explain(NULL::text, 'home') ORDER BY action;
RESET pg_decide.unknown_users;

-- Counters are seen as they are, also by a transaction that sees one snapshot throughout.
UPDATE decide.cap SET per = 'all', max_count = 3, unit = 'count', window_length = NULL, campaign = NULL;
SELECT decide.publish('counters');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FILTER (WHERE d.reason IS NULL) AS shown FROM many('rr', 'home', 2) AS d;
SELECT count(*) FILTER (WHERE d.reason IS NULL) AS shown FROM many('rr', 'home', 5) AS d;
COMMIT;
SELECT count(*) FILTER (WHERE d.reason IS NULL) AS shown FROM many('rr', 'home', 5) AS d;
SELECT sum(ledger[2]) FROM decide.budget_stripe AS s JOIN decide.cap_in_force USING (slot);

-- Features are read from the same row as counters: each decision of a statement sees what the ones before it took, and
-- events of the same statement change nothing about that.
INSERT INTO decide.feature (feature, event_type, aggregate, half_life) VALUES ('clicks', 'click', 'decayed_count', '1 day');
UPDATE decide.cap SET per = 'user', max_count = 3, window_length = '1 day', campaign = 'spring';
INSERT INTO decide.cap (cap, campaign, per, max_count) VALUES ('spring at all', 'spring', 'all', 1000000);
SELECT decide.publish('features too');
CREATE FUNCTION click(who text, id text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', id, 'type', 'click', 'user_id', who, 'at', clock_timestamp())
$$;
SELECT track(click(who, 'first')) FROM unnest('{fay,gus,hal,ida}'::text[]) AS who;
SELECT count(*) FILTER (WHERE d.action IN ('a', 'b')) AS spring, count(*) AS decisions FROM many('fay', 'home', 30) AS d;
SELECT count(*) FILTER (WHERE d.action IN ('a', 'b')) AS spring, sum(t.accepted) AS accepted
  FROM generate_series(1, 30) AS g, LATERAL decide(CASE WHEN g > 0 THEN 'gus' END, 'home') AS d,
       LATERAL track(ARRAY[click('gus', d.decision_id::text), click('gus', d.decision_id::text)]) AS t;
SELECT e.counted, u.events, (SELECT value FROM decide.features('gus'::text)) > 30.9 AS clicked
  FROM decide.exposure AS e JOIN decide.user_state AS u USING (user_key) JOIN decide.cap AS c USING (cap)
 WHERE user_key = decide.user_key('gus') AND c.per = 'user';
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FILTER (WHERE d.action IN ('a', 'b')) AS spring FROM many('hal', 'home', 30) AS d;
SELECT count(*) FILTER (WHERE d.action IN ('a', 'b')) AS spring FROM many('hal', 'home', 30) AS d;
SELECT count(*) FILTER (WHERE d.action IN ('a', 'b')) AS spring FROM many('fay', 'home', 30) AS d;
COMMIT;
BEGIN;
SAVEPOINT s;
SELECT count(*) FILTER (WHERE d.action IN ('a', 'b')) AS spring FROM many('ida', 'home', 30) AS d;
ROLLBACK TO s;
SELECT count(*) FILTER (WHERE d.action IN ('a', 'b')) AS spring FROM many('ida', 'home', 30) AS d;
COMMIT;
