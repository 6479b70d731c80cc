-- Rows, of kind $1 or of all, that have no number yet.
WITH newest AS MATERIALIZED (
  SELECT i.kind, pg_catalog.max(i.number) AS number FROM decide.identity AS i GROUP BY i.kind
)
INSERT INTO decide.identity (kind, number, name, id)
SELECT n.kind,
       COALESCE(l.number, 0) + pg_catalog.row_number() OVER (PARTITION BY n.kind ORDER BY n.place COLLATE "C", n.name COLLATE "C"),
       n.name, n.id
  FROM decide.named AS n LEFT JOIN newest AS l ON l.kind = n.kind
 WHERE n.number IS NULL AND ($1 IS NULL OR n.kind = $1)
