-- The policy tables but for the actions, of which there may be a hundred thousand, as one JSON document.
SELECT (pg_catalog.jsonb_build_object(
  'surfaces', COALESCE((
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
             'surface', s.surface, 'slots', s.slots, 'fallback_action', s.fallback_action,
             'latency_budget', s.latency_budget, 'context_fields', s.context_fields,
             'latency_budget_us', EXTRACT(epoch FROM s.latency_budget) * 1000000)
             || CASE WHEN s.baseline_action IS NULL THEN '{}' ELSE pg_catalog.jsonb_build_object('baseline_action', s.baseline_action) END
           ORDER BY s.surface COLLATE "C")
      FROM decide.surface AS s), '[]'),
  'campaigns', COALESCE((
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
             'campaign', c.campaign,
             'starts_at', c.starts_at AT TIME ZONE 'UTC', 'ends_at', c.ends_at AT TIME ZONE 'UTC',
             'starts_us', (EXTRACT(epoch FROM c.starts_at) * 1000000)::bigint,
             'ends_us', (EXTRACT(epoch FROM c.ends_at) * 1000000)::bigint)
             || CASE WHEN c.purpose IS NULL THEN '{}' ELSE pg_catalog.jsonb_build_object('purpose', c.purpose) END
           ORDER BY c.campaign COLLATE "C")
      FROM decide.campaign AS c), '[]'),
  'features', COALESCE((
    SELECT pg_catalog.jsonb_agg(decide.feature_content(f, l.slot) ORDER BY l.slot)
      FROM decide.feature AS f
      JOIN decide.identity AS i ON i.kind = 'feature' AND i.id = f.id
      JOIN decide.feature_slot AS l ON l.number = i.number AND l.definition = decide.feature_definition(f)), '[]'),
  'caps', COALESCE((
    WITH cap AS MATERIALIZED (
      SELECT c, i.number, decide.cap_identity(c) AS identity,
             pg_catalog.to_jsonb(c) - 'description' - 'id' - CASE WHEN c.for_variants THEN '' ELSE 'for_variants' END || pg_catalog.jsonb_build_object(
               'window_us', EXTRACT(epoch FROM c.window_length) * 1000000,
               'window_months', EXTRACT(year FROM w.whole) * 12 + EXTRACT(month FROM w.whole),
               'window_days', EXTRACT(day FROM w.whole),
               'window_part_us', EXTRACT(epoch FROM w.whole - pg_catalog.make_interval(
                  years => EXTRACT(year FROM w.whole)::int, months => EXTRACT(month FROM w.whole)::int,
                  days => EXTRACT(day FROM w.whole)::int)) * 1000000,
               'hold_us', EXTRACT(epoch FROM c.hold) * 1000000) AS content
        FROM decide.cap AS c JOIN decide.identity AS i ON i.kind = 'cap' AND i.id = c.id
       CROSS JOIN LATERAL (SELECT pg_catalog.justify_hours(c.window_length)) AS w (whole)
    )
    SELECT pg_catalog.jsonb_agg(p.content || pg_catalog.jsonb_build_object('slot', s.slot, 'value', s.value, 'cell_us', s.cell_us)
             ORDER BY (p.c).cap COLLATE "C", s.slot)
      FROM cap AS p
     CROSS JOIN LATERAL decide.cap_values(p.c) AS v (value)
     -- By the unique index, value by value: a join of its own choosing may compare all values with all slots.
     CROSS JOIN LATERAL (
       SELECT s.slot, s.value, s.cell_us FROM decide.cap_slot AS s
        WHERE s.number = p.number AND s.identity = p.identity
          AND COALESCE(s.value, '') = COALESCE(v.value, '') AND (s.value IS NULL) = (v.value IS NULL) LIMIT 1) AS s), '[]'),
  'policies', COALESCE((
    SELECT pg_catalog.jsonb_agg(decide.policy_content(p) ORDER BY p.policy COLLATE "C") FROM decide.policy AS p), '[]'),
  'event_types', COALESCE((
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
             'event_type', e.event_type, 'schema_version', e.schema_version, 'status', e.status,
             'fields', e.fields, 'keep_attributes', e.keep_attributes, 'purpose', e.purpose, 'owner', e.owner,
             'dedup_horizon', e.dedup_horizon, 'lateness', e.lateness,
             'future_tolerance', e.future_tolerance, 'retention', e.retention,
             'dedup_horizon_us', EXTRACT(epoch FROM e.dedup_horizon) * 1000000,
             'lateness_us', EXTRACT(epoch FROM e.lateness) * 1000000,
             'future_tolerance_us', EXTRACT(epoch FROM e.future_tolerance) * 1000000,
             'retention_us', EXTRACT(epoch FROM e.retention) * 1000000)
             || CASE WHEN e.sets_consent THEN pg_catalog.jsonb_build_object('sets_consent', true) ELSE '{}' END
           ORDER BY e.event_type COLLATE "C", e.schema_version)
      FROM decide.event_type AS e), '[]'),
  'purposes', COALESCE((
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
             'purpose', p.purpose, 'number', i.number, 'legal_basis', p.legal_basis, 'consent', p.consent
           ) ORDER BY p.purpose COLLATE "C")
      FROM decide.purpose AS p JOIN decide.identity AS i ON i.kind = 'purpose' AND i.id = p.id), '[]'),
  'outcome_types', COALESCE((
    SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(o) - 'description' ORDER BY o.outcome_type COLLATE "C")
      FROM decide.outcome_type AS o), '[]'),
  'experiments', COALESCE((
    SELECT pg_catalog.jsonb_agg(decide.experiment_content(e, i.number) ORDER BY e.experiment COLLATE "C")
      FROM decide.experiment AS e JOIN decide.identity AS i ON i.kind = 'experiment' AND i.id = e.id
     WHERE e.status = 'running'), '[]')
) || COALESCE((
  -- absent where there are none
  SELECT pg_catalog.jsonb_build_object('context_fields', pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
           'source', f.source, 'field', f.field, 'treatment', f.treatment, 'expression', f.expression, 'names_region', f.names_region)
           ORDER BY f.source COLLATE "C", f.field COLLATE "C"))
    FROM decide.context_field AS f HAVING pg_catalog.count(*) > 0), '{}')
  || COALESCE((
  SELECT pg_catalog.jsonb_build_object('regions', pg_catalog.jsonb_agg(
           pg_catalog.to_jsonb(r) - 'id' - 'description' || pg_catalog.jsonb_build_object('number', i.number)
           ORDER BY r.region COLLATE "C"))
    FROM decide.region AS r JOIN decide.identity AS i ON i.kind = 'region' AND i.id = r.id
  HAVING pg_catalog.count(*) > 0), '{}'))::text
