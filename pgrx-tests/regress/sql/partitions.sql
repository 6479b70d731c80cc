-- Days have partitions, made ahead; a day without one costs nobody anything.
CREATE FUNCTION today() RETURNS date LANGUAGE sql AS $$ SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date $$;
CREATE VIEW parts AS
  SELECT p.relname AS parent, count(*) FILTER (WHERE c.relname !~ 'default$') AS days,
         bool_or(c.relname = p.relname || '_' || to_char(today(), 'YYYYMMDD')) AS today,
         bool_or(c.relname = p.relname || '_' || to_char(today() + 7, 'YYYYMMDD')) AS in_a_week
    FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhparent JOIN pg_class AS c ON c.oid = i.inhrelid
   WHERE p.relnamespace = 'decide'::regnamespace AND p.relkind = 'p' GROUP BY 1;
SELECT * FROM parts ORDER BY 1;
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
SELECT * FROM parts ORDER BY 1;

-- partitions have what their parents have
SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('decide.trace_' || to_char(today(), 'YYYYMMDD')) AND attstorage = 'e' AND attnum > 0;
-- and ANALYZE leaves out what nobody searches by
SELECT count(*) AS columns, string_agg(DISTINCT format_type(atttypid, NULL), ', ') AS types FROM pg_attribute
 WHERE attrelid = to_regclass('decide.trace_' || to_char(today(), 'YYYYMMDD')) AND attstattarget = 0 AND attnum > 0;
SELECT replace(obj_description(to_regclass('decide.trace_' || to_char(today(), 'YYYYMMDD'))), to_char(today(), 'YYYY-MM-DD'), 'today');

-- the day's partition is missing: decisions, outcomes and events go to the default one
DO $$
BEGIN
  EXECUTE format('DROP TABLE decide.trace_%1$s, decide.outcome_%1$s, decide.event_%1$s', to_char(today(), 'YYYYMMDD'));
END
$$;
CREATE TABLE answer AS SELECT * FROM decide('ann', 'home');
SELECT track(jsonb_build_object('event_id', 'e1', 'type', 'click', 'user_id', 'ann', 'at', clock_timestamp(), 'decision_id', decision_id)) FROM answer;
SELECT (SELECT count(*) FROM decide.trace_default), (SELECT count(*) FROM decide.outcome_default), (SELECT count(*) FROM decide.event_default);
-- the job makes it and moves them; no decision is lost, and the next goes where it belongs
SELECT decide.run_job('partitions');
SELECT (SELECT count(*) FROM decide.trace_default), (SELECT count(*) FROM decide.outcome_default), (SELECT count(*) FROM decide.event_default);
SELECT (SELECT count(*) FROM decide.trace), (SELECT count(*) FROM decide.outcome), (SELECT count(*) FROM decide.event);
SELECT reason FROM decide('ann', 'home');
SELECT (SELECT count(*) FROM decide.trace_default), (SELECT count(*) FROM decide.trace);
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
-- an event that is there is a duplicate still
SELECT track(jsonb_build_object('event_id', 'e1', 'type', 'click', 'user_id', 'ann', 'at', clock_timestamp(), 'decision_id', decision_id)) FROM answer;

-- once more changes nothing
SELECT decide.run_job('partitions');
SET pg_decide.partitions_ahead = 9;
SELECT decide.run_job('partitions');
SELECT decide.run_job('partitions');
SELECT parent, days FROM parts ORDER BY 1;
-- days of one's choice; an event of old gets a day of its own
SELECT track('{"event_id": "old", "type": "click", "user_id": "ann", "at": "2020-02-29T23:59:59.999999Z"}'::jsonb);
SELECT count(*) FROM decide.event_default;
SELECT decide.make_partitions('2020-02-28', '2020-03-01');
SELECT count(*) FROM decide.event_default;
SELECT count(*) FROM decide.event_20200229;
SELECT decide.make_partitions('2020-03-01', '2020-02-28');

-- within a transaction that has decided already, and one that is rolled back
BEGIN;
SELECT reason FROM decide('ann', 'home');
SELECT decide.make_partitions('2020-05-01', '2020-05-01');
SELECT reason FROM decide('ann', 'home');
ROLLBACK;
SELECT reason FROM decide('ann', 'home');
SELECT to_regclass('decide.trace_20200501');
SELECT count(*) FROM decide.trace;

-- only so many days at once, and no endless ones
SELECT decide.make_partitions('infinity', 'infinity');
SELECT decide.make_partitions('2026-01-01', 'infinity');
SELECT decide.make_partitions('-infinity', '2026-01-01');
SELECT decide.make_partitions('2026-01-01', '2036-01-10');
SELECT decide.make_partitions('2026-01-02', '2026-01-01');

-- what was made by hand under a name of its own, and a table that has the name of a partition, keep no other day from its partition
CREATE TABLE decide.byhand PARTITION OF decide.event FOR VALUES FROM ('2020-06-02 00:00+00') TO ('2020-06-03 00:00+00');
CREATE TABLE decide.outcome_20200603 ();
SELECT decide.make_partitions('2020-06-01', '2020-06-03');
SELECT decide.make_partitions('2020-06-01', '2020-06-03');
SELECT p AS made FROM unnest('{decide.event_20200601,decide.event_20200602,decide.event_20200603,decide.outcome_20200602,decide.trace_20200603}'::text[]) AS p WHERE to_regclass(p) IS NOT NULL;
DROP TABLE decide.outcome_20200603;
SELECT decide.make_partitions('2020-06-01', '2020-06-03');

-- A day with many rows in the default partition. One that is not over stays there, the days after it get their partitions.
CREATE FUNCTION clicks(day date, n int) RETURNS bigint LANGUAGE sql AS $$
  SELECT accepted FROM track(ARRAY(SELECT jsonb_build_object('event_id', day || ' ' || i, 'type', 'click', 'user_id', i,
    'at', day::timestamp AT TIME ZONE 'UTC' + i * interval '1 ms') FROM generate_series(1, n) AS i))
$$;
CREATE FUNCTION default_rows() RETURNS TABLE (events bigint, traces bigint) LANGUAGE sql AS $$
  SELECT (SELECT count(*) FROM decide.event_default), (SELECT count(*) FROM decide.trace_default)
$$;
DO $$
DECLARE
  part regclass;
BEGIN
  FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'decide.event'::regclass AND inhrelid::regclass::text !~ 'default$' LOOP
    EXECUTE format('DROP TABLE %s', part);
  END LOOP;
END
$$;
SELECT clicks(today(), 6000), clicks(today() - 1, 6000), clicks(today() - 40, 6000), clicks(today() - 41, 3);
SELECT * FROM default_rows();
-- a publish says so, and moves nothing
\set VERBOSITY terse
SELECT decide.publish('few partitions');
\set VERBOSITY default
SELECT * FROM default_rows();
SELECT count(*) FROM pg_inherits WHERE inhparent = 'decide.event'::regclass;
-- nor does the job as long as today is there, and is written to
SELECT decide.run_job('partitions');
\set VERBOSITY terse
SELECT decide.make_partitions(today() - 1, today());
\set VERBOSITY default
SELECT * FROM default_rows();
-- once today has a partition, it moves the days that are over and have many, also an old one; the few rows of another old one stay
DELETE FROM decide.event WHERE at >= today()::timestamp AT TIME ZONE 'UTC';
SELECT decide.run_job('partitions');
SELECT decide.run_job('partitions');
SELECT * FROM default_rows();
SELECT c.relname = 'event_' || to_char(today() - 40, 'YYYYMMDD') AS old, c.relname = 'event_' || to_char(today() - 1, 'YYYYMMDD') AS yesterday, c.relname = 'event_' || to_char(today(), 'YYYYMMDD') AS today, count(*) AS partitions
  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'decide.event'::regclass GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT count(*), count(DISTINCT event_id) FROM decide.event WHERE at < (today())::timestamp AT TIME ZONE 'UTC';
-- what was a duplicate is one
SELECT clicks(today() - 40, 2);
-- a partition is plain, as the code that writes to it wants it
SELECT c.relchecks, count(*) AS partitions, count(*) FILTER (WHERE EXISTS (SELECT FROM pg_index AS x WHERE x.indrelid = c.oid AND x.indisprimary AND x.indexrelid::regclass::text = 'decide.' || c.relname || '_pkey')) AS named
  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'decide.event'::regclass GROUP BY 1;
-- rows that come and go while a day is copied
SELECT clicks(today() - 50, 6000);
SELECT decide.copy_day('event', today() - 50, 0);
DELETE FROM decide.event WHERE event_id = (today() - 50) || ' 17';
SELECT accepted FROM track(ARRAY[jsonb_build_object('event_id', 'late', 'type', 'click', 'user_id', 'late', 'at', (today() - 50)::timestamp AT TIME ZONE 'UTC')]);
SELECT decide.run_job('partitions');
SELECT count(*), count(*) FILTER (WHERE event_id = 'late') AS late, count(*) FILTER (WHERE event_id LIKE '% 17') AS gone
  FROM decide.event WHERE at >= (today() - 50)::timestamp AT TIME ZONE 'UTC' AND at < (today() - 49)::timestamp AT TIME ZONE 'UTC';
SELECT count(*) FROM pg_class WHERE relnamespace = 'decide'::regnamespace AND relname LIKE '%moving%';

-- new partitions are in the tablespace of their table
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_partitions LOCATION '';
ALTER TABLE decide.trace SET TABLESPACE regress_partitions;
SELECT decide.make_partitions('2021-01-01', '2021-01-01');
SELECT c.relname, t.spcname FROM pg_class AS c LEFT JOIN pg_tablespace AS t ON t.oid = c.reltablespace
 WHERE c.relname IN ('trace_default', 'trace_20210101', 'event_20210101') ORDER BY 1;
DROP TABLE decide.trace_20210101;
ALTER TABLE decide.trace SET TABLESPACE pg_default;
DROP TABLESPACE regress_partitions;
