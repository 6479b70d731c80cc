-- The keys of the pseudonyms: a new one, and the way of persons from an old one to it.

CREATE FUNCTION decide.key_number(user_key uuid) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_catalog.get_byte(pg_catalog.uuid_send(user_key), 6) & 15;
COMMENT ON FUNCTION decide.key_number(uuid) IS 'The number of the key under which a pseudonym was made';

CREATE VIEW decide.pseudonym_key AS
SELECT s.number, s.created_at, s.created_by, s.acting_as,
       s.created_at = pg_catalog.max(s.created_at) OVER () AS is_newest,
       s.key IS NULL AS is_outside, s.settled, s.checked_at, s.kept_in
  FROM decide.secret AS s;
COMMENT ON VIEW decide.pseudonym_key IS 'The living keys of the pseudonyms, without the keys themselves';
COMMENT ON COLUMN decide.pseudonym_key.number IS 'Number, as decide.key_number answers it for a pseudonym';
COMMENT ON COLUMN decide.pseudonym_key.created_at IS 'When it was drawn';
COMMENT ON COLUMN decide.pseudonym_key.created_by IS 'Who did that (the session''s user)';
COMMENT ON COLUMN decide.pseudonym_key.acting_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.pseudonym_key.is_newest IS 'Whether new persons get pseudonyms of it';
COMMENT ON COLUMN decide.pseudonym_key.is_outside IS 'Whether the key is outside of the database';
COMMENT ON COLUMN decide.pseudonym_key.settled IS 'Whether no transaction is open any more that may not have known it';
COMMENT ON COLUMN decide.pseudonym_key.checked_at IS 'When the job "pseudonyms" has last looked for rows under it';
COMMENT ON COLUMN decide.pseudonym_key.kept_in IS 'Table in which there were some then, the first that was found';

CREATE TABLE decide.pseudonym_move (
  old_key uuid NOT NULL,
  new_key uuid NOT NULL,
  noted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
-- Nobody waits for anybody to note a person, so there is no unique key.
CREATE INDEX ON decide.pseudonym_move (old_key);
CREATE INDEX ON decide.pseudonym_move (noted_at);
-- For publications of all tables.
ALTER TABLE decide.pseudonym_move REPLICA IDENTITY FULL;
COMMENT ON TABLE decide.pseudonym_move IS 'Persons who were seen again since a rotation, until the job "pseudonyms" moves them to the newest key; one may have several rows';
COMMENT ON COLUMN decide.pseudonym_move.old_key IS 'Pseudonym under which the person is found';
COMMENT ON COLUMN decide.pseudonym_move.new_key IS 'Pseudonym under the newest key';
COMMENT ON COLUMN decide.pseudonym_move.noted_at IS 'When the person was seen';

-- It leaves a record that names its caller, so it is not SECURITY DEFINER.
CREATE FUNCTION decide.rotate_pseudonyms() RETURNS integer
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rotate_pseudonyms_wrapper';
COMMENT ON FUNCTION decide.rotate_pseudonyms() IS
  'Gives the pseudonyms a new key, for new persons from commit on; those who are known are found under the old one, and moved by the job "pseudonyms" once they are seen again; answers the number of the key';

CREATE FUNCTION decide.user_keys(user_id text) RETURNS uuid[]
LANGUAGE c STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'user_keys_text_wrapper';
COMMENT ON FUNCTION decide.user_keys(text) IS
  'All pseudonyms under which rows of a person may be: of every living key, and of all users who were merged with them';
CREATE FUNCTION decide.user_keys(user_id bigint) RETURNS uuid[]
LANGUAGE c STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'user_keys_bigint_wrapper';
COMMENT ON FUNCTION decide.user_keys(bigint) IS
  'All pseudonyms under which rows of a person may be: of every living key, and of all users who were merged with them';
CREATE FUNCTION decide.user_keys(user_id uuid) RETURNS uuid[]
LANGUAGE c STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'user_keys_uuid_wrapper';
COMMENT ON FUNCTION decide.user_keys(uuid) IS
  'All pseudonyms under which rows of a person may be: of every living key, and of all users who were merged with them';

-- The job.

CREATE FUNCTION decide.settle_pseudonyms() RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  others CONSTANT text[] := decide.open_transactions();
  unsettled record;
BEGIN
  -- A snapshot from before could not see rows that other transactions have written since.
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'the job "pseudonyms" cannot run in a transaction that sees one snapshot' USING ERRCODE = 'active_sql_transaction',
      DETAIL = format('The isolation level is %s.', current_setting('transaction_isolation')), HINT = 'Run it in a transaction that is READ COMMITTED.';
  END IF;
  SELECT s.number, s.created_at, s.open_transactions INTO unsettled FROM decide.secret AS s WHERE NOT s.settled ORDER BY s.created_at LIMIT 1;
  IF NOT FOUND THEN
    RETURN 'settled';
  ELSIF unsettled.created_at >= transaction_timestamp() THEN
    -- it may not be committed yet
    RETURN 'waits';
  ELSIF unsettled.open_transactions IS NULL THEN
    UPDATE decide.secret AS s SET open_transactions = others WHERE s.number = unsettled.number;
    RETURN 'waits';
  END IF;
  RETURN CASE WHEN unsettled.open_transactions && others THEN 'waits' ELSE 'over' END;
END
$$;
COMMENT ON FUNCTION decide.settle_pseudonyms() IS
  'Whether the last rotation is settled, waits for transactions that were open when the job has first seen it, or these are over';

CREATE FUNCTION decide.pseudonyms_without_row(most integer) RETURNS SETOF uuid
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT DISTINCT k.user_key
    FROM (SELECT q.user_key FROM decide.quarantine AS q UNION ALL SELECT i.user_key FROM decide.event_inbox AS i) AS k
   WHERE decide.key_number(k.user_key) <> (SELECT s.number FROM decide.secret AS s ORDER BY s.created_at DESC LIMIT 1)
     AND NOT EXISTS (SELECT FROM decide.user_state AS s WHERE s.user_key = k.user_key)
   LIMIT most
$$;
COMMENT ON FUNCTION decide.pseudonyms_without_row(integer) IS
  'Pseudonyms of older keys that events of the inbox or the quarantine have, and that have no row in decide.user_state';

CREATE FUNCTION decide.move_rows(old_key uuid, new_key uuid) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
SET pg_decide.erasing = on
AS $$
  UPDATE decide.consent_log AS l SET user_key = new_key
   WHERE l.user_key = old_key
     AND NOT EXISTS (SELECT FROM decide.consent_log AS o WHERE (o.user_key, o.purpose, o.at, o.granted) = (new_key, l.purpose, l.at, l.granted));
  DELETE FROM decide.consent_log AS l WHERE l.user_key = old_key;
  UPDATE decide.request AS r SET user_key = new_key
   WHERE r.user_key = old_key AND NOT EXISTS (SELECT FROM decide.request AS o WHERE o.user_key = new_key AND o.request_key = r.request_key);
  -- An audit takes no UPDATE.
  INSERT INTO decide.adjustment (adjustment_id, user_key, at, by, acting_as, cap, value, slot, window_start, window_end, amount, before, after, why)
  SELECT a.adjustment_id, new_key, a.at, a.by, a.acting_as, a.cap, a.value, a.slot, a.window_start, a.window_end, a.amount, a.before, a.after, a.why
    FROM decide.adjustment AS a WHERE a.user_key = old_key;
  DELETE FROM decide.adjustment AS a WHERE a.user_key = old_key;
  UPDATE decide.legal_hold AS h SET user_key = new_key
   WHERE h.user_key = old_key AND NOT EXISTS (SELECT FROM decide.legal_hold AS o WHERE o.user_key = new_key);
  DELETE FROM decide.pseudonym_move AS m WHERE m.old_key = move_rows.old_key;
$$;
COMMENT ON FUNCTION decide.move_rows(uuid, uuid) IS 'Gives the small tables the new pseudonym of a person whose row has it already';

CREATE FUNCTION decide.kept_under(key_number integer, OUT kept_in text, OUT part text, OUT place tid)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Small tables first. Rows of users who have moved are no hindrance: they go with the key.
  SELECT 'tombstone', 'decide.tombstone', t.ctid INTO kept_in, part, place
    FROM decide.tombstone AS t WHERE decide.key_number(t.person) = kept_under.key_number LIMIT 1;
  IF FOUND THEN
    RETURN;
  END IF;
  FOREACH kept_in IN ARRAY ARRAY['pseudonym_move', 'legal_hold', 'erasing', 'request', 'adjustment', 'consent_log', 'quarantine', 'event_inbox', 'outcome_queue',
                                 'user_state', 'attributed_event', 'user_decision', 'outcome', 'event', 'trace'] LOOP
    EXECUTE format('SELECT k.tableoid::regclass::text, k.ctid FROM decide.%I AS k WHERE decide.key_number(k.%I) = $1 AND k.%I <> ''00000000-0000-0000-0000-000000000000'' %s LIMIT 1',
                   kept_in, CASE kept_in WHEN 'pseudonym_move' THEN 'old_key' ELSE 'user_key' END, CASE kept_in WHEN 'pseudonym_move' THEN 'old_key' ELSE 'user_key' END,
                   CASE kept_in WHEN 'user_state' THEN 'AND k.merged_into IS NULL' ELSE '' END)
      INTO part, place USING kept_under.key_number;
    IF place IS NOT NULL THEN
      RETURN;
    END IF;
  END LOOP;
  kept_in := NULL;
END
$$;
COMMENT ON FUNCTION decide.kept_under(integer) IS
  'The first table that has rows of persons under a key, and where the first row is that was found; nulls if none has, but for rows of users who have moved';

-- Traces, outcomes and events stay where they are until their partition goes, and there may be very many: as long as the row
-- is there that was found last, nothing else is looked at.
CREATE FUNCTION decide.is_still_kept(key_number integer, part text, place tid) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  is_there boolean;
BEGIN
  IF part !~ '^decide\.(trace|outcome|event)_[a-z0-9]+$' OR to_regclass(part) IS NULL THEN
    RETURN false;
  END IF;
  EXECUTE format('SELECT EXISTS (SELECT FROM %s AS k WHERE k.ctid = $1 AND decide.key_number(k.user_key) = $2)', to_regclass(part))
    INTO is_there USING place, is_still_kept.key_number;
  RETURN is_there;
END
$$;
COMMENT ON FUNCTION decide.is_still_kept(integer, text, tid) IS
  'Whether the row of a daily table is still there by which decide.kept_under has found that a key is in use; one look-up';

CREATE FUNCTION decide.key_to_check() RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  checked record;
  kept record;
BEGIN
  SELECT s.number, s.kept_part, s.kept_place INTO checked FROM decide.secret AS s
   WHERE s.created_at < (SELECT max(n.created_at) FROM decide.secret AS n) AND NOT EXISTS (SELECT FROM decide.secret AS u WHERE NOT u.settled)
     AND (s.checked_at IS NULL OR s.checked_at < clock_timestamp() - interval '1 hour')
   ORDER BY s.created_at LIMIT 1;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF checked.kept_part IS NOT NULL AND decide.is_still_kept(checked.number, checked.kept_part, checked.kept_place) THEN
    UPDATE decide.secret AS s SET checked_at = clock_timestamp() WHERE s.number = checked.number;
    RETURN NULL;
  END IF;
  SELECT * INTO kept FROM decide.kept_under(checked.number);
  UPDATE decide.secret AS s
     SET checked_at = clock_timestamp(), kept_in = kept.kept_in, kept_part = kept.part, kept_place = kept.place
   WHERE s.number = checked.number;
  RETURN CASE WHEN kept.kept_in IS NULL THEN checked.number END;
END
$$;
COMMENT ON FUNCTION decide.key_to_check() IS
  'Looks for rows under an older key that was not looked for within the hour; its number if there are none, so that it can go';

CREATE FUNCTION decide.repoint_moved(key_number integer, after uuid) RETURNS TABLE (last uuid, changed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
  page CONSTANT uuid[] := ARRAY(SELECT s.user_key FROM decide.user_state AS s WHERE s.user_key > after ORDER BY s.user_key LIMIT 10000);
  more bigint;
BEGIN
  changed := 0;
  -- as many steps as users may be merged into one
  FOR step IN 1..64 LOOP
    UPDATE decide.user_state AS s SET merged_into = o.merged_into
      FROM decide.user_state AS o
     WHERE s.user_key = ANY (page) AND decide.key_number(s.user_key) <> repoint_moved.key_number AND decide.key_number(s.merged_into) = repoint_moved.key_number
       AND o.user_key = s.merged_into AND o.merged_into IS NOT NULL;
    GET DIAGNOSTICS more = ROW_COUNT;
    EXIT WHEN more = 0;
    changed := changed + more;
  END LOOP;
  last := (SELECT max(p::text)::uuid FROM unnest(page) AS p);
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION decide.repoint_moved(integer, uuid) IS
  'Has rows of users who were merged into one of an older key lead to the newest key, of 10,000 users behind that one; answers the last of these, and how many were changed';

CREATE FUNCTION decide.forget_moved(key_number integer, after uuid) RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
  page CONSTANT uuid[] := ARRAY(SELECT s.user_key FROM decide.user_state AS s WHERE s.user_key > after ORDER BY s.user_key LIMIT 10000);
BEGIN
  UPDATE decide.user_state AS s
     SET merged_from = NULLIF(ARRAY(SELECT m FROM unnest(s.merged_from) AS m WHERE decide.key_number(m) <> forget_moved.key_number), '{}')
   WHERE s.user_key = ANY (page) AND EXISTS (SELECT FROM unnest(s.merged_from) AS m WHERE decide.key_number(m) = forget_moved.key_number);
  DELETE FROM decide.user_state AS s
   WHERE s.user_key = ANY (page) AND decide.key_number(s.user_key) = forget_moved.key_number AND s.merged_into IS NOT NULL;
  RETURN (SELECT max(p::text)::uuid FROM unnest(page) AS p);
END
$$;
COMMENT ON FUNCTION decide.forget_moved(integer, uuid) IS
  'Deletes rows of users who have moved from a key under which nothing is kept, of 10,000 users behind that one; answers the last of these (null: there are none)';

CREATE FUNCTION decide.retire_key(key_number integer) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF (SELECT k.kept_in FROM decide.kept_under(retire_key.key_number) AS k) IS NOT NULL
     OR EXISTS (SELECT FROM decide.user_state AS s WHERE decide.key_number(s.user_key) = retire_key.key_number) THEN
    RETURN false;
  END IF;
  DELETE FROM decide.user_merge AS m WHERE decide.key_number(m.user_key) = retire_key.key_number OR decide.key_number(m.merged_into) = retire_key.key_number;
  DELETE FROM decide.secret AS s WHERE s.number = retire_key.key_number;
  RETURN true;
END
$$;
COMMENT ON FUNCTION decide.retire_key(integer) IS 'Deletes an older key if there is no row under it; whether it has';
