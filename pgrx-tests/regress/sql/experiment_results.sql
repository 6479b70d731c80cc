-- What experiments have shown: from assignment to result, with sticky variants, testers, merged users and corrections.
INSERT INTO decide.surface (surface, fallback_action, context_fields) VALUES ('home', 'nothing', '{device}');
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('visits', 'visit', 'decayed_sum');
UPDATE decide.feature SET value_path = 'value';
INSERT INTO decide.action (action) VALUES ('a'), ('b'), ('nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('even', 'home', 'uniform');
INSERT INTO decide.experiment (experiment, surface, seed, sticky) VALUES ('ab', 'home', 'ab', true);
INSERT INTO decide.variant (experiment, variant, position, weight, without_actions) VALUES ('ab', 'control', 0, 1, '{}'), ('ab', 'no a', 1, 1, '{a}'), ('ab', 'no b', 2, 2, '{b}');
INSERT INTO decide.experiment_override VALUES ('ab', 'device', 'lab', 'no a');
SELECT decide.start_experiment('ab');
SELECT count(*) FROM generate_series(1, 400) AS u, track(jsonb_build_object('event_id', 'v' || u, 'type', 'visit', 'user_id', u, 'at', now() - interval '1 hour', 'value', u % 10));
CREATE TABLE made AS SELECT u, n, v.variant, d.* FROM generate_series(1, 400) AS u, generate_series(1, 3) AS n, LATERAL decide(u, 'home') AS d, LATERAL decide.variants(u, 'home') AS v WHERE n <= 1 + u % 3;
SELECT count(*) FROM decide('tester', 'home', '{"device": "lab"}');
-- those under "no b" buy more, and all the more the more they have visited
SELECT count(*) FROM made, track(jsonb_build_object('event_id', 'o' || u || ' ' || n, 'type', 'order', 'user_id', u, 'at', now(), 'decision_id', decision_id, 'action', action,
  'value', u % 10 + (u * 7919 + n * 104729) % 5 + CASE variant WHEN 'no b' THEN 2 ELSE 0 END));
SELECT count(*) FROM made, track(jsonb_build_object('event_id', 'c' || u || ' ' || n, 'type', 'click', 'user_id', u, 'at', now(), 'decision_id', decision_id)) WHERE (u * 31 + n) % 4 = 0;

-- the sums are those of the decisions
SELECT m.variant, m.units, m.decisions, m.changed, m.unknown, m.multiple, m.overridden,
       m.units = (SELECT count(DISTINCT u) FROM made AS d WHERE d.variant = m.variant) AS all_units,
       m.decisions = (SELECT count(*) FROM made AS d WHERE d.variant = m.variant) AS all_decisions,
       m.moments[1] = m.units AS n, abs(m.moments[2] * m.units - (SELECT sum(o.value) FROM decide.outcome AS o JOIN made AS d USING (decision_id) WHERE d.variant = m.variant AND o.type = 'order')) < 1e-6 AS outcome,
       abs(m.moments[7] - (SELECT avg(u % 10) FROM (SELECT DISTINCT u FROM made AS d WHERE d.variant = m.variant) AS x)) < 1e-6 AS covariate
  FROM decide.experiment_moments('ab', 'order', covariate => 'visits') AS m;
CREATE FUNCTION shown(r anyelement) RETURNS text LANGUAGE sql AS $$ SELECT round(r::numeric, 4)::text $$;
SELECT outcome, variant, baseline, stage, units, baseline_units, shown(difference) AS difference, shown(std_error) AS std_error, shown(low) AS low, shown(high) AS high,
       shown(lift) AS lift, shown(always_p) AS always_p, shown(p_adjusted) AS p_adjusted, significant, shown(srm_p) AS srm_p, warning
  FROM decide.experiment_result('ab', ARRAY['order', 'click']);
-- the mean of a decision, and the covariate, which makes it surer
SELECT variant, baseline, shown(mean) AS mean, shown(difference) AS difference, shown(std_error) AS std_error FROM decide.experiment_result('ab', 'order', per => 'decision');
SELECT variant, baseline, shown(mean) AS mean, shown(difference) AS difference, shown(std_error) AS std_error, significant FROM decide.experiment_result('ab', 'order', covariate => 'visits');
SELECT variant, baseline, shown(mean) AS mean, shown(difference) AS difference FROM decide.experiment_result('ab', 'order', per => 'click');
SELECT variant, baseline, units_needed > 0 AS needed, days_needed >= 0 AS days, shown(detectable) AS detectable FROM decide.experiment_result('ab', 'order', effect => 0.1);

-- what variants take out is no candidate for another policy either: the policy in force is judged as what it was
SELECT estimator, n, mean_weight, max_weight FROM decide.evaluate_policy('home', 1, outcome => 'order') WHERE estimator IN ('logged', 'ips', 'snips');

-- by hand, without the functions: one row for each user
WITH unit AS (
  SELECT d.variant, d.u, COALESCE(sum(o.value), 0) AS y FROM made AS d LEFT JOIN decide.outcome AS o ON o.decision_id = d.decision_id AND o.type = 'order' GROUP BY 1, 2
), side AS (SELECT variant, count(*) AS n, avg(y) AS m, var_samp(y) AS v FROM unit GROUP BY 1)
SELECT abs(r.difference - (b.m - a.m)) < 1e-9 AND abs(r.std_error - sqrt(a.v / a.n + b.v / b.n)) < 1e-9 AS same
  FROM decide.experiment_result('ab', 'order') AS r JOIN side AS b ON b.variant = r.variant JOIN side AS a ON a.variant = r.baseline;

-- weights change: who was exposed keeps the variant, the others get what the hash says now
UPDATE decide.variant SET weight = CASE position WHEN 0 THEN 0 WHEN 1 THEN 1 ELSE 0 END;
SELECT decide.publish();
SELECT bool_and(v.variant = m.variant) AS kept, count(*) FILTER (WHERE v.kept) > 250 AS by_the_row FROM (SELECT DISTINCT u, variant FROM made) AS m, decide.variants(m.u, 'home') AS v;
SELECT DISTINCT variant, kept FROM generate_series(1001, 1040) AS u, decide.variants(u, 'home');
CREATE TABLE again AS SELECT m.u, d.* FROM (SELECT DISTINCT ON (variant) u, variant FROM made WHERE variant <> 'no a' ORDER BY variant, u) AS m, LATERAL decide(u, 'home') AS d;
SELECT u, t.variants, r.agrees FROM again AS d JOIN decide.trace AS t USING (decision_id), decide.replay(d.decision_id) AS r ORDER BY 1;
-- a person may ask for it; of two who are one the first stays; and it goes with them
SELECT decide.export_person((SELECT min(u) FROM made WHERE variant = 'no b')) #- '{variants,0,since}' -> 'variants' AS variants;
SELECT count(*) FROM decide('late', 'home');
SELECT count(*) FROM decide.merge_users('late', (SELECT min(u) FROM made WHERE variant = 'no b')::text);
SELECT variant, kept FROM decide.variants((SELECT min(u) FROM made WHERE variant = 'no b'), 'home'), LATERAL (SELECT 1) AS one;
SELECT variant, kept FROM decide.variants('late', 'home');
SELECT variant, multiple FROM decide.experiment_moments('ab', 'order');
SELECT count(*) FROM decide.erase((SELECT max(u) FROM made WHERE variant = 'no b'));
SELECT variant, kept FROM decide.variants((SELECT max(u) FROM made WHERE variant = 'no b'), 'home');
-- units that did not fall by the weights of now: nothing is significant then
SELECT variant, significant, srm_p < 1e-6 AS mismatch, warning FROM decide.experiment_result('ab', 'order');
UPDATE decide.variant SET weight = 1 + (position = 2)::int;
SELECT decide.stop_experiment('ab');
SELECT stage, variant, baseline, significant, srm_p > 0.001 AS as_it_should FROM decide.experiment_result('ab', 'order', correction => 'benjamini-hochberg');

-- nobody, and what cannot be asked
INSERT INTO decide.experiment (experiment, surface) VALUES ('new', 'home');
INSERT INTO decide.variant (experiment, variant, position) VALUES ('new', 'x', 0), ('new', 'y', 1);
SELECT outcome, variant, units, mean, difference, p_value, significant, srm_p, warning FROM decide.experiment_result('new', 'order');
SELECT * FROM decide.experiment_result('lost', 'order');
SELECT * FROM decide.experiment_result('ab', 'order', covariate => 'lost');
SELECT * FROM decide.experiment_result('ab', 'order', covariate => 'visits', per => 'decision');
SELECT * FROM decide.experiment_result('ab', 'order', correction => 'lost');
SELECT * FROM decide.experiment_result('ab', 'order', alpha => 1);
SELECT * FROM decide.compare_variants('{1,2}', '{3,4}');
SELECT * FROM decide.compare_variants(array_fill(1::float8, ARRAY[9]), array_fill(2::float8, ARRAY[9]), 'median');
SELECT decide.sample_ratio_p('{1,2}', '{1}'), decide.adjust_p_values('{0.2}');
SELECT decide.sample_ratio_p('{50,50}', '{1,1}') AS even, decide.adjust_p_values('{0.01,NULL,0.04,0.03}') AS holm, decide.adjust_p_values('{0.01,NULL,0.04,0.03}', 'benjamini-hochberg') AS bh, decide.adjust_p_values('{2}');
