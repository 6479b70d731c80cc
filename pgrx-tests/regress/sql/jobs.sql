-- Jobs: each runs by run_job, tells how it went, and takes what it is given to do.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
INSERT INTO decide.feature (feature, event_type, aggregate, value_path) VALUES ('spent', 'order', 'decayed_sum', 'value');
CREATE VIEW status AS
  SELECT job, enabled, every, last_run IS NOT NULL AS ran, duration >= '0' AS timed, rows, succeeded_at = last_run AS well, error, failures,
         CASE WHEN next_run > '-infinity' THEN next_run - last_run END AS next FROM decide.job_status ORDER BY job;
SELECT * FROM status;
SELECT decide.run_job(NULL);
SELECT decide.run_job('dancing');

-- before the first publish there is no key for pseudonyms, so nothing comes into the inbox but what is about nobody
INSERT INTO decide.event_inbox (event) VALUES ('{"event_id": "1", "type": "order", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}');
SELECT decide.run_job('fold');
SELECT decide.publish();

-- the inbox: the person gives way to the pseudonym on the way in, and what is no object leaves nothing
COPY decide.event_inbox (event) FROM stdin;
{"event_id": "1", "type": "order", "user_id": "ann", "at": "2026-01-01T00:00:00Z", "value": 2}
{"event_id": "1", "type": "order", "user_id": "ann", "at": "2026-01-01T00:00:00Z", "value": 2}
{"event_id": "2", "type": "order", "user_id": "ann", "at": "2026-01-02T00:00:00Z", "value": 3}
{"event_id": 3, "type": "order", "user_id": 7.0, "at": "2026-01-02T00:00:00Z", "value": 3, "user_key": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}
{"event_id": "4", "type": "order", "user_id": 7.5, "at": "2026-01-02T00:00:00Z"}
{"event_id": "5", "type": "order", "user_id": null, "at": "2026-01-02T00:00:00Z"}
{"event_id": "6", "type": "order", "at": "2026-01-02T00:00:00Z"}
{"event_id": "7", "type": 7, "user_id": "ann", "at": "2026-01-02T00:00:00Z"}
{"event_id": "8", "type": "order", "user_id": "ann", "at": "2026-01-02T00:00:00Z", "value": "much"}
ann@example.com
["ann"]

\N
{"event_id": "\\u0000", "user_id": "ann"}
\.
SELECT CASE user_key WHEN decide.user_key('ann') THEN 'ann' WHEN decide.user_key('7') THEN '7' END AS who, user_key IS NULL AS nobody, event FROM decide.event_inbox ORDER BY received_at;
SELECT decide.run_job('fold');
SELECT count(*) FROM decide.event_inbox;
SELECT event_id, user_key = decide.user_key(CASE event_id WHEN '3' THEN '7' ELSE 'ann' END) AS right_user, value FROM decide.event ORDER BY 1;
SELECT value FROM decide.features('ann');
SELECT value FROM decide.features(7);
SELECT reasons, user_key = decide.user_key('ann') AS ann, payload FROM decide.quarantine ORDER BY reasons, payload::text;
SELECT decide.run_job('fold');

-- one event that cannot be stored keeps no other out, and a fault that is not its own is raised
CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.event_id = 'bad' THEN RAISE 'no' USING ERRCODE = 'check_violation'; END IF;
  IF NEW.event_id = 'worse' THEN RAISE 'the disk is full' USING ERRCODE = 'disk_full'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stumble BEFORE INSERT ON decide.event_default FOR EACH ROW EXECUTE FUNCTION stumble();
INSERT INTO decide.event_inbox (event)
  SELECT jsonb_build_object('event_id', e, 'type', 'order', 'user_id', 'bob', 'at', '2026-01-01T00:00:00Z', 'value', 1)::text FROM unnest(ARRAY['good', 'bad', 'better']) AS e;
SELECT decide.run_job('fold');
SELECT reasons, user_key = decide.user_key('bob') AS bob, payload FROM decide.quarantine WHERE reasons[1] LIKE 'failed%';
SELECT value FROM decide.features('bob');
INSERT INTO decide.event_inbox (event)
  SELECT jsonb_build_object('event_id', e, 'type', 'order', 'user_id', 'bob', 'at', '2026-01-01T00:00:00Z', 'value', 1)::text FROM unnest(ARRAY['best', 'worse']) AS e;
SELECT decide.run_job('fold');
SELECT count(*) FROM decide.event_inbox;
DROP TRIGGER stumble ON decide.event_default;
SELECT decide.run_job('fold');
SELECT value FROM decide.features('bob');
-- many: several batches, each event once
INSERT INTO decide.event_inbox (event)
  SELECT jsonb_build_object('event_id', i, 'type', 'order', 'user_id', i % 10, 'at', '2026-01-01T00:00:00Z', 'value', 1)::text FROM generate_series(1, 2500) AS i;
SELECT decide.run_job('fold');
SELECT sum(f.value) FROM generate_series(0, 9) AS i, decide.features(i) AS f;

-- retention is off until somebody sets it; it takes whole days that are older, and nothing that is younger
CREATE FUNCTION day(ago int) RETURNS text LANGUAGE sql AS $$ SELECT to_char((clock_timestamp() AT TIME ZONE 'UTC')::date - ago, 'YYYYMMDD') $$;
CREATE VIEW days AS
  SELECT p.relname AS parent, (clock_timestamp() AT TIME ZONE 'UTC')::date - to_date(right(c.relname, 8), 'YYYYMMDD') AS days_ago
    FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhparent JOIN pg_class AS c ON c.oid = i.inhrelid
   WHERE p.relnamespace = 'decide'::regnamespace AND p.relkind = 'p' AND c.relname !~ 'default$' AND to_date(right(c.relname, 8), 'YYYYMMDD') < (clock_timestamp() AT TIME ZONE 'UTC')::date;
SELECT count(*) FROM decide.make_partitions((clock_timestamp() AT TIME ZONE 'UTC')::date - 5, (clock_timestamp() AT TIME ZONE 'UTC')::date);
CREATE TABLE log AS
  SELECT i AS user_id, 'home' AS surface, clock_timestamp() - i * interval '1 day' AS decided_at, 'nothing' AS action, 1.0 AS propensity, 1 AS reward FROM generate_series(1, 9) AS i;
SELECT decide.import_decisions('log');
-- the days 6 to 9 have no partition but what the import made; put their rows into the default ones
DO $$ DECLARE ago int; parent text; BEGIN
  FOR ago IN 6..9 LOOP FOREACH parent IN ARRAY ARRAY['trace', 'outcome'] LOOP
    EXECUTE format('ALTER TABLE decide.%1$s DETACH PARTITION decide.%1$s_%2$s', parent, day(ago));
    EXECUTE format('INSERT INTO decide.%1$s SELECT * FROM decide.%1$s_%2$s', parent, day(ago));
    EXECUTE format('DROP TABLE decide.%1$s_%2$s', parent, day(ago));
  END LOOP; END LOOP;
END $$;
SELECT decide.run_job('retention');
SELECT parent, array_agg(days_ago ORDER BY days_ago) FROM days GROUP BY 1 ORDER BY 1;
SELECT (SELECT count(*) FROM decide.trace), (SELECT count(*) FROM decide.outcome), (SELECT count(*) FROM decide.event);
SET pg_decide.trace_retention = 7;
SELECT decide.run_job('retention');
SELECT (SELECT count(*) FROM decide.trace), (SELECT count(*) FROM decide.outcome), (SELECT count(*) FROM decide.event);
SELECT min(decided_at) > clock_timestamp() - interval '7 days' AS young FROM decide.trace;
SET pg_decide.trace_retention = 3;
SELECT decide.run_job('retention');
SELECT parent, array_agg(days_ago ORDER BY days_ago) FROM days GROUP BY 1 ORDER BY 1;
SELECT (SELECT count(*) FROM decide.trace), (SELECT count(*) FROM decide.outcome), (SELECT count(*) FROM decide.event);
SET pg_decide.event_retention = 2;
SELECT decide.run_job('retention');
SELECT parent, array_agg(days_ago ORDER BY days_ago) FROM days GROUP BY 1 ORDER BY 1;
SELECT (SELECT count(*) FROM decide.trace), (SELECT count(*) FROM decide.event);
DELETE FROM decide.trace;
RESET pg_decide.trace_retention;
RESET pg_decide.event_retention;

-- the quarantine
SELECT count(*) FROM decide.quarantine;
SELECT decide.run_job('quarantine');
UPDATE decide.quarantine SET received_at = received_at - interval '31 days' WHERE reasons[1] LIKE 'not_json%';
SET pg_decide.quarantine_retention = 0;
SELECT decide.run_job('quarantine');
RESET pg_decide.quarantine_retention;
SELECT decide.run_job('quarantine');
SELECT count(*) FROM decide.quarantine;
SELECT decide.run_job('partitions');

-- what is told of it; a run that failed was rolled back with its transaction
SELECT * FROM status;
-- an operator sets how often; a dump's rows take the place of those that are there
CREATE ROLE regress_jobs_operate;
CREATE ROLE regress_jobs_serve;
SELECT decide.grant('regress_jobs_operate', 'operate'), decide.grant('regress_jobs_serve', 'serve');
SET ROLE regress_jobs_operate;
UPDATE decide.job SET every = '2 minutes', enabled = false WHERE job = 'fold';
-- a new interval counts from the start of the last run, and at once
UPDATE decide.job SET every = '2 hours' WHERE job = 'quarantine';
UPDATE decide.job SET every = '3 seconds' WHERE job = 'partitions';
UPDATE decide.job SET every = every WHERE job = 'retention';
SELECT job, every, next_run - last_run AS next FROM decide.job_status WHERE job IN ('partitions', 'quarantine', 'retention', 'fold') ORDER BY 1;
UPDATE decide.job SET every = '1 hour' WHERE job IN ('partitions', 'quarantine');
UPDATE decide.job SET every = '0';
UPDATE decide.job SET job = 'x';
DELETE FROM decide.job;
INSERT INTO decide.job VALUES ('x', '1 hour');
UPDATE decide.job_run SET failures = 0;
SELECT decide.run_job('fold');
SELECT job, enabled, every FROM decide.job_status ORDER BY job;
RESET ROLE;
-- an application fills the inbox, and neither reads it nor says whose an event is
SET ROLE regress_jobs_serve;
INSERT INTO decide.event_inbox (event) VALUES ('{"event_id": "s", "type": "order", "user_id": "eve", "at": "2026-01-01T00:00:00Z", "value": 1}');
INSERT INTO decide.event_inbox (event, user_key) VALUES ('{}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
INSERT INTO decide.event_inbox (event, received_at) VALUES ('{}', now());
SELECT * FROM decide.event_inbox;
SELECT * FROM decide.job_status;
SELECT decide.run_job('fold');
RESET ROLE;
SELECT decide.run_job('fold');
SELECT value FROM decide.features('eve');
INSERT INTO decide.job (job, every) VALUES ('fold', '3 seconds');
SELECT job, enabled, every FROM decide.job ORDER BY 1;
-- a run that fails in its second batch leaves nothing behind, and the next one begins with the first again
CREATE TRIGGER stumble BEFORE INSERT ON decide.event_default FOR EACH ROW EXECUTE FUNCTION stumble();
INSERT INTO decide.event_inbox (event)
  SELECT jsonb_build_object('event_id', CASE i WHEN 1500 THEN 'worse' ELSE i::text END, 'type', 'order', 'user_id', 'joe', 'at', '2026-01-01T00:00:00Z', 'value', 1)::text FROM generate_series(1, 2500) AS i;
SELECT decide.run_job('fold');
DROP TRIGGER stumble ON decide.event_default;
SELECT decide.run_job('fold');
SELECT value FROM decide.features('joe');
-- where nothing can be written
BEGIN READ ONLY;
SELECT decide.run_job('quarantine');
ROLLBACK;
BEGIN READ ONLY;
SELECT decide.run_job('retention');
ROLLBACK;
BEGIN READ ONLY;
SELECT decide.publish();
ROLLBACK;
DROP OWNED BY regress_jobs_operate, regress_jobs_serve;
DROP ROLE regress_jobs_operate, regress_jobs_serve;
