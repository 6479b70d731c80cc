-- Features, or the one of a name, whose definition has no place yet.
SELECT f.feature, decide.feature_content(f, 0)::text, decide.feature_definition(f)::text
  FROM decide.feature AS f
 WHERE ($1 IS NULL OR f.feature = $1)
   AND NOT EXISTS (SELECT 1 FROM decide.identity AS i JOIN decide.feature_slot AS l ON l.number = i.number
                    WHERE i.kind = 'feature' AND i.id = f.id AND l.definition = decide.feature_definition(f))
 ORDER BY f.feature COLLATE "C"
