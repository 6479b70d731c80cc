-- Delays of outcomes: how long they take, and what decisions that are young may yet bring.

CREATE TABLE decide.outcome_delay (
  outcome_type text NOT NULL,
  surface text NOT NULL,
  cohort text NOT NULL,
  version int NOT NULL,
  family text NOT NULL CHECK (family IN ('exponential', 'weibull')),
  share double precision NOT NULL,
  scale double precision NOT NULL,
  shape double precision NOT NULL,
  log_likelihood double precision NOT NULL,
  window_length interval NOT NULL,
  exposures bigint NOT NULL,
  converted bigint NOT NULL,
  mean_value double precision NOT NULL,
  mean_square double precision NOT NULL,
  decided_from timestamptz NOT NULL,
  decided_to timestamptz NOT NULL,
  fitted_at timestamptz NOT NULL,
  PRIMARY KEY (outcome_type, surface, cohort, version)
);
COMMENT ON TABLE decide.outcome_delay IS
  'How long outcomes take: P(delay > t) = exp(-(t / scale)^shape) for the share of exposures that has one, fitted by the job "outcome_delays"; each fit is a version';
COMMENT ON COLUMN decide.outcome_delay.outcome_type IS 'Outcome type';
COMMENT ON COLUMN decide.outcome_delay.surface IS 'Surface';
COMMENT ON COLUMN decide.outcome_delay.cohort IS 'Value of the outcome type''s delay_attribute of the action that was shown (empty: it has none, or there is no such attribute)';
COMMENT ON COLUMN decide.outcome_delay.version IS 'Number, counting up; a run of the job gives all its fits the same one';
COMMENT ON COLUMN decide.outcome_delay.family IS 'exponential: the shape is 1; weibull: where the likelihood says so (likelihood ratio, 95 %)';
COMMENT ON COLUMN decide.outcome_delay.share IS 'Share of the exposures that has an outcome sooner or later';
COMMENT ON COLUMN decide.outcome_delay.scale IS 'In seconds; 1 / scale is the rate of an exponential delay';
COMMENT ON COLUMN decide.outcome_delay.shape IS 'Below 1: most outcomes come soon, and some late';
COMMENT ON COLUMN decide.outcome_delay.log_likelihood IS 'Logarithm of the likelihood';
COMMENT ON COLUMN decide.outcome_delay.window_length IS 'Window of the outcome type then';
COMMENT ON COLUMN decide.outcome_delay.exposures IS 'How many exposures it was fitted on';
COMMENT ON COLUMN decide.outcome_delay.converted IS 'How many of these had an outcome';
COMMENT ON COLUMN decide.outcome_delay.mean_value IS 'Mean net value of an exposure that had one';
COMMENT ON COLUMN decide.outcome_delay.mean_square IS 'Mean of the square of that';
COMMENT ON COLUMN decide.outcome_delay.decided_from IS 'Decisions from this time on';
COMMENT ON COLUMN decide.outcome_delay.decided_to IS 'and from before this time';
COMMENT ON COLUMN decide.outcome_delay.fitted_at IS 'When';

CREATE FUNCTION decide.fit_delay(times double precision[], weights double precision[], happened boolean[]) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'fit_delay_wrapper';
COMMENT ON FUNCTION decide.fit_delay(double precision[], double precision[], boolean[]) IS
  'The share that has an outcome sooner or later, scale and shape of its delay (shape 1 where a Weibull distribution is not more likely), and the logarithm of the likelihood: from times, how often each was observed, and whether the outcome came then or had not come yet; null where none has come';
CREATE FUNCTION decide.still_to_come(share double precision, scale double precision, shape double precision, age double precision, "window" double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'still_to_come_wrapper';
COMMENT ON FUNCTION decide.still_to_come(double precision, double precision, double precision, double precision, double precision) IS
  'The chance that an exposure of that age, in seconds, which has had no outcome, has one before the end of the window';
CREATE FUNCTION decide.seen_by_now(scale double precision, shape double precision, age double precision, "window" double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'seen_by_now_wrapper';
COMMENT ON FUNCTION decide.seen_by_now(double precision, double precision, double precision, double precision) IS
  'Which part of the outcomes within the window has come at that age, in seconds';

-- What the job looks at: the decisions of the last two windows, or a sample of their blocks.
CREATE FUNCTION decide.fit_delays(upto timestamptz, most bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
SET DateStyle = 'ISO' SET TimeZone = 'UTC'
SET jit = off
AS $$
DECLARE
  starts CONSTANT timestamptz := upto - 2 * (SELECT max(t.window_length) FROM decide.outcome_types_in_force() AS t);
  next CONSTANT int := 1 + COALESCE((SELECT max(d.version) FROM decide.outcome_delay AS d), 0);
  least_converted CONSTANT bigint := 10;
  most_fits CONSTANT bigint := 1000;
  percent double precision;
  fitted bigint;
BEGIN
  IF starts IS NULL THEN
    RETURN 0;
  END IF;
  SELECT LEAST(100, 100.0 * most / GREATEST(sum(c.reltuples), 1)) INTO percent
    FROM pg_partition_tree('decide.trace'::regclass) AS t JOIN pg_class AS c ON c.oid = t.relid
   WHERE t.isleaf AND COALESCE(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz, 'infinity') > starts;
  INSERT INTO decide.outcome_delay (outcome_type, surface, cohort, version, family, share, scale, shape, log_likelihood, window_length, exposures, converted,
         mean_value, mean_square, decided_from, decided_to, fitted_at)
  WITH shown AS MATERIALIZED (
    SELECT x.decision_id, x.user_key, x.decided_at, x.surface, x.bundle, x.first_slot + s.place - 1 AS slot, s.place, s.number
      FROM decide.trace AS x TABLESAMPLE SYSTEM (percent) REPEATABLE (next)
     CROSS JOIN LATERAL unnest(x.actions[1:x.filled]) WITH ORDINALITY AS s (number, place)
     WHERE x.decided_at >= starts AND x.decided_at < upto
       AND NOT EXISTS (SELECT FROM decide.erasing AS e WHERE e.user_key = x.user_key AND x.decided_at <= COALESCE(e.until, 'infinity'))
  ), credited AS MATERIALIZED (
    SELECT a.outcome_type, a.decision_id, a.decided_for, a.slot, min(a.at) AS at, sum(a.net_value) AS value
      FROM decide.attributed_event AS a
     WHERE a.decision_id IS NOT NULL AND a.number IS DISTINCT FROM -1 AND COALESCE(a.decided_at, a.at) >= starts AND COALESCE(a.decided_at, a.at) < upto AND a.at <= upto
     GROUP BY 1, 2, 3, 4
  ), observed AS (
    SELECT t.outcome_type, s.surface, t.window_length, c.at IS NOT NULL AS happened, c.value,
           COALESCE((SELECT v.attributes ->> t.delay_attribute FROM decide.action_version AS v
                      WHERE v.number = s.number AND v.bundle <= s.bundle ORDER BY v.bundle DESC LIMIT 1), '') AS cohort,
           GREATEST(EXTRACT(epoch FROM COALESCE(c.at - s.decided_at, LEAST(upto - s.decided_at, t.window_length)))::double precision, 0.001) AS seconds
      FROM decide.outcome_types_in_force() AS t CROSS JOIN shown AS s
      LEFT JOIN credited AS c ON c.decision_id = s.decision_id AND c.decided_for = s.user_key AND c.outcome_type = t.outcome_type
       AND (c.slot = s.slot OR c.slot IS NULL AND s.place = 1)
  ), binned AS MATERIALIZED (
    SELECT o.outcome_type, o.surface, o.cohort, o.window_length, o.happened, b.bin,
           count(*)::double precision AS many, sum(o.seconds) AS seconds, sum(o.value) AS value, sum(o.value * o.value) AS square
      FROM observed AS o
     CROSS JOIN LATERAL (SELECT width_bucket(ln(o.seconds), -7, ln(EXTRACT(epoch FROM o.window_length)::double precision) + 0.001, 300) AS bin) AS b
     GROUP BY 1, 2, 3, 4, 5, 6
  ), grouped AS (
    SELECT b.* FROM binned AS b WHERE b.cohort <> ''
     UNION ALL
    SELECT b.outcome_type, b.surface, '', b.window_length, b.happened, b.bin, sum(b.many), sum(b.seconds), sum(b.value), sum(b.square)
      FROM binned AS b GROUP BY 1, 2, 4, 5, 6
  ), cohort AS (
    SELECT g.outcome_type, g.surface, g.cohort, g.window_length, array_agg(g.seconds / g.many ORDER BY g.happened, g.bin) AS times,
           array_agg(g.many ORDER BY g.happened, g.bin) AS weights, array_agg(g.happened ORDER BY g.happened, g.bin) AS happened,
           sum(g.many) AS exposures, sum(g.many) FILTER (WHERE g.happened) AS converted, sum(g.value) AS value, sum(g.square) AS square
      FROM grouped AS g GROUP BY 1, 2, 3, 4
    HAVING sum(g.many) FILTER (WHERE g.happened) >= least_converted
     ORDER BY 8 DESC LIMIT most_fits
  )
  SELECT c.outcome_type, c.surface, c.cohort, next, CASE WHEN f.fit[3] = 1 THEN 'exponential' ELSE 'weibull' END, f.fit[1], f.fit[2], f.fit[3], f.fit[4],
         c.window_length, c.exposures::bigint, c.converted::bigint, c.value / c.converted, c.square / c.converted, starts, upto, clock_timestamp()
    FROM cohort AS c CROSS JOIN LATERAL (SELECT decide.fit_delay(c.times, c.weights, c.happened) AS fit OFFSET 0) AS f
   WHERE f.fit IS NOT NULL;
  GET DIAGNOSTICS fitted = ROW_COUNT;
  DELETE FROM decide.outcome_delay AS d WHERE d.version < next - 1000;
  RETURN fitted;
END
$$;
COMMENT ON FUNCTION decide.fit_delays(timestamptz, bigint) IS
  'Fits delays to the decisions of the last two windows before that time, or to a sample of about so many, as a new version; answers how many fits there are';

CREATE FUNCTION decide.newest_delays() RETURNS SETOF decide.outcome_delay
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT DISTINCT ON (d.outcome_type, d.surface, d.cohort) d.*
    FROM decide.outcome_delay AS d ORDER BY d.outcome_type, d.surface, d.cohort, d.version DESC
$$;
COMMENT ON FUNCTION decide.newest_delays() IS 'The newest delay of each outcome type, surface and cohort';

CREATE FUNCTION decide.outcome_estimates("from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity')
RETURNS TABLE (outcome_type text, surface text, policy text, action text, exposures bigint, converted bigint, value double precision,
               conversions_to_come double precision, value_to_come double precision, value_per_exposure double precision,
               std_error double precision, low double precision, high double precision,
               matured bigint, matured_converted bigint, matured_value double precision, matured_value_per_exposure double precision,
               matured_std_error double precision, matured_low double precision, matured_high double precision, delay_version integer)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  WITH delay AS MATERIALIZED (
    SELECT d.* FROM decide.newest_delays() AS d
  ), shown AS MATERIALIZED (
    SELECT x.decision_id, x.user_key, x.decided_at, x.surface, x.policy, x.bundle, x.first_slot + s.place - 1 AS slot, s.place, s.number,
           EXTRACT(epoch FROM now() - x.decided_at)::double precision AS age
      FROM decide.trace AS x
     CROSS JOIN LATERAL unnest(x.actions[1:x.filled]) WITH ORDINALITY AS s (number, place)
     WHERE x.decided_at >= outcome_estimates."from" AND x.decided_at < outcome_estimates."to"
       AND NOT EXISTS (SELECT FROM decide.erasing AS e WHERE e.user_key = x.user_key AND x.decided_at <= COALESCE(e.until, 'infinity'))
  ), credited AS MATERIALIZED (
    SELECT a.outcome_type, a.decision_id, a.decided_for, a.slot, sum(a.net_value) AS value
      FROM decide.attributed_event AS a
     WHERE a.decision_id IS NOT NULL AND a.number IS DISTINCT FROM -1 AND COALESCE(a.decided_at, a.at) >= outcome_estimates."from" AND COALESCE(a.decided_at, a.at) < outcome_estimates."to"
     GROUP BY 1, 2, 3, 4
  ), labelled AS (
    SELECT t.outcome_type, s.surface, s.policy, s.number, c.decision_id IS NOT NULL AS has_converted, COALESCE(c.value, 0) AS value,
           s.age >= w.seconds AS is_matured, d.version, d.mean_value, d.mean_square,
           CASE WHEN c.decision_id IS NOT NULL OR s.age >= w.seconds THEN 0 ELSE decide.still_to_come(d.share, d.scale, d.shape, s.age, w.seconds) END AS to_come,
           CASE WHEN s.age >= w.seconds THEN 1 ELSE decide.seen_by_now(d.scale, d.shape, s.age, w.seconds) END AS seen
      FROM decide.outcome_types_in_force() AS t CROSS JOIN shown AS s
     CROSS JOIN LATERAL (SELECT EXTRACT(epoch FROM t.window_length)::double precision AS seconds,
            COALESCE((SELECT v.attributes ->> t.delay_attribute FROM decide.action_version AS v
                       WHERE v.number = s.number AND v.bundle <= s.bundle ORDER BY v.bundle DESC LIMIT 1), '') AS cohort) AS w
      LEFT JOIN credited AS c ON c.decision_id = s.decision_id AND c.decided_for = s.user_key AND c.outcome_type = t.outcome_type
       AND (c.slot = s.slot OR c.slot IS NULL AND s.place = 1)
      LEFT JOIN LATERAL (SELECT o.* FROM delay AS o WHERE o.outcome_type = t.outcome_type AND o.surface = s.surface AND o.cohort IN (w.cohort, '')
                          ORDER BY o.cohort = '' LIMIT 1) AS d ON true
  ), total AS (
    SELECT l.outcome_type, l.surface, l.policy, l.number, count(*) AS n, count(*) FILTER (WHERE l.has_converted) AS converted, sum(l.value) AS value,
           CASE WHEN bool_and(l.to_come IS NOT NULL) THEN sum(l.to_come) END AS conversions_to_come,
           CASE WHEN bool_and(l.to_come IS NOT NULL) THEN sum(CASE WHEN l.to_come > 0 THEN l.to_come * l.mean_value ELSE 0 END) END AS value_to_come,
           sum(l.value * l.value + CASE WHEN l.to_come > 0 THEN l.to_come * l.mean_square ELSE 0 END) AS square, sum(l.seen) AS seen,
           count(*) FILTER (WHERE l.is_matured) AS matured, count(*) FILTER (WHERE l.is_matured AND l.has_converted) AS matured_converted,
           COALESCE(sum(l.value) FILTER (WHERE l.is_matured), 0) AS matured_value, sum(l.value * l.value) FILTER (WHERE l.is_matured) AS matured_square, max(l.version) AS version
      FROM labelled AS l GROUP BY 1, 2, 3, 4
  )
  SELECT t.outcome_type, t.surface, t.policy, decide.action_name(t.number), t.n, t.converted, t.value, t.conversions_to_come, t.value_to_come,
         m.mean, m.error, m.mean - 1.959963984540054 * m.error, m.mean + 1.959963984540054 * m.error,
         t.matured, t.matured_converted, t.matured_value, f.mean, f.error, f.mean - 1.959963984540054 * f.error, f.mean + 1.959963984540054 * f.error, t.version
    FROM total AS t
   CROSS JOIN LATERAL (SELECT (t.value + t.value_to_come) / t.n AS mean) AS a
   CROSS JOIN LATERAL (SELECT a.mean, sqrt(GREATEST(t.square / t.n - a.mean * a.mean, 0) / NULLIF(t.seen, 0)) AS error) AS m
   CROSS JOIN LATERAL (SELECT t.matured_value / NULLIF(t.matured, 0) AS mean) AS b
   CROSS JOIN LATERAL (SELECT b.mean, sqrt(GREATEST(t.matured_square / NULLIF(t.matured, 0) - b.mean * b.mean, 0) / NULLIF(t.matured - 1, 0)) AS error) AS f
$$;
COMMENT ON FUNCTION decide.outcome_estimates(timestamptz, timestamptz) IS
  'What the exposures of a time have brought and may yet bring, for each outcome type, surface, policy and action: realized and expected, beside those that are matured, with intervals of 95 %';

CREATE VIEW decide.outcome_interim AS
SELECT e.outcome_type, e.surface, e.policy, e.action, e.exposures, e.converted, e.value, e.conversions_to_come, e.value_to_come, e.value_per_exposure, e.std_error, e.low, e.high,
       e.delay_version
  FROM decide.outcome_estimates() AS e;
COMMENT ON VIEW decide.outcome_interim IS
  'What exposures have brought and are expected to bring yet, by outcome type, surface, policy and action; reads all traces that are kept: decide.outcome_estimates("from", "to") reads those of a time';
COMMENT ON COLUMN decide.outcome_interim.outcome_type IS 'Outcome type';
COMMENT ON COLUMN decide.outcome_interim.surface IS 'Surface';
COMMENT ON COLUMN decide.outcome_interim.policy IS 'Policy that chose';
COMMENT ON COLUMN decide.outcome_interim.action IS 'Action that was shown';
COMMENT ON COLUMN decide.outcome_interim.exposures IS 'How often the policy has shown it';
COMMENT ON COLUMN decide.outcome_interim.converted IS 'How many of these have had an outcome';
COMMENT ON COLUMN decide.outcome_interim.value IS 'Net value of these';
COMMENT ON COLUMN decide.outcome_interim.conversions_to_come IS 'How many of the others are expected to have one before the end of the window (null: no delay is fitted)';
COMMENT ON COLUMN decide.outcome_interim.value_to_come IS 'Value of these';
COMMENT ON COLUMN decide.outcome_interim.value_per_exposure IS 'Value, realized and expected, of an exposure';
COMMENT ON COLUMN decide.outcome_interim.std_error IS 'Its standard error: young exposures count as far as their outcomes have come; that of the delay is not in it';
COMMENT ON COLUMN decide.outcome_interim.low IS 'Interval of 95 %: from';
COMMENT ON COLUMN decide.outcome_interim.high IS 'Interval of 95 %: up to';
COMMENT ON COLUMN decide.outcome_interim.delay_version IS 'Version of the delay that was used';

CREATE VIEW decide.outcome_final AS
SELECT e.outcome_type, e.surface, e.policy, e.action, e.matured AS exposures, e.matured_converted AS converted, e.matured_value AS value,
       e.matured_value_per_exposure AS value_per_exposure, e.matured_std_error AS std_error, e.matured_low AS low, e.matured_high AS high
  FROM decide.outcome_estimates() AS e WHERE e.matured > 0;
COMMENT ON VIEW decide.outcome_final IS 'What exposures whose window is over have brought, by outcome type, surface, policy and action; reads all traces that are kept';
COMMENT ON COLUMN decide.outcome_final.outcome_type IS 'Outcome type';
COMMENT ON COLUMN decide.outcome_final.surface IS 'Surface';
COMMENT ON COLUMN decide.outcome_final.policy IS 'Policy that chose';
COMMENT ON COLUMN decide.outcome_final.action IS 'Action that was shown';
COMMENT ON COLUMN decide.outcome_final.exposures IS 'Exposures whose window is over';
COMMENT ON COLUMN decide.outcome_final.converted IS 'How many of these have had an outcome';
COMMENT ON COLUMN decide.outcome_final.value IS 'Net value of these';
COMMENT ON COLUMN decide.outcome_final.value_per_exposure IS 'Value of an exposure';
COMMENT ON COLUMN decide.outcome_final.std_error IS 'Its standard error';
COMMENT ON COLUMN decide.outcome_final.low IS 'Interval of 95 %: from';
COMMENT ON COLUMN decide.outcome_final.high IS 'Interval of 95 %: up to';
