-- Events are kept as long as the contract of their type says, and partitions as long as any of them.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
INSERT INTO decide.event_type (event_type, lateness, dedup_horizon, retention) VALUES
  ('click', '12 hours', '12 hours', '2 days'), ('order', '1 day', '1 day', '10 days');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
SELECT decide.make_partitions((now() AT TIME ZONE 'UTC')::date - 15, (now() AT TIME ZONE 'UTC')::date) > 0 AS made;
INSERT INTO decide.event (user_key, event_id, at, received_at, type)
SELECT decide.user_key(1), type || days, now() - days * interval '1 day' - interval '1 minute', now(), type
  FROM generate_series(0, 14) AS days, (VALUES ('click'), ('order')) AS t (type);
INSERT INTO decide.event (user_key, event_id, at, received_at, type)
SELECT decide.user_key(1), type || 'old', now() - interval '40 days', now(), type FROM (VALUES ('click'), ('order')) AS t (type);
SELECT decide.run_job('retention') LIKE '% partitions and rows without one dropped' AS ran;
SELECT type, array_agg(substring(event_id FROM 6) ORDER BY at DESC) AS days FROM decide.event GROUP BY type ORDER BY type;
SELECT count(*) FROM pg_inherits WHERE inhparent = 'decide.event'::regclass AND inhrelid::regclass::text < 'decide.event_' || to_char((now() AT TIME ZONE 'UTC')::date - 11, 'YYYYMMDD');
-- what is young enough stays, however often the job runs; what was looked through is not looked through again
SELECT decide.run_job('retention');
SELECT type, count(*) FROM decide.event GROUP BY type ORDER BY type;
SELECT event_type, now() - upto BETWEEN '2 days' AND '3 days' AS upto FROM decide.event_expiry WHERE event_type = 'click';
-- and an event whose first copy may have expired is not taken in again
SELECT track(jsonb_build_object('event_id', 'click9', 'type', 'click', 'user_id', '1', 'at', now() - interval '9 days'));
-- where events are kept for longer than before, days that were looked through take in others, which expire as well
UPDATE decide.event_type SET lateness = '5 days', retention = '6 days' WHERE event_type = 'click';
SELECT decide.publish();
SELECT decide.run_job('retention') LIKE '% partitions and rows without one dropped' AS ran;
SELECT track(jsonb_build_object('event_id', 'late', 'type', 'click', 'user_id', '1', 'at', now() - interval '4 days'));
UPDATE decide.event_type SET lateness = '12 hours', retention = '3 days' WHERE event_type = 'click';
SELECT decide.publish();
SELECT decide.run_job('retention') LIKE '% partitions and rows without one dropped' AS ran;
SELECT event_id FROM decide.event WHERE type = 'click' AND at < now() - interval '3 days';
-- without a retention for one type, partitions stay
UPDATE decide.event_type SET retention = NULL WHERE event_type = 'order';
SELECT decide.publish();
SELECT decide.run_job('retention');
SELECT count(*) FROM decide.event WHERE type = 'order';
-- a type that is not taken in any more keeps its retention: what it has expires no sooner
UPDATE decide.event_type SET status = 'retired', retention = '30 days' WHERE event_type = 'order';
DELETE FROM decide.feature WHERE event_type = 'order';
SELECT decide.publish();
SELECT count(*) AS before FROM decide.event WHERE type = 'order' \gset
SELECT decide.run_job('retention');
SELECT count(*) = :before AND :before > 0 AS stay FROM decide.event WHERE type = 'order';
