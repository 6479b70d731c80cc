-- What a caller sends, and what a rule reads, is in no error that a table of ours keeps, whichever way a rule or an event fails.
CREATE ROLE regress_values_rules;
SELECT decide.grant('regress_values_rules', 'rules');
SET pg_decide.rule_role = regress_values_rules;
CREATE TABLE secrets (word text, day text);
INSERT INTO secrets VALUES ('swordfish', '2026-02-31 swordfish');
GRANT SELECT ON secrets TO regress_values_rules;
-- fails as it is told to, with the value in every part of the error
CREATE FUNCTION fails(what text, value text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  CASE what
    WHEN 'raise' THEN RAISE EXCEPTION '% is not here', value;
    WHEN 'code' THEN RAISE EXCEPTION USING ERRCODE = '22012', MESSAGE = value, DETAIL = value, HINT = value;
    WHEN 'unknown code' THEN RAISE EXCEPTION USING ERRCODE = 'ZZ' || upper(left(value, 3)), MESSAGE = value;
    WHEN 'quotes' THEN RAISE EXCEPTION '% "a" % "b" %', value, value, value;
    WHEN 'column' THEN EXECUTE format('SELECT %I', value);
    WHEN 'syntax' THEN EXECUTE value || ' ' || value;
    WHEN 'assert' THEN ASSERT false, value;
    WHEN 'privilege' THEN RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'permission denied for table ' || value;
    ELSE PERFORM value::inet;
  END CASE;
  RETURN true;
END $$;
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 1, 'nothing'), ('other', 1, 'nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('other', 'other', 'uniform');
INSERT INTO decide.action (action, eligible_when) VALUES ('nothing', NULL),
  ('01 integer', $$(context->>'v')::int > 5$$), ('02 date', $$(context->>'d')::date > now()$$), ('03 interval', $$(context->>'i')::interval > '1 day'$$),
  ('04 range', $$(context->>'n')::int2 > 5$$), ('05 division', $$1 / ((context->>'n')::numeric - 99999) > 0$$), ('06 json', $$(context->>'v')::jsonb IS NOT NULL$$),
  ('07 path', $$jsonb_path_exists('{}', (context->>'v')::jsonpath)$$), ('08 regexp', $$'x' ~ ('(' || (context->>'v'))$$), ('09 zone', $$now() AT TIME ZONE (context->>'v') IS NOT NULL$$),
  ('10 uuid', $$(context->>'v')::uuid IS NOT NULL$$), ('11 table', $$(context->>'v')::regclass IS NOT NULL$$), ('12 query', $$to_tsquery('simple', (context->>'v') || ' & ') IS NOT NULL$$),
  ('13 array', $$((context->>'v')::int[]) IS NOT NULL$$), ('14 strftime', $$to_timestamp(context->>'v', 'YYYY-MM-DD') IS NOT NULL$$), ('15 of the shop', $$(SELECT day::date FROM public.secrets) IS NOT NULL$$),
  ('16 action', $$(context->>'v')::int = action.cost$$);
UPDATE decide.action SET surfaces = '{home}' WHERE action <> 'nothing';
INSERT INTO decide.action (action, surfaces, eligible_when)
SELECT '2' || ordinality || ' ' || what, '{other}', format('public.fails(%L, context->>''v'')', what) FROM unnest('{raise,code,unknown code,quotes,column,syntax,assert,privilege,inet}'::text[]) WITH ORDINALITY AS w (what, ordinality);
SELECT decide.publish();
SET pg_decide.breaker_failures = 2;
SELECT count(*) FROM generate_series(1, 4), decide('ann', 'home', '{"v": "swordfish", "d": "2026-99-77", "i": "swordfish days", "n": 99999}');
SELECT count(*) FROM decide('ann', 'home', '{"v": "9999999999999999", "d": "swordfish", "i": "1 swordfish", "n": 99999}');
SELECT count(*) FROM generate_series(1, 4), decide('ann', 'other', '{"v": "swordfish"}');
SELECT DISTINCT error FROM decide.trace, unnest(errors) AS error ORDER BY error COLLATE "C";

-- what cannot be an event, in track() and from rows, and what the jobs make of it
SELECT track('{"event_id": "1", "type": "click", "user_id": "ann", "at": "swordfish"}'::jsonb);
DELETE FROM decide.quarantine;
CREATE TABLE orders (id int PRIMARY KEY, customer text, total text, placed text);
CREATE FUNCTION as_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'swordfish is refused'; END $$;
SELECT decide.track_table('orders', '{"type": "order", "user_id": "customer", "attributes": {"total": "total"}}');
CREATE TRIGGER as_event BEFORE INSERT ON decide.event_default FOR EACH ROW EXECUTE FUNCTION as_event();
DO $$
DECLARE
  day regclass;
BEGIN
  FOR day IN SELECT i.inhrelid FROM pg_inherits AS i WHERE i.inhparent = 'decide.event'::regclass AND i.inhrelid::regclass::text ~ '\d{8}$' LOOP
    EXECUTE format('CREATE TRIGGER as_event BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION as_event()', day);
  END LOOP;
END $$;
INSERT INTO orders VALUES (1, 'swordfish', 'swordfish');
SELECT reasons, payload FROM decide.quarantine;

-- not in any table, but for what the shop and the policy have themselves
CREATE FUNCTION mentions(word text) RETURNS TABLE (relation regclass, rows bigint) LANGUAGE plpgsql AS $$
DECLARE
  r regclass;
BEGIN
  FOR r IN SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = 'decide'::regnamespace AND c.relkind IN ('r', 'm') ORDER BY 1 LOOP
    relation := r;
    EXECUTE format('SELECT count(*) FROM %s AS t WHERE t::text ILIKE ''%%'' || $1 || ''%%''', r) INTO rows USING word;
    IF rows > 0 THEN RETURN NEXT; END IF;
  END LOOP;
END $$;
SELECT m.* FROM unnest('{swordfish,SWO,2026-99-77,2026-02-31,9999999999999999}'::text[]) AS w, mentions(w) AS m;
SELECT count(*) > 5 AS breakers, bool_and(last_error ~ '^[0-9A-Z]{5}: [a-z ]+$') AS plain FROM decide.breaker_status;
-- who explains is told all, and it is kept nowhere
SELECT action, reason FROM decide.explain('ann', 'home', '{"v": "swordfish", "d": "2026-99-77", "n": 1}') WHERE reason ~ 'swordfish|99-77' ORDER BY 1 LIMIT 3;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP OWNED BY regress_values_rules CASCADE;
DROP ROLE regress_values_rules;
