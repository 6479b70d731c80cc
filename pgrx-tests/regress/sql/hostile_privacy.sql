-- What a role can make of the verbs of the privacy officer, of keys outside of the database, and of the judging of policies: nothing that it could not do before.
SET timezone = 'UTC';
CREATE ROLE regress_hostile;
CREATE ROLE regress_officer;
CREATE ROLE regress_analyst;
SELECT decide.grant('regress_officer', 'privacy'), decide.grant('regress_hostile', 'serve'), decide.grant('regress_analyst', 'analyse');
GRANT CREATE ON SCHEMA public TO regress_hostile, regress_analyst;
INSERT INTO decide.surface (surface, fallback_action, context_fields) VALUES ('home', 'nothing', '{device}');
INSERT INTO decide.action (action) VALUES ('nothing'), ('a');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
INSERT INTO decide.region (region) VALUES ('us');
SELECT decide.publish();
SELECT count(*) FROM decide('ann', 'home', '{"device": "phone"}');

-- the settings that say where keys come from are the server's
SET ROLE regress_hostile;
SET pg_decide.key_command = 'touch /tmp/owned';
SET pg_decide.key_file = '/etc/passwd';
SET pg_decide.key_command_timeout = 1;
SELECT set_config('pg_decide.key_command', 'touch /tmp/owned', true);
CREATE FUNCTION public.with_command() RETURNS int LANGUAGE sql SET pg_decide.key_command = 'touch /tmp/owned' AS 'SELECT 1';
RESET ROLE;
ALTER ROLE regress_hostile SET pg_decide.key_command = 'touch /tmp/owned';

-- what a table of somebody else makes of whoever comes by
SET ROLE regress_hostile;
CREATE TABLE public.bait (id int);
INSERT INTO public.bait VALUES (1);
CREATE FUNCTION public.rotates(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN decide.rotate_pseudonyms(); END $$;
CREATE FUNCTION public.moves(id int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN decide.set_region('ann', 'us'); END $$;
CREATE FUNCTION public.tries() RETURNS SETOF uuid LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT s.decision_id FROM decide.simulate_traffic() AS s; END $$;
-- by itself it can do none of it
SELECT public.rotates(1);
SELECT public.moves(1);
SELECT public.tries();
SELECT * FROM decide.compare_bundles(1, 1);
SELECT * FROM decide.evaluate_policy('home', 'home');
SELECT * FROM decide.context_field;
SELECT * FROM decide.region;
RESET ROLE;
-- nor by an index that the superuser builds
CREATE INDEX ON public.bait (public.rotates(id));
CREATE INDEX ON public.bait (public.moves(id));
-- nor by a materialized view
SET ROLE regress_hostile;
CREATE MATERIALIZED VIEW public.view_bait AS SELECT public.rotates(id) AS rotated FROM public.bait WITH NO DATA;
RESET ROLE;
REFRESH MATERIALIZED VIEW public.view_bait;
-- nor by names that come first in a path
SET ROLE regress_hostile;
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'this ran as %', current_user; RETURN '2000-01-01'; END $$;
CREATE FUNCTION public.to_jsonb(anyelement) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE WARNING 'this ran as %', current_user; RETURN '1'; END $$;
RESET ROLE;
SET search_path = public, pg_catalog, decide;
SELECT decide.set_region('ann', 'us');
INSERT INTO decide.context_field (field, treatment, expression) VALUES ('device', 'coarsen', $$to_jsonb(left(value #>> '{}', 2))$$);
SELECT decide.publish('coarsened');
SELECT count(*) FROM decide('ann', 'home', '{"device": "phone"}');
SELECT context_values FROM decide.trace ORDER BY decision_id DESC LIMIT 1;
SELECT count(*) FROM decide.compare_bundles(1, 2);
RESET search_path;

-- the expression of a cohort runs as who asks
SET ROLE regress_analyst;
CREATE FUNCTION public.who() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_user::text $$;
SELECT DISTINCT cohort FROM decide.evaluate_policy('home', 'home', cohort => 'public.who()');
SELECT DISTINCT cohort FROM decide.evaluate_policy('home', 'home', cohort => 'region');
SELECT cohort FROM decide.evaluate_policy('home', 'home', cohort => '(SELECT s.key::text FROM decide.secret AS s LIMIT 1)');
SELECT cohort FROM decide.evaluate_policy('home', 'home', cohort => 'decide.user_key(''ann'')::text');
SELECT cohort FROM decide.evaluate_policy('home', 'home', cohort => 'decide.rotate_pseudonyms()::text');
RESET ROLE;
-- the officer's own call
SET ROLE regress_officer;
SELECT decide.rotate_pseudonyms() > 0 AS rotated, decide.set_region('ann', NULL) AS forgotten;
SELECT * FROM decide.compare_bundles(1, 2);
UPDATE decide.region SET explores = true;
RESET ROLE;
SELECT acting_as FROM decide.pseudonym_key WHERE is_newest;
DROP MATERIALIZED VIEW public.view_bait;
DROP TABLE public.bait;
DROP FUNCTION public.rotates, public.moves, public.tries, public.clock_timestamp, public.to_jsonb, public.who;
SELECT decide.revoke('regress_officer', 'privacy'), decide.revoke('regress_hostile', 'serve'), decide.revoke('regress_analyst', 'analyse');
REVOKE CREATE ON SCHEMA public FROM regress_hostile, regress_analyst;
DROP ROLE regress_hostile, regress_officer, regress_analyst;
