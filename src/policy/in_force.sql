-- The bundle in force, with the transaction that published it, and what its decisions depend on besides.
SELECT p.bundle, b.xmin::text::bigint, b.published_at,
       (SELECT s.taken_at FROM decide.entity_snapshot AS s ORDER BY s.taken_at DESC LIMIT 1),
       EXISTS (SELECT 1 FROM decide.switch_change),
       EXISTS (SELECT 1 FROM decide.feature_slot AS l WHERE l.staged_at IS NOT NULL)
  FROM (SELECT n.bundle FROM decide.publication AS n ORDER BY n.publication DESC LIMIT 1) AS p
  JOIN decide.bundle AS b ON b.bundle = p.bundle
