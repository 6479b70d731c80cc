-- Features, or the one of a name, whose definition has no place yet.
SELECT f.feature, decide.feature_content(f, 0)::text, decide.feature_definition(f)::text
  FROM decide.feature AS f
 WHERE ($1 IS NULL OR f.feature = $1) AND NOT EXISTS (SELECT 1 FROM decide.feature_slot AS l
                    WHERE l.feature = f.feature AND l.definition = decide.feature_definition(f))
 ORDER BY f.feature COLLATE "C"
