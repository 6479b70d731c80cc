-- Former names that another row has now, of kind $1 or of all.
WITH held AS MATERIALIZED (
  SELECT n.kind, n.name, n.number FROM decide.named AS n
), said AS MATERIALIZED (
  SELECT i.kind, i.number, f.name
    FROM decide.identity AS i CROSS JOIN LATERAL pg_catalog.unnest(i.former) AS f (name)
   WHERE i.former <> '{}' AND ($1 IS NULL OR i.kind = $1)
), taken AS MATERIALIZED (
  SELECT s.kind, s.number, pg_catalog.array_agg(s.name) AS names
    FROM said AS s JOIN held AS h ON h.kind = s.kind AND h.name = s.name AND h.number <> s.number
   GROUP BY s.kind, s.number
)
UPDATE decide.identity AS i
   SET former = ARRAY(SELECT f.name FROM pg_catalog.unnest(i.former) WITH ORDINALITY AS f (name, place)
                       WHERE f.name <> ALL (t.names) ORDER BY f.place)
  FROM taken AS t
 WHERE i.kind = t.kind AND i.number = t.number
