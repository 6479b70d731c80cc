-- Decisions made here, with what they saw, by user and in the order of what they had seen.
SELECT t.user_key, t.bundle, t.seen, t.surface, COALESCE(t.features_at, t.decided_at) AS features_at, t.features, t.missing, t.affinities, t.switches, t.denied, t.region
  FROM decide.trace AS t
 WHERE t.decided_at >= $1 AND t.decided_at < $2
   AND t.bundle IS NOT NULL AND t.seen IS NOT NULL AND t.origin IS NULL
   AND NOT EXISTS (SELECT FROM decide.erasing AS e WHERE e.user_key = t.user_key AND t.decided_at <= COALESCE(e.until, 'infinity'))
   AND t.mode <> 'paused' AND (t.reason IS NULL OR t.reason NOT LIKE 'failed:%' AND t.reason <> 'overload')
 ORDER BY t.user_key, t.bundle, t.seen
