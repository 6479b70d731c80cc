-- The days without a partition, up to $1 days ahead, and whether many of their rows are in the default one: first all that
-- have few. A day that has many and is not over is left until it is.
SELECT p.parent, pg_catalog.to_char(m.day, 'YYYY-MM-DD'), m.waiting > decide.movable_rows()
  FROM (SELECT (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::pg_catalog.date AS day) AS today
 CROSS JOIN (VALUES ('trace'), ('outcome'), ('event')) AS p (parent)
 CROSS JOIN LATERAL decide.missing_partitions(p.parent, today.day - 1, today.day + $1, true) AS m
 WHERE m.waiting <= decide.movable_rows() OR m.day < today.day
 ORDER BY 3, p.parent DESC, m.day
