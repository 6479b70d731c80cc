-- Ten features that one type of event moves: five counts and five sums, each fading at its own pace.

CREATE EXTENSION pg_decide;
CREATE SCHEMA bench;
SELECT setseed(0.5);

INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'a-0');
INSERT INTO decide.action (action) VALUES ('a-0');
INSERT INTO decide.feature (feature, event_type, aggregate, value_path, half_life)
SELECT 'f' || i, 'visit', CASE i % 2 WHEN 0 THEN 'decayed_count' ELSE 'decayed_sum' END,
       CASE i % 2 WHEN 1 THEN 'value' END, make_interval(hours => i)
  FROM generate_series(1, 10) AS i;
SELECT decide.publish('bench');

-- The floor: the same event in a plain table with the same columns and primary key, and one row of its user, of the same
-- size, updated. Nothing is checked, and nothing fades.
CREATE TABLE bench.floor_event (LIKE decide.event INCLUDING DEFAULTS, PRIMARY KEY (user_key, event_id, at));
CREATE TABLE bench.floor_state (user_key uuid PRIMARY KEY, features float8[] NOT NULL) WITH (fillfactor = 80);
INSERT INTO bench.floor_state
SELECT md5(i::text)::uuid, ARRAY(SELECT random() * 3 FROM generate_series(1, 20) AS j WHERE i > 0)
  FROM generate_series(1, 100000) AS i;

CREATE FUNCTION bench.event(p_user bigint) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT jsonb_build_object('event_id', gen_random_uuid(), 'type', 'visit', 'user_id', p_user, 'at', clock_timestamp(),
                            'surface', 'home', 'action', 'a-0', 'value', 1.5)
$$;

-- A thousand events of users drawn anew, in no order.
CREATE FUNCTION bench.events(p_users bigint) RETURNS jsonb[] LANGUAGE sql VOLATILE AS $$
  SELECT array_agg(bench.event(1 + (random() * (p_users - 1))::bigint)) FROM generate_series(1, 1000)
$$;

CREATE FUNCTION bench.track_floor(e jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  k uuid := md5(e ->> 'user_id')::uuid;
  x float8 := (e ->> 'value')::float8;
BEGIN
  INSERT INTO bench.floor_event (user_key, event_id, at, received_at, type, action, surface, value)
  VALUES (k, e ->> 'event_id', (e ->> 'at')::timestamptz, clock_timestamp(), e ->> 'type', e ->> 'action', e ->> 'surface', x)
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RETURN 'duplicate';
  END IF;
  UPDATE bench.floor_state AS s
     SET features[2] = features[2] + 1, features[4] = features[4] + x, features[6] = features[6] + 1, features[8] = features[8] + x,
         features[10] = features[10] + 1, features[12] = features[12] + x, features[14] = features[14] + 1,
         features[16] = features[16] + x, features[18] = features[18] + 1, features[20] = features[20] + x
   WHERE s.user_key = k;
  RETURN 'accepted';
END
$$;

-- The same for many, in one statement; users in order, so that two calls do not wait for each other.
CREATE FUNCTION bench.track_floor(events jsonb[]) RETURNS bigint LANGUAGE sql AS $$
  WITH stored AS (
    INSERT INTO bench.floor_event (user_key, event_id, at, received_at, type, action, surface, value)
    SELECT md5(e ->> 'user_id')::uuid, e ->> 'event_id', (e ->> 'at')::timestamptz, clock_timestamp(), e ->> 'type', e ->> 'action',
           e ->> 'surface', (e ->> 'value')::float8
      FROM unnest(events) AS e
    ON CONFLICT DO NOTHING
    RETURNING user_key, value
  ), added AS (
    SELECT user_key, count(*)::float8 AS n, sum(value) AS x FROM stored GROUP BY user_key
  ), kept AS (
    INSERT INTO bench.floor_state AS s (user_key, features)
    SELECT user_key, ARRAY[0, n, 0, x, 0, n, 0, x, 0, n, 0, x, 0, n, 0, x, 0, n, 0, x] FROM added ORDER BY user_key
    ON CONFLICT (user_key) DO UPDATE
       SET features[2] = s.features[2] + excluded.features[2], features[4] = s.features[4] + excluded.features[4],
           features[6] = s.features[6] + excluded.features[6], features[8] = s.features[8] + excluded.features[8],
           features[10] = s.features[10] + excluded.features[10], features[12] = s.features[12] + excluded.features[12],
           features[14] = s.features[14] + excluded.features[14], features[16] = s.features[16] + excluded.features[16],
           features[18] = s.features[18] + excluded.features[18], features[20] = s.features[20] + excluded.features[20]
  )
  SELECT count(*) FROM stored
$$;
