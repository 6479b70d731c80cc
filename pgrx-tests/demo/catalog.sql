-- The feature catalog, with how many of the users in the log have each feature.
WITH known AS (
  SELECT DISTINCT f.feature, u.user_id
    FROM (SELECT DISTINCT user_id FROM shop.history) AS u, decide.features(u.user_id) AS f WHERE f.updated_at IS NOT NULL
)
SELECT c.feature, c.aggregate, coalesce(f.key_path, '') AS per, c.version || ' ' || c.lifecycle AS version,
       coalesce(to_char(c.missing_share * 100, 'FM990.0') || ' %', '') AS missing,
       coalesce(f.purpose, '') AS purpose, (SELECT count(*) FROM known AS k WHERE k.feature = c.feature) AS users
  FROM decide.feature_catalog AS c LEFT JOIN decide.feature AS f USING (feature)
