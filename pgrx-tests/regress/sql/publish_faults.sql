-- publish() names every fault at once, by table and row, and changes nothing.
CREATE ROLE regress_faults_rules;
CREATE ROLE regress_faults_super SUPERUSER;
SELECT decide.grant('regress_faults_rules', 'rules');
CREATE TABLE shop (sku text PRIMARY KEY, on_hand integer);
CREATE TABLE vault (secret text);
GRANT SELECT ON shop TO regress_faults_rules;
CREATE SEQUENCE numbers;
CREATE FUNCTION writes() RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT true';
SET pg_decide.rule_role = regress_faults_rules;

-- an empty policy
SELECT decide.publish('empty');

-- a sound one, which stays in force through all that follows
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{home}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish('sound');

-- faults of all tables, in one answer
BEGIN;
INSERT INTO decide.surface (surface, fallback_action, context_fields) VALUES
  ('feed', NULL, '{}'), ('mail', 'absent', '{device,device," blank"}'), (' padded', 'nothing', '{}'),
  (E'tab\there', 'nothing', '{}'), (repeat('long', 51), 'nothing', '{}'), ('', 'nothing', '{}');
INSERT INTO decide.campaign (campaign) VALUES (E'new\nline');
INSERT INTO decide.action (action, surfaces, attributes) VALUES
  ('lost', '{home,moon}', '{}'), ('huge', '{home}', '{"price": 1e400}');
INSERT INTO decide.feature (feature, entity, event_type, aggregate, value_path, key_path, half_life) VALUES
  ('backwards', 'user', 'click', 'decayed_count', NULL, NULL, '-1 day'),
  ('instant', 'user', 'click', 'decayed_count', NULL, NULL, '0'),
  ('median', 'user', 'click', 'median', NULL, NULL, NULL),
  ('no_path', 'user', 'click', 'decayed_sum', NULL, NULL, NULL),
  ('bad_path', 'user', 'click', 'decayed_sum', 'attributes.', NULL, NULL),
  ('other_path', 'user', 'click', 'decayed_sum', 'price', NULL, NULL),
  ('needless_path', 'user', 'click', 'decayed_count', 'value', NULL, NULL),
  ('of_action', 'action', 'click', 'decayed_count', NULL, NULL, NULL),
  ('keyed', 'user', 'click', 'decayed_count', NULL, 'attributes.brand', NULL),
  ('no_type', 'user', '', 'decayed_count', NULL, NULL, NULL);
INSERT INTO decide.cap (cap, per, max_count) VALUES ('daily', 'user', 3);
INSERT INTO decide.policy (policy, surface, selection, model, model_version, params) VALUES
  ('second', 'home', 'uniform', NULL, NULL, '{}'),
  ('greedy ', 'feed', 'greedy', NULL, NULL, '{}'),
  ('unknown', 'mail', 'roulette', NULL, NULL, '{}'),
  ('no_model', ' padded', 'greedy', 'absent', NULL, '{}'),
  ('no_version', '', 'greedy', 'absent', 7, '{}');
SELECT decide.publish('faulty');
ROLLBACK;

-- what rows name must be there, however they came to name it; the order of edits does not matter
BEGIN;
INSERT INTO decide.cap (cap, surface, campaign, action, per, max_count) VALUES
  ('of a surface', 'gone', NULL, NULL, 'user', 1), ('of a campaign', NULL, 'gone', NULL, 'all', 1), ('of an action', NULL, NULL, 'gone', 'all', 1);
INSERT INTO decide.action (action, campaign, surfaces) VALUES ('of a campaign', 'gone', '{home}'), ('of a surface', NULL, '{gone}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('of a surface', 'gone', 'uniform');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('gone', 'nothing');
INSERT INTO decide.campaign (campaign) VALUES ('gone');
INSERT INTO decide.action (action) VALUES ('gone');
SAVEPOINT complete;
SELECT decide.publish('complete') > 0 AS published;
ROLLBACK TO complete;
DELETE FROM decide.surface WHERE surface = 'gone';
DELETE FROM decide.campaign;
DELETE FROM decide.action WHERE action = 'gone';
SELECT decide.publish('dangling');
ROLLBACK;

-- a name that changes is followed
BEGIN;
INSERT INTO decide.campaign (campaign) VALUES ('spring');
INSERT INTO decide.action (action, campaign) VALUES ('a', 'spring'), ('b', 'spring');
INSERT INTO decide.cap (cap, surface, campaign, action, per, max_count) VALUES ('c', 'home', 'spring', 'a', 'all', 1);
UPDATE decide.campaign SET campaign = 'summer';
UPDATE decide.surface SET surface = 'start';
UPDATE decide.action SET action = 'new ' || action, surfaces = '{}';
SELECT (SELECT array_agg(campaign) FROM decide.action) AS campaigns_of_actions, c.surface, c.campaign, c.action, p.surface AS surface_of_policy
  FROM decide.cap AS c, decide.policy AS p;
ROLLBACK;

-- numbers of policies
CREATE FUNCTION with_params(selection text, params jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  UPDATE decide.policy AS p SET selection = with_params.selection, params = with_params.params;
  PERFORM decide.publish();
  RAISE EXCEPTION USING ERRCODE = 'P0099';
EXCEPTION
  WHEN SQLSTATE 'P0099' THEN RETURN 'fine';
  WHEN invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail;
END
$$;
SELECT selection, params, with_params(selection, params::jsonb) FROM (VALUES
  ('uniform', '{}'), ('uniform', '{"min_probability": 0.1}'), ('uniform', '{"epsilon": 0.1}'),
  ('uniform', '{"min_probability": -0.1}'), ('uniform', '{"min_probability": 1.1}'),
  ('greedy', '{"temperature": 1}'), ('greedy', '{"min_probability": "NaN"}'),
  ('epsilon_greedy', '{}'), ('epsilon_greedy', '{"epsilon": 0}'), ('epsilon_greedy', '{"epsilon": 1}'),
  ('epsilon_greedy', '{"epsilon": 1.5}'), ('epsilon_greedy', '{"epsilon": -1}'),
  ('epsilon_greedy', '{"epsilon": "0.1"}'), ('epsilon_greedy', '{"epsilon": null}'),
  ('softmax', '{}'), ('softmax', '{"temperature": 0.01}'), ('softmax', '{"temperature": 0}'),
  ('softmax', '{"temperature": -1}'), ('softmax', '{"temperature": 1e400}'), ('softmax', '{"typo": 1}')
) AS p (selection, params);

-- rules
CREATE FUNCTION with_rule(rule text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  UPDATE decide.action AS a SET eligible_when = rule;
  PERFORM decide.publish();
  RAISE EXCEPTION USING ERRCODE = 'P0099';
EXCEPTION
  WHEN SQLSTATE 'P0099' THEN RETURN 'fine';
  WHEN invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN regexp_replace(detail, '^decide.action "nothing": eligible_when: ', '');
END
$$;
SELECT rule, with_rule(rule) FROM (VALUES
  ('true'),
  ('context->>''device'' = ''mobile'''),
  ('action.attributes->>''sku'' IS NULL'),
  ('user_key IS NOT NULL -- said at the end'),
  ('/* said */ true'),
  ('EXISTS (SELECT 1 FROM public.shop WHERE sku = action.attributes->>''sku'' AND on_hand > 0)'),
  ('(SELECT true ORDER BY 1 LIMIT 1)'),
  -- not an expression
  (''), ('   '), ('tru'), ('true and'), ('(true'), ('true)'), ('''open'), ('true; SELECT true'),
  ('true) AND (true'), ('true), (true'), ('true) OR (false) OR (true'), ('action.cost = 0) OR (true'),
  ('true AS x'), ('DISTINCT true'), ('ALL true'), ('true;'), ('true ORDER BY 1'), ('true FROM public.shop'),
  ('true FOR UPDATE'), ('true UNION SELECT true'), ('true INTO TEMP t'),
  ('true) FROM public.shop WHERE (true'), ('true) UNION SELECT (true'),
  ('true) ORDER BY (1'), ('true) LIMIT (1'), ('true) AS x, (true'), ('true) INTO TEMP t FROM (SELECT 1) AS x (y'),
  ('true) GROUP BY (1'), ('true) WHERE (true'), ('true)) FROM public.shop --'), ('true /*'), ('true) --'),
  ('true)) AS a CROSS JOIN LATERAL (SELECT (true'), ('*'), ('true, true'), ('SELECT true'),
  ('DELETE FROM public.shop'), ('$1 IS NOT NULL'), ('$99'), ('?'),
  -- not a boolean
  ('1'), ('''true'''), ('NULL'), ('context'), ('''t''::text'), ('NULL::boolean'),
  -- not there
  ('features.clicks > 1'), ('context.device = 1'), ('device = 1'), ('action.brand = ''x'''),
  ('EXISTS (SELECT 1 FROM public.absent)'), ('absent(1)'), ('public.absent(1)'), ('EXISTS (SELECT 1 FROM shop)'),
  -- not allowed
  ('EXISTS (SELECT 1 FROM public.vault)'), ('EXISTS (SELECT 1 FROM decide.secret)'), ('EXISTS (SELECT 1 FROM decide.trace)'),
  ('decide.user_key(''ann'') IS NOT NULL'),
  -- not the same tomorrow
  ('random() < 0.5'), ('public.writes()'), ('clock_timestamp() > ''2020-01-01'''), ('pg_sleep(0) IS NULL'),
  ('nextval(''public.numbers'') > 1'), ('now() > ''2020-01-01'''),
  -- an aggregate, a window, a set, a row lock
  ('count(*) > 0'), ('rank() OVER () = 1'), ('generate_series(1, 2) = 1'),
  ('EXISTS (SELECT 1 FROM public.shop FOR UPDATE)'),
  ('(WITH gone AS (DELETE FROM public.shop RETURNING 1) SELECT true FROM gone)')
) AS r (rule);

-- the role of the rules
RESET pg_decide.rule_role;
SELECT with_rule('true');
SET pg_decide.rule_role = regress_faults_absent;
SELECT with_rule('true');
SET pg_decide.rule_role = regress_faults_super;
SELECT with_rule('true');
SET pg_decide.rule_role = '';
SELECT with_rule('true');
SET pg_decide.rule_role = regress_faults_rules;
REVOKE USAGE ON SCHEMA decide FROM regress_faults_rules;
SELECT with_rule('true'), with_rule('action.cost = 1');
SELECT decide.revoke('regress_faults_rules', 'rules');
SELECT decide.grant('regress_faults_rules', 'rules');
SELECT with_rule('true'), with_rule('action.cost = 1');

-- a hundred faults are listed, and the rest is counted
BEGIN;
INSERT INTO decide.action (action, surfaces) SELECT 'a' || i, '{moon}' FROM generate_series(1, 150) AS i;
DO $$
DECLARE
  detail text;
BEGIN
  PERFORM decide.publish();
EXCEPTION WHEN invalid_parameter_value THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RAISE NOTICE '%, % lines, the last is: %', SQLERRM, cardinality(string_to_array(detail, E'\n')), split_part(detail, E'\n', 101);
END
$$;
ROLLBACK;

-- what the tables themselves refuse
\set VERBOSITY terse
INSERT INTO decide.surface (surface, slots) VALUES ('x', 0);
INSERT INTO decide.surface (surface, slots) VALUES ('x', 101);
INSERT INTO decide.surface (surface, latency_budget) VALUES ('x', '-1 s');
INSERT INTO decide.action (action, cost) VALUES ('x', 'NaN');
INSERT INTO decide.action (action, cost) VALUES ('x', 'infinity');
INSERT INTO decide.action (action, cost) VALUES ('x', -1);
INSERT INTO decide.action (action, attributes) VALUES ('x', '[]');
INSERT INTO decide.action (action, surfaces) VALUES ('x', '{NULL}');
INSERT INTO decide.campaign (campaign, starts_at, ends_at) VALUES ('x', '2026-02-01Z', '2026-01-01Z');
INSERT INTO decide.campaign (campaign, starts_at) VALUES ('x', 'infinity');
INSERT INTO decide.feature (feature, event_type, aggregate, default_value) VALUES ('x', 'click', 'decayed_count', 'NaN');
INSERT INTO decide.feature (feature, entity, event_type, aggregate) VALUES ('x', 'planet', 'click', 'decayed_count');
INSERT INTO decide.cap (cap, per, max_count) VALUES ('x', 'planet', 1);
INSERT INTO decide.cap (cap, per, max_count) VALUES ('x', 'user', -1);
INSERT INTO decide.policy (policy, surface, selection, params) VALUES ('x', 'home', 'uniform', '[]');

\set VERBOSITY default

-- what is in force has not moved
SELECT publication, bundle, note, in_force FROM decide.bundle_history;
SELECT action, reason FROM decide('ann', 'home');

DROP OWNED BY regress_faults_rules;
DROP ROLE regress_faults_rules, regress_faults_super;
