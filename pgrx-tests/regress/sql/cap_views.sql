-- What the views say of a cap is what decide() does at that moment: whether an exposure of a certain age still counts.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'logo'), ('none', 'logo');
INSERT INTO decide.action (action, surfaces, cost) VALUES ('logo', '{none}', 0), ('tulips', '{home}', 2.5);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish('no cap');
CREATE TABLE shape (window_length interval, window_kind text, time_zone text, counts text, hold interval);
INSERT INTO shape VALUES
  (NULL, 'calendar', 'UTC', 'decision', '30 minutes'), ('1 day', 'calendar', 'America/Havana', 'decision', '30 minutes'), ('1 mon', 'calendar', 'Asia/Kathmandu', 'decision', '30 minutes'),
  ('7 days', 'calendar', 'UTC', 'decision', '30 minutes'), ('1 year', 'calendar', 'UTC', 'decision', '30 minutes'), ('7 hours', 'calendar', 'Europe/Berlin', 'decision', '30 minutes'),
  ('1 mon', 'sliding', 'UTC', 'decision', '30 minutes'), ('1 day', 'sliding', 'UTC', 'decision', '30 minutes'), ('5 mons 3 days', 'sliding', 'UTC', 'decision', '30 minutes'),
  ('1 year', 'sliding', 'UTC', 'decision', '30 minutes'), ('36:00', 'sliding', 'UTC', 'decision', '30 minutes'), ('1000 years', 'sliding', 'UTC', 'decision', '30 minutes'),
  ('1 year', 'sliding', 'UTC', 'impression', '1 mon'), (NULL, 'calendar', 'UTC', 'impression', '1 mon 1 day'), ('10 years', 'calendar', 'UTC', 'impression', '1 day');
CREATE TABLE compared (shape shape, per text, unit text, what text, view_has_room boolean, decide_has_room boolean);
CREATE PROCEDURE compare() LANGUAGE plpgsql AS $$
DECLARE
  s shape;
  a record;
  scope record;
  moment bigint;
BEGIN
  FOR s IN SELECT * FROM shape LOOP
    FOR scope IN SELECT * FROM (VALUES ('user', 'count', 1), ('user', 'cost', 3), ('all', 'count', 1), ('all', 'cost', 3)) AS v (per, unit, most) LOOP
      DELETE FROM decide.cap;
      INSERT INTO decide.cap (cap, action, per, unit, max_count, window_length, window_kind, time_zone, counts, hold, stripes)
      VALUES ('c', 'tulips', scope.per, scope.unit, scope.most, s.window_length, s.window_kind, s.time_zone, s.counts, s.hold, 1);
      PERFORM decide.publish();
      COMMIT;
      PERFORM decide('ann', 'home');
      COMMIT;
      -- exposures around each boundary, ten seconds younger and older
      FOR a IN
        SELECT b.what, u.age FROM (
          SELECT 'window ends' AS what, CASE WHEN s.window_kind = 'sliding' THEN EXTRACT(epoch FROM s.window_length)
                                             ELSE EXTRACT(epoch FROM now() - NULLIF(c.window_start, '-infinity')) END AS age FROM decide.cap_in_force AS c
           UNION ALL
          SELECT 'hold ends', EXTRACT(epoch FROM s.hold) WHERE s.counts <> 'decision'
           UNION ALL
          SELECT 'long ago', 3e9 WHERE s.window_length IS NULL) AS b, unnest(ARRAY[b.age - 10, b.age + 10]) AS u (age) WHERE u.age > 0 ORDER BY 1, 2
      LOOP
        moment := (EXTRACT(epoch FROM now()) - 946684800 - a.age) * 1000000;
        UPDATE decide.user_state SET exposures[3] = moment WHERE scope.per = 'user' AND user_key = decide.user_key('ann');
        UPDATE decide.budget_stripe AS b SET ledger[1] = moment FROM decide.cap_in_force AS c WHERE c.slot = b.slot AND cardinality(b.ledger) > 0;
        -- so that sessions look at the counters
        PERFORM decide.publish();
        COMMIT;
        INSERT INTO compared
        SELECT s, scope.per, scope.unit, a.what,
               CASE scope.per WHEN 'all' THEN (SELECT b.free FROM decide.budget AS b)
                              ELSE (SELECT scope.most - COALESCE(max(e.counted), 0) - COALESCE(max(e.reserved), 0) FROM decide.exposure AS e WHERE e.user_key = decide.user_key('ann')) END
                 >= CASE scope.unit WHEN 'cost' THEN 2.5 ELSE 1 END,
               (SELECT x.step <> 'cap' FROM decide.explain('ann', 'home') AS x WHERE x.action = 'tulips');
        COMMIT;
      END LOOP;
      UPDATE decide.user_state SET exposures = '{}';
      UPDATE decide.budget_stripe SET ledger = '{}';
    END LOOP;
  END LOOP;
END
$$;
SET TimeZone = 'America/Havana';
CALL compare();
SELECT count(*) > 100 AS many, count(*) FILTER (WHERE decide_has_room) > 30 AS with_room, count(*) FILTER (WHERE NOT decide_has_room) > 30 AS without FROM compared;
SELECT * FROM compared WHERE view_has_room IS DISTINCT FROM decide_has_room;
-- A month that slides is 30 days, whatever the calendar says; and the hold that a view shows is that which decisions keep.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, action, per, max_count, counts, window_length, window_kind, hold) VALUES ('m', 'tulips', 'user', 1, 'impression', '1 month', 'sliding', '1 month');
SELECT decide.publish('a month') > 0 AS published;
SELECT track(jsonb_build_object('event_id', '1', 'type', 'impression', 'user_id', 'bob', 'at', now() - interval '30 days 12 hours', 'action', 'tulips'));
SELECT count(*) FROM decide.exposure WHERE user_key = decide.user_key('bob');
SELECT statement_timestamp() - window_start AS looks_back, hold_us / 86400000000 AS days FROM decide.cap_in_force;
SELECT action, reason FROM decide('bob', 'home');

-- Costs count in millionths, one by one: what a cap cannot count so is a fault, of the action that has the cost.
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, action, per, max_count, unit) VALUES ('money', 'tulips', 'all', 4611686018427, 'cost');
UPDATE decide.action SET cost = 9e12 WHERE action = 'tulips';
SELECT decide.publish('too dear') > 0 AS published;
UPDATE decide.action SET cost = 9007199254.740993 WHERE action = 'tulips';
SELECT decide.publish('a millionth too dear') > 0 AS published;
UPDATE decide.action SET cost = 9007199254 WHERE action = 'tulips';
UPDATE decide.cap SET max_count = 9007199255;
SELECT decide.publish('dear') > 0 AS published;
SELECT action, count(*) FROM generate_series(1, 4) AS g, decide(g, 'home') GROUP BY 1 ORDER BY 1;
SELECT spent, free FROM decide.budget;
-- where no cap counts cost, any cost is
UPDATE decide.action SET cost = 9e300 WHERE action = 'tulips';
UPDATE decide.cap SET unit = 'count';
SELECT decide.publish('no cap counts it') > 0 AS published;
\set VERBOSITY terse
UPDATE decide.action SET cost = 'NaN';
UPDATE decide.action SET cost = '-1';
UPDATE decide.action SET cost = 'infinity';
\set VERBOSITY default
-- limits
UPDATE decide.cap SET max_count = 9223372036854775807;
INSERT INTO decide.cap (cap, per, max_count, unit) VALUES ('more money', 'user', 4611686018428, 'cost');
UPDATE decide.action SET cost = 1;
SELECT decide.publish('limits that cannot be counted') > 0 AS published;
UPDATE decide.cap SET max_count = 4611686018427387903 WHERE cap = 'money';
UPDATE decide.cap SET max_count = 4611686018427, min_count = 0, per = 'all', window_length = '1 day' WHERE cap = 'more money';
SELECT decide.publish('limits that can') > 0 AS published;
-- none, and fewer than rows
DELETE FROM decide.cap;
INSERT INTO decide.cap (cap, action, per, max_count, stripes) VALUES ('three of 256', 'tulips', 'all', 3, 256);
SELECT decide.publish('more rows than units') > 0 AS published;
SELECT action, count(*) FROM generate_series(1, 5) AS g, decide(g, 'home') GROUP BY 1 ORDER BY 1;
INSERT INTO decide.cap (cap, action, per, max_count, unit, stripes) VALUES ('none', 'tulips', 'all', 0, 'cost', 256);
UPDATE decide.cap SET max_count = 4 WHERE cap = 'three of 256';
SELECT decide.publish('none') > 0 AS published;
SELECT action, count(*) FROM generate_series(1, 5) AS g, decide(g, 'home') GROUP BY 1 ORDER BY 1;
