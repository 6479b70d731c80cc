-- Pacing on simulated traffic: near its line all through, all of it at the end, no spike; and who may simulate.
CREATE FUNCTION delivery(pacing text, shape text, demand float8, stripes int, priced boolean, points float8[] DEFAULT NULL, seed int DEFAULT 1)
RETURNS TABLE ("all" bigint, near boolean, spike boolean, steady boolean) LANGUAGE sql AS $$
  WITH day AS (SELECT *, row_number() OVER (ORDER BY at) AS n FROM decide.simulate_pacing($1, 10000, shape => $2, demand => $3,
                 stripes => $4, priced => $5, points => $6, seed => $7))
  SELECT round(max(delivered) / 50.0)::bigint * 50, max(abs(delivered - target)) < 500,
         max(delivered) - max(delivered) FILTER (WHERE n <= 1411) > 400, max(price) < 8
    FROM day
$$;
SELECT pacing, priced, stripes, d.* FROM (VALUES ('even', false), ('even', true), ('frontloaded', false)) AS p (pacing, priced), unnest(ARRAY[1, 4, 32]) AS stripes,
  LATERAL delivery(pacing, 'bursty', 4, stripes, priced) AS d ORDER BY 1, 2, 3;
SELECT d.* FROM delivery('forecast', 'bursty', 4, 4, false, ARRAY[0, 0, 0.5, 20, 1, 50]) AS d;
-- a price serves those who are worth most, and delivers as much
SELECT priced, max(delivered) > 9950 AS delivered, round(max(value) / 1000) AS worth FROM unnest(ARRAY[false, true]) AS priced,
  LATERAL decide.simulate_pacing('even', 10000, demand => 4, priced => priced) GROUP BY priced ORDER BY priced;
-- a budget that is cut goes on more slowly, to the end
SELECT max(delivered) AS all, max(delivered) FILTER (WHERE at <= '2026-01-05 18:00+00') BETWEEN 3800 AND 4400 AS slower
  FROM decide.simulate_pacing('even', 10000, cut_at => 0.3, cut_to => 5000);
-- equal seeds, equal days
SELECT count(*) FROM (SELECT * FROM decide.simulate_pacing(seed => 3) EXCEPT SELECT * FROM decide.simulate_pacing(seed => 3)) AS d;
SELECT count(*) FROM decide.simulate_pacing(budget => 0);
-- what cannot be simulated
SELECT * FROM decide.simulate_pacing('fast');
SELECT * FROM decide.simulate_pacing('forecast');
SELECT * FROM decide.simulate_pacing('forecast', points => ARRAY[0, 1, NULL, 2]);
SELECT * FROM decide.simulate_pacing(shape => 'square');
SELECT * FROM decide.simulate_pacing(budget => -1);
SELECT * FROM decide.simulate_pacing(ends => '2020-01-01');
SELECT * FROM decide.simulate_pacing(ends => 'infinity');
SELECT * FROM decide.simulate_pacing(demand => 'NaN');
SELECT * FROM decide.simulate_pacing(demand => 1e9);
SELECT * FROM decide.simulate_pacing(stripes => 0);
SELECT * FROM decide.simulate_pacing(NULL);
CREATE ROLE pacer;
SET ROLE pacer;
SELECT count(*) FROM decide.simulate_pacing();
RESET ROLE;
SELECT decide.grant('pacer', 'analyse');
SET ROLE pacer;
SELECT count(*) FROM decide.simulate_pacing();
SELECT count(*) FROM decide.budget;
SELECT count(*) FROM decide.cap_hit;
RESET ROLE;
SELECT decide.revoke('pacer', 'analyse');
DROP ROLE pacer;
