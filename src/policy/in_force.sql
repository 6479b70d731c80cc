-- The bundle in force, with the transaction that published it.
SELECT p.bundle, b.xmin::text::bigint, b.published_at
  FROM (SELECT n.bundle FROM decide.publication AS n ORDER BY n.publication DESC LIMIT 1) AS p
  JOIN decide.bundle AS b ON b.bundle = p.bundle
