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
  'Decides on many requests, objects with user_id, surface and, if wanted, context: one row per slot of each, and a trace for each';

-- What the procedure below runs, with the rights of its caller: every name and operator is qualified.
CREATE FUNCTION decide.batch_statements(requests text, results regclass, chunk_size integer, commits boolean)
RETURNS TABLE (reads text, writes text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  missing CONSTANT text := CASE WHEN requests IS NULL THEN 'requests' WHEN results IS NULL THEN 'results'
                                WHEN chunk_size IS NULL THEN 'chunk_size' WHEN commits IS NULL THEN 'commits' END;
  target text;
  user_type text;
BEGIN
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION '% must not be null', missing USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF chunk_size NOT BETWEEN 1 AND 10000 THEN
    RAISE EXCEPTION 'chunk_size must be between 1 and 10,000' USING ERRCODE = 'invalid_parameter_value',
      DETAIL = format('It is %s.', chunk_size),
      HINT = 'The rows of the users of a chunk stay locked until it is committed; a few hundred are fast enough.';
  END IF;
  -- The names of what the caller's search_path may not find, or find elsewhere.
  SELECT format('%I.%I', n.nspname, c.relname), format('%I.%I', tn.nspname, t.typname) INTO target, user_type
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
    JOIN pg_type AS t ON t.oid = a.atttypid JOIN pg_namespace AS tn ON tn.oid = t.typnamespace
   WHERE c.oid = results;
  IF user_type IS NULL OR NOT EXISTS (
    SELECT FROM pg_index AS i
     WHERE i.indrelid = results AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnatts = 3
       AND ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) ORDER BY 1)
           = '{slot,surface,user_id}'::text[])
  THEN
    RAISE EXCEPTION '% has no unique index on user_id, surface and slot', results USING ERRCODE = 'object_not_in_prerequisite_state',
      DETAIL = 'By that index nobody is decided upon twice, whoever else writes results.',
      HINT = 'Make a table of your own: CREATE TABLE … (user_id text, surface text, slot integer, action text, '
             'probability double precision, decision_id uuid, reason text, PRIMARY KEY (user_id, surface, slot)).';
  END IF;
  -- Where the requests have no column context, the name means that of "none".
  reads := format('SELECT pg_catalog.jsonb_build_object(''user_id'', f.user_id, ''surface'', f.surface, ''context'', f.context)'
    ' FROM (SELECT ''{}''::pg_catalog.jsonb AS context) AS none'
    ' CROSS JOIN LATERAL (SELECT q.user_id::pg_catalog.text AS user_id, q.surface::pg_catalog.text AS surface, context FROM (%s' || E'\n' ||
    ') AS q) AS f'
    ' WHERE NOT EXISTS (SELECT FROM %s AS r WHERE r.user_id::pg_catalog.text OPERATOR(pg_catalog.=) f.user_id'
    ' AND r.surface::pg_catalog.text OPERATOR(pg_catalog.=) f.surface)', requests, target);
  writes := format('INSERT INTO %s (user_id, surface, slot, action, probability, decision_id, reason)'
    ' SELECT b.user_id::%s, b.surface, b.slot, b.action, b.probability, b.decision_id, b.reason'
    ' FROM decide.decide_batch($1) AS b', target, user_type);
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
  chunk pg_catalog.jsonb[] := '{}';
  decided pg_catalog.int8 := 0;
  chunks pg_catalog.int8 := 0;
  next_notice pg_catalog.timestamptz := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '10 seconds'::pg_catalog.interval;
BEGIN
  SELECT b.reads, b.writes INTO STRICT statements FROM decide.batch_statements(requests, results, chunk_size, commits) AS b;
  FOR request IN EXECUTE statements.reads LOOP
    chunk := pg_catalog.array_append(chunk, request);
    CONTINUE WHEN pg_catalog.cardinality(chunk) OPERATOR(pg_catalog.<) chunk_size;
    EXECUTE statements.writes USING chunk;
    decided := decided OPERATOR(pg_catalog.+) pg_catalog.cardinality(chunk);
    chunks := chunks OPERATOR(pg_catalog.+) 1;
    chunk := '{}';
    IF commits THEN
      COMMIT;
    END IF;
    IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>=) next_notice THEN
      RAISE NOTICE 'requests decided so far: %', decided;
      next_notice := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '10 seconds'::pg_catalog.interval;
    END IF;
  END LOOP;
  IF pg_catalog.cardinality(chunk) OPERATOR(pg_catalog.>) 0 THEN
    EXECUTE statements.writes USING chunk;
    decided := decided OPERATOR(pg_catalog.+) pg_catalog.cardinality(chunk);
    chunks := chunks OPERATOR(pg_catalog.+) 1;
    IF commits THEN
      COMMIT;
    END IF;
  END IF;
  RAISE NOTICE 'requests decided: %, chunks: %', decided, chunks;
END
$$;
COMMENT ON PROCEDURE decide.decide_batch(text, regclass, integer, boolean) IS
  'Decides on the requests of a query that have no row in a table of results yet, writes the answers there, and commits chunk by chunk; called again after an interruption it goes on';
