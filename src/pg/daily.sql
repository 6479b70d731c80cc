-- The partition of $1 for the day of $2, and its primary key, if rows may be added to it, and found in it, without the
-- executor: it must be what decide.make_partitions made, with a primary key on its first columns $3, of the types $4,
-- and with nothing added to it, or to the table, that only the executor would heed. Else what keeps them from that.
SELECT p.oid, c.oid, x.indexrelid,
       CASE WHEN c.relkind <> 'r' OR c.relpersistence <> 'p' OR a.amname <> 'heap' THEN 'it is not a plain table'
            WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid IN (c.oid, p.oid) AND g.tgenabled <> 'D')
              THEN 'it has a trigger'
            WHEN c.relrowsecurity OR p.relrowsecurity THEN 'it has row security'
            WHEN c.relchecks + p.relchecks > 0 THEN 'it has a check constraint'
            WHEN ARRAY(SELECT f.attname FROM pg_catalog.pg_attribute AS f
                        WHERE f.attrelid = c.oid AND f.attnum BETWEEN 1 AND 3 ORDER BY f.attnum) <> $3::name[]
              OR ARRAY(SELECT f.atttypid FROM pg_catalog.pg_attribute AS f
                        WHERE f.attrelid = c.oid AND f.attnum BETWEEN 1 AND 3 ORDER BY f.attnum) <> $4
              THEN pg_catalog.format('its first columns are not %s', pg_catalog.array_to_string($3, ', '))
            WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class IN (c.oid, p.oid) AND w.ev_type = '3')
              THEN 'it has a rule on INSERT'
            WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_index AS o
                          WHERE o.indrelid = c.oid
                            AND (o.indexprs IS NOT NULL OR o.indpred IS NOT NULL OR o.indisexclusion OR NOT o.indimmediate))
              THEN 'it has an index on expressions, of a part of the rows, or that is not checked at once'
            WHEN x.indexrelid IS NULL
              THEN pg_catalog.format('it has no primary key of %s', pg_catalog.array_to_string($3, ', ')) END
  FROM (SELECT pg_catalog.date_trunc('day', $2 AT TIME ZONE 'UTC') AS day) AS d
 CROSS JOIN pg_catalog.pg_class AS p
  LEFT JOIN (pg_catalog.pg_inherits AS i
             JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
             JOIN pg_catalog.pg_am AS a ON a.oid = c.relam)
    ON i.inhparent = p.oid AND NOT i.inhdetachpending
   AND c.relname = p.relname || '_' || pg_catalog.to_char(d.day, 'YYYYMMDD')
   AND pg_catalog.pg_get_expr(c.relpartbound, c.oid) = pg_catalog.format('FOR VALUES FROM (%L) TO (%L)',
         d.day AT TIME ZONE 'UTC', (d.day + interval '1 day') AT TIME ZONE 'UTC')
  LEFT JOIN pg_catalog.pg_index AS x
    ON x.indrelid = c.oid AND x.indisprimary AND x.indisvalid AND x.indnkeyatts = 3
   AND x.indkey[0] = 1 AND x.indkey[1] = 2 AND x.indkey[2] = 3 AND x.indcollation[1] IN (0, 950)
 WHERE p.oid = ('decide.' || $1)::pg_catalog.regclass
