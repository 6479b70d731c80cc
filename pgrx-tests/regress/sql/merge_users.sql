-- One user of two: what is kept of both is as if all had been tracked for one, whatever comes before and after.
CREATE ROLE regress_merge_serve;
SELECT decide.grant('regress_merge_serve', 'serve');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('none', 'nothing');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{none}'), ('a', '{home}'), ('b', '{home}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life, value_path, key_path, window_length, trial_event_type) VALUES
  ('count', 'click', 'decayed_count', '3 days', NULL, NULL, NULL, NULL), ('sum', 'click', 'decayed_sum', '5 days', 'value', NULL, NULL, NULL),
  ('mean', 'click', 'decayed_mean', '5 days', 'value', NULL, NULL, NULL), ('rate', 'click', 'rate', '9 days', NULL, NULL, NULL, 'view'),
  ('window', 'click', 'window_count', NULL, NULL, NULL, '7 days', NULL), ('recency', 'click', 'recency', NULL, NULL, NULL, NULL, NULL),
  ('first', 'click', 'first', NULL, 'value', NULL, NULL, NULL), ('last', 'click', 'last', NULL, 'value', NULL, NULL, NULL),
  ('items', 'click', 'distinct', NULL, 'attributes.item', NULL, NULL, NULL), ('per item', 'click', 'decayed_count', '3 days', NULL, 'attributes.item', NULL, NULL);
INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('three a', 'a', 'user', 3);
INSERT INTO decide.cap (cap, action, per, max_count, counts, hold) VALUES ('seen b', 'b', 'user', 4, 'view', '1 hour');
SELECT decide.publish('features and caps');

-- Forty users, whose events are tracked for one, and split between a visitor and a customer who are merged after a part of them.
CREATE FUNCTION chance(what text) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$ SELECT abs(hashtextextended(what, 7) % 1000000) / 1e6 $$;
CREATE TABLE fact AS
SELECT u, i, chance('when ' || u || ',' || i) AS place, chance('who ' || u || ',' || i) < 0.4 AS by_visitor, chance('late ' || u || ',' || i) < 0.3 AS late,
       jsonb_build_object('event_id', 'e' || i, 'type', CASE WHEN chance('type ' || u || ',' || i) < 0.7 THEN 'click' ELSE 'view' END,
         'at', now() - chance('at ' || u || ',' || i) * interval '10 days', 'value', round(chance('value ' || u || ',' || i) * 100),
         'attributes', jsonb_build_object('item', 'i' || i % 5)) AS event
  FROM generate_series(1, 40) AS u, generate_series(1, 25) AS i;
SELECT sum((track(event || jsonb_build_object('user_id', 'one ' || u)) = 'accepted')::int) FROM (SELECT * FROM fact ORDER BY u, i) AS f;
SELECT sum((track(event || jsonb_build_object('user_id', CASE WHEN by_visitor THEN 'visitor ' ELSE 'customer ' END || u)) = 'accepted')::int)
  FROM (SELECT * FROM fact WHERE NOT late ORDER BY place) AS f;
SELECT bool_and(decide.merge_users('visitor ' || u, 'customer ' || u)) FROM generate_series(1, 40) AS u;
-- what comes late for the visitor is the customer's, one by one, in batches, and by the inbox
SELECT sum((track(event || jsonb_build_object('user_id', CASE WHEN by_visitor THEN 'visitor ' ELSE 'customer ' END || u)) = 'accepted')::int)
  FROM (SELECT * FROM fact WHERE late AND i % 3 = 0 ORDER BY place) AS f;
SELECT * FROM track(ARRAY(SELECT event || jsonb_build_object('user_id', CASE WHEN by_visitor THEN 'visitor ' ELSE 'customer ' END || u) FROM fact WHERE late AND i % 3 = 1 ORDER BY place));
INSERT INTO decide.event_inbox (event) SELECT event || jsonb_build_object('user_id', CASE WHEN by_visitor THEN 'visitor ' ELSE 'customer ' END || u) FROM fact WHERE late AND i % 3 = 2;
SELECT decide.run_job('fold');
CREATE VIEW difference AS
WITH o AS (SELECT u, f.* FROM generate_series(1, 40) AS u, decide.features('one ' || u) AS f), m AS (SELECT u, f.* FROM generate_series(1, 40) AS u, decide.features('customer ' || u) AS f)
SELECT u, feature, COALESCE(o.key, '') AS key, o.value AS of_one, m.value AS of_merged FROM o FULL JOIN m USING (u, feature)
 WHERE o.key IS NULL AND m.key IS NULL AND (abs(o.value - m.value) <= 1e-5 * abs(o.value) + CASE feature WHEN 'recency' THEN 60 ELSE 0 END) IS NOT TRUE
UNION ALL
SELECT u, feature, o.key, o.value, m.value FROM (SELECT * FROM o WHERE key IS NOT NULL) AS o FULL JOIN (SELECT * FROM m WHERE key IS NOT NULL) AS m USING (u, feature, key)
 WHERE (abs(o.value - m.value) <= 1e-5 * abs(o.value)) IS NOT TRUE;
SELECT * FROM difference;
-- the old name shows the same
SELECT count(*) FROM (SELECT feature, key, updated_at FROM decide.features('visitor 7')) AS v FULL JOIN (SELECT feature, key, updated_at FROM decide.features('customer 7')) AS c ON v = c WHERE v.feature IS DISTINCT FROM c.feature;
-- a duplicate is one, whoever it is sent for
SELECT DISTINCT track(event || jsonb_build_object('user_id', w || u)) FROM fact, unnest(ARRAY['visitor ', 'customer ']) AS w WHERE u < 5;
SELECT * FROM difference;
SELECT count(*) AS events, count(DISTINCT (e.user_key, e.ordinal)) AS ordinals, max(e.ordinal) AS newest FROM decide.event AS e
 WHERE e.user_key IN (SELECT decide.user_key('customer ' || u) FROM generate_series(1, 40) AS u);

-- A backfill agrees: a feature like the first one, whose past is computed from the events.
INSERT INTO decide.feature (feature, event_type, aggregate, half_life, key_path) VALUES ('again', 'click', 'decayed_count', '3 days', NULL), ('again per item', 'click', 'decayed_count', '3 days', 'attributes.item');
SELECT decide.backfill('again'), decide.backfill('again per item');
-- one is merged while it is staged
SELECT track('{"event_id": "s1", "type": "click", "user_id": "staged", "at": "2026-01-01T00:00:00Z", "attributes": {"item": "x"}}');
SELECT decide.merge_users('staged', 'customer 1');
SELECT decide.run_job('backfill');
SELECT decide.publish('again');
SELECT count(*) FILTER (WHERE abs(a.value - b.value) > 1e-5 * a.value) AS differ, count(*) > 40 AS compared
  FROM generate_series(1, 40) AS u, decide.features('customer ' || u) AS a JOIN decide.features('customer ' || u) AS b
    ON (a.feature, b.feature) IN (('count', 'again'), ('per item', 'again per item')) AND a.key IS NOT DISTINCT FROM b.key;

-- Caps: what both have had counts, and what is reserved for an event is confirmed by whomever it is sent for.
SELECT track('{"event_id": "g1", "type": "click", "user_id": "guest", "at": "2026-01-01T00:00:00Z", "value": 1}'), track('{"event_id": "g2", "type": "click", "user_id": "member", "at": "2026-01-01T00:00:00Z", "value": 2}');
CREATE TABLE shown AS SELECT w.user_id, d.* FROM (VALUES ('guest'), ('guest'), ('guest'), ('guest'), ('member'), ('member'), ('member'), ('member')) AS w (user_id), decide(w.user_id, 'home') AS d;
CREATE VIEW counted AS SELECT c.cap, e.counted, e.reserved FROM decide.exposure AS e JOIN decide.cap_in_force AS c USING (cap) WHERE e.user_key = decide.user_key('member') ORDER BY 1;
SELECT decide.merge_users('guest', 'member');
SELECT (SELECT count(*) FROM shown WHERE action = 'a') = COALESCE((SELECT counted FROM counted WHERE cap = 'three a'), 0) AS a_counts,
       (SELECT count(*) FROM shown WHERE action = 'b') = (SELECT reserved FROM counted WHERE cap = 'seen b') AS b_is_reserved;
SELECT DISTINCT track(jsonb_build_object('event_id', 'v' || decision_id, 'type', 'view', 'user_id', user_id, 'at', now(), 'action', action, 'decision_id', decision_id)) FROM shown WHERE action = 'b';
SELECT (SELECT count(*) FROM shown WHERE action = 'b') = counted AS b_is_counted, reserved FROM counted WHERE cap = 'seen b';
SELECT count(*) FROM shown AS s WHERE s.action = 'b' AND NOT EXISTS (SELECT FROM decide.trace AS t JOIN decide.outcome AS o USING (decision_id, user_key, decided_at) WHERE t.decision_id = s.decision_id);
-- sent again for the other one it is a duplicate, and another event of the same decision counts no more
SELECT DISTINCT track(jsonb_build_object('event_id', 'v' || decision_id, 'type', 'view', 'user_id', 'member', 'at', now(), 'action', action, 'decision_id', decision_id)) FROM shown WHERE action = 'b';
SELECT DISTINCT track(jsonb_build_object('event_id', 'w' || decision_id, 'type', 'view', 'user_id', 'member', 'at', now(), 'action', action, 'decision_id', decision_id)) FROM shown WHERE action = 'b';
SELECT (SELECT count(*) FROM shown WHERE action = 'b') = counted AS b_is_counted, reserved FROM counted WHERE cap = 'seen b';
-- decisions for the old name take from the same counters, and are found by events of the new one, also where they are required to be there
INSERT INTO shown SELECT w.user_id, d.* FROM generate_series(1, 12) AS i, LATERAL (SELECT CASE i % 2 WHEN 0 THEN 'guest' ELSE 'member' END) AS w (user_id), decide(w.user_id, 'home') AS d;
SELECT counted = greatest(3, (SELECT count(*) FROM shown WHERE action = 'a' AND ctid IN (SELECT ctid FROM shown LIMIT 8))) AS a_is_full FROM counted WHERE cap = 'three a';
SET pg_decide.require_decision = on;
SELECT DISTINCT track(jsonb_build_object('event_id', 'x' || decision_id, 'type', 'click', 'user_id', 'member', 'at', now(), 'decision_id', decision_id)) FROM shown;
SELECT track(jsonb_build_object('event_id', 'y1', 'type', 'click', 'user_id', 'somebody else', 'at', now(), 'decision_id', (SELECT decision_id FROM shown LIMIT 1)));
RESET pg_decide.require_decision;
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
-- what decisions of both have seen is what the events give, before and after
SELECT sum(decisions) > 100 AS compared, sum(mismatch) AS mismatch, sum(missing) AS missing, sum(extra) AS extra FROM decide.feature_consistency('-infinity', 'infinity');

-- Events that both have count once.
SELECT (track(ARRAY[e || '{"user_id": "left"}', e || '{"user_id": "right"}', e || '{"user_id": "left", "event_id": "d2"}', e || '{"user_id": "right", "event_id": "d3"}'])).* FROM (SELECT '{"event_id": "d1", "type": "click", "at": "2026-01-01T00:00:00Z", "value": 3}'::jsonb) AS v (e);
SELECT decide.merge_users('left', 'right');
SELECT count(*), max(ordinal) FROM decide.event WHERE user_key = decide.user_key('right');
SELECT value FROM decide.features('right') WHERE feature = 'items' OR feature = 'last' ORDER BY feature;
SELECT events, events_before, duplicates FROM decide.user_merge WHERE user_key = decide.user_key('left');
SELECT track('{"event_id": "d1", "type": "click", "at": "2026-01-01T00:00:00Z", "value": 3, "user_id": "single"}');
SELECT round(r.value / o.value) AS clicks FROM decide.features('right') AS r JOIN decide.features('single') AS o USING (feature) WHERE feature = 'sum';

-- Chains, and what is refused.
SELECT decide.merge_users('right', 'far'), decide.merge_users('far', 'farther');
SELECT decide.merge_users('left', 'farther'), decide.merge_users('left', 'right'), decide.merge_users('right', 'left');
SELECT track('{"event_id": "d9", "type": "click", "at": "2026-01-01T00:00:00Z", "user_id": "left"}'), track('{"event_id": "d1", "type": "click", "at": "2026-01-01T00:00:00Z", "user_id": "far"}');
SELECT count(*), max(ordinal) FROM decide.event WHERE user_key = decide.user_key('farther');
SELECT cardinality(merged_from) AS merged, merged_into FROM decide.user_state WHERE user_key = decide.user_key('farther');
SELECT features, keyed, events, exposures, merged_into = decide.user_key('far') AS into_far FROM decide.user_state WHERE user_key = decide.user_key('right');
\set VERBOSITY default
SELECT decide.merge_users('farther', 'left');
SELECT decide.merge_users('left', 'customer 1');
SELECT decide.merge_users('left', 'left');
SELECT decide.merge_users('left', NULL);
SELECT decide.merge_users('left', '');
SELECT count(*) FILTER (WHERE decide.merge_users('many ' || i, 'all of them')) FROM generate_series(1, 64) AS i;
SELECT decide.merge_users('one more', 'all of them');
BEGIN READ ONLY;
SELECT decide.merge_users('a', 'b');
ROLLBACK;
\set VERBOSITY terse
-- numbers and uuids; a user of whom nothing is known
SELECT decide.merge_users(1, 2), decide.merge_users('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'::uuid), decide.merge_users('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 2::text);
SELECT track('{"event_id": "n1", "type": "click", "at": "2026-01-01T00:00:00Z", "user_id": 1, "value": 5}');
SELECT value FROM decide.features(2) WHERE feature = 'last';
-- serve may do it only where it was given
SET ROLE regress_merge_serve;
SELECT decide.merge_users('a', 'b');
RESET ROLE;
GRANT EXECUTE ON FUNCTION decide.merge_users(text, text) TO regress_merge_serve;
SET ROLE regress_merge_serve;
SELECT decide.merge_users('a', 'b');
RESET ROLE;
-- pages, batches and explain of an old name
CREATE TABLE page AS SELECT * FROM decide('guest', ARRAY['home', 'none']);
CREATE TABLE batch AS SELECT * FROM decide.decide_batch('{"{\"user_id\": \"guest\", \"surface\": \"home\"}", "{\"user_id\": \"member\", \"surface\": \"home\"}"}'::jsonb[]);
SELECT count(*), bool_and(t.user_key = decide.user_key('member')) FROM (SELECT decision_id FROM page UNION ALL SELECT decision_id FROM batch) AS d JOIN decide.trace AS t USING (decision_id);
SELECT count(*) > 0 AS explained FROM decide.explain('guest', 'home');
REVOKE EXECUTE ON FUNCTION decide.merge_users(text, text) FROM regress_merge_serve;
DROP OWNED BY regress_merge_serve;
DROP ROLE regress_merge_serve;
