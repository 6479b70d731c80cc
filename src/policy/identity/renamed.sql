-- Rows, of kind $1 or of all, that have another name than when they were published, or one that another has had since.
UPDATE decide.identity AS i
   SET name = n.name, named_at = pg_catalog.clock_timestamp(),
       former = CASE WHEN i.name = n.name THEN i.former
                     ELSE pg_catalog.array_append(pg_catalog.array_remove(i.former, n.name), i.name) END
  FROM decide.named AS n JOIN decide.identity AS o ON o.kind = n.kind AND o.number = n.number
 WHERE i.kind = o.kind AND i.number = o.number AND ($1 IS NULL OR n.kind = $1)
   AND (o.name <> n.name
        OR EXISTS (SELECT 1 FROM decide.identity AS e
                    WHERE e.kind = o.kind AND e.name = o.name AND e.number <> o.number AND e.named_at >= o.named_at))
RETURNING n.kind, o.name, n.name, o.number
