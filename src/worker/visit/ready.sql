-- A row, if there is work for jobs: something is published, and nobody is restoring a dump. pg_restore names its sessions;
-- psql does not, but it creates the extension in the session that loads all the rest. Names can be taken by anybody: only
-- those who may act as the owner of the extension hold up its jobs.
SELECT
 WHERE EXISTS (SELECT FROM decide.publication)
   AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_stat_activity AS a
          WHERE a.datid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
            AND (a.application_name = 'pg_restore'
                 AND EXISTS (SELECT FROM pg_catalog.pg_extension AS x
                              WHERE x.extname = 'pg_decide' AND pg_catalog.pg_has_role(a.usesysid, x.extowner, 'USAGE'))
                 OR EXISTS (SELECT FROM decide.restoring AS r WHERE r.pid = a.pid AND r.backend_start = a.backend_start)))
