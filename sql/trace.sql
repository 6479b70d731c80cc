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
  scores real[],
  choice double precision[],
  features double precision[],
  context_values text[],
  blocked integer[],
  blocked_by integer[],
  errors text[],
  missing smallint[],
  affinities double precision[],
  seen bigint,
  snapshot timestamptz,
  dropped integer[],
  relaxed integer[],
  holds bigint[],
  switches bigint,
  duals double precision[],
  features_at timestamptz,
  spreads real[],
  denied integer[],
  made smallint,
  variants integer[],
  region text
) PARTITION BY RANGE (decided_at);
COMMENT ON TABLE decide.trace IS 'How each decision came about; decide.decision shows it readably';
ALTER TABLE decide.trace
  ALTER COLUMN candidates SET STORAGE EXTERNAL,
  ALTER COLUMN scores SET STORAGE EXTERNAL,
  ALTER COLUMN spreads SET STORAGE EXTERNAL,
  ALTER COLUMN features SET STORAGE EXTERNAL,
  ALTER COLUMN blocked SET STORAGE EXTERNAL,
  ALTER COLUMN blocked_by SET STORAGE EXTERNAL;
CREATE TABLE decide.trace_default PARTITION OF decide.trace (
  PRIMARY KEY (decision_id, user_key, decided_at)
) DEFAULT WITH (toast_tuple_target = 8160);
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
COMMENT ON COLUMN decide.trace.stage_us IS 'Microseconds in: request, features, candidates, score, choose, reserve';
COMMENT ON COLUMN decide.trace.actions IS 'Action per slot, by number';
COMMENT ON COLUMN decide.trace.chosen IS 'Probability per slot of what was chosen, given the slots before';
COMMENT ON COLUMN decide.trace.candidates IS 'Candidates, by number; -n stands for the next n numbers';
COMMENT ON COLUMN decide.trace.scores IS 'Score of each candidate (null: no model; all are equal)';
COMMENT ON COLUMN decide.trace.spreads IS 'Standard deviation of each score (null: the policy does not look at them)';
COMMENT ON COLUMN decide.trace.choice IS
  'How probabilities follow from scores: number of the selection in decide.selection_catalog(), its own parameter (0 where it has none), min_probability';
COMMENT ON COLUMN decide.trace.features IS 'Feature vector used, in the order of the bundle''s features';
COMMENT ON COLUMN decide.trace.missing IS 'Features that were missing, by their index from 1; the vector has their default (null: none)';
COMMENT ON COLUMN decide.trace.affinities IS 'Values of features kept per key: pairs of an index among the surface''s keys, from 0, and a value';
COMMENT ON COLUMN decide.trace.seen IS 'How many events of the user were in the features';
COMMENT ON COLUMN decide.trace.snapshot IS 'Snapshot of the features of actions and surfaces that was used (null: none)';
COMMENT ON COLUMN decide.trace.dropped IS 'Candidates whose caps had no capacity left after earlier slots: pairs of the first slot, from 2, that could not have them, and their number';
COMMENT ON COLUMN decide.trace.relaxed IS 'Soft caps that gave way, by number';
COMMENT ON COLUMN decide.trace.holds IS
  'Reservations for events, four numbers each: slot, number of the cap, row of its counter (-1: the row of the user), and amount in the cap''s units';
COMMENT ON COLUMN decide.trace.switches IS 'Newest change of a kill switch that was applied (null: there had been none)';
COMMENT ON COLUMN decide.trace.duals IS 'Prices that were subtracted from scores: pairs of the number of a cap and the price of a unit (null: none)';
COMMENT ON COLUMN decide.trace.features_at IS 'As of when features, rules and switches were read, if that was earlier because the decision waited for locks (null: decided_at)';
COMMENT ON COLUMN decide.trace.denied IS 'Purposes that the user did not consent to, by number (null: none)';
COMMENT ON COLUMN decide.trace.made IS
  'What the session did not have in memory and made for this decision, added up: 1 the bundle, 2 its models, 4 plans of statements (null: it had all)';
COMMENT ON COLUMN decide.trace.variants IS
  'Variants of experiments that the request got, three numbers each: number of the experiment, position of the variant (-1: its unit is not known), and bits: 1 it changed this request, 2 a tester''s override, 4 kept from before (null: none)';
COMMENT ON COLUMN decide.trace.region IS 'Region of the user; unknown: none that is known (null: there are no regions, or nothing was read)';
COMMENT ON COLUMN decide.trace.context_values IS 'Values of the surface''s context_fields, in their order; texts that look like numbers or begin with a quotation mark in quotation marks';
COMMENT ON COLUMN decide.trace.blocked IS 'Actions of the surface that were blocked, by number';
COMMENT ON COLUMN decide.trace.blocked_by IS 'Why, for each, as decide.reason_catalog numbers it; 100 + slot: that cap';
COMMENT ON COLUMN decide.trace.errors IS 'Errors that rules or stages raised';

-- Traces are facts: they are added, and go by retention, which drops partitions, or by erasure, which
-- says so by pg_decide.erasing. Each partition gets these rules as well, see decide.make_partitions.
CREATE FUNCTION decide.may_erase() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN COALESCE(current_setting('pg_decide.erasing', true), 'off') = 'on';
COMMENT ON FUNCTION decide.may_erase() IS 'Whether this transaction has set pg_decide.erasing and may delete traces';
CREATE FUNCTION decide.refuse_change(what text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION '% cannot be changed or deleted', what
    USING ERRCODE = 'insufficient_privilege',
          DETAIL = 'They are the record of what was decided, and under which policy.',
          HINT = 'Old traces go with their partition, by retention; those of one person by erasure.';
END
$$;
COMMENT ON FUNCTION decide.refuse_change(text) IS 'Raises the error by which traces and bundles refuse UPDATE and DELETE';
CREATE FUNCTION decide.make_immutable(mine regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  EXECUTE format('CREATE RULE no_update AS ON UPDATE TO %s DO INSTEAD SELECT decide.refuse_change(%L)', mine, 'traces');
  EXECUTE format('CREATE RULE no_delete AS ON DELETE TO %s WHERE NOT decide.may_erase() '
                 'DO INSTEAD SELECT decide.refuse_change(%L)', mine, 'traces');
  EXECUTE format('COMMENT ON RULE no_update ON %s IS %L', mine, 'Traces are immutable');
  EXECUTE format('COMMENT ON RULE no_delete ON %s IS %L', mine, 'Traces go by retention and erasure only');
END
$$;
COMMENT ON FUNCTION decide.make_immutable(regclass) IS 'Gives a table of traces the rules that refuse UPDATE and DELETE';
SELECT decide.make_immutable('decide.trace');
SELECT decide.make_immutable('decide.trace_default');
CREATE RULE no_update AS ON UPDATE TO decide.bundle DO INSTEAD SELECT decide.refuse_change('bundles');
CREATE RULE no_delete AS ON DELETE TO decide.bundle DO INSTEAD SELECT decide.refuse_change('bundles');
CREATE RULE no_update AS ON UPDATE TO decide.bundle_chunk DO INSTEAD SELECT decide.refuse_change('bundles');
CREATE RULE no_delete AS ON DELETE TO decide.bundle_chunk DO INSTEAD SELECT decide.refuse_change('bundles');
COMMENT ON RULE no_update ON decide.bundle IS 'Bundles are immutable';
COMMENT ON RULE no_delete ON decide.bundle IS 'Bundles are immutable';
COMMENT ON RULE no_update ON decide.bundle_chunk IS 'Bundles are immutable';
COMMENT ON RULE no_delete ON decide.bundle_chunk IS 'Bundles are immutable';
