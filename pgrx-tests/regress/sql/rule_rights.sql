-- A rule has the rights of the rule role: not the caller's, not the publisher's, not the superuser's.
CREATE ROLE regress_rights_rules;
CREATE ROLE regress_rights_caller;
CREATE ROLE regress_rights_operator;
CREATE ROLE regress_rights_other;
GRANT regress_rights_other TO regress_rights_rules;
SELECT decide.grant('regress_rights_rules', 'rules'), decide.grant('regress_rights_caller', 'serve'), decide.grant('regress_rights_operator', 'operate');
SET pg_decide.rule_role = regress_rights_rules;
CREATE TABLE for_rules AS SELECT 1 AS x;
CREATE TABLE for_caller AS SELECT 1 AS x;
CREATE TABLE for_operator AS SELECT 1 AS x;
GRANT SELECT ON for_rules TO regress_rights_rules;
GRANT SELECT, INSERT ON for_caller TO regress_rights_caller;
GRANT SELECT ON for_operator TO regress_rights_operator;
CREATE TABLE for_members (who text);
INSERT INTO for_members VALUES ('regress_rights_rules'), ('regress_rights_caller');
ALTER TABLE for_members ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON for_members USING (who = current_user);
GRANT SELECT ON for_members TO regress_rights_rules, regress_rights_caller;

-- functions of the operator, labelled as harmless
GRANT CREATE ON SCHEMA public TO regress_rights_operator;
CREATE SCHEMA regress_rights_crafty AUTHORIZATION regress_rights_operator;
SET ROLE regress_rights_operator;
CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN current_user; END $$;
CREATE FUNCTION does(statement text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN EXECUTE statement; RETURN true; END $$;
CREATE FUNCTION defined() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$ BEGIN RETURN current_user; END $$;
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 50, 'nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES
  ('nothing', '{}', NULL),
  ('01 is the rule role', '{home}', $$current_user = 'regress_rights_rules' AND public.who() = 'regress_rights_rules'$$),
  ('02 reads what it may', '{home}', $$EXISTS (SELECT 1 FROM public.for_rules)$$),
  ('03 sees its own rows', '{home}', $$(SELECT string_agg(who, ' ') FROM public.for_members) = 'regress_rights_rules'$$),
  ('04 defined', '{home}', $$public.defined() = 'regress_rights_operator'$$),
  ('11 set role', '{home}', $$public.does('SET ROLE postgres')$$),
  ('12 set local role', '{home}', $$public.does('SET LOCAL ROLE regress_rights_other')$$),
  ('13 set_config', '{home}', $$public.does('SELECT set_config(''role'', ''regress_rights_other'', true)')$$),
  ('14 session authorization', '{home}', $$public.does('SET SESSION AUTHORIZATION postgres')$$),
  ('15 reset role', '{home}', $$public.does('RESET ROLE')$$),
  ('16 reset session authorization', '{home}', $$public.does('RESET SESSION AUTHORIZATION')$$),
  ('21 of the caller', '{home}', $$public.does('SELECT * FROM public.for_caller')$$),
  ('22 of the operator', '{home}', $$public.does('SELECT * FROM public.for_operator')$$),
  ('23 of the extension', '{home}', $$public.does('SELECT * FROM decide.secret')$$),
  ('24 of the system', '{home}', $$public.does('SELECT * FROM pg_catalog.pg_authid')$$),
  ('31 writes', '{home}', $$public.does('INSERT INTO public.for_caller VALUES (2)')$$),
  ('32 makes a table', '{home}', $$public.does('CREATE TEMP TABLE t ()')$$),
  ('33 copies', '{home}', $$public.does('COPY public.for_rules TO PROGRAM ''true''')$$),
  ('34 sets', '{home}', $$public.does('SELECT set_config(''pg_decide.seed'', ''7'', false)')$$),
  ('35 commits', '{home}', $$public.does('COMMIT')$$),
  ('41 decides', '{home}', $$public.does('SELECT * FROM public.decide(''x'', ''home'')')$$);
SELECT decide.publish();
RESET ROLE;

-- for a caller, for the operator, for the superuser: the same
CREATE FUNCTION judged() RETURNS TABLE (action text, what text) LANGUAGE sql AS $$
  SELECT action, CASE step WHEN 'shown' THEN 'holds' ELSE reason END FROM decide.explain('ann', 'home', '{}', 1) WHERE step <> 'fallback' ORDER BY action COLLATE "C"
$$;
SELECT * FROM judged();
SELECT current_user, session_user = 'postgres' AS session;
SET SESSION AUTHORIZATION regress_rights_caller;
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT current_user, session_user;
SELECT x FROM for_caller;
RESET SESSION AUTHORIZATION;
SET ROLE regress_rights_caller;
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT current_user;
RESET ROLE;
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT DISTINCT candidates, cardinality(errors) AS errors FROM decide.decision;
SELECT count(DISTINCT errors) FROM decide.trace;

-- what a rule calls, it calls with the rights of the moment, also where no rule reads anything
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('calls', 2, 'nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('calls', 'calls', 'uniform');
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES ('51 calls', '{calls}', $$upper(context->>'x') IS NULL$$);
SELECT decide.publish();
PREPARE calls AS SELECT action, CASE step WHEN 'shown' THEN 'holds' ELSE reason END FROM decide.explain('ann', 'calls', '{}', 1) WHERE action ~ '^51';
EXECUTE calls;
BEGIN;
REVOKE EXECUTE ON FUNCTION pg_catalog.upper(text) FROM PUBLIC;
EXECUTE calls;
-- by a role that it is a member of, by that no more, and as another role
GRANT EXECUTE ON FUNCTION pg_catalog.upper(text) TO regress_rights_other;
EXECUTE calls;
REVOKE regress_rights_other FROM regress_rights_rules;
EXECUTE calls;
SET LOCAL pg_decide.rule_role = regress_rights_other;
EXECUTE calls;
SET LOCAL pg_decide.rule_role = regress_rights_rules;
EXECUTE calls;
ROLLBACK;
EXECUTE calls;

-- a rule role that may decide cannot do so within a decision
SELECT decide.grant('regress_rights_rules', 'serve'), decide.grant('regress_rights_rules', 'operate');
SELECT * FROM judged() WHERE action ~ '^4';
UPDATE decide.action SET eligible_when = $$public.does('SELECT * FROM decide.explain(''x'', ''home'')')$$ WHERE action ~ '^41';
SELECT decide.publish();
SELECT * FROM judged() WHERE action ~ '^4';
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;

-- import reads its source with the caller's rights, and views' functions run as the caller
SET ROLE regress_rights_operator;
CREATE VIEW public.mine AS SELECT 1 AS user_id, 'home' AS surface, '2026-01-01Z'::timestamptz AS decided_at, public.who() AS action, 1.0 AS propensity;
SELECT decide.import_decisions('public.mine');
SELECT action FROM decide.decision WHERE origin IS NOT NULL;
RESET ROLE;
CREATE TABLE theirs AS SELECT 1 AS user_id, 'home' AS surface, '2026-01-01Z'::timestamptz AS decided_at, 'nothing' AS action, 1.0 AS propensity;
SET ROLE regress_rights_operator;
SELECT decide.import_decisions('public.theirs');
CREATE FUNCTION public.crafty(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT string_agg(s.key::text, '') FROM decide.secret AS s); END $$;
CREATE VIEW public.crafted AS SELECT 1 AS user_id, 'home' AS surface, '2026-01-01Z'::timestamptz AS decided_at, public.crafty('x') AS action, 1.0 AS propensity;
SELECT decide.import_decisions('public.crafted');
RESET ROLE;
GRANT SELECT ON theirs TO regress_rights_operator;
SET ROLE regress_rights_operator;
SELECT decide.import_decisions('public.theirs');
RESET ROLE;

-- what is set meanwhile is not in force afterwards: our own statements find our own operators
SET ROLE regress_rights_operator;
CREATE TABLE public.caught (who text);
GRANT INSERT ON public.caught TO PUBLIC;
CREATE FUNCTION regress_rights_crafty.add(integer, integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.caught VALUES (current_user); RETURN $1 OPERATOR(pg_catalog.+) $2; END $$;
CREATE OPERATOR regress_rights_crafty.+ (FUNCTION = regress_rights_crafty.add, LEFTARG = integer, RIGHTARG = integer);
CREATE FUNCTION regress_rights_crafty.same(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.caught VALUES (current_user); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE OPERATOR regress_rights_crafty.= (FUNCTION = regress_rights_crafty.same, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION public.turns() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM set_config('search_path', 'regress_rights_crafty, pg_catalog', true); RETURN 'new'; END $$;
CREATE VIEW public.turned AS SELECT g AS user_id, 'home' AS surface, '2026-01-01Z'::timestamptz AS decided_at, public.turns() || g AS action, 1.0 AS propensity FROM generate_series(1, 3) AS g;
SELECT decide.import_decisions('public.turned');
UPDATE decide.action SET eligible_when = 'public.turns() IS NOT NULL' WHERE action ~ '^5';
SELECT decide.publish();
RESET ROLE;
BEGIN;
SET LOCAL search_path = public;
SELECT count(*) FROM decide('ann', 'calls') WHERE reason IS NULL;
SHOW search_path;
COMMIT;
SELECT DISTINCT who FROM caught;

-- the tables' own constraints and triggers give nothing away either: the operator owns none of them
SET ROLE regress_rights_operator;
CREATE TRIGGER t BEFORE INSERT ON decide.bundle FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE decide.surface ADD CHECK (public.does('SELECT 1'));
CREATE RULE r AS ON INSERT TO decide.bundle DO ALSO SELECT 1;
CREATE INDEX ON decide.surface ((public.who()));
RESET ROLE;

\set VERBOSITY terse
SET client_min_messages = warning;
REVOKE CREATE ON SCHEMA public FROM regress_rights_operator;
DROP OWNED BY regress_rights_rules, regress_rights_caller, regress_rights_operator, regress_rights_other CASCADE;
DROP ROLE regress_rights_rules, regress_rights_caller, regress_rights_operator, regress_rights_other;
