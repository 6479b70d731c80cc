WITH newest AS (
  SELECT COALESCE(pg_catalog.max(l.slot), -1) AS slot FROM decide.feature_slot AS l
), missing AS (
  SELECT f.feature, decide.feature_definition(f) AS definition,
         pg_catalog.row_number() OVER (ORDER BY f.feature COLLATE "C") AS place
    FROM decide.feature AS f
   WHERE NOT EXISTS (SELECT 1 FROM decide.feature_slot AS l
                      WHERE l.feature = f.feature AND l.definition = decide.feature_definition(f))
)
INSERT INTO decide.feature_slot (slot, feature, definition)
SELECT newest.slot + missing.place, missing.feature, missing.definition FROM newest, missing
