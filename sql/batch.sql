-- Decisions for many users in one call, and for any number of them in chunks.

CREATE TYPE decide.batch_choice AS (request integer, user_id text, surface text, slot integer, action text,
                                    probability double precision, decision_id uuid, reason text);
COMMENT ON TYPE decide.batch_choice IS 'What decide_batch() answers: a row per slot of each request';
COMMENT ON COLUMN decide.batch_choice.request IS 'Number of the request in the array, from 1';
COMMENT ON COLUMN decide.batch_choice.user_id IS 'User, as the request names them';
COMMENT ON COLUMN decide.batch_choice.surface IS 'Surface';
COMMENT ON COLUMN decide.batch_choice.slot IS 'From 1, the most prominent first';
COMMENT ON COLUMN decide.batch_choice.action IS 'What to show';
COMMENT ON COLUMN decide.batch_choice.probability IS 'Its probability among the candidates of the slot, given the slots before';
COMMENT ON COLUMN decide.batch_choice.decision_id IS 'Identifier of the decision; events that follow from it name it';
COMMENT ON COLUMN decide.batch_choice.reason IS 'Null, or why the slot has the fallback';

CREATE FUNCTION decide.decide_batch(requests jsonb[]) RETURNS SETOF decide.batch_choice
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'decide_batch_wrapper';
COMMENT ON FUNCTION decide.decide_batch(jsonb[]) IS
  'Decides on many requests, objects with user_id, surface and, if wanted, context and request_id: one row per slot of each, and a trace for each';

CREATE FUNCTION decide.decide_each(requests jsonb[]) RETURNS SETOF decide.batch_choice
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'decide_each_wrapper';
COMMENT ON FUNCTION decide.decide_each(jsonb[]) IS
  'Decides as decide_batch does, but a request that is wrong is no error: it has one row, with slot 0 and a reason that says what is wrong';

CREATE FUNCTION decide.batch_user(request text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT format('CASE WHEN pg_catalog.jsonb_typeof(%1$s) OPERATOR(pg_catalog.=) ''string'' THEN %1$s OPERATOR(pg_catalog.#>>) ''{}'' WHEN pg_catalog.jsonb_typeof(%1$s) OPERATOR(pg_catalog.=) ''number'' THEN '
                '(CASE WHEN pg_catalog.scale(pg_catalog.trim_scale((%1$s)::pg_catalog.numeric)) OPERATOR(pg_catalog.=) 0 THEN pg_catalog.trim_scale((%1$s)::pg_catalog.numeric)::pg_catalog.text END) END', request)
$$;
COMMENT ON FUNCTION decide.batch_user(text) IS
  'The SQL expression that gives the text of a user_id, a text or a whole number in JSON, for the procedure decide_batch';

-- What the procedure below runs, with the rights of its caller: every name and operator is qualified.
CREATE FUNCTION decide.batch_statements(requests text, results regclass, chunk_size integer, commits boolean)
RETURNS TABLE (reads text, writes text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  missing CONSTANT text := CASE WHEN requests IS NULL THEN 'requests' WHEN results IS NULL THEN 'results'
                                WHEN chunk_size IS NULL THEN 'chunk_size' WHEN commits IS NULL THEN 'commits' END;
  wanted CONSTANT text := 'Make a table of your own: CREATE TABLE … (user_id text, surface text, slot integer, action text, '
                          'probability double precision, decision_id uuid, reason text, PRIMARY KEY (user_id, surface, slot)).';
  target text;
  user_type text;
  wrong text;
  typed text;
BEGIN
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION '% must not be null', missing USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF chunk_size NOT BETWEEN 1 AND 10000 THEN
    RAISE EXCEPTION 'chunk_size must be between 1 and 10,000' USING ERRCODE = 'invalid_parameter_value',
      DETAIL = format('It is %s.', chunk_size),
      HINT = 'The rows of the users of a chunk stay locked until it is committed; a few hundred are fast enough.';
  END IF;
  -- The name of what the caller's search_path may not find, or find elsewhere.
  SELECT format('%I.%I', n.nspname, c.relname), a.atttypid::regtype::text INTO target, user_type
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
   WHERE c.oid = results;
  IF NOT EXISTS (
    SELECT FROM pg_index AS i
     WHERE i.indrelid = results AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnatts = 3
       AND ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) ORDER BY 1)
           = '{slot,surface,user_id}'::text[])
  THEN
    RAISE EXCEPTION '% has no unique index on user_id, surface and slot', results USING ERRCODE = 'object_not_in_prerequisite_state',
      DETAIL = 'By that index nobody is decided upon twice, whoever else writes results.', HINT = wanted;
  END IF;
  -- A column that changes what is put into it would make a user another one, or find none again.
  SELECT string_agg(CASE
           WHEN a.attname IN ('user_id', 'surface') AND a.attcollation <> 0 AND NOT l.collisdeterministic THEN format('column %s takes different texts as equal', a.attname)
           WHEN a.attname = 'user_id' THEN format('column user_id is of type %s', format_type(a.atttypid, a.atttypmod))
           WHEN a.attname = 'surface' THEN format('column surface is of type %s', format_type(a.atttypid, a.atttypmod))
           ELSE format('column %s is NOT NULL', a.attname) END, '; ' ORDER BY a.attnum) INTO wrong
    FROM pg_attribute AS a LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
   WHERE a.attrelid = results AND a.attnum > 0 AND NOT a.attisdropped
     AND (a.attname IN ('user_id', 'surface') AND NOT COALESCE(l.collisdeterministic, true)
          OR a.attname IN ('user_id', 'surface') AND a.atttypmod <> -1
          OR a.attname = 'user_id' AND a.atttypid::regtype::text NOT IN ('text', 'character varying', 'bigint', 'integer', 'smallint', 'uuid')
          OR a.attname = 'surface' AND a.atttypid::regtype::text NOT IN ('text', 'character varying')
          OR a.attname IN ('action', 'probability', 'decision_id', 'reason') AND a.attnotnull);
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION '% cannot take results: %', results, wrong USING ERRCODE = 'object_not_in_prerequisite_state',
      DETAIL = 'user_id is text, varchar, bigint, integer, smallint or uuid, surface is text or varchar, without a length; what was not decided has null in the others.',
      HINT = wanted;
  END IF;
  -- The user_id as that type, or null where it would be written in another way.
  typed := CASE
    WHEN user_type = 'uuid' THEN
      'CASE WHEN a.user_id OPERATOR(pg_catalog.~) ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'' THEN a.user_id::pg_catalog.uuid END'
    WHEN user_type IN ('bigint', 'integer', 'smallint') THEN format(
      'CASE WHEN a.user_id OPERATOR(pg_catalog.~) ''^(0|-?[1-9][0-9]{0,18})$'' THEN CASE WHEN a.user_id::pg_catalog.numeric OPERATOR(pg_catalog.>=) %s AND a.user_id::pg_catalog.numeric OPERATOR(pg_catalog.<=) %s THEN a.user_id::%s END END',
      CASE user_type WHEN 'bigint' THEN '''-9223372036854775808''::pg_catalog.numeric' WHEN 'integer' THEN '''-2147483648''::pg_catalog.numeric' ELSE '''-32768''::pg_catalog.numeric' END,
      CASE user_type WHEN 'bigint' THEN '''9223372036854775807''::pg_catalog.numeric' WHEN 'integer' THEN '''2147483647''::pg_catalog.numeric' ELSE '''32767''::pg_catalog.numeric' END,
      CASE user_type WHEN 'bigint' THEN 'pg_catalog.int8' WHEN 'integer' THEN 'pg_catalog.int4' ELSE 'pg_catalog.int2' END)
    ELSE 'a.user_id' END;
  -- A number says the same user as in an array of requests: 42.0 is 42. Where the query has no column context, the name
  -- means that of "none", which the query itself cannot see.
  reads := format('SELECT pg_catalog.jsonb_build_object(''user_id'', f.user_id, ''surface'', f.surface, ''context'', f.context), f.other_type'
    ' FROM (SELECT CASE WHEN pg_catalog.pg_typeof(q.user_id)::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (''{pg_catalog.numeric,pg_catalog.float4,pg_catalog.float8,pg_catalog.json,pg_catalog.jsonb}''::pg_catalog.regtype[]::pg_catalog.oid[])'
    ' THEN pg_catalog.to_jsonb(q.user_id) ELSE pg_catalog.to_jsonb(q.user_id::pg_catalog.text) END AS user_id, q.surface::pg_catalog.text AS surface,'
    ' (SELECT pg_catalog.to_jsonb(context) FROM (SELECT q.*) AS own) AS context, (SELECT CASE WHEN pg_catalog.pg_typeof(context)::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (''{pg_catalog.json,pg_catalog.jsonb}''::pg_catalog.regtype[]::pg_catalog.oid[])'
    ' THEN NULL ELSE pg_catalog.format_type(pg_catalog.pg_typeof(context)::pg_catalog.oid, NULL) END FROM (SELECT q.*) AS own) AS other_type'
    ' FROM (%1$s' || E'\n' ||
    ') AS q CROSS JOIN (SELECT ''{}''::pg_catalog.jsonb AS context) AS none) AS f'
    ' WHERE NOT EXISTS (SELECT FROM %2$s AS r WHERE r.user_id::pg_catalog.text OPERATOR(pg_catalog.=) %3$s'
    ' AND r.surface::pg_catalog.text OPERATOR(pg_catalog.=) f.surface)', requests, target, decide.batch_user('f.user_id'));
  writes := format('WITH asked AS MATERIALIZED (SELECT c.number, c.request, c.request OPERATOR(pg_catalog.->>) ''surface'' AS surface, %3$s AS user_id'
    ' FROM pg_catalog.unnest($1) WITH ORDINALITY AS c (request, number)),'
    ' typed AS MATERIALIZED (SELECT a.*, %2$s AS id FROM asked AS a),'
    ' seen AS MATERIALIZED (SELECT t.*, pg_catalog.row_number() OVER (PARTITION BY t.id, t.surface ORDER BY t.number) OPERATOR(pg_catalog.>) 1'
    ' OR EXISTS (SELECT FROM %1$s AS r WHERE r.user_id OPERATOR(pg_catalog.=) t.id AND r.surface OPERATOR(pg_catalog.=) t.surface) AS again'
    ' FROM typed AS t WHERE t.id IS NOT NULL AND t.surface IS NOT NULL),'
    ' wanted AS MATERIALIZED (SELECT s.*, pg_catalog.row_number() OVER (ORDER BY s.number) AS place FROM seen AS s WHERE NOT s.again),'
    ' decided AS MATERIALIZED (SELECT b.* FROM decide.decide_each(ARRAY(SELECT w.request FROM wanted AS w ORDER BY w.place)) AS b),'
    ' written AS (INSERT INTO %1$s (user_id, surface, slot, action, probability, decision_id, reason)'
    ' SELECT w.id, w.surface, b.slot, b.action, b.probability, b.decision_id, b.reason'
    ' FROM decided AS b JOIN wanted AS w ON w.place OPERATOR(pg_catalog.=) b.request),'
    ' left_out AS (SELECT t.number, t.user_id, t.surface, CASE WHEN t.user_id IS NULL THEN ''user_id must not be null, and a text or a whole number'' WHEN t.surface IS NULL THEN ''surface must not be null'''
    ' ELSE ''the column user_id of the results would change it'' END AS why FROM typed AS t WHERE t.id IS NULL OR t.surface IS NULL'
    ' UNION ALL SELECT w.number, w.user_id, w.surface, b.reason FROM decided AS b JOIN wanted AS w ON w.place OPERATOR(pg_catalog.=) b.request WHERE b.slot OPERATOR(pg_catalog.=) 0)'
    ' SELECT (SELECT pg_catalog.count(DISTINCT b.request) FROM decided AS b WHERE b.slot OPERATOR(pg_catalog.>) 0) AS decided,'
    ' (SELECT pg_catalog.count(*) FROM seen AS s WHERE s.again) AS again, (SELECT pg_catalog.count(*) FROM left_out) AS left_out,'
    ' ARRAY(SELECT pg_catalog.format(''user_id %%L, surface %%L: %%s'', o.user_id, o.surface, o.why) FROM left_out AS o ORDER BY o.number LIMIT 5) AS examples',
    target, typed, decide.batch_user('(c.request OPERATOR(pg_catalog.->) ''user_id'')'));
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION decide.batch_statements(text, regclass, integer, boolean) IS
  'Checks the arguments of the procedure decide_batch; answers the query of the requests that have no result yet, and the statement that decides on a chunk of them';

-- A procedure that commits can have no search_path of its own: every name and operator in it is qualified.
CREATE PROCEDURE decide.decide_batch(requests text, results regclass, chunk_size integer DEFAULT 500, commits boolean DEFAULT true)
LANGUAGE plpgsql
AS $$
DECLARE
  statements record;
  request pg_catalog.jsonb;
  other_type pg_catalog.text;
  chunk pg_catalog.jsonb[] := '{}';
  done record;
  decided pg_catalog.int8 := 0;
  again pg_catalog.int8 := 0;
  left_out pg_catalog.int8 := 0;
  examples pg_catalog.text[] := '{}';
  chunks pg_catalog.int8 := 0;
  next_notice pg_catalog.timestamptz := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '10 seconds'::pg_catalog.interval;
BEGIN
  SELECT b.reads, b.writes INTO STRICT statements FROM decide.batch_statements(requests, results, chunk_size, commits) AS b;
  FOR request, other_type IN EXECUTE statements.reads LOOP
    IF other_type IS NOT NULL THEN
      RAISE EXCEPTION 'the column context of the requests is of type %', other_type USING ERRCODE := 'datatype_mismatch',
        DETAIL := 'A context is a JSON object.', HINT := 'Cast it in the query: context::jsonb AS context.';
    END IF;
    chunk := pg_catalog.array_append(chunk, request);
    CONTINUE WHEN pg_catalog.cardinality(chunk) OPERATOR(pg_catalog.<) chunk_size;
    EXECUTE statements.writes INTO STRICT done USING chunk;
    SELECT decided OPERATOR(pg_catalog.+) done.decided, again OPERATOR(pg_catalog.+) done.again, left_out OPERATOR(pg_catalog.+) done.left_out,
           CASE WHEN pg_catalog.cardinality(examples) OPERATOR(pg_catalog.<) 5 THEN examples OPERATOR(pg_catalog.||) done.examples ELSE examples END, chunks OPERATOR(pg_catalog.+) 1, '{}'::pg_catalog.jsonb[]
      INTO decided, again, left_out, examples, chunks, chunk;
    IF commits THEN
      COMMIT;
    END IF;
    IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>=) next_notice THEN
      RAISE NOTICE 'requests decided so far: %', decided;
      next_notice := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '10 seconds'::pg_catalog.interval;
    END IF;
  END LOOP;
  IF pg_catalog.cardinality(chunk) OPERATOR(pg_catalog.>) 0 THEN
    EXECUTE statements.writes INTO STRICT done USING chunk;
    SELECT decided OPERATOR(pg_catalog.+) done.decided, again OPERATOR(pg_catalog.+) done.again, left_out OPERATOR(pg_catalog.+) done.left_out,
           CASE WHEN pg_catalog.cardinality(examples) OPERATOR(pg_catalog.<) 5 THEN examples OPERATOR(pg_catalog.||) done.examples ELSE examples END, chunks OPERATOR(pg_catalog.+) 1
      INTO decided, again, left_out, examples, chunks;
    IF commits THEN
      COMMIT;
    END IF;
  END IF;
  RAISE NOTICE 'requests decided: %, chunks: %', decided, chunks;
  IF again OPERATOR(pg_catalog.>) 0 THEN
    RAISE NOTICE 'requests of a user and a surface that have a result, passed by: %', again;
  END IF;
  IF left_out OPERATOR(pg_catalog.>) 0 THEN
    RAISE NOTICE 'requests not decided: %, such as %', left_out, pg_catalog.array_to_string(examples, '; ');
  END IF;
END
$$;
COMMENT ON PROCEDURE decide.decide_batch(text, regclass, integer, boolean) IS
  'Decides on the requests of a query that have no row in a table of results yet, writes the answers there, and commits chunk by chunk; called again after an interruption it goes on';
