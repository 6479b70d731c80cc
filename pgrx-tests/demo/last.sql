-- The last decision, with the request that it answered.
SELECT t.user_id, t.context, d.decision_id::text, d.seed, d.action, d.probability, t.context ->> 'position' AS position
  FROM decide.decision AS d JOIN shop.live AS l USING (decision_id) JOIN shop.traffic AS t USING (n)
 ORDER BY d.decided_at DESC LIMIT 1
