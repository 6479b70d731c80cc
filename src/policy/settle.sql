-- Places, when bundle $1 comes into force.
WITH place AS (
  SELECT l.slot,
         EXISTS (SELECT 1 FROM decide.bundle AS b, pg_catalog.jsonb_array_elements(b.content -> 'features') AS e
                  WHERE b.bundle = $1 AND (e ->> 'slot')::pg_catalog.int4 = l.slot) AS is_in_force,
         EXISTS (SELECT 1 FROM decide.feature AS f JOIN decide.identity AS i ON i.kind = 'feature' AND i.id = f.id
                  WHERE i.number = l.number AND decide.feature_definition(f) = l.definition) AS is_wanted
    FROM decide.feature_slot AS l
   WHERE l.staged_at IS NOT NULL OR l.backfilled_at IS NOT NULL
)
UPDATE decide.feature_slot AS l
   SET staged_at = CASE WHEN p.is_in_force AND l.backfilled_at IS NULL OR NOT p.is_in_force AND p.is_wanted THEN l.staged_at END,
       backfilled_at = CASE WHEN p.is_in_force OR p.is_wanted AND l.staged_at IS NOT NULL THEN l.backfilled_at END,
       backfilled_to = CASE WHEN p.is_in_force OR p.is_wanted AND l.staged_at IS NOT NULL THEN l.backfilled_to END
  FROM place AS p
 WHERE p.slot = l.slot
