-- Metrics of uplift: how well scores find those whom a treatment moves.
CREATE TABLE users AS
SELECT i, (i * 7919) % 101 % 2 = 0 AS treated, ((i * 104729) % 41 - 20) / 20.0 AS score FROM generate_series(1, 2000) AS i;
ALTER TABLE users ADD outcome float8;
UPDATE users SET outcome = CASE WHEN (i * 15485863::bigint) % 1000 < 300 + CASE WHEN treated THEN 150 * score ELSE 0 END THEN 1 ELSE 0 END;
SELECT count(*) FILTER (WHERE treated) AS treated, sum(outcome), count(DISTINCT score) AS scores FROM users;

SELECT round(decide.qini(outcome, treated, score)::numeric, 12) AS qini, round(decide.auuc(outcome, treated, score)::numeric, 12) AS auuc,
       round(decide.causalml_qini(outcome, treated, score ORDER BY i)::numeric, 12) AS causalml_qini, round(decide.causalml_auuc(outcome, treated, score ORDER BY i)::numeric, 12) AS causalml_auuc
  FROM users;
-- whatever the order of rows: tied ones count together
SELECT decide.qini(outcome, treated, score ORDER BY i) = decide.qini(outcome, treated, score ORDER BY i DESC) AS qini,
       decide.auuc(outcome, treated, score ORDER BY md5(i::text)) = decide.auuc(outcome, treated, score ORDER BY i) AS auuc FROM users;
-- the reversed order, the perfect order, and none
SELECT round(decide.qini(outcome, treated, -score)::numeric, 12) AS reversed, round(decide.qini(outcome, treated, 0)::numeric, 12) AS flat,
       decide.qini(outcome, treated, CASE WHEN treated THEN outcome ELSE -outcome END) AS best FROM users;

-- the curve against SQL
WITH curve AS (
  SELECT p.*, row_number() OVER () AS nr FROM (SELECT decide.uplift_curve(outcome, treated, score) AS points FROM users) AS u, unnest(u.points) AS p
), expected AS (
  SELECT DISTINCT score, count(*) OVER d AS n, count(*) FILTER (WHERE treated) OVER d AS treated, count(*) FILTER (WHERE NOT treated) OVER d AS control,
         sum(outcome) FILTER (WHERE treated) OVER d AS of_treated, sum(outcome) FILTER (WHERE NOT treated) OVER d AS of_control
    FROM users WINDOW d AS (ORDER BY score DESC)
)
SELECT count(*), bool_and(c.treated = e.treated AND c.control = e.control AND abs(c.uplift - (e.of_treated / e.treated - e.of_control / e.control)) < 1e-12
                          AND abs(c.gain - c.uplift * c.n) < 1e-9 AND abs(c.qini - (e.of_treated - e.of_control * e.treated / e.control)) < 1e-9) AS same
  FROM curve AS c JOIN expected AS e ON e.n = c.n AND abs(e.score - c.score) < 1e-12;
SELECT p.n, p.score, p.treated, p.control FROM (SELECT decide.uplift_curve(outcome, treated, score, 4) AS points FROM users) AS u, unnest(u.points) AS p;
SELECT cardinality(decide.uplift_curve(outcome, treated, score, 1000)) FROM users;

-- the first k: a share, or a number of rows; of all, or of each group
SELECT k, strategy, (SELECT round(decide.uplift_at(outcome, treated, score, k, strategy ORDER BY i)::numeric, 12) FROM users)
  FROM unnest(ARRAY[0.1, 0.3, 0.999, 1, 100, 1000, 2000, 5000]) AS k, unnest(ARRAY['overall', 'by_group']) AS strategy ORDER BY strategy, k;
-- of tied rows, those that came later are first
SELECT decide.uplift_at(o, t, s, 2, 'overall' ORDER BY n) AS later, decide.uplift_at(o, t, s, 2, 'overall' ORDER BY n DESC) AS earlier
  FROM (VALUES (1, 1, true, 0), (2, 0, false, 0), (3, 0, true, 0), (4, 1, false, 0)) AS v (n, o, t, s);

-- bins with intervals, and whether scores predict them
SELECT b.bin, b.treated, b.control, round(b.treated_mean::numeric, 6) AS treated_mean, round(b.control_mean::numeric, 6) AS control_mean, round(b.uplift::numeric, 6) AS uplift,
       round(b.std_error::numeric, 6) AS std_error, round(b.low::numeric, 6) AS low, round(b.high::numeric, 6) AS high, round(b.mean_score::numeric, 6) AS mean_score
  FROM (SELECT decide.uplift_by_bin(outcome, treated, score, 5, 'overall' ORDER BY i) AS bins FROM users) AS u, unnest(u.bins) AS b;
SELECT f.bins, round(f.slope::numeric, 6) AS slope, round(f.intercept::numeric, 6) AS intercept, round(f.mean_error::numeric, 6) AS mean_error, round(f.mean_relative_error::numeric, 6) AS mean_relative_error,
       round(f.kendall::numeric, 6) AS kendall FROM (SELECT (decide.uplift_calibration(outcome, treated, score * 0.15, 10, 'by_group' ORDER BY i)).* FROM users) AS f;

-- GROUP BY, FILTER and OVER
SELECT i % 3 AS part, round(decide.qini(outcome, treated, score)::numeric, 12) AS qini, decide.qini(outcome, treated, score) FILTER (WHERE treated) AS one_group FROM users GROUP BY 1 ORDER BY 1;
SELECT count(*) FILTER (WHERE o IS NOT DISTINCT FROM (SELECT decide.qini(outcome, treated, score) FROM users AS u WHERE u.i <= w.i)) AS same, count(*)
  FROM (SELECT i, decide.qini(outcome, treated, score) OVER (ORDER BY i) AS o FROM users WHERE i <= 50) AS w;

-- parallel workers have the same answer
CREATE FUNCTION plan(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || statement; END $$;
CREATE VIEW every_metric AS
SELECT decide.qini(outcome, treated, score) AS qini, decide.auuc(outcome, treated, score) AS auuc, decide.uplift_at(outcome, treated, score + i / 1e6, 0.3, 'by_group') AS at,
       decide.uplift_calibration(outcome, treated, score + i / 1e6, 10, 'by_group') AS fit, decide.uplift_curve(outcome, treated, score, 5) AS curve FROM users;
CREATE TABLE serial AS SELECT * FROM every_metric;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(*) FROM plan('SELECT * FROM every_metric') AS line WHERE line ~ 'Partial Aggregate|Finalize Aggregate|Gather';
SELECT p.qini = s.qini AS qini, p.auuc = s.auuc AS auuc, abs(p.at - s.at) < 1e-12 AS at, abs((p.fit).slope - (s.fit).slope) < 1e-9 AS fit, p.curve = s.curve AS curve FROM every_metric AS p, serial AS s;
RESET max_parallel_workers_per_gather;

-- no rows, one group, one outcome: null; nulls are left out
SELECT decide.qini(outcome, treated, score), decide.auuc(outcome, treated, score), decide.uplift_at(outcome, treated, score, 0.3, 'overall') AS at, decide.uplift_curve(outcome, treated, score) AS curve,
       decide.uplift_by_bin(outcome, treated, score, 3, 'overall') AS bins, decide.uplift_calibration(outcome, treated, score, 3, 'overall') AS fit FROM users WHERE false;
SELECT decide.qini(outcome, treated, score), decide.auuc(outcome, treated, score), decide.causalml_auuc(outcome, treated, score), decide.uplift_at(outcome, treated, score, 0.3, 'overall') AS at,
       decide.uplift_calibration(outcome, treated, score, 3, 'overall') AS fit FROM users WHERE treated;
SELECT decide.qini(outcome, treated, score), decide.auuc(outcome, treated, score), round(decide.uplift_at(outcome, treated, score, 0.3, 'overall')::numeric, 6) AS at FROM users WHERE outcome = 1;
SELECT decide.qini(NULL, true, 1), decide.qini(1, NULL, 1), decide.qini(1, true, NULL);
SELECT decide.uplift_by_bin(o, t, s, 3, 'overall') FROM (VALUES (1, true, 2), (0, false, 1)) AS v (o, t, s);
-- revenue as the outcome: uplift, bins and causalml's areas; a perfect order of such rows does not exist
SELECT round(decide.uplift_at(outcome * 12.5, treated, score, 0.3, 'overall' ORDER BY i)::numeric, 6) AS at, round(decide.causalml_auuc(outcome * 12.5, treated, score ORDER BY i)::numeric, 12) AS causalml_auuc FROM users;

-- what cannot be used is an error that names it
SELECT decide.qini(outcome * 12.5, treated, score) FROM users;
SELECT decide.auuc(0.5, true, 1);
SELECT decide.qini('NaN', true, 1);
SELECT decide.qini(1, true, 'infinity');
SELECT decide.uplift_at(1, true, 1, 0, 'overall');
SELECT decide.uplift_at(1, true, 1, 1.5, 'overall');
SELECT decide.uplift_at(1, true, 1, 'NaN', 'overall');
SELECT decide.uplift_at(1, true, 1, 0.5, 'sideways');
SELECT decide.uplift_at(1, true, 1, k, 'overall') FROM (VALUES (0.5), (0.6)) AS v (k);
SELECT decide.uplift_by_bin(1, true, 1, 0, 'overall');
SELECT decide.uplift_by_bin(1, true, 1, 1001, 'overall');
SELECT decide.uplift_curve(1, true, 1, 1);
SELECT decide.uplift_by_bin(1e308, true, i, 1, 'overall') FROM generate_series(1, 3) AS i;

-- it can be cancelled while it sorts
SET statement_timeout = '1s';
SELECT decide.qini(0, true, 1) OVER (ORDER BY i) FROM generate_series(1, 1000000) AS i;
RESET statement_timeout;
