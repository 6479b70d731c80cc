-- Modes and kill switches: what people change while everything runs, who did so, and what holds now.

CREATE TABLE decide.mode_change (
  number bigint PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  by text NOT NULL DEFAULT SESSION_USER,
  acting_as text NOT NULL DEFAULT CURRENT_USER,
  surface text,
  mode text NOT NULL CHECK (mode IN ('normal', 'cautious', 'paused')),
  why text NOT NULL CHECK (why <> ''),
  until timestamptz
);
COMMENT ON TABLE decide.mode_change IS 'Every change of a mode; the newest of each surface, and of all surfaces, is in force until it expires';
COMMENT ON COLUMN decide.mode_change.number IS 'Number, counting up in the order of commits';
COMMENT ON COLUMN decide.mode_change.at IS 'When';
COMMENT ON COLUMN decide.mode_change.by IS 'Who (the session''s user)';
COMMENT ON COLUMN decide.mode_change.acting_as IS 'Role with whose rights: another one after SET ROLE, and within a function that is SECURITY DEFINER';
COMMENT ON COLUMN decide.mode_change.surface IS 'Surface (null: all)';
COMMENT ON COLUMN decide.mode_change.mode IS 'normal, cautious or paused';
COMMENT ON COLUMN decide.mode_change.why IS 'Why';
COMMENT ON COLUMN decide.mode_change.until IS 'First moment at which it is no longer in force, and normal is (null: until it is changed)';

CREATE TABLE decide.switch_change (
  number bigint PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  by text NOT NULL DEFAULT SESSION_USER,
  acting_as text NOT NULL DEFAULT CURRENT_USER,
  kind text NOT NULL CHECK (kind IN ('campaign', 'action', 'feature', 'coefficient')),
  name text NOT NULL,
  change text NOT NULL CHECK (change IN ('kill', 'revive')),
  why text NOT NULL CHECK (why <> ''),
  until timestamptz
);
COMMENT ON TABLE decide.switch_change IS 'Every change of a kill switch; the newest of each name is in force until it expires';
COMMENT ON COLUMN decide.switch_change.number IS 'Number, counting up in the order of commits; traces name the newest that was applied';
COMMENT ON COLUMN decide.switch_change.at IS 'When';
COMMENT ON COLUMN decide.switch_change.by IS 'Who (the session''s user)';
COMMENT ON COLUMN decide.switch_change.acting_as IS 'Role with whose rights: another one after SET ROLE, and within a function that is SECURITY DEFINER';
COMMENT ON COLUMN decide.switch_change.kind IS 'campaign, action, feature or coefficient';
COMMENT ON COLUMN decide.switch_change.name IS 'Name; of a coefficient, model:term';
COMMENT ON COLUMN decide.switch_change.change IS 'kill or revive';
COMMENT ON COLUMN decide.switch_change.why IS 'Why';
COMMENT ON COLUMN decide.switch_change.until IS 'First moment at which it is no longer killed (null: until it is revived)';

CREATE RULE no_update AS ON UPDATE TO decide.mode_change DO INSTEAD SELECT decide.refuse_change('changes of modes');
CREATE RULE no_delete AS ON DELETE TO decide.mode_change DO INSTEAD SELECT decide.refuse_change('changes of modes');
CREATE RULE no_update AS ON UPDATE TO decide.switch_change DO INSTEAD SELECT decide.refuse_change('changes of kill switches');
CREATE RULE no_delete AS ON DELETE TO decide.switch_change DO INSTEAD SELECT decide.refuse_change('changes of kill switches');
CREATE RULE no_update AS ON UPDATE TO decide.name_change DO INSTEAD SELECT decide.refuse_change('changes of names');
CREATE RULE no_delete AS ON DELETE TO decide.name_change DO INSTEAD SELECT decide.refuse_change('changes of names');
COMMENT ON RULE no_update ON decide.mode_change IS 'Rows of an audit are never changed or deleted';
COMMENT ON RULE no_delete ON decide.mode_change IS 'Rows of an audit are never changed or deleted';
COMMENT ON RULE no_update ON decide.switch_change IS 'Rows of an audit are never changed or deleted';
COMMENT ON RULE no_delete ON decide.switch_change IS 'Rows of an audit are never changed or deleted';
COMMENT ON RULE no_update ON decide.name_change IS 'Rows of an audit are never changed or deleted';
COMMENT ON RULE no_delete ON decide.name_change IS 'Rows of an audit are never changed or deleted';

-- These know their immediate caller, and take the rights of their owner for their own statements.
CREATE FUNCTION decide.set_mode(surface text, mode text, why text, until timestamptz DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_mode_wrapper';
COMMENT ON FUNCTION decide.set_mode(text, text, text, timestamptz) IS
  'Sets the mode of a surface, or of all: normal, cautious or paused; in force in every session at commit, until it is changed or expires';

CREATE FUNCTION decide.kill(kind text, name text, why text, until timestamptz DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'kill_wrapper';
COMMENT ON FUNCTION decide.kill(text, text, text, timestamptz) IS
  'Takes a campaign, an action, a feature or a coefficient (model:term) out of all decisions, in every session at commit, until it is revived or the kill expires';

CREATE FUNCTION decide.revive(kind text, name text, why text) RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'revive_wrapper';
COMMENT ON FUNCTION decide.revive(text, text, text) IS 'Undoes a kill';

CREATE VIEW decide.mode_in_force AS
WITH held AS (
  SELECT l.* FROM (SELECT DISTINCT ON (m.surface) m.* FROM decide.mode_change AS m ORDER BY m.surface, m.number DESC) AS l
   WHERE l.mode <> 'normal' AND (l.until IS NULL OR l.until > pg_catalog.clock_timestamp())
), place AS (
  SELECT NULL::text AS surface
   UNION
  SELECT s.surface FROM decide.publication AS p JOIN decide.bundle_surface AS s USING (bundle)
   WHERE p.publication = (SELECT pg_catalog.max(l.publication) FROM decide.publication AS l)
   UNION
  SELECT h.surface FROM held AS h
)
SELECT p.surface, COALESCE(h.mode, 'normal') AS mode, h.number, h.of_all, h.at, h.by, h.acting_as, h.why, h.until
  FROM place AS p
  LEFT JOIN LATERAL (
    SELECT h.number, h.surface IS NULL AS of_all, h.at, h.by, h.acting_as, h.mode, h.why, h.until
      FROM held AS h WHERE h.surface IS NULL OR h.surface = p.surface
     ORDER BY h.mode = 'paused' DESC, h.until DESC NULLS FIRST LIMIT 1
  ) AS h ON true
 ORDER BY p.surface NULLS FIRST;
COMMENT ON VIEW decide.mode_in_force IS 'The mode in force now: a row for all surfaces, where surface is null, and one for each';
COMMENT ON COLUMN decide.mode_in_force.surface IS 'Surface (null: what was set for all)';
COMMENT ON COLUMN decide.mode_in_force.mode IS 'The stricter of its own mode and that of all';
COMMENT ON COLUMN decide.mode_in_force.number IS 'The change that it comes from (null: normal)';
COMMENT ON COLUMN decide.mode_in_force.of_all IS 'True if that was set for all surfaces';
COMMENT ON COLUMN decide.mode_in_force.at IS 'Since when';
COMMENT ON COLUMN decide.mode_in_force.by IS 'Who set it';
COMMENT ON COLUMN decide.mode_in_force.acting_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.mode_in_force.why IS 'Why';
COMMENT ON COLUMN decide.mode_in_force.until IS 'When it expires (null: when it is changed)';

CREATE VIEW decide.switch_in_force AS
SELECT l.kind, l.name, l.number, l.at, l.by, l.acting_as, l.why, l.until
  FROM (SELECT DISTINCT ON (s.kind, s.name) s.* FROM decide.switch_change AS s ORDER BY s.kind, s.name, s.number DESC) AS l
 WHERE l.change = 'kill' AND (l.until IS NULL OR l.until > pg_catalog.clock_timestamp());
COMMENT ON VIEW decide.switch_in_force IS 'What is killed now';
COMMENT ON COLUMN decide.switch_in_force.kind IS 'campaign, action, feature or coefficient';
COMMENT ON COLUMN decide.switch_in_force.name IS 'Name; of a coefficient, model:term';
COMMENT ON COLUMN decide.switch_in_force.number IS 'The change that killed it';
COMMENT ON COLUMN decide.switch_in_force.at IS 'Since when';
COMMENT ON COLUMN decide.switch_in_force.by IS 'Who killed it';
COMMENT ON COLUMN decide.switch_in_force.acting_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.switch_in_force.why IS 'Why';
COMMENT ON COLUMN decide.switch_in_force.until IS 'When the kill expires (null: when it is revived)';
