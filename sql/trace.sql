-- Traces: one row a decision, by day, never changed.

CREATE TABLE decide.trace (
  decision_id uuid NOT NULL,
  user_key uuid NOT NULL,
  decided_at timestamptz NOT NULL,
  context_hash bigint NOT NULL,
  seed bigint NOT NULL,
  bundle bigint,
  filled smallint NOT NULL,
  first_slot smallint NOT NULL DEFAULT 1,
  surface text NOT NULL,
  policy text,
  model_version text,
  mode text NOT NULL DEFAULT 'normal',
  reason text,
  origin text,
  stage_us integer[] NOT NULL,
  actions integer[] NOT NULL,
  chosen double precision[] NOT NULL,
  candidates integer[] NOT NULL,
  probabilities double precision[] NOT NULL,
  features double precision[],
  context_values text[],
  blocked integer[],
  blocked_by smallint[],
  errors text[],
  PRIMARY KEY (decision_id, user_key, decided_at)
) PARTITION BY RANGE (decided_at);
ALTER TABLE decide.trace
  ALTER COLUMN candidates SET STORAGE EXTERNAL,
  ALTER COLUMN probabilities SET STORAGE EXTERNAL,
  ALTER COLUMN features SET STORAGE EXTERNAL,
  ALTER COLUMN blocked SET STORAGE EXTERNAL,
  ALTER COLUMN blocked_by SET STORAGE EXTERNAL;
CREATE TABLE decide.trace_default PARTITION OF decide.trace DEFAULT;
COMMENT ON TABLE decide.trace IS 'How each decision came about; decide.decision shows it readably';
COMMENT ON TABLE decide.trace_default IS 'Traces of days that have no partition';
COMMENT ON COLUMN decide.trace.decision_id IS 'Identifier, in order of time (UUID version 7)';
COMMENT ON COLUMN decide.trace.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.trace.decided_at IS 'When it was made; the identifier says the same';
COMMENT ON COLUMN decide.trace.context_hash IS 'Keyed hash of the whole context';
COMMENT ON COLUMN decide.trace.seed IS 'Seed from which the draw can be redone';
COMMENT ON COLUMN decide.trace.bundle IS 'Bundle in force';
COMMENT ON COLUMN decide.trace.filled IS 'How many slots the policy filled; the others got the fallback';
COMMENT ON COLUMN decide.trace.first_slot IS 'Number of the first slot: 1, or another for imported ones';
COMMENT ON COLUMN decide.trace.surface IS 'Surface';
COMMENT ON COLUMN decide.trace.policy IS 'Policy that chose';
COMMENT ON COLUMN decide.trace.model_version IS 'Model and version that scored, as model:version';
COMMENT ON COLUMN decide.trace.mode IS 'normal, cautious or paused';
COMMENT ON COLUMN decide.trace.reason IS 'Why slots got the fallback';
COMMENT ON COLUMN decide.trace.origin IS 'Where an imported decision comes from (null: made here)';
COMMENT ON COLUMN decide.trace.stage_us IS 'Microseconds in: request, features, candidates, score, choose';
COMMENT ON COLUMN decide.trace.actions IS 'Action per slot, by number';
COMMENT ON COLUMN decide.trace.chosen IS 'Probability per slot of what was chosen, given the slots before';
COMMENT ON COLUMN decide.trace.candidates IS 'What could be had, by number; -n stands for the n next numbers';
COMMENT ON COLUMN decide.trace.probabilities IS 'Probability of each candidate, one row a slot';
COMMENT ON COLUMN decide.trace.features IS 'Feature vector used, in the order of the bundle''s features';
COMMENT ON COLUMN decide.trace.context_values IS 'Values of the surface''s context_fields, in their order';
COMMENT ON COLUMN decide.trace.blocked IS 'Actions of the surface that were out, by number';
COMMENT ON COLUMN decide.trace.blocked_by IS 'Why, for each: 1 not started, 2 ended, 3 rule, 4 rule failed';
COMMENT ON COLUMN decide.trace.errors IS 'Errors that rules or stages raised';

-- Traces are facts: they are added, and go by retention or erasure, which work on partitions.
CREATE FUNCTION decide.refuse_change() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION 'traces cannot be changed or deleted'
    USING ERRCODE = 'insufficient_privilege',
          DETAIL = 'A trace is the record of a decision that was made.',
          HINT = 'Old traces go with their partition, by retention; those of one person by erasure.';
END
$$;
COMMENT ON FUNCTION decide.refuse_change() IS 'Raises the error by which traces refuse UPDATE and DELETE';
CREATE RULE trace_no_update AS ON UPDATE TO decide.trace DO INSTEAD SELECT decide.refuse_change();
COMMENT ON RULE trace_no_update ON decide.trace IS 'Traces are immutable';
CREATE RULE trace_no_delete AS ON DELETE TO decide.trace DO INSTEAD SELECT decide.refuse_change();
COMMENT ON RULE trace_no_delete ON decide.trace IS 'Traces are immutable';
