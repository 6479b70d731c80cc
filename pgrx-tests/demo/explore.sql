SELECT d.action, count(*) AS shown, count(o.event_id) AS clicked, round(avg(d.probability)::numeric, 4) AS mean_probability
  FROM decide.decision AS d LEFT JOIN decide.outcome AS o ON o.decision_id = d.decision_id AND o.type = 'click'
 WHERE d.origin IS NULL GROUP BY d.action ORDER BY shown DESC LIMIT 10;
SELECT t.user_id, f.feature, f.value FROM shop.traffic AS t, decide.features(t.user_id) AS f WHERE t.reward > 0;
SELECT * FROM decide.explain('anybody', 'home', '{"position": "p2"}') ORDER BY probability DESC NULLS LAST LIMIT 10;
