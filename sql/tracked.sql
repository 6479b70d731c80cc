-- The shop's own tables: triggers by which their rows become events in the same transaction. A trigger has its
-- mapping as an argument, so that it is renamed, dumped, restored and dropped together with the table.

CREATE FUNCTION decide.mapped(mapping jsonb) RETURNS TABLE (member text, source jsonb)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH many AS (
    SELECT m.key, CASE jsonb_typeof(m.value) WHEN 'object' THEN m.value ELSE '{}' END AS value
      FROM jsonb_each(mapping) AS m WHERE m.key IN ('attributes', 'when')
  )
  SELECT m.key, m.value FROM jsonb_each(mapping) AS m
   WHERE m.key IN ('user_id', 'at', 'value', 'action', 'surface', 'decision_id')
  UNION ALL SELECT 'event_id', e FROM jsonb_array_elements(mapping -> 'event_id') AS e
  UNION ALL SELECT m.key, a.value FROM many AS m, jsonb_each(m.value) AS a WHERE m.key = 'attributes'
  UNION ALL SELECT m.key, to_jsonb(w) FROM many AS m, jsonb_object_keys(m.value) AS w WHERE m.key = 'when'
$$;
COMMENT ON FUNCTION decide.mapped(jsonb) IS 'What the members of a mapping name: columns as text, constants as {"const": …}';

CREATE FUNCTION decide.column_types(relation regclass, mapping jsonb) RETURNS jsonb
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT COALESCE(jsonb_object_agg(a.attname, CASE COALESCE(NULLIF(t.typbasetype, 0), t.oid)::regtype::text
           WHEN 'smallint' THEN 'numeric' WHEN 'integer' THEN 'numeric' WHEN 'bigint' THEN 'numeric'
           WHEN 'numeric' THEN 'numeric' WHEN 'real' THEN 'numeric' WHEN 'double precision' THEN 'numeric'
           WHEN 'boolean' THEN 'bool' WHEN 'json' THEN 'json' WHEN 'jsonb' THEN 'jsonb' WHEN 'character' THEN 'bpchar'
           WHEN 'timestamp without time zone' THEN 'timestamp' WHEN 'timestamp with time zone' THEN 'timestamptz'
           ELSE 'text' END), '{}')
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
   WHERE a.attrelid = relation AND a.attnum > 0 AND a.attgenerated <> 'v'
     AND a.attname IN (SELECT m.source #>> '{}' FROM decide.mapped(mapping) AS m WHERE jsonb_typeof(m.source) = 'string')
$$;
COMMENT ON FUNCTION decide.column_types(regclass, jsonb) IS
  'The types as which the columns of a mapping are read: numeric, bool, bpchar, json, jsonb, timestamp, timestamptz or text';

CREATE FUNCTION decide.mapping_fault(mapping jsonb, types jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT min(f.fault) FROM (
    SELECT format('"%s" is not one of its members', m.key) FROM jsonb_each(mapping) AS m
     WHERE m.key NOT IN ('type', 'user_id', 'event_id', 'at', 'time_zone', 'value', 'action', 'surface', 'decision_id',
                         'attributes', 'on', 'when', 'strict')
    UNION ALL SELECT '"type" must be a valid name of at most 40 bytes'
     WHERE jsonb_typeof(mapping -> 'type') IS DISTINCT FROM 'string'
        OR NOT decide.is_name(mapping ->> 'type') OR octet_length(mapping ->> 'type') > 40
    UNION ALL SELECT '"user_id" is missing' WHERE NOT mapping ? 'user_id'
    UNION ALL SELECT '"event_id" names no column, or is missing where the table has no primary key'
     WHERE mapping -> 'event_id' IN ('null', '[]')
    UNION ALL SELECT format('"%s" names no column', m.member) || CASE WHEN m.member IN ('event_id', 'at') THEN '' ELSE ' and is no constant' END FROM decide.mapped(mapping) AS m
     WHERE jsonb_typeof(m.source) <> 'string'
       AND (m.member IN ('event_id', 'at') OR jsonb_typeof(m.source) <> 'object' OR NOT m.source ? 'const' OR m.source - 'const' <> '{}')
    UNION ALL SELECT format('"%s" is a constant of the wrong type', m.member) FROM decide.mapped(mapping) AS m
     WHERE m.member IN ('user_id', 'action', 'surface', 'decision_id', 'value') AND jsonb_typeof(m.source) = 'object'
       AND jsonb_typeof(m.source -> 'const') NOT IN ('number', CASE m.member WHEN 'value' THEN 'number' ELSE 'string' END)
    UNION ALL SELECT format('"%s" names column "%s", which does not exist or is virtual', m.member, m.source #>> '{}')
      FROM decide.mapped(mapping) AS m WHERE jsonb_typeof(m.source) = 'string' AND NOT types ? (m.source #>> '{}')
    UNION ALL SELECT format('"value" names column "%s", which holds no numbers', mapping ->> 'value')
     WHERE types ->> (mapping ->> 'value') <> 'numeric'
    UNION ALL SELECT format('"at" names column "%s", which is no time', mapping ->> 'at')
     WHERE types ->> (mapping ->> 'at') NOT IN ('timestamp', 'timestamptz')
    UNION ALL SELECT format('"at" names column "%s", which has no time zone, so "time_zone" must say which', mapping ->> 'at')
     WHERE types ->> (mapping ->> 'at') = 'timestamp' AND NOT mapping ? 'time_zone'
    UNION ALL SELECT '"time_zone" must be text, and "at" a column without time zone'
     WHERE mapping ? 'time_zone' AND (types ->> (mapping ->> 'at') IS DISTINCT FROM 'timestamp'
                                      OR jsonb_typeof(mapping -> 'time_zone') <> 'string')
    UNION ALL SELECT '"attributes" must be an object' WHERE jsonb_typeof(mapping -> 'attributes') <> 'object'
    UNION ALL SELECT '"on" must be "insert", "update", or an array of them'
     WHERE mapping -> 'on' = '[]' OR NOT '["insert", "update"]'::jsonb @> (mapping -> 'on')
    UNION ALL SELECT '"when" must name columns, each with a value or an array of values'
     WHERE jsonb_typeof(mapping -> 'when') <> 'object' OR mapping -> 'when' = '{}'
        OR jsonb_path_exists(mapping -> 'when', 'strict $.* ? (@.type() == "object" || @.type() == "array" && (@.size() == 0 || exists (@[*] ? (@.type() == "object" || @.type() == "array"))))',
                             '{}', true)
    UNION ALL SELECT '"on" has "update", so "when" must say which rows become events'
     WHERE mapping -> 'on' ? 'update' AND NOT mapping ? 'when'
    UNION ALL SELECT '"strict" must be true or false' WHERE jsonb_typeof(mapping -> 'strict') <> 'boolean'
  ) AS f (fault)
$$;
COMMENT ON FUNCTION decide.mapping_fault(jsonb, jsonb) IS 'What is wrong with a mapping, given the types of the columns; null for a valid one';

CREATE FUNCTION decide.whole_mapping(relation regclass, mapping jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  whole jsonb;
  primary_key jsonb;
  fault text := 'it is no object';
BEGIN
  SELECT COALESCE(jsonb_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum)), '[]') INTO primary_key
    FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
   WHERE i.indrelid = relation AND i.indisprimary;
  IF jsonb_typeof(mapping) = 'object' THEN
    -- Null is as good as absent, and one column or operation is an array of one.
    SELECT jsonb_build_object('event_id', primary_key, 'on', CASE WHEN mapping -> 'when' <> 'null' THEN '["insert", "update"]' ELSE '["insert"]' END::jsonb)
           || COALESCE(jsonb_object_agg(m.key, CASE WHEN m.key IN ('event_id', 'on') AND jsonb_typeof(m.value) <> 'array'
                                               THEN jsonb_build_array(m.value) ELSE m.value END), '{}') INTO whole
      FROM jsonb_each(mapping) AS m WHERE m.value <> 'null';
    fault := decide.mapping_fault(whole, decide.column_types(relation, whole));
  END IF;
  IF fault IS NOT NULL THEN
    RAISE EXCEPTION 'the mapping of table % is faulty: %', relation, left(fault, 1000)
      USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Members are type, user_id, event_id, at, time_zone, value, action, surface, decision_id, attributes, on, when, strict.',
            HINT = 'A member names a column of the table; a constant is written {"const": …}.';
  END IF;
  -- A time zone that does not exist is an error of PostgreSQL's own.
  PERFORM now() AT TIME ZONE (whole ->> 'time_zone');
  RETURN whole;
END
$$;
COMMENT ON FUNCTION decide.whole_mapping(regclass, jsonb) IS 'A mapping with its defaults, or an error that says what is wrong with it';

CREATE FUNCTION decide.json_value(document text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN document::jsonb;
EXCEPTION WHEN OTHERS THEN
  RETURN to_jsonb(document);
END
$$;
COMMENT ON FUNCTION decide.json_value(text) IS
  'A json column as jsonb; as a text if it is not valid jsonb, as with \u0000 or numbers that are too large';

-- Values are read by the output functions of their types, not by casts: a cast that the table's owner has
-- made would run with the rights of the extension's owner.
CREATE FUNCTION decide.source_sql(source jsonb, types jsonb, row_name text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE pg_catalog.jsonb_typeof(source)
  WHEN 'string' THEN pg_catalog.format(CASE types ->> (source #>> '{}') WHEN 'json' THEN
    'decide.json_value(CASE WHEN %1$s.%2$I IS NOT NULL THEN format(''%%s'', %1$s.%2$I) END)' ELSE
    'to_jsonb(CASE WHEN %1$s.%2$I IS NOT NULL THEN format(''%%s'', %1$s.%2$I) END::%3$s)' END, row_name, source #>> '{}',
    CASE types ->> (source #>> '{}')
      WHEN 'numeric' THEN 'numeric' WHEN 'bool' THEN 'bool' WHEN 'jsonb' THEN 'jsonb' WHEN 'bpchar' THEN 'bpchar::text'
      WHEN 'timestamp' THEN 'timestamp' WHEN 'timestamptz' THEN 'timestamptz' ELSE 'text' END)
  ELSE pg_catalog.format('%L::jsonb', source -> 'const') END;
COMMENT ON FUNCTION decide.source_sql(jsonb, jsonb, text) IS 'SQL for the value of a member, as jsonb: a column of the row, or a constant';

CREATE FUNCTION decide.key_sql(mapping jsonb, types jsonb, row_name text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF jsonb_array_length(mapping -> 'event_id') = 1 THEN
    RETURN format('(%s #>> ''{}'')', decide.source_sql(mapping -> 'event_id' -> 0, types, row_name));
  END IF;
  RETURN (SELECT format('jsonb_build_array(%s)::text', string_agg(decide.source_sql(e.source, types, row_name), ', ' ORDER BY e.place))
            FROM jsonb_array_elements(mapping -> 'event_id') WITH ORDINALITY AS e (source, place));
END
$$;
COMMENT ON FUNCTION decide.key_sql(jsonb, jsonb, text) IS 'SQL for the text that identifies a row';

CREATE FUNCTION decide.when_sql(mapping jsonb, types jsonb, row_name text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT mapping ? 'when' THEN
    RETURN 'true';
  END IF;
  RETURN (SELECT string_agg(format('%L::jsonb @> COALESCE(%s, ''null'')',
                                   CASE jsonb_typeof(w.value) WHEN 'array' THEN w.value ELSE jsonb_build_array(w.value) END,
                                   decide.source_sql(to_jsonb(w.key), types, row_name)), ' AND ')
            FROM jsonb_each(mapping -> 'when') AS w);
END
$$;
COMMENT ON FUNCTION decide.when_sql(jsonb, jsonb, text) IS 'SQL for the condition under which a row becomes an event';

CREATE FUNCTION decide.event_sql(mapping jsonb, types jsonb, prefix text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  fields text := format('''type'', %L::text, ''event_id'', %L || %s', mapping ->> 'type', prefix, decide.key_sql(mapping, types, 'n'));
  at text := 'now()';
  member text;
BEGIN
  IF mapping ? 'at' THEN
    at := decide.source_sql(mapping -> 'at', types, 'n');
  END IF;
  IF mapping ? 'time_zone' THEN
    at := format('(%s #>> ''{}'')::timestamp AT TIME ZONE %L', at, mapping ->> 'time_zone');
  END IF;
  FOREACH member IN ARRAY '{user_id,action,surface,decision_id}'::text[] LOOP
    IF mapping ? member THEN
      fields := fields || format(', %L, %s #>> ''{}''', member, decide.source_sql(mapping -> member, types, 'n'));
    END IF;
  END LOOP;
  IF mapping ? 'value' THEN
    fields := fields || format(', ''value'', %s', decide.source_sql(mapping -> 'value', types, 'n'));
  END IF;
  IF mapping ? 'attributes' THEN
    fields := fields || (SELECT format(', ''attributes'', jsonb_build_object(%s)',
                                       string_agg(format('%L, %s', a.key, decide.source_sql(a.value, types, 'n')), ', '))
                           FROM jsonb_each(mapping -> 'attributes') AS a);
  END IF;
  RETURN format('jsonb_build_object(%s, ''at'', %s)', fields, at);
END
$$;
COMMENT ON FUNCTION decide.event_sql(jsonb, jsonb, text) IS 'SQL for the event of a row';

-- An update makes an event of a row that has come to be what "when" says. Users come in the order in which their
-- rows are locked everywhere, so that two statements do not wait for each other.
CREATE FUNCTION decide.events_sql(mapping jsonb, types jsonb, operation text, prefix text, many boolean) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wanted text := decide.when_sql(mapping, types, 'n');
  -- within an array track() sees to the order itself
  turn CONSTANT text := CASE WHEN many THEN 'decide.user_turn(e.event ->> ''user_id'')' ELSE 'e.event ->> ''user_id'' COLLATE "C"' END;
BEGIN
  IF operation = 'UPDATE' THEN
    wanted := wanted || format(' AND NOT EXISTS (SELECT FROM old_rows AS o WHERE %s = %s AND %s)',
                               decide.key_sql(mapping, types, 'o'), decide.key_sql(mapping, types, 'n'), decide.when_sql(mapping, types, 'o'));
  END IF;
  RETURN format(
    -- for few rows the simpler one, as it is planned at every statement
    CASE WHEN many THEN
      'SELECT array_agg(c.event ORDER BY c.place) FROM (SELECT e.event, row_number() OVER (ORDER BY %3$s) - 1 AS place'
      ' FROM (SELECT %1$s AS event FROM new_rows AS n WHERE %2$s) AS e) AS c GROUP BY c.place / 1000 ORDER BY c.place / 1000'
    ELSE 'SELECT array_agg(e.event ORDER BY %3$s) FROM (SELECT %1$s AS event FROM new_rows AS n WHERE %2$s) AS e' END,
    decide.event_sql(mapping, types, prefix), wanted, turn || ', e.event ->> ''event_id'' COLLATE "C"');
END
$$;
COMMENT ON FUNCTION decide.events_sql(jsonb, jsonb, text, text, boolean) IS
  'SQL for the events of a statement, by user, in arrays of up to 1,000, or in one if they are not many';

-- Of the error no message is kept: it may have somebody's data in it.
CREATE FUNCTION decide.quarantine_rows(relation text, type text, rows bigint, state text) RETURNS void
LANGUAGE c VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'quarantine_rows_wrapper';
COMMENT ON FUNCTION decide.quarantine_rows(text, text, bigint, text) IS
  'Records in the quarantine that rows of a table could not become events, and why; warns if that fails too';

-- In the schema decide, where nobody else can make a function that fits the call better.
CREATE FUNCTION decide.take_rows(events jsonb[])
RETURNS TABLE (accepted bigint, duplicate bigint, quarantined bigint)
LANGUAGE c VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'take_rows_wrapper';
COMMENT ON FUNCTION decide.take_rows(jsonb[]) IS
  'Takes in the events of rows of tracked tables, as track() does those of clients; answers how many were accepted, duplicates and quarantined';

CREATE FUNCTION decide.track_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- a row is the same event whatever the writer's session prefers
SET TimeZone = 'UTC' SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex'
SET quote_all_identifiers = off
AS $$
DECLARE
  relation CONSTANT text := format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
  mapping CONSTANT jsonb := TG_ARGV[0];
  types CONSTANT jsonb := TG_ARGV[1];
  raises CONSTANT boolean := COALESCE((mapping ->> 'strict')::boolean, false);
  written bigint;
  any_wanted boolean;
  events refcursor;
  chunk jsonb[];
  refused bigint;
BEGIN
  -- Another trigger could bring relations of its own by these names, and they would be read with our rights.
  IF NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = TG_RELID AND t.tgname = TG_NAME AND t.tgnewtable = 'new_rows'
                    AND (t.tgoldtable = 'old_rows' OR TG_OP = 'INSERT')) THEN
    RAISE EXCEPTION 'decide.track_rows() is for triggers that decide.track_table() has made' USING ERRCODE = 'triggered_action_exception';
  END IF;
  SELECT count(*) INTO written FROM new_rows;
  IF written = 0 THEN
    RETURN NULL;
  END IF;
  BEGIN
    IF TG_OP = 'UPDATE' THEN
      -- most updates are about something else, and should not wait for more than this
      EXECUTE format('SELECT EXISTS (SELECT FROM new_rows AS n WHERE %s)', decide.when_sql(mapping, types, 'n')) INTO any_wanted;
      IF NOT any_wanted THEN
        RETURN NULL;
      END IF;
    END IF;
    OPEN events NO SCROLL FOR EXECUTE
      decide.events_sql(mapping, types, TG_OP, format('row:%s:%s:', relation, mapping ->> 'type'), written > 1000);
    FETCH events INTO chunk;
  EXCEPTION
    WHEN serialization_failure OR deadlock_detected OR lock_not_available THEN RAISE;
    WHEN OTHERS THEN
      IF raises THEN RAISE; END IF;
      PERFORM decide.quarantine_rows(relation, mapping ->> 'type', written, SQLSTATE);
      RETURN NULL;
  END;
  WHILE chunk IS NOT NULL LOOP
    BEGIN
      SELECT t.quarantined INTO refused FROM decide.take_rows(chunk) AS t;
      IF raises AND refused > 0 THEN
        RAISE EXCEPTION 'table %: rows that cannot become events: %', relation, refused
          USING ERRCODE = 'data_exception', DETAIL = 'The mapping is strict, so they are not written either.',
                HINT = 'Correct the rows, or let decide.track_table() map them without "strict" and read the reasons in decide.quarantine.';
      END IF;
    EXCEPTION
      -- what a retry cures; nothing is wrong with the rows
      WHEN serialization_failure OR deadlock_detected OR lock_not_available THEN RAISE;
      WHEN OTHERS THEN
        IF raises THEN RAISE; END IF;
        PERFORM decide.quarantine_rows(relation, mapping ->> 'type', cardinality(chunk), SQLSTATE);
    END;
    FETCH events INTO chunk;
  END LOOP;
  CLOSE events;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION decide.track_rows() IS 'The trigger of a tracked table: makes events of the rows that a statement has written';

CREATE VIEW decide.tracked_tables AS
SELECT t.tgrelid::pg_catalog.regclass AS relation,
       m.mapping ->> 'type' AS type,
       ARRAY(SELECT pg_catalog.jsonb_array_elements_text(m.mapping -> 'on')) AS operations,
       m.mapping,
       pg_catalog.array_agg(t.tgname ORDER BY t.tgname) AS triggers,
       pg_catalog.bool_and(t.tgenabled <> 'D') AS enabled
  FROM pg_catalog.pg_trigger AS t
 CROSS JOIN LATERAL (SELECT CASE WHEN t.tgfoid = 'decide.track_rows()'::pg_catalog.regprocedure THEN
         pg_catalog.convert_from(pg_catalog.substr(t.tgargs, 1, pg_catalog.position(t.tgargs, '\x00') - 1), 'UTF8')::jsonb
       END AS mapping) AS m
 WHERE t.tgfoid = 'decide.track_rows()'::pg_catalog.regprocedure
 GROUP BY t.tgrelid, m.mapping;
COMMENT ON VIEW decide.tracked_tables IS 'The shop''s tables whose rows become events, and how; read from their triggers';
COMMENT ON COLUMN decide.tracked_tables.relation IS 'Table';
COMMENT ON COLUMN decide.tracked_tables.type IS 'Type of the events';
COMMENT ON COLUMN decide.tracked_tables.operations IS 'What makes events: insert, update';
COMMENT ON COLUMN decide.tracked_tables.mapping IS 'Mapping, with its defaults';
COMMENT ON COLUMN decide.tracked_tables.triggers IS 'Triggers of the table that make the events, one per operation';
COMMENT ON COLUMN decide.tracked_tables.enabled IS 'True if none of them has been disabled';

CREATE FUNCTION decide.track_table(relation regclass, mapping jsonb) RETURNS void
LANGUAGE c
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'track_table_wrapper';
COMMENT ON FUNCTION decide.track_table(regclass, jsonb) IS
  'Makes events of the rows of a table, in the transaction that writes them; another mapping of the same type replaces the first';
CREATE FUNCTION decide.untrack_table(relation regclass, type text DEFAULT NULL) RETURNS void
LANGUAGE c
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'untrack_table_wrapper';
COMMENT ON FUNCTION decide.untrack_table(regclass, text) IS
  'Ends the tracking of a table, or of its events of one type; events that were made stay';

CREATE FUNCTION decide.make_triggers(relation regclass, mapping jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  named pg_class;
  whole jsonb;
  operation text;
  kept text[] := '{}';
  stale text;
BEGIN
  IF relation IS NULL OR mapping IS NULL THEN
    RAISE EXCEPTION '% must not be null', CASE WHEN relation IS NULL THEN 'relation' ELSE 'mapping' END
      USING ERRCODE = 'null_value_not_allowed';
  END IF;
  SELECT * INTO named FROM pg_class AS c WHERE c.oid = relation;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'relation with OID % does not exist', relation::oid USING ERRCODE = 'undefined_table';
  ELSIF named.relnamespace = 'decide'::regnamespace OR named.relkind NOT IN ('r', 'p') OR named.relispartition THEN
    RAISE EXCEPTION '% cannot be tracked', relation USING ERRCODE = 'wrong_object_type',
      DETAIL = CASE WHEN named.relnamespace = 'decide'::regnamespace THEN 'It belongs to pg_decide.'
                    WHEN named.relispartition THEN 'It is a partition.' ELSE 'It is no table.' END,
      HINT = 'Track an ordinary table, or a partitioned one as a whole.';
  ELSIF NOT pg_has_role(current_user, named.relowner, 'USAGE') THEN
    RAISE EXCEPTION 'must be owner of table %', relation USING ERRCODE = 'insufficient_privilege',
      HINT = 'Let the table''s owner, with the access operate, or a superuser track it.';
  END IF;
  whole := decide.whole_mapping(relation, mapping);
  FOR operation IN SELECT DISTINCT jsonb_array_elements_text(whole -> 'on') ORDER BY 1 LOOP
    kept := kept || format('pg_decide_%s_%s', whole ->> 'type', operation);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s REFERENCING NEW TABLE AS new_rows %s FOR EACH STATEMENT '
                   'EXECUTE FUNCTION decide.track_rows(%L, %L)', kept[cardinality(kept)], operation, relation,
                   CASE operation WHEN 'update' THEN 'OLD TABLE AS old_rows' END, whole, decide.column_types(relation, whole));
  END LOOP;
  FOR stale IN SELECT n FROM decide.tracked_tables AS t, unnest(t.triggers) AS n
                WHERE t.relation = make_triggers.relation AND t.type = whole ->> 'type' AND n <> ALL (kept) LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', stale, relation);
  END LOOP;
END
$$;
COMMENT ON FUNCTION decide.make_triggers(regclass, jsonb) IS 'What decide.track_table does, without a limit of its own to waits for locks';

CREATE FUNCTION decide.drop_triggers(relation regclass, type text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  stale text[];
  name text;
BEGIN
  IF relation IS NULL THEN
    RAISE EXCEPTION 'relation must not be null' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  SELECT array_agg(n) INTO stale FROM decide.tracked_tables AS t, unnest(t.triggers) AS n
   WHERE t.relation = drop_triggers.relation AND t.type = COALESCE(drop_triggers.type, t.type);
  IF stale IS NULL THEN
    RAISE EXCEPTION '%', format(CASE WHEN type IS NULL THEN 'table %s is not tracked' ELSE 'table %s is not tracked as "%s"' END, relation, left(type, 200))
      USING ERRCODE = 'undefined_object', HINT = 'decide.tracked_tables lists what is.';
  END IF;
  FOREACH name IN ARRAY stale LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', name, relation);
  END LOOP;
END
$$;
COMMENT ON FUNCTION decide.drop_triggers(regclass, text) IS 'What decide.untrack_table does, without a limit of its own to waits for locks';
