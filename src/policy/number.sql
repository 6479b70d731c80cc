-- Actions of the same surfaces get neighbouring numbers: a trace then keeps its candidates as few runs.
WITH newest AS (
  SELECT COALESCE(pg_catalog.max(n.number), 0) AS number FROM decide.action_number AS n
), missing AS (
  SELECT a.action, pg_catalog.row_number() OVER (ORDER BY a.surfaces COLLATE "C", a.action COLLATE "C") AS place
    FROM decide.action AS a
   WHERE NOT EXISTS (SELECT 1 FROM decide.action_number AS n WHERE n.action = a.action)
)
INSERT INTO decide.action_number (number, action)
SELECT newest.number + missing.place, missing.action FROM newest, missing
