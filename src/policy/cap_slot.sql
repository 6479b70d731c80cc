-- Caps, and values of the attribute that one limits by itself, that have no number yet.
WITH wanted AS (
  SELECT c.cap, decide.cap_definition(c) AS definition, v.value,
         GREATEST(EXTRACT(epoch FROM c.hold) * 1000000 / 8, 1)::bigint AS cell_us
    FROM decide.cap AS c
   CROSS JOIN LATERAL decide.cap_values(c) AS v (value)
), missing AS (
  SELECT w.*, pg_catalog.row_number() OVER (ORDER BY w.cap COLLATE "C", w.value COLLATE "C") AS place
    FROM wanted AS w
   WHERE NOT EXISTS (SELECT 1 FROM decide.cap_slot AS s
                      WHERE s.cap = w.cap AND s.definition = w.definition AND s.value IS NOT DISTINCT FROM w.value)
)
INSERT INTO decide.cap_slot (slot, cap, value, definition, cell_us)
SELECT (SELECT COALESCE(pg_catalog.max(s.slot), 0) FROM decide.cap_slot AS s) + m.place, m.cap, m.value, m.definition, m.cell_us
  FROM missing AS m
