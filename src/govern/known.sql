-- A row if something of a kind ($1) has, or in a bundle ever had, that name ($2).
SELECT 1 FROM decide.action AS a WHERE $1 = 'action' AND a.action = $2
 UNION ALL
SELECT 1 FROM decide.action_number AS n WHERE $1 = 'action' AND n.action = $2
 UNION ALL
SELECT 1 FROM decide.campaign AS c WHERE $1 = 'campaign' AND c.campaign = $2
 UNION ALL
SELECT 1 FROM decide.bundle AS b
 WHERE $1 = 'campaign' AND b.content -> 'campaigns' @> pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('campaign', $2))
 UNION ALL
SELECT 1 FROM decide.feature AS f WHERE $1 = 'feature' AND f.feature = $2
 UNION ALL
SELECT 1 FROM decide.feature_slot AS l WHERE $1 = 'feature' AND l.feature = $2
