-- The features, and how many of the users in the log have each.
WITH known AS (
  SELECT DISTINCT f.feature, u.user_id
    FROM (SELECT DISTINCT user_id FROM shop.history) AS u, decide.features(u.user_id) AS f WHERE f.updated_at IS NOT NULL
)
SELECT f.feature, f.aggregate, f.event_type, coalesce(f.key_path, '') AS per, count(k.user_id) AS users
  FROM decide.feature AS f LEFT JOIN known AS k USING (feature)
 GROUP BY f.feature ORDER BY f.event_type, f.feature
