-- Corrections of counters by people, and their audit.

CREATE TABLE decide.adjustment (
  adjustment_id uuid NOT NULL,
  user_key uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  by text NOT NULL DEFAULT SESSION_USER,
  acting_as text NOT NULL DEFAULT CURRENT_USER,
  cap text NOT NULL,
  value text,
  slot int NOT NULL,
  window_start timestamptz,
  window_end timestamptz,
  amount double precision NOT NULL,
  before double precision NOT NULL,
  after double precision NOT NULL,
  why text NOT NULL CHECK (why <> ''),
  PRIMARY KEY (user_key, adjustment_id)
);
COMMENT ON TABLE decide.adjustment IS 'Every correction of a counter; decide.adjustment_history shows it readably';
COMMENT ON COLUMN decide.adjustment.adjustment_id IS 'Identifier, in order of time';
COMMENT ON COLUMN decide.adjustment.user_key IS 'Pseudonym of the user whose counter it is (zeros: a budget)';
COMMENT ON COLUMN decide.adjustment.at IS 'When';
COMMENT ON COLUMN decide.adjustment.by IS 'Who (the session''s user)';
COMMENT ON COLUMN decide.adjustment.acting_as IS 'Role with whose rights: another one after SET ROLE, and within a function that is SECURITY DEFINER';
COMMENT ON COLUMN decide.adjustment.cap IS 'Cap, by the name that it had';
COMMENT ON COLUMN decide.adjustment.value IS 'Value of the attribute, where each value is limited by itself';
COMMENT ON COLUMN decide.adjustment.slot IS 'Number of the cap';
COMMENT ON COLUMN decide.adjustment.window_start IS 'First moment of the window that was corrected (null: it has none)';
COMMENT ON COLUMN decide.adjustment.window_end IS 'End of it (null: it has none)';
COMMENT ON COLUMN decide.adjustment.amount IS 'What was added, exposures or cost; below 0: given back';
COMMENT ON COLUMN decide.adjustment.before IS 'What was counted in the window before, without reservations';
COMMENT ON COLUMN decide.adjustment.after IS 'What was counted after';
COMMENT ON COLUMN decide.adjustment.why IS 'Why';
CREATE RULE no_update AS ON UPDATE TO decide.adjustment DO INSTEAD SELECT decide.refuse_change('corrections of counters');
CREATE RULE no_delete AS ON DELETE TO decide.adjustment WHERE NOT decide.may_erase() DO INSTEAD SELECT decide.refuse_change('corrections of counters');
COMMENT ON RULE no_update ON decide.adjustment IS 'Rows of an audit are never changed';
COMMENT ON RULE no_delete ON decide.adjustment IS 'Rows of an audit go by erasure only';

CREATE VIEW decide.adjustment_history AS
SELECT a.at, a.by, a.acting_as, a.cap, a.value, CASE WHEN a.user_key = '00000000-0000-0000-0000-000000000000' THEN 'all' ELSE 'user' END AS per,
       NULLIF(a.user_key, '00000000-0000-0000-0000-000000000000') AS user_key, a.window_start, a.window_end, a.amount, a.before, a.after, a.why
  FROM decide.adjustment AS a;
COMMENT ON VIEW decide.adjustment_history IS 'Corrections of counters: who has corrected what, by how much, and why';
COMMENT ON COLUMN decide.adjustment_history.at IS 'When';
COMMENT ON COLUMN decide.adjustment_history.by IS 'Who (the session''s user)';
COMMENT ON COLUMN decide.adjustment_history.acting_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.adjustment_history.cap IS 'Cap, by the name that it had';
COMMENT ON COLUMN decide.adjustment_history.value IS 'Value of the attribute, where each value is limited by itself';
COMMENT ON COLUMN decide.adjustment_history.per IS 'Whose counter it is: user or all';
COMMENT ON COLUMN decide.adjustment_history.user_key IS 'Pseudonym of the user (null: a budget)';
COMMENT ON COLUMN decide.adjustment_history.window_start IS 'First moment of the window that was corrected (null: it has none)';
COMMENT ON COLUMN decide.adjustment_history.window_end IS 'End of it (null: it has none)';
COMMENT ON COLUMN decide.adjustment_history.amount IS 'What was added, exposures or cost; below 0: given back';
COMMENT ON COLUMN decide.adjustment_history.before IS 'What was counted in the window before, without reservations';
COMMENT ON COLUMN decide.adjustment_history.after IS 'What was counted after';
COMMENT ON COLUMN decide.adjustment_history.why IS 'Why';

-- These know their immediate caller, and take the rights of their owner for their own statements.
CREATE FUNCTION decide.adjust_budget(cap text, amount double precision, why text, value text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS TABLE (before double precision, after double precision)
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'adjust_budget_wrapper';
COMMENT ON FUNCTION decide.adjust_budget(text, double precision, text, text, timestamptz) IS
  'Adds to what a budget has counted, or gives back, in the present window or the one before; leaves an audit';

CREATE FUNCTION decide.adjust_exposure(user_id text, cap text, amount double precision, why text, value text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS TABLE (before double precision, after double precision)
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'adjust_exposure_text_wrapper';
COMMENT ON FUNCTION decide.adjust_exposure(text, text, double precision, text, text, timestamptz) IS
  'Adds to what is counted of a user within a cap, or gives back, in the present window or the one before; leaves an audit';

CREATE FUNCTION decide.adjust_exposure(user_id bigint, cap text, amount double precision, why text, value text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS TABLE (before double precision, after double precision)
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'adjust_exposure_bigint_wrapper';
COMMENT ON FUNCTION decide.adjust_exposure(bigint, text, double precision, text, text, timestamptz) IS
  'Adds to what is counted of a user within a cap, or gives back, in the present window or the one before; leaves an audit';

CREATE FUNCTION decide.adjust_exposure(user_id uuid, cap text, amount double precision, why text, value text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS TABLE (before double precision, after double precision)
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'adjust_exposure_uuid_wrapper';
COMMENT ON FUNCTION decide.adjust_exposure(uuid, text, double precision, text, text, timestamptz) IS
  'Adds to what is counted of a user within a cap, or gives back, in the present window or the one before; leaves an audit';
