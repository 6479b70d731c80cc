-- Rows, of kind $1 or of all, that have no number yet.
INSERT INTO decide.identity (kind, number, name, id)
SELECT n.kind,
       COALESCE((SELECT pg_catalog.max(i.number) FROM decide.identity AS i WHERE i.kind = n.kind), 0)
         + pg_catalog.row_number() OVER (PARTITION BY n.kind ORDER BY n.place COLLATE "C", n.name COLLATE "C"),
       n.name, n.id
  FROM decide.named AS n
 WHERE n.number IS NULL AND ($1 IS NULL OR n.kind = $1)
