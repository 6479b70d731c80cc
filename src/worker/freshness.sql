-- Of each feature in force: its newest event, and how many decisions of the last day missed it. At most the
-- newest 100,000 decisions; of events those since a day before the last run, or of 30 days at a feature's first.
WITH feature AS MATERIALIZED (
  SELECT f.feature, f.place, f.event_types, s.seen_at, s.computed_at
    FROM decide.feature_in_force AS f LEFT JOIN decide.feature_statistic AS s USING (feature)
), since AS (
  SELECT pg_catalog.min(COALESCE(f.computed_at - interval '1 day', pg_catalog.now() - interval '30 days')) AS at FROM feature AS f
), newest AS (
  SELECT e.type, pg_catalog.max(e.at) AS at
    FROM decide.event AS e WHERE e.at >= (SELECT s.at FROM since AS s) GROUP BY e.type
), trace AS MATERIALIZED (
  SELECT t.missing
    FROM (SELECT l.bundle, l.missing, l.features, l.reason, l.origin FROM decide.trace AS l
           WHERE l.decided_at >= pg_catalog.now() - interval '1 day'
           ORDER BY l.decision_id DESC LIMIT 100000) AS t
   WHERE t.bundle = (SELECT p.bundle FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1)
     AND t.origin IS NULL AND pg_catalog.cardinality(t.features) > 0
), miss AS (
  SELECT m.place, pg_catalog.count(*) AS decisions
    FROM trace AS t CROSS JOIN LATERAL pg_catalog.unnest(t.missing) AS m (place) GROUP BY m.place
)
INSERT INTO decide.feature_statistic AS s (feature, seen_at, missing_share, decisions, computed_at)
SELECT f.feature,
       GREATEST(f.seen_at, (SELECT pg_catalog.max(n.at) FROM newest AS n WHERE n.type = ANY (f.event_types))),
       CASE WHEN f.place IS NOT NULL AND a.decisions > 0
            THEN COALESCE(m.decisions, 0)::pg_catalog.float8 / a.decisions END,
       a.decisions, pg_catalog.now()
  FROM feature AS f CROSS JOIN (SELECT pg_catalog.count(*) AS decisions FROM trace AS t) AS a
  LEFT JOIN miss AS m ON m.place = f.place
ON CONFLICT (feature) DO UPDATE
   SET seen_at = excluded.seen_at, missing_share = excluded.missing_share,
       decisions = excluded.decisions, computed_at = excluded.computed_at
