-- What analysts and BI tools look at.

-- What is computed here, names included, is computed for the rows that are left after ORDER BY and LIMIT: each expression costs
-- enough for that. The condition on erasures is one look-up in a hash table while few persons are being erased.
-- A barrier: no condition of a reader, whose functions might tell what they see, is asked of the rows that it leaves out.
CREATE VIEW decide.trace_in_use WITH (security_barrier) AS
SELECT t.*
  FROM decide.trace AS t
 -- of persons who were erased, until the job has deleted the traces
 WHERE t.user_key NOT IN (SELECT e.user_key FROM decide.erasing AS e)
    OR t.decided_at > (SELECT pg_catalog.max(COALESCE(e.until, 'infinity')) FROM decide.erasing AS e WHERE e.user_key = t.user_key);
COMMENT ON VIEW decide.trace_in_use IS 'Traces without those of persons who were erased; what the views for people read';
DO $$
DECLARE
  col record;
BEGIN
  FOR col IN SELECT a.attname, pg_catalog.col_description(a.attrelid, a.attnum) AS comment FROM pg_catalog.pg_attribute AS a
              WHERE a.attrelid = 'decide.trace'::pg_catalog.regclass AND a.attnum > 0 LOOP
    EXECUTE pg_catalog.format('COMMENT ON COLUMN decide.trace_in_use.%I IS %L', col.attname, col.comment);
  END LOOP;
END
$$;

CREATE VIEW decide.decision AS
SELECT t.decision_id,
       t.decided_at,
       t.user_key,
       t.surface,
       t.first_slot + s.place - 1 AS slot,
       decide.action_name(t.actions[s.place]) AS action,
       decide.deferred(t.chosen[s.place]) AS probability,
       decide.candidate_names(t.candidates) AS candidates,
       decide.slot_probabilities(t.candidates, t.scores, t.choice, t.actions[1:t.filled], s.place, t.dropped, t.spreads) AS probabilities,
       t.policy,
       t.bundle,
       t.model_version,
       t.context_hash,
       t.mode,
       CASE WHEN s.place > t.filled THEN t.reason END AS reason,
       t.seed,
       t.features,
       t.context_values,
       decide.action_names(t.blocked) AS blocked,
       decide.blocked_reasons(t.blocked_by) AS blocked_reasons,
       t.errors,
       t.origin,
       decide.deferred(t.stage_us[1]) AS request_us,
       decide.deferred(t.stage_us[2]) AS features_us,
       decide.deferred(t.stage_us[3]) AS candidates_us,
       decide.deferred(t.stage_us[4]) AS score_us,
       decide.deferred(t.stage_us[5]) AS choose_us,
       t.snapshot,
       decide.deferred(t.stage_us[6]) AS reserve_us,
       t.switches,
       t.scores,
       t.spreads,
       CASE WHEN t.denied IS NOT NULL THEN
       ARRAY(SELECT p.name FROM decide.identity AS p WHERE p.kind = 'purpose' AND p.number = ANY (t.denied) ORDER BY p.number)
       END AS denied,
       CASE WHEN t.variants IS NOT NULL THEN
       (SELECT pg_catalog.jsonb_object_agg(x.name, v.variant ORDER BY p.place)
          FROM pg_catalog.generate_series(1, pg_catalog.cardinality(t.variants) - 2, 3) AS p (place)
          JOIN decide.identity AS x ON x.kind = 'experiment' AND x.number = t.variants[p.place]
          LEFT JOIN decide.experiment AS e ON e.id = x.id
          LEFT JOIN decide.variant AS v ON v.experiment = e.experiment AND v.position = t.variants[p.place + 1])
       END AS variants,
       t.region
  FROM decide.trace_in_use AS t CROSS JOIN LATERAL (SELECT decide.places(1, pg_catalog.cardinality(t.actions)) AS place) AS s;
COMMENT ON VIEW decide.decision IS 'Decisions, one row per slot; names where decide.trace has numbers';
COMMENT ON COLUMN decide.decision.decision_id IS 'Identifier of the decision, in order of time';
COMMENT ON COLUMN decide.decision.decided_at IS 'When it was made';
COMMENT ON COLUMN decide.decision.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.decision.surface IS 'Surface';
COMMENT ON COLUMN decide.decision.slot IS 'Slot, from 1';
COMMENT ON COLUMN decide.decision.action IS 'What was shown';
COMMENT ON COLUMN decide.decision.probability IS 'Probability of that choice (propensity), given the slots before; 1 for a fallback';
COMMENT ON COLUMN decide.decision.candidates IS 'Candidates';
COMMENT ON COLUMN decide.decision.probabilities IS 'Probability of each candidate in this slot; 0 for those in earlier slots; null for a fallback or an imported decision';
COMMENT ON COLUMN decide.decision.policy IS 'Policy that chose';
COMMENT ON COLUMN decide.decision.bundle IS 'Bundle in force';
COMMENT ON COLUMN decide.decision.model_version IS 'Model and version that scored';
COMMENT ON COLUMN decide.decision.context_hash IS 'Keyed hash of the context: equal for equal contexts';
COMMENT ON COLUMN decide.decision.mode IS 'normal, cautious or paused';
COMMENT ON COLUMN decide.decision.reason IS 'Why the slot got the fallback (null: the policy''s own choice)';
COMMENT ON COLUMN decide.decision.seed IS 'Seed of the draw';
COMMENT ON COLUMN decide.decision.features IS 'Feature vector used, in the order of the bundle''s features';
COMMENT ON COLUMN decide.decision.context_values IS 'Context fields that the surface keeps';
COMMENT ON COLUMN decide.decision.blocked IS 'Actions of the surface that were blocked';
COMMENT ON COLUMN decide.decision.blocked_reasons IS 'Why, for each, as decide.reason_catalog names it: cap: is followed by its name (null: none were out)';
COMMENT ON COLUMN decide.decision.errors IS 'Errors that rules or stages raised';
COMMENT ON COLUMN decide.decision.origin IS 'Where an imported decision comes from (null: made here)';
COMMENT ON COLUMN decide.decision.request_us IS 'Microseconds to check the request';
COMMENT ON COLUMN decide.decision.features_us IS 'Microseconds to read features';
COMMENT ON COLUMN decide.decision.candidates_us IS 'Microseconds to find candidates, rules included';
COMMENT ON COLUMN decide.decision.score_us IS 'Microseconds to score';
COMMENT ON COLUMN decide.decision.choose_us IS 'Microseconds to choose';
COMMENT ON COLUMN decide.decision.reserve_us IS 'Microseconds to take it from the counters of caps';
COMMENT ON COLUMN decide.decision.snapshot IS 'Snapshot of the features of actions and surfaces that models used, by the time when it was taken (null: none)';
COMMENT ON COLUMN decide.decision.switches IS 'Newest change of a kill switch that was applied (null: there had been none)';
COMMENT ON COLUMN decide.decision.scores IS 'Score of each candidate, less the prices of budgets (null: no model; all are equal)';
COMMENT ON COLUMN decide.decision.spreads IS 'Standard deviation of each score (null: the policy does not look at them)';
COMMENT ON COLUMN decide.decision.denied IS 'Purposes that the user did not consent to (null: none)';
COMMENT ON COLUMN decide.decision.variants IS 'Variants of experiments that the request got, by experiment (null: it was in none)';
COMMENT ON COLUMN decide.decision.region IS 'Region of the user; unknown: none that is known (null: there are no regions, or nothing was read)';

CREATE VIEW decide.entity_features AS
SELECT e.entity, v.name, f.feature, v.value::double precision AS value, s.taken_at
  FROM (SELECT n.taken_at, n.content FROM decide.entity_snapshot AS n ORDER BY n.taken_at DESC LIMIT 1) AS s
 CROSS JOIN LATERAL pg_catalog.jsonb_each(s.content) AS e (entity, features)
 CROSS JOIN LATERAL pg_catalog.jsonb_each(e.features) AS f (feature, named)
 CROSS JOIN LATERAL pg_catalog.jsonb_each(f.named) AS v (name, value);
COMMENT ON VIEW decide.entity_features IS 'Features of actions and of surfaces, as the newest snapshot has them';
COMMENT ON COLUMN decide.entity_features.entity IS 'action or surface';
COMMENT ON COLUMN decide.entity_features.name IS 'Name of the action, or of the surface';
COMMENT ON COLUMN decide.entity_features.feature IS 'Feature';
COMMENT ON COLUMN decide.entity_features.value IS 'What it was at that moment';
COMMENT ON COLUMN decide.entity_features.taken_at IS 'When the snapshot was taken';

CREATE VIEW decide.event_type_usage AS
WITH contract AS (
  SELECT e ->> 'event_type' AS event_type, (e ->> 'schema_version')::smallint AS schema_version,
         e ->> 'status' AS status, e ->> 'purpose' AS purpose
    FROM decide.publication AS p JOIN decide.bundle AS b USING (bundle)
   CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(b.content -> 'event_types') AS e
   WHERE p.publication = (SELECT pg_catalog.max(l.publication) FROM decide.publication AS l)
)
SELECT c.event_type, c.schema_version, c.status, c.purpose,
       COALESCE(a.events, 0) AS accepted_24h, s.last_seen, COALESCE(q.events, 0) AS quarantined_24h
  FROM contract AS c
  LEFT JOIN (SELECT e.type, e.schema_version, pg_catalog.count(*) AS events FROM decide.event AS e
              WHERE e.at >= pg_catalog.now() - interval '24 hours' GROUP BY 1, 2) AS a
         ON a.type = c.event_type AND a.schema_version = c.schema_version
  -- Reads all events that are kept; the planner leaves it out of queries that do not ask for last_seen.
  LEFT JOIN (SELECT e.type, e.schema_version, pg_catalog.max(e.at) AS last_seen FROM decide.event AS e GROUP BY 1, 2) AS s
         ON s.type = c.event_type AND s.schema_version = c.schema_version
  LEFT JOIN (SELECT q.event_type, COALESCE(q.payload ->> 'schema', '1') AS schema_version, pg_catalog.count(*) AS events
               FROM decide.quarantine AS q
              WHERE q.received_at >= pg_catalog.now() - interval '24 hours' GROUP BY 1, 2) AS q
         ON q.event_type = c.event_type AND q.schema_version = c.schema_version::text;
COMMENT ON VIEW decide.event_type_usage IS 'How much each contract in force is used, deprecated ones included';
COMMENT ON COLUMN decide.event_type_usage.event_type IS 'Type';
COMMENT ON COLUMN decide.event_type_usage.schema_version IS 'Version';
COMMENT ON COLUMN decide.event_type_usage.status IS 'accepted, deprecated or retired';
COMMENT ON COLUMN decide.event_type_usage.purpose IS 'What the events are collected for';
COMMENT ON COLUMN decide.event_type_usage.accepted_24h IS 'Events of the last 24 hours that were accepted';
COMMENT ON COLUMN decide.event_type_usage.last_seen IS
  'Time of the newest event that is kept; leave it out of a query that must be fast';
COMMENT ON COLUMN decide.event_type_usage.quarantined_24h IS 'Events that came into quarantine in the last 24 hours and are there still';

-- What caps leave, for people.

CREATE FUNCTION decide.exposure_entries(exposures bigint[])
RETURNS TABLE (slot int, at timestamptz, amount bigint, state bigint)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH RECURSIVE block (first, slot, entries) AS (
    SELECT 1, exposures[1], exposures[2] WHERE cardinality(exposures) >= 2
     UNION ALL
    SELECT b.first + 2 + 3 * b.entries::int, exposures[b.first + 2 + 3 * b.entries::int], exposures[b.first + 3 + 3 * b.entries::int]
      FROM block AS b
     WHERE b.entries BETWEEN 0 AND 100000 AND b.first + 3 + 3 * b.entries::int <= cardinality(exposures)
  )
  SELECT b.slot::int, timestamptz '2000-01-01 00:00+00' + exposures[i] * interval '1 microsecond', exposures[i + 1], exposures[i + 2]
    FROM block AS b CROSS JOIN LATERAL generate_series(b.first + 2, b.first + 3 * b.entries::int - 1, 3) AS i
$$;
COMMENT ON FUNCTION decide.exposure_entries(bigint[]) IS
  'The entries of a user''s counters: number of the cap, time, amount, and 0 or the action that it is reserved for';

-- The moment of a statement: in a transaction of several, statement_timestamp() goes on; in a procedure that commits, now().
CREATE VIEW decide.cap_in_force AS
SELECT (c ->> 'slot')::int AS slot, c ->> 'cap' AS cap, c ->> 'value' AS value,
       c ->> 'surface' AS surface, c ->> 'campaign' AS campaign, c ->> 'action' AS action,
       c ->> 'per' AS per, c ->> 'counts' AS counts, c ->> 'unit' AS unit, (c ->> 'hard')::boolean AS hard,
       (c ->> 'max_count')::bigint AS max_count, c ->> 'pacing' AS pacing, (c ->> 'hold')::interval AS hold,
       CASE WHEN c ->> 'window_length' IS NULL THEN NULL
            -- As decisions count: a month is 30 days then, a day 24 hours, and what is exactly that old is out.
            WHEN c ->> 'window_kind' = 'sliding'
            THEN GREATEST(pg_catalog.now(), pg_catalog.statement_timestamp()) - ((c ->> 'window_us')::numeric - 1)::double precision * interval '1 microsecond'
            ELSE w.starts END AS window_start,
       CASE WHEN c ->> 'window_kind' = 'calendar' AND c ->> 'window_length' IS NOT NULL THEN w.ends END AS window_end,
       (c ->> 'min_count')::bigint AS min_count,
       (c ->> 'hold_us')::numeric::bigint AS hold_us
  FROM decide.publication AS p JOIN decide.bundle AS b USING (bundle)
 CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(b.content -> 'caps') AS c
  LEFT JOIN LATERAL decide.cap_window(GREATEST(pg_catalog.now(), pg_catalog.statement_timestamp()),
              CASE WHEN c ->> 'window_kind' = 'calendar' THEN (c ->> 'window_length')::interval END,
              c ->> 'time_zone', (c ->> 'week_start')::int) AS w ON true
 WHERE p.publication = (SELECT pg_catalog.max(l.publication) FROM decide.publication AS l);
COMMENT ON VIEW decide.cap_in_force IS 'The caps in force, each with its present window';
COMMENT ON COLUMN decide.cap_in_force.slot IS 'Number by which counters and traces know it';
COMMENT ON COLUMN decide.cap_in_force.cap IS 'Name';
COMMENT ON COLUMN decide.cap_in_force.value IS 'Value of the attribute, where each is limited by itself';
COMMENT ON COLUMN decide.cap_in_force.surface IS 'Surface that it limits (null: all)';
COMMENT ON COLUMN decide.cap_in_force.campaign IS 'Campaign that it limits (null: all)';
COMMENT ON COLUMN decide.cap_in_force.action IS 'Action that it limits (null: all)';
COMMENT ON COLUMN decide.cap_in_force.per IS 'user, all or decision';
COMMENT ON COLUMN decide.cap_in_force.counts IS 'What is counted: decision, or a type of event';
COMMENT ON COLUMN decide.cap_in_force.unit IS 'count or cost';
COMMENT ON COLUMN decide.cap_in_force.hard IS 'Whether it never gives way';
COMMENT ON COLUMN decide.cap_in_force.max_count IS 'How many within the window';
COMMENT ON COLUMN decide.cap_in_force.pacing IS 'How it is spread over the window';
COMMENT ON COLUMN decide.cap_in_force.hold IS 'How long an exposure is reserved for its event';
COMMENT ON COLUMN decide.cap_in_force.window_start IS 'First moment whose exposures count now (null: all do)';
COMMENT ON COLUMN decide.cap_in_force.window_end IS 'When it starts anew (null: it does not)';
COMMENT ON COLUMN decide.cap_in_force.min_count IS 'How many should at least be delivered within the window (null: no goal)';
COMMENT ON COLUMN decide.cap_in_force.hold_us IS 'That time in microseconds, as decisions keep it: a month is 30 days';

CREATE VIEW decide.exposure AS
SELECT u.user_key, c.cap, c.value, c.max_count,
       pg_catalog.sum(e.amount) FILTER (WHERE e.state = 0) / s.scale AS counted,
       COALESCE(pg_catalog.sum(e.amount) FILTER (WHERE e.state > 0 AND e.at > GREATEST(pg_catalog.now(), pg_catalog.statement_timestamp()) - c.hold_us * interval '1 microsecond'), 0) / s.scale AS reserved,
       c.window_start, c.window_end, pg_catalog.max(e.at) AS last_at
  FROM decide.user_state AS u
 CROSS JOIN LATERAL decide.exposure_entries(u.exposures) AS e
  JOIN decide.cap_in_force AS c ON c.slot = e.slot
  JOIN decide.cap_catalog() AS k ON k.per = c.per AND k.counted_in = 'user_state'
 CROSS JOIN LATERAL (SELECT CASE c.unit WHEN 'cost' THEN 1000000.0::double precision ELSE 1 END) AS s (scale)
 WHERE (c.window_start IS NULL OR e.at >= c.window_start)
   AND (c.window_end IS NULL OR e.at < c.window_end OR e.state > 0 OR c.counts = 'decision')
 GROUP BY u.user_key, c.cap, c.value, c.max_count, s.scale, c.window_start, c.window_end;
COMMENT ON VIEW decide.exposure IS 'Exposures of users in the present window of each cap per user; filter by user_key = decide.user_key(…)';
COMMENT ON COLUMN decide.exposure.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.exposure.cap IS 'Cap';
COMMENT ON COLUMN decide.exposure.value IS 'Value of the attribute, where each is limited by itself';
COMMENT ON COLUMN decide.exposure.max_count IS 'How many within the window';
COMMENT ON COLUMN decide.exposure.counted IS 'How many counted (null: none)';
COMMENT ON COLUMN decide.exposure.reserved IS 'How many wait for their event';
COMMENT ON COLUMN decide.exposure.window_start IS 'Since when exposures count (null: from the first one on)';
COMMENT ON COLUMN decide.exposure.window_end IS 'When it starts anew (null: it does not)';
COMMENT ON COLUMN decide.exposure.last_at IS 'The last one';
