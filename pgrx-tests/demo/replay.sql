-- Every live decision, computed anew.
SELECT count(*), count(*) FILTER (WHERE r.agrees)
  FROM decide.trace AS t CROSS JOIN LATERAL decide.replay(t.decision_id) AS r WHERE t.origin IS NULL
