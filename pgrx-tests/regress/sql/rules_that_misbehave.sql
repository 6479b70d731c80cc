-- A rule cannot write, cannot outlive its time by catching the cancel, and cannot make an error of a decision by raising
-- one that would be the caller's.
CREATE ROLE regress_misbehaving_rules;
SELECT decide.grant('regress_misbehaving_rules', 'rules');
SET pg_decide.rule_role = regress_misbehaving_rules;
SET pg_decide.enforce_latency_budget = on;
SET pg_decide.breaker_failures = 0;
CREATE TABLE written (x int);
CREATE SEQUENCE drawn;
GRANT SELECT, INSERT ON written TO regress_misbehaving_rules;
GRANT USAGE ON drawn TO regress_misbehaving_rules;
CREATE FUNCTION writes() RETURNS boolean LANGUAGE plpgsql VOLATILE AS
  $$ BEGIN INSERT INTO public.written VALUES (1); RETURN true; END $$;
CREATE FUNCTION wraps() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN public.writes(); END $$;
CREATE FUNCTION draws() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN nextval('public.drawn') > 0; END $$;
CREATE FUNCTION wants_to_write() RETURNS boolean LANGUAGE plpgsql VOLATILE AS
  $$ BEGIN SET LOCAL transaction_read_only = off; INSERT INTO public.written VALUES (1); RETURN true; END $$;
CREATE FUNCTION wraps_it() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN public.wants_to_write(); END $$;
CREATE FUNCTION raises(code text) RETURNS boolean LANGUAGE plpgsql STABLE AS
  $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = code; END $$;
CREATE FUNCTION insists() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  FOR i IN 1..100 LOOP
    BEGIN
      PERFORM pg_sleep(0.5);
    EXCEPTION WHEN query_canceled OR assert_failure OR others THEN
      PERFORM pg_sleep(0.5);
    END;
  END LOOP;
  RETURN true;
END $$;
CREATE FUNCTION insists_silently() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  LOOP
    BEGIN
      LOOP
        BEGIN PERFORM pg_sleep(0.5); EXCEPTION WHEN query_canceled THEN END;
      END LOOP;
    EXCEPTION WHEN query_canceled THEN
    END;
  END LOOP;
END $$;
CREATE FUNCTION gives_in() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN PERFORM pg_sleep(5); RETURN false; EXCEPTION WHEN query_canceled THEN RETURN true; END $$;
INSERT INTO decide.surface (surface, fallback_action, latency_budget) VALUES
  ('written', 'nothing', '10 s'), ('raised', 'nothing', '10 s'), ('late', 'nothing', '300 ms'), ('silent', 'nothing', '300 ms'), ('caught', 'nothing', '300 ms');
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES
  ('nothing', '{written}', NULL), ('free', '{written,raised,late,silent,caught}', NULL),
  ('wraps', '{written}', 'public.wraps()'), ('draws', '{written}', 'public.draws()'), ('wraps it', '{written}', 'public.wraps_it()'),
  ('57014', '{raised}', $$public.raises('57014')$$), ('57P01', '{raised}', $$public.raises('57P01')$$),
  ('40001', '{raised}', $$public.raises('40001')$$), ('40P01', '{raised}', $$public.raises('40P01')$$),
  ('of action', '{raised}', $$action.cost = 1 AND public.raises('57014')$$),
  ('insists', '{late}', 'public.insists()'), ('insists silently', '{silent}', 'public.insists_silently()'), ('gives in', '{caught}', 'public.gives_in()');
INSERT INTO decide.policy (policy, surface, selection) SELECT surface, surface, 'uniform' FROM decide.surface;
SELECT decide.publish();
CREATE VIEW newest AS
  SELECT candidates, blocked, blocked_reasons, regexp_replace(errors::text, '\d+ ms', '… ms', 'g') AS errors
    FROM decide.decision WHERE decision_id = (SELECT max(decision_id::text)::uuid FROM decide.trace);

-- nothing is written, and the trace says why
SELECT count(*) FROM decide('ann', 'written') WHERE reason IS NULL;
SELECT * FROM newest;
SELECT action, step, reason FROM decide.explain('ann', 'written') WHERE step = 'rule' ORDER BY action;
BEGIN;
INSERT INTO written VALUES (2);
SELECT count(*) FROM decide('ann', 'written') WHERE reason IS NULL;
-- afterwards the transaction writes as before
INSERT INTO written VALUES (3);
SELECT nextval('drawn');
COMMIT;
SELECT x FROM written ORDER BY x;
BEGIN READ ONLY;
SELECT count(*) FROM decide.explain('ann', 'written') WHERE step = 'rule';
INSERT INTO written VALUES (4);
ROLLBACK;

-- what a rule raises is its failure, whatever it calls it
SELECT count(*) FROM decide('ann', 'raised') WHERE reason IS NULL;
SELECT * FROM newest;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM decide('ann', 'raised') WHERE reason IS NULL;
COMMIT;

-- one that catches its cancel is cancelled again, until it ends
CREATE FUNCTION milliseconds(surface text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE began timestamptz := clock_timestamp();
BEGIN PERFORM decide('ann', surface); RETURN 1000 * EXTRACT(epoch FROM clock_timestamp() - began); END $$;
SELECT milliseconds('late') < 1500 AS in_time FROM generate_series(1, 3);
SELECT * FROM newest;
SELECT milliseconds('silent') < 1500 AS in_time FROM generate_series(1, 3);
SELECT * FROM newest;
SELECT milliseconds('caught') < 1500 AS in_time FROM generate_series(1, 3);
SELECT * FROM newest;
-- nothing later is cancelled
SELECT count(*) FROM pg_sleep(0.5);
-- the caller's own timeout is theirs
UPDATE decide.surface SET latency_budget = '1 min';
SELECT decide.publish();
SET statement_timeout = '300ms';
SELECT milliseconds('late') < 1500;
RESET statement_timeout;

-- whatever the session has set, plans are the server's
CREATE TABLE big (sku text PRIMARY KEY, pad text);
INSERT INTO big SELECT 's' || i, repeat('x', 20) FROM generate_series(1, 5000) AS i;
ANALYZE big;
GRANT SELECT ON big TO regress_misbehaving_rules;
CREATE FUNCTION settings() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT concat_ws(' ', current_setting('enable_indexscan'), current_setting('enable_seqscan'), current_setting('work_mem'),
                   current_setting('plan_cache_mode'), current_setting('jit_above_cost'), current_setting('from_collapse_limit')) $$;
CREATE FUNCTION tells(text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'settings are: %', $1 USING ERRCODE = 'P0001'; END $$;
INSERT INTO decide.surface (surface, fallback_action, latency_budget) VALUES ('planned', 'nothing', '10 s');
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES ('told', '{planned}', 'public.tells(public.settings())'),
  ('in stock', '{planned}', $$EXISTS (SELECT FROM public.big AS b WHERE b.sku = context->>'sku')$$);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('planned', 'planned', 'uniform');
SELECT decide.publish();
SELECT settings() AS at_first \gset
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET enable_bitmapscan = off;
SET enable_seqscan = off;
SET work_mem = '64kB';
SET plan_cache_mode = force_custom_plan;
SET jit_above_cost = 0;
SET from_collapse_limit = 1;
SELECT settings() = :'at_first' AS is_the_servers;
SELECT count(*) FROM generate_series(1, 3), LATERAL decide('ann', 'planned', '{"sku": "none"}');
SELECT t.errors = ARRAY['told: P0001: settings are: ' || :'at_first'] AS by_the_server FROM decide.trace AS t ORDER BY t.decision_id DESC LIMIT 1;
SELECT settings() = :'at_first' AS is_the_servers;
RESET ALL;
DROP OWNED BY regress_misbehaving_rules;
DROP ROLE regress_misbehaving_rules;
