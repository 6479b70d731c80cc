-- Verbs of operators give nobody the rights of whoever happens to set them off, and their record names who acted and for whom.
CREATE ROLE regress_host_operator;
CREATE ROLE regress_host_shop;
CREATE ROLE regress_host_app;
CREATE ROLE regress_host_rules;
CREATE ROLE regress_host_role;
SELECT decide.grant('regress_host_operator', 'operate'), decide.grant('regress_host_shop', 'operate'), decide.grant('regress_host_rules', 'rules');
GRANT regress_host_role TO regress_host_shop;
SELECT decide.grant('regress_host_role', 'operate');
CREATE SCHEMA ops AUTHORIZATION regress_host_operator;
GRANT USAGE ON SCHEMA ops TO PUBLIC;
CREATE TABLE ran (as_role text);
GRANT INSERT, SELECT ON ran TO PUBLIC;
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing'), ('a1');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish('first');
CREATE FUNCTION told(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RETURN 'done';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- a source whose function does what its caller's rights allow
SET ROLE regress_host_operator;
CREATE FUNCTION ops.payload() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.ran VALUES (current_user);
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN EXECUTE 'ALTER ROLE regress_host_operator SUPERUSER'; END IF;
  RETURN 'u1';
END $$;
CREATE VIEW ops.src AS SELECT ops.payload() AS user_id, 'home'::text AS surface, '2026-01-01Z'::timestamptz AS decided_at, 'a1'::text AS action, 1.0::float8 AS propensity;
CREATE FUNCTION ops.trap(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM decide.import_decisions('ops.src'); RETURN 1; END $$;
CREATE TABLE ops.t (i int);
CREATE INDEX ON ops.t (ops.trap(i));
INSERT INTO ops.t VALUES (1);
RESET ROLE;
-- the superuser, or autovacuum, maintains the table
\set VERBOSITY terse
ANALYZE ops.t;
REINDEX TABLE ops.t;
\set VERBOSITY default
SELECT DISTINCT as_role FROM ran;
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_host_operator';
-- the superuser calls the operator's function, which runs as the operator
SET ROLE regress_host_operator;
CREATE FUNCTION ops.nightly() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT decide.import_decisions('ops.src') $$;
RESET ROLE;
SELECT ops.nightly();
SELECT DISTINCT as_role FROM ran;
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_host_operator';
DELETE FROM ran;
-- a rule does it, which runs in everybody's decisions: also where the rule role may import
SELECT decide.grant('regress_host_rules', 'operate');
SET pg_decide.rule_role = regress_host_rules;
SET ROLE regress_host_operator;
CREATE FUNCTION ops.rule() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM ops.trap(1); RETURN true; END $$;
CREATE FUNCTION ops.publishes() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM decide.publish('by a rule'); RETURN true; END $$;
INSERT INTO decide.action (action, eligible_when) VALUES ('imports', 'ops.rule()'), ('publishes', 'ops.publishes()');
SELECT decide.publish('with rules');
RESET ROLE;
SELECT action, reason FROM decide.explain('ann', 'home') WHERE step = 'rule' ORDER BY 1;
SELECT count(*) FROM decide('ann', 'home');
SELECT DISTINCT as_role FROM ran;
SELECT note FROM decide.publication ORDER BY publication;
DELETE FROM decide.action WHERE eligible_when IS NOT NULL;

-- no verb that changes something is set off by maintenance
SELECT verb, told(format('SET LOCAL ROLE regress_host_operator; CREATE MATERIALIZED VIEW ops.set_off AS SELECT %s', verb)) FROM unnest(ARRAY[
  'decide.publish()', 'decide.rollback(1)::text', 'decide.set_mode(NULL, ''paused'', ''x'')::text', 'decide.kill(''action'', ''a1'', ''x'')::text', 'decide.revive(''action'', ''a1'', ''x'')::text',
  'decide.import_decisions(''ops.src'')', 'decide.train(''m'', ''home'', ''{1}'', holdout => 0)', 'decide.approve(''m'', 1)::text', 'decide.run_job(''partitions'')', 'decide.backfill(''x'')',
  'decide.release_quarantine(''01920000-0000-7000-8000-000000000000'')', '(SELECT r.accepted FROM decide.release_all(''x'') AS r)']) AS verb;
RESET ROLE;

-- a function of the shop imports for who may do nothing else, and reads as the shop, row security included
CREATE TABLE log (tenant text, user_id text, surface text, decided_at timestamptz, action text, propensity float8);
INSERT INTO log SELECT t, 'u1', 'home', '2026-01-02Z', 'a1', 0.5 FROM unnest('{regress_host_shop,regress_host_app,regress_host_operator}'::text[]) AS t;
ALTER TABLE log ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON log USING (tenant = current_user);
GRANT SELECT ON log TO regress_host_shop;
CREATE SCHEMA shop AUTHORIZATION regress_host_shop;
GRANT USAGE ON SCHEMA shop TO PUBLIC;
SET ROLE regress_host_shop;
SELECT decide.import_decisions('public.log', 'plainly');
CREATE FUNCTION shop.nightly() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT decide.import_decisions('public.log', 'by a function') $$;
CREATE FUNCTION shop.stop(why text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  PERFORM decide.publish(why);
  PERFORM decide.rollback(1, why);
  PERFORM decide.set_mode('home', 'paused', why);
  PERFORM decide.kill('action', 'a1', why);
  PERFORM decide.revive('action', 'a1', why);
  PERFORM decide.approve('m', decide.train('m', 'home', '{1}', 'reward', 'linear', '2026-01-01', '2026-02-01', holdout => 0));
END $$;
RESET ROLE;
SET SESSION AUTHORIZATION regress_host_app;
SELECT shop.nightly();
SELECT decide.import_decisions('public.log');
SELECT shop.stop('for the app');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_host_shop;
SELECT shop.stop('by itself');
SET ROLE regress_host_role;
SELECT decide.set_mode('home', 'normal', 'after SET ROLE');
RESET ROLE;
RESET SESSION AUTHORIZATION;
SELECT origin, count(*) FROM decide.trace WHERE origin IS NOT NULL GROUP BY 1 ORDER BY 1;
-- who was there, and with whose rights
SELECT what, who, acting_as, why FROM (
  SELECT 1 AS o, number AS n, 'mode ' || mode AS what, by AS who, acting_as, why FROM decide.mode_change
  UNION ALL SELECT 2, number, change, by, acting_as, why FROM decide.switch_change
  UNION ALL SELECT 3, publication, kind, by, acting_as, note FROM decide.bundle_history WHERE publication > 2
  UNION ALL SELECT 4, bundle, 'bundle', published_by, published_as, note FROM decide.bundle WHERE bundle > 2
  UNION ALL SELECT 5, version, 'trained', created_by, created_as, NULL FROM decide.model_version
  UNION ALL SELECT 6, version, 'approved', approved_by, approved_as, NULL FROM decide.model_version) AS a ORDER BY o, n;

-- rows of tracked tables go to our own function, whatever else is called track where the verbs are
GRANT CREATE ON SCHEMA public TO regress_host_operator;
SET ROLE regress_host_operator;
CREATE FUNCTION public.track(events jsonb[]) RETURNS TABLE (accepted bigint, duplicate bigint, quarantined bigint) LANGUAGE plpgsql AS $$ BEGIN PERFORM ops.payload(); RETURN QUERY SELECT 0::bigint, 0::bigint, 0::bigint; END $$;
CREATE TABLE ops.orders (id bigint PRIMARY KEY, customer text);
SELECT decide.track_table('ops.orders', '{"type": "order", "user_id": "customer"}');
RESET ROLE;
DELETE FROM ran;
SET ROLE regress_host_operator;
INSERT INTO ops.orders VALUES (1, 'ann');
RESET ROLE;
SELECT as_role FROM ran;
SELECT event_id FROM decide.event;
ALTER SCHEMA public RENAME TO was_public;
INSERT INTO ops.orders VALUES (2, 'ann');
ALTER SCHEMA was_public RENAME TO public;
SELECT event_id FROM decide.event ORDER BY 1;
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_host_operator';

\set VERBOSITY terse
SET client_min_messages = warning;
DROP OWNED BY regress_host_operator, regress_host_shop, regress_host_app, regress_host_rules, regress_host_role CASCADE;
DROP ROLE regress_host_operator, regress_host_shop, regress_host_app, regress_host_rules, regress_host_role;
