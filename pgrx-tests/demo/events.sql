-- The clicks of the past as events of their users, all in one call. The log is moved in time, so that it goes on now.
WITH moved AS (
  SELECT n, user_id, action, decided_at + (now() - (SELECT min(decided_at) FROM shop.traffic)) AS at
    FROM shop.past WHERE reward > 0
), days AS MATERIALIZED (
  SELECT decide.make_partitions(min(at AT TIME ZONE 'UTC')::date, max(at AT TIME ZONE 'UTC')::date) AS made FROM moved
)
SELECT t.accepted, (SELECT count(DISTINCT user_id) FROM moved), (SELECT count(DISTINCT user_id) FROM shop.history)
  FROM days, track((SELECT array_agg(jsonb_build_object('event_id', 'click-' || n, 'type', 'click', 'user_id', user_id, 'at', at,
                                                        'surface', 'home', 'action', action) ORDER BY n) FROM moved)) AS t
 WHERE days.made >= 0
