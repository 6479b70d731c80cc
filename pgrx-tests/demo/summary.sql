-- The size of what is there now.
SELECT (SELECT count(*) FROM decide.trace WHERE origin IS NULL) AS live,
       (SELECT count(*) FROM decide.trace WHERE origin IS NOT NULL) AS imported,
       (SELECT count(*) FROM decide.trace WHERE origin IS NULL AND reason IS NOT NULL) AS fallbacks,
       (SELECT count(*) FROM decide.event) AS events,
       (SELECT count(*) FROM decide.event WHERE type = 'click' AND decision_id IS NULL) AS past_clicks,
       (SELECT count(*) FROM decide.event WHERE type = 'click' AND decision_id IS NOT NULL) AS live_clicks,
       (SELECT count(DISTINCT user_key) FROM decide.trace WHERE origin IS NULL) AS users,
       (SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = 'decide.trace'::regclass) AS trace_bytes,
       pg_database_size(current_database()) AS bytes
