-- What is kept of a person, as they may ask for it.

CREATE FUNCTION decide.export_person(user_id text, since timestamptz DEFAULT '-infinity') RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET DateStyle = 'ISO' SET TimeZone = 'UTC' SET IntervalStyle = 'postgres' SET extra_float_digits = 1
AS $$
  WITH RECURSIVE living AS (
    SELECT decide.user_key(export_person.user_id) AS user_key, 0 AS step
     UNION ALL
    SELECT s.merged_into, l.step + 1 FROM living AS l JOIN decide.user_state AS s ON s.user_key = l.user_key
     WHERE s.merged_into IS NOT NULL AND l.step < 64
  ), person AS MATERIALIZED (
    SELECT l.user_key FROM living AS l ORDER BY l.step DESC LIMIT 1
  ), all_of_them AS MATERIALIZED (
    -- under every living key, with all who were merged into them
    SELECT decide.user_keys(export_person.user_id) AS user_keys
  ), erased AS MATERIALIZED (
    -- the past of a person who was erased and has come back
    SELECT max(e.erased_at) AS erased_at FROM decide.erasing AS e WHERE e.user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[])
  )
  SELECT jsonb_build_object(
    'user_key', (SELECT p.user_key FROM person AS p),
    'state', (SELECT to_jsonb(s) - 'user_key' || COALESCE((
                       SELECT jsonb_build_object('region', i.name) FROM generate_series(3, cardinality(s.consents), 2) AS p (n)
                         JOIN decide.identity AS i ON i.kind = 'region' AND i.number = -2 - s.consents[p.n]), '{}')
                FROM decide.user_state AS s
               WHERE s.user_key = (SELECT p.user_key FROM person AS p)),
    'features', (SELECT COALESCE(jsonb_agg(to_jsonb(f) ORDER BY f.feature, f.key), '[]') FROM decide.features(export_person.user_id) AS f),
    'exposures', (SELECT COALESCE(jsonb_agg(to_jsonb(x) - 'user_key' ORDER BY x.cap, x.value), '[]') FROM decide.exposure AS x
                   WHERE x.user_key = (SELECT p.user_key FROM person AS p)),
    'variants', (SELECT COALESCE(jsonb_agg(jsonb_build_object('experiment', i.name, 'variant', v.variant, 'position', e.amount, 'since', e.at) ORDER BY i.name), '[]')
                   FROM decide.user_state AS s CROSS JOIN LATERAL decide.exposure_entries(s.exposures) AS e
                   JOIN decide.identity AS i ON i.kind = 'experiment' AND i.number = -e.slot
                   LEFT JOIN decide.experiment AS x ON x.id = i.id
                   LEFT JOIN decide.variant AS v ON v.experiment = x.experiment AND v."position" = e.amount
                  WHERE s.user_key = (SELECT p.user_key FROM person AS p)),
    'consents', (SELECT COALESCE(jsonb_agg(to_jsonb(c) - 'user_key' - 'recorded_by' - 'acting_as' ORDER BY c.at, c.purpose), '[]') FROM decide.consent_history AS c
                  WHERE c.user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[])),
    'events', (SELECT COALESCE(jsonb_agg(to_jsonb(v) - 'user_key' ORDER BY v.at, v.event_id), '[]') FROM decide.event AS v
                WHERE v.user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[]) AND v.at >= since
                  AND v.received_at > COALESCE((SELECT e.erased_at FROM erased AS e), '-infinity')),
    'decisions', (SELECT COALESCE(jsonb_agg(to_jsonb(d) - 'user_key' ORDER BY d.decided_at, d.decision_id, d.slot), '[]') FROM decide.decision AS d
                   WHERE d.user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[]) AND d.decided_at >= since),
    'outcomes', (SELECT COALESCE(jsonb_agg(to_jsonb(o) - 'user_key' ORDER BY o.at, o.event_id), '[]') FROM decide.outcome AS o
                  WHERE o.user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[]) AND o.decided_at >= since
                    AND o.decided_at > COALESCE((SELECT e.erased_at FROM erased AS e), '-infinity')),
    'credited_outcomes', (SELECT COALESCE(jsonb_agg(to_jsonb(c) - 'user_key' - 'event_user_key' ORDER BY c.at, c.outcome_type, c.event_id), '[]')
                            FROM decide.credited_outcome AS c
                           WHERE c.event_user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[]) AND c.at >= since),
    'uncredited_events', (SELECT COALESCE(jsonb_agg(to_jsonb(c) - 'user_key' ORDER BY c.at, c.outcome_type, c.event_id), '[]')
                            FROM decide.uncredited_event AS c
                           WHERE c.user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[]) AND c.at >= since),
    'corrections', (SELECT COALESCE(jsonb_agg(to_jsonb(j) - 'user_key' - 'by' - 'acting_as' ORDER BY j.at, j.adjustment_id), '[]') FROM decide.adjustment AS j
                     WHERE j.user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[])),
    'requests', (SELECT COALESCE(jsonb_agg(to_jsonb(r) - 'user_key' ORDER BY r.requested_at, r.request_key), '[]') FROM decide.request AS r
                  WHERE r.user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[])),
    'quarantine', (SELECT COALESCE(jsonb_agg(to_jsonb(q) - 'user_key' ORDER BY q.received_at, q.quarantine_id), '[]') FROM decide.quarantine AS q
                    WHERE q.user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[]) AND q.received_at >= since
                      AND q.received_at > COALESCE((SELECT e.erased_at FROM erased AS e), '-infinity')),
    'inbox', (SELECT COALESCE(jsonb_agg(to_jsonb(i) - 'user_key' ORDER BY i.received_at, i.event), '[]') FROM decide.event_inbox AS i
               WHERE i.user_key = ANY ((SELECT a.user_keys FROM all_of_them AS a)::uuid[]) AND i.received_at >= since
                 AND i.received_at > COALESCE((SELECT e.erased_at FROM erased AS e), '-infinity')))
$$;
COMMENT ON FUNCTION decide.export_person(text, timestamptz) IS
  'All that is kept of a person since that time, as one document; reads the partitions of traces since then';
CREATE FUNCTION decide.export_person(user_id bigint, since timestamptz DEFAULT '-infinity') RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT decide.export_person(user_id::text, since) $$;
COMMENT ON FUNCTION decide.export_person(bigint, timestamptz) IS
  'All that is kept of a person since that time, as one document; reads the partitions of traces since then';
CREATE FUNCTION decide.export_person(user_id uuid, since timestamptz DEFAULT '-infinity') RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT decide.export_person(user_id::text, since) $$;
COMMENT ON FUNCTION decide.export_person(uuid, timestamptz) IS
  'All that is kept of a person since that time, as one document; reads the partitions of traces since then';
