-- What a monitoring system asks every few seconds: one row per measure, without reading a large table.

-- What pg_stat_activity hides from roles without pg_monitor.
CREATE FUNCTION decide.oldest_snapshot(OUT transactions bigint, OUT holder text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT age(h.xmin)::bigint, h.holder
    FROM (SELECT a.backend_xmin AS xmin, format('process %s of %s, %s, since %s UTC', a.pid, COALESCE(a.usename, 'the server'),
                        COALESCE(a.state, a.backend_type), to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')) AS holder
            FROM pg_stat_activity AS a WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid()
             AND (a.datid IS NULL OR a.datid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
           UNION ALL
          SELECT p.transaction, format('prepared transaction %s of %s', p.gid, p.owner) FROM pg_prepared_xacts AS p
           WHERE p.database = current_database()
           UNION ALL
          SELECT s.xmin, format('replication slot %s', s.slot_name) FROM pg_replication_slots AS s WHERE s.xmin IS NOT NULL) AS h
   ORDER BY age(h.xmin) DESC LIMIT 1
$$;
COMMENT ON FUNCTION decide.oldest_snapshot() IS
  'The oldest snapshot that keeps VACUUM from removing rows: how many transactions old it is, and who holds it';

CREATE FUNCTION decide.image_files() RETURNS TABLE (image text, bytes bigint, made_at timestamptz, mapped boolean)
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'image_files_wrapper';
COMMENT ON FUNCTION decide.image_files() IS 'The files of images of this database, and whether this session has mapped them';

CREATE VIEW decide.image AS
SELECT f.image, pg_catalog.substring(f.image, '^bundle[.]([0-9]{1,18})[.]')::bigint AS bundle,
       CASE WHEN f.image LIKE '%.models.%' THEN 'models' ELSE 'bundle' END AS kind, f.bytes, f.made_at, f.mapped
  FROM decide.image_files() AS f;
COMMENT ON VIEW decide.image IS 'Files of what was compiled of bundles, which sessions map: pg_stat_tmp/pg_decide.*';
COMMENT ON COLUMN decide.image.image IS 'Name: that of the file, behind the number of the database';
COMMENT ON COLUMN decide.image.bundle IS 'Bundle';
COMMENT ON COLUMN decide.image.kind IS 'bundle: what was compiled of it; models: its models, at one snapshot and with what is killed';
COMMENT ON COLUMN decide.image.bytes IS 'Size';
COMMENT ON COLUMN decide.image.made_at IS 'When it was written';
COMMENT ON COLUMN decide.image.mapped IS 'Whether this session has mapped it';

-- Rows are counted up to a limit. Of the default partitions those in the first 1,000 pages: a table from which many rows
-- have gone may be long and empty.
CREATE VIEW decide.health AS
WITH waiting AS MATERIALIZED (
  SELECT i.received_at FROM decide.event_inbox AS i ORDER BY i.received_at LIMIT 100000
), quarantined AS MATERIALIZED (
  SELECT q.received_at FROM decide.quarantine AS q ORDER BY q.received_at DESC LIMIT 100000
), queued AS MATERIALIZED (
  SELECT o.received_at FROM decide.outcome_queue AS o LIMIT 100000
), partition AS MATERIALIZED (
  SELECT p.relname AS parent, pg_catalog.to_date(pg_catalog.right(c.relname::text, 8), 'YYYYMMDD') AS day
    FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
   WHERE i.inhparent IN ('decide.trace'::pg_catalog.regclass, 'decide.outcome'::pg_catalog.regclass, 'decide.event'::pg_catalog.regclass)
     AND c.relname ~ '_[0-9]{8}$'
), snapshot AS MATERIALIZED (
  SELECT o.transactions, o.holder FROM decide.oldest_snapshot() AS o
), job AS MATERIALIZED (
  SELECT s.job, s.failures, s.error, s.enabled, s.next_run FROM decide.job_status AS s
)
SELECT m.measure, m.value, m.detail, m.description
  FROM (VALUES
    ('inbox_events', (SELECT pg_catalog.count(*) FROM waiting)::double precision, NULL::text,
     'Events in decide.event_inbox that wait for the job fold; at most 100,000 are counted'),
    ('inbox_age_seconds', (SELECT COALESCE(EXTRACT(epoch FROM pg_catalog.now() - pg_catalog.min(w.received_at)), 0) FROM waiting AS w), NULL,
     'Age of the oldest of them'),
    ('quarantine_events', (SELECT pg_catalog.count(*) FROM quarantined), NULL,
     'Events in decide.quarantine; at most 100,000 are counted'),
    ('quarantine_events_last_hour', (SELECT pg_catalog.count(*) FROM quarantined AS q WHERE q.received_at > pg_catalog.now() - interval '1 hour'), NULL,
     'Those of the last hour, among these'),
    ('outcome_queue_events', (SELECT pg_catalog.count(*) FROM queued), NULL,
     'Events in decide.outcome_queue that wait for the job attribution; at most 100,000 are counted'),
    ('outcome_queue_age_seconds', (SELECT COALESCE(EXTRACT(epoch FROM pg_catalog.now() - pg_catalog.min(q.received_at)), 0) FROM queued AS q), NULL,
     'Age of the oldest of them'),
    ('default_rows_trace', (SELECT pg_catalog.count(*) FROM decide.trace_default AS t WHERE t.ctid < '(1000,0)'), NULL,
     'Traces without a partition of their day, in the first 1,000 pages: 0 at best'),
    ('default_rows_outcome', (SELECT pg_catalog.count(*) FROM decide.outcome_default AS o WHERE o.ctid < '(1000,0)'), NULL,
     'Outcomes without a partition of their day, likewise'),
    ('default_rows_event', (SELECT pg_catalog.count(*) FROM decide.event_default AS e WHERE e.ctid < '(1000,0)'), NULL,
     'Events without a partition of their day, likewise'),
    ('partitions_ahead_days', (SELECT pg_catalog.min(l.ahead) FROM (
        SELECT COALESCE((SELECT pg_catalog.max(p.day) FROM partition AS p WHERE p.parent = n.parent) - (pg_catalog.now() AT TIME ZONE 'UTC')::date, -1) AS ahead
          FROM (VALUES ('trace'), ('outcome'), ('event')) AS n (parent)) AS l), NULL,
     'Days after today (UTC) that have partitions; below 0: today has none'),
    ('jobs_failing', (SELECT pg_catalog.count(*) FROM job AS j WHERE j.enabled AND j.failures > 0),
     (SELECT pg_catalog.string_agg(j.job || ': ' || COALESCE(j.error, '?'), ', ' ORDER BY j.job) FROM job AS j WHERE j.enabled AND j.failures > 0),
     'Jobs whose last run has failed'),
    ('jobs_overdue_seconds', (SELECT COALESCE(pg_catalog.max(GREATEST(EXTRACT(epoch FROM pg_catalog.now() - j.next_run), 0)), 0) FROM job AS j WHERE j.enabled),
     (SELECT j.job FROM job AS j WHERE j.enabled AND j.next_run < pg_catalog.now() ORDER BY j.next_run LIMIT 1),
     'How long ago the job should have run that is due first; one that never ran is due since the first publish, or the server''s start if that was later'),
    ('breakers_open', (SELECT pg_catalog.count(*) FROM decide.breaker AS b WHERE b.openings > 0),
     (SELECT pg_catalog.string_agg(pg_catalog.left(b.rule, 100), '; ' ORDER BY b.opened_at) FROM decide.breaker AS b WHERE b.openings > 0),
     'Rules that all sessions leave out'),
    ('bundle', (SELECT p.bundle FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1), NULL,
     'Number of the bundle in force (null: nothing was published)'),
    ('bundle_age_seconds', (SELECT EXTRACT(epoch FROM pg_catalog.now() - p.at) FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1), NULL,
     'How long ago it came into force'),
    ('snapshot_age_seconds', (SELECT EXTRACT(epoch FROM pg_catalog.now() - s.taken_at) FROM decide.entity_snapshot AS s ORDER BY s.taken_at DESC LIMIT 1), NULL,
     'Age of the newest snapshot of the features of actions and surfaces (null: there is none)'),
    ('surfaces_not_normal', (SELECT pg_catalog.count(*) FROM decide.mode_in_force AS m WHERE m.mode <> 'normal' AND m.surface IS NOT NULL),
     (SELECT pg_catalog.string_agg(m.surface || ': ' || m.mode, ', ' ORDER BY m.surface) FROM decide.mode_in_force AS m WHERE m.mode <> 'normal' AND m.surface IS NOT NULL),
     'Surfaces that are cautious or paused'),
    ('xmin_age_transactions', (SELECT s.transactions FROM snapshot AS s), (SELECT s.holder FROM snapshot AS s),
     'Age of the oldest snapshot that keeps VACUUM from removing rows, and who holds it (null: nobody)'),
    ('is_standby', pg_catalog.pg_is_in_recovery()::int, NULL,
     '1 on a standby, where no job runs')
  ) AS m (measure, value, detail, description);
COMMENT ON VIEW decide.health IS 'How the server is doing, one row per measure, for exporters; cheap, and the same on a standby';
COMMENT ON COLUMN decide.health.measure IS 'Name of the measure';
COMMENT ON COLUMN decide.health.value IS 'Its value now';
COMMENT ON COLUMN decide.health.detail IS 'Which one, or who (null: nothing to name)';
COMMENT ON COLUMN decide.health.description IS 'What it is';
