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

CREATE FUNCTION decide.make_partitions(first date, last date) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET pg_decide.erasing = on
-- where and how a partition is stored is not for the session that happens to make it
SET default_table_access_method = heap SET default_tablespace = ''
AS $$
DECLARE
  most CONSTANT int := 3660;
  made integer := 0;
  parent record;
  day date;
  part text;
  place text;
  wide name;
  lower timestamptz;
  upper timestamptz;
  held text;
BEGIN
  IF NOT isfinite(first) OR NOT isfinite(last) OR last - first >= most THEN
    RAISE EXCEPTION 'cannot make the partitions from % to %', first, last USING ERRCODE = 'invalid_parameter_value',
      DETAIL = format('Both must be ordinary days, and at most %s days be made at once.', most);
  END IF;
  -- One maker at a time; decisions and events go on.
  BEGIN
    LOCK TABLE decide.publication IN SHARE ROW EXCLUSIVE MODE;
  EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'partitions have waited too long for another transaction that publishes or makes some' USING ERRCODE = 'lock_not_available',
      DETAIL = 'It has not ended.', HINT = 'Look in pg_stat_activity for sessions that are idle in transaction. Then try again.';
  END;
  FOR parent IN
    SELECT * FROM (VALUES ('trace', 'decided_at'), ('outcome', 'decided_at'), ('event', 'at')) AS t (name, key)
  LOOP
    FOR day IN SELECT d::date FROM generate_series(first::timestamp, last::timestamp, interval '1 day') AS d LOOP
      part := parent.name || '_' || to_char(day, 'YYYYMMDD');
      IF to_regclass(format('decide.%I', part)) IS NOT NULL THEN
        IF NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = to_regclass(format('decide.%I', part))) THEN
          RAISE WARNING 'decide.% has no partition for %, since another table has its name', parent.name, day
            USING DETAIL = format('The table decide.%I is no partition.', part), HINT = 'Attach it, rename it, or drop it.';
        END IF;
        CONTINUE;
      END IF;
      -- Whoever comes through the parent waits here, and then finds the new partition: it would be
      -- refused by the default one otherwise. Who holds one table keeps no other from its partitions.
      BEGIN
        EXECUTE format('LOCK TABLE ONLY decide.%I IN EXCLUSIVE MODE', parent.name);
        EXECUTE format('LOCK TABLE decide.%I IN ACCESS EXCLUSIVE MODE', parent.name || '_default');
      EXCEPTION WHEN lock_not_available THEN
        held := COALESCE(held || ', ', '') || 'decide.' || parent.name;
        EXIT;
      END;
      lower := day::timestamp AT TIME ZONE 'UTC';
      upper := (day + 1)::timestamp AT TIME ZONE 'UTC';
      SELECT format('TABLESPACE %I', s.spcname) INTO place
        FROM pg_class AS c JOIN pg_tablespace AS s ON s.oid = c.reltablespace WHERE c.oid = format('decide.%I', parent.name || '_default')::regclass;
      -- A day that a partition made by hand has is left to that; the others are made.
      BEGIN
        EXECUTE format('CREATE TABLE decide.%I (LIKE decide.%I INCLUDING ALL) %s', part, parent.name || '_default', place);
        PERFORM decide.revoke_all(format('decide.%I', part)::regclass);
        EXECUTE format('ALTER TABLE decide.%I SET (toast_tuple_target = 8160)', part);
        -- Nobody searches by what is in arrays and documents; ANALYZE would spend most of its time on them.
        FOR wide IN
          SELECT a.attname FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
           WHERE a.attrelid = format('decide.%I', part)::regclass AND a.attnum > 0 AND (t.typcategory = 'A' OR t.typname = 'jsonb')
        LOOP
          EXECUTE format('ALTER TABLE decide.%I ALTER COLUMN %I SET STATISTICS 0', part, wide);
        END LOOP;
        EXECUTE format('COMMENT ON TABLE decide.%I IS %L', part,
                       format('%s of %s (UTC)', initcap(parent.name) || 's', day));
        EXECUTE format('INSERT INTO decide.%3$I SELECT * FROM decide.%1$I WHERE %2$I >= $1 AND %2$I < $2',
                       parent.name || '_default', parent.key, part) USING lower, upper;
        EXECUTE format('DELETE FROM decide.%1$I WHERE %2$I >= $1 AND %2$I < $2',
                       parent.name || '_default', parent.key) USING lower, upper;
        EXECUTE format('ALTER TABLE decide.%I ATTACH PARTITION decide.%I FOR VALUES FROM (%L) TO (%L)',
                       parent.name, part, lower, upper);
        IF parent.name = 'trace' THEN
          PERFORM decide.make_immutable(format('decide.%I', part)::regclass);
        END IF;
        made := made + 1;
      EXCEPTION WHEN invalid_object_definition THEN
        RAISE WARNING 'decide.% has no partition of its own for %', parent.name, day
          USING DETAIL = SQLERRM, HINT = 'Rows of that time go into the partition that was made by hand, or into the default one.';
      END;
    END LOOP;
  END LOOP;
  IF held IS NOT NULL AND made = 0 THEN
    RAISE EXCEPTION 'partitions have waited too long for: %', held USING ERRCODE = 'lock_not_available',
      DETAIL = 'Other transactions read or write these tables, or their default partitions.',
      HINT = 'Look in pg_stat_activity for long reports and for sessions that are idle in transaction. Then try again.';
  END IF;
  RETURN made;
END
$$;
COMMENT ON FUNCTION decide.make_partitions(date, date) IS
  'Makes the missing daily partitions of traces, outcomes and events from the first day to the last (UTC); answers how many';

CREATE FUNCTION decide.make_partitions(ahead integer) RETURNS integer
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT decide.make_partitions((clock_timestamp() AT TIME ZONE 'UTC')::date - 1,
                                (clock_timestamp() AT TIME ZONE 'UTC')::date + ahead)
$$;
COMMENT ON FUNCTION decide.make_partitions(integer) IS
  'Makes the daily partitions from yesterday to so many days ahead';
