-- What was reserved of cap $1 within a cell and events of type $6 have confirmed: row of the counter, and amount. An
-- event that names no action confirms the whole slate.
SELECT h.stripe, pg_catalog.sum(h.amount)::pg_catalog.int8
  FROM decide.trace AS t
 CROSS JOIN LATERAL (
         SELECT t.holds[i]::pg_catalog.int4 AS place, t.holds[i + 2]::pg_catalog.int4 AS stripe, t.holds[i + 3] AS amount
           FROM pg_catalog.generate_series(1, pg_catalog.cardinality(t.holds), 4) AS i
          WHERE t.holds[i + 1] = $1 AND t.holds[i + 2] >= 0) AS h
 WHERE t.decided_at >= $2 AND t.decided_at < $3 AND t.decision_id >= $4 AND t.decision_id < $5 AND t.holds IS NOT NULL
   AND EXISTS (SELECT 1 FROM decide.outcome AS o
                WHERE o.decision_id = t.decision_id AND o.user_key = t.user_key AND o.decided_at = t.decided_at
                  AND o.type = $6
                  AND (o.action IS NULL OR o.number = t.actions[h.place]))
 GROUP BY h.stripe
