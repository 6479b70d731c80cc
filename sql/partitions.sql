-- Daily partitions: made ahead, and filled with what has landed in the default ones meanwhile.

CREATE FUNCTION decide.revoke_all(relation regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  grantee text;
BEGIN
  FOR grantee IN
    SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
      FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE c.oid = relation AND a.grantee <> c.relowner
  LOOP
    EXECUTE format('REVOKE ALL ON TABLE %s FROM %s CASCADE', relation, grantee);
  END LOOP;
END
$$;
COMMENT ON FUNCTION decide.revoke_all(regclass) IS 'Revokes the rights that default privileges have given on a new table';

-- How a day gets its partition. Until then its rows are in the default one, and where they are many, moving them takes
-- long. So they are copied first, to a table beside, while everybody goes on reading and writing; once that is done, the
-- default partition is locked for as long as it takes to delete them there. A day that is not over goes on growing: if it
-- has many rows already, it stays where it is until its end. As long as today is there, decisions write to the default
-- partition and would wait for that lock: then no day with many rows is moved.

CREATE FUNCTION decide.partition_key(parent text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
RETURN CASE parent WHEN 'event' THEN 'at' ELSE 'decided_at' END;
COMMENT ON FUNCTION decide.partition_key(text) IS 'The column by which a table is partitioned: trace, outcome or event';

CREATE FUNCTION decide.movable_rows() RETURNS integer
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN 5000;
COMMENT ON FUNCTION decide.movable_rows() IS 'How many rows of a day are moved to its new partition at once, under a lock';

CREATE FUNCTION decide.days_without_partition(parent text, first date, last date) RETURNS date[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT ARRAY(SELECT d::date FROM generate_series(first::timestamp, last::timestamp, interval '1 day') AS d
                WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.relispartition
                                     AND c.oid = to_regclass(format('decide.%I', parent || '_' || to_char(d, 'YYYYMMDD')))))
$$;
COMMENT ON FUNCTION decide.days_without_partition(text, date, date) IS 'The days of a table that have no partition of their name';

CREATE FUNCTION decide.missing_partitions(parent text, first date, last date, older boolean)
RETURNS TABLE (day date, waiting bigint, move text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  today CONSTANT date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  missing CONSTANT date[] := decide.days_without_partition(parent, first, last);
  in_use CONSTANT boolean := decide.days_without_partition(parent, today, today) <> '{}';
BEGIN
  IF missing = '{}' AND NOT older THEN
    RETURN;
  END IF;
  RETURN QUERY EXECUTE format(
    'WITH waiting AS (SELECT (t.%2$I AT TIME ZONE ''UTC'')::date AS day, count(*) AS rows '
    '                   FROM decide.%3$I AS t WHERE isfinite(t.%2$I) GROUP BY 1) '
    'SELECT m.day, m.rows, CASE WHEN m.rows <= decide.movable_rows() THEN ''at once'' '
    '                           WHEN m.day < $4 AND NOT $5 THEN ''by copy'' ELSE ''later'' END '
    '  FROM (SELECT d.day, COALESCE(w.rows, 0) AS rows FROM unnest($1) AS d (day) LEFT JOIN waiting AS w USING (day) '
    '         UNION ALL '
    '        SELECT w.day, w.rows FROM waiting AS w '
    '         WHERE $2 AND w.day < $3 AND w.day < $4 AND w.rows > decide.movable_rows() '
    '           AND to_regclass(''decide.%1$s_'' || to_char(w.day, ''YYYYMMDD'')) IS NULL) AS m '
    ' ORDER BY 1', parent, decide.partition_key(parent), parent || '_default')
    USING missing, older, first, today, in_use;
EXCEPTION WHEN lock_not_available THEN
  -- Whoever makes the partition will find the lock as well, and say so.
  RETURN QUERY SELECT d.day, 0::bigint, 'at once' FROM unnest(missing) AS d (day);
END
$$;
COMMENT ON FUNCTION decide.missing_partitions(text, date, date, boolean) IS
  'The days of a table that have no partition, how many of their rows are in the default one, and how these move: at once, by copy, later; on request also earlier days that have many there';

CREATE FUNCTION decide.make_table_of_day(parent text, day date, name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- where and how a partition is stored is not for the session that happens to make it
SET default_table_access_method = heap SET default_tablespace = ''
SET DateStyle = 'ISO' SET TimeZone = 'UTC'
AS $$
DECLARE
  place text;
  wide name;
BEGIN
  SELECT format('TABLESPACE %I', s.spcname) INTO place
    FROM pg_class AS c JOIN pg_tablespace AS s ON s.oid = c.reltablespace WHERE c.oid = format('decide.%I', parent)::regclass;
  EXECUTE format('CREATE TABLE decide.%I (LIKE decide.%I INCLUDING ALL) %s', name, parent || '_default', place);
  PERFORM decide.revoke_all(format('decide.%I', name)::regclass);
  EXECUTE format('ALTER TABLE decide.%I SET (toast_tuple_target = 8160)', name);
  -- Nobody searches by what is in arrays and documents; ANALYZE would spend most of its time on them.
  FOR wide IN
    SELECT a.attname FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
     WHERE a.attrelid = format('decide.%I', name)::regclass AND a.attnum > 0 AND (t.typcategory = 'A' OR t.typname = 'jsonb')
  LOOP
    EXECUTE format('ALTER TABLE decide.%I ALTER COLUMN %I SET STATISTICS 0', name, wide);
  END LOOP;
  -- So that it need not be read once more when it becomes a partition; then this goes.
  EXECUTE format('ALTER TABLE decide.%I ADD CONSTRAINT of_day CHECK (%I >= %L AND %2$I < %4$L)', name, decide.partition_key(parent),
                 day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
  EXECUTE format('COMMENT ON TABLE decide.%I IS %L', name, format('%s of %s (UTC)', initcap(parent) || 's', day));
END
$$;
COMMENT ON FUNCTION decide.make_table_of_day(text, date, text) IS 'Makes the table that becomes the partition of a day';

CREATE FUNCTION decide.copy_day(parent text, day date, page bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  pages CONSTANT int := 1000;
  part CONSTANT text := parent || '_' || to_char(day, 'YYYYMMDD');
  beside CONSTANT text := part || '_moving';
  last CONSTANT bigint := pg_relation_size(format('decide.%I', parent || '_default')::regclass)
                          / current_setting('block_size')::bigint;
BEGIN
  IF to_regclass(format('decide.%I', part)) IS NOT NULL THEN
    RETURN NULL;
  ELSIF to_regclass(format('decide.%I', beside)) IS NULL THEN
    PERFORM decide.make_table_of_day(parent, day, beside);
  END IF;
  EXECUTE format('INSERT INTO decide.%I SELECT * FROM decide.%I WHERE ctid >= $1 AND ctid < $2 AND %I >= $3 AND %3$I < $4 '
                 'ON CONFLICT DO NOTHING', beside, parent || '_default', decide.partition_key(parent))
    USING format('(%s,0)', page)::tid, format('(%s,0)', page + pages)::tid,
          day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC';
  RETURN CASE WHEN page + pages < last THEN page + pages END;
END
$$;
COMMENT ON FUNCTION decide.copy_day(text, date, bigint) IS
  'Copies the rows of a day that are in 1,000 pages of the default partition, from this one on, to a table beside; answers the next page (null: that was the last one)';

CREATE FUNCTION decide.take_turn_of_partitions() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  LOCK TABLE decide.publication IN SHARE ROW EXCLUSIVE MODE;
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'partitions have waited too long for another transaction that publishes or makes some' USING ERRCODE = 'lock_not_available',
    DETAIL = 'It has not ended.', HINT = 'Look in pg_stat_activity for sessions that are idle in transaction. Then try again.';
END
$$;
COMMENT ON FUNCTION decide.take_turn_of_partitions() IS 'Waits until no other transaction publishes or makes partitions; decisions and events go on';

CREATE FUNCTION decide.attach_days(parent text, days date[]) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET pg_decide.erasing = on
SET DateStyle = 'ISO' SET TimeZone = 'UTC'
AS $$
DECLARE
  -- An ATTACH reads the whole default partition. From this size on they are spared that, by a check that reads it once.
  large CONSTANT bigint := 1048576;
  others CONSTANT text := parent || '_default';
  key CONSTANT text := decide.partition_key(parent);
  day date;
  part text;
  beside text;
  rival regclass;
  starts timestamptz;
  ends timestamptz;
  same_row text;
  key_of_row text;
  same boolean;
  made date[] := '{}';
  checked boolean;
BEGIN
  PERFORM decide.take_turn_of_partitions();
  -- Whoever comes through the parent waits here, and then finds the new partition: it would be refused by the default one
  -- otherwise.
  BEGIN
    EXECUTE format('LOCK TABLE ONLY decide.%I IN EXCLUSIVE MODE', parent);
    EXECUTE format('LOCK TABLE decide.%I IN ACCESS EXCLUSIVE MODE', others);
  EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'partitions have waited too long for: decide.%', parent USING ERRCODE = 'lock_not_available',
      DETAIL = 'Other transactions read or write the table, or its default partition.',
      HINT = 'Look in pg_stat_activity for long reports and for sessions that are idle in transaction. Then try again.';
  END;
  SELECT string_agg(format('o.%1$I = p.%1$I', a.attname), ' AND '), string_agg(format('o.%I', a.attname), ', ' ORDER BY a.attnum)
    INTO same_row, key_of_row
    FROM pg_index AS x JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey::int2[])
   WHERE x.indrelid = format('decide.%I', others)::regclass AND x.indisprimary;
  FOREACH day IN ARRAY days LOOP
    part := parent || '_' || to_char(day, 'YYYYMMDD');
    beside := part || '_moving';
    starts := day::timestamp AT TIME ZONE 'UTC';
    ends := (day + 1)::timestamp AT TIME ZONE 'UTC';
    IF to_regclass(format('decide.%I', part)) IS NOT NULL THEN
      IF NOT (SELECT c.relispartition FROM pg_class AS c WHERE c.oid = to_regclass(format('decide.%I', part))) THEN
        RAISE WARNING 'decide.% has no partition for %, since another table has its name', parent, day
          USING DETAIL = format('The table decide.%I is no partition.', part), HINT = 'Attach it, rename it, or drop it.';
      END IF;
      CONTINUE;
    END IF;
    -- A day that a partition made by hand has is left to that.
    SELECT b.oid INTO rival
      FROM (SELECT c.oid::regclass AS oid,
                   replace(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(([^)]+)\)'), 'MINVALUE', '-infinity') AS lower,
                   replace(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(([^)]+)\)'), 'MAXVALUE', 'infinity') AS upper
              FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
             WHERE i.inhparent = format('decide.%I', parent)::regclass) AS b
     WHERE btrim(b.lower, '''')::timestamptz < ends AND btrim(b.upper, '''')::timestamptz > starts LIMIT 1;
    IF FOUND THEN
      RAISE WARNING 'decide.% has no partition of its own for %', parent, day
        USING DETAIL = format('Partition %s has that time.', rival), HINT = 'Rows of that time go into the partition that was made by hand, or into the default one.';
      CONTINUE;
    END IF;
    IF to_regclass(format('decide.%I', beside)) IS NULL THEN
      PERFORM decide.make_table_of_day(parent, day, part);
      EXECUTE format('INSERT INTO decide.%I SELECT * FROM decide.%I WHERE %I >= $1 AND %3$I < $2', part, others, key) USING starts, ends;
    ELSE
      -- What has gone and what has come since it was copied; mostly nothing, which their number and the sum of their keys tell.
      EXECUTE format('SELECT (SELECT ROW(count(*), sum(hash_record_extended(ROW(%1$s), 0))) FROM decide.%2$I AS o) '
                     'IS NOT DISTINCT FROM (SELECT ROW(count(*), sum(hash_record_extended(ROW(%1$s), 0))) FROM decide.%3$I AS o '
                     ' WHERE o.%4$I >= $1 AND o.%4$I < $2)', key_of_row, beside, others, key) INTO same USING starts, ends;
      IF NOT same THEN
        EXECUTE format('DELETE FROM decide.%I AS p WHERE NOT EXISTS (SELECT FROM decide.%I AS o WHERE %s)', beside, others, same_row);
        EXECUTE format('INSERT INTO decide.%1$I SELECT * FROM decide.%2$I AS o WHERE o.%3$I >= $1 AND o.%3$I < $2 '
                       'AND NOT EXISTS (SELECT FROM decide.%1$I AS p WHERE %4$s)', beside, others, key, same_row) USING starts, ends;
      END IF;
      EXECUTE format('ALTER TABLE decide.%I RENAME CONSTRAINT %I TO %I', beside, beside || '_pkey', part || '_pkey');
      EXECUTE format('ALTER TABLE decide.%I RENAME TO %I', beside, part);
    END IF;
    EXECUTE format('DELETE FROM decide.%I WHERE %I >= $1 AND %2$I < $2', others, key) USING starts, ends;
    made := made || day;
  END LOOP;
  checked := pg_relation_size(format('decide.%I', others)::regclass) > large AND made <> '{}';
  IF checked THEN
    EXECUTE format('ALTER TABLE decide.%I ADD CONSTRAINT without_days CHECK (%s)', others,
      (SELECT string_agg(format('(%1$I < %2$L OR %1$I >= %3$L)', key, d::timestamp AT TIME ZONE 'UTC', (d + 1)::timestamp AT TIME ZONE 'UTC'), ' AND ')
         FROM unnest(made) AS d));
  END IF;
  FOREACH day IN ARRAY made LOOP
    part := parent || '_' || to_char(day, 'YYYYMMDD');
    EXECUTE format('ALTER TABLE decide.%I ATTACH PARTITION decide.%I FOR VALUES FROM (%L) TO (%L)', parent, part,
                   day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    EXECUTE format('ALTER TABLE decide.%I DROP CONSTRAINT of_day', part);
    IF parent = 'trace' THEN
      PERFORM decide.make_immutable(format('decide.%I', part)::regclass);
    END IF;
  END LOOP;
  IF checked THEN
    EXECUTE format('ALTER TABLE decide.%I DROP CONSTRAINT without_days', others);
  END IF;
  RETURN cardinality(made);
END
$$;
COMMENT ON FUNCTION decide.attach_days(text, date[]) IS
  'Makes the partitions of days, with their rows from the default one; answers how many';

CREATE FUNCTION decide.make_partitions(first date, last date, moving boolean DEFAULT true) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET DateStyle = 'ISO'
AS $$
DECLARE
  most CONSTANT int := 3660;
  -- Where nothing is to be moved, a lock is not held either for as long as it takes to read more than this.
  large CONSTANT bigint := 33554432;
  parents CONSTANT text[] := '{trace,outcome,event}';
  parent text;
  is_large boolean;
  made integer := 0;
  many record;
  page bigint;
  now date[];
  later date;
  held text;
BEGIN
  IF NOT isfinite(first) OR NOT isfinite(last) OR last - first >= most THEN
    RAISE EXCEPTION 'cannot make the partitions from % to %', first, last USING ERRCODE = 'invalid_parameter_value',
      DETAIL = format('Both must be ordinary days, and at most %s days be made at once.', most);
  END IF;
  -- All is copied before anything is locked.
  FOR many IN
    SELECT p.parent, m.day FROM unnest(parents) AS p (parent), decide.missing_partitions(p.parent, first, last, false) AS m
     WHERE moving AND m.move = 'by copy'
  LOOP
    page := 0;
    WHILE page IS NOT NULL LOOP
      page := decide.copy_day(many.parent, many.day, page);
    END LOOP;
  END LOOP;
  PERFORM decide.take_turn_of_partitions();
  FOREACH parent IN ARRAY parents LOOP
    CONTINUE WHEN decide.days_without_partition(parent, first, last) = '{}';
    is_large := NOT moving AND pg_relation_size(format('decide.%I', parent || '_default')::regclass) > large;
    now := NULL;
    later := NULL;
    IF NOT is_large THEN
      SELECT array_agg(l.day ORDER BY l.day) FILTER (WHERE NOT l.stays), min(l.day) FILTER (WHERE l.stays) INTO now, later
        FROM (SELECT m.day, CASE WHEN moving THEN m.move = 'later' ELSE m.waiting > 0 END AS stays
                FROM decide.missing_partitions(parent, first, last, false) AS m) AS l;
      BEGIN
        IF now IS NOT NULL THEN
          made := made + decide.attach_days(parent, now);
        END IF;
      EXCEPTION WHEN lock_not_available THEN
        held := COALESCE(held || ', ', '') || 'decide.' || parent;
      END;
    END IF;
    IF is_large OR later IS NOT NULL THEN
      RAISE WARNING 'not all partitions of decide.% were made, since rows of their days are in the default one', parent
        USING DETAIL = CASE WHEN is_large THEN format('The table decide.%s_default is large.', parent)
                            ELSE format('The first of these days is %s.', later) END,
              HINT = 'Nothing is lost. The job "partitions" moves them; days that have many once today has a partition.';
    END IF;
  END LOOP;
  IF held IS NOT NULL AND made = 0 THEN
    RAISE EXCEPTION 'partitions have waited too long for: %', held USING ERRCODE = 'lock_not_available',
      DETAIL = 'Other transactions read or write these tables, or their default partitions.',
      HINT = 'Look in pg_stat_activity for long reports and for sessions that are idle in transaction. Then try again.';
  END IF;
  RETURN made;
END
$$;
COMMENT ON FUNCTION decide.make_partitions(date, date, boolean) IS
  'Makes the missing daily partitions of traces, outcomes and events from the first day to the last (UTC), and moves their rows from the default ones; answers how many. Without moving, days that have rows there are left out';

CREATE FUNCTION decide.make_partitions(ahead integer) RETURNS integer
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT decide.make_partitions((clock_timestamp() AT TIME ZONE 'UTC')::date - 1,
                                (clock_timestamp() AT TIME ZONE 'UTC')::date + ahead)
$$;
COMMENT ON FUNCTION decide.make_partitions(integer) IS
  'Makes the daily partitions from yesterday to so many days ahead';
