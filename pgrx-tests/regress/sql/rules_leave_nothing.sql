-- What a rule's function does beside its answer is undone, or refused: neither the caller's transaction nor its session has anything of it.
CREATE ROLE regress_leaving_rules;
SELECT decide.grant('regress_leaving_rules', 'rules');
SET pg_decide.rule_role = regress_leaving_rules;
SET pg_decide.enforce_latency_budget = on;
SET pg_decide.breaker_failures = 0;
-- by an expression, and by a command within a function that is declared to read only
CREATE FUNCTION calls(expression text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ DECLARE answer text; BEGIN EXECUTE 'SELECT ' || expression INTO answer; RETURN true; END $$;
CREATE FUNCTION runs_it(command text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN EXECUTE command; RETURN true; END $$;
CREATE FUNCTION runs(command text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN public.runs_it(command); END $$;
CREATE FUNCTION opens() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ DECLARE c refcursor := 'left'; BEGIN OPEN c FOR SELECT 42 AS secret; RETURN true; END $$;
CREATE FUNCTION opens_unnamed() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ DECLARE c refcursor; BEGIN OPEN c FOR SELECT 42 AS secret; RETURN true; END $$;
CREATE FUNCTION locks_in_sql() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT pg_try_advisory_lock(77) $$;
-- what is called while the statement is planned
CREATE FUNCTION estimates(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE c refcursor := 'estimated'; BEGIN OPEN c FOR SELECT 1; PERFORM pg_notify('planned', ''); RETURN true; END $$;
CREATE DOMAIN checked AS int CHECK (public.calls('pg_try_advisory_lock(' || VALUE || ')'));
-- types whose values are checked by it, and one that is checked only once the rule is published
CREATE TYPE composed AS (x public.checked);
CREATE DOMAIN late AS int;
CREATE TYPE late_composed AS (x public.late);
-- what belongs to the caller
CREATE FUNCTION fetches() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ DECLARE c refcursor := 'own'; r record; BEGIN FETCH c INTO r; RETURN true; END $$;
CREATE FUNCTION moves() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ DECLARE c refcursor := 'own'; BEGIN MOVE LAST FROM c; RETURN true; END $$;
CREATE FUNCTION fetches_held() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ DECLARE c refcursor := 'own held'; r record; BEGIN FETCH c INTO r; RETURN true; END $$;
CREATE FUNCTION closes() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ DECLARE c refcursor := 'own'; BEGIN CLOSE c; RETURN true; END $$;
CREATE FUNCTION in_context() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ DECLARE c text; BEGIN GET DIAGNOSTICS c = PG_CONTEXT; RETURN c LIKE '%ann%'; END $$;
-- a timer of the server's, from version 17 on
CREATE FUNCTION ends_session() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM set_config('transaction_timeout', '1ms', false), pg_sleep(0.1); RETURN true; EXCEPTION WHEN OTHERS THEN RETURN true; END $$;
CREATE TABLE stock (sku int);
INSERT INTO stock VALUES (1);
GRANT SELECT ON stock TO regress_leaving_rules;
CREATE VIEW viewed AS SELECT public.calls('pg_try_advisory_lock(80)') AS answer FROM public.stock;
GRANT SELECT ON viewed TO regress_leaving_rules;

INSERT INTO decide.surface (surface, fallback_action, latency_budget) VALUES ('kept', 'nothing', '10 s'), ('refused', 'nothing', '10 s'), ('mixed', 'nothing', '10 s'), ('refused too', 'nothing', '10 s'), ('of the caller', 'nothing', '10 s');
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES
  ('nothing', '{kept}', NULL),
  -- undone with the subtransaction
  ('cursor', '{kept}', 'public.opens()'), ('unnamed cursor', '{kept}', 'public.opens_unnamed()'),
  ('xact lock', '{kept}', $$public.calls('pg_advisory_xact_lock(1)')$$), ('notify', '{kept}', $$public.calls('pg_notify(''told'', ''x'')')$$),
  ('estimates', '{kept}', 'public.estimates(1)'), ('of the action', '{kept}', $$public.opens() AND action.cost = 1$$),
  -- refused
  ('free', '{refused,mixed}', NULL),
  ('lock', '{refused,mixed}', $$public.calls('pg_advisory_lock(2)')$$), ('shared lock', '{refused}', $$public.calls('pg_advisory_lock_shared(3, 4)')$$),
  ('try lock', '{refused}', $$public.calls('pg_try_advisory_lock(5)')$$), ('unlock', '{refused}', $$public.calls('pg_advisory_unlock(6)')$$),
  ('unlock all', '{refused}', $$public.calls('pg_advisory_unlock_all()')$$), ('from', '{refused}', $$public.calls('x FROM pg_advisory_lock(7) AS x')$$),
  ('in sql', '{refused}', 'public.locks_in_sql()'), ('domain', '{refused}', 'features.clicks::int::public.checked IS NOT NULL'),
  ('view', '{refused}', 'EXISTS (SELECT FROM public.viewed AS v WHERE v.answer)'),
  ('composite', '{refused too}', $$('(' || (81 + features.clicks::int) || ')')::public.composed IS NOT NULL$$), ('array', '{refused too}', $$('{' || (82 + features.clicks::int) || '}')::public.checked[] IS NOT NULL$$),
  ('populated', '{refused too}', $$jsonb_populate_record(NULL::public.composed, jsonb_build_object('x', 83 + features.clicks::int)) IS NOT NULL$$),
  ('record', '{refused too}', $$EXISTS (SELECT FROM jsonb_to_record(jsonb_build_object('x', 84 + features.clicks::int)) AS r (x public.checked))$$),
  ('literal', '{refused too}', $$'(85)'::public.late_composed IS NOT NULL$$),
  ('seed setting', '{refused too}', $$public.calls('set_config(''seed'', ''0.5'', false)')$$), ('SET seed', '{refused too}', $$public.runs('SET seed = 0.5')$$),
  ('fetch', '{of the caller}', 'public.fetches()'), ('move', '{of the caller}', 'public.moves()'), ('FETCH', '{of the caller}', $$public.runs('FETCH own')$$),
  ('fetch held', '{of the caller}', 'public.fetches_held()'), ('close', '{of the caller}', 'public.closes()'),
  ('query', '{of the caller}', $$public.calls('current_query()')$$), ('cursors', '{of the caller}', $$public.calls('count(*) FROM pg_cursors')$$),
  ('statements', '{of the caller}', $$public.calls('count(*) FROM pg_prepared_statements')$$), ('context', '{of the caller}', 'public.in_context()'),
  ('timeout', '{kept}', 'public.ends_session()'),
  ('seed', '{refused}', $$public.calls('setseed(0.5)')$$), ('message', '{refused}', $$public.calls('pg_logical_emit_message(false, ''p'', ''x'')')$$),
  ('NOTIFY', '{refused}', $$public.runs('NOTIFY told')$$), ('UNLISTEN', '{refused}', $$public.runs('UNLISTEN *')$$), ('LISTEN', '{refused}', $$public.runs('LISTEN told')$$),
  ('PREPARE', '{refused}', $$public.runs('PREPARE left_behind AS SELECT 1')$$), ('DEALLOCATE', '{refused}', $$public.runs('DEALLOCATE ALL')$$),
  ('CLOSE', '{refused}', $$public.runs('CLOSE ALL')$$), ('DISCARD', '{refused}', $$public.runs('DISCARD PLANS')$$), ('LOAD', '{refused}', $$public.runs('LOAD ''$libdir/plugins/x''')$$),
  ('HOLD', '{refused}', $$public.runs('DECLARE held CURSOR WITH HOLD FOR SELECT 1')$$),
  ('stock', '{mixed}', $$EXISTS (SELECT FROM public.stock AS s WHERE s.sku = 1)$$);
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('clicks', 'click', 'decayed_count');
INSERT INTO decide.policy (policy, surface, selection) SELECT surface, surface, 'uniform' FROM decide.surface;
CREATE VIEW left_behind AS
  SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
         (SELECT array_agg(name ORDER BY name) FROM pg_cursors WHERE name <> '' AND name NOT LIKE 'own%') AS cursors,
         (SELECT array_agg(name ORDER BY name) FROM pg_prepared_statements) AS prepared,
         ARRAY(SELECT pg_listening_channels()) AS channels;
-- the publisher's session neither
BEGIN;
SELECT decide.publish();
SELECT * FROM left_behind;
COMMIT;
ALTER DOMAIN late ADD CHECK (public.calls('pg_try_advisory_lock(' || VALUE || ')'));

-- the caller has some of each
LISTEN told;
LISTEN planned;
PREPARE own_statement AS SELECT 1;
SELECT pg_advisory_lock(100);
BEGIN;
DECLARE own CURSOR FOR SELECT i FROM generate_series(1, 3) AS i;
FETCH own;
SELECT setseed(0.25);
SELECT count(*) FROM decide('ann', 'kept') WHERE reason IS NULL;
SELECT count(*) FROM decide('ann', 'kept') WHERE reason IS NULL;
SELECT cardinality(candidates) AS candidates, errors FROM decide.decision WHERE surface = 'kept';
SELECT * FROM left_behind;
FETCH ALL FROM "left";
ROLLBACK;
-- committed, and nobody is notified
SELECT count(*) FROM decide('ann', 'kept') WHERE reason IS NULL;
BEGIN;
DECLARE own CURSOR FOR SELECT i FROM generate_series(1, 3) AS i;
SELECT setseed(0.25);
SELECT count(*) FROM decide('ann', 'refused') WHERE reason IS NULL;
SELECT count(*) FROM decide('ann', 'refused') WHERE reason IS NULL;
SELECT unnest(errors) AS error, count(*) FROM decide.decision WHERE surface = 'refused' GROUP BY 1 ORDER BY 1;
SELECT action, reason FROM decide.explain('ann', 'refused') WHERE step = 'rule' ORDER BY 1;
SELECT count(*) FROM decide('ann', 'refused too') WHERE reason IS NULL;
SELECT count(*) FROM decide('ann', 'refused too') WHERE reason IS NULL;
SELECT unnest(errors) AS error, count(*) FROM decide.decision WHERE surface = 'refused too' GROUP BY 1 ORDER BY 1;
SELECT action, reason FROM decide.explain('ann', 'refused too') WHERE step = 'rule' ORDER BY 1;
SELECT * FROM left_behind;
FETCH own;
SELECT round(random()::numeric, 6) = (SELECT round(r::numeric, 6) FROM (SELECT setseed(0.25), random() AS r OFFSET 0) AS s) AS same_numbers;
COMMIT;
-- neither are the caller's cursors and statements for rules, whether the decision is the caller's statement or one within a function
CREATE FUNCTION decides() RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; i record; BEGIN FOR i IN SELECT 1 LOOP EXECUTE $q$SELECT count(*) FROM decide('ann', 'of the caller') WHERE reason IS NULL$q$ INTO n; END LOOP; RETURN n; END $$;
BEGIN;
DECLARE "own held" CURSOR WITH HOLD FOR SELECT i FROM generate_series(1, 3) AS i;
COMMIT;
BEGIN;
DECLARE own CURSOR FOR SELECT i FROM generate_series(1, 3) AS i;
FETCH own;
FETCH "own held";
SELECT count(*) FROM decide('ann', 'of the caller') WHERE reason IS NULL;
SELECT decides();
SELECT unnest(errors) AS error, count(*) FROM decide.decision WHERE surface = 'of the caller' GROUP BY 1 ORDER BY 1;
SELECT action, step, reason FROM decide.explain('ann', 'of the caller') ORDER BY 1;
FETCH own;
FETCH "own held";
COMMIT;
CLOSE "own held";
-- one that is refused keeps no other out, and in a read-only transaction explain says the same
SELECT count(*) FROM decide('ann', 'mixed') WHERE reason IS NULL;
SELECT cardinality(candidates) AS candidates, errors FROM decide.decision WHERE surface = 'mixed';
BEGIN READ ONLY;
SELECT action, step, reason FROM decide.explain('ann', 'mixed') WHERE step <> 'choose' AND step <> 'shown' ORDER BY 1;
SELECT * FROM left_behind;
COMMIT;
-- outside of rules all of it goes on; a notification that is heard would name this process
SELECT calls('pg_advisory_lock(2)');
UNLISTEN told;
SELECT runs_it('NOTIFY told');
SELECT runs_it('PREPARE left_behind AS SELECT 1');
SELECT * FROM left_behind;
SELECT pg_advisory_unlock_all();
UNLISTEN *;
DEALLOCATE ALL;
DROP OWNED BY regress_leaving_rules;
DROP ROLE regress_leaving_rules;
