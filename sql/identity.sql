-- What stands behind the names of policy: numbers that counters and traces keep, whatever the names become.

CREATE TABLE decide.identity (
  kind text NOT NULL CHECK (kind IN ('surface', 'campaign', 'action', 'cap', 'feature', 'purpose', 'experiment', 'region')),
  number int NOT NULL,
  name text NOT NULL,
  former text[] NOT NULL DEFAULT '{}',
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
  named_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (kind, number),
  UNIQUE (kind, id)
);
CREATE INDEX ON decide.identity (kind, name);
CREATE INDEX ON decide.identity USING gin (former);
COMMENT ON TABLE decide.identity IS 'The number of each surface, campaign, action, cap, feature, purpose, experiment and region that was ever published, for ever; publish finds it by the id of a row, else by its name';
COMMENT ON COLUMN decide.identity.kind IS 'surface, campaign, action, cap, feature, purpose, experiment or region';
COMMENT ON COLUMN decide.identity.number IS 'Number, counting up within the kind';
COMMENT ON COLUMN decide.identity.name IS 'Name, as last published';
COMMENT ON COLUMN decide.identity.former IS 'Names that it had before, and that nothing else of its kind has had since';
COMMENT ON COLUMN decide.identity.id IS 'The id of the row that had it last';
COMMENT ON COLUMN decide.identity.named_at IS 'When it got its name';

CREATE VIEW decide.action_number AS
SELECT i.number, i.name AS action, i.former FROM decide.identity AS i WHERE i.kind = 'action';
COMMENT ON VIEW decide.action_number IS 'The number of an action in traces, for ever';
COMMENT ON COLUMN decide.action_number.number IS 'Number';
COMMENT ON COLUMN decide.action_number.action IS 'Name, as last published';
COMMENT ON COLUMN decide.action_number.former IS 'Names that it had before, and that no other action has had since';

CREATE FUNCTION decide.number_of_action(action text) RETURNS int
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
  (SELECT i.number FROM decide.identity AS i WHERE i.kind = 'action' AND i.name = number_of_action.action
    ORDER BY i.named_at DESC LIMIT 1)
   UNION ALL
  (SELECT i.number FROM decide.identity AS i WHERE i.kind = 'action' AND i.former @> ARRAY[number_of_action.action]
    ORDER BY i.named_at DESC LIMIT 1)
   LIMIT 1
$$;
COMMENT ON FUNCTION decide.number_of_action(text) IS 'The number of the action with this name, or of the last one that had it';

CREATE FUNCTION decide.number_shown(actions integer[], decided_at timestamptz, action text) RETURNS int
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT s.number
    FROM (SELECT u.number, i.name, i.former,
                 COALESCE((SELECT c.old FROM decide.name_change AS c
                            WHERE c.kind = 'action' AND c.identity = u.number AND c.at > number_shown.decided_at
                            ORDER BY c.at, c.number LIMIT 1), i.name) AS name_then
            FROM unnest(actions) AS u (number) JOIN decide.identity AS i ON i.kind = 'action' AND i.number = u.number) AS s
   WHERE number_shown.action IN (s.name_then, s.name) OR number_shown.action = ANY (s.former)
   ORDER BY number_shown.action = s.name_then DESC, number_shown.action = s.name DESC LIMIT 1
$$;
COMMENT ON FUNCTION decide.number_shown(integer[], timestamptz, text) IS
  'The number of the action with this name among those of a decision: the one that had the name then, else has it now, else had it before';

CREATE VIEW decide.named AS
SELECT n.kind, n.id, n.name, n.place, i.number
  FROM (SELECT 'surface' AS kind, s.id, s.surface AS name, NULL::text[] AS place FROM decide.surface AS s
         UNION ALL
        SELECT 'campaign', c.id, c.campaign, NULL FROM decide.campaign AS c
         UNION ALL
        -- Actions of the same surfaces get neighbouring numbers: a trace then keeps its candidates as few runs.
        SELECT 'action', a.id, a.action, a.surfaces FROM decide.action AS a
         UNION ALL
        SELECT 'cap', c.id, c.cap, NULL FROM decide.cap AS c
         UNION ALL
        SELECT 'feature', f.id, f.feature, NULL FROM decide.feature AS f
         UNION ALL
        SELECT 'purpose', p.id, p.purpose, NULL FROM decide.purpose AS p
         UNION ALL
        SELECT 'experiment', x.id, x.experiment, NULL FROM decide.experiment AS x
         UNION ALL
        SELECT 'region', r.id, r.region, NULL FROM decide.region AS r) AS n
  LEFT JOIN decide.identity AS i ON i.kind = n.kind AND i.id = n.id;
COMMENT ON VIEW decide.named IS 'The rows of policy tables that have a number, or get one when they are published';
COMMENT ON COLUMN decide.named.kind IS 'surface, campaign, action, cap, feature, purpose, experiment or region';
COMMENT ON COLUMN decide.named.id IS 'The id of the row';
COMMENT ON COLUMN decide.named.name IS 'Name that it has now';
COMMENT ON COLUMN decide.named.place IS 'What new numbers are ordered by, before the name';
COMMENT ON COLUMN decide.named.number IS 'Number that belongs to this id (null: none yet)';

CREATE TABLE decide.name_change (
  number bigint PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  by text NOT NULL DEFAULT SESSION_USER,
  acting_as text NOT NULL DEFAULT CURRENT_USER,
  kind text NOT NULL,
  identity int NOT NULL,
  old text NOT NULL,
  new text NOT NULL
);
CREATE INDEX ON decide.name_change (kind, identity, at);
COMMENT ON TABLE decide.name_change IS 'Every renaming that was published, however it was made';
COMMENT ON COLUMN decide.name_change.number IS 'Number, counting up';
COMMENT ON COLUMN decide.name_change.at IS 'When it was published';
COMMENT ON COLUMN decide.name_change.by IS 'Who published it (the session''s user)';
COMMENT ON COLUMN decide.name_change.acting_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.name_change.kind IS 'surface, campaign, action, cap, feature, purpose, experiment or region';
COMMENT ON COLUMN decide.name_change.identity IS 'Number of what was renamed, in decide.identity';
COMMENT ON COLUMN decide.name_change.old IS 'Name before';
COMMENT ON COLUMN decide.name_change.new IS 'Name since';

-- These run with the rights of their caller, who edits policy tables.
CREATE FUNCTION decide.rename(kind text, old text, new text) RETURNS void
LANGUAGE c
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rename_wrapper';
COMMENT ON FUNCTION decide.rename(text, text, text) IS
  'Gives a surface, campaign, action, cap, feature, policy or experiment another name, in all policy tables that contain it; in force once published, with the same counters';

CREATE FUNCTION decide.rename_rows(kind text, old text, new text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  argument text := CASE WHEN kind IS NULL THEN 'kind' WHEN old IS NULL THEN 'old' WHEN new IS NULL THEN 'new' END;
  renamed bigint;
BEGIN
  IF argument IS NOT NULL THEN
    RAISE EXCEPTION '% must not be null', argument USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF kind NOT IN ('surface', 'campaign', 'action', 'cap', 'feature', 'policy', 'experiment') THEN
    RAISE EXCEPTION 'there is no renaming of "%"', left(kind, 100) USING ERRCODE = 'invalid_parameter_value',
      HINT = 'What can be renamed: surface, campaign, action, cap, feature, policy, experiment.';
  END IF;
  IF NOT decide.is_name(new) THEN
    RAISE EXCEPTION 'the new name is not a valid one' USING ERRCODE = 'invalid_name',
      DETAIL = 'A name has 1 to 200 characters, no control characters, and no blanks around it.';
  END IF;
  BEGIN
    EXECUTE format('UPDATE decide.%1$I SET %1$I = $2 WHERE %1$I = $1', kind) USING old, new;
    GET DIAGNOSTICS renamed = ROW_COUNT;
  EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION '% "%" already exists', kind, new USING ERRCODE = 'duplicate_object',
      HINT = 'To swap two names, go by way of a third one, within a transaction.';
  END;
  IF renamed = 0 THEN
    RAISE EXCEPTION '% "%" does not exist', kind, left(old, 200) USING ERRCODE = 'undefined_object',
      HINT = format('decide.%s lists them.', kind);
  END IF;
  -- Caps, policies and campaigns of actions have followed by triggers. These name it within arrays and documents.
  IF kind IN ('campaign', 'action', 'feature', 'cap') THEN
    UPDATE decide.region AS r
       SET campaigns_out = CASE kind WHEN 'campaign' THEN array_replace(r.campaigns_out, old, new) ELSE r.campaigns_out END,
           actions_out = CASE kind WHEN 'action' THEN array_replace(r.actions_out, old, new) ELSE r.actions_out END,
           features_out = CASE kind WHEN 'feature' THEN array_replace(r.features_out, old, new) ELSE r.features_out END,
           cap_limits = CASE WHEN kind = 'cap' AND r.cap_limits ? old
                             THEN r.cap_limits - old || jsonb_build_object(new, r.cap_limits -> old) ELSE r.cap_limits END
     WHERE old = ANY (CASE kind WHEN 'campaign' THEN r.campaigns_out WHEN 'action' THEN r.actions_out
                                WHEN 'feature' THEN r.features_out ELSE ARRAY(SELECT jsonb_object_keys(r.cap_limits)) END);
  END IF;
  IF kind = 'surface' THEN
    UPDATE decide.action AS a SET surfaces = array_replace(a.surfaces, old, new) WHERE old = ANY (a.surfaces);
  ELSIF kind = 'action' THEN
    UPDATE decide.surface AS s SET fallback_action = new WHERE s.fallback_action = old;
    UPDATE decide.surface AS s SET baseline_action = new WHERE s.baseline_action = old;
  END IF;
  IF kind = 'policy' THEN
    UPDATE decide.variant AS v SET policy = new WHERE v.policy = old;
  ELSIF kind = 'action' THEN
    UPDATE decide.variant AS v SET without_actions = array_replace(v.without_actions, old, new), with_actions = array_replace(v.with_actions, old, new)
     WHERE old = ANY (v.without_actions || v.with_actions);
  ELSIF kind = 'campaign' THEN
    UPDATE decide.variant AS v SET without_campaigns = array_replace(v.without_campaigns, old, new) WHERE old = ANY (v.without_campaigns);
  ELSIF kind = 'cap' THEN
    UPDATE decide.variant AS v SET without_caps = array_replace(v.without_caps, old, new), with_caps = array_replace(v.with_caps, old, new)
     WHERE old = ANY (v.without_caps || v.with_caps);
  END IF;
  IF kind IN ('surface', 'action') THEN
    -- Events that say the old name still count.
    UPDATE decide.feature AS f
       SET filter = jsonb_set(f.filter, ARRAY[kind], to_jsonb(ARRAY[new]) || (f.filter -> kind))
     WHERE f.filter -> kind = to_jsonb(old)
        OR jsonb_typeof(f.filter -> kind) = 'array' AND f.filter -> kind @> to_jsonb(old) AND NOT f.filter -> kind @> to_jsonb(new);
    UPDATE decide.event_type AS e
       SET fields = jsonb_set(e.fields, ARRAY[kind, 'one_of'], (e.fields #> ARRAY[kind, 'one_of']) || to_jsonb(new))
     WHERE jsonb_typeof(e.fields #> ARRAY[kind, 'one_of']) = 'array'
       AND e.fields #> ARRAY[kind, 'one_of'] @> to_jsonb(old) AND NOT e.fields #> ARRAY[kind, 'one_of'] @> to_jsonb(new);
  END IF;
END
$$;
COMMENT ON FUNCTION decide.rename_rows(text, text, text) IS 'What decide.rename does, without a limit of its own to waits for locks';
