-- Experiments: policy tables, of which the running ones are in force once published.

CREATE TABLE decide.experiment (
  experiment text PRIMARY KEY,
  surface text,
  status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'running', 'stopped', 'analysed')),
  unit text NOT NULL DEFAULT 'user',
  seed text CHECK (pg_catalog.length(seed) <= 200),
  hash_version int NOT NULL DEFAULT 2 CHECK (hash_version IN (1, 2)),
  coverage double precision NOT NULL DEFAULT 1 CHECK (coverage BETWEEN 0 AND 1),
  ramp_times timestamptz[] NOT NULL DEFAULT '{}',
  ramp_coverages double precision[] NOT NULL DEFAULT '{}',
  namespace text CHECK (decide.is_name(namespace)),
  namespace_from double precision NOT NULL DEFAULT 0 CHECK (namespace_from BETWEEN 0 AND 1),
  namespace_to double precision NOT NULL DEFAULT 1 CHECK (namespace_to BETWEEN 0 AND 1),
  target_when text,
  sticky boolean NOT NULL DEFAULT false,
  started_at timestamptz,
  stopped_at timestamptz,
  winner text,
  description text,
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid() UNIQUE,
  CHECK (pg_catalog.cardinality(ramp_times) = pg_catalog.cardinality(ramp_coverages) AND pg_catalog.cardinality(ramp_times) <= 100),
  CHECK (pg_catalog.array_position(ramp_times, NULL) IS NULL AND NOT ('-infinity'::timestamptz = ANY (ramp_times) OR 'infinity'::timestamptz = ANY (ramp_times))),
  CHECK (pg_catalog.array_position(ramp_coverages, NULL) IS NULL AND 0 <= ALL (ramp_coverages) AND 1 >= ALL (ramp_coverages))
);
CREATE INDEX ON decide.experiment (surface);
COMMENT ON TABLE decide.experiment IS 'Experiments: A/B tests, holdouts, canaries, champion and challenger; those that are running are published with the policy';
COMMENT ON COLUMN decide.experiment.experiment IS 'Name';
COMMENT ON COLUMN decide.experiment.surface IS 'Surface that it is about (null: all)';
COMMENT ON COLUMN decide.experiment.status IS 'draft; running: in force once published; stopped; analysed: it is decided what follows from it';
COMMENT ON COLUMN decide.experiment.unit IS 'What is assigned to variants: user, or context. and the name of a context field';
COMMENT ON COLUMN decide.experiment.seed IS 'What the hash of a unit begins with (null: the name); it stays when the name changes';
COMMENT ON COLUMN decide.experiment.hash_version IS 'Version of GrowthBook''s hash: 2, or 1 to agree with old SDKs';
COMMENT ON COLUMN decide.experiment.coverage IS 'Share of the units that are in it';
COMMENT ON COLUMN decide.experiment.ramp_times IS 'When the share grows, ascending';
COMMENT ON COLUMN decide.experiment.ramp_coverages IS 'Share from each of these times on, never less than before: who is in it stays in it';
COMMENT ON COLUMN decide.experiment.namespace IS 'Name that experiments share so that no unit is in two of them (null: none)';
COMMENT ON COLUMN decide.experiment.namespace_from IS 'Where its range of the namespace begins';
COMMENT ON COLUMN decide.experiment.namespace_to IS 'Where it ends';
COMMENT ON COLUMN decide.experiment.target_when IS 'Rule: who is in it, an SQL boolean expression over user_key, context and features (null: everybody)';
COMMENT ON COLUMN decide.experiment.sticky IS 'Whether users who were exposed keep their variant when weights change';
COMMENT ON COLUMN decide.experiment.started_at IS 'When decide.start_experiment was called first';
COMMENT ON COLUMN decide.experiment.stopped_at IS 'When it was stopped (null: it was not)';
COMMENT ON COLUMN decide.experiment.winner IS 'Variant that was put in force by decide.conclude_experiment (null: none)';
COMMENT ON COLUMN decide.experiment.description IS 'For people';
COMMENT ON COLUMN decide.experiment.id IS 'What stays when the name changes: the traces of the row are found by it';

CREATE TABLE decide.variant (
  experiment text NOT NULL,
  variant text NOT NULL,
  position smallint NOT NULL CHECK (position BETWEEN 0 AND 99),
  weight double precision NOT NULL DEFAULT 1 CHECK (decide.is_finite(weight) AND weight >= 0),
  policy text,
  without_actions text[] NOT NULL DEFAULT '{}' CHECK (pg_catalog.array_position(without_actions, NULL) IS NULL),
  without_campaigns text[] NOT NULL DEFAULT '{}' CHECK (pg_catalog.array_position(without_campaigns, NULL) IS NULL),
  without_attributes jsonb CHECK (pg_catalog.jsonb_typeof(without_attributes) = 'object'),
  without_caps text[] NOT NULL DEFAULT '{}' CHECK (pg_catalog.array_position(without_caps, NULL) IS NULL),
  with_actions text[] NOT NULL DEFAULT '{}' CHECK (pg_catalog.array_position(with_actions, NULL) IS NULL),
  with_caps text[] NOT NULL DEFAULT '{}' CHECK (pg_catalog.array_position(with_caps, NULL) IS NULL),
  payload jsonb,
  description text,
  PRIMARY KEY (experiment, variant),
  UNIQUE (experiment, position)
);
CREATE INDEX ON decide.variant (policy);
COMMENT ON TABLE decide.variant IS 'Variants of experiments, and what each changes for those who get it';
COMMENT ON COLUMN decide.variant.experiment IS 'Experiment';
COMMENT ON COLUMN decide.variant.variant IS 'Name';
COMMENT ON COLUMN decide.variant.position IS 'Place among the variants, from 0, by which traces and GrowthBook''s SDKs know it; 0 is the control';
COMMENT ON COLUMN decide.variant.weight IS 'Share of the units, in proportion to the other variants';
COMMENT ON COLUMN decide.variant.policy IS 'Policy that chooses in the place of the surface''s own, a row of decide.policy with for_variants (null: its own)';
COMMENT ON COLUMN decide.variant.without_actions IS 'Actions that it takes out';
COMMENT ON COLUMN decide.variant.without_campaigns IS 'Campaigns whose actions it takes out';
COMMENT ON COLUMN decide.variant.without_attributes IS 'Takes out the actions that have all these attributes; of an array one element is enough (null: none)';
COMMENT ON COLUMN decide.variant.without_caps IS 'Caps that neither bind nor count';
COMMENT ON COLUMN decide.variant.with_actions IS 'Actions with for_variants that it puts in';
COMMENT ON COLUMN decide.variant.with_caps IS 'Caps with for_variants that it puts in';
COMMENT ON COLUMN decide.variant.payload IS 'What decide.variants hands out to the application (null: nothing)';
COMMENT ON COLUMN decide.variant.description IS 'For people';

CREATE TABLE decide.experiment_override (
  experiment text NOT NULL,
  field text NOT NULL CHECK (decide.is_name(field)),
  value text NOT NULL,
  variant text NOT NULL,
  PRIMARY KEY (experiment, field, value)
);
COMMENT ON TABLE decide.experiment_override IS 'Variants for testers: requests whose context has a value get a variant, and do not count in results';
COMMENT ON COLUMN decide.experiment_override.experiment IS 'Experiment';
COMMENT ON COLUMN decide.experiment_override.field IS 'Context field';
COMMENT ON COLUMN decide.experiment_override.value IS 'Its value, as a text; never a user_id, since bundles keep it';
COMMENT ON COLUMN decide.experiment_override.variant IS 'Variant';

CREATE TABLE decide.experiment_change (
  id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(),
  experiment uuid NOT NULL,
  name text NOT NULL,
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  by text NOT NULL DEFAULT SESSION_USER,
  acting_as text NOT NULL DEFAULT CURRENT_USER,
  status text NOT NULL,
  was text NOT NULL,
  winner text
);
CREATE INDEX ON decide.experiment_change (experiment, at);
COMMENT ON TABLE decide.experiment_change IS 'Who has started, stopped and concluded experiments, and when, by whichever statement';
COMMENT ON COLUMN decide.experiment_change.id IS 'Identifier';
COMMENT ON COLUMN decide.experiment_change.experiment IS 'The id of the experiment';
COMMENT ON COLUMN decide.experiment_change.name IS 'Its name then';
COMMENT ON COLUMN decide.experiment_change.at IS 'When';
COMMENT ON COLUMN decide.experiment_change.by IS 'Who (the session''s user)';
COMMENT ON COLUMN decide.experiment_change.acting_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.experiment_change.status IS 'Status from then on';
COMMENT ON COLUMN decide.experiment_change.was IS 'Status before';
COMMENT ON COLUMN decide.experiment_change.winner IS 'Variant that was put in force (null: none)';

-- The trigger runs as the owner, so that who may edit experiments may not write their history. Loading rows does not fire it.
CREATE FUNCTION decide.note_experiment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF OLD.status <> NEW.status OR OLD.winner IS DISTINCT FROM NEW.winner THEN
    INSERT INTO decide.experiment_change (experiment, name, status, was, winner, acting_as)
    VALUES (NEW.id, NEW.experiment, NEW.status, OLD.status, NEW.winner,
            CASE current_setting('role') WHEN 'none' THEN SESSION_USER ELSE current_setting('role') END);
  END IF;
  IF OLD.experiment <> NEW.experiment THEN
    UPDATE decide.variant AS v SET experiment = NEW.experiment WHERE v.experiment = OLD.experiment;
    UPDATE decide.experiment_override AS o SET experiment = NEW.experiment WHERE o.experiment = OLD.experiment;
    UPDATE decide.experiment AS x SET seed = OLD.experiment WHERE x.id = NEW.id AND x.seed IS NULL AND x.status <> 'draft';
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION decide.note_experiment() IS 'Notes changes of status in decide.experiment_change, and gives a new name to the rows that have it';
CREATE TRIGGER note_experiment AFTER UPDATE ON decide.experiment FOR EACH ROW
  WHEN (OLD.status <> NEW.status OR OLD.winner IS DISTINCT FROM NEW.winner OR OLD.experiment <> NEW.experiment)
  EXECUTE FUNCTION decide.note_experiment();
COMMENT ON TRIGGER note_experiment ON decide.experiment IS 'So that its history is kept, and variants follow a new name';

CREATE FUNCTION decide.experiment_content(experiment decide.experiment, number integer) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object(
  'experiment', (experiment).experiment, 'number', number, 'surface', (experiment).surface,
  'unit', (experiment).unit, 'seed', COALESCE((experiment).seed, (experiment).experiment), 'hash_version', (experiment).hash_version,
  'coverage', (experiment).coverage,
  'ramp', COALESCE((SELECT jsonb_agg(jsonb_build_object('at_us', (EXTRACT(epoch FROM r.at) * 1000000)::bigint, 'coverage', r.coverage) ORDER BY r.place)
                      FROM ROWS FROM (unnest((experiment).ramp_times), unnest((experiment).ramp_coverages)) WITH ORDINALITY AS r (at, coverage, place)), '[]'),
  'namespace', (experiment).namespace, 'namespace_from', (experiment).namespace_from, 'namespace_to', (experiment).namespace_to,
  'target_when', (experiment).target_when, 'sticky', (experiment).sticky,
  'variants', COALESCE((
    SELECT jsonb_agg(jsonb_build_object(
             'variant', v.variant, 'position', v.position, 'weight', v.weight, 'policy', v.policy,
             'without_actions', v.without_actions, 'without_campaigns', v.without_campaigns, 'without_attributes', v.without_attributes,
             'without_caps', v.without_caps, 'with_actions', v.with_actions, 'with_caps', v.with_caps, 'payload', v.payload) ORDER BY v.position)
      FROM decide.variant AS v WHERE v.experiment = (experiment_content.experiment).experiment), '[]'),
  'overrides', COALESCE((
    SELECT jsonb_agg(jsonb_build_object('field', o.field, 'value', o.value, 'variant', o.variant) ORDER BY o.field COLLATE "C", o.value COLLATE "C")
      FROM decide.experiment_override AS o WHERE o.experiment = (experiment_content.experiment).experiment), '[]'));
COMMENT ON FUNCTION decide.experiment_content(decide.experiment, integer) IS 'An experiment as a bundle has it, with its variants and overrides';
