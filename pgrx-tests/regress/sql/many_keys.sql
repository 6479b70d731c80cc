-- A user with more keys than a feature keeps: the heaviest enter, within the bound, and traces, backfill and old rows agree.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'logo'), ('none', 'logo');
INSERT INTO decide.action (action, surfaces) VALUES ('logo', '{none}'), ('tulips', '{home}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
INSERT INTO decide.feature (feature, event_type, aggregate, key_path, half_life) VALUES ('k', 'click', 'decayed_count', 'attributes.cat', '7 days');
SELECT decide.publish();
-- forty keys with five clicks each, and then one with three hundred
SELECT count(track(jsonb_build_object('event_id', 'a' || g, 'type', 'click', 'user_id', 'bob', 'at', now() - interval '6 days' - g % 24 * interval '1 hour', 'attributes', jsonb_build_object('cat', 'cat' || g % 40))))
  FROM generate_series(1, 200) AS g;
SELECT count(track(jsonb_build_object('event_id', 'n' || g, 'type', 'click', 'user_id', 'bob', 'at', now() - interval '6 days' + g * interval '25 minutes', 'attributes', jsonb_build_object('cat', 'new'))))
  FROM generate_series(1, 300) AS g;
CREATE VIEW kept AS
  SELECT s.keyed[2] AS width, s.keyed[3] AS keys, cardinality(s.keyed) AS numbers, s.keyed[5] * 2 ^ -(extract(epoch FROM now() - (timestamptz '2000-01-01Z' + s.keyed[4] / 1e6 * interval '1 second')) / 604800) AS floor FROM decide.user_state AS s;
CREATE VIEW weights AS
  SELECT e.attributes->>'cat' AS key, sum(2 ^ -(extract(epoch FROM now() - e.at) / 604800)) AS weight FROM decide.event AS e GROUP BY 1;
SELECT f.key, f.value > 200 AS heaviest, w.weight - f.value BETWEEN -1e-9 AND k.floor AS lacks_no_more_than_the_floor, k.floor <= (SELECT sum(weight) / 40 FROM weights) AS within_the_bound
  FROM (SELECT * FROM decide.features('bob') ORDER BY value DESC LIMIT 1) AS f JOIN weights AS w USING (key), kept AS k;
SELECT count(*) AS keys, count(*) FILTER (WHERE w.weight - f.value BETWEEN -1e-9 AND k.floor) AS right FROM decide.features('bob') AS f JOIN weights AS w USING (key), kept AS k;
SELECT width, keys, numbers FROM kept;
-- what decisions have seen is what the events give
SELECT count(*) FROM generate_series(1, 3), decide('bob', 'home');
SELECT feature, mismatch, missing, extra FROM decide.feature_consistency(now() - interval '1 hour', now() + interval '1 hour') WHERE feature = 'k';
-- a row from before there were floors is read, and goes on
CREATE TABLE before AS SELECT key, value FROM decide.features('bob');
UPDATE decide.user_state AS s SET keyed = ARRAY[s.keyed[1], 2, 2] || (SELECT array_agg(s.keyed[5 + 4 * i + j] ORDER BY i, j) FROM generate_series(0, 1) AS i, generate_series(1, 3) AS j);
SELECT count(*) AS keys, count(b.key) AS as_before FROM decide.features('bob') AS f LEFT JOIN before AS b ON b.key = f.key AND abs(b.value - f.value) < 1e-6;
SELECT track(jsonb_build_object('event_id', 'x' || g, 'type', 'click', 'user_id', 'bob', 'at', now(), 'attributes', jsonb_build_object('cat', 'y' || g))) FROM generate_series(1, 2) AS g;
SELECT count(*) AS keys FROM decide.features('bob');
SELECT width, keys FROM kept;
