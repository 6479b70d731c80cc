-- What analysts and BI tools look at.

CREATE VIEW decide.decision AS
SELECT t.decision_id,
       t.decided_at,
       t.user_key,
       t.surface,
       t.first_slot + s.place - 1 AS slot,
       decide.action_name(t.actions[s.place]) AS action,
       t.chosen[s.place] AS probability,
       decide.candidate_names(t.candidates) AS candidates,
       decide.slot_probabilities(t.candidates, t.scores, t.choice, t.actions[1:t.filled], s.place, t.dropped) AS probabilities,
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
       CASE WHEN t.blocked_by IS NOT NULL THEN
       ARRAY(SELECT decide.blocked_reason(b)
               FROM pg_catalog.unnest(t.blocked_by) WITH ORDINALITY AS u (b, i) ORDER BY i)
       END AS blocked_reasons,
       t.errors,
       t.origin,
       t.stage_us[1] AS request_us,
       t.stage_us[2] AS features_us,
       t.stage_us[3] AS candidates_us,
       t.stage_us[4] AS score_us,
       t.stage_us[5] AS choose_us,
       t.snapshot,
       t.stage_us[6] AS reserve_us,
       t.switches
  FROM decide.trace AS t
 CROSS JOIN LATERAL pg_catalog.generate_series(1, pg_catalog.cardinality(t.actions)) AS s (place);
COMMENT ON VIEW decide.decision IS 'Decisions, one row per slot; names where decide.trace has numbers';
COMMENT ON COLUMN decide.decision.decision_id IS 'Identifier of the decision, in order of time';
COMMENT ON COLUMN decide.decision.decided_at IS 'When it was made';
COMMENT ON COLUMN decide.decision.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.decision.surface IS 'Surface';
COMMENT ON COLUMN decide.decision.slot IS 'Slot, from 1';
COMMENT ON COLUMN decide.decision.action IS 'What was shown';
COMMENT ON COLUMN decide.decision.probability IS 'Chance of that choice (propensity), given the slots before; 1 for a fallback';
COMMENT ON COLUMN decide.decision.candidates IS 'What could be had';
COMMENT ON COLUMN decide.decision.probabilities IS 'Chance of each candidate in this slot; 0 for those in earlier slots; null for a fallback or an imported decision';
COMMENT ON COLUMN decide.decision.policy IS 'Policy that chose';
COMMENT ON COLUMN decide.decision.bundle IS 'Bundle in force';
COMMENT ON COLUMN decide.decision.model_version IS 'Model and version that scored';
COMMENT ON COLUMN decide.decision.context_hash IS 'Keyed hash of the context: equal for equal contexts';
COMMENT ON COLUMN decide.decision.mode IS 'normal, cautious or paused';
COMMENT ON COLUMN decide.decision.reason IS 'Why the slot got the fallback (null: the policy''s own choice)';
COMMENT ON COLUMN decide.decision.seed IS 'Seed of the draw';
COMMENT ON COLUMN decide.decision.features IS 'Feature vector used, in the order of the bundle''s features';
COMMENT ON COLUMN decide.decision.context_values IS 'Context fields that the surface keeps';
COMMENT ON COLUMN decide.decision.blocked IS 'Actions of the surface that were out';
COMMENT ON COLUMN decide.decision.blocked_reasons IS 'Why, for each: not_started, ended, rule, rule_failed, unknown_user, busy, narrowed, breaker, killed, or cap: and its name';
COMMENT ON COLUMN decide.decision.errors IS 'Errors that rules or stages raised';
COMMENT ON COLUMN decide.decision.origin IS 'Where an imported decision comes from (null: made here)';
COMMENT ON COLUMN decide.decision.request_us IS 'Microseconds to check the request';
COMMENT ON COLUMN decide.decision.features_us IS 'Microseconds to read features';
COMMENT ON COLUMN decide.decision.candidates_us IS 'Microseconds to find candidates, rules included';
COMMENT ON COLUMN decide.decision.score_us IS 'Microseconds to score';
COMMENT ON COLUMN decide.decision.choose_us IS 'Microseconds to choose';
COMMENT ON COLUMN decide.decision.reserve_us IS 'Microseconds to take it from the counters of caps';
COMMENT ON COLUMN decide.decision.snapshot IS 'When the features of actions and surfaces were taken that models saw (null: none were)';
COMMENT ON COLUMN decide.decision.switches IS 'Newest change of a kill switch that was applied (null: there had been none)';

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
COMMENT ON VIEW decide.event_type_usage IS 'How far each contract in force is used: the deprecated ones too';
COMMENT ON COLUMN decide.event_type_usage.event_type IS 'Type';
COMMENT ON COLUMN decide.event_type_usage.schema_version IS 'Version';
COMMENT ON COLUMN decide.event_type_usage.status IS 'accepted, deprecated or retired';
COMMENT ON COLUMN decide.event_type_usage.purpose IS 'What the events are collected for';
COMMENT ON COLUMN decide.event_type_usage.accepted_24h IS 'Events of the last 24 hours that were accepted';
COMMENT ON COLUMN decide.event_type_usage.last_seen IS
  'Time of the newest event that is kept; leave it out of a query that must be fast';
COMMENT ON COLUMN decide.event_type_usage.quarantined_24h IS 'Events that came into quarantine in the last 24 hours and are there still';
