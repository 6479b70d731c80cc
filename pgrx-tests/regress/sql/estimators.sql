-- Estimates of another policy, from a log: as plain aggregates over any query.
-- values of double precision differ in the last digits with the order of rows, so they are rounded
CREATE FUNCTION shown(e decide.estimate) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' | ', round(e.value::numeric, 9), round(e.std_error::numeric, 9), round(e.low::numeric, 6), round(e.high::numeric, 6), e.n,
                   round(e.ess::numeric, 6), round(e.max_weight::numeric, 6), round(e.mean_weight::numeric, 6), e.warning)
$$;
-- a log of three actions, which are drawn with probabilities 0.5, 0.3 and 0.2; the target takes them with 0.2, 0.3 and 0.5
CREATE TABLE log AS
SELECT i, (i * 7919) % 97 % 2 AS cohort, a.logged, a.target, a.q_logged, 0.2 * 0.1 + 0.3 * 0.2 + 0.5 * 0.4 AS q_target,
       CASE WHEN (i * 104729) % 1000 < a.rate THEN 1.0 ELSE 0.0 END AS reward
  FROM generate_series(1, 3000) AS i, LATERAL (SELECT (i * 15485863::bigint) % 1000 AS draw) AS d,
       LATERAL (SELECT * FROM (VALUES (0, 500, 0.5, 0.2, 0.1, 120), (500, 800, 0.3, 0.3, 0.2, 180), (800, 1000, 0.2, 0.5, 0.4, 350))
                AS v (first, last, logged, target, q_logged, rate) WHERE draw >= v.first AND draw < v.last) AS a;
SELECT count(*), count(DISTINCT logged) FROM log;

-- each against the same arithmetic in SQL
WITH w AS (
  SELECT *, target / logged AS w FROM log
), e AS (
  SELECT 'ips' AS estimator, decide.ips(reward, logged, target) AS e, avg(w * reward) AS value, stddev_samp(w * reward) / sqrt(count(*)) AS se,
         sum(w) ^ 2 / sum(w ^ 2) AS ess, max(w) AS most, avg(w) AS mean FROM w
  UNION ALL
  SELECT 'snips', decide.snips(reward, logged, target), s.v, sqrt(sum((w * (reward - s.v)) ^ 2) / (count(*) * (count(*) - 1))) / avg(w),
         sum(w) ^ 2 / sum(w ^ 2), max(w), avg(w) FROM w, (SELECT sum(w * reward) / sum(w) AS v FROM w) AS s GROUP BY s.v
  UNION ALL
  SELECT 'cips', decide.cips(reward, logged, target, 2), avg(least(w, 2) * reward), stddev_samp(least(w, 2) * reward) / sqrt(count(*)),
         sum(least(w, 2)) ^ 2 / sum(least(w, 2) ^ 2), max(least(w, 2)), avg(least(w, 2)) FROM w
  UNION ALL
  SELECT 'dm', decide.dm(q_target), avg(q_target), stddev_samp(q_target) / sqrt(count(*)), NULL, NULL, NULL FROM w
  UNION ALL
  SELECT 'dr', decide.dr(reward, logged, target, q_logged, q_target), avg(q_target + w * (reward - q_logged)),
         stddev_samp(q_target + w * (reward - q_logged)) / sqrt(count(*)), sum(w) ^ 2 / sum(w ^ 2), max(w), avg(w) FROM w
  UNION ALL
  SELECT 'sndr', decide.sndr(reward, logged, target, q_logged, q_target), avg(q_target) + s.r,
         stddev_samp(q_target + w * (reward - q_logged - s.r) / s.m) / sqrt(count(*)), sum(w) ^ 2 / sum(w ^ 2), max(w), avg(w)
    FROM w, (SELECT sum(w * (reward - q_logged)) / sum(w) AS r, avg(w) AS m FROM w) AS s GROUP BY s.r
  UNION ALL
  SELECT 'switch_dr', decide.switch_dr(reward, logged, target, q_logged, q_target, 1), avg(q_target + u * (reward - q_logged)),
         stddev_samp(q_target + u * (reward - q_logged)) / sqrt(count(*)), sum(u) ^ 2 / sum(u ^ 2), max(u), avg(u)
    FROM (SELECT *, CASE WHEN w <= 1 THEN w ELSE 0 END AS u FROM w) AS w
  UNION ALL
  SELECT 'dros', decide.dros(reward, logged, target, q_logged, q_target, 3), avg(q_target + u * (reward - q_logged)),
         stddev_samp(q_target + u * (reward - q_logged)) / sqrt(count(*)), sum(u) ^ 2 / sum(u ^ 2), max(u), avg(u)
    FROM (SELECT *, 3 * w / (w ^ 2 + 3) AS u FROM w) AS w
)
SELECT estimator, round((e).value::numeric, 9) AS value, round((e).std_error::numeric, 9) AS std_error, (e).n, (e).warning,
       abs((e).value - value) < 1e-12 AND abs((e).std_error - se) < 1e-12 AND abs((e).low - (value - 1.959963984540054 * se)) < 1e-12
       AND abs((e).high - (value + 1.959963984540054 * se)) < 1e-12 AS same,
       abs((e).ess - ess) < 1e-6 AND abs((e).max_weight - most) < 1e-12 AND abs((e).mean_weight - mean) < 1e-12 AS same_weights
  FROM e;

-- GROUP BY, FILTER and OVER; nothing of what was asked before is changed by a window
SELECT cohort, shown(decide.ips(reward, logged, target)), (decide.snips(reward, logged, target) FILTER (WHERE logged < 0.5)).n FROM log GROUP BY cohort ORDER BY cohort;
SELECT count(*) FILTER (WHERE (o).n = i AND abs((o).value - value) < 1e-12 AND (i = 1 AND (o).std_error IS NULL OR abs((o).std_error - se) < 1e-12)) AS same, count(*)
  FROM (SELECT i, decide.ips(reward, logged, target) OVER (ORDER BY i) AS o, avg(reward * target / logged) OVER (ORDER BY i) AS value,
               stddev_samp(reward * target / logged) OVER (ORDER BY i) / sqrt(i) AS se FROM log WHERE i <= 100) AS w;
SELECT i, (decide.snips(reward, logged, target) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)).n FROM log WHERE i <= 3 ORDER BY i;
SELECT (decide.ips(DISTINCT reward, logged, target)).n FROM log;

-- parallel workers have the same answer
CREATE FUNCTION plan(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || statement; END $$;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE VIEW every_estimate AS
SELECT unnest(ARRAY[decide.ips(reward, logged, target), decide.snips(reward, logged, target), decide.cips(reward, logged, target, 2.25), decide.dm(q_target), decide.dr(reward, logged, target, q_logged, q_target),
       decide.sndr(reward, logged, target, q_logged, q_target), decide.switch_dr(reward, logged, target, q_logged, q_target, 1), decide.dros(reward, logged, target, q_logged, q_target, 3)]) AS e FROM log;
SELECT count(*) FROM plan('SELECT * FROM every_estimate') AS line WHERE line ~ 'Partial Aggregate|Finalize Aggregate|Gather';
CREATE TABLE parallel AS SELECT row_number() OVER () AS nr, e.* FROM every_estimate AS e;
SET max_parallel_workers_per_gather = 0;
SELECT count(*), bool_and(abs((p.e).value - (s.e).value) < 1e-12 AND abs((p.e).std_error - (s.e).std_error) < 1e-12 AND (p.e).n = (s.e).n AND (p.e).warning IS NOT DISTINCT FROM (s.e).warning
       AND (p.e).max_weight IS NOT DISTINCT FROM (s.e).max_weight AND (abs((p.e).ess - (s.e).ess) < 1e-9) IS NOT FALSE) AS same
  FROM parallel AS p JOIN (SELECT row_number() OVER () AS nr, e.* FROM every_estimate AS e) AS s USING (nr);
RESET max_parallel_workers_per_gather;

-- no rows: null; nulls are left out; one row has no error; without any weight, a self-normalized estimate has no value
SELECT decide.ips(reward, logged, target) IS NULL AS ips, decide.sndr(reward, logged, target, q_logged, q_target) IS NULL AS sndr, decide.dm(q_target) IS NULL AS dm FROM log WHERE false;
SELECT decide.ips(NULL, 0.5, 0.5) IS NULL AS none;
SELECT (decide.dr(r, 0.5, t, q, b)).n FROM (VALUES (1, 0.5, 1, 1), (NULL, 0.5, 1, 1), (1, NULL, 1, 1), (1, 0.5, NULL, 1), (1, 0.5, 1, NULL)) AS v (r, t, q, b);
SELECT decide.ips(2, 0.5, 0.25), decide.snips(2, 0.5, 0.25), decide.dm(2);
SELECT decide.ips(r, 0.5, 0), decide.snips(r, 0.5, 0), decide.sndr(r, 0.5, 0, 1, 2) FROM generate_series(1, 3) AS r;
SELECT decide.cips(1, 0.5, 0.25, 'infinity') = decide.ips(1, 0.5, 0.25) AS unlimited;

-- the log is not enough: few rows have the weight; the target takes what was never logged; clipping takes weight
SELECT (decide.ips(1, p, t)).warning FROM (VALUES (0.999, 0.0, 5000), (0.001, 1.0, 5)) AS v (p, t, n), generate_series(1, n);
SELECT (decide.ips(1, 0.5, t)).warning, (decide.snips(1, 0.5, t)).warning FROM (VALUES (0.3), (0.4)) AS v (t), generate_series(1, 500);
SELECT (decide.cips(1, p, t, 3)).warning FROM (VALUES (0.9, 0.1, 900), (0.1, 0.9, 100)) AS v (p, t, n), generate_series(1, n);
SELECT (decide.ips(1, 0.5, t)).warning FROM (VALUES (0.4), (0.6)) AS v (t), generate_series(1, 500);

-- other intervals: another level, and one that holds for few rows where rewards are in a range
SELECT decide.normal_interval(e), decide.normal_interval(e, 0.5), decide.bernstein_interval(e, 2), decide.bernstein_interval(e, 2, 0.9)
  FROM (SELECT decide.ips(r, 0.5, 0.5) AS e FROM generate_series(0, 1) AS r, generate_series(1, 50)) AS x;
SELECT decide.normal_interval(NULL), decide.bernstein_interval(decide.ips(1, 0.5, 0.5), 2);
SELECT decide.normal_interval(decide.dm(1), 1.5);
SELECT decide.bernstein_interval(decide.dm(r), 'NaN') FROM generate_series(1, 2) AS r;

-- what cannot be used is an error that names it
SELECT decide.ips('NaN', 0.5, 0.5);
SELECT decide.snips('infinity', 0.5, 0.5);
SELECT decide.ips(1, 0, 0.5);
SELECT decide.ips(1, 1.5, 0.5);
SELECT decide.ips(1, 'NaN', 0.5);
SELECT decide.dr(1, 0.5, -0.1, 0, 0);
SELECT decide.sndr(1, 0.5, 1.1, 0, 0);
SELECT decide.dr(1, 0.5, 0.5, 'NaN', 0);
SELECT decide.switch_dr(1, 0.5, 0.5, 0, '-infinity', 1);
SELECT decide.dm('NaN');
SELECT decide.cips(1, 0.5, 0.5, -1);
SELECT decide.switch_dr(1, 0.5, 0.5, 0, 0, 'NaN');
SELECT decide.dros(1, 0.5, 0.5, 0, 0, -1);
SELECT decide.cips(1, 0.5, 0.5, m) FROM (VALUES (1), (2)) AS v (m);
SELECT decide.ips(1e300, 1e-10, 1);
SELECT decide.ips(r, 1, 1) FROM (VALUES (1e200), (-1e200)) AS v (r);
SELECT decide.ips(1, 1e-310, 1);
\set VERBOSITY sqlstate
SELECT decide.ips(1, 0, 0.5);
\set VERBOSITY default
