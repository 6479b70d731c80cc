WITH reward AS (
  SELECT r.decision_id, r.user_key, r.number, r.reward FROM decide.rewards($2, $3, $4) AS r
), shown AS (
  SELECT t.decision_id, t.user_key, t.decided_at, t.bundle, s.place, s.action, t.chosen[s.place] AS propensity,
         t.features, t.missing, t.affinities, t.context_values, t.snapshot, t.switches, COALESCE(t.features_at, t.decided_at) AS features_at, t.origin IS NULL AS own
    FROM decide.trace AS t
   CROSS JOIN LATERAL pg_catalog.unnest(t.actions[1:t.filled]) WITH ORDINALITY AS s (action, place)
   WHERE t.surface = $1 AND t.decided_at >= $3 AND t.decided_at < $4 AND t.bundle IS NOT NULL
     AND NOT EXISTS (SELECT FROM decide.erasing AS e WHERE e.user_key = t.user_key AND t.decided_at <= COALESCE(e.until, 'infinity'))
), delay AS MATERIALIZED (
  SELECT d.cohort, d.share, d.scale, d.shape, d.mean_value, EXTRACT(epoch FROM o.window_length)::pg_catalog.float8 AS seconds, o.delay_attribute
    FROM decide.newest_delays() AS d JOIN decide.outcome_types_in_force() AS o ON o.outcome_type = d.outcome_type
   WHERE $5 AND d.outcome_type = $2 AND d.surface = $1
)
SELECT s.decided_at, s.bundle, s.action, s.propensity, s.features, s.context_values,
       COALESCE(own.reward, 0) + COALESCE(slate.reward, 0) AS reward, s.missing, s.affinities, s.snapshot, s.own, s.switches, s.features_at,
       COALESCE(l.chance, 0) AS to_come, COALESCE(l.chance * l.mean_value, 0) AS value_to_come
  FROM shown AS s
  LEFT JOIN reward AS own ON own.decision_id = s.decision_id AND own.user_key = s.user_key AND own.number = s.action
  LEFT JOIN reward AS slate ON slate.decision_id = s.decision_id AND slate.user_key = s.user_key AND slate.number = 0
  -- what those that have had no outcome may yet have
  LEFT JOIN LATERAL (
    SELECT decide.still_to_come(d.share, d.scale, d.shape, EXTRACT(epoch FROM pg_catalog.now() - s.decided_at)::pg_catalog.float8, d.seconds) AS chance, d.mean_value
      FROM delay AS d
     WHERE d.cohort = '' OR d.cohort = (SELECT v.attributes ->> d.delay_attribute FROM decide.action_version AS v
                                         WHERE v.number = s.action AND v.bundle <= s.bundle ORDER BY v.bundle DESC LIMIT 1)
     ORDER BY d.cohort = '' LIMIT 1) AS l ON $5 AND own.reward IS NULL AND slate.reward IS NULL
 ORDER BY s.decision_id, s.place
