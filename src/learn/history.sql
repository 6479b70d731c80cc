WITH reward AS (
  SELECT r.decision_id, r.user_key, r.number, r.reward FROM decide.rewards($2, $3, $4) AS r
), shown AS (
  SELECT t.decision_id, t.user_key, t.decided_at, t.bundle, s.place, s.action, t.chosen[s.place] AS propensity,
         t.features, t.missing, t.affinities, t.context_values, t.snapshot, t.switches, COALESCE(t.features_at, t.decided_at) AS features_at, t.origin IS NULL AS own
    FROM decide.trace AS t
   CROSS JOIN LATERAL pg_catalog.unnest(t.actions[1:t.filled]) WITH ORDINALITY AS s (action, place)
   WHERE t.surface = $1 AND t.decided_at >= $3 AND t.decided_at < $4 AND t.bundle IS NOT NULL
     AND NOT EXISTS (SELECT FROM decide.erasing AS e WHERE e.user_key = t.user_key AND t.decided_at <= COALESCE(e.until, 'infinity'))
)
SELECT s.decided_at, s.bundle, s.action, s.propensity, s.features, s.context_values,
       COALESCE(own.reward, 0) + COALESCE(slate.reward, 0) AS reward, s.missing, s.affinities, s.snapshot, s.own, s.switches, s.features_at
  FROM shown AS s
  LEFT JOIN reward AS own ON own.decision_id = s.decision_id AND own.user_key = s.user_key AND own.number = s.action
  LEFT JOIN reward AS slate ON slate.decision_id = s.decision_id AND slate.user_key = s.user_key AND slate.number = 0
 ORDER BY s.decision_id, s.place
