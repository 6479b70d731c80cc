-- The days without a partition, up to $1 days ahead, and whether their rows in the default one are copied first; those whose
-- rows stay there for now are left out.
SELECT p.parent, pg_catalog.to_char(m.day, 'YYYY-MM-DD'), m.move = 'by copy'
  FROM (SELECT (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::pg_catalog.date AS day) AS today
 CROSS JOIN (VALUES ('trace'), ('outcome'), ('event')) AS p (parent)
 CROSS JOIN LATERAL decide.missing_partitions(p.parent, today.day - 1, today.day + $1, true) AS m
 WHERE m.move <> 'later'
 ORDER BY 3, p.parent DESC, m.day
