-- Pages: one call decides on several surfaces; caps hold over all of them, and nothing is shown twice where a policy says so.
CREATE ROLE regress_pages_rules;
SELECT decide.grant('regress_pages_rules', 'rules');
SET pg_decide.rule_role = regress_pages_rules;
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('hero', 1, 'nothing'), ('feed', 2, 'nothing'), ('foot', 1, 'nothing'), ('none', 1, 'nothing'), ('odd', 1, 'nothing');
INSERT INTO decide.campaign (campaign) VALUES ('spring');
INSERT INTO decide.action (action, campaign, surfaces, eligible_when) VALUES
  ('nothing', NULL, '{none}', NULL), ('a', 'spring', '{hero,feed,foot}', NULL), ('b', 'spring', '{hero,feed,foot}', NULL), ('c', NULL, '{hero,feed,foot}', NULL),
  ('broken', NULL, '{odd}', $$1 / (context->>'zero')::int = 1$$);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('hero', 'hero', 'uniform'), ('feed', 'feed', 'uniform'), ('foot', 'foot', 'uniform'), ('odd', 'odd', 'uniform');
SELECT decide.publish('plain');

-- The answer: surface by surface as they were named; by every kind of user_id; a decision and a trace for each.
SELECT surface, slot, decision_id IS NOT NULL AS decided, reason FROM decide('ann', ARRAY['feed', 'hero']);
SELECT count(*), count(DISTINCT decision_id) FROM decide(42, ARRAY['hero', 'feed', 'foot'], '{"device": "mobile"}');
SELECT count(*) FROM decide('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, surfaces => '{hero}'::text[]);
SELECT count(*) FROM decide('ann', 'hero');
SELECT count(*), count(DISTINCT t.decision_id), count(DISTINCT COALESCE(t.features_at, t.decided_at)) AS moments
  FROM decide.trace AS t WHERE t.user_key = decide.user_key(42);
SELECT d.surface, d.slot, bool_and(d.action = p.action AND d.probability = p.probability) AS agrees
  FROM decide('bob', ARRAY['hero', 'feed']) AS p JOIN decide.decision AS d USING (decision_id, surface, slot) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS pages, bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);

-- One surface that fails does not spoil the others.
SELECT surface, action = 'nothing' AS fallback, reason FROM decide('cas', ARRAY['hero', 'odd', 'none', 'foot'], '{"zero": 0}');
SELECT surface, blocked_reasons, errors FROM decide.decision WHERE user_key = decide.user_key('cas') AND surface = 'odd';
SELECT decide.set_mode('hero', 'paused', 'a test');
SELECT surface, action = 'nothing' AS fallback, reason FROM decide('cas', ARRAY['hero', 'foot']);
SELECT decide.set_mode('hero', 'normal', 'a test');

-- Mistakes of the caller are errors, and nothing is decided.
CREATE TABLE before AS SELECT count(*) AS traces FROM decide.trace;
\set VERBOSITY default
SELECT * FROM decide('ann', NULL::text[]);
SELECT * FROM decide('ann', '{}'::text[]);
SELECT * FROM decide('ann', ARRAY['hero', NULL]);
SELECT * FROM decide('ann', ARRAY['hero', 'unknown']);
SELECT * FROM decide('ann', ARRAY['hero', 'feed', 'hero']);
SELECT * FROM decide('ann', (SELECT array_agg('s' || i) FROM generate_series(1, 1000) AS i));
SELECT * FROM decide(NULL::text, ARRAY['hero']);
SELECT * FROM decide('ann', ARRAY['hero'], '[]');
BEGIN READ ONLY;
SELECT * FROM decide('ann', ARRAY['hero']);
ROLLBACK;
\set VERBOSITY terse
SELECT traces = (SELECT count(*) FROM decide.trace) AS nothing_decided FROM before;

-- Nothing twice, where the policy says so: the later surface leaves out what the earlier ones show.
CREATE FUNCTION pages(who text, surfaces text[], times integer) RETURNS TABLE (page integer, surface text, slot integer, action text, probability float8, decision_id uuid, reason text) LANGUAGE sql AS $$
  SELECT g, d.* FROM generate_series(1, times) AS g, decide(CASE WHEN g > 0 THEN who END, surfaces) AS d
$$;
CREATE FUNCTION repeats(surfaces text[]) RETURNS TABLE (repeats boolean, pages_with_reason boolean) LANGUAGE sql AS $$
  SELECT bool_or(n > k), bool_or(r) FROM (SELECT page, count(*) FILTER (WHERE action <> 'nothing') AS n, count(DISTINCT action) FILTER (WHERE action <> 'nothing') AS k, count(reason) > 0 AS r
    FROM pages('dan', surfaces, 60) GROUP BY 1) AS p
$$;
SELECT * FROM repeats(ARRAY['hero', 'foot']);
UPDATE decide.policy SET unique_on_page = true WHERE policy IN ('foot', 'feed');
SELECT * FROM repeats(ARRAY['hero', 'foot']);
SELECT decide.publish('unique');
SELECT * FROM repeats(ARRAY['hero', 'foot']);
SELECT * FROM repeats(ARRAY['hero', 'feed']);
SELECT * FROM repeats(ARRAY['feed', 'hero']);
SELECT * FROM repeats(ARRAY['hero', 'feed', 'foot']);
SELECT surface, slot, round(probability::numeric, 6) AS probability, reason FROM decide('eva', ARRAY['hero', 'feed', 'foot']);
SELECT surface, slot, array_length(candidates, 1) AS candidates, cardinality(blocked) AS blocked, blocked_reasons FROM decide.decision WHERE user_key = decide.user_key('eva') ORDER BY surface, slot;
-- by itself a surface shows all, also right after a page
SELECT DISTINCT action FROM pages('dan', ARRAY['foot'], 60) ORDER BY 1;
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
-- what stands in for doing nothing may be shown again: it is the fallback of the surface
UPDATE decide.action SET surfaces = '{hero,foot,none}' WHERE action = 'nothing';
UPDATE decide.action SET surfaces = '{feed}' WHERE action IN ('a', 'b', 'c');
SELECT decide.publish('baseline');
SELECT surface, action, reason FROM decide('eva', ARRAY['hero', 'foot']);
SELECT decide.rollback(2);

-- Caps hold over all surfaces of the page: of each user, and of all.
INSERT INTO decide.cap (cap, campaign, per, max_count, window_length) VALUES ('two a day', 'spring', 'user', 2, '1 day');
UPDATE decide.policy SET unique_on_page = false;
UPDATE decide.action SET surfaces = '{none}' WHERE action = 'nothing';
UPDATE decide.action SET surfaces = '{hero,feed,foot}' WHERE action IN ('a', 'b');
UPDATE decide.action SET surfaces = '{foot}' WHERE action = 'c';
SELECT decide.publish('per user');
SELECT surface, slot, action = ANY ('{a,b}') AS spring, round(probability::numeric, 6) AS probability, reason FROM decide('fay', ARRAY['hero', 'feed', 'foot']);
SELECT surface, slot, action, reason FROM decide('fay', ARRAY['feed', 'foot']);
SELECT slot, action, reason FROM decide('fay', 'feed');
-- a rollback gives back
BEGIN;
SELECT count(*) FILTER (WHERE action IN ('a', 'b')) AS spring FROM decide('gil', ARRAY['hero', 'feed', 'foot']);
SAVEPOINT s;
SELECT count(*) FILTER (WHERE action IN ('a', 'b')) AS spring FROM decide('gus', ARRAY['hero', 'feed', 'foot']);
ROLLBACK TO s;
SELECT count(*) FILTER (WHERE action IN ('a', 'b')) AS spring FROM decide('gil', ARRAY['hero', 'feed', 'foot']);
ROLLBACK;
SELECT count(*) FILTER (WHERE action IN ('a', 'b')) AS spring FROM decide('gil', ARRAY['hero', 'feed', 'foot']);
SELECT count(*) FILTER (WHERE action IN ('a', 'b')) AS spring FROM decide('gus', ARRAY['hero', 'feed', 'foot']);
UPDATE decide.cap SET per = 'all', max_count = 10;
SELECT decide.publish('for all');
SELECT count(*) FILTER (WHERE action IN ('a', 'b')) AS spring FROM pages('hal', ARRAY['hero', 'feed', 'foot'], 20);
SELECT sum(quota) AS quota, sum(s.ledger[2]) AS taken FROM decide.budget_stripe AS s JOIN decide.cap_slot USING (slot) WHERE cap = 'two a day' AND definition ->> 'per' = 'all';
SELECT decide.publish('reserved');
UPDATE decide.cap SET counts = 'impression', max_count = 12;
SELECT decide.publish('reserved');
SELECT count(*) FILTER (WHERE action IN ('a', 'b')) AS spring FROM pages('ida', ARRAY['foot', 'feed', 'hero'], 20);
SELECT sum(h.amount) AS held FROM decide.trace AS t CROSS JOIN LATERAL (SELECT t.holds[4 * i] AS amount FROM generate_series(1, cardinality(t.holds) / 4) AS i) AS h WHERE t.user_key = decide.user_key('ida');
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);

-- The same action on two surfaces is reserved twice, and an event confirms that of its own decision, once.
UPDATE decide.cap SET per = 'user', max_count = 5;
UPDATE decide.action SET surfaces = '{none}' WHERE action IN ('b', 'c');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life) VALUES ('clicks', 'click', 'decayed_count', NULL);
SELECT decide.publish('reserved twice');
SELECT track('{"event_id": "1", "type": "click", "user_id": "kim", "at": "2026-01-01T00:00:00Z"}'::jsonb);
CREATE TABLE twice AS SELECT * FROM decide('kim', ARRAY['hero', 'foot']);
SELECT surface, action FROM twice;
CREATE FUNCTION seen(place text, id text) RETURNS TABLE (receipt text, counted float8, reserved float8) LANGUAGE plpgsql AS $$
BEGIN
  receipt := track(jsonb_build_object('event_id', id, 'type', 'impression', 'user_id', 'kim', 'at', clock_timestamp(), 'decision_id', (SELECT t.decision_id FROM twice AS t WHERE t.surface = place)));
  RETURN QUERY SELECT receipt, e.counted::float8, e.reserved::float8 FROM decide.exposure AS e WHERE e.user_key = decide.user_key('kim');
END $$;
SELECT counted, reserved FROM decide.exposure WHERE user_key = decide.user_key('kim');
SELECT * FROM seen('foot', 'first');
SELECT * FROM seen('foot', 'second');
SELECT * FROM seen('hero', 'third');
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);

-- With a fixed seed a page is the same each time, and its surfaces do not draw alike.
DELETE FROM decide.cap;
UPDATE decide.action SET surfaces = '{hero,feed,foot}' WHERE action IN ('b', 'c');
SELECT decide.publish('no caps');
SET pg_decide.seed = 7;
SELECT count(DISTINCT answer) AS answers FROM (SELECT array_agg(action ORDER BY surface, slot) AS answer FROM pages('jo', ARRAY['hero', 'feed', 'foot'], 20) GROUP BY page) AS p;
SELECT count(DISTINCT t.seed) AS seeds FROM decide.trace AS t WHERE t.user_key = decide.user_key('jo');
RESET pg_decide.seed;
RESET pg_decide.rule_role;
DROP OWNED BY regress_pages_rules;
DROP ROLE regress_pages_rules;
