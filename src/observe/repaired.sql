SELECT q.user_key, q.received_at,
       COALESCE(q.payload, '{}') || $2
       || CASE WHEN pg_catalog.jsonb_typeof(q.payload -> 'attributes') = 'object'
                AND pg_catalog.jsonb_typeof($2 -> 'attributes') = 'object'
               THEN pg_catalog.jsonb_build_object('attributes', (q.payload -> 'attributes') || ($2 -> 'attributes'))
               ELSE '{}' END,
       'reserved: event_id' = ANY (q.reasons),
       ARRAY(SELECT t.name FROM pg_catalog.unnest(q.treated) AS t (name) WHERE NOT COALESCE(($2 -> 'attributes') ? t.name, false))
  FROM decide.quarantine AS q
 WHERE q.quarantine_id = $1
   FOR UPDATE
