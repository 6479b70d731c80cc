-- What has changed since rows, of kind $1 or of all, got their numbers: whether some have none, whether some have another
-- name, whether some share a name, and whether some have former ones.
SELECT COALESCE(pg_catalog.bool_or(i.number IS NULL), false), COALESCE(pg_catalog.bool_or(i.name <> n.name), false),
       EXISTS (SELECT 1 FROM decide.identity AS e WHERE $1 IS NULL OR e.kind = $1
                GROUP BY e.kind, e.name HAVING pg_catalog.count(*) > 1),
       EXISTS (SELECT 1 FROM decide.identity AS e WHERE e.former <> '{}' AND ($1 IS NULL OR e.kind = $1))
  FROM (SELECT 'surface' AS kind, s.id, s.surface AS name FROM decide.surface AS s
         UNION ALL
        SELECT 'campaign', c.id, c.campaign FROM decide.campaign AS c
         UNION ALL
        SELECT 'action', a.id, a.action FROM decide.action AS a
         UNION ALL
        SELECT 'cap', c.id, c.cap FROM decide.cap AS c
         UNION ALL
        SELECT 'feature', f.id, f.feature FROM decide.feature AS f
         UNION ALL
        SELECT 'purpose', p.id, p.purpose FROM decide.purpose AS p
         UNION ALL
        SELECT 'experiment', x.id, x.experiment FROM decide.experiment AS x
         UNION ALL

        SELECT 'region', r.id, r.region FROM decide.region AS r) AS n
  LEFT JOIN decide.identity AS i ON i.kind = n.kind AND i.id = n.id
 WHERE $1 IS NULL OR n.kind = $1
