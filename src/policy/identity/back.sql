-- Rows whose id is new, but whose name was that of one that is gone ($2: a former name of it): they are that one.
WITH gone AS (
  SELECT i.kind, i.number, i.name, i.named_at, CASE WHEN $2 THEN f.name ELSE i.name END AS said
    FROM decide.identity AS i
    LEFT JOIN LATERAL pg_catalog.unnest(CASE WHEN $2 THEN i.former END) AS f (name) ON $2
   WHERE ($1 IS NULL OR i.kind = $1) AND NOT EXISTS (SELECT 1 FROM decide.named AS n WHERE n.kind = i.kind AND n.number = i.number)
), pair AS (
  SELECT g.kind, g.number, g.name AS old, n.name AS new, n.id,
         pg_catalog.row_number() OVER (PARTITION BY n.kind, n.id ORDER BY g.named_at DESC, g.number) AS of_row,
         pg_catalog.row_number() OVER (PARTITION BY g.kind, g.number ORDER BY n.name COLLATE "C") AS of_number
    FROM decide.named AS n JOIN gone AS g ON g.kind = n.kind AND g.said = n.name
   WHERE n.number IS NULL
)
UPDATE decide.identity AS i
   SET id = p.id, name = p.new, named_at = pg_catalog.clock_timestamp(),
       former = CASE WHEN p.old = p.new THEN i.former
                     ELSE pg_catalog.array_append(pg_catalog.array_remove(i.former, p.new), p.old) END
  FROM pair AS p
 WHERE p.of_row = 1 AND p.of_number = 1 AND i.kind = p.kind AND i.number = p.number
RETURNING p.kind, p.old, p.new, p.number
