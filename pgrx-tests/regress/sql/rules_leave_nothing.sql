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
CREATE TABLE stock (sku int);
INSERT INTO stock VALUES (1);
GRANT SELECT ON stock TO regress_leaving_rules;
CREATE VIEW viewed AS SELECT public.calls('pg_try_advisory_lock(80)') AS answer FROM public.stock;
GRANT SELECT ON viewed TO regress_leaving_rules;

INSERT INTO decide.surface (surface, fallback_action, latency_budget) VALUES ('kept', 'nothing', '10 s'), ('refused', 'nothing', '10 s'), ('mixed', 'nothing', '10 s');
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
BEGIN;
DECLARE own CURSOR FOR SELECT i FROM generate_series(1, 3) AS i;
SELECT setseed(0.25);
SELECT count(*) FROM decide('ann', 'refused') WHERE reason IS NULL;
SELECT count(*) FROM decide('ann', 'refused') WHERE reason IS NULL;
SELECT unnest(errors) AS error, count(*) FROM decide.decision WHERE surface = 'refused' GROUP BY 1 ORDER BY 1;
SELECT action, reason FROM decide.explain('ann', 'refused') WHERE step = 'rule' ORDER BY 1;
SELECT * FROM left_behind;
FETCH own;
SELECT round(random()::numeric, 6) = (SELECT round(r::numeric, 6) FROM (SELECT setseed(0.25), random() AS r OFFSET 0) AS s) AS same_numbers;
COMMIT;
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
