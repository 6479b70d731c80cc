-- Judging: estimators of what another policy would have earned, metrics of uplift, and the assignment of users to variations.
-- All of them are plain aggregates and functions over any query. What stands behind them is in src/evaluate.

CREATE TYPE decide.estimate AS (value double precision, std_error double precision, low double precision, high double precision, n bigint,
  ess double precision, max_weight double precision, mean_weight double precision, warning text);
COMMENT ON TYPE decide.estimate IS 'What another policy would have earned for each decision, and how well the log can tell';
COMMENT ON COLUMN decide.estimate.value IS 'The estimate, in the unit of the reward; null for a self-normalized one if all weights are 0';
COMMENT ON COLUMN decide.estimate.std_error IS 'Its standard error, with n - 1; null of a single row';
COMMENT ON COLUMN decide.estimate.low IS 'Lower end of the 95 % interval, by the normal approximation';
COMMENT ON COLUMN decide.estimate.high IS 'Upper end of that interval';
COMMENT ON COLUMN decide.estimate.n IS 'Rows that were used: those without a null';
COMMENT ON COLUMN decide.estimate.ess IS 'Effective sample size: as many rows of equal weight would tell as much; null where no weights are used';
COMMENT ON COLUMN decide.estimate.max_weight IS 'The largest weight that was used';
COMMENT ON COLUMN decide.estimate.mean_weight IS 'The mean of the weights that were used; near 1 where they are the importance weights themselves';
COMMENT ON COLUMN decide.estimate.warning IS 'Null, or why the interval should not be relied upon';

CREATE TYPE decide.bounds AS (low double precision, high double precision);
COMMENT ON TYPE decide.bounds IS 'An interval';
COMMENT ON COLUMN decide.bounds.low IS 'Lower end';
COMMENT ON COLUMN decide.bounds.high IS 'Upper end';

-- Transition functions: a row becomes the columns of which an estimator takes the moments.

CREATE FUNCTION decide.add_weighted(state internal, reward double precision, logged double precision, target double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_weighted_wrapper';
COMMENT ON FUNCTION decide.add_weighted(internal, double precision, double precision, double precision) IS 'Transition function of IPS and SNIPS';
CREATE FUNCTION decide.add_clipped(state internal, reward double precision, logged double precision, target double precision, most_weight double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_clipped_wrapper';
COMMENT ON FUNCTION decide.add_clipped(internal, double precision, double precision, double precision, double precision) IS 'Transition function of clipped IPS';
CREATE FUNCTION decide.add_modelled(state internal, q_target double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_modelled_wrapper';
COMMENT ON FUNCTION decide.add_modelled(internal, double precision) IS 'Transition function of the direct method';
CREATE FUNCTION decide.add_doubly_robust(state internal, reward double precision, logged double precision, target double precision, q_logged double precision, q_target double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_doubly_robust_wrapper';
COMMENT ON FUNCTION decide.add_doubly_robust(internal, double precision, double precision, double precision, double precision, double precision) IS 'Transition function of DR';
CREATE FUNCTION decide.add_split(state internal, reward double precision, logged double precision, target double precision, q_logged double precision, q_target double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_split_wrapper';
COMMENT ON FUNCTION decide.add_split(internal, double precision, double precision, double precision, double precision, double precision) IS 'Transition function of SNDR';
CREATE FUNCTION decide.add_switched(state internal, reward double precision, logged double precision, target double precision, q_logged double precision, q_target double precision, threshold double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_switched_wrapper';
COMMENT ON FUNCTION decide.add_switched(internal, double precision, double precision, double precision, double precision, double precision, double precision) IS 'Transition function of Switch-DR';
CREATE FUNCTION decide.add_shrunk(state internal, reward double precision, logged double precision, target double precision, q_logged double precision, q_target double precision, lambda double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_shrunk_wrapper';
COMMENT ON FUNCTION decide.add_shrunk(internal, double precision, double precision, double precision, double precision, double precision, double precision) IS 'Transition function of DRos';

-- What states of one, two and three columns have in common.

CREATE FUNCTION decide.merge_moments_1(state internal, other internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'merge_moments_1_wrapper';
COMMENT ON FUNCTION decide.merge_moments_1(internal, internal) IS 'Combine function of estimators whose state has 1 column';
CREATE FUNCTION decide.send_moments_1(state internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'send_moments_1_wrapper';
COMMENT ON FUNCTION decide.send_moments_1(internal) IS 'Serialize function of the same';
CREATE FUNCTION decide.receive_moments_1(bytes bytea, state internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'receive_moments_1_wrapper';
COMMENT ON FUNCTION decide.receive_moments_1(bytea, internal) IS 'Deserialize function of the same';
CREATE FUNCTION decide.merge_moments_2(state internal, other internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'merge_moments_2_wrapper';
COMMENT ON FUNCTION decide.merge_moments_2(internal, internal) IS 'Combine function of estimators whose state has 2 columns';
CREATE FUNCTION decide.send_moments_2(state internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'send_moments_2_wrapper';
COMMENT ON FUNCTION decide.send_moments_2(internal) IS 'Serialize function of the same';
CREATE FUNCTION decide.receive_moments_2(bytes bytea, state internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'receive_moments_2_wrapper';
COMMENT ON FUNCTION decide.receive_moments_2(bytea, internal) IS 'Deserialize function of the same';
CREATE FUNCTION decide.merge_moments_3(state internal, other internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'merge_moments_3_wrapper';
COMMENT ON FUNCTION decide.merge_moments_3(internal, internal) IS 'Combine function of estimators whose state has 3 columns';
CREATE FUNCTION decide.send_moments_3(state internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'send_moments_3_wrapper';
COMMENT ON FUNCTION decide.send_moments_3(internal) IS 'Serialize function of the same';
CREATE FUNCTION decide.receive_moments_3(bytes bytea, state internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'receive_moments_3_wrapper';
COMMENT ON FUNCTION decide.receive_moments_3(bytea, internal) IS 'Deserialize function of the same';

-- Final functions. They leave the state as it is.

CREATE FUNCTION decide.estimate_mean(state internal) RETURNS decide.estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'estimate_mean_wrapper';
COMMENT ON FUNCTION decide.estimate_mean(internal) IS 'Final function of IPS and DR';
CREATE FUNCTION decide.estimate_mean_clipped(state internal) RETURNS decide.estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'estimate_mean_clipped_wrapper';
COMMENT ON FUNCTION decide.estimate_mean_clipped(internal) IS 'Final function of clipped IPS';
CREATE FUNCTION decide.estimate_mean_limited(state internal) RETURNS decide.estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'estimate_mean_limited_wrapper';
COMMENT ON FUNCTION decide.estimate_mean_limited(internal) IS 'Final function of Switch-DR and DRos';
CREATE FUNCTION decide.estimate_mean_modelled(state internal) RETURNS decide.estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'estimate_mean_modelled_wrapper';
COMMENT ON FUNCTION decide.estimate_mean_modelled(internal) IS 'Final function of the direct method';
CREATE FUNCTION decide.estimate_ratio(state internal) RETURNS decide.estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'estimate_ratio_wrapper';
COMMENT ON FUNCTION decide.estimate_ratio(internal) IS 'Final function of SNIPS';
CREATE FUNCTION decide.estimate_ratio_doubly_robust(state internal) RETURNS decide.estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'estimate_ratio_doubly_robust_wrapper';
COMMENT ON FUNCTION decide.estimate_ratio_doubly_robust(internal) IS 'Final function of SNDR';

-- The aggregates.

CREATE AGGREGATE decide.ips(reward double precision, logged double precision, target double precision) (
  SFUNC = decide.add_weighted, STYPE = internal, SSPACE = 400, FINALFUNC = decide.estimate_mean,
  COMBINEFUNC = decide.merge_moments_2, SERIALFUNC = decide.send_moments_2, DESERIALFUNC = decide.receive_moments_2, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.ips(double precision, double precision, double precision) IS
  'Inverse propensity scoring: what the target policy would have earned, from a log with the probability of each choice';
CREATE AGGREGATE decide.snips(reward double precision, logged double precision, target double precision) (
  SFUNC = decide.add_weighted, STYPE = internal, SSPACE = 400, FINALFUNC = decide.estimate_ratio,
  COMBINEFUNC = decide.merge_moments_2, SERIALFUNC = decide.send_moments_2, DESERIALFUNC = decide.receive_moments_2, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.snips(double precision, double precision, double precision) IS
  'Self-normalized inverse propensity scoring: a little biased, and usually less noisy';
CREATE AGGREGATE decide.cips(reward double precision, logged double precision, target double precision, most_weight double precision) (
  SFUNC = decide.add_clipped, STYPE = internal, SSPACE = 600, FINALFUNC = decide.estimate_mean_clipped,
  COMBINEFUNC = decide.merge_moments_3, SERIALFUNC = decide.send_moments_3, DESERIALFUNC = decide.receive_moments_3, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.cips(double precision, double precision, double precision, double precision) IS
  'Inverse propensity scoring with weights of at most most_weight: less noisy, and biased by what is clipped';
CREATE AGGREGATE decide.dm(q_target double precision) (
  SFUNC = decide.add_modelled, STYPE = internal, SSPACE = 200, FINALFUNC = decide.estimate_mean_modelled,
  COMBINEFUNC = decide.merge_moments_1, SERIALFUNC = decide.send_moments_1, DESERIALFUNC = decide.receive_moments_1, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.dm(double precision) IS
  'Direct method: what a model expects of the target policy';
CREATE AGGREGATE decide.dr(reward double precision, logged double precision, target double precision, q_logged double precision, q_target double precision) (
  SFUNC = decide.add_doubly_robust, STYPE = internal, SSPACE = 400, FINALFUNC = decide.estimate_mean,
  COMBINEFUNC = decide.merge_moments_2, SERIALFUNC = decide.send_moments_2, DESERIALFUNC = decide.receive_moments_2, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.dr(double precision, double precision, double precision, double precision, double precision) IS
  'Doubly robust: what a model expects, corrected by the log';
CREATE AGGREGATE decide.sndr(reward double precision, logged double precision, target double precision, q_logged double precision, q_target double precision) (
  SFUNC = decide.add_split, STYPE = internal, SSPACE = 600, FINALFUNC = decide.estimate_ratio_doubly_robust,
  COMBINEFUNC = decide.merge_moments_3, SERIALFUNC = decide.send_moments_3, DESERIALFUNC = decide.receive_moments_3, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.sndr(double precision, double precision, double precision, double precision, double precision) IS
  'Doubly robust, with a self-normalized correction';
CREATE AGGREGATE decide.switch_dr(reward double precision, logged double precision, target double precision, q_logged double precision, q_target double precision, threshold double precision) (
  SFUNC = decide.add_switched, STYPE = internal, SSPACE = 600, FINALFUNC = decide.estimate_mean_limited,
  COMBINEFUNC = decide.merge_moments_3, SERIALFUNC = decide.send_moments_3, DESERIALFUNC = decide.receive_moments_3, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.switch_dr(double precision, double precision, double precision, double precision, double precision, double precision) IS
  'Doubly robust, without a correction where the weight is above the threshold';
CREATE AGGREGATE decide.dros(reward double precision, logged double precision, target double precision, q_logged double precision, q_target double precision, lambda double precision) (
  SFUNC = decide.add_shrunk, STYPE = internal, SSPACE = 600, FINALFUNC = decide.estimate_mean_limited,
  COMBINEFUNC = decide.merge_moments_3, SERIALFUNC = decide.send_moments_3, DESERIALFUNC = decide.receive_moments_3, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.dros(double precision, double precision, double precision, double precision, double precision, double precision) IS
  'Doubly robust with optimistic shrinkage: weights w become lambda * w / (w * w + lambda)';

-- Intervals of an estimate, other than that at 95 %.

CREATE FUNCTION decide.normal_bounds(value double precision, std_error double precision, level double precision) RETURNS decide.bounds
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'normal_interval_wrapper';
COMMENT ON FUNCTION decide.normal_bounds(double precision, double precision, double precision) IS 'What decide.normal_interval answers, from the parts of an estimate';
CREATE FUNCTION decide.bernstein_bounds(value double precision, std_error double precision, n bigint, range double precision, level double precision)
RETURNS decide.bounds
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'bernstein_interval_wrapper';
COMMENT ON FUNCTION decide.bernstein_bounds(double precision, double precision, bigint, double precision, double precision) IS
  'What decide.bernstein_interval answers, from the parts of an estimate';
CREATE FUNCTION decide.normal_interval(estimate decide.estimate, level double precision DEFAULT 0.95) RETURNS decide.bounds
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN decide.normal_bounds((estimate).value, (estimate).std_error, level);
COMMENT ON FUNCTION decide.normal_interval(decide.estimate, double precision) IS 'The interval of an estimate at another level, by the normal approximation';
CREATE FUNCTION decide.bernstein_interval(estimate decide.estimate, range double precision, level double precision DEFAULT 0.95) RETURNS decide.bounds
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN decide.bernstein_bounds((estimate).value, (estimate).std_error, (estimate).n, range, level);
COMMENT ON FUNCTION decide.bernstein_interval(decide.estimate, double precision, double precision) IS
  'The interval of ips, cips, dm or dr that holds for any number of rows (empirical Bernstein bound), if what a row adds is within so wide a range';

-- Uplift. The state has every row: 24 bytes for each, and twice as much while it is sorted.

CREATE TYPE decide.uplift_point AS (n bigint, score double precision, treated bigint, control bigint, gain double precision, qini double precision,
  uplift double precision);
COMMENT ON TYPE decide.uplift_point IS 'A point of an uplift curve: the rows down to a score';
COMMENT ON COLUMN decide.uplift_point.n IS 'Rows with this score or a higher one';
COMMENT ON COLUMN decide.uplift_point.score IS 'The score';
COMMENT ON COLUMN decide.uplift_point.treated IS 'Treated rows among them';
COMMENT ON COLUMN decide.uplift_point.control IS 'Rows of the control group among them';
COMMENT ON COLUMN decide.uplift_point.gain IS 'Height of the uplift curve: the difference of the mean outcomes, times n; a group without rows has the mean 0';
COMMENT ON COLUMN decide.uplift_point.qini IS 'Height of the Qini curve: outcomes of the treated, less those of the control group scaled to as many rows';
COMMENT ON COLUMN decide.uplift_point.uplift IS 'The difference of the mean outcomes; null if one group has no row';

CREATE TYPE decide.uplift_bin AS (bin integer, treated bigint, control bigint, treated_mean double precision, control_mean double precision,
  uplift double precision, std_error double precision, low double precision, high double precision, mean_score double precision);
COMMENT ON TYPE decide.uplift_bin IS 'The uplift of rows with similar scores';
COMMENT ON COLUMN decide.uplift_bin.bin IS 'From 1, the highest scores first';
COMMENT ON COLUMN decide.uplift_bin.treated IS 'Treated rows';
COMMENT ON COLUMN decide.uplift_bin.control IS 'Rows of the control group';
COMMENT ON COLUMN decide.uplift_bin.treated_mean IS 'Mean outcome of the treated; null without any';
COMMENT ON COLUMN decide.uplift_bin.control_mean IS 'Mean outcome of the control group; null without any';
COMMENT ON COLUMN decide.uplift_bin.uplift IS 'Observed uplift: the difference of the two means; null if one group has no row';
COMMENT ON COLUMN decide.uplift_bin.std_error IS 'Standard error of the uplift; variances are divided by n, as scikit-uplift has them';
COMMENT ON COLUMN decide.uplift_bin.low IS 'Lower end of the 95 % interval of the uplift, by the normal approximation';
COMMENT ON COLUMN decide.uplift_bin.high IS 'Upper end of that interval';
COMMENT ON COLUMN decide.uplift_bin.mean_score IS 'Mean score: the predicted uplift, if scores are such';

CREATE TYPE decide.uplift_fit AS (bins integer, slope double precision, intercept double precision, mean_error double precision,
  mean_relative_error double precision, kendall double precision);
COMMENT ON TYPE decide.uplift_fit IS 'Whether bins of rows have the uplift that their scores predict';
COMMENT ON COLUMN decide.uplift_fit.bins IS 'Bins with rows of both groups; the others do not count';
COMMENT ON COLUMN decide.uplift_fit.slope IS 'Slope of observed against predicted uplift, weighted by rows; 1 is best; null if all bins predict the same';
COMMENT ON COLUMN decide.uplift_fit.intercept IS 'Intercept of that line; 0 is best';
COMMENT ON COLUMN decide.uplift_fit.mean_error IS 'Mean of |observed - predicted|, weighted by rows';
COMMENT ON COLUMN decide.uplift_fit.mean_relative_error IS 'Mean of |observed - predicted| / |observed| (MAPE, as a share), over bins whose observed uplift is not 0';
COMMENT ON COLUMN decide.uplift_fit.kendall IS 'Kendall''s tau-b of predicted and observed uplift: 1 if the order of the bins is right, -1 if it is reversed';

CREATE FUNCTION decide.add_uplift(state internal, outcome double precision, treated boolean, score double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_uplift_wrapper';
COMMENT ON FUNCTION decide.add_uplift(internal, double precision, boolean, double precision) IS 'Transition function of metrics of uplift';
CREATE FUNCTION decide.add_uplift_at(state internal, outcome double precision, treated boolean, score double precision, k double precision, strategy text) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_uplift_at_wrapper';
COMMENT ON FUNCTION decide.add_uplift_at(internal, double precision, boolean, double precision, double precision, text) IS 'Transition function of uplift_at';
CREATE FUNCTION decide.add_uplift_points(state internal, outcome double precision, treated boolean, score double precision, points integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_uplift_points_wrapper';
COMMENT ON FUNCTION decide.add_uplift_points(internal, double precision, boolean, double precision, integer) IS 'Transition function of uplift_curve';
CREATE FUNCTION decide.add_uplift_bins(state internal, outcome double precision, treated boolean, score double precision, bins integer, strategy text) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'add_uplift_bins_wrapper';
COMMENT ON FUNCTION decide.add_uplift_bins(internal, double precision, boolean, double precision, integer, text) IS 'Transition function of uplift_by_bin and uplift_calibration';
CREATE FUNCTION decide.merge_uplift(state internal, other internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'merge_uplift_wrapper';
COMMENT ON FUNCTION decide.merge_uplift(internal, internal) IS 'Combine function of metrics of uplift';
CREATE FUNCTION decide.send_uplift(state internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'send_uplift_wrapper';
COMMENT ON FUNCTION decide.send_uplift(internal) IS 'Serialize function of the same';
CREATE FUNCTION decide.receive_uplift(bytes bytea, state internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'receive_uplift_wrapper';
COMMENT ON FUNCTION decide.receive_uplift(bytea, internal) IS 'Deserialize function of the same';
CREATE FUNCTION decide.final_qini(state internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'uplift_qini_wrapper';
COMMENT ON FUNCTION decide.final_qini(internal) IS 'Final function of qini';
CREATE FUNCTION decide.final_auuc(state internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'uplift_auuc_wrapper';
COMMENT ON FUNCTION decide.final_auuc(internal) IS 'Final function of auuc';
CREATE FUNCTION decide.final_causalml_qini(state internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'uplift_causalml_qini_wrapper';
COMMENT ON FUNCTION decide.final_causalml_qini(internal) IS 'Final function of causalml_qini';
CREATE FUNCTION decide.final_causalml_auuc(state internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'uplift_causalml_auuc_wrapper';
COMMENT ON FUNCTION decide.final_causalml_auuc(internal) IS 'Final function of causalml_auuc';
CREATE FUNCTION decide.final_first(state internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'uplift_first_wrapper';
COMMENT ON FUNCTION decide.final_first(internal) IS 'Final function of uplift_at';
CREATE FUNCTION decide.final_points(state internal) RETURNS decide.uplift_point[]
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'uplift_points_wrapper';
COMMENT ON FUNCTION decide.final_points(internal) IS 'Final function of uplift_curve';
CREATE FUNCTION decide.final_bins(state internal) RETURNS decide.uplift_bin[]
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'uplift_bins_wrapper';
COMMENT ON FUNCTION decide.final_bins(internal) IS 'Final function of uplift_by_bin';
CREATE FUNCTION decide.final_fit(state internal) RETURNS decide.uplift_fit
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'uplift_fit_wrapper';
COMMENT ON FUNCTION decide.final_fit(internal) IS 'Final function of uplift_calibration';

CREATE AGGREGATE decide.qini(outcome double precision, treated boolean, score double precision) (
  SFUNC = decide.add_uplift, STYPE = internal, SSPACE = 65536, FINALFUNC = decide.final_qini,
  COMBINEFUNC = decide.merge_uplift, SERIALFUNC = decide.send_uplift, DESERIALFUNC = decide.receive_uplift, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.qini(double precision, boolean, double precision) IS
  'Qini coefficient of scores: scikit-uplifts qini_auc_score';
CREATE AGGREGATE decide.auuc(outcome double precision, treated boolean, score double precision) (
  SFUNC = decide.add_uplift, STYPE = internal, SSPACE = 65536, FINALFUNC = decide.final_auuc,
  COMBINEFUNC = decide.merge_uplift, SERIALFUNC = decide.send_uplift, DESERIALFUNC = decide.receive_uplift, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.auuc(double precision, boolean, double precision) IS
  'Area under the uplift curve: scikit-uplifts uplift_auc_score';
CREATE AGGREGATE decide.causalml_qini(outcome double precision, treated boolean, score double precision) (
  SFUNC = decide.add_uplift, STYPE = internal, SSPACE = 65536, FINALFUNC = decide.final_causalml_qini,
  COMBINEFUNC = decide.merge_uplift, SERIALFUNC = decide.send_uplift, DESERIALFUNC = decide.receive_uplift, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.causalml_qini(double precision, boolean, double precision) IS
  'causalmls qini_score, normalized';
CREATE AGGREGATE decide.causalml_auuc(outcome double precision, treated boolean, score double precision) (
  SFUNC = decide.add_uplift, STYPE = internal, SSPACE = 65536, FINALFUNC = decide.final_causalml_auuc,
  COMBINEFUNC = decide.merge_uplift, SERIALFUNC = decide.send_uplift, DESERIALFUNC = decide.receive_uplift, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.causalml_auuc(double precision, boolean, double precision) IS
  'causalmls auuc_score, normalized';
CREATE AGGREGATE decide.uplift_at(outcome double precision, treated boolean, score double precision, k double precision, strategy text) (
  SFUNC = decide.add_uplift_at, STYPE = internal, SSPACE = 65536, FINALFUNC = decide.final_first,
  COMBINEFUNC = decide.merge_uplift, SERIALFUNC = decide.send_uplift, DESERIALFUNC = decide.receive_uplift, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.uplift_at(double precision, boolean, double precision, double precision, text) IS
  'Uplift of the k highest scores: scikit-uplifts uplift_at_k; a k below 1 is a share';
CREATE AGGREGATE decide.uplift_curve(outcome double precision, treated boolean, score double precision) (
  SFUNC = decide.add_uplift, STYPE = internal, SSPACE = 65536, FINALFUNC = decide.final_points,
  COMBINEFUNC = decide.merge_uplift, SERIALFUNC = decide.send_uplift, DESERIALFUNC = decide.receive_uplift, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.uplift_curve(double precision, boolean, double precision) IS
  'Points of the uplift curve and the Qini curve, one for each distinct score';
CREATE AGGREGATE decide.uplift_curve(outcome double precision, treated boolean, score double precision, points integer) (
  SFUNC = decide.add_uplift_points, STYPE = internal, SSPACE = 65536, FINALFUNC = decide.final_points,
  COMBINEFUNC = decide.merge_uplift, SERIALFUNC = decide.send_uplift, DESERIALFUNC = decide.receive_uplift, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.uplift_curve(double precision, boolean, double precision, integer) IS
  'The same, with so many points at most';
CREATE AGGREGATE decide.uplift_by_bin(outcome double precision, treated boolean, score double precision, bins integer, strategy text) (
  SFUNC = decide.add_uplift_bins, STYPE = internal, SSPACE = 65536, FINALFUNC = decide.final_bins,
  COMBINEFUNC = decide.merge_uplift, SERIALFUNC = decide.send_uplift, DESERIALFUNC = decide.receive_uplift, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.uplift_by_bin(double precision, boolean, double precision, integer, text) IS
  'Uplift by decile, or in any number of bins, with intervals: scikit-uplifts uplift_by_percentile';
CREATE AGGREGATE decide.uplift_calibration(outcome double precision, treated boolean, score double precision, bins integer, strategy text) (
  SFUNC = decide.add_uplift_bins, STYPE = internal, SSPACE = 65536, FINALFUNC = decide.final_fit,
  COMBINEFUNC = decide.merge_uplift, SERIALFUNC = decide.send_uplift, DESERIALFUNC = decide.receive_uplift, PARALLEL = SAFE);
COMMENT ON AGGREGATE decide.uplift_calibration(double precision, boolean, double precision, integer, text) IS
  'Whether scores predict the uplift of bins: calibration, and Kendalls rank correlation';

-- Assignment, as GrowthBook has it.

CREATE FUNCTION decide.bucket(seed text, value text, version integer DEFAULT 2) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'bucket_wrapper';
COMMENT ON FUNCTION decide.bucket(text, text, integer) IS
  'Where a user falls between 0 and 1 in an experiment, by the hash of GrowthBook''s SDKs of that version (1 or 2); null for another one';
CREATE FUNCTION decide.choose_variation(bucket double precision, coverage double precision, weights double precision[]) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'choose_variation_wrapper';
COMMENT ON FUNCTION decide.choose_variation(double precision, double precision, double precision[]) IS
  'The variation, from 0, in whose range a bucket is, as GrowthBook''s SDKs have it; -1 for none';
