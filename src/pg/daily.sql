-- The partition of $1 for the day of $2, and its primary key, if rows may be added to it, and found in it, without the
-- executor: it must be what decide.make_partitions made, with a primary key on its first columns $3, of the types $4,
-- and with nothing added to it, or to the table, that only the executor would heed.
SELECT p.oid, c.oid,
       CASE WHEN c.relkind = 'r' AND c.relpersistence = 'p' AND a.amname = 'heap'
       AND NOT c.relhastriggers AND NOT c.relrowsecurity AND c.relchecks = 0
       AND NOT p.relhastriggers AND NOT p.relrowsecurity AND p.relchecks = 0
       AND ARRAY(SELECT f.attname FROM pg_catalog.pg_attribute AS f
                  WHERE f.attrelid = c.oid AND f.attnum BETWEEN 1 AND 3 ORDER BY f.attnum) = $3::name[]
       AND ARRAY(SELECT f.atttypid FROM pg_catalog.pg_attribute AS f
                  WHERE f.attrelid = c.oid AND f.attnum BETWEEN 1 AND 3 ORDER BY f.attnum) = $4
       AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class IN (c.oid, p.oid) AND w.ev_type = '3')
       AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_index AS x
                        WHERE x.indrelid = c.oid
                          AND (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL OR x.indisexclusion OR NOT x.indimmediate))
       THEN (SELECT x.indexrelid FROM pg_catalog.pg_index AS x WHERE x.indrelid = c.oid AND x.indisprimary AND x.indisvalid AND x.indnkeyatts = 3
                AND x.indkey[0] = 1 AND x.indkey[1] = 2 AND x.indkey[2] = 3 AND x.indcollation[1] IN (0, 950)) END
  FROM (SELECT pg_catalog.date_trunc('day', $2 AT TIME ZONE 'UTC') AS day) AS d
 CROSS JOIN pg_catalog.pg_class AS p
  LEFT JOIN (pg_catalog.pg_inherits AS i
             JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
             JOIN pg_catalog.pg_am AS a ON a.oid = c.relam)
    ON i.inhparent = p.oid AND NOT i.inhdetachpending
   AND c.relname = p.relname || '_' || pg_catalog.to_char(d.day, 'YYYYMMDD')
   AND pg_catalog.pg_get_expr(c.relpartbound, c.oid) = pg_catalog.format('FOR VALUES FROM (%L) TO (%L)',
         d.day AT TIME ZONE 'UTC', (d.day + interval '1 day') AT TIME ZONE 'UTC')
 WHERE p.oid = ('decide.' || $1)::pg_catalog.regclass
