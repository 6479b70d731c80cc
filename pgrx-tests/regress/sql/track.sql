-- Events: taken in once, or quarantined with every reason and without the person.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
INSERT INTO decide.feature (feature, event_type, aggregate, value_path) VALUES ('spent', 'order', 'decayed_sum', 'value');
SELECT decide.publish();

-- one fault each, and what is good all the same
CREATE FUNCTION told(change jsonb) RETURNS TABLE (answer text, reasons text[]) LANGUAGE plpgsql AS $$
DECLARE
  event jsonb := '{"event_id": "e", "type": "order", "user_id": "u", "at": "2026-01-01T00:00:00Z"}';
BEGIN
  answer := track(CASE jsonb_typeof(change) WHEN 'object' THEN event || change ELSE change END);
  SELECT q.reasons INTO reasons FROM decide.quarantine AS q;
  DELETE FROM decide.quarantine;
  DELETE FROM decide.event;
  DELETE FROM decide.user_state;
  DELETE FROM decide.outcome;
  RETURN NEXT;
END
$$;
\a
SELECT change, t.* FROM (VALUES
  ('{}'::jsonb), ('{"event_id": 7}'), ('{"user_id": 7}'), ('{"user_id": 9223372036854775807}'), ('{"user_id": 9223372036854775808}'), ('{"user_id": 7.0}'), ('{"extra": {"deep": [1]}}'),
  ('{"action": "nothing", "surface": "home", "value": -1.5, "attributes": {}, "schema": 1}'),
  ('{"action": "unknown", "surface": "unknown"}'), ('{"action": null, "surface": null, "value": null, "attributes": null, "schema": null, "decision_id": null}'),
  ('[]'), ('7'), ('null'), ('"text"'),
  ('{"event_id": null}'), ('{"event_id": ""}'), ('{"event_id": "  "}'), ('{"event_id": 1.5}'), ('{"event_id": true}'), ('{"event_id": {}}'),
  ('{"user_id": null}'), ('{"user_id": ""}'), ('{"user_id": -0.5}'), ('{"user_id": 1e30}'), ('{"user_id": ["u"]}'),
  ('{"type": null}'), ('{"type": ""}'), ('{"type": 7}'),
  ('{"at": null}'), ('{"at": ""}'), ('{"at": "yesterday"}'), ('{"at": "2026-01-01T00:00:00"}'), ('{"at": "2026-02-30T00:00:00Z"}'), ('{"at": 1767225600}'), ('{"at": "infinity"}'),
  ('{"at": "2999-01-01T00:00:00Z"}'), ('{"at": "2026-01-01T00:00:00+14:00"}'), ('{"at": "2026-01-01 00:00:00.123456-08"}'),
  ('{"value": "7"}'), ('{"value": 1e400}'), ('{"value": []}'),
  ('{"attributes": []}'), ('{"attributes": "x"}'), ('{"schema": 2}'), ('{"schema": "1"}'),
  ('{"action": 7}'), ('{"surface": ""}'), ('{"decision_id": "x"}'), ('{"decision_id": 7}'), ('{"decision_id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}'),
  ('{"decision_id": "019b76da-a800-7000-8000-000000000000"}')
) AS c (change), told(change) AS t;
\a
SELECT answer, reasons FROM told(jsonb_build_object('event_id', repeat('x', 512)));
SELECT answer, reasons FROM told(jsonb_build_object('event_id', repeat('x', 513)));
SELECT answer, reasons FROM told(jsonb_build_object('user_id', repeat('x', 1024)));
SELECT answer, reasons FROM told(jsonb_build_object('user_id', repeat('x', 1025)));
SELECT answer, reasons FROM told(jsonb_build_object('type', repeat('x', 513)));
SELECT answer, reasons FROM told(jsonb_build_object('extra', repeat('x', 70000)));
-- a bigint is the same user here and there, to the last digit
SELECT track('{"event_id": "b", "type": "order", "user_id": 9007199254740993, "at": "2026-01-01T00:00:00Z", "value": 1}'::jsonb);
SELECT value FROM decide.features(9007199254740993);
SELECT value FROM decide.features(9007199254740992);
-- all faults at once
SELECT answer, reasons FROM told('{"event_id": "", "user_id": null, "type": 7, "at": "x", "value": "x", "attributes": 1, "schema": 9, "decision_id": "x", "action": []}');

-- the quarantine knows the person by pseudonym only, and keeps the payload without user_id, but for how a text begins that
-- cannot be read
SELECT track('{"event_id": "q1", "type": "order", "user_id": "ann.example", "at": "never", "attributes": {"note": "x"}}'::jsonb);
SELECT track(jsonb_build_object('event_id', 'q2', 'user_id', 'ann.example', 'extra', repeat('x', 70000)));
SELECT track('not JSON, by ann.example'::text);
SELECT track(NULL::jsonb);
SELECT track(NULL::text);
SELECT user_key = decide.user_key('ann.example') AS of_ann, reasons, payload FROM decide.quarantine ORDER BY received_at;
SELECT count(*) FROM decide.quarantine AS q WHERE q::text ~ 'ann' AND NOT COALESCE(q.payload ? 'unreadable', false);
SELECT count(*) FROM decide.event;

-- a bad event among good ones does them no harm
SELECT * FROM track(ARRAY['{"event_id": "g1", "type": "order", "user_id": "ann", "at": "2026-01-01T00:00:00Z", "value": 1}',
  '{"event_id": "g2"}', '{"event_id": "g3", "type": "order", "user_id": "ann", "at": "2026-01-01T00:00:00Z", "value": 2}']::jsonb[]);
SELECT value FROM decide.features('ann');
SELECT * FROM track(ARRAY[['{}', '{}'], ['{}', '{}']]::jsonb[]);

-- an array that is sent as one value: a JSON array is many events, whatever its type; an array literal is refused with the cast
SELECT track('[{"event_id": "j1", "type": "order", "user_id": "jan", "at": "2026-01-01T00:00:00Z", "value": 1},
               {"event_id": "j2", "type": "order", "user_id": "jan", "at": "2026-01-01T00:00:00Z", "value": 2}]');
SELECT track('[{"event_id": "j1", "type": "order", "user_id": "jan", "at": "2026-01-01T00:00:00Z", "value": 1},
               {"event_id": "j3", "type": "order", "user_id": "jan", "at": "2026-01-01T00:00:00Z", "value": 4}]'::jsonb);
SELECT track('[{"event_id": "j1", "type": "order", "user_id": "jan", "at": "2026-01-01T00:00:00Z", "value": 1}]');
SELECT track('[{"event_id": "j4", "type": "order", "user_id": "jan", "at": "2026-01-01T00:00:00Z", "value": 8}, 7, [{}], null]');
SELECT track('[]'), track('[]'::jsonb);
SELECT track('[{"event_id": "j5", "type": "order", "user_id": "jan", "at": "2026-01-01T00:00:00Z", "value": 16}, {}]', strict => true);
SELECT track(ARRAY['{"event_id": "j6", "type": "order", "user_id": "jan", "at": "2026-01-01T00:00:00Z", "value": 32}']::jsonb[]::text);
SELECT track(pg_catalog.jsonb_agg(jsonb_build_object('event_id', 'many ' || i, 'type', 'order', 'user_id', 'jan', 'at', '2026-01-01T00:00:00Z', 'value', 1))::text)
  FROM generate_series(1, 1000) AS i;
SELECT value FROM decide.features('jan');

-- an outcome of a decision: an event that names it, once
CREATE TABLE answer AS SELECT * FROM decide('bob', 'home');
SELECT track(jsonb_build_object('event_id', 'c1', 'type', 'click', 'user_id', 'bob', 'at', clock_timestamp(), 'decision_id', decision_id, 'action', action)) FROM answer;
SELECT track(jsonb_build_object('event_id', 'o1', 'type', 'order', 'user_id', 'bob', 'at', clock_timestamp(), 'decision_id', decision_id, 'value', 20)) FROM answer;
SELECT track(jsonb_build_object('event_id', 'o1', 'type', 'order', 'user_id', 'bob', 'at', clock_timestamp(), 'decision_id', decision_id, 'value', 20)) FROM answer;
SELECT o.event_id, o.type, o.action, o.value, o.decided_at = t.decided_at AS same_moment, o.user_key = t.user_key AS same_user
  FROM decide.outcome AS o JOIN decide.trace AS t USING (decision_id) ORDER BY 1;
SELECT e.type, e.action, e.value, e.decision_id IS NOT NULL AS decision FROM decide.event AS e WHERE e.user_key = decide.user_key('bob') ORDER BY 1;
-- the caller's rollback takes event, feature and outcome along
BEGIN;
SELECT track(jsonb_build_object('event_id', 'o2', 'type', 'order', 'user_id', 'bob', 'at', clock_timestamp(), 'decision_id', decision_id, 'value', 5)) FROM answer;
ROLLBACK;
SELECT value FROM decide.features('bob');
SELECT track(jsonb_build_object('event_id', 'o2', 'type', 'order', 'user_id', 'bob', 'at', clock_timestamp(), 'decision_id', decision_id, 'value', 5)) FROM answer;
SELECT value FROM decide.features('bob');
SELECT count(*) FROM decide.outcome;
