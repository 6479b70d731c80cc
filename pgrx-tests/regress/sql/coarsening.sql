-- What may be known of contexts and of events: before anything sees them, fields are coarsened, hashed or dropped.
SET timezone = 'UTC';
CREATE ROLE regress_coarsening_rules;
SELECT decide.grant('regress_coarsening_rules', 'rules');
SET pg_decide.rule_role = 'regress_coarsening_rules';
INSERT INTO decide.surface (surface, fallback_action, context_fields, latency_budget) VALUES ('home', 'nothing', '{lat,device,visitor,street,page}', '10 s'), ('elsewhere', 'nothing', '{}', '10 s');
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES
  ('nothing', '{elsewhere}', NULL), ('north', '{home}', $$context ->> 'lat' = 'north'$$), ('exact', '{home}', $$context ->> 'lat' ~ '^[0-9]'$$),
  ('street', '{home}', $$context ? 'street'$$), ('plain', '{home}', NULL);
INSERT INTO decide.feature (feature, event_type, aggregate, key_path) VALUES ('by_city', 'view', 'decayed_count', 'attributes.city');
INSERT INTO decide.event_type (event_type, keep_attributes) VALUES ('view', '{city,ip,phone,age}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');

-- faults, all at once; nothing of an expression is evaluated before it is known to be pure
CREATE FUNCTION public.own(jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE WARNING 'this must not run'; RETURN $1; END $$;
CREATE FUNCTION public.own_constant(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE WARNING 'this must not run'; RETURN $1; END $$;
INSERT INTO decide.context_field (source, field, treatment, expression, names_region) VALUES
  ('context', 'none', 'coarsen', NULL, false), ('context', 'two', 'drop', 'value', false), ('context', 'syntax', 'coarsen', 'value +', false),
  ('context', 'several', 'coarsen', '1; SELECT 2', false), ('context', 'closes', 'coarsen', '1) FROM decide.secret; --', false),
  ('context', 'volatile', 'coarsen', 'to_jsonb(random())', false), ('context', 'clock', 'coarsen', 'now()', false),
  ('context', 'setting', 'coarsen', $$current_setting('data_directory')$$, false), ('context', 'user', 'coarsen', 'current_user', false),
  ('context', 'set', 'coarsen', 'jsonb_array_elements(value)', false), ('context', 'table', 'coarsen', '(SELECT s.key FROM decide.secret AS s LIMIT 1)', false),
  ('context', 'xml', 'coarsen', $$table_to_xml('decide.secret', true, true, '')::text$$, false),
  ('context', 'own', 'coarsen', 'public.own(value)', false), ('context', 'constant', 'coarsen', 'public.own_constant(1)', false),
  ('context', 'parameter', 'coarsen', '$1', false), ('context', ' blank', 'drop', NULL, false), ('event', 'column', 'coarsen', 'nothing', false),
  ('context', 'sum', 'coarsen', 'count(*)', false), ('context', 'region', 'hash', NULL, true), ('context', 'country', 'keep', NULL, true);
SELECT decide.publish();
TRUNCATE decide.context_field;

INSERT INTO decide.context_field (source, field, treatment, expression) VALUES
  ('context', 'lat', 'coarsen', $$CASE WHEN (value #>> '{}')::float8 > 60 THEN 'north' ELSE 'south' END$$),
  ('context', 'device', 'coarsen', $$split_part(value #>> '{}', ' ', 1)$$),
  ('context', 'visitor', 'hash', NULL), ('context', 'street', 'drop', NULL), ('context', 'page', 'keep', NULL),
  ('event', 'city', 'coarsen', $$upper(left(value #>> '{}', 1))$$), ('event', 'ip', 'drop', NULL), ('event', 'phone', 'hash', NULL),
  ('event', 'age', 'coarsen', $$(value #>> '{}')::int / 10 * 10$$);
SELECT decide.publish('coarsened');
CREATE VIEW seen AS SELECT context_values[1] AS lat, context_values[2] AS device, length(context_values[3]) AS visitor, context_values[4] AS street, context_values[5] AS page, errors
  FROM decide.trace ORDER BY decision_id DESC LIMIT 1;
-- rules, traces and hashes see what is left
SELECT action, CASE WHEN step IN ('shown', 'choose') THEN 'candidate' ELSE step END AS step FROM decide.explain('ann', 'home', '{"lat": 63.4, "device": "phone 12 pro", "visitor": "v1", "street": "Main St 1", "page": 2}') ORDER BY action;
SELECT count(*) FROM decide('ann', 'home', '{"lat": 63.4, "device": "phone 12 pro", "visitor": "v1", "street": "Main St 1", "page": 2}');
SELECT * FROM seen;
SELECT count(*) FROM decide('ann', 'home', '{"lat": 69.1, "device": "phone 7", "visitor": "v1", "street": "Elm St 9", "page": 2}');
SELECT count(*) FROM decide('ann', 'home', '{"lat": 69.1, "device": "phone 7", "visitor": "v2", "page": 2}');
SELECT count(*), count(DISTINCT context_hash) AS contexts FROM decide.trace;
SELECT count(*) FROM decide.trace AS t WHERE t::text ~ '63\.4|Main St|12 pro|v1';
SELECT agrees, difference FROM (SELECT DISTINCT decision_id FROM decide.decision) AS d CROSS JOIN LATERAL decide.replay(d.decision_id);
-- pages, batches, named requests, users who are not known
SELECT count(*) FROM decide('ann', ARRAY['home'], '{"lat": 10, "street": "Main St 1"}');
SELECT * FROM seen;
SELECT count(*) FROM decide.decide_batch(ARRAY['{"user_id": "ann", "surface": "home", "context": {"lat": 70, "street": "Main St 1"}}']::jsonb[]);
SELECT * FROM seen;
SELECT count(*) FROM decide('ann', 'home', '{"lat": 10, "visitor": {"deep": [1, "v1"]}}', request_id => 'r1');
SELECT * FROM seen;
SET pg_decide.unknown_users = on;
SELECT count(*) FROM decide(NULL::text, 'home', '{"lat": 10, "street": "Main St 1"}');
SELECT * FROM seen;
RESET pg_decide.unknown_users;
-- what cannot be coarsened is not known, and the trace says so, without a value
SELECT count(*) FROM decide('ann', 'home', '{"lat": "by the sea", "device": null, "page": 1}');
SELECT * FROM seen;
SELECT count(*) FROM decide('ann', 'home', '{"lat": {"a": [1]}, "device": ["phone 1"], "page": 1}');
SELECT * FROM seen;

-- events: features, what is kept, and the quarantine
SELECT track('{"event_id": "1", "type": "view", "user_id": "ann", "at": "2026-01-01T00:00:00Z", "attributes": {"city": "bergen", "ip": "10.0.0.1", "phone": "555 1234", "age": 47}}'::jsonb);
SELECT * FROM track(ARRAY['{"event_id": "2", "type": "view", "user_id": "ann", "at": "2026-01-01T00:00:00Z", "attributes": {"city": "Bodø", "age": "old"}}',
                          '{"event_id": "3", "type": "view", "user_id": "ann", "at": "never", "attributes": {"city": "oslo", "ip": "10.0.0.1", "phone": "555 1234"}}',
                          '{"event_id": "4", "type": "view", "user_id": "ann", "at": "2026-01-01T00:00:00Z", "attributes": ["10.0.0.1", "555 1234"]}']::jsonb[]);
SELECT event_id, attributes - 'phone' AS attributes, length(attributes ->> 'phone') AS phone FROM decide.event ORDER BY event_id;
SELECT field, sum(events) AS events FROM decide.uncoarsened GROUP BY 1;
SELECT payload - 'attributes' AS payload, payload -> 'attributes' - 'phone' AS attributes, length(payload #>> '{attributes,phone}') AS phone, treated, reasons FROM decide.quarantine ORDER BY payload ->> 'event_id';
-- released: what was treated is not treated again, and a patch is
SELECT decide.release_quarantine(quarantine_id, '{"at": "2026-01-01T00:00:00Z", "attributes": {"age": 38, "ip": "10.0.0.2"}}') FROM decide.quarantine WHERE payload ->> 'event_id' = '3';
SELECT e.attributes ->> 'phone' = f.attributes ->> 'phone' AS hashed_once, f.attributes - 'phone' AS attributes FROM decide.event AS e, decide.event AS f WHERE e.event_id = '1' AND f.event_id = '3';
SELECT decide.release_quarantine(quarantine_id, '{"at": "never", "attributes": {"phone": "555 9876", "city": "narvik"}}') FROM decide.quarantine;
SELECT payload #- '{attributes,phone}' AS payload, length(payload #>> '{attributes,phone}') AS phone, treated FROM decide.quarantine;
SELECT decide.release_quarantine(quarantine_id, '{"at": "2026-01-01T00:00:00Z"}') FROM decide.quarantine;
-- the inbox
COPY decide.event_inbox (event) FROM stdin;
{"event_id": "5", "type": "view", "user_id": "ann", "at": "2026-01-01T00:00:00Z", "attributes": {"city": "tromsø", "ip": "10.0.0.1", "phone": "555 1234", "age": 51}}
{"event_id": "6", "type": "view", "at": "2026-01-01T00:00:00Z", "attributes": {"city": "tromsø", "ip": "10.0.0.1", "phone": "555 1234"}}
{"event_id": "7", "type": "view", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}
\.
SELECT event::jsonb #- '{attributes,phone}' AS event, user_key IS NOT NULL AS has_user, treated FROM decide.event_inbox ORDER BY received_at;
SELECT decide.run_job('fold');
SELECT e.event_id, e.attributes - 'phone' AS attributes, e.attributes ->> 'phone' = f.attributes ->> 'phone' AS hashed_once
  FROM decide.event AS e, decide.event AS f WHERE f.event_id = '1' AND e.event_id > '4' ORDER BY 1;
-- imports
CREATE VIEW public.logged AS SELECT 'bob' AS user_id, 'home' AS surface, now() - interval '1 day' AS decided_at, 'plain' AS action, 0.5::float8 AS propensity,
  '{"lat": 63.4, "street": "Main St 1", "page": 3}'::jsonb AS context;
SELECT decide.import_decisions('public.logged', 'elsewhere');
SELECT context_values FROM decide.trace WHERE origin IS NOT NULL;
-- nothing of what must not be known is anywhere
SELECT count(*) FROM (SELECT t::text AS row FROM decide.trace AS t UNION ALL SELECT e::text FROM decide.event AS e UNION ALL SELECT q::text FROM decide.quarantine AS q
  UNION ALL SELECT k::text FROM decide.feature_key AS k UNION ALL SELECT i::text FROM decide.event_inbox AS i UNION ALL SELECT r::text FROM decide.request AS r
  UNION ALL SELECT o::text FROM decide.outcome AS o) AS kept
 WHERE row ~ '63\.4|Main St|12 pro|10\.0\.0|555 |bergen|tromsø|narvik|by the sea';
SELECT key FROM decide.features('ann') ORDER BY key;
-- an expression that takes too long leaves its field out
UPDATE decide.context_field SET expression = $$length(factorial(30000 + length(value #>> '{}'))::text)$$ WHERE field = 'device';
SELECT decide.publish('slow');
SELECT count(*) FROM decide('ann', 'home', '{"lat": 70, "device": "phone 12 pro", "page": 1}');
SELECT lat, device, page, errors FROM seen;

-- none is declared any more
TRUNCATE decide.context_field;
SELECT decide.publish('plain');
SELECT count(*) FROM decide('ann', 'home', '{"lat": 63.4}');
SELECT * FROM seen;
SELECT "table", "row", change FROM decide.bundle_diff(1, 2) ORDER BY 1, 2;
DROP VIEW seen, public.logged;
DROP FUNCTION public.own, public.own_constant;
RESET pg_decide.rule_role;
SELECT decide.revoke('regress_coarsening_rules', 'rules');
DROP ROLE regress_coarsening_rules;
