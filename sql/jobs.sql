-- Jobs: what there are, how each went last time, and what they need in SQL.

CREATE FUNCTION decide.default_jobs() RETURNS TABLE (job text, every text, comment text)
LANGUAGE c IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'default_jobs_wrapper';
COMMENT ON FUNCTION decide.default_jobs() IS 'The jobs that this version has, how often each runs unless decide.job says otherwise, and what it does';

CREATE TABLE decide.job (
  job text PRIMARY KEY,
  every interval NOT NULL CHECK (every BETWEEN interval '1 second' AND interval '1 year'),
  enabled boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE decide.job IS 'Jobs of the background workers, and how often each runs; every and enabled can be updated';
COMMENT ON COLUMN decide.job.job IS 'Name, as run_job() is called with';
COMMENT ON COLUMN decide.job.every IS 'Time from the start of one run to the next';
COMMENT ON COLUMN decide.job.enabled IS 'Whether workers run it; run_job() does in any case';
INSERT INTO decide.job (job, every)
SELECT d.job, d.every::pg_catalog.interval FROM decide.default_jobs() AS d;

-- A dump has these rows, and CREATE EXTENSION makes them: what comes later is what holds.
CREATE FUNCTION decide.put_job() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE decide.job AS j SET every = NEW.every, enabled = NEW.enabled WHERE j.job = NEW.job;
  RETURN CASE WHEN NOT FOUND THEN NEW END;
END
$$;
COMMENT ON FUNCTION decide.put_job() IS 'Replaces the row of a job by the one that is inserted';
CREATE TRIGGER put_job BEFORE INSERT ON decide.job FOR EACH ROW EXECUTE FUNCTION decide.put_job();
-- Also where rows come by logical replication: a subscriber has made them as well.
ALTER TABLE decide.job ENABLE ALWAYS TRIGGER put_job;
COMMENT ON TRIGGER put_job ON decide.job IS 'So that a dump can be restored, and replicated rows taken in';

CREATE TABLE decide.job_run (
  job text PRIMARY KEY,
  started_at timestamptz NOT NULL,
  duration interval NOT NULL,
  rows bigint NOT NULL,
  succeeded_at timestamptz,
  error text,
  failures integer NOT NULL DEFAULT 0,
  users_left bigint NOT NULL DEFAULT 0,
  next_run timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE decide.job_run IS 'How each job went last time, in this database; not dumped';
COMMENT ON COLUMN decide.job_run.job IS 'Job';
COMMENT ON COLUMN decide.job_run.started_at IS 'When its last run began';
COMMENT ON COLUMN decide.job_run.duration IS 'How long that took';
COMMENT ON COLUMN decide.job_run.rows IS 'How many rows or partitions that run processed';
COMMENT ON COLUMN decide.job_run.succeeded_at IS 'When the last run that did not fail began';
COMMENT ON COLUMN decide.job_run.error IS
  'Why the last run failed: SQLSTATE and its name (null: it did not); the server''s log and decide.run_job tell the message';
COMMENT ON COLUMN decide.job_run.failures IS 'Runs that have failed since the last one that did not';
COMMENT ON COLUMN decide.job_run.users_left IS 'How many users it skipped, since other transactions had locked their rows; the next run tries them again';
COMMENT ON COLUMN decide.job_run.next_run IS 'When it is due again: later each time while it fails, soon where other transactions hold it up';

-- A restore makes partitions and loads rows by and by: a job that ran meanwhile would make the same ones. pg_dump has the
-- session that creates the extension SET row_security = off; until that session ends, no worker does a job here.
CREATE TABLE decide.restoring (
  pid int NOT NULL,
  backend_start timestamptz NOT NULL,
  PRIMARY KEY (pid, backend_start)
);
COMMENT ON TABLE decide.restoring IS 'The session that has created the extension, if it was restoring a dump: workers wait until it ends; not dumped';
COMMENT ON COLUMN decide.restoring.pid IS 'Its process';
COMMENT ON COLUMN decide.restoring.backend_start IS 'When that began';
INSERT INTO decide.restoring (pid, backend_start)
SELECT a.pid, a.backend_start FROM pg_catalog.pg_stat_activity AS a
 WHERE a.pid = pg_catalog.pg_backend_pid() AND pg_catalog.current_setting('row_security') = 'off';

-- A run notes when the next one is due. A new interval counts from the start of the last run, at once.
CREATE FUNCTION decide.reschedule_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE decide.job_run AS r SET next_run = r.started_at + NEW.every WHERE r.job = NEW.job;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION decide.reschedule_job() IS 'After a change of every, makes the next run of the job due by the new interval';
CREATE TRIGGER reschedule_job AFTER UPDATE OF every ON decide.job FOR EACH ROW WHEN (OLD.every IS DISTINCT FROM NEW.every)
  EXECUTE FUNCTION decide.reschedule_job();
COMMENT ON TRIGGER reschedule_job ON decide.job IS 'So that a new interval takes effect at the next visit of a worker';

CREATE VIEW decide.job_status AS
SELECT j.job, j.enabled, j.every, r.started_at AS last_run, r.duration, r.rows, r.succeeded_at, r.error,
       COALESCE(r.failures, 0) AS failures, COALESCE(r.users_left, 0) AS users_left,
       CASE WHEN j.enabled THEN
         COALESCE(r.next_run, GREATEST(pg_catalog.pg_postmaster_start_time(), (SELECT p.at FROM decide.publication AS p ORDER BY p.publication LIMIT 1)), pg_catalog.now())
       END AS next_run
  FROM decide.job AS j LEFT JOIN decide.job_run AS r ON r.job = j.job;
COMMENT ON VIEW decide.job_status IS 'Jobs: when each ran last, how it went, and when it is due';
COMMENT ON COLUMN decide.job_status.job IS 'Job';
COMMENT ON COLUMN decide.job_status.enabled IS 'Whether workers run it';
COMMENT ON COLUMN decide.job_status.every IS 'Time from the start of one run to the next';
COMMENT ON COLUMN decide.job_status.last_run IS 'When its last run began (null: never)';
COMMENT ON COLUMN decide.job_status.duration IS 'How long that took';
COMMENT ON COLUMN decide.job_status.rows IS 'How many rows or partitions that run processed';
COMMENT ON COLUMN decide.job_status.succeeded_at IS 'When the last run that did not fail began';
COMMENT ON COLUMN decide.job_status.error IS 'Why the last run failed (null: it did not)';
COMMENT ON COLUMN decide.job_status.failures IS 'Runs that have failed since the last one that did not';
COMMENT ON COLUMN decide.job_status.users_left IS 'How many users it skipped, since other transactions had locked their rows; the next run tries them again';
COMMENT ON COLUMN decide.job_status.next_run IS 'When it is due; workers run it at their next visit after that (null: disabled)';

-- Retention. Dropping a partition shuts out all who read or write the table, so it waits for them
-- only a moment; the next run tries again.
CREATE FUNCTION decide.expire(parent text, key text, before timestamptz) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET pg_decide.erasing = on
SET lock_timeout = '200ms'
SET DateStyle = 'ISO' SET TimeZone = 'UTC'
AS $$
DECLARE
  old regclass;
  gone bigint;
BEGIN
  SELECT c.oid INTO old FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
   WHERE i.inhparent = format('decide.%I', parent)::regclass
     AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz <= before
   ORDER BY c.relname LIMIT 1;
  IF FOUND THEN
    EXECUTE format('DROP TABLE %s', old);
    RETURN 1;
  END IF;
  EXECUTE format('DELETE FROM decide.%1$I WHERE ctid = ANY (ARRAY(SELECT ctid FROM decide.%1$I WHERE %2$I < $1 LIMIT 10000 FOR UPDATE SKIP LOCKED))',
                 parent || '_default', key) USING before;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END
$$;
COMMENT ON FUNCTION decide.expire(text, text, timestamptz) IS
  'Drops one partition whose whole day is older, or, if there is none, deletes some rows of the default partition; answers how many, 0 if nothing is left';


CREATE TABLE decide.event_expiry (
  event_type text PRIMARY KEY,
  upto timestamptz NOT NULL
);
COMMENT ON TABLE decide.event_expiry IS 'Up to which day the expired events of each type are deleted';
COMMENT ON COLUMN decide.event_expiry.event_type IS 'Type';
COMMENT ON COLUMN decide.event_expiry.upto IS 'End of the last day that was looked through';

CREATE FUNCTION decide.expire_type(event_type text, before timestamptz) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
SET DateStyle = 'ISO' SET TimeZone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
  day record;
  gone bigint;
BEGIN
  -- Where events are kept for longer than before, earlier days may have taken in others since.
  DELETE FROM decide.event_expiry AS e WHERE e.event_type = expire_type.event_type AND e.upto > before;
  -- The oldest day that was not looked through: later ones can wait, earlier ones take in nothing any more.
  SELECT p.part, p.upper INTO day
    FROM (SELECT c.oid::regclass AS part,
                 substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']+)''\)')::timestamptz AS lower,
                 substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz AS upper
            FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
           WHERE i.inhparent = 'decide.event'::regclass) AS p
   WHERE p.lower < before
     AND p.upper > COALESCE((SELECT e.upto FROM decide.event_expiry AS e WHERE e.event_type = expire_type.event_type), '-infinity')
   ORDER BY p.upper LIMIT 1;
  IF FOUND THEN
    EXECUTE format('DELETE FROM %s WHERE type = $1 AND at < $2', day.part) USING event_type, before;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF day.upper <= before THEN
      INSERT INTO decide.event_expiry AS e (event_type, upto) VALUES (expire_type.event_type, day.upper)
      ON CONFLICT (event_type) DO UPDATE SET upto = excluded.upto;
      RETURN gone + 1;
    END IF;
  END IF;
  DELETE FROM decide.event_default WHERE type = expire_type.event_type AND at < before;
  RETURN 0;
END
$$;
COMMENT ON FUNCTION decide.expire_type(text, timestamptz) IS
  'Deletes the expired events of one type from one day; answers 0 if no whole day is left to delete';
