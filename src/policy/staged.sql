-- What it takes to write the features that are staged, or the one in a place.
SELECT (l.definition || pg_catalog.jsonb_build_object(
         'feature', l.feature, 'slot', l.slot, 'prior_weight', 0, 'offline_only', true, 'default_value', 0,
         'key_limit', LEAST(GREATEST(COALESCE((SELECT f.key_limit FROM decide.feature AS f JOIN decide.identity AS i ON i.kind = 'feature' AND i.id = f.id WHERE i.number = l.number), 20), 1), 200)
       ))::text
  FROM decide.feature_slot AS l
 WHERE l.slot = $1 OR $1 IS NULL AND l.staged_at IS NOT NULL
 ORDER BY l.slot
