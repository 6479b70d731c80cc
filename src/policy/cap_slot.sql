-- Caps, and values of the attribute that one limits by itself, that have no slot yet.
WITH cap AS MATERIALIZED (
  SELECT c, i.number, decide.cap_identity(c) AS identity, decide.cap_definition(c) AS definition,
         GREATEST(EXTRACT(epoch FROM c.hold) * 1000000 / 8, 1)::bigint AS cell_us
    FROM decide.cap AS c JOIN decide.identity AS i ON i.kind = 'cap' AND i.id = c.id
), missing AS (
  SELECT (p.c).cap, p.number, p.identity, p.definition, p.cell_us, v.value,
         pg_catalog.row_number() OVER (ORDER BY (p.c).cap COLLATE "C", v.value COLLATE "C") AS place
    FROM cap AS p CROSS JOIN LATERAL decide.cap_values(p.c) AS v (value)
    -- By the unique index, value by value: a join of its own choosing may compare all values with all slots.
    LEFT JOIN LATERAL (
      SELECT s.slot FROM decide.cap_slot AS s
       WHERE s.number = p.number AND s.identity = p.identity
         AND COALESCE(s.value, '') = COALESCE(v.value, '') AND (s.value IS NULL) = (v.value IS NULL) LIMIT 1) AS s ON true
   WHERE s.slot IS NULL
)
INSERT INTO decide.cap_slot (slot, cap, value, definition, cell_us, number, identity)
SELECT (SELECT COALESCE(pg_catalog.max(s.slot), 0) FROM decide.cap_slot AS s) + m.place,
       m.cap, m.value, m.definition, m.cell_us, m.number, m.identity
  FROM missing AS m
