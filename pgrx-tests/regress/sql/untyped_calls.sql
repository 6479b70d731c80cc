-- What drivers send: json and jsonb, one or many, typed or not; a call without types is never ambiguous.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('none', 'nothing');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{none}'), ('a', '{home}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish('one');
SELECT track('{"event_id": "1", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}');
SELECT track('{"event_id": "2", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}', true);
SELECT track('{"event_id": "3", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}', strict => true);
SELECT track('{"event_id": "4", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}'::json);
SELECT track('{"event_id": "4", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}'::jsonb);
SELECT track('[{"event_id": "5", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}, {"event_id": "6", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}]'::json);
SELECT * FROM track(ARRAY['{"event_id": "6", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}', '{"event_id": "7", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}', NULL, '[1]', '{"a": "\u0000"}', '{"a": 1, "a": 2}']::json[]);
SELECT * FROM track(ARRAY['{"event_id": "7", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}'::json, '{"event_id": "8", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}']);
SELECT * FROM track('{}'::json[]);
SELECT * FROM track(NULL::json[]);
SELECT track(NULL::json);
SELECT * FROM track(ARRAY['{"type": 1}']::json[], true);
SELECT unnest(reasons), count(*) FROM decide.quarantine GROUP BY 1 ORDER BY 1;
PREPARE event AS SELECT track($1);
EXECUTE event ('{"event_id": "9", "type": "click", "user_id": "u", "at": "2026-01-01T00:00:00Z"}');
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'event';
-- decide: a context without a type is jsonb, and one of json is to be cast
SELECT count(*) FROM decide('u', 'home');
SELECT count(*) FROM decide('u', 'home', '{}');
SELECT count(*) FROM decide('u', 'home', NULL);
SELECT count(*) FROM decide('u', 'home', '{}', 'r');
SELECT count(*) FROM decide('u', '{home}'::text[], '{}');
SELECT count(*) FROM decide(42, 'home', '{}');
SELECT count(*) FROM decide(user_id => 'u', surface => 'home', context => '{"a": 1}', request_id => 'r1');
PREPARE visit AS SELECT count(*) FROM decide($1, $2, $3);
EXECUTE visit ('u', 'home', '{}');
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'visit';
SELECT count(*) FROM decide('u', 'home', '{}'::json);
SELECT count(*) FROM decide('u', 'home', '{}'::json::jsonb);
-- several surfaces without a type are one name
SELECT count(*) FROM decide('u', '{home,none}');
-- a row, as some drivers write a tuple of events
SELECT track('("{""event_id"": ""10"", ""type"": ""click"", ""user_id"": ""u"", ""at"": ""2026-01-01T00:00:00Z""}","{}")');
\echo :SQLSTATE
-- no event at all
SELECT track('[]'), track('[]'::json), track('[]'::jsonb, true);
-- what cannot be read is kept, as far as a look at it takes, and goes with the next erasure of anybody
DELETE FROM decide.quarantine;
SELECT track('{"user_id": "cynthia", "type": "click"' || repeat(E'é\t', 1000)), track('{"event_id": 1} {"event_id": 2}'), track('{"a": "\u0000"}');
SELECT reasons, left(payload ->> 'unreadable', 45) AS begins, octet_length(payload ->> 'unreadable') AS bytes FROM decide.quarantine ORDER BY 2;
SELECT decide.erase('dora') IS NOT NULL AS receipt;
SELECT reasons, payload FROM decide.quarantine ORDER BY 1;
-- nor is it kept at all where something must not be
INSERT INTO decide.purpose (purpose) VALUES ('analysis');
SELECT decide.publish('two');
SELECT track('{"user_id": "cynthia"');
SELECT count(*) AS rows, count(payload) AS kept FROM decide.quarantine;
