-- Erasure of persons: what is asked for, what is left to do, and what remains of it.

CREATE TABLE decide.erasure (
  erasure uuid PRIMARY KEY,
  asked_at timestamptz NOT NULL,
  asked_by text NOT NULL DEFAULT SESSION_USER,
  acting_as text NOT NULL,
  persons integer NOT NULL,
  held integer NOT NULL DEFAULT 0,
  users bigint NOT NULL DEFAULT 0,
  traces bigint NOT NULL DEFAULT 0,
  outcomes bigint NOT NULL DEFAULT 0,
  events bigint NOT NULL DEFAULT 0,
  quarantined bigint NOT NULL DEFAULT 0,
  inbox bigint NOT NULL DEFAULT 0,
  waits_for text,
  not_reached text[] NOT NULL DEFAULT '{}',
  finished_at timestamptz
);
COMMENT ON TABLE decide.erasure IS 'Receipts of erasures, without identity: what was deleted and when, and what could not be reached';
COMMENT ON COLUMN decide.erasure.erasure IS 'Identifier, as decide.erase answers it; in order of time';
COMMENT ON COLUMN decide.erasure.asked_at IS 'When it was asked for: from that commit on the past of the persons is not used';
COMMENT ON COLUMN decide.erasure.asked_by IS 'Who asked for it (the session''s user)';
COMMENT ON COLUMN decide.erasure.acting_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.erasure.persons IS 'How many persons';
COMMENT ON COLUMN decide.erasure.held IS 'How many of them wait for the end of a legal hold; nothing of these is deleted yet';
COMMENT ON COLUMN decide.erasure.users IS 'Deleted rows of decide.user_state';
COMMENT ON COLUMN decide.erasure.traces IS 'Deleted traces';
COMMENT ON COLUMN decide.erasure.outcomes IS 'Deleted outcomes';
COMMENT ON COLUMN decide.erasure.events IS 'Deleted events';
COMMENT ON COLUMN decide.erasure.quarantined IS 'Deleted events of the quarantine';
COMMENT ON COLUMN decide.erasure.inbox IS 'Deleted events of the inbox';
COMMENT ON COLUMN decide.erasure.waits_for IS
  'What it waits for: the job, transactions that were open, reservations of budgets, or a legal hold (null: nothing)';
COMMENT ON COLUMN decide.erasure.not_reached IS 'Tables that could have rows of the persons, and from which nothing was deleted: detached partitions, and others with the SQLSTATE';
COMMENT ON COLUMN decide.erasure.finished_at IS 'When the last row was deleted (null: not yet)';

-- The only rows that tell whom an erasure is about. They go with the last row of the person.
CREATE TABLE decide.erasing (
  erasure uuid NOT NULL,
  user_key uuid NOT NULL,
  erased_at timestamptz NOT NULL,
  until timestamptz,
  open_transactions text[],
  pass uuid,
  PRIMARY KEY (user_key, erasure)
);
COMMENT ON TABLE decide.erasing IS 'Persons whose rows the job "erasure" has yet to delete; views and training leave them out';
COMMENT ON COLUMN decide.erasing.erasure IS 'Receipt';
COMMENT ON COLUMN decide.erasing.user_key IS 'Pseudonym of the person';
COMMENT ON COLUMN decide.erasing.erased_at IS 'When the row of the person was deleted: events that came later are kept';
COMMENT ON COLUMN decide.erasing.until IS 'When the job has seen it: decisions that were made later are kept (null: not seen yet)';
COMMENT ON COLUMN decide.erasing.open_transactions IS 'Transactions that were open then, and may have been writing rows of the person';
COMMENT ON COLUMN decide.erasing.pass IS 'Pass over the tables in which the rows of the person are deleted (null: none yet)';

CREATE TABLE decide.erasure_part (
  pass uuid NOT NULL,
  part text NOT NULL,
  failed text,
  PRIMARY KEY (pass, part)
);
COMMENT ON TABLE decide.erasure_part IS 'Tables and partitions that a pass of the job "erasure" is done with';
COMMENT ON COLUMN decide.erasure_part.pass IS 'Pass';
COMMENT ON COLUMN decide.erasure_part.part IS 'Table or partition';
COMMENT ON COLUMN decide.erasure_part.failed IS 'SQLSTATE for which nothing could be deleted from it (null: it was)';

CREATE TABLE decide.tombstone (
  person uuid PRIMARY KEY,
  erased_at timestamptz NOT NULL
);
CREATE INDEX ON decide.tombstone (erased_at);
COMMENT ON TABLE decide.tombstone IS 'Persons who were erased, so that late events do not bring them back; the job "erasure" deletes the row after pg_decide.tombstone_retention';
COMMENT ON COLUMN decide.tombstone.person IS 'Keyed hash of the pseudonym, which it does not tell';
COMMENT ON COLUMN decide.tombstone.erased_at IS 'When the person was erased last';

CREATE TABLE decide.legal_hold (
  user_key uuid PRIMARY KEY,
  why text NOT NULL,
  since timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  placed_by text NOT NULL DEFAULT SESSION_USER,
  acting_as text NOT NULL,
  erasures uuid[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE decide.legal_hold IS 'Persons whose rows must be kept for now: an erasure waits until the hold is lifted';
COMMENT ON COLUMN decide.legal_hold.user_key IS 'Pseudonym of the person';
COMMENT ON COLUMN decide.legal_hold.why IS 'Reason, such as a file number';
COMMENT ON COLUMN decide.legal_hold.since IS 'Since when';
COMMENT ON COLUMN decide.legal_hold.placed_by IS 'Who placed it (the session''s user)';
COMMENT ON COLUMN decide.legal_hold.acting_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.legal_hold.erasures IS 'Receipts of erasures that wait for its end';

CREATE TABLE decide.refused_event (
  day date NOT NULL,
  why text NOT NULL,
  event_type text NOT NULL,
  stripe integer NOT NULL,
  events bigint NOT NULL,
  PRIMARY KEY (day, why, event_type, stripe)
);
COMMENT ON TABLE decide.refused_event IS 'How many events were refused and not kept, without identity';
COMMENT ON COLUMN decide.refused_event.day IS 'Day on which they came (UTC)';
COMMENT ON COLUMN decide.refused_event.why IS 'erased: of the past of a person who was erased; consent: a purpose was denied';
COMMENT ON COLUMN decide.refused_event.event_type IS 'Type';
COMMENT ON COLUMN decide.refused_event.stripe IS 'Process that has counted them; 0: merged';
COMMENT ON COLUMN decide.refused_event.events IS 'How many';

-- The verbs leave a receipt that names their caller, so they are not SECURITY DEFINER.
CREATE FUNCTION decide.erase(user_id text) RETURNS uuid
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'erase_text_wrapper';
COMMENT ON FUNCTION decide.erase(text) IS
  'Erases a person: from commit on nothing of their past is used, and the job "erasure" deletes their rows; answers the receipt in decide.erasure';
CREATE FUNCTION decide.erase(user_id bigint) RETURNS uuid
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'erase_bigint_wrapper';
COMMENT ON FUNCTION decide.erase(bigint) IS
  'Erases a person: from commit on nothing of their past is used, and the job "erasure" deletes their rows; answers the receipt in decide.erasure';
CREATE FUNCTION decide.erase(user_id uuid) RETURNS uuid
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'erase_uuid_wrapper';
COMMENT ON FUNCTION decide.erase(uuid) IS
  'Erases a person: from commit on nothing of their past is used, and the job "erasure" deletes their rows; answers the receipt in decide.erasure';
CREATE FUNCTION decide.erase(user_keys uuid[]) RETURNS uuid
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'erase_many_wrapper';
COMMENT ON FUNCTION decide.erase(uuid[]) IS
  'Erases many persons, given by their pseudonyms, with one receipt';

CREATE FUNCTION decide.set_legal_hold(user_id text, why text) RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_legal_hold_wrapper';
COMMENT ON FUNCTION decide.set_legal_hold(text, text) IS 'Places a person under a legal hold: an erasure waits until it is lifted';
CREATE FUNCTION decide.lift_legal_hold(user_id text) RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'lift_legal_hold_wrapper';
COMMENT ON FUNCTION decide.lift_legal_hold(text) IS 'Lifts the legal hold of a person; erasures that have waited for it begin';

-- Corrections of counters refuse to be deleted, as traces do.
CREATE FUNCTION decide.forget_corrections(user_key uuid) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
SET pg_decide.erasing = on
AS $$ DELETE FROM decide.adjustment AS a WHERE a.user_key = forget_corrections.user_key $$;
COMMENT ON FUNCTION decide.forget_corrections(uuid) IS 'Deletes the corrections of the counters of a person who is erased';

-- The job.

CREATE FUNCTION decide.open_transactions() RETURNS text[]
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT ARRAY(SELECT l.virtualtransaction FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
                WHERE l.locktype = 'virtualxid' AND l.pid <> pg_backend_pid()
                  AND a.datid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
                  AND a.backend_type IS DISTINCT FROM 'autovacuum worker' AND a.backend_type IS DISTINCT FROM 'walsender'
                UNION
               SELECT 'prepared/' || p.transaction::text FROM pg_prepared_xacts AS p WHERE p.database = current_database())
$$;
COMMENT ON FUNCTION decide.open_transactions() IS 'The other transactions of this database that are open, prepared ones included';

CREATE FUNCTION decide.begin_erasure() RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  others CONSTANT text[] := decide.open_transactions();
  begun uuid;
BEGIN
  -- A snapshot from before could not see rows that other transactions have written since.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'the job "erasure" cannot run in a transaction that sees one snapshot' USING ERRCODE = 'active_sql_transaction',
      DETAIL = format('The isolation level is %s.', current_setting('transaction_isolation')), HINT = 'Run it in a transaction that is READ COMMITTED.';
  END IF;
  UPDATE decide.erasing AS e SET until = clock_timestamp(), open_transactions = others WHERE e.until IS NULL;
  SELECT e.pass INTO begun FROM decide.erasing AS e WHERE e.pass IS NOT NULL LIMIT 1;
  IF NOT FOUND THEN
    begun := gen_random_uuid();
    UPDATE decide.erasing AS e SET pass = begun WHERE NOT e.open_transactions && others;
    IF NOT FOUND THEN
      begun := NULL;
    END IF;
  END IF;
  UPDATE decide.erasure AS r SET waits_for = s.waits_for
    FROM (SELECT e.erasure, CASE WHEN bool_or(e.pass IS NULL AND e.open_transactions && others) THEN 'transactions that were open' ELSE 'the job' END AS waits_for
            FROM decide.erasing AS e GROUP BY e.erasure) AS s
   WHERE r.erasure = s.erasure AND r.waits_for IS DISTINCT FROM s.waits_for;
  RETURN begun;
END
$$;
COMMENT ON FUNCTION decide.begin_erasure() IS
  'Notes which transactions are open of erasures that are new, and begins a pass for those whose are over; answers the pass (null: there is none)';

CREATE FUNCTION decide.erasure_parts() RETURNS TABLE (part text, of text, place int)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT t.relid::regclass::text, p.parent, p.place
    FROM (VALUES ('trace', 1), ('outcome', 2), ('event', 3)) AS p (parent, place)
   CROSS JOIN LATERAL pg_partition_tree(format('decide.%I', p.parent)::regclass) AS t WHERE t.isleaf
   UNION ALL
  SELECT 'decide.' || t.name, t.name, 4 FROM (VALUES ('quarantine'), ('event_inbox'), ('outcome_queue'), ('user_decision'), ('attributed_event')) AS t (name)
   UNION ALL
  -- copies of a day that is about to get its partition
  SELECT c.oid::regclass::text, substring(c.relname FROM '^[a-z]+'), 5
    FROM pg_class AS c WHERE c.relnamespace = 'decide'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(trace|outcome|event)_[0-9]{8}_moving$'
$$;
COMMENT ON FUNCTION decide.erasure_parts() IS 'The tables and partitions that have rows of persons, and in which order an erasure goes through them';

CREATE FUNCTION decide.reserves_of_budget(holds bigint[]) RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN holds IS NOT NULL AND EXISTS (SELECT FROM generate_series(3, cardinality(holds), 4) AS i WHERE holds[i] >= 0);
COMMENT ON FUNCTION decide.reserves_of_budget(bigint[]) IS 'Whether a decision has reserved something of a budget, by the column holds of its trace';

-- What of a part may be deleted: t is the part, e the person, and $3 the time from which on the job "budgets" has yet to look for
-- what events have confirmed: of a decision that has reserved something since then, trace and outcomes stay.
CREATE FUNCTION decide.erasable(of text, settled boolean) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN CASE of
  WHEN 'trace' THEN 't.decided_at <= e.until' || CASE WHEN settled THEN ' AND (t.decided_at < $3 OR NOT decide.reserves_of_budget(t.holds))' ELSE '' END
  WHEN 'outcome' THEN 't.decided_at <= e.until' || CASE WHEN settled THEN
    ' AND (t.decided_at < $3 OR NOT EXISTS (SELECT FROM decide.trace AS r WHERE r.decision_id = t.decision_id AND r.user_key = t.user_key AND r.decided_at = t.decided_at))' ELSE '' END
  WHEN 'user_decision' THEN 't.decided_at <= e.until'
  ELSE 't.received_at <= e.erased_at' END;
COMMENT ON FUNCTION decide.erasable(text, boolean) IS 'The condition on rows that an erasure deletes, as SQL';

CREATE FUNCTION decide.erase_next(pass uuid, settled_before timestamptz, skipped text[]) RETURNS TABLE (part text, rows bigint, state text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET pg_decide.erasing = on
SET lock_timeout = '200ms'
SET enable_nestloop = off
-- what is switched off costs so much, before PostgreSQL 18, that each statement would be compiled
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  most CONSTANT bigint := 10000;
  -- As a constant of the statement, so that it is planned for as many persons as there are: one scan looks up each row in a
  -- hash of them, or, where an index begins with the person, each person in that; never a scan for each person.
  persons CONSTANT uuid[] := ARRAY(SELECT DISTINCT e.user_key FROM decide.erasing AS e WHERE e.pass = erase_next.pass);
  next record;
  rows_of text;
  tids tid[];
  receipts uuid[];
  waits boolean := false;
BEGIN
  SELECT p.part, p.of INTO next FROM decide.erasure_parts() AS p
   WHERE p.part <> ALL (skipped)
     AND NOT EXISTS (SELECT FROM decide.erasure_part AS d WHERE d.pass = erase_next.pass AND d.part = p.part)
   ORDER BY p.place, p.part LIMIT 1;
  IF NOT FOUND THEN
    RETURN QUERY SELECT NULL::text, 0::bigint, 'none';
    RETURN;
  END IF;
  rows_of := format('WITH t AS MATERIALIZED (SELECT p.ctid AS tid, p.user_key, %s FROM %s AS p WHERE p.user_key = ANY ($1)) ',
                    CASE next.of WHEN 'trace' THEN 'p.decided_at, p.holds' WHEN 'outcome' THEN 'p.decided_at, p.decision_id' WHEN 'user_decision' THEN 'p.decided_at' ELSE 'p.received_at' END, next.part);
  BEGIN
    EXECUTE rows_of || format('SELECT array_agg(f.tid), array_agg(f.erasure) FROM ('
                   'SELECT DISTINCT ON (t.tid) t.tid, e.erasure FROM t JOIN decide.erasing AS e ON e.user_key = t.user_key '
                   ' WHERE e.pass = $2 AND %s LIMIT $4) AS f', decide.erasable(next.of, true))
      INTO tids, receipts USING persons, pass, settled_before, most;
    IF tids IS NOT NULL THEN
      EXECUTE format('DELETE FROM %s WHERE ctid = ANY ($1) AND user_key = ANY ($2)', next.part)
        USING tids, persons;
      UPDATE decide.erasure AS r
         SET traces = r.traces + CASE WHEN next.of = 'trace' THEN n.rows ELSE 0 END,
             outcomes = r.outcomes + CASE WHEN next.of = 'outcome' THEN n.rows ELSE 0 END,
             events = r.events + CASE WHEN next.of = 'event' THEN n.rows ELSE 0 END,
             quarantined = r.quarantined + CASE WHEN next.of = 'quarantine' THEN n.rows ELSE 0 END,
             inbox = r.inbox + CASE WHEN next.of = 'event_inbox' THEN n.rows ELSE 0 END
        FROM (SELECT u.erasure, count(*) AS rows FROM unnest(receipts) AS u (erasure) GROUP BY u.erasure) AS n
       WHERE r.erasure = n.erasure;
    END IF;
    IF cardinality(tids) = most THEN
      RETURN QUERY SELECT next.part, most, 'more';
      RETURN;
    END IF;
    IF next.of IN ('trace', 'outcome') AND isfinite(settled_before) THEN
      EXECUTE rows_of || format('SELECT EXISTS (SELECT FROM t JOIN decide.erasing AS e ON e.user_key = t.user_key WHERE e.pass = $2 AND %s AND t.decided_at >= $3)',
                                decide.erasable(next.of, false))
        INTO waits USING persons, pass, settled_before;
    END IF;
  EXCEPTION
    WHEN lock_not_available OR deadlock_detected OR serialization_failure OR insufficient_resources OR operator_intervention THEN
      RAISE;
    WHEN OTHERS THEN
      -- A partition that is a foreign table, or lies where nothing can be written: the receipt says so.
      INSERT INTO decide.erasure_part (pass, part, failed) VALUES (erase_next.pass, next.part, SQLSTATE);
      RETURN QUERY SELECT next.part, 1::bigint, 'done';
      RETURN;
  END;
  IF NOT waits THEN
    INSERT INTO decide.erasure_part (pass, part) VALUES (erase_next.pass, next.part);
  END IF;
  RETURN QUERY SELECT next.part, COALESCE(cardinality(tids), 0)::bigint, CASE WHEN waits THEN 'waits' ELSE 'done' END;
END
$$;
COMMENT ON FUNCTION decide.erase_next(uuid, timestamptz, text[]) IS
  'Deletes rows of the persons of a pass from the next table or partition: done, more (there are more rows), waits (for budgets), or none (nothing is left)';

CREATE FUNCTION decide.finish_erasure(pass uuid, skipped text[]) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  missed text[];
  finished bigint;
BEGIN
  IF skipped <> '{}' THEN
    UPDATE decide.erasure AS r SET waits_for = 'reservations of budgets'
     WHERE r.erasure IN (SELECT e.erasure FROM decide.erasing AS e WHERE e.pass = finish_erasure.pass);
    RETURN 0;
  END IF;
  SELECT ARRAY(SELECT d.part || ': ' || d.failed FROM decide.erasure_part AS d WHERE d.pass = finish_erasure.pass AND d.failed IS NOT NULL
                UNION ALL
               SELECT c.oid::regclass::text || ': detached' FROM pg_class AS c
                WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relname ~ '^(trace|outcome|event)_[0-9]{8}$'
                  AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'user_key' AND NOT a.attisdropped)
                ORDER BY 1) INTO missed;
  UPDATE decide.erasure AS r
     SET not_reached = ARRAY(SELECT DISTINCT u FROM unnest(r.not_reached || missed) AS u ORDER BY u),
         waits_for = CASE WHEN r.held > 0 THEN 'a legal hold' END,
         finished_at = CASE WHEN r.held = 0 THEN clock_timestamp() END
   WHERE r.erasure IN (SELECT e.erasure FROM decide.erasing AS e WHERE e.pass = finish_erasure.pass)
     AND NOT EXISTS (SELECT FROM decide.erasing AS o WHERE o.erasure = r.erasure AND o.pass IS DISTINCT FROM finish_erasure.pass);
  -- Notes of transactions that were open when the person was erased.
  DELETE FROM decide.pseudonym_move AS m USING decide.erasing AS e WHERE e.pass = finish_erasure.pass AND m.old_key = e.user_key;
  DELETE FROM decide.erasing AS e WHERE e.pass = finish_erasure.pass;
  GET DIAGNOSTICS finished = ROW_COUNT;
  DELETE FROM decide.erasure_part AS d WHERE d.pass = finish_erasure.pass;
  RETURN finished;
END
$$;
COMMENT ON FUNCTION decide.finish_erasure(uuid, text[]) IS 'Ends a pass that has been through all tables but those skipped; answers for how many persons';

CREATE FUNCTION decide.tidy_erasures(before timestamptz) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  expired bigint;
BEGIN
  -- Counts of past days: the processes that have made them add no more to these.
  WITH gone AS (
    DELETE FROM decide.refused_event AS r WHERE r.stripe <> 0 AND r.day < (clock_timestamp() AT TIME ZONE 'UTC')::date - 1
    RETURNING r.day, r.why, r.event_type, r.events
  )
  INSERT INTO decide.refused_event AS r (day, why, event_type, stripe, events)
  SELECT g.day, g.why, g.event_type, 0, sum(g.events) FROM gone AS g GROUP BY 1, 2, 3
  ON CONFLICT (day, why, event_type, stripe) DO UPDATE SET events = r.events + excluded.events;
  WITH gone AS (
    DELETE FROM decide.uncoarsened AS u WHERE u.stripe <> 0 AND u.day < (clock_timestamp() AT TIME ZONE 'UTC')::date - 1
    RETURNING u.day, u.field, u.events
  )
  INSERT INTO decide.uncoarsened AS u (day, field, stripe, events)
  SELECT g.day, g.field, 0, sum(g.events) FROM gone AS g GROUP BY 1, 2
  ON CONFLICT (day, field, stripe) DO UPDATE SET events = u.events + excluded.events;
  DELETE FROM decide.tombstone AS t WHERE t.person = ANY (ARRAY(
    SELECT o.person FROM decide.tombstone AS o WHERE o.erased_at < before
       AND NOT EXISTS (SELECT FROM decide.erasing) ORDER BY o.erased_at LIMIT 10000 FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS expired = ROW_COUNT;
  RETURN expired;
END
$$;
COMMENT ON FUNCTION decide.tidy_erasures(timestamptz) IS 'Merges counts of refused events and of attributes that could not be coarsened, of past days, and deletes tombstones from before that time; answers how many of these';
