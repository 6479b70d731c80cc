-- A model that knows how sure it is: its covariance by Postgres's own arithmetic.
INSERT INTO decide.surface (surface, slots, fallback_action, context_fields) VALUES ('home', 1, 'nothing', '{device}');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{elsewhere}'), ('a', '{home}'), ('b', '{home}');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('elsewhere', 'nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
CREATE TABLE log AS
  SELECT i AS user_id, 'home' AS surface, '2026-01-01Z'::timestamptz + i * interval '1 hour' AS decided_at, (ARRAY['a', 'b'])[1 + i % 2] AS action,
         0.5 AS propensity, (i * 37 % 11)::float8 + i % 2 AS reward, 'sale' AS reward_type
    FROM generate_series(1, 300) AS i;
SELECT decide.import_decisions('log', 'test');

CREATE FUNCTION trained(terms text[], family text, l2 float8, posterior boolean, half_life interval DEFAULT NULL)
RETURNS TABLE (weights real[], covariance float8[], hyperparameters jsonb) LANGUAGE plpgsql AS $$
DECLARE
  made integer := decide.train('m', 'home', $1, outcome => 'sale', family => $2, l2 => $3, holdout => 0, posterior => $4, half_life => $5);
BEGIN
  RETURN QUERY SELECT m.weights, m.covariance, m.hyperparameters FROM decide.model_version AS m WHERE m.model = 'm' AND m.version = made;
END
$$;

-- the mean of all: its variance is that of the rows, divided by their number
SELECT abs(t.covariance[1] / (l.variance / l.n) - 1) < 1e-12 AS agrees, cardinality(t.covariance)
  FROM trained('{1}', 'linear', 0, true) AS t, (SELECT var_samp(reward) AS variance, count(*) AS n FROM log) AS l;
-- with a half-life each row counts by its age
SELECT abs(t.covariance[1] / (l.squares / (l.n - 1) / l.n) - 1) < 1e-9 AS agrees, abs(t.weights[1] - l.mean) < 1e-6 AS mean_agrees, t.hyperparameters
  FROM trained('{1}', 'linear', 0, true, '2 days') AS t,
       (SELECT sum(w) AS n, sum(w * reward) / sum(w) AS mean, sum(w * reward ^ 2) - sum(w * reward) ^ 2 / sum(w) AS squares
          FROM (SELECT reward, 2 ^ (EXTRACT(epoch FROM decided_at - max(decided_at) OVER ()) / 172800)::float8 AS w FROM log) AS w) AS l;
-- a share: log odds with the variance 1 / (n p (1 - p))
SELECT abs(t.covariance[1] * l.n * l.p * (1 - l.p) - 1) < 1e-6 AS agrees
  FROM trained('{1}', 'logistic', 0, true) AS t, (SELECT count(*) AS n, avg((reward > 0)::int)::float8 AS p FROM log) AS l;
SELECT covariance IS NULL AS not_kept, hyperparameters ->> 'posterior' AS posterior FROM trained('{action}', 'linear', 1, false);
-- the intercept and two actions: six numbers
SELECT cardinality(covariance) FROM trained('{action}', 'linear', 1, true);
-- the same again has the same bits
SELECT count(DISTINCT covariance) FROM (SELECT covariance FROM trained('{action}', 'logistic', 1, true)
                                        UNION ALL SELECT covariance FROM trained('{action}', 'logistic', 1, true)) AS t;

-- it serves, and every decision can be recomputed
SELECT decide.approve('m', max(version)) FROM decide.model_version WHERE model = 'm';
UPDATE decide.policy SET model = 'm', selection = 'thompson';
SELECT decide.publish();
SELECT count(*) FROM generate_series(1, 20) AS i, decide(i, 'home') AS d WHERE d.reason IS NULL;
SELECT bool_and(r.agrees), count(*) FROM decide.trace AS t, decide.replay(t.decision_id) AS r WHERE t.origin IS NULL;
SELECT DISTINCT candidates, spreads[1] > 0 AND spreads[1] < 0.1 AS small FROM decide.decision WHERE origin IS NULL;

-- what cannot be
\set VERBOSITY terse
SELECT trained('{action}', 'linear', 0, true);
SELECT trained('{action}', 'logistic', 0, true);
SELECT trained('{action}', 'linear', 1, NULL);
SELECT trained('{action}', 'linear', 1, true, '0');
SELECT trained('{action}', 'linear', 1, true, '-1 day');
