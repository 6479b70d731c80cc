-- Former names that another row has now, of kind $1 or of all.
UPDATE decide.identity AS i
   SET former = ARRAY(SELECT f.name FROM pg_catalog.unnest(i.former) WITH ORDINALITY AS f (name, place)
                       WHERE NOT EXISTS (SELECT 1 FROM decide.named AS n
                                          WHERE n.kind = i.kind AND n.name = f.name AND n.number <> i.number)
                       ORDER BY f.place)
  FROM (SELECT DISTINCT o.kind, o.number
          FROM decide.identity AS o CROSS JOIN LATERAL pg_catalog.unnest(o.former) AS f (name)
          JOIN decide.named AS n ON n.kind = o.kind AND n.name = f.name AND n.number <> o.number
         WHERE $1 IS NULL OR o.kind = $1) AS taken
 WHERE i.kind = taken.kind AND i.number = taken.number
