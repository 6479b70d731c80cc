-- Features: z(t) = z(t0) * 2^(-(t - t0) / half_life) + x, whatever the order of arrival.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
INSERT INTO decide.feature (feature, event_type, aggregate, value_path, half_life, default_value) VALUES
  ('clicks', 'click', 'decayed_count', NULL, NULL, 0), ('clicks_1d', 'click', 'decayed_count', NULL, '1 day', 0),
  ('clicks_1h', 'click', 'decayed_count', NULL, '1 hour', 0), ('spent', 'order', 'decayed_sum', 'value', NULL, -5),
  ('spent_7d', 'order', 'decayed_sum', 'value', '7 days', 0), ('items', 'order', 'decayed_sum', 'attributes.items', '1 month', 0);
SELECT decide.publish();
CREATE FUNCTION days(n float8) RETURNS interval LANGUAGE sql AS 'SELECT n * interval ''24 hours''';
CREATE FUNCTION event(id text, who text, kind text, at timestamptz, rest jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql STABLE AS
  $$ SELECT jsonb_build_object('event_id', id, 'user_id', who, 'type', kind, 'at', at) || rest $$;

-- no event: the default
SELECT feature, value, updated_at FROM decide.features('nobody');

-- three clicks: now, a day ago, two days ago
CREATE TABLE clicks AS SELECT 'c' || n AS id, now() - days(n) AS at FROM generate_series(0, 2) AS n;
SELECT id, track(event(id, 'ann', 'click', at)) FROM clicks ORDER BY at;
SELECT feature, round(value::numeric, 3) AS value, updated_at = (SELECT max(at) FROM clicks) AS newest FROM decide.features('ann') WHERE feature LIKE 'clicks%';
-- the same for other orders, and in one batch, but for rounding
SELECT id, track(event(id, 'bob', 'click', at)) FROM clicks ORDER BY at DESC;
SELECT id, track(event(id, 'cid', 'click', at)) FROM clicks ORDER BY id = 'c1' DESC, id;
SELECT * FROM track((SELECT array_agg(event(id, 'dan', 'click', at) ORDER BY id = 'c2', id) FROM clicks));
SELECT feature, count(*), max(round(value::numeric, 3)) AS value, max(value) - min(value) < 1e-6 AS equal
  FROM unnest(ARRAY['ann', 'bob', 'cid', 'dan']) AS u, decide.features(u) WHERE feature LIKE 'clicks%' GROUP BY 1 ORDER BY 1;

-- a duplicate adds nothing, whatever else it says
SELECT track(event('c0', 'ann', 'click', now()));
SELECT track(event('c0', 'ann', 'click', now() - days(0.5)));
SELECT track(event('c1', 'ann', 'order', now() - days(1), '{"value": 99}'));
SELECT feature, round(value::numeric, 3) AS value FROM decide.features('ann') WHERE feature IN ('clicks', 'spent');
-- one identifier of two users is two events; so is one that comes back after the horizon of a day
SELECT track(event('c0', 'eve', 'click', now()));
SELECT track(event('c0', 'ann', 'click', now() - days(3)));
SELECT value FROM decide.features('ann') WHERE feature = 'clicks';

-- sums: of the value, of an attribute, of what is a number
SELECT track(event('o1', 'ann', 'order', now() - days(7), '{"value": 100, "attributes": {"items": 3, "card": "1234"}}'));
SELECT track(event('o2', 'ann', 'order', now(), '{"value": -30.5, "attributes": {"items": "many"}}'));
SELECT track(event('o3', 'ann', 'order', now(), '{"attributes": {"items": 1e20}}'));
SELECT track(event('o4', 'ann', 'order', now(), '{"value": 0}'));
SELECT feature, round(value::numeric, 2) AS value FROM decide.features('ann') WHERE feature LIKE 'spent%';
SELECT track(event('o5', 'fay', 'order', now() - interval '30 days', '{"attributes": {"items": 8}}'));
SELECT feature, round(value::numeric, 2) AS value FROM decide.features('fay') WHERE feature IN ('spent', 'items');
-- of the attributes, only what a feature adds up is kept
SELECT event_id, value, attributes FROM decide.event WHERE type = 'order' ORDER BY event_id;

-- numbers beyond reason do no harm
SELECT track(event('h1', 'hal', 'order', now(), '{"value": 1.7e308}'));
SELECT track(event('h2', 'hal', 'order', now(), '{"value": 1.7e308}'));
SELECT track(event('h3', 'hal', 'order', '1970-01-01Z', '{"value": 1}'));
SELECT feature, value > 1e308 AS huge, value < 'infinity' AS finite FROM decide.features('hal') WHERE feature LIKE 'spent%';
SELECT slot FROM decide('hal', 'home');
-- an event of long ago has faded
SELECT track('{"event_id": "i1", "user_id": "ida", "type": "click", "at": "1900-01-01T00:00:00Z"}'::jsonb);
SELECT feature, value FROM decide.features('ida') WHERE feature LIKE 'clicks%';
SELECT track(event('i2', 'ida', 'click', now()));
SELECT feature, round(value::numeric, 3) AS value FROM decide.features('ida') WHERE feature LIKE 'clicks%';

-- decide() sees what features() shows, within the caller's transaction too
BEGIN;
SELECT track(event('j1', 'joe', 'click', now()));
SELECT slot FROM decide('joe', 'home');
SELECT round((features[1])::numeric, 3) AS clicks FROM decide.decision WHERE user_key = decide.user_key('joe');
ROLLBACK;
SELECT value FROM decide.features('joe') WHERE feature = 'clicks';
SELECT count(*) FROM decide.event WHERE user_key = decide.user_key('joe');

-- a feature that is defined anew starts anew; one with another default goes on
UPDATE decide.feature SET half_life = '2 days' WHERE feature = 'clicks_1d';
UPDATE decide.feature SET default_value = 7 WHERE feature = 'clicks';
SELECT decide.publish();
SELECT feature, round(value::numeric, 3) AS value FROM decide.features('bob') WHERE feature LIKE 'clicks%' ORDER BY 1;
SELECT feature, value FROM decide.features('nobody') WHERE feature = 'clicks';
-- and defined as before it has what it had
UPDATE decide.feature SET half_life = '24 hours' WHERE feature = 'clicks_1d';
SELECT decide.publish();
SELECT feature, round(value::numeric, 3) AS value FROM decide.features('bob') WHERE feature = 'clicks_1d';
SELECT slot, feature FROM decide.feature_slot ORDER BY 1;
