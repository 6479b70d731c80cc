-- The table decide.$1 and its primary key, and what keeps its rows from being read, or changed, without the executor:
-- its columns must begin with those of the names $2 and the types $3, and the first $4 of them be its primary key.
SELECT t.oid, t.primary_key,
       CASE WHEN t.relkind <> 'r' OR t.amname <> 'heap' THEN 'it is not a plain table'
            WHEN t.names[1:pg_catalog.cardinality($2)] <> $2::name[] OR t.types[1:pg_catalog.cardinality($2)] <> $3
              THEN pg_catalog.format('its columns must begin with %s, in this order and of their own types', pg_catalog.array_to_string($2, ', '))
            WHEN t.primary_key IS NULL
              THEN pg_catalog.format('it has no primary key of %s', pg_catalog.array_to_string($2[1:$4], ', '))
            WHEN t.relrowsecurity AND t.relforcerowsecurity THEN 'it has row security that its owner is subject to' END,
       CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D')
              THEN 'it has a trigger'
            WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class = t.oid AND w.ev_type IN ('2', '3'))
              THEN 'it has a rule on INSERT or UPDATE'
            WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_constraint AS k WHERE k.conrelid = t.oid AND k.contype IN ('c', 'f'))
              THEN 'it has a check constraint or a foreign key'
            WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_attribute AS f WHERE f.attrelid = t.oid AND f.attnum > 0 AND f.attgenerated <> '')
              THEN 'it has a generated column' END
  FROM (SELECT c.oid, c.relkind, a.amname, c.relrowsecurity, c.relforcerowsecurity,
               ARRAY(SELECT CASE WHEN f.attisdropped THEN '' ELSE f.attname END FROM pg_catalog.pg_attribute AS f
                      WHERE f.attrelid = c.oid AND f.attnum > 0 ORDER BY f.attnum)::name[] AS names,
               ARRAY(SELECT f.atttypid FROM pg_catalog.pg_attribute AS f
                      WHERE f.attrelid = c.oid AND f.attnum > 0 ORDER BY f.attnum) AS types,
               (SELECT x.indexrelid FROM pg_catalog.pg_index AS x
                 WHERE x.indrelid = c.oid AND x.indisprimary AND x.indisvalid AND x.indnkeyatts = $4
                   AND x.indkey[0] = 1 AND ($4 = 1 OR x.indkey[1] = 2)) AS primary_key
          FROM pg_catalog.pg_class AS c LEFT JOIN pg_catalog.pg_am AS a ON a.oid = c.relam
         WHERE c.oid = pg_catalog.to_regclass('decide.' || $1)) AS t
