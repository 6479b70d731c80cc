-- What models predict beside what came of it, and versions that are brought into line with that.

CREATE FUNCTION decide.predictions(
  surface text, model text, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity', outcome text DEFAULT 'click',
  cohort text DEFAULT NULL, within interval DEFAULT NULL)
RETURNS TABLE (decision_id uuid, decided_at timestamptz, slot integer, action text, propensity double precision, predicted double precision,
               baseline double precision, reward double precision, label double precision, cohort text)
LANGUAGE c STABLE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'predictions_wrapper';
COMMENT ON FUNCTION decide.predictions(text, text, timestamptz, timestamptz, text, text, interval) IS
  'What a model predicts of each slot of the decisions that were made, from what their traces keep, for the action that was shown and for the baseline of the surface, beside what came of it';

CREATE FUNCTION decide.reliability(
  surface text, model text, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity', outcome text DEFAULT 'click',
  bins integer DEFAULT 10, cohort text DEFAULT NULL, within interval DEFAULT NULL)
RETURNS TABLE (cohort text, bin integer, n bigint, predicted_min double precision, predicted_max double precision, predicted double precision,
               observed double precision, low double precision, high double precision, ece double precision)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH binned AS (
    SELECT p.cohort, p.predicted, p.label,
           ntile(reliability.bins) OVER (PARTITION BY p.cohort ORDER BY p.predicted, p.decision_id, p.slot) AS bin
      FROM decide.predictions(reliability.surface, reliability.model, reliability."from", reliability."to", reliability.outcome, reliability.cohort,
                              reliability.within) AS p
  ), summed AS (
    SELECT b.cohort, b.bin, count(*) AS n, min(b.predicted) AS predicted_min, max(b.predicted) AS predicted_max, avg(b.predicted) AS predicted,
           avg(b.label) AS observed, bool_and(b.label IN (0, 1)) AS is_share, stddev_samp(b.label) / sqrt(count(*)::double precision) AS error,
           1.959963984540054 AS z
      FROM binned AS b GROUP BY b.cohort, b.bin
  )
  SELECT s.cohort, s.bin, s.n, s.predicted_min, s.predicted_max, s.predicted, s.observed,
         CASE WHEN s.is_share THEN (s.observed + z * z / (2 * s.n) - w.half) / (1 + z * z / s.n) ELSE s.observed - z * s.error END,
         CASE WHEN s.is_share THEN (s.observed + z * z / (2 * s.n) + w.half) / (1 + z * z / s.n) ELSE s.observed + z * s.error END,
         sum(s.n * abs(s.observed - s.predicted)) OVER (PARTITION BY s.cohort) / sum(s.n) OVER (PARTITION BY s.cohort)
    FROM summed AS s
   CROSS JOIN LATERAL (SELECT CASE WHEN s.is_share THEN z * sqrt(s.observed * (1 - s.observed) / s.n + z * z / (4.0 * s.n * s.n)) END AS half) AS w
   ORDER BY s.cohort, s.bin
$$;
COMMENT ON FUNCTION decide.reliability(text, text, timestamptz, timestamptz, text, integer, text, interval) IS
  'Whether a model is calibrated: bins with the same number of predictions each, their mean, what was observed with its interval, and the expected calibration error';

CREATE FUNCTION decide.calibrate(
  model text, surface text, outcome text DEFAULT 'click', decided_from timestamptz DEFAULT '-infinity', decided_to timestamptz DEFAULT 'infinity',
  within interval DEFAULT NULL, most_slope double precision DEFAULT 2)
RETURNS integer
LANGUAGE c
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'calibrate_wrapper';
COMMENT ON FUNCTION decide.calibrate(text, text, text, timestamptz, timestamptz, interval, double precision) IS
  'Writes a version of a model whose predictions are brought into line with what came of decisions: slope and intercept on the scale of log odds (Platt scaling), or of the answer if the model is linear';
