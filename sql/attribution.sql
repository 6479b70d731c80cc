-- Attribution: the job, and what it is asked on demand.

-- Up to when all decisions and events are there. A decision that was made before may yet be committed by a transaction that has
-- written to the traces; it is waited for, for an hour at most. Until one has written there its time is covered by the lag.
CREATE FUNCTION decide.settled_before(lag interval) RETURNS timestamptz
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT GREATEST(clock_timestamp() - interval '1 hour',
    LEAST(clock_timestamp() - lag,
      (SELECT min(COALESCE(a.xact_start, '-infinity'))
         FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
        WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
          AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
          AND l.relation IN (SELECT t.relid FROM pg_partition_tree('decide.trace'::regclass) AS t))))
$$;
COMMENT ON FUNCTION decide.settled_before(interval) IS
  'Decisions from before that time are committed, or never will be: the lag, or the start of the oldest transaction that has written a trace, within an hour';

CREATE FUNCTION decide.outcome_types_in_force() RETURNS SETOF decide.bundle_outcome_type
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT t.* FROM decide.bundle_outcome_type AS t
   WHERE t.bundle = (SELECT p.bundle FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1)
$$;
COMMENT ON FUNCTION decide.outcome_types_in_force() IS 'The outcome types of the bundle in force';

-- How far the job looks back for an event that has just come: the longest window, and a week by which events may be late.
CREATE FUNCTION decide.longest_look_back() RETURNS interval
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT max(t.window_length) + interval '7 days' FROM decide.outcome_types_in_force() AS t WHERE t.match_by <> 'decision'
$$;
COMMENT ON FUNCTION decide.longest_look_back() IS
  'For how long decisions are kept by user: the longest window of an outcome type that looks for them, and a week; null if none does';

CREATE FUNCTION decide.copy_decisions(upto timestamptz, most integer, OUT decisions bigint, OUT settled timestamptz)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
SET jit = off
AS $$
DECLARE
  longest CONSTANT interval := decide.longest_look_back();
  done decide.attribution_progress;
  last_id uuid;
BEGIN
  decisions := 0;
  settled := upto;
  IF longest IS NULL THEN
    -- Nobody looks for decisions of a user. Once somebody does, they are copied from the beginning of the window on.
    DELETE FROM decide.attribution_progress;
    RETURN;
  END IF;
  -- A window that has become longer begins anew; what is there already stays.
  INSERT INTO decide.attribution_progress AS p (decisions_from, decisions_to, reached)
  SELECT n.at, decide.first_identifier(n.at), n.at FROM (SELECT GREATEST(upto - longest, 'epoch') AS at) AS n
  ON CONFLICT (one) DO UPDATE SET (decisions_from, decisions_to, reached) =
    (SELECT excluded.decisions_from, excluded.decisions_to, excluded.reached WHERE excluded.decisions_from < p.decisions_from - interval '1 hour'
      UNION ALL
     SELECT p.decisions_from, p.decisions_to, p.reached WHERE excluded.decisions_from >= p.decisions_from - interval '1 hour')
  RETURNING p.* INTO done;
  WITH found AS MATERIALIZED (
    SELECT t.user_key, t.decision_id, t.decided_at, t.bundle, t.surface, t.first_slot, t.actions
      FROM decide.trace AS t
     WHERE t.decision_id > done.decisions_to AND t.decided_at >= done.reached AND t.decided_at < upto
     ORDER BY t.decision_id LIMIT most
  ), copied AS (
    INSERT INTO decide.user_decision (user_key, decision_id, decided_at, bundle, surface, first_slot, actions)
    SELECT f.user_key, f.decision_id, f.decided_at, f.bundle, f.surface, f.first_slot, f.actions
      FROM found AS f
     WHERE f.user_key <> '00000000-0000-0000-0000-000000000000'
       AND NOT EXISTS (SELECT FROM decide.erasing AS e WHERE e.user_key = f.user_key AND f.decided_at <= COALESCE(e.until, 'infinity'))
    ON CONFLICT DO NOTHING
  )
  SELECT count(*), max(f.decision_id::text COLLATE "C")::uuid, max(f.decided_at) INTO decisions, last_id, settled FROM found AS f;
  IF decisions < most THEN
    settled := upto;
    last_id := decide.first_identifier(upto);
  END IF;
  -- The milliseconds of identifiers begin before their time.
  UPDATE decide.attribution_progress AS p SET decisions_to = last_id, reached = date_trunc('milliseconds', settled) WHERE p.decisions_to < last_id;
END
$$;
COMMENT ON FUNCTION decide.copy_decisions(timestamptz, integer) IS
  'Copies the next decisions from before that time by user; answers how many, and up to when there are no more';

CREATE FUNCTION decide.was_followed(decision decide.user_decision, number integer, event_type text, until timestamptz) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM decide.outcome AS o
                WHERE o.decision_id = (decision).decision_id AND o.user_key = (decision).user_key AND o.decided_at = (decision).decided_at
                  AND o.type = event_type AND o.at <= until AND (o.action IS NULL OR o.number = was_followed.number));
COMMENT ON FUNCTION decide.was_followed(decide.user_decision, integer, text, timestamptz) IS
  'Whether an event of that type had followed from a decision until then, about the action of that number or the slate';

-- Part of the query that calls it, so without settings of its own.
CREATE FUNCTION decide.slot_of_match(decision decide.user_decision, until timestamptz, kind decide.bundle_outcome_type, number integer, key text)
RETURNS TABLE (place integer, shown integer)
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT s.place::int, s.number
    FROM pg_catalog.unnest((decision).actions) WITH ORDINALITY AS s (number, place)
   WHERE CASE (kind).match_by
           WHEN 'action' THEN s.number = slot_of_match.number
           WHEN 'campaign' THEN (SELECT v.campaign FROM decide.action_version AS v
                                  WHERE v.number = s.number AND v.bundle <= (decision).bundle ORDER BY v.bundle DESC LIMIT 1) = key
           ELSE (SELECT v.attributes ->> pg_catalog.substr((kind).match_by, 12) FROM decide.action_version AS v
                  WHERE v.number = s.number AND v.bundle <= (decision).bundle ORDER BY v.bundle DESC LIMIT 1) = key END
     AND ((kind).requires IS NULL OR decide.was_followed(decision, s.number, (kind).requires, until))
   ORDER BY s.place LIMIT 1;
END;
COMMENT ON FUNCTION decide.slot_of_match(decide.user_decision, timestamptz, decide.bundle_outcome_type, integer, text) IS
  'The first slot of a decision that shows what an event of that time is about, as the outcome type says';

CREATE FUNCTION decide.exposure_before("user" uuid, at timestamptz, kind decide.bundle_outcome_type, number integer, key text, deepest bigint,
  OUT user_key uuid, OUT decision_id uuid, OUT decided_at timestamptz, OUT surface text, OUT slot integer, OUT shown integer)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
-- planned once a session, not for each event
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
  since CONSTANT timestamptz := GREATEST(exposure_before.at - (kind).window_length, 'epoch');
  until CONSTANT timestamptz := exposure_before.at;
  least_id CONSTANT uuid := decide.first_identifier(since);
  next_id CONSTANT uuid := decide.first_identifier(until + interval '1 millisecond');
BEGIN
  -- In the order of the primary key, so that the search ends where the decision is found.
  IF (kind).touch = 'last' THEN
    SELECT u.user_key, u.decision_id, u.decided_at, u.surface, u.first_slot + m.place - 1, m.shown
      INTO user_key, decision_id, decided_at, surface, slot, shown
      FROM (SELECT d.* FROM decide.user_decision AS d
             WHERE d.user_key = "user" AND d.decision_id >= least_id AND d.decision_id < next_id AND d.decided_at BETWEEN since AND until
             ORDER BY d.user_key DESC, d.decision_id DESC LIMIT deepest) AS u
     CROSS JOIN LATERAL decide.slot_of_match(u::decide.user_decision, until, kind, exposure_before.number, key) AS m
     WHERE ((kind).match_by <> 'action' OR exposure_before.number = ANY (u.actions))
       AND NOT EXISTS (SELECT FROM decide.erasing AS g WHERE g.user_key = u.user_key AND u.decided_at <= COALESCE(g.until, 'infinity'))
     ORDER BY u.user_key DESC, u.decision_id DESC LIMIT 1;
  ELSE
    SELECT u.user_key, u.decision_id, u.decided_at, u.surface, u.first_slot + m.place - 1, m.shown
      INTO user_key, decision_id, decided_at, surface, slot, shown
      FROM (SELECT d.* FROM decide.user_decision AS d
             WHERE d.user_key = "user" AND d.decision_id >= least_id AND d.decision_id < next_id AND d.decided_at BETWEEN since AND until
             ORDER BY d.user_key, d.decision_id LIMIT deepest) AS u
     CROSS JOIN LATERAL decide.slot_of_match(u::decide.user_decision, until, kind, exposure_before.number, key) AS m
     WHERE ((kind).match_by <> 'action' OR exposure_before.number = ANY (u.actions))
       AND NOT EXISTS (SELECT FROM decide.erasing AS g WHERE g.user_key = u.user_key AND u.decided_at <= COALESCE(g.until, 'infinity'))
     ORDER BY u.user_key, u.decision_id LIMIT 1;
  END IF;
END
$$;
COMMENT ON FUNCTION decide.exposure_before(uuid, timestamptz, decide.bundle_outcome_type, integer, text, bigint) IS
  'The last or first exposure of a user before that time, and within the window, that an event is credited to; nulls if there is none among so many decisions';

CREATE FUNCTION decide.settle_reversals(users uuid[], types text[], refs text[]) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  -- What reversals take back is taken from their originals in order of time.
  WITH member AS MATERIALIZED (
    SELECT a.user_key, a.outcome_type, a.reference, a.event_id, a.at, a.is_reversal, a.raw_value
      FROM unnest(users, types, refs) AS g (user_key, outcome_type, reference)
      JOIN decide.attributed_event AS a ON a.user_key = g.user_key AND a.outcome_type = g.outcome_type AND a.reference = g.reference
  ), total AS (
    SELECT m.*,
           bool_or(m.is_reversal AND m.raw_value IS NULL) OVER same AS is_whole,
           bool_or(NOT m.is_reversal) OVER same AS has_original,
           COALESCE(sum(abs(m.raw_value)) FILTER (WHERE m.is_reversal) OVER in_order, 0) AS amount,
           COALESCE(sum(GREATEST(m.raw_value, 0)) FILTER (WHERE NOT m.is_reversal) OVER earlier, 0) AS before
      FROM member AS m
    WINDOW same AS (PARTITION BY m.user_key, m.outcome_type, m.reference),
           in_order AS (PARTITION BY m.user_key, m.outcome_type, m.reference ORDER BY m.at, m.event_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING),
           earlier AS (PARTITION BY m.user_key, m.outcome_type, m.reference ORDER BY m.at, m.event_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
  ), settled AS (
    SELECT t.*, CASE WHEN t.is_reversal THEN 0 WHEN t.is_whole THEN GREATEST(t.raw_value, 0)
                     ELSE LEAST(GREATEST(t.raw_value, 0), GREATEST(t.amount - t.before, 0)) END AS reversed
      FROM total AS t
  )
  UPDATE decide.attributed_event AS a
     SET reversed = s.reversed,
         net_value = CASE WHEN NOT a.is_reversal THEN CASE WHEN s.is_whole THEN 0 ELSE decide.within(s.raw_value - s.reversed, a.max_value) END END,
         net_margin = a.margin * CASE WHEN s.is_whole THEN 0 WHEN s.raw_value > 0 THEN (s.raw_value - s.reversed) / s.raw_value ELSE 1 END,
         reason = CASE WHEN a.is_reversal THEN CASE WHEN NOT s.has_original THEN 'no original' END ELSE a.reason END,
         credited_at = clock_timestamp()
    FROM settled AS s
   WHERE a.user_key = s.user_key AND a.outcome_type = s.outcome_type AND a.event_id = s.event_id AND a.at = s.at
     AND (a.reversed <> s.reversed OR s.is_whole AND a.net_value <> 0 OR a.is_reversal AND (a.reason IS NULL) <> s.has_original)
$$;
COMMENT ON FUNCTION decide.settle_reversals(uuid[], text[], text[]) IS
  'Takes reversals off their originals, for groups of events with a reference in common';

CREATE FUNCTION decide.credit_next(most integer, settled timestamptz) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
-- Everything is found by keys, whatever the planner thinks of tables that are new; what is switched off costs so much,
-- before PostgreSQL 18, that statements would be compiled.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  -- How many decisions of a user are looked at for one event.
  deepest CONSTANT bigint := 10000;
  in_force CONSTANT bigint := (SELECT p.bundle FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1);
  copied_from CONSTANT timestamptz := (SELECT p.decisions_from FROM decide.attribution_progress AS p);
  taken bigint;
  users uuid[];
  former uuid[];
  ids text[];
  times timestamptz[];
  repeats boolean[];
  group_users uuid[];
  group_types text[];
  group_references text[];
BEGIN
  -- Who was merged since is now the one into whom.
  WITH RECURSIVE gone AS (
    DELETE FROM decide.outcome_queue AS q
     WHERE q.ctid = ANY (ARRAY(SELECT w.ctid FROM decide.outcome_queue AS w WHERE w.at < settled LIMIT most FOR UPDATE SKIP LOCKED))
    RETURNING q.user_key, q.event_id, q.at, q.is_repeat
  ), chain AS (
    SELECT DISTINCT g.user_key, s.merged_into AS living, 1 AS step FROM gone AS g JOIN decide.user_state AS s ON s.user_key = g.user_key
     WHERE s.merged_into IS NOT NULL
     UNION ALL
    SELECT c.user_key, s.merged_into, c.step + 1 FROM chain AS c JOIN decide.user_state AS s ON s.user_key = c.living
     WHERE s.merged_into IS NOT NULL AND c.step < 64
  ), merged AS MATERIALIZED (
    SELECT DISTINCT ON (c.user_key) c.user_key, c.living FROM chain AS c ORDER BY c.user_key, c.step DESC
  ), entry AS (
    SELECT COALESCE(m.living, g.user_key) AS living, g.user_key AS former, g.event_id, g.at, bool_and(COALESCE(g.is_repeat, false)) AS is_repeat
      FROM gone AS g LEFT JOIN merged AS m USING (user_key) GROUP BY 1, 2, 3, 4
  )
  SELECT (SELECT count(*) FROM gone), array_agg(o.living), array_agg(o.former), array_agg(o.event_id), array_agg(o.at), array_agg(o.is_repeat)
    INTO taken, users, former, ids, times, repeats
    FROM (SELECT e.* FROM entry AS e ORDER BY e.living, e.at, e.event_id, e.former) AS o;
  IF taken = 0 THEN
    RETURN 0;
  END IF;

  -- What became of events before their user was merged: they are looked at below, if they are still there. Those that have gone by
  -- their retention stay as they are, and those that both users had are the other one's.
  DELETE FROM decide.attributed_event AS a
   USING unnest(users, former, ids, times) AS f (user_key, former, event_id, at)
   WHERE f.former <> f.user_key AND a.user_key = f.former AND a.event_id = f.event_id AND a.at = f.at
     AND EXISTS (SELECT FROM decide.event AS e WHERE e.user_key = f.user_key AND e.event_id = f.event_id);
  UPDATE decide.attributed_event AS a SET user_key = f.user_key
    FROM unnest(users, former, ids, times) AS f (user_key, former, event_id, at)
   WHERE f.former <> f.user_key AND a.user_key = f.former AND a.event_id = f.event_id AND a.at = f.at
     AND NOT EXISTS (SELECT FROM decide.attributed_event AS o
                      WHERE o.user_key = f.user_key AND o.outcome_type = a.outcome_type AND o.event_id = a.event_id AND o.at = a.at);

  -- Events that require one of these, and came earlier, are looked at again, in a later step.
  INSERT INTO decide.outcome_queue (user_key, event_id, at, received_at, is_repeat)
  SELECT DISTINCT a.user_key, a.event_id, a.at, a.received_at, true
    FROM unnest(users, ids, times, repeats) AS f (user_key, event_id, at, is_repeat)
    JOIN decide.event AS e ON e.user_key = f.user_key AND e.event_id = f.event_id AND e.at = f.at
    JOIN decide.bundle_outcome_type AS t ON t.bundle = in_force AND t.requires = e.type
    JOIN decide.attributed_event AS a ON a.user_key = f.user_key AND a.outcome_type = t.outcome_type
     AND a.at >= f.at AND a.at <= f.at + t.window_length AND NOT a.is_reversal
   WHERE NOT f.is_repeat;

  INSERT INTO decide.attributed_event AS a (user_key, outcome_type, event_id, at, received_at, event_type, bundle, is_reversal, reference, raw_value, max_value,
         value, net_value, margin, net_margin, decided_for, decision_id, decided_at, surface, slot, number, reason, credited_at)
  SELECT DISTINCT ON (f.user_key, t.outcome_type, e.event_id, e.at)
         f.user_key, t.outcome_type, e.event_id, e.at, e.received_at, e.type, t.bundle, r.is_reversal, k.reference, v.value, t.max_value,
         CASE WHEN NOT r.is_reversal THEN decide.within(v.value, t.max_value) END, CASE WHEN NOT r.is_reversal THEN decide.within(v.value, t.max_value) END,
         decide.within(v.margin, t.max_value), decide.within(v.margin, t.max_value),
         d.decided_for, d.decision_id, d.decided_at, d.surface, d.slot, d.number,
         CASE WHEN r.is_reversal THEN CASE WHEN k.reference IS NULL THEN 'no reference' ELSE 'no original' END
              WHEN p.is_denied THEN 'consent denied'
              WHEN d.decision_id IS NOT NULL THEN NULL
              WHEN e.decision_id IS NOT NULL THEN CASE WHEN n.decision_id IS NULL THEN 'unknown decision' ELSE 'outside the window' END
              WHEN t.match_by = 'decision' THEN 'no decision named'
              WHEN COALESCE(k.number::text, k.key) IS NULL THEN 'no key'
              WHEN e.at - t.window_length < copied_from THEN 'too late'
              ELSE 'no exposure' END,
         clock_timestamp()
    FROM unnest(users, ids, times) AS f (user_key, event_id, at)
    JOIN decide.event AS e ON e.user_key = f.user_key AND e.event_id = f.event_id AND e.at = f.at
    JOIN decide.bundle_outcome_type AS t ON t.bundle = in_force AND (e.type = ANY (t.event_types) OR e.type = ANY (t.reversal_types))
    LEFT JOIN decide.user_state AS s ON s.user_key = f.user_key
   CROSS JOIN LATERAL (SELECT e.type = ANY (t.reversal_types) AS is_reversal) AS r
   CROSS JOIN LATERAL (
     SELECT f.user_key || COALESCE(s.merged_from, '{}') AS keys,
            CASE WHEN t.purpose IS NULL THEN false
                 WHEN COALESCE(s.consents[2], 0) >> t.purpose & 1 = 1 THEN s.consents[1] >> t.purpose & 1 = 0
                 ELSE NOT t.opt_out END AS is_denied
     OFFSET 0) AS p
   CROSS JOIN LATERAL (
     SELECT e.attributes ->> substr(t.reference_path, 12) AS reference,
            CASE WHEN t.match_by IN ('action', 'campaign') THEN decide.number_of_action(e.action) END AS number,
            CASE WHEN t.match_by = 'campaign' THEN COALESCE(e.attributes ->> 'campaign', (
                   SELECT w.campaign FROM decide.action_version AS w WHERE w.number = decide.number_of_action(e.action) ORDER BY w.bundle DESC LIMIT 1))
                 WHEN t.match_by LIKE 'attributes.%' THEN e.attributes ->> substr(t.match_by, 12) END AS key
     -- computed once, not where each of them is used
     OFFSET 0) AS k
   CROSS JOIN LATERAL (
     SELECT CASE WHEN r.is_reversal THEN decide.number_in_event(e.value, e.attributes, COALESCE(t.reversal_value_path, t.value_path))
                 WHEN t.value_path IS NULL THEN 1
                 ELSE COALESCE(decide.number_in_event(e.value, e.attributes, t.value_path), 0) END AS value,
            CASE WHEN NOT r.is_reversal THEN decide.number_in_event(e.value, e.attributes, t.margin_path) END AS margin
     OFFSET 0) AS v
    -- the decision that it names, as its trace has it
    LEFT JOIN LATERAL (
      SELECT x.user_key, x.decision_id, x.decided_at, x.surface, x.first_slot, x.actions
        FROM decide.trace AS x
       WHERE x.decision_id = e.decision_id AND x.user_key = ANY (p.keys) AND x.decided_at = decide.decided_at(e.decision_id)
         AND NOT EXISTS (SELECT FROM decide.erasing AS g WHERE g.user_key = x.user_key AND x.decided_at <= COALESCE(g.until, 'infinity'))
       LIMIT 1) AS n ON NOT r.is_reversal
    LEFT JOIN LATERAL (
      SELECT n.user_key AS decided_for, n.decision_id, n.decided_at, n.surface, n.first_slot + m.place - 1 AS slot, m.number
        FROM (SELECT CASE WHEN e.action IS NULL AND cardinality(n.actions) = 1 THEN n.actions[1]
                          ELSE decide.number_shown(n.actions, n.decided_at, e.action) END) AS one (number)
       CROSS JOIN LATERAL (SELECT COALESCE(one.number, CASE WHEN e.action IS NOT NULL THEN -1 END) AS number, array_position(n.actions, one.number) AS place) AS m
       -- clocks differ
       WHERE n.decision_id IS NOT NULL AND e.at >= n.decided_at - interval '5 minutes' AND e.at <= n.decided_at + t.window_length
       UNION ALL
      (SELECT u.user_key, u.decision_id, u.decided_at, u.surface, u.slot, u.shown
         FROM unnest(p.keys) AS y (user_key)
        CROSS JOIN LATERAL decide.exposure_before(y.user_key, e.at, t, k.number, k.key, deepest) AS u
        WHERE e.decision_id IS NULL AND t.match_by <> 'decision' AND COALESCE(k.number::text, k.key) IS NOT NULL AND u.decision_id IS NOT NULL
        ORDER BY CASE t.touch WHEN 'last' THEN u.decided_at END DESC, u.decided_at, u.decision_id LIMIT 1)) AS d
      ON NOT r.is_reversal AND NOT p.is_denied
   WHERE NOT EXISTS (SELECT FROM decide.erasing AS g WHERE g.user_key = f.user_key AND e.received_at <= g.erased_at)
   ORDER BY f.user_key, t.outcome_type, e.event_id, e.at
  ON CONFLICT (user_key, outcome_type, event_id, at) DO UPDATE
     SET event_type = excluded.event_type, bundle = excluded.bundle, is_reversal = excluded.is_reversal, reference = excluded.reference,
         raw_value = excluded.raw_value, max_value = excluded.max_value, reversed = 0, value = excluded.value, net_value = excluded.net_value,
         margin = excluded.margin, net_margin = excluded.net_margin, decided_for = excluded.decided_for, decision_id = excluded.decision_id,
         decided_at = excluded.decided_at, surface = excluded.surface, slot = excluded.slot, number = excluded.number, reason = excluded.reason,
         credited_at = excluded.credited_at;

  -- Originals and their reversals.
  SELECT array_agg(g.user_key), array_agg(g.outcome_type), array_agg(g.reference) INTO group_users, group_types, group_references
    FROM (SELECT DISTINCT a.user_key, a.outcome_type, a.reference
            FROM unnest(users, ids, times) AS f (user_key, event_id, at)
            JOIN decide.bundle_outcome_type AS t ON t.bundle = in_force
            JOIN decide.attributed_event AS a ON a.user_key = f.user_key AND a.outcome_type = t.outcome_type AND a.event_id = f.event_id AND a.at = f.at
           WHERE a.reference IS NOT NULL) AS g;
  IF group_users IS NOT NULL THEN
    PERFORM decide.settle_reversals(group_users, group_types, group_references);
  END IF;
  RETURN taken;
END
$$;
COMMENT ON FUNCTION decide.credit_next(integer, timestamptz) IS
  'Takes so many events from before that time out of the queue and credits them; answers how many there were';

-- On demand.
CREATE FUNCTION decide.credit_outcomes("from" timestamptz, "to" timestamptz DEFAULT pg_catalog.clock_timestamp()) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
  longest CONSTANT interval := decide.longest_look_back();
  queued bigint;
BEGIN
  IF "from" IS NULL OR "to" IS NULL OR NOT isfinite("from") OR NOT isfinite("to") THEN
    RAISE EXCEPTION 'cannot credit outcomes from % to %', "from", "to" USING ERRCODE = 'invalid_parameter_value',
      DETAIL = 'Both must be ordinary times.', HINT = 'Name the time of the events.';
  END IF;
  IF longest IS NOT NULL THEN
    -- Decisions that were imported since, or expired, are copied again.
    INSERT INTO decide.attribution_progress AS p (decisions_from, decisions_to, reached)
    SELECT n.at, decide.first_identifier(n.at), n.at FROM (SELECT GREATEST("from" - longest, 'epoch') AS at) AS n
    ON CONFLICT (one) DO UPDATE SET decisions_from = LEAST(p.decisions_from, excluded.decisions_from),
      decisions_to = LEAST(p.decisions_to, excluded.decisions_to), reached = LEAST(p.reached, excluded.reached);
  END IF;
  INSERT INTO decide.outcome_queue (user_key, event_id, at, received_at)
  SELECT e.user_key, e.event_id, e.at, e.received_at FROM decide.event AS e
   WHERE e.at >= "from" AND e.at < "to"
     AND e.type = ANY (ARRAY(SELECT k.type FROM decide.outcome_types_in_force() AS t, unnest(t.event_types || t.reversal_types) AS k (type)));
  GET DIAGNOSTICS queued = ROW_COUNT;
  RETURN queued;
END
$$;
COMMENT ON FUNCTION decide.credit_outcomes(timestamptz, timestamptz) IS
  'Has the job "attribution" credit the events of a time again, by the outcome types in force: of before these were published, or where decisions were imported; answers how many';

-- The job alone writes attributed events, so that a merge that stays open holds nothing up.
CREATE FUNCTION decide.move_outcomes(old_key uuid, new_key uuid) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO decide.outcome_queue (user_key, event_id, at, received_at)
  SELECT DISTINCT a.user_key, a.event_id, a.at, a.received_at FROM decide.attributed_event AS a WHERE a.user_key = old_key;
  -- What one of the two did may now follow from a decision of the other.
  INSERT INTO decide.outcome_queue (user_key, event_id, at, received_at)
  SELECT e.user_key, e.event_id, e.at, e.received_at FROM decide.event AS e
   WHERE e.user_key = new_key
     AND e.type = ANY (ARRAY(SELECT k.type FROM decide.outcome_types_in_force() AS t, unnest(t.event_types || t.reversal_types) AS k (type)));
$$;
COMMENT ON FUNCTION decide.move_outcomes(uuid, uuid) IS
  'Has the job "attribution" give the attributed events of a user to another one into whom they were merged, and credit the events of both again';

CREATE FUNCTION decide.expire_outcomes(before timestamptz) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
  most CONSTANT bigint := 10000;
  -- A day more than anybody looks back.
  kept_from CONSTANT timestamptz := (SELECT p.reached - interval '1 day' - COALESCE(decide.longest_look_back(), '0') FROM decide.attribution_progress AS p);
  gone bigint;
  more bigint;
BEGIN
  DELETE FROM decide.attributed_event AS a WHERE a.ctid = ANY (ARRAY(
    SELECT o.ctid FROM decide.attributed_event AS o WHERE COALESCE(o.decided_at, o.at) < before LIMIT most));
  GET DIAGNOSTICS gone = ROW_COUNT;
  -- Without progress nobody looks for any.
  DELETE FROM decide.user_decision AS d WHERE d.ctid = ANY (ARRAY(
    SELECT o.ctid FROM decide.user_decision AS o WHERE o.decided_at < COALESCE(kept_from, 'infinity') LIMIT most));
  GET DIAGNOSTICS more = ROW_COUNT;
  UPDATE decide.attribution_progress AS p SET decisions_from = kept_from WHERE more > 0 AND p.decisions_from < kept_from;
  RETURN GREATEST(gone, more);
END
$$;
COMMENT ON FUNCTION decide.expire_outcomes(timestamptz) IS
  'Deletes attributed events of decisions from before that time, and decisions by user that no outcome type looks back to; answers how many, 10,000 if there may be more';
