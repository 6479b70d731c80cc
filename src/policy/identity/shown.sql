-- Slots of caps show the names that their caps, and what these limit, have now.
WITH cap AS MATERIALIZED (
  SELECT n.number, c.cap, decide.cap_identity(c) AS identity, decide.cap_definition(c) AS definition
    FROM decide.cap AS c JOIN decide.named AS n ON n.kind = 'cap' AND n.id = c.id
)
UPDATE decide.cap_slot AS s
   SET cap = c.cap, definition = CASE WHEN s.identity = c.identity THEN c.definition ELSE s.definition END
  FROM cap AS c
 WHERE s.number = c.number
   AND (s.cap <> c.cap OR s.identity = c.identity AND s.definition <> c.definition)
