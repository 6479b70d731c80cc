-- Long forms of decisions, for BI tools: names and documents in the place of arrays.

CREATE VIEW decide.decision_detail AS
SELECT t.decision_id,
       t.decided_at,
       t.user_key,
       t.surface,
       t.first_slot + s.place - 1 AS slot,
       i.name AS action,
       t.chosen[s.place] AS probability,
       CASE WHEN s.place > t.filled THEN t.reason END AS reason,
       v.campaign,
       v.attributes,
       v.cost,
       (SELECT pg_catalog.jsonb_object_agg(c.name, c.value)
          FROM ROWS FROM (pg_catalog.unnest(b.context_fields), pg_catalog.unnest(t.context_values)) AS c (name, value)
         WHERE c.name IS NOT NULL) AS context,
       (SELECT pg_catalog.jsonb_object_agg(f.name, CASE WHEN decide.is_finite(f.value) THEN f.value END)
          FROM ROWS FROM (pg_catalog.unnest(b.features), pg_catalog.unnest(t.features)) AS f (name, value)
         WHERE f.name IS NOT NULL) AS features,
       CASE WHEN t.missing IS NOT NULL THEN
       ARRAY(SELECT b.features[m.place] FROM pg_catalog.unnest(t.missing) AS m (place))
       END AS missing,
       t.policy,
       t.bundle,
       t.model_version,
       t.mode,
       t.origin,
       t.actions[s.place] AS number
  FROM decide.trace_in_use AS t CROSS JOIN LATERAL (SELECT decide.places(1, pg_catalog.cardinality(t.actions)) AS place) AS s
  LEFT JOIN decide.identity AS i ON i.kind = 'action' AND i.number = t.actions[s.place]
  LEFT JOIN decide.bundle_surface AS b ON b.bundle = t.bundle AND b.surface = t.surface
  LEFT JOIN (
    SELECT a.*, pg_catalog.lead(a.bundle) OVER (PARTITION BY a.number ORDER BY a.bundle) AS next FROM decide.action_version AS a
  ) AS v ON v.number = t.actions[s.place] AND v.bundle <= t.bundle AND (v.next IS NULL OR v.next > t.bundle);
COMMENT ON VIEW decide.decision_detail IS
  'Decisions, one row per slot, with campaign and attributes of the action as of the bundle, and context and features by name';
COMMENT ON COLUMN decide.decision_detail.decision_id IS 'Identifier of the decision, in order of time';
COMMENT ON COLUMN decide.decision_detail.decided_at IS 'When it was made';
COMMENT ON COLUMN decide.decision_detail.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.decision_detail.surface IS 'Surface';
COMMENT ON COLUMN decide.decision_detail.slot IS 'Slot, from 1';
COMMENT ON COLUMN decide.decision_detail.action IS 'What was shown';
COMMENT ON COLUMN decide.decision_detail.probability IS 'Probability of that choice (propensity), given the slots before; 1 for a fallback';
COMMENT ON COLUMN decide.decision_detail.reason IS 'Why the slot got the fallback (null: the policy''s own choice)';
COMMENT ON COLUMN decide.decision_detail.campaign IS 'Campaign of the action in that bundle (null: it had none, or the action was not in the bundle)';
COMMENT ON COLUMN decide.decision_detail.attributes IS 'Attributes of the action in that bundle: attributes ->> ''category'' is one of them';
COMMENT ON COLUMN decide.decision_detail.cost IS 'Cost of one exposure of the action in that bundle';
COMMENT ON COLUMN decide.decision_detail.context IS 'Context fields that the surface keeps, by name';
COMMENT ON COLUMN decide.decision_detail.features IS 'Features used, by name, without those that are kept per key; one that was missing has its default_value';
COMMENT ON COLUMN decide.decision_detail.missing IS 'Names of the features that were missing (null: none)';
COMMENT ON COLUMN decide.decision_detail.policy IS 'Policy that chose';
COMMENT ON COLUMN decide.decision_detail.bundle IS 'Bundle in force';
COMMENT ON COLUMN decide.decision_detail.model_version IS 'Model and version that scored';
COMMENT ON COLUMN decide.decision_detail.mode IS 'normal, cautious or paused';
COMMENT ON COLUMN decide.decision_detail.origin IS 'Where an imported decision comes from (null: made here)';
COMMENT ON COLUMN decide.decision_detail.number IS 'Number of the action, which stays when its name changes';

CREATE VIEW decide.decision_candidate AS
SELECT t.decision_id,
       t.decided_at,
       t.user_key,
       t.surface,
       t.first_slot + s.place - 1 AS slot,
       i.name AS action,
       c.code IS NULL AND s.place <= t.filled AND c.number = t.actions[s.place] AS shown,
       CASE WHEN c.score > '-infinity' AND c.score < 'infinity' THEN c.score END AS score,
       c.probability,
       c.code IS NOT NULL AS blocked,
       decide.blocked_reason(c.code) AS blocked_reason,
       t.policy,
       t.bundle,
       t.origin
  FROM decide.trace_in_use AS t CROSS JOIN LATERAL (SELECT decide.places(1, pg_catalog.cardinality(t.actions)) AS place) AS s
 CROSS JOIN LATERAL (
   SELECT o.number, o.score, o.probability, NULL::int AS code
     FROM ROWS FROM (
       pg_catalog.unnest(decide.candidate_numbers(t.candidates)), pg_catalog.unnest(t.scores),
       pg_catalog.unnest(decide.slot_probabilities(t.candidates, t.scores, t.choice, t.actions[1:t.filled], s.place, t.dropped, t.spreads))
     ) AS o (number, score, probability)
    UNION ALL
   SELECT b.number, NULL, NULL, b.code FROM ROWS FROM (pg_catalog.unnest(t.blocked), pg_catalog.unnest(t.blocked_by)) AS b (number, code)
 ) AS c
  LEFT JOIN decide.identity AS i ON i.kind = 'action' AND i.number = c.number;
COMMENT ON VIEW decide.decision_candidate IS
  'Decisions, one row per slot and action of the surface: its score and probability if it was a candidate, or why it was blocked';
COMMENT ON COLUMN decide.decision_candidate.decision_id IS 'Identifier of the decision, in order of time';
COMMENT ON COLUMN decide.decision_candidate.decided_at IS 'When it was made';
COMMENT ON COLUMN decide.decision_candidate.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.decision_candidate.surface IS 'Surface';
COMMENT ON COLUMN decide.decision_candidate.slot IS 'Slot, from 1';
COMMENT ON COLUMN decide.decision_candidate.action IS 'Candidate, or action that was blocked';
COMMENT ON COLUMN decide.decision_candidate.shown IS 'Whether the policy chose it for this slot; a fallback is in decide.decision only';
COMMENT ON COLUMN decide.decision_candidate.score IS 'Its score (null: it was blocked, or no model scored)';
COMMENT ON COLUMN decide.decision_candidate.probability IS
  'Its probability in this slot, 0 if an earlier one has it (null: it was blocked, or the slot got the fallback, or the decision was imported)';
COMMENT ON COLUMN decide.decision_candidate.blocked IS 'Whether it was blocked';
COMMENT ON COLUMN decide.decision_candidate.blocked_reason IS 'Why, as decide.reason_catalog names it: cap: is followed by its name (null: it was not)';
COMMENT ON COLUMN decide.decision_candidate.policy IS 'Policy that chose';
COMMENT ON COLUMN decide.decision_candidate.bundle IS 'Bundle in force';
COMMENT ON COLUMN decide.decision_candidate.origin IS 'Where an imported decision comes from (null: made here)';
