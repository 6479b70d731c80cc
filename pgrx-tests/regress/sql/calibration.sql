-- What models predict beside what came of it, and versions that are brought into line with that.
CREATE ROLE regress_calibration_analyst;
SELECT decide.grant('regress_calibration_analyst', 'analyse');
CREATE ROLE regress_calibration_operator;
SELECT decide.grant('regress_calibration_operator', 'operate');
INSERT INTO decide.surface (surface, slots, fallback_action, baseline_action, context_fields) VALUES ('home', 2, 'nothing', 'a0', '{x}'), ('elsewhere', 1, 'nothing', NULL, '{}');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{elsewhere}');
INSERT INTO decide.action (action, surfaces) SELECT 'a' || i, '{home}' FROM generate_series(0, 3) AS i;
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, covariance, rows, approved_at) VALUES
  ('chance', 1, 'logistic', '{action,context.x}', '{"family": "logistic", "terms": [{"factors": []}, {"factors": [{"source": "action", "encoding": {"levels": ["a0", "a1", "a2", "a3"]}}]}, {"factors": [{"source": "context.x", "encoding": "number"}]}]}',
   '{-1,0,0.5,1,1.5,0.25}', '{1,0,1,0,0,1,0,0,0,1,0,0,0,0,1,0,0,0,0,0,1}', 100, now()),
  ('amount', 3, 'linear', '{context.x}', '{"family": "linear", "terms": [{"factors": [{"source": "context.x", "encoding": "number"}]}, {"factors": []}]}', '{0.5,1}', NULL, 100, now()),
  ('bare', 1, 'logistic', '{context.x}', '{"family": "logistic", "terms": [{"factors": [{"source": "context.x", "encoding": "number"}]}]}', '{0.5}', NULL, 100, now());
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
CREATE TABLE made (u int, x float8, slot int, action text, probability float8, decision_id uuid, reason text);
DO $$
BEGIN
  FOR u IN 1 .. 1500 LOOP
    PERFORM set_config('pg_decide.seed', (u * 7919)::text, false);
    INSERT INTO made SELECT u, (u % 9 - 4) / 2.0, d.* FROM decide(u, 'home', jsonb_build_object('x', (u % 9 - 4) / 2.0)) AS d;
  END LOOP;
END
$$;
RESET pg_decide.seed;
-- the truth is flatter than the model, and higher: log odds 0.6 times those of the model, and 0.3
SELECT count(track(jsonb_build_object('event_id', u || '/' || slot, 'type', 'click', 'user_id', u, 'at', now(), 'decision_id', decision_id, 'action', action))) AS clicks
  FROM made WHERE decide.bucket('truth', u || '/' || slot) < 1 / (1 + exp(-0.3 - 0.6 * (-1 + 0.5 * substr(action, 2)::int + 0.25 * x)));
SELECT count(track(jsonb_build_object('event_id', 'o' || u || '/' || slot, 'type', 'order', 'user_id', u, 'at', now(), 'decision_id', decision_id, 'action', action, 'value', 2 + x))) FROM made WHERE u % 2 = 0;

-- as the trace has them: by hand
SET ROLE regress_calibration_analyst;
SELECT count(*), max(abs(p.predicted - 1 / (1 + exp(1 - 0.5 * substr(p.action, 2)::int - 0.25 * (d.context ->> 'x')::float8)))) < 1e-6 AS predicted,
       max(abs(p.baseline - 1 / (1 + exp(1 - 0.25 * (d.context ->> 'x')::float8)))) < 1e-6 AS baseline, bool_and(p.propensity = d.probability) AS propensity,
       bool_and(p.label = p.reward) AS label, bool_and(p.decided_at = d.decided_at) AS decided_at
  FROM decide.predictions('home', 'chance') AS p JOIN decide.decision_detail AS d USING (decision_id, slot, action);
SELECT min(predicted), max(predicted), sum(reward), bool_and(label = reward) AS label FROM decide.predictions('home', 'amount', outcome => 'order');
SELECT count(*), count(DISTINCT cohort) FROM decide.predictions('home', 'chance:1', cohort => 'x');
-- bins of 300, and the interval of Wilson
CREATE TEMP TABLE binned AS SELECT * FROM decide.reliability('home', 'chance');
SELECT bin, n, round(predicted::numeric, 4) AS predicted, round(observed::numeric, 4) AS observed, round(low::numeric, 4) AS low, round(high::numeric, 4) AS high, round(ece::numeric, 4) AS ece FROM binned;
SELECT bool_and(predicted_min <= predicted AND predicted <= predicted_max) AS within, abs(max(ece) - sum(n * abs(observed - predicted)) / sum(n)) < 1e-12 AS ece FROM binned;
SELECT cohort, count(*), sum(n) FROM decide.reliability('home', 'chance', bins => 2, cohort => 'x') GROUP BY cohort ORDER BY cohort::float8 LIMIT 3;
SELECT bin, n, round(observed::numeric, 3) AS observed, low < observed AND observed < high AS normal FROM decide.reliability('home', 'amount:3', outcome => 'order', bins => 2);
SELECT decide.reliability('home', 'chance', bins => 0);
\echo :SQLSTATE
SELECT decide.predictions('home', 'unknown');
SELECT decide.calibrate('chance', 'home');
RESET ROLE;

-- the line that was put in is found, and what is left is calibrated
SET ROLE regress_calibration_operator;
SELECT decide.calibrate('chance:1', 'home');
SELECT version, approved_at IS NULL AS waits, created_as, (SELECT array_agg(round(w::numeric, 4) ORDER BY i) FROM unnest(weights) WITH ORDINALITY AS u (w, i)) AS weights, round((hyperparameters #>> '{calibrated,slope}')::numeric, 2) AS slope, round((hyperparameters #>> '{calibrated,intercept}')::numeric, 2) AS intercept,
       hyperparameters #> '{calibrated,of_version}' AS of_version, hyperparameters #> '{calibrated,rows}' AS rows, round((metrics #>> '{calibration,before,calibration_slope}')::numeric, 2) AS before,
       round((metrics #>> '{calibration,after,calibration_slope}')::numeric, 3) AS after, abs((metrics #>> '{calibration,after,calibration_intercept}')::float8) < 1e-3 AS no_shift, round(covariance[1]::numeric, 4) AS variance
  FROM decide.model_version WHERE model = 'chance' AND version = 2;
RESET ROLE;
SELECT count(*) FILTER (WHERE observed BETWEEN 0.9 * predicted AND 1.1 * predicted) >= 8 AS near, max(ece) < 0.03 AS ece FROM decide.reliability('home', 'chance:2');
SELECT decide.calibrate('amount', 'home', outcome => 'order');
SELECT (SELECT array_agg(round(w::numeric, 4) ORDER BY i) FROM unnest(weights) WITH ORDINALITY AS u (w, i)) AS weights, covariance FROM decide.model_version WHERE model = 'amount' ORDER BY version;
-- once more changes nothing: the line is that of the identity
SELECT decide.calibrate('chance:2', 'home');
SELECT max(abs(a - b)) < 1e-4 AS same FROM decide.model_version AS m, decide.model_version AS n, unnest(m.weights, n.weights) AS w (a, b) WHERE m.model = 'chance' AND m.version = 2 AND n.model = 'chance' AND n.version = 3;
-- what cannot be
SELECT decide.calibrate('chance:1', 'home', most_slope => 1.1);
SELECT decide.calibrate('chance:1', 'home', most_slope => 'NaN');
SELECT decide.calibrate('bare', 'home', most_slope => 4);
SELECT decide.calibrate('chance', 'home', outcome => 'none');
SELECT decide.calibrate('chance', 'home', decided_to => '2001-01-01');
SELECT decide.calibrate('chance:9', 'home');
SELECT decide.calibrate(NULL, 'home');
DROP OWNED BY regress_calibration_analyst, regress_calibration_operator;
DROP ROLE regress_calibration_analyst;
DROP ROLE regress_calibration_operator;
