-- The catalog of features: what there is, how far each is, and how fresh.

CREATE VIEW decide.feature_in_force AS
SELECT e.row ->> 'feature' AS feature, (e.row ->> 'slot')::int AS slot,
       CASE WHEN e.row ->> 'entity' = 'user' AND e.row ->> 'key_path' IS NULL AND NOT (e.row ->> 'offline_only')::boolean
            THEN (pg_catalog.count(*) FILTER (WHERE e.row ->> 'entity' = 'user' AND e.row ->> 'key_path' IS NULL
                                                AND NOT (e.row ->> 'offline_only')::boolean)
                  OVER (ORDER BY e.n))::int END AS place,
       pg_catalog.array_remove(ARRAY[e.row ->> 'event_type', e.row ->> 'trial_event_type'], NULL) AS event_types,
       (e.row ->> 'offline_only')::boolean AS offline_only
  FROM decide.bundle AS b
 CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(b.content -> 'features') WITH ORDINALITY AS e (row, n)
 WHERE b.bundle = (SELECT p.bundle FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1);
COMMENT ON VIEW decide.feature_in_force IS 'Features of the bundle in force';
COMMENT ON COLUMN decide.feature_in_force.feature IS 'Name';
COMMENT ON COLUMN decide.feature_in_force.slot IS 'Its slot in decide.feature_slot';
COMMENT ON COLUMN decide.feature_in_force.place IS 'Its index in the vectors of traces, from 1 (null: it is not in them)';
COMMENT ON COLUMN decide.feature_in_force.event_types IS 'Types of the events that change it';
COMMENT ON COLUMN decide.feature_in_force.offline_only IS 'True if decisions do not see it';

CREATE TABLE decide.feature_statistic (
  feature text PRIMARY KEY,
  seen_at timestamptz,
  missing_share double precision,
  decisions bigint NOT NULL,
  computed_at timestamptz NOT NULL
);
COMMENT ON TABLE decide.feature_statistic IS 'What the job freshness has found of each feature in force; not dumped';
COMMENT ON COLUMN decide.feature_statistic.feature IS 'Feature';
COMMENT ON COLUMN decide.feature_statistic.seen_at IS 'Time of the newest event of a type that changes it';
COMMENT ON COLUMN decide.feature_statistic.missing_share IS 'Share of the decisions that missed it (null: there were none, or it is not in their vector)';
COMMENT ON COLUMN decide.feature_statistic.decisions IS 'Decisions that were looked at: of the last day, under the bundle in force';
COMMENT ON COLUMN decide.feature_statistic.computed_at IS 'When';

CREATE VIEW decide.feature_catalog AS
WITH defined AS MATERIALIZED (
  -- Rows of decide.feature, with the number that publish would find: of their id, or else of their name.
  SELECT f.*, decide.feature_definition(f) AS definition,
         COALESCE(n.number, (SELECT i.number FROM decide.identity AS i
                              WHERE i.kind = 'feature' AND i.name = f.feature
                                AND NOT EXISTS (SELECT 1 FROM decide.feature AS o WHERE o.id = i.id)
                              ORDER BY i.named_at DESC LIMIT 1)) AS number
    FROM decide.feature AS f JOIN decide.named AS n ON n.kind = 'feature' AND n.id = f.id
), version AS (
  -- Each place that was ever given, and each definition that has none yet.
  SELECT COALESCE(d.feature, l.feature) AS feature, l.number, l.slot, l.definition, l.staged_at, l.backfilled_at,
         pg_catalog.row_number() OVER (PARTITION BY l.number ORDER BY l.slot) AS version
    FROM decide.feature_slot AS l LEFT JOIN defined AS d ON d.number = l.number
  UNION ALL
  SELECT d.feature, d.number, NULL, d.definition, NULL, NULL,
         1 + (SELECT pg_catalog.count(*) FROM decide.feature_slot AS l WHERE l.number = d.number)
    FROM defined AS d
   WHERE NOT EXISTS (SELECT 1 FROM decide.feature_slot AS l WHERE l.number = d.number AND l.definition = d.definition)
)
SELECT v.feature,
       v.definition ->> 'entity' AS entity,
       v.definition ->> 'aggregate' AS aggregate,
       v.version::int AS version,
       CASE WHEN i.offline_only THEN 'offline'
            WHEN i.slot IS NOT NULL THEN 'live'
            WHEN v.staged_at IS NOT NULL AND v.backfilled_at IS NULL THEN 'backfilling'
            WHEN v.staged_at IS NOT NULL THEN 'backfilled'
            WHEN f.feature IS NOT NULL THEN 'draft'
            ELSE 'retired' END AS lifecycle,
       v.slot,
       o.owner,
       o.purpose,
       pg_catalog.justify_hours(pg_catalog.make_interval(secs => (v.definition ->> 'half_life_us')::double precision / 1000000)) AS half_life,
       f.ttl,
       f.freshness AS freshness_promised,
       CASE WHEN i.slot IS NOT NULL THEN pg_catalog.now() - s.seen_at END AS freshness_seen,
       CASE WHEN i.slot IS NOT NULL THEN s.missing_share END AS missing_share,
       CASE WHEN i.slot IS NOT NULL THEN s.computed_at END AS statistics_at
  FROM version AS v
  LEFT JOIN decide.feature_in_force AS i ON i.slot = v.slot
  LEFT JOIN defined AS o ON o.feature = v.feature
  LEFT JOIN defined AS f ON f.feature = v.feature AND f.definition = v.definition
  LEFT JOIN decide.feature_statistic AS s ON s.feature = v.feature
 ORDER BY v.feature COLLATE "C", v.version;
COMMENT ON VIEW decide.feature_catalog IS 'Every version of every feature: its state, who answers for it, how fresh it is, and how often it is missing';
COMMENT ON COLUMN decide.feature_catalog.feature IS 'Name';
COMMENT ON COLUMN decide.feature_catalog.entity IS 'Whose number it is';
COMMENT ON COLUMN decide.feature_catalog.aggregate IS 'What it keeps';
COMMENT ON COLUMN decide.feature_catalog.version IS 'Which of the definitions under its name, from 1';
COMMENT ON COLUMN decide.feature_catalog.lifecycle IS
  'draft: defined and not in force; backfilling: written, and its past is being computed; backfilled: to be published; live; offline: kept and not seen by decisions; retired: no longer written';
COMMENT ON COLUMN decide.feature_catalog.slot IS 'Its slot in decide.feature_slot (null: not yet given)';
COMMENT ON COLUMN decide.feature_catalog.owner IS 'Who answers for it';
COMMENT ON COLUMN decide.feature_catalog.purpose IS 'What it is kept for';
COMMENT ON COLUMN decide.feature_catalog.half_life IS 'Time in which the past loses half its weight (null: it never does)';
COMMENT ON COLUMN decide.feature_catalog.ttl IS 'Age of the newest event from which on it is missing, as decide.feature has it now (null: never, or another definition)';
COMMENT ON COLUMN decide.feature_catalog.freshness_promised IS 'How old its newest event may be';
COMMENT ON COLUMN decide.feature_catalog.freshness_seen IS 'How old the newest event is that the job freshness has seen';
COMMENT ON COLUMN decide.feature_catalog.missing_share IS 'Share of the decisions of a day that missed it';
COMMENT ON COLUMN decide.feature_catalog.statistics_at IS 'When the job freshness looked last';

CREATE FUNCTION decide.backfill(feature text) RETURNS text
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'backfill_wrapper';
COMMENT ON FUNCTION decide.backfill(text) IS
  'Has all sessions write a feature that is not yet in force, and computes its past from the events that are kept, 1,000 users per call; answers the progress';

CREATE FUNCTION decide.feature_consistency("from" timestamptz, "to" timestamptz)
RETURNS TABLE (feature text, decisions bigint, mismatch bigint, missing bigint, extra bigint, largest_difference double precision)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'feature_consistency_wrapper';
COMMENT ON FUNCTION decide.feature_consistency(timestamptz, timestamptz) IS
  'Computes the features of decisions again, from the events that are kept as of each, and compares them with those in the traces; writes nothing';

-- What came of decisions, for all who learn from it or judge by it: of an outcome type in force what is credited, net of reversals. An outcome may have been noted a little before its
-- decision, where clocks differ. Because of SET it is planned by itself, and those who join it expect many rows: without
-- statistics of new partitions a nested loop would run it once for each trace.
CREATE FUNCTION decide.rewards(outcome text, decided_from timestamptz, decided_to timestamptz, within interval DEFAULT NULL)
RETURNS TABLE (decision_id uuid, user_key uuid, number integer, reward double precision)
LANGUAGE sql STABLE ROWS 100000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT o.decision_id, o.user_key, CASE WHEN o.action IS NULL THEN 0 ELSE COALESCE(o.number, decide.number_of_action(o.action), -1) END AS number,
         -- Values beyond this are cut: a sum of larger ones could overflow, which would be an error for everybody who asks.
         pg_catalog.sum(LEAST(GREATEST(COALESCE(o.value, 1), -1e100), 1e100))
    FROM decide.outcome AS o
   WHERE o.type = rewards.outcome AND o.at > o.decided_at - interval '5 minutes' AND (rewards.within IS NULL OR o.at <= o.decided_at + rewards.within)
     AND o.decided_at >= rewards.decided_from AND o.decided_at < rewards.decided_to
     AND NOT EXISTS (SELECT FROM decide.outcome_types_in_force() AS t WHERE t.outcome_type = rewards.outcome)
   GROUP BY 1, 2, 3
   UNION ALL
  SELECT a.decision_id, a.decided_for, COALESCE(a.number, 0), pg_catalog.sum(LEAST(GREATEST(a.net_value, -1e100), 1e100))
    FROM decide.attributed_event AS a
   WHERE a.outcome_type = rewards.outcome AND a.decision_id IS NOT NULL AND (rewards.within IS NULL OR a.at <= a.decided_at + rewards.within)
     AND COALESCE(a.decided_at, a.at) >= rewards.decided_from AND COALESCE(a.decided_at, a.at) < rewards.decided_to
     AND EXISTS (SELECT FROM decide.outcome_types_in_force() AS t WHERE t.outcome_type = rewards.outcome)
   GROUP BY 1, 2, 3;
END;
COMMENT ON FUNCTION decide.rewards(text, timestamptz, timestamptz, interval) IS
  'What outcomes of an outcome type, or events of a type where there is no outcome type of that name, add up to for each decision and action, by number; 0 for all slots of the decision, -1 for an action that does not exist';

CREATE FUNCTION decide.training_set(model text, "from" timestamptz, "to" timestamptz, outcome text DEFAULT 'click')
RETURNS TABLE (decision_id uuid, decided_at timestamptz, user_key uuid, slot integer, action text, probability double precision,
               features double precision[], missing smallint[], context_values text[], reward double precision)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  WITH surface AS (
    SELECT p.row ->> 'surface' AS surface
      FROM decide.bundle AS b CROSS JOIN LATERAL jsonb_array_elements(b.content -> 'policies') AS p (row)
     WHERE b.bundle = (SELECT l.bundle FROM decide.publication AS l ORDER BY l.publication DESC LIMIT 1)
       AND p.row ->> 'model' = training_set.model
  ), shown AS (
    SELECT t.decision_id, t.user_key, t.decided_at, t.first_slot + s.place - 1 AS slot, s.action AS number, decide.action_name(s.action) AS action,
           t.chosen[s.place] AS probability, t.features, t.missing, t.context_values, s.place
      FROM decide.trace AS t
     CROSS JOIN LATERAL unnest(t.actions[1:t.filled]) WITH ORDINALITY AS s (action, place)
     WHERE t.surface IN (SELECT f.surface FROM surface AS f) AND t.bundle IS NOT NULL
       AND t.decided_at >= training_set."from" AND t.decided_at < training_set."to"
       AND NOT EXISTS (SELECT FROM decide.erasing AS e WHERE e.user_key = t.user_key AND t.decided_at <= COALESCE(e.until, 'infinity'))
  ), reward AS (
    SELECT r.decision_id, r.user_key, r.number, r.reward
      FROM decide.rewards(training_set.outcome, training_set."from", training_set."to") AS r
  )
  SELECT s.decision_id, s.decided_at, s.user_key, s.slot::int, s.action, s.probability, s.features, s.missing, s.context_values,
         COALESCE(own.reward, 0) + COALESCE(slate.reward, 0)
    FROM shown AS s
    LEFT JOIN reward AS own ON own.decision_id = s.decision_id AND own.user_key = s.user_key AND own.number = s.number
    LEFT JOIN reward AS slate ON slate.decision_id = s.decision_id AND slate.user_key = s.user_key AND slate.number = 0
   ORDER BY s.decision_id, s.place
$$;
COMMENT ON FUNCTION decide.training_set(text, timestamptz, timestamptz, text) IS
  'Decisions of the surfaces where a model is in force, a row for each slot that a policy filled, with the vector that was used and the outcomes that came after';
