-- A caller's own operators, functions, types and temporary tables are never taken for ours, and never run with our rights.
CREATE ROLE regress_path_caller;
CREATE ROLE regress_path_rules;
SELECT decide.grant('regress_path_caller', 'serve');
SELECT decide.grant('regress_path_rules', 'rules');
SET pg_decide.rule_role = regress_path_rules;
SET pg_decide.seed = 1;
CREATE SCHEMA evil AUTHORIZATION regress_path_caller;
CREATE TABLE public.stolen (by text);
GRANT INSERT, SELECT ON public.stolen TO PUBLIC;

INSERT INTO decide.surface (surface, fallback_action, context_fields) VALUES ('home', 'nothing', '{device}');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life) VALUES ('clicks', 'click', 'decayed_count', NULL);
INSERT INTO decide.action (action, eligible_when) VALUES ('nothing', NULL), ('mobile', $$context->>'device' = 'mobile' AND length(context->>'device') = 6 AND now() IS NOT NULL$$),
  ('cheap', 'action.cost = 1 AND abs(-1) = 1');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();

SET SESSION AUTHORIZATION regress_path_caller;
-- everything that a statement of ours might look for, in a schema before pg_catalog
CREATE FUNCTION evil.steal() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'regress_path_caller' THEN INSERT INTO public.stolen VALUES (current_user); END IF;
  RAISE NOTICE 'stolen as %', current_user;
END $$;
CREATE FUNCTION evil.steal_bool(anyelement, anyelement) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.steal(); RETURN true; END $$;
CREATE FUNCTION evil.eq_text(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.steal(); RETURN true; END $$;
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq_text);
CREATE OPERATOR evil.= (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = evil.steal_bool);
CREATE OPERATOR evil.>= (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = evil.steal_bool);
CREATE OPERATOR evil.<= (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = evil.steal_bool);
CREATE FUNCTION evil.arrow(jsonb, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.steal(); RETURN 'mobile'; END $$;
CREATE OPERATOR evil.->> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = evil.arrow);
CREATE OPERATOR evil.- (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = evil.arrow);
CREATE OPERATOR evil.< (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = evil.steal_bool);
CREATE OPERATOR evil.> (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = evil.steal_bool);
CREATE FUNCTION evil.array_append(pg_catalog.jsonb[], pg_catalog.jsonb) RETURNS pg_catalog.jsonb[] LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.steal(); RETURN $1; END $$;
CREATE FUNCTION evil.cardinality(pg_catalog.jsonb[]) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.steal(); RETURN 6; END $$;
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.steal(); RETURN NULL; END $$;
CREATE FUNCTION evil.length(text) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.steal(); RETURN 6; END $$;
CREATE FUNCTION evil.abs(integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.steal(); RETURN 1; END $$;
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.steal(); RETURN NULL; END $$;
CREATE FUNCTION evil.feature_content(decide.feature, int) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.steal(); RETURN '{}'; END $$;
CREATE DOMAIN evil.uuid AS text;
CREATE DOMAIN evil.jsonb AS pg_catalog.jsonb CHECK (evil.steal_bool(1, 1));
CREATE TABLE evil.pg_class AS SELECT * FROM pg_catalog.pg_class;
SET search_path = evil, pg_catalog, public;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
CREATE TEMP TABLE user_state (user_key text, features text);
CREATE TEMP TABLE trace (x int);
CREATE TEMP TABLE pg_inherits (x int);
CREATE TEMP TABLE bundle_action (bundle int);

-- it works as ever; the caller's code runs where the caller calls it, as the caller
SELECT action = ANY (ARRAY['nothing', 'cheap']::pg_catalog.text[]) FROM public.decide('ann'::text, 'home') LIMIT 0;
SELECT pg_catalog.count(*) FROM public.decide('ann'::text, 'home', '{"device": "desktop"}'::pg_catalog.jsonb);
SELECT public.track('{"event_id": "e\'1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}'::pg_catalog.text);
SELECT public.track('{"event_id": "e1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}'::pg_catalog.text);
SELECT public.track('{"event_id": "e1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}'::pg_catalog.text);
SELECT public.track('{"event_id": ""}'::pg_catalog.text);
SELECT pg_catalog.count(*) FROM public.decide('ann'::text, ARRAY['home']::pg_catalog.text[], '{"device": "desktop"}'::pg_catalog.jsonb);
CREATE TABLE evil.result (user_id text, surface text, slot int, action text, probability float8, decision_id pg_catalog.uuid, reason text, PRIMARY KEY (user_id, surface, slot));
CALL decide.decide_batch('SELECT ''bob''::text AS user_id, ''home''::text AS surface', 'evil.result', 1);
CALL decide.decide_batch('SELECT ''bob''::text AS user_id, ''home''::text AS surface', 'evil.result', 1);
RESET SESSION AUTHORIZATION;
RESET search_path;
RESET standard_conforming_strings;
SELECT DISTINCT candidates, blocked, errors FROM decide.decision;
SELECT * FROM public.stolen;
SELECT feature, value FROM decide.features('ann');

-- a new session whose first call is with everything turned against it; an operator who publishes so
ALTER ROLE regress_path_caller SET search_path = evil, pg_catalog, public;
ALTER ROLE regress_path_caller SET standard_conforming_strings = off;
SELECT decide.grant('regress_path_caller', 'operate');
\c -
SET pg_decide.rule_role = regress_path_rules;
SET pg_decide.seed = 1;
SET SESSION AUTHORIZATION regress_path_caller;
SET search_path = evil, pg_catalog, public;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
UPDATE decide.action SET eligible_when = E'context->>\'device\' = \'mobile\' AND \'\\\\\' <> \'x\'' WHERE action OPERATOR(pg_catalog.=) 'mobile';
SELECT decide.publish();
SELECT pg_catalog.count(*) FROM public.decide('ann'::text, 'home', '{"device": "mobile"}'::pg_catalog.jsonb);
SELECT action, step FROM decide.explain('ann'::text, 'home', '{"device": "mobile"}'::pg_catalog.jsonb) WHERE step OPERATOR(pg_catalog.<>) 'fallback' ORDER BY reason USING OPERATOR(pg_catalog.<), action USING OPERATOR(pg_catalog.<);
SELECT pg_catalog.count(*) FROM decide.bundle_diff(1, 2);
SELECT decide.run_job('partitions');
SELECT pg_catalog.count(*) FROM decide.decision;
RESET SESSION AUTHORIZATION;
RESET search_path;
SELECT DISTINCT candidates, blocked, errors FROM decide.decision WHERE bundle = 2;
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
SELECT * FROM public.stolen;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA evil CASCADE;
DROP OWNED BY regress_path_caller, regress_path_rules;
DROP ROLE regress_path_caller, regress_path_rules;
