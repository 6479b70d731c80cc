-- Contracts of events: each reason, versions that come and go, and the way out of the quarantine.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
INSERT INTO decide.feature (feature, event_type, aggregate, value_path) VALUES ('spent', 'order', 'decayed_sum', 'value'), ('weight', 'order', 'decayed_sum', 'attributes.weight');
SELECT decide.publish();
CREATE FUNCTION event(change jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', 'e', 'type', 'order', 'user_id', 'ann', 'at', clock_timestamp(), 'value', 1) || change
$$;

-- a contract that is not published is not in force
INSERT INTO decide.event_type (event_type, fields, keep_attributes, dedup_horizon, lateness, future_tolerance, retention, purpose) VALUES
  ('order', '{"value": {"required": true, "min": 0, "max": 10000}, "action": {"required": true, "max_length": 12},
     "surface": {"one_of": ["home", "mail"]}, "decision_id": {}, "attributes.price": {"type": "number", "min": 1},
     "attributes.pieces": {"type": "integer", "min": 1, "max": 99}, "attributes.color": {"type": "text", "one_of": ["red", "blue"], "max_length": 4},
     "attributes.gift": {"type": "boolean"}, "attributes.due": {"type": "time"}, "attributes.basket": {"type": "uuid"}, "attributes.any": {"required": true}}',
   '{color,gift,nested,absent}', '1 hour', '2 days', '1 minute', '3 days', 'revenue');
SELECT track(event('{"event_id": "free"}'));
SELECT track(event('{"event_id": "freer", "type": "anything"}'));
SELECT decide.publish();
SELECT "table", "row", change, after->'purpose' AS purpose, after->'lateness' AS lateness FROM decide.bundle_diff(1, 2);
DELETE FROM decide.event;

-- one fault each, and what is good all the same
CREATE FUNCTION told(change jsonb) RETURNS TABLE (answer text, reasons text[], type text) LANGUAGE plpgsql AS $$
BEGIN
  answer := track(event('{"action": "a", "attributes": {"any": 1}}') || change);
  SELECT q.reasons, q.event_type INTO reasons, type FROM decide.quarantine AS q;
  DELETE FROM decide.quarantine;
  DELETE FROM decide.event;
  RETURN NEXT;
END
$$;
\a
SELECT change, t.* FROM (VALUES
  ('{}'::jsonb), ('{"value": 0}'), ('{"value": 10000}'), ('{"schema": 1}'), ('{"schema": 1.0}'), ('{"surface": "mail"}'), ('{"user_id": 7, "event_id": 8}'),
  ('{"attributes": {"any": [], "price": 1.5, "pieces": 99, "color": "blue", "gift": false, "due": "2026-01-01T00:00:00Z", "basket": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "more": {}}}'),
  ('{"attributes": {"any": 0, "price": null, "pieces": 1.0, "color": null}}'),
  ('{"value": null}'), ('{"value": -0.001}'), ('{"value": 10000.001}'), ('{"value": "7"}'), ('{"value": 1e400}'),
  ('{"action": null}'), ('{"action": "thirteen long"}'), ('{"action": 7}'), ('{"surface": "feed"}'), ('{"surface": []}'), ('{"decision_id": "x"}'), ('{"decision_id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}'), ('{"decision_id": "019b76da-a800-7000-8000-000000000000"}'),
  ('{"attributes": {}}'), ('{"attributes": null}'), ('{"attributes": []}'), ('{"attributes": {"any": null}}'),
  ('{"attributes": {"any": 1, "price": "7"}}'), ('{"attributes": {"any": 1, "price": 0.5}}'), ('{"attributes": {"any": 1, "price": 1e999}}'), ('{"attributes": {"any": 1, "price": true}}'),
  ('{"attributes": {"any": 1, "pieces": 1.5}}'), ('{"attributes": {"any": 1, "pieces": 0}}'), ('{"attributes": {"any": 1, "pieces": 9223372036854775808}}'), ('{"attributes": {"any": 1, "pieces": "3"}}'),
  ('{"attributes": {"any": 1, "color": "green"}}'), ('{"attributes": {"any": 1, "color": "gold"}}'), ('{"attributes": {"any": 1, "color": 3}}'),
  ('{"attributes": {"any": 1, "gift": "true"}}'), ('{"attributes": {"any": 1, "gift": 1}}'),
  ('{"attributes": {"any": 1, "due": "tomorrow"}}'), ('{"attributes": {"any": 1, "due": 5}}'), ('{"attributes": {"any": 1, "due": "2026-13-01T00:00:00Z"}}'),
  ('{"attributes": {"any": 1, "basket": "a0eebc99"}}'), ('{"attributes": {"any": 1, "basket": {}}}'),
  ('{"type": "click"}'), ('{"type": "Order"}'), ('{"type": "click", "schema": 9}'), ('{"schema": 2}'), ('{"schema": 0}'), ('{"schema": 99999}'), ('{"schema": "1"}'), ('{"schema": 1e300}'),
  ('{"at": "-infinity"}'), ('{"at": "2999-01-01T00:00:00Z"}'), ('{"at": "2020-01-01T00:00:00Z"}'), ('{"at": "0000-01-01T00:00:00Z"}')
) AS c (change), told(change) AS t;
\a
-- as old and as far ahead as allowed, and a little more
SELECT offset_, (told(jsonb_build_object('at', clock_timestamp() + offset_))).* FROM unnest(ARRAY['-47:59', '-48:01', '00:00:30', '00:01:30']::interval[]) AS offset_;
-- all at once
SELECT answer, reasons FROM told('{"event_id": {}, "user_id": null, "at": 0, "value": -1, "action": null, "surface": "x", "decision_id": 7, "attributes": {"price": "x", "pieces": 0}}');

-- text that is no event: no error, whatever it is; nested too deeply, too large, half a character, NUL
CREATE FUNCTION told_of_text(event text) RETURNS TABLE (answer text, reasons text[], type text, kept boolean) LANGUAGE plpgsql AS $$
BEGIN
  answer := track(event);
  SELECT q.reasons, q.event_type, q.payload IS NOT NULL INTO reasons, type, kept FROM decide.quarantine AS q;
  DELETE FROM decide.quarantine;
  DELETE FROM decide.event;
  RETURN NEXT;
END
$$;
CREATE FUNCTION with_(extra text) RETURNS text LANGUAGE sql AS $$ SELECT left(event('{"action": "a", "attributes": {"any": 1}}')::text, -1) || ', "x": ' || extra || '}' $$;
SELECT what, t.* FROM (VALUES
  ('good', with_('1')), ('empty', ''), ('no JSON', 'order'), ('cut off', left(with_('1'), -1)), ('twice', with_('1') || with_('2')),
  ('NUL', with_('"\u0000"')), ('half a character', with_('"\ud83d"')), ('the other half', with_('"\ude00"')), ('a whole one', with_('"\ud83d\ude00"')),
  ('NaN', with_('NaN')), ('beyond any number', with_('1e999999')), ('a large one', with_('1e99999')),
  ('nested 199', with_(repeat('[', 199) || repeat(']', 199))), ('nested 200', with_(repeat('[', 200) || repeat(']', 200))), ('nested 30000', with_(repeat('[', 30000) || repeat(']', 30000))),
  ('objects', with_(repeat('{"a":', 250) || '1' || repeat('}', 250))),
  ('too large', with_('"' || repeat('x', 70000) || '"')), ('an array', '[]'), ('null', 'null')
) AS c (what, event), told_of_text(event) AS t;
SELECT (told(jsonb_build_object('x', repeat('x', 70000)))).*;
SELECT (told(jsonb_build_object('x', (repeat('[', depth) || repeat(']', depth))::jsonb))).* FROM unnest(ARRAY[250, 3000]) AS depth;

-- what is kept: what features and the contract ask for, and the version
SELECT track(event('{"event_id": "kept", "action": "a", "attributes": {"any": 1, "weight": 2.5, "color": "red", "gift": true, "nested": {"a": 1}, "price": 3, "name": "Ann"}}'));
SELECT type, action, value, attributes, schema_version FROM decide.event;

-- once, within the horizon of the type
SELECT track(event('{"event_id": "once", "action": "a", "attributes": {"any": 1}}') || jsonb_build_object('at', clock_timestamp() - ago)) FROM unnest(ARRAY['0', '00:59', '01:01']::interval[]) AS ago;

-- strict: an error with all reasons, and nothing is kept
SELECT count(*) FROM decide.quarantine;
SELECT track(event('{"value": -1, "attributes": {"any": 1}}'), strict => true);
SELECT track('{"event_id"', strict => true);
SELECT track(NULL::jsonb, true);
SELECT * FROM track(ARRAY[event('{"event_id": "s1", "action": "a", "attributes": {"any": 1}}'), event('{"type": "click"}')], strict => true);
SELECT * FROM track(ARRAY[event('{"event_id": "s1", "action": "a", "attributes": {"any": 1}}'), event('{"event_id": "once", "action": "a", "attributes": {"any": 1}}')], true);
SELECT track(event('{"event_id": "s1", "action": "a", "attributes": {"any": 1}}'), true);
SELECT track(event('{"event_id": "s2"}'), NULL) AS strict_is_null;
SELECT count(*) FROM decide.quarantine;
-- calls with one argument, as ever
SELECT track('{}'), track('{}'::jsonb), track('{}'::text);
SELECT * FROM track(ARRAY['{}']::jsonb[]);
SELECT * FROM track('{}'::jsonb[]);

-- versions side by side while producers move; the old one is retired in the end
DELETE FROM decide.quarantine;
INSERT INTO decide.event_type (event_type, schema_version, fields, dedup_horizon, lateness, retention)
  SELECT 'order', 2, '{"value": {"type": "integer", "required": true}}', dedup_horizon, lateness, retention FROM decide.event_type;
UPDATE decide.event_type SET status = 'deprecated' WHERE schema_version = 1;
SELECT decide.publish();
SELECT track(event('{"event_id": "v1", "action": "a", "attributes": {"any": 1}}')), track(event('{"event_id": "v2", "schema": 2}'));
SELECT track(event('{"event_id": "v1", "schema": 2}')) AS same_event_in_the_other_version;
SELECT track(event('{"event_id": "v3", "schema": 2, "value": 1.5}')), track(event('{"event_id": "v4"}'));
SELECT event_type, schema_version, status, purpose, accepted_24h, last_seen > now() - interval '1 minute' AS seen, quarantined_24h FROM decide.event_type_usage ORDER BY 1, 2;
UPDATE decide.event_type SET status = 'retired' WHERE schema_version = 1;
SELECT decide.publish();
SELECT track(event('{"event_id": "v5", "action": "a", "attributes": {"any": 1}}')), track(event('{"event_id": "v6", "schema": 2}'));
SELECT event_type, schema_version, status, accepted_24h, quarantined_24h FROM decide.event_type_usage ORDER BY 1, 2;
SELECT event_type, reasons FROM decide.quarantine ORDER BY received_at, quarantine_id;
-- a query that leaves last_seen out does not read all events
CREATE FUNCTION reads_all_events(columns text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN SELECT ' || columns || ' FROM decide.event_type_usage' LOOP
    IF line ~ 'on event_default' THEN RETURN true; END IF;
  END LOOP;
  RETURN false;
END
$$;
SELECT reads_all_events('event_type, last_seen'), reads_all_events('event_type, quarantined_24h');
-- an old bundle has its old contracts
SELECT decide.rollback(1);
SELECT track(event('{"event_id": "v7", "type": "anything"}'));
SELECT count(*) FROM decide.event_type_usage;
SELECT decide.rollback(4);

-- release: repaired by a patch, as whom it was, or still bad for what is left
DELETE FROM decide.quarantine;
DELETE FROM decide.event;
DELETE FROM decide.user_state;
SELECT track(event('{"event_id": "r1", "schema": 2, "value": "12", "attributes": {"note": "x", "weight": "heavy"}}'));
SELECT quarantine_id AS id FROM decide.quarantine \gset
SELECT decide.release_quarantine(:'id');
SELECT decide.release_quarantine(:'id', '{"value": 12.5}');
SELECT reasons, payload->'value' AS value, payload ? 'user_id' AS names_user FROM decide.quarantine;
SELECT decide.release_quarantine(:'id', '{"value": 12, "attributes": {"weight": 3}}');
SELECT count(*) FROM decide.quarantine;
SELECT user_key = decide.user_key('ann') AS anns, value, attributes FROM decide.event;
SELECT feature, value FROM decide.features('ann') WHERE feature = 'spent';
-- a duplicate leaves too
SELECT track(event('{"event_id": "r1", "value": 12}'));
SELECT decide.release_quarantine(quarantine_id, '{"schema": 2}') FROM decide.quarantine;
SELECT count(*) FROM decide.quarantine;
-- one without a user, and one that was no event at all
SELECT track(event('{"event_id": "r2", "schema": 2, "user_id": null}')), track('nothing');
SELECT decide.release_quarantine(quarantine_id, '{}') FROM decide.quarantine ORDER BY payload->>'event_id';
SELECT user_key, reasons FROM decide.quarantine ORDER BY payload->>'event_id';
SELECT decide.release_quarantine(quarantine_id, '{"user_id": "bob"}') FROM decide.quarantine WHERE payload->>'event_id' = 'r2';
SELECT decide.release_quarantine(quarantine_id, event('{"event_id": "r3", "schema": 2, "user_id": "cleo"}')) FROM decide.quarantine;
SELECT e.event_id, u.name FROM decide.event AS e JOIN (VALUES ('ann'), ('bob'), ('cleo')) AS u (name) ON e.user_key = decide.user_key(u.name) ORDER BY 1;
-- a user named in a patch that does not do is kept as a pseudonym only
SELECT track(event('{"event_id": "r4", "value": "x", "schema": 2, "user_id": ""}'));
SELECT decide.release_quarantine(quarantine_id, '{"user_id": "dora"}') FROM decide.quarantine;
SELECT user_key = decide.user_key('dora') AS doras, reasons, payload ? 'user_id' AS names_user, q::text ~ 'dora' AS anywhere FROM decide.quarantine AS q;
SELECT decide.release_quarantine(quarantine_id, '{"value": 4}') FROM decide.quarantine;
-- what a patch makes unreadable stays as it was
SELECT track(event('{"event_id": "r5", "schema": 2, "value": "x"}'));
SELECT decide.release_quarantine(quarantine_id, jsonb_build_object('note', repeat('x', 70000))) FROM decide.quarantine;
SELECT reasons, payload->'value' AS value, payload ? 'note' AS note FROM decide.quarantine;
SELECT decide.release_quarantine(quarantine_id, '{"value": 5}') FROM decide.quarantine;

-- an event is not too late for having been looked at, unless its first copy may be gone by now
SELECT track(event(jsonb_build_object('event_id', 'w' || days, 'schema', 2, 'value', 'x', 'at', clock_timestamp() - days * interval '1 day'))) FROM unnest(ARRAY[1.9, 2.5, 3.1]) AS days;
SELECT reasons FROM decide.quarantine ORDER BY quarantine_id;
UPDATE decide.quarantine SET received_at = received_at - interval '1.5 days';
SELECT payload->>'event_id' AS event, decide.release_quarantine(quarantine_id, '{"value": 1}') FROM decide.quarantine ORDER BY 1;
SELECT reasons FROM decide.quarantine;
SELECT event_id, received_at < now() - interval '1 day' AS received_then FROM decide.event WHERE event_id ~ '^w';
DELETE FROM decide.quarantine;

-- many at once, by code or by the whole reason
SELECT * FROM track(ARRAY(SELECT event(jsonb_build_object('event_id', 'm' || i, 'schema', CASE WHEN i <= 3 THEN 7 ELSE 2 END, 'value', CASE WHEN i % 3 = 0 THEN '"x"' ELSE '1' END::jsonb)) FROM generate_series(1, 6) AS i));
SELECT * FROM decide.release_all('unknown_schema', '{"schema": 2}');
SELECT * FROM decide.release_all('bad_number: value', '{"value": 3}');
SELECT * FROM decide.release_all('bad_number');
SELECT count(*) FROM decide.quarantine;
SELECT count(*), sum(value) FROM decide.event WHERE event_id ~ '^m';

-- mistakes of the caller
SELECT decide.release_quarantine(NULL);
SELECT decide.release_quarantine('01920000-0000-7000-8000-000000000000');
SELECT track('x'::text);
SELECT decide.release_quarantine(quarantine_id, '[]') FROM decide.quarantine;
SELECT decide.release_quarantine(quarantine_id, NULL) FROM decide.quarantine;
SELECT decide.release_all(NULL);
SELECT decide.release_all('not_json', '7');
BEGIN READ ONLY;
SELECT decide.release_all('not_json');
ROLLBACK;

-- faults of contracts, all at once
BEGIN;
DELETE FROM decide.event_type;
INSERT INTO decide.event_type (event_type, schema_version, fields, keep_attributes, dedup_horizon, lateness, future_tolerance, retention) VALUES
  ('order', 1, '{"value": {"min": 5, "max": 1}, "at": {}, "attributes.x": {"tpye": "text"}, "action": {"type": "number"}}', '{a,a," b"}', '1 day', NULL, '5 minutes', NULL),
  ('order', 2, '{"surface": [], "attributes.y": {"type": "text", "one_of": "a", "max_length": 1.5, "min": 0}}', '{}', '2 days', NULL, '5 minutes', NULL),
  ('late', 1, '{}', '{}', '1 day', '2 days', '5 minutes', '2 days'),
  ('later', 1, '{}', '{}', '0', '-1 day', '-1 s', '1 day'),
  ('latest', 1, '{}', '{}', '31 days', NULL, '31 days', '1000 years'),
  ('large', 1, '{"value": {"max": 1e999}}', '{}', '1 day', NULL, '0', NULL),
  (' blank', 1, '{}', '{}', '1 day', NULL, '0', NULL);
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('clicks', 'click', 'decayed_count');
SELECT decide.publish();
ROLLBACK;
BEGIN;
UPDATE decide.event_type SET status = 'retired';
SELECT decide.publish();
ROLLBACK;
-- what the table itself refuses
\set VERBOSITY terse
INSERT INTO decide.event_type (event_type, schema_version) VALUES ('x', 0);
INSERT INTO decide.event_type (event_type, status) VALUES ('x', 'new');
INSERT INTO decide.event_type (event_type, fields) VALUES ('x', '[]');
INSERT INTO decide.event_type (event_type, keep_attributes) VALUES ('x', '{NULL}');
INSERT INTO decide.event_type (event_type) VALUES ('order'), ('order');
\set VERBOSITY default

-- who may: the operator releases and edits, the analyst sees the use, the application neither
CREATE ROLE regress_types_operate;
CREATE ROLE regress_types_analyse;
CREATE ROLE regress_types_serve;
SELECT decide.grant('regress_types_' || job, job) FROM unnest(ARRAY['serve', 'analyse', 'operate']) AS job;
SET ROLE regress_types_operate;
INSERT INTO decide.event_type (event_type, purpose) VALUES ('click', 'relevance');
SELECT decide.publish();
SELECT * FROM decide.release_all('missing', event('{"event_id": "o1", "type": "click"}'));
RESET ROLE;
SET ROLE regress_types_analyse;
SELECT event_type, schema_version, accepted_24h FROM decide.event_type_usage WHERE event_type = 'click';
SELECT count(*) FROM decide.event_type;
SELECT decide.release_all('not_json');
RESET ROLE;
SET ROLE regress_types_serve;
SELECT track(event('{"event_id": "o2", "type": "click"}'), strict => true);
SELECT decide.release_all('not_json');
RESET ROLE;
SELECT decide.revoke('regress_types_' || job, job) FROM unnest(ARRAY['serve', 'analyse', 'operate']) AS job;
DROP ROLE regress_types_operate, regress_types_analyse, regress_types_serve;
