-- Bundles: what was published, and which of them is in force.

CREATE TABLE decide.bundle (
  bundle bigint PRIMARY KEY,
  published_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  published_by text NOT NULL DEFAULT SESSION_USER,
  published_as text NOT NULL DEFAULT CURRENT_USER,
  note text,
  content jsonb NOT NULL,
  actions int NOT NULL DEFAULT 0,
  chunks uuid[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE decide.bundle IS 'Immutable, compiled, numbered snapshots of all policy tables';
COMMENT ON COLUMN decide.bundle.bundle IS 'Number, counting up without gaps';
COMMENT ON COLUMN decide.bundle.published_at IS 'When';
COMMENT ON COLUMN decide.bundle.published_by IS 'Who (the session''s user)';
COMMENT ON COLUMN decide.bundle.published_as IS 'Role with whose rights: another one after SET ROLE, and within a function that is SECURITY DEFINER';
COMMENT ON COLUMN decide.bundle.note IS 'Why';
COMMENT ON COLUMN decide.bundle.content IS 'The policy but for its actions, with the model versions that it pins';
COMMENT ON COLUMN decide.bundle.actions IS 'How many actions it has';
COMMENT ON COLUMN decide.bundle.chunks IS 'Its actions: rows of decide.bundle_chunk, in the order of the numbers of actions';

-- Actions that are as they were are not written again: bundles share the chunks that are the same.
CREATE TABLE decide.bundle_chunk (
  chunk uuid PRIMARY KEY,
  actions jsonb NOT NULL
);
COMMENT ON TABLE decide.bundle_chunk IS 'Actions of bundles, up to 256 with neighbouring numbers in a row; bundles that have the same ones share the row';
COMMENT ON COLUMN decide.bundle_chunk.chunk IS 'The first half of a SHA-256 hash of the actions';
COMMENT ON COLUMN decide.bundle_chunk.actions IS 'The actions, in the order of their numbers';

CREATE TABLE decide.publication (
  publication bigint PRIMARY KEY,
  bundle bigint NOT NULL,
  kind text NOT NULL CHECK (kind IN ('publish', 'rollback')),
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  by text NOT NULL DEFAULT SESSION_USER,
  acting_as text NOT NULL DEFAULT CURRENT_USER,
  note text
);
CREATE INDEX ON decide.publication (bundle);
COMMENT ON TABLE decide.publication IS 'Which bundle came into force when; that of the newest row is in force';
COMMENT ON COLUMN decide.publication.publication IS 'Number, counting up';
COMMENT ON COLUMN decide.publication.bundle IS 'Bundle in force from then on';
COMMENT ON COLUMN decide.publication.kind IS 'publish: a new bundle; rollback: an old one again';
COMMENT ON COLUMN decide.publication.at IS 'When';
COMMENT ON COLUMN decide.publication.by IS 'Who (the session''s user)';
COMMENT ON COLUMN decide.publication.acting_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.publication.note IS 'Why';

CREATE TABLE decide.feature_slot (
  slot int PRIMARY KEY,
  feature text NOT NULL,
  definition jsonb NOT NULL,
  width int NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  backfilled_at timestamptz,
  staged_at timestamptz,
  backfilled_to uuid,
  backfill_left uuid[] NOT NULL DEFAULT '{}',
  number int NOT NULL,
  UNIQUE (number, definition)
);
COMMENT ON TABLE decide.feature_slot IS 'The cells of a feature in the rows of users, for ever; another definition has other cells';
COMMENT ON COLUMN decide.feature_slot.slot IS 'First cell, from 0; of a feature that is kept per key, the number of its block';
COMMENT ON COLUMN decide.feature_slot.width IS 'How many cells it takes';
COMMENT ON COLUMN decide.feature_slot.created_at IS 'When it got its cells: events from then on are in it';
COMMENT ON COLUMN decide.feature_slot.backfilled_at IS 'When its past was computed (null: it was not)';
COMMENT ON COLUMN decide.feature_slot.staged_at IS 'Since when it is written though no bundle in force has it whole: its past is being computed, or it waits to be published';
COMMENT ON COLUMN decide.feature_slot.backfilled_to IS 'The last user whose past is in it, in the order of their pseudonyms';
COMMENT ON COLUMN decide.feature_slot.backfill_left IS 'Users before that one whose past is not in it yet, since other transactions had their rows';
COMMENT ON COLUMN decide.feature_slot.number IS 'Number of the feature in decide.identity';
COMMENT ON COLUMN decide.feature_slot.feature IS 'Name';
COMMENT ON COLUMN decide.feature_slot.definition IS 'What it counts, and how fast it fades';

CREATE TABLE decide.bundle_action (
  bundle bigint NOT NULL,
  surface text NOT NULL,
  rule int NOT NULL,
  number int NOT NULL,
  action text NOT NULL,
  campaign text,
  surfaces text[] NOT NULL,
  attributes jsonb NOT NULL,
  cost double precision NOT NULL,
  PRIMARY KEY (bundle, surface, rule, number)
);
COMMENT ON TABLE decide.bundle_action IS 'Actions of a bundle whose rule looks at the action: the row "action" of a rule';
COMMENT ON COLUMN decide.bundle_action.bundle IS 'Bundle';
COMMENT ON COLUMN decide.bundle_action.surface IS 'Surface where it may be shown';
COMMENT ON COLUMN decide.bundle_action.rule IS 'Which of the bundle''s rules binds it';
COMMENT ON COLUMN decide.bundle_action.number IS 'Number of the action';
COMMENT ON COLUMN decide.bundle_action.action IS 'Name of the action';
COMMENT ON COLUMN decide.bundle_action.campaign IS 'Campaign';
COMMENT ON COLUMN decide.bundle_action.surfaces IS 'Surfaces where it may be shown (empty: all)';
COMMENT ON COLUMN decide.bundle_action.attributes IS 'Attributes';
COMMENT ON COLUMN decide.bundle_action.cost IS 'Cost of one exposure';

-- What readers of traces need of a bundle, without its whole content.
CREATE TABLE decide.bundle_surface (
  bundle bigint NOT NULL,
  surface text NOT NULL,
  latency_budget interval NOT NULL,
  context_fields text[] NOT NULL,
  features text[] NOT NULL,
  PRIMARY KEY (bundle, surface)
);
COMMENT ON TABLE decide.bundle_surface IS 'Surfaces of each bundle, and the names of the values that its traces have';
COMMENT ON COLUMN decide.bundle_surface.bundle IS 'Bundle';
COMMENT ON COLUMN decide.bundle_surface.surface IS 'Surface';
COMMENT ON COLUMN decide.bundle_surface.latency_budget IS 'How long a decision may take';
COMMENT ON COLUMN decide.bundle_surface.context_fields IS 'Names of the values in decide.trace.context_values';
COMMENT ON COLUMN decide.bundle_surface.features IS 'Names of the values in decide.trace.features';

CREATE TABLE decide.action_version (
  number int NOT NULL,
  bundle bigint NOT NULL,
  campaign text,
  attributes jsonb NOT NULL,
  cost double precision NOT NULL,
  PRIMARY KEY (number, bundle)
);
COMMENT ON TABLE decide.action_version IS 'What actions were, from the bundle on in which that has changed: of a decision counts the newest version up to its bundle';
COMMENT ON COLUMN decide.action_version.number IS 'Number of the action in traces';
COMMENT ON COLUMN decide.action_version.bundle IS 'First bundle that has it so';
COMMENT ON COLUMN decide.action_version.campaign IS 'Campaign';
COMMENT ON COLUMN decide.action_version.attributes IS 'Attributes';
COMMENT ON COLUMN decide.action_version.cost IS 'Cost of one exposure';

CREATE TABLE decide.bundle_warning (
  bundle bigint NOT NULL,
  number bigint NOT NULL,
  "table" text NOT NULL,
  "row" text NOT NULL,
  warning text NOT NULL,
  PRIMARY KEY (bundle, number)
);
COMMENT ON TABLE decide.bundle_warning IS 'What had no effect in each bundle when it was published, the first 1,000 of each';
COMMENT ON COLUMN decide.bundle_warning.bundle IS 'Bundle';
COMMENT ON COLUMN decide.bundle_warning.number IS 'Number, counting up within the bundle';
COMMENT ON COLUMN decide.bundle_warning."table" IS 'Policy table';
COMMENT ON COLUMN decide.bundle_warning."row" IS 'Name of the row';
COMMENT ON COLUMN decide.bundle_warning.warning IS 'Why it has no effect';

CREATE VIEW decide.policy_warning AS
SELECT w."table", w."row", w.warning, w.bundle
  FROM decide.bundle_warning AS w
 WHERE w.bundle = (SELECT p.bundle FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1)
 ORDER BY w.number;
COMMENT ON VIEW decide.policy_warning IS 'What is valid and has no effect in the bundle in force, as its publish has found';
COMMENT ON COLUMN decide.policy_warning."table" IS 'Policy table';
COMMENT ON COLUMN decide.policy_warning."row" IS 'Name of the row';
COMMENT ON COLUMN decide.policy_warning.warning IS 'Why it has no effect';
COMMENT ON COLUMN decide.policy_warning.bundle IS 'Bundle in force';

CREATE TABLE decide.secret (
  number smallint PRIMARY KEY CHECK (number BETWEEN 0 AND 15),
  key bytea,
  fingerprint uuid,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  created_by text NOT NULL DEFAULT SESSION_USER,
  acting_as text NOT NULL DEFAULT CURRENT_USER,
  settled boolean NOT NULL DEFAULT true,
  open_transactions text[],
  checked_at timestamptz,
  kept_in text,
  kept_part text,
  kept_place tid
);
COMMENT ON TABLE decide.secret IS 'The living keys of the pseudonyms; granted to nobody';
COMMENT ON COLUMN decide.secret.number IS 'Number, which the pseudonyms that it makes have in them';
COMMENT ON COLUMN decide.secret.key IS '32 random bytes (null: the key is outside of the database)';
COMMENT ON COLUMN decide.secret.fingerprint IS 'What a key outside of the database is recognized by: a hash under it (null: the key is here)';
COMMENT ON COLUMN decide.secret.created_at IS 'When it was drawn: at the first publish, or by decide.rotate_pseudonyms; the newest makes the pseudonyms of new persons';
COMMENT ON COLUMN decide.secret.created_by IS 'Who did that (the session''s user)';
COMMENT ON COLUMN decide.secret.acting_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.secret.settled IS 'Whether no transaction is open any more that may not have known it';
COMMENT ON COLUMN decide.secret.open_transactions IS 'Transactions that were open when the job "pseudonyms" has first seen it';
COMMENT ON COLUMN decide.secret.checked_at IS 'When the job has last looked for rows under it, once there was a newer one';
COMMENT ON COLUMN decide.secret.kept_in IS 'Table in which there were some then, the first that was found';
COMMENT ON COLUMN decide.secret.kept_part IS 'The table, or its partition, that has the row that was found';
COMMENT ON COLUMN decide.secret.kept_place IS 'Where it is there: while a daily table has it, nothing else is looked at';

CREATE VIEW decide.bundle_history AS
SELECT p.publication, p.at, p.by, p.acting_as, p.kind, p.bundle, p.note,
       p.publication = (SELECT pg_catalog.max(l.publication) FROM decide.publication AS l) AS in_force,
       pg_catalog.jsonb_array_length(b.content -> 'surfaces') AS surfaces,
       b.actions,
       pg_catalog.jsonb_array_length(b.content -> 'policies') AS policies
  FROM decide.publication AS p JOIN decide.bundle AS b USING (bundle)
 ORDER BY p.publication;
COMMENT ON VIEW decide.bundle_history IS 'Who put which bundle in force, when and why';
COMMENT ON COLUMN decide.bundle_history.publication IS 'Number of the entry';
COMMENT ON COLUMN decide.bundle_history.at IS 'When';
COMMENT ON COLUMN decide.bundle_history.by IS 'Who';
COMMENT ON COLUMN decide.bundle_history.acting_as IS 'With whose rights';
COMMENT ON COLUMN decide.bundle_history.kind IS 'publish or rollback';
COMMENT ON COLUMN decide.bundle_history.bundle IS 'Bundle that came into force';
COMMENT ON COLUMN decide.bundle_history.note IS 'Why';
COMMENT ON COLUMN decide.bundle_history.in_force IS 'True if it is in force now';
COMMENT ON COLUMN decide.bundle_history.surfaces IS 'How many surfaces it has';
COMMENT ON COLUMN decide.bundle_history.actions IS 'How many actions';
COMMENT ON COLUMN decide.bundle_history.policies IS 'How many policies';

CREATE FUNCTION decide.bundle_diff(a bigint, b bigint)
RETURNS TABLE ("table" text, "row" text, change text, before jsonb, after jsonb)
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  missing bigint;
BEGIN
  SELECT n INTO missing FROM unnest(ARRAY[bundle_diff.a, bundle_diff.b]) AS n
   WHERE NOT EXISTS (SELECT 1 FROM decide.bundle AS x WHERE x.bundle = n);
  IF FOUND THEN
    RAISE EXCEPTION 'bundle % does not exist', missing
      USING ERRCODE = 'undefined_object', HINT = 'decide.bundle_history lists them.';
  END IF;
  RETURN QUERY
  WITH kinds (plural, name) AS (
    VALUES ('surfaces', 'surface'), ('campaigns', 'campaign'), ('features', 'feature'), ('caps', 'cap'), ('policies', 'policy'),
           ('event_types', 'event_type'), ('purposes', 'purpose'), ('outcome_types', 'outcome_type'), ('experiments', 'experiment'),
           ('context_fields', 'field'), ('regions', 'region')
  ), content AS (
    -- A cap that limits each value by itself has a part for each.
    SELECT x.bundle, k.name AS kind, concat_ws(' ', e ->> k.name, e ->> 'schema_version') AS id,
           CASE k.name WHEN 'cap' THEN COALESCE(e ->> 'value', '') WHEN 'field' THEN e ->> 'source' ELSE '' END AS part, e AS row
      FROM decide.bundle AS x, kinds AS k, jsonb_array_elements(x.content -> k.plural) AS e
     WHERE x.bundle IN (bundle_diff.a, bundle_diff.b)
     UNION ALL
    -- What both share is the same.
    SELECT x.bundle, 'action', e ->> 'action', '', e
      FROM decide.bundle AS x CROSS JOIN LATERAL unnest(x.chunks) AS c (chunk)
      JOIN decide.bundle_chunk AS k ON k.chunk = c.chunk CROSS JOIN LATERAL jsonb_array_elements(k.actions) AS e
     WHERE x.bundle IN (bundle_diff.a, bundle_diff.b)
       AND NOT EXISTS (SELECT FROM decide.bundle AS o
                        WHERE o.bundle IN (bundle_diff.a, bundle_diff.b) AND o.bundle <> x.bundle AND c.chunk = ANY (o.chunks))
  )
  SELECT kind, id,
         CASE WHEN before.row IS NULL THEN 'added' WHEN after.row IS NULL THEN 'removed' ELSE 'changed' END,
         before.row, after.row
    FROM (SELECT * FROM content AS c WHERE c.bundle = bundle_diff.a) AS before
    FULL JOIN (SELECT * FROM content AS c WHERE c.bundle = bundle_diff.b) AS after USING (kind, id, part)
   WHERE before.row IS DISTINCT FROM after.row
   ORDER BY kind, id, part;
END
$$;
COMMENT ON FUNCTION decide.bundle_diff(bigint, bigint) IS 'What differs between two bundles, row by row';

CREATE FUNCTION decide.feature_definition(feature decide.feature) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object(
  'entity', (feature).entity, 'event_type', (feature).event_type, 'aggregate', (feature).aggregate,
  'value_path', (feature).value_path, 'key_path', (feature).key_path,
  'trial_event_type', (feature).trial_event_type, 'filter', (feature).filter,
  'half_life_us', EXTRACT(epoch FROM (feature).half_life) * 1000000,
  'window_us', EXTRACT(epoch FROM (feature).window_length) * 1000000);
COMMENT ON FUNCTION decide.feature_definition(decide.feature) IS
  'The parts of a feature''s definition that decide what is kept: with another definition it has other cells';

CREATE FUNCTION decide.feature_content(feature decide.feature, slot integer) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN decide.feature_definition(feature) || jsonb_build_object(
  'feature', (feature).feature, 'slot', slot, 'half_life', (feature).half_life,
  'window_length', (feature).window_length, 'ttl', (feature).ttl, 'ttl_us', EXTRACT(epoch FROM (feature).ttl) * 1000000,
  'key_limit', (feature).key_limit, 'prior_weight', (feature).prior_weight, 'prior_rate', (feature).prior_rate,
  'offline_only', (feature).offline_only, 'default_value', (feature).default_value)
  || CASE WHEN (feature).purpose IS NULL THEN '{}' ELSE jsonb_build_object('purpose', (feature).purpose) END;
COMMENT ON FUNCTION decide.feature_content(decide.feature, integer) IS 'A feature as a bundle has it';

CREATE FUNCTION decide.policy_content(policy decide.policy) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN (
  SELECT jsonb_build_object(
           'policy', (policy_content.policy).policy, 'surface', (policy_content.policy).surface, 'model', (policy_content.policy).model,
           'model_version', COALESCE((policy_content.policy).model_version, v.version), 'model_rows', v.rows,
           'selection', (policy_content.policy).selection, 'params', (policy_content.policy).params,
           'unique_on_page', (policy_content.policy).unique_on_page)
         || CASE WHEN (policy_content.policy).objective = 'response' THEN '{}' ELSE jsonb_build_object(
           'objective', (policy_content.policy).objective, 'value_attribute', (policy_content.policy).value_attribute,
           'cost_attribute', (policy_content.policy).cost_attribute) END
           || CASE WHEN (policy_content.policy).for_variants THEN jsonb_build_object('for_variants', true) ELSE '{}' END
    FROM (SELECT) AS one
    LEFT JOIN LATERAL (
      SELECT m.version, m.rows FROM decide.model_version AS m
       WHERE m.model = (policy_content.policy).model
         AND CASE WHEN (policy_content.policy).model_version IS NULL THEN m.approved_at IS NOT NULL ELSE m.version = (policy_content.policy).model_version END
       ORDER BY m.version DESC LIMIT 1) AS v ON true);
COMMENT ON FUNCTION decide.policy_content(decide.policy) IS
  'A policy as a bundle has it: with the version of its model that a publish of now would take';
