-- Policies judged from traces. What is the caller's own, the expression of a cohort, runs with the caller's rights, and so
-- does the query that reads the traces: these functions are not SECURITY DEFINER.

CREATE VIEW decide.kept_trace AS
SELECT t.decision_id, t.user_key, t.decided_at, COALESCE(t.features_at, t.decided_at) AS features_at, t.surface, t.bundle, t.policy, t.model_version,
       t.mode, t.reason, t.origin, t.origin IS NOT NULL AS imported, COALESCE(pg_catalog.starts_with(t.origin, 'estimated'), false) AS estimated,
       t.snapshot, t.switches, t.filled, t.first_slot, t.actions, t.chosen, t.candidates,
       t.blocked, t.blocked_by, t.dropped, t.scores, t.spreads, t.choice, t.features, t.missing, t.affinities, t.duals, t.variants, b.context_fields, t.context_values, t.region,
       (SELECT pg_catalog.jsonb_object_agg(c.name, c.value)
          FROM ROWS FROM (pg_catalog.unnest(b.context_fields), pg_catalog.unnest(t.context_values)) AS c (name, value)
         WHERE c.name IS NOT NULL) AS context
  FROM decide.trace_in_use AS t
  LEFT JOIN decide.bundle_surface AS b ON b.bundle = t.bundle AND b.surface = t.surface;
COMMENT ON VIEW decide.kept_trace IS
  'Decisions, one row each, with numbers as the traces have them; what decide.evaluate_policy reads, and what the expression of a cohort may look at';
COMMENT ON COLUMN decide.kept_trace.decision_id IS 'Identifier of the decision, in order of time';
COMMENT ON COLUMN decide.kept_trace.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.kept_trace.decided_at IS 'When it was made';
COMMENT ON COLUMN decide.kept_trace.features_at IS 'As of when features, rules and switches were read';
COMMENT ON COLUMN decide.kept_trace.surface IS 'Surface';
COMMENT ON COLUMN decide.kept_trace.bundle IS 'Bundle in force';
COMMENT ON COLUMN decide.kept_trace.policy IS 'Policy that chose';
COMMENT ON COLUMN decide.kept_trace.model_version IS 'Model and version that scored';
COMMENT ON COLUMN decide.kept_trace.mode IS 'normal, cautious or paused';
COMMENT ON COLUMN decide.kept_trace.reason IS 'Why slots got the fallback (null: none did)';
COMMENT ON COLUMN decide.kept_trace.origin IS 'Where an imported decision comes from (null: made here)';
COMMENT ON COLUMN decide.kept_trace.imported IS 'Whether it was made elsewhere';
COMMENT ON COLUMN decide.kept_trace.estimated IS 'Whether its probability is an estimate: its origin begins with estimated';
COMMENT ON COLUMN decide.kept_trace.snapshot IS 'Snapshot of the features of actions and surfaces that was used (null: none)';
COMMENT ON COLUMN decide.kept_trace.switches IS 'Newest change of a kill switch that was applied (null: there had been none)';
COMMENT ON COLUMN decide.kept_trace.filled IS 'How many slots the policy filled; the others got the fallback';
COMMENT ON COLUMN decide.kept_trace.first_slot IS 'Number of the first slot: 1, or another for imported ones';
COMMENT ON COLUMN decide.kept_trace.actions IS 'Action per slot, by number: decide.action_names(actions) are their names';
COMMENT ON COLUMN decide.kept_trace.chosen IS 'Probability per slot of what was chosen, given the slots before';
COMMENT ON COLUMN decide.kept_trace.candidates IS 'Candidates, by number; -n stands for the next n numbers';
COMMENT ON COLUMN decide.kept_trace.blocked IS 'Actions of the surface that were blocked, by number';
COMMENT ON COLUMN decide.kept_trace.blocked_by IS 'Why, for each, as decide.reason_catalog numbers it; 100 + slot: that cap';
COMMENT ON COLUMN decide.kept_trace.dropped IS 'Candidates whose caps had no capacity left after earlier slots: pairs of the first slot that could not have them, and their number';
COMMENT ON COLUMN decide.kept_trace.scores IS 'Score of each candidate (null: no model; all are equal)';
COMMENT ON COLUMN decide.kept_trace.spreads IS 'Standard deviation of each score (null: the policy does not look at them)';
COMMENT ON COLUMN decide.kept_trace.choice IS 'How probabilities follow from scores: number of the selection, its parameter, min_probability';
COMMENT ON COLUMN decide.kept_trace.variants IS 'Variants of experiments that the request got: three numbers each, as decide.trace has them';
COMMENT ON COLUMN decide.kept_trace.features IS 'Feature vector used, in the order of the bundle''s features';
COMMENT ON COLUMN decide.kept_trace.missing IS 'Features that were missing, by their index from 1 (null: none)';
COMMENT ON COLUMN decide.kept_trace.affinities IS 'Values of features kept per key: pairs of an index among the surface''s keys, from 0, and a value';
COMMENT ON COLUMN decide.kept_trace.duals IS 'Prices that were subtracted from scores: pairs of the number of a cap and the price of a unit (null: none)';
COMMENT ON COLUMN decide.kept_trace.context_fields IS 'Names of the context fields that the surface kept in that bundle';
COMMENT ON COLUMN decide.kept_trace.context_values IS 'Their values';
COMMENT ON COLUMN decide.kept_trace.region IS 'Region of the user; unknown: none that is known (null: there were no regions)';
COMMENT ON COLUMN decide.kept_trace.context IS 'The same by name: context ->> ''device'' is one of them';

CREATE FUNCTION decide.evaluate_policy(
  surface text, policy text, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity', outcome text DEFAULT 'click',
  cohort text DEFAULT NULL, reward_model text DEFAULT NULL, within interval DEFAULT NULL,
  most_weight double precision DEFAULT 10, threshold double precision DEFAULT 10, lambda double precision DEFAULT 100)
RETURNS TABLE (cohort text, estimator text, value double precision, std_error double precision, low double precision, high double precision, n bigint,
               ess double precision, max_weight double precision, mean_weight double precision, warning text)
LANGUAGE c STABLE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'evaluate_draft_wrapper';
COMMENT ON FUNCTION decide.evaluate_policy(text, text, timestamptz, timestamptz, text, text, text, interval, double precision, double precision, double precision) IS
  'What a policy, as decide.policy has it now, published or not, would have earned for each decision of a time: a row for each estimator, or for each cohort and estimator';

CREATE FUNCTION decide.evaluate_policy(
  surface text, bundle bigint, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity', outcome text DEFAULT 'click',
  cohort text DEFAULT NULL, reward_model text DEFAULT NULL, within interval DEFAULT NULL,
  most_weight double precision DEFAULT 10, threshold double precision DEFAULT 10, lambda double precision DEFAULT 100)
RETURNS TABLE (cohort text, estimator text, value double precision, std_error double precision, low double precision, high double precision, n bigint,
               ess double precision, max_weight double precision, mean_weight double precision, warning text)
LANGUAGE c STABLE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'evaluate_bundle_wrapper';
COMMENT ON FUNCTION decide.evaluate_policy(text, bigint, timestamptz, timestamptz, text, text, text, interval, double precision, double precision, double precision) IS
  'What the policy of a surface in a bundle would have earned for each decision of a time';

CREATE FUNCTION decide.compare_policies(
  surface text, policy text DEFAULT NULL, baseline text DEFAULT NULL, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity',
  outcome text DEFAULT 'click', cohort text DEFAULT NULL, reward_model text DEFAULT NULL, within interval DEFAULT NULL,
  most_weight double precision DEFAULT 10, bundle bigint DEFAULT NULL, baseline_bundle bigint DEFAULT NULL)
RETURNS TABLE (cohort text, estimator text, policy_value double precision, baseline_value double precision,
               difference double precision, std_error double precision, low double precision, high double precision, n bigint, warning text)
LANGUAGE c STABLE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'compare_policies_wrapper';
COMMENT ON FUNCTION decide.compare_policies(text, text, text, timestamptz, timestamptz, text, text, text, interval, double precision, bigint, bigint) IS
  'By how much a policy would have earned more than another, or than the log itself, for each decision: the paired difference with its own interval';

CREATE FUNCTION decide.exploration_value(
  surface text, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity', outcome text DEFAULT 'click',
  cohort text DEFAULT NULL, within interval DEFAULT NULL)
RETURNS TABLE (cohort text, action text, candidate bigint, without_chance bigint, shown bigint, expected double precision, least_probability double precision,
               value double precision, std_error double precision, low double precision, high double precision, ess double precision, warning text)
LANGUAGE c STABLE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'exploration_value_wrapper';
COMMENT ON FUNCTION decide.exploration_value(text, timestamptz, timestamptz, text, text, interval) IS
  'What the log can tell of each action in the first slot: how often it could be had and was shown, and how well is known what it earns';

CREATE FUNCTION decide.estimate_propensities(
  source regclass, covariates text[], action text DEFAULT 'action', id text DEFAULT 'id', l2 double precision DEFAULT 1, folds integer DEFAULT 5,
  seed bigint DEFAULT 1, least_share double precision DEFAULT 0.1)
RETURNS TABLE (id text, action text, propensity double precision, least_probability double precision, in_support boolean, fold integer)
LANGUAGE c STABLE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'estimate_propensities_wrapper';
COMMENT ON FUNCTION decide.estimate_propensities(regclass, text[], text, text, double precision, integer, bigint, double precision) IS
  'The probability with which each action of a log without probabilities was chosen, estimated from covariates: multinomial logistic regression with an L2 penalty, cross-fitted and calibrated; the source is read with the caller''s rights';

CREATE FUNCTION decide.propensity_balance(
  source regclass, covariates text[], action text DEFAULT 'action', id text DEFAULT 'id', l2 double precision DEFAULT 1, folds integer DEFAULT 5,
  seed bigint DEFAULT 1, least_share double precision DEFAULT 0.1)
RETURNS TABLE (action text, covariate text, before double precision, after double precision, n bigint, ess double precision, outside_support double precision,
               temperature double precision)
LANGUAGE c STABLE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'propensity_balance_wrapper';
COMMENT ON FUNCTION decide.propensity_balance(regclass, text[], text, text, double precision, integer, bigint, double precision) IS
  'Whether estimated probabilities can be relied upon: standardized differences of each action from all rows before and after weighting, effective sample size, and the share of rows outside of common support';
