-- Types of events that come from somewhere, as far as a few look-ups tell.
SELECT t.type FROM decide.tracked_tables AS t
 UNION
SELECT pg_catalog.unnest(s.most_common_vals::text::text[]) FROM pg_catalog.pg_stats AS s
 WHERE s.schemaname = 'decide' AND s.tablename ~ '^event_' AND s.attname = 'type'
 UNION
SELECT r.type FROM (SELECT e.type FROM decide.event AS e WHERE e.at > pg_catalog.now() - interval '2 days' LIMIT 10000) AS r
