-- What others have prepared is not taken in while the extension is created, and nobody is given anything by default privileges.
SET client_min_messages = warning;
CREATE ROLE regress_install_owner;
CREATE ROLE regress_install_reader;
CREATE ROLE regress_install_operator;
DROP EXTENSION pg_decide;
GRANT CREATE ON SCHEMA public TO regress_install_owner;

-- whoever may create in the target schema prepares operators that fit better than those of the server, functions, types, casts and tables
SET ROLE regress_install_owner;
CREATE FUNCTION public.evil() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN EXECUTE 'ALTER ROLE regress_install_owner SUPERUSER'; END IF;
END $$;
CREATE FUNCTION public.evil(numeric, integer) RETURNS numeric LANGUAGE plpgsql STABLE AS $$
BEGIN PERFORM public.evil(); RETURN $1 OPERATOR(pg_catalog.*) $2::numeric; END $$;
CREATE OPERATOR public.* (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = public.evil);
CREATE OPERATOR public./ (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = public.evil);
DO $$
DECLARE
  types CONSTANT text[] := '{smallint,integer,bigint,numeric,real,double precision,text,varchar,name,json,jsonb,uuid,date,timestamptz,interval,text[],integer[],oid,regclass}';
  l text;
  r text;
  o text;
BEGIN
  FOREACH l IN ARRAY types LOOP FOREACH r IN ARRAY types LOOP
    EXECUTE format('CREATE FUNCTION public.evil_pair(%s, %s) RETURNS boolean LANGUAGE plpgsql AS ''BEGIN PERFORM public.evil(); RETURN true; END''', l, r);
    FOREACH o IN ARRAY '{=,<>,<,<=,>,>=,+,-,||,@>,~}'::text[] LOOP
      EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.evil_pair)', o, l, r);
    END LOOP;
  END LOOP; END LOOP;
END $$;
CREATE FUNCTION public.count() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM public.evil(); RETURN 0; END $$;
CREATE FUNCTION public.length(varchar) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM public.evil(); RETURN 1; END $$;
CREATE FUNCTION public.now(integer DEFAULT 0) RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM public.evil(); RETURN '2026-01-01'; END $$;
CREATE FUNCTION public.current_setting(text, integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.evil(); RETURN 'on'; END $$;
CREATE FUNCTION public.unnest(integer) RETURNS SETOF integer LANGUAGE plpgsql AS $$ BEGIN PERFORM public.evil(); END $$;
CREATE TYPE public.evil_type AS (x integer);
CREATE FUNCTION public.evil_cast(integer) RETURNS public.evil_type LANGUAGE plpgsql AS $$ BEGIN PERFORM public.evil(); RETURN NULL; END $$;
CREATE CAST (integer AS public.evil_type) WITH FUNCTION public.evil_cast(integer) AS IMPLICIT;
CREATE DOMAIN public.jsonb AS pg_catalog.jsonb;
CREATE DOMAIN public.uuid AS pg_catalog.uuid;
CREATE DOMAIN public.choice AS pg_catalog.text;
CREATE TABLE public.surface (surface text);
CREATE TABLE public.pg_class (oid integer);
CREATE TABLE public.bundle (bundle bigint);
RESET ROLE;

-- and a DBA has given a reporting role all that will ever be made
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO regress_install_reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_install_reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO regress_install_reader, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO regress_install_reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO regress_install_reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO regress_install_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TYPES TO regress_install_reader;

CREATE EXTENSION pg_decide SCHEMA public;
-- from here on the superuser looks away from what was prepared
SET search_path = pg_catalog, pg_temp;
SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pg_decide';
ALTER DEFAULT PRIVILEGES IN SCHEMA decide GRANT ALL ON TABLES TO regress_install_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA decide GRANT ALL ON FUNCTIONS TO PUBLIC;

-- on what outside of itself does anything of ours depend: a language, and the verbs their schema
CREATE VIEW public.ours AS
WITH RECURSIVE mine AS (
  SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS x ON x.oid = d.refobjid
   WHERE x.extname = 'pg_decide' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
   UNION
  SELECT d.classid, d.objid FROM mine AS m JOIN pg_depend AS d ON d.refclassid = m.classid AND d.refobjid = m.objid AND d.deptype IN ('a', 'i')
)
SELECT * FROM mine;
SELECT count(*) > 300 AS many FROM public.ours;
SELECT pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS needs, CASE d.refclassid WHEN 'pg_namespace'::regclass THEN pg_describe_object(d.classid, d.objid, d.objsubid) END AS object
  FROM pg_depend AS d JOIN public.ours AS m ON m.classid = d.classid AND m.objid = d.objid
 WHERE NOT EXISTS (SELECT FROM public.ours AS o WHERE o.classid = d.refclassid AND o.objid = d.refobjid)
 GROUP BY needs, object ORDER BY needs, object;
-- what is looked up only when it runs: with a search_path of its own, and never in the schema of the verbs
SELECT p.oid::regprocedure FROM public.ours AS m JOIN pg_proc AS p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass JOIN pg_language AS l ON l.oid = p.prolang
 WHERE l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL AND p.prokind <> 'p' AND NOT 'search_path=pg_catalog, pg_temp' = ANY (COALESCE(p.proconfig, '{}'));
-- a procedure that commits can have none: it runs as its caller, and its operators are qualified
SELECT p.oid::regprocedure, p.prosecdef, regexp_replace(p.prosrc, 'OPERATOR\(pg_catalog\.\S+\)|::pg_catalog|:=|''[^'']*''', '', 'g') ~ '[-+*/<>=~!@#%^&|:]' AS operators
  FROM public.ours AS m JOIN pg_proc AS p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass WHERE p.prokind = 'p';
SELECT p.oid::regprocedure FROM public.ours AS m JOIN pg_proc AS p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass WHERE p.prosrc ~ '\mpublic\M';

-- nothing of it runs when the extension is used
SELECT decide.grant('regress_install_operator', 'operate');
SET ROLE regress_install_operator;
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing'), ('x');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life) VALUES ('clicks', 'click', 'decayed_count', '7 days');
INSERT INTO decide.cap (cap, per, max_count, window_length) VALUES ('daily', 'all', 10, '1 day');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 'home', 'uniform');
SELECT decide.publish('1');
RESET ROLE;
SELECT count(*) FROM public.decide('ann'::text, 'home');
SELECT (SELECT count(*) FROM decide.feature_catalog) AS catalog, (SELECT count(*) FROM decide.decision) AS decisions, (SELECT count(*) > 0 FROM decide.budget) AS budgets, (SELECT count(*) FROM decide.mode_in_force) AS modes;
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_install_owner';

-- nobody but the owner holds a right on anything of ours, partitions that were made since included, but for what a job has taken
SELECT count(*) > 20 AS partitions FROM pg_class WHERE relnamespace = 'decide'::regnamespace AND relname ~ '_\d{8}$';
SELECT what, a.grantee::regrole, a.privilege_type
  FROM (SELECT c.oid::regclass::text AS what, c.relacl AS acl, c.relowner AS owner FROM pg_class AS c WHERE c.relnamespace = 'decide'::regnamespace
         UNION ALL SELECT p.oid::regprocedure::text, COALESCE(p.proacl, acldefault('f', p.proowner)), p.proowner FROM public.ours JOIN pg_proc AS p ON p.oid = objid AND classid = 'pg_proc'::regclass
         UNION ALL SELECT t.oid::regtype::text, COALESCE(t.typacl, acldefault('T', t.typowner)), t.typowner FROM public.ours JOIN pg_type AS t ON t.oid = objid AND classid = 'pg_type'::regclass JOIN pg_class AS c ON c.oid = t.typrelid AND c.relkind = 'c'
         UNION ALL SELECT n.nspname, n.nspacl, n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'decide') AS o, aclexplode(o.acl) AS a
 WHERE a.grantee NOT IN (o.owner, 'regress_install_operator'::regrole) ORDER BY 1, 2, 3;
CREATE FUNCTION public.attempt(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', role);
  EXECUTE statement;
  RAISE EXCEPTION USING ERRCODE = 'P0099';
EXCEPTION WHEN SQLSTATE 'P0099' THEN RETURN 'yes'; WHEN OTHERS THEN RETURN SQLSTATE;
END
$$;
SELECT s, public.attempt('regress_install_reader', s) FROM unnest(ARRAY['SELECT key FROM decide.secret', 'SELECT * FROM decide.trace', 'SELECT decide.user_key(''ann'')', 'SELECT decide.publish()',
  'SELECT * FROM public.decide(''ann''::text, ''home'')', 'CREATE TRIGGER t BEFORE INSERT ON decide.bundle FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
  'CREATE TABLE decide.x ()', 'CREATE TEMP TABLE x (c decide.choice)']) AS s;

RESET search_path;
-- the schema is taken, or a verb is: nothing is created
\set VERBOSITY terse
DROP EXTENSION pg_decide CASCADE;
CREATE SCHEMA decide AUTHORIZATION regress_install_owner;
CREATE EXTENSION pg_decide;
\echo :SQLSTATE
DROP SCHEMA decide;
SET ROLE regress_install_owner;
CREATE FUNCTION public.decide(text, text, pg_catalog.jsonb, text) RETURNS text LANGUAGE sql AS 'SELECT ''mine''';
RESET ROLE;
CREATE EXTENSION pg_decide;
\echo :SQLSTATE
DROP FUNCTION public.decide(text, text, pg_catalog.jsonb, text);

-- into a schema of somebody else
CREATE SCHEMA "the shop" AUTHORIZATION regress_install_owner;
CREATE EXTENSION pg_decide SCHEMA "the shop";
SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace = '"the shop"'::regnamespace ORDER BY 1;
SELECT rights, object FROM decide.access_rights('serve') WHERE object ~ 'shop' ORDER BY 1, 2;
DROP EXTENSION pg_decide;

DROP OWNED BY regress_install_owner, regress_install_reader, regress_install_operator CASCADE;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SEQUENCES FROM PUBLIC;
SELECT count(*) FROM pg_default_acl;
DROP ROLE regress_install_owner, regress_install_reader, regress_install_operator;
CREATE EXTENSION pg_decide;

-- pg_restore loads tables in any order, several at a time: no foreign keys, and no trigger on INSERT that reads another table of ours
SELECT conrelid::regclass, conname FROM pg_constraint WHERE connamespace = 'decide'::regnamespace AND contype = 'f';
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'decide.%' AND tgtype & 4 > 0 AND tgtype & 64 = 0 ORDER BY tgrelid::regclass::text COLLATE "C";
