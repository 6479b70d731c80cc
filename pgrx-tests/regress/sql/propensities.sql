-- Probabilities of a log that has none: estimated from what the choice depended on, out of fold, and only as good as their balance says.
CREATE TABLE log AS
  SELECT i AS id, i % 10 AS visits, CASE i % 3 WHEN 0 THEN 'phone' WHEN 1 THEN 'desk' END AS device, i % 7 = 0 AS member, 1 AS always, now() AS at,
         CASE WHEN (hashint4(i) & 1023) / 1024.0 < 0.15 + 0.07 * (i % 10) THEN 'b' WHEN (hashint4(i + 7000) & 1023) / 1024.0 < CASE i % 3 WHEN 0 THEN 0.7 ELSE 0.3 END THEN 'c' ELSE 'a' END AS action
    FROM generate_series(1, 3000) AS i;
CREATE TABLE estimated AS SELECT * FROM decide.estimate_propensities('log', '{visits,device,member,always}');
SELECT count(*), count(DISTINCT id), min(fold), max(fold), bool_and(propensity > 0 AND propensity < 1) AS open, bool_and(least_probability <= propensity) AS least FROM estimated;
-- near the shares that they were drawn with
SELECT visits, round(avg(propensity)::numeric, 1) AS estimated, 0.15 + 0.07 * visits AS drawn FROM estimated AS e JOIN log AS l ON l.id = e.id::int WHERE e.action = 'b' AND visits % 3 = 0 GROUP BY visits ORDER BY visits;
-- 1 / propensity brings every action back to all rows
SELECT action, covariate, round(abs(before)::numeric, 1) AS before, abs(after) < 0.1 AS balanced, n, ess < n AS less, round(outside_support::numeric, 1) AS outside FROM decide.propensity_balance('log', '{visits,device,member,always}') ORDER BY 1, 2;
-- without the covariate that matters the difference stays
SELECT action, covariate, abs(before) > 0.3 AS before, abs(after) > 0.1 AS after FROM decide.propensity_balance('log', '{member}') AS b
 UNION ALL SELECT DISTINCT e.action, 'visits', true, abs((SELECT sum(visits / propensity) / sum(1 / propensity) FROM decide.estimate_propensities('log', '{member}') AS x JOIN log ON log.id = x.id::int WHERE x.action = e.action) - 4.5) > 0.3 FROM decide.estimate_propensities('log', '{member}') AS e WHERE e.action = 'b' ORDER BY 1, 2;
-- the seed draws the folds, and nothing else is drawn
SELECT count(*) FILTER (WHERE a.propensity <> b.propensity) AS same, count(*) FILTER (WHERE a.fold <> c.fold) > 0 AS other
  FROM estimated AS a JOIN decide.estimate_propensities('log', '{visits,device,member,always}') AS b USING (id) JOIN decide.estimate_propensities('log', '{visits,device,member,always}', seed => 2) AS c USING (id);

-- where a covariate alone decides, the log has no support for the others, and the weights balance nothing
CREATE TABLE fixed AS SELECT id, device, CASE WHEN device = 'phone' THEN 'x' ELSE action END AS action FROM log;
SELECT action, bool_or(abs(after) > 0.1) AS unbalanced, max(outside_support) AS outside FROM decide.propensity_balance('fixed', '{device}') GROUP BY action ORDER BY action;

-- imported with such an origin, they are marked in what follows from them
INSERT INTO decide.surface (surface, fallback_action, context_fields) VALUES ('home', 'nothing', '{device}'), ('elsewhere', 'nothing', '{}');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{elsewhere}'), ('a', '{home}'), ('b', '{home}'), ('c', '{home}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
CREATE VIEW history AS SELECT l.id AS user_id, 'home' AS surface, timestamptz '2026-01-01 00:00Z' + l.id * interval '1 second' AS decided_at, l.action, e.propensity,
    jsonb_build_object('device', l.device) AS context, (l.id % 4)::float8 AS reward, 'order' AS reward_type FROM log AS l JOIN estimated AS e ON e.id::int = l.id;
SELECT decide.import_decisions('history', 'estimated: visits, device, member');
SELECT estimator, n, abs(value - 1.5) < 0.1 AS near, warning FROM decide.evaluate_policy('home', 'home', outcome => 'order');
SELECT estimator, warning FROM decide.compare_policies('home', 'home', outcome => 'order');
SELECT action, candidate, shown FROM decide.exploration_value('home', outcome => 'order');

\set SHOW_CONTEXT never
SELECT count(*) FROM decide.estimate_propensities('log', '{visits,nothing}');
SELECT count(*) FROM decide.estimate_propensities('log', '{visits}', id => 'x');
SELECT count(*) FROM decide.estimate_propensities('log', '{visits}', folds => 1);
SELECT count(*) FROM decide.estimate_propensities('log', '{visits}', l2 => -1);
SELECT count(*) FROM decide.estimate_propensities('log', '{visits}', action => 'always');
SELECT count(*) FROM decide.estimate_propensities('log', '{visits}', action => 'device');
SELECT count(*) FROM decide.estimate_propensities('log', NULL);
INSERT INTO log (id, action) VALUES (0, 'once');
SELECT count(*) FROM decide.estimate_propensities('log', '{visits}');
DELETE FROM log WHERE id = 0;
-- no covariate: the shares themselves
SELECT action, round(min(propensity)::numeric, 1) AS least, round(max(propensity)::numeric, 1) AS most FROM decide.estimate_propensities('log', '{}') GROUP BY action ORDER BY action;
-- with the caller's rights
CREATE ROLE regress_propensity;
SELECT decide.grant('regress_propensity', 'analyse');
SET ROLE regress_propensity;
SELECT count(*) FROM decide.estimate_propensities('log', '{visits}');
RESET ROLE;
GRANT SELECT ON log TO regress_propensity;
SET ROLE regress_propensity;
SELECT count(*) FROM decide.estimate_propensities('log', '{visits}');
RESET ROLE;
DROP OWNED BY regress_propensity;
DROP ROLE regress_propensity;
