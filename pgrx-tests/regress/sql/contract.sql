-- Every function of the contract, called as it is documented.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing'), ('offer');
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('clicks', 'click', 'decayed_count');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish('first');
SET pg_decide.seed = 1;

-- what the defaults of the policy tables are
SELECT slots, latency_budget, context_fields FROM decide.surface;
SELECT surfaces, attributes, eligible_when, cost FROM decide.action WHERE action = 'offer';
SELECT entity, value_path, key_path, half_life, default_value FROM decide.feature;
SELECT model, params FROM decide.policy;

-- decide: a row per slot, alone in the select list too
SELECT slot, action, probability, decision_id IS NOT NULL AS traced, reason FROM decide('ann', 'home');
SELECT slot, action, probability, reason FROM decide('ann', 'home', '{"device": "mobile"}');
SELECT slot, action FROM decide(user_id => 'ann', surface => 'home', context => '{}');
SELECT count(decide) FROM (SELECT decide('ann', 'home')) AS answer;
SELECT count(*) FROM generate_series(1, 3) AS user_id, decide(user_id, 'home');
SELECT count(*), count(DISTINCT decision_id), count(DISTINCT user_key) FROM decide.decision;

-- a user_id is a text, a bigint or a uuid; one user has one key whichever way they are written
SELECT action FROM decide(42, 'home');
SELECT action FROM decide(42::smallint, 'home');
SELECT action FROM decide('42'::text, 'home');
SELECT action FROM decide('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 'home');
SELECT decide.user_key(42) = decide.user_key('42') AS same_bigint,
       decide.user_key('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid)
         = decide.user_key('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::text) AS same_uuid,
       decide.user_key('42') <> decide.user_key('042') AS others_differ,
       decide.user_key(-1) = decide.user_key('-1') AS negative,
       decide.user_key(9223372036854775807) = decide.user_key('9223372036854775807') AS large;
SELECT count(*) FROM decide.decision WHERE user_key = decide.user_key(42);

-- track: one event as jsonb or as text, and many at once
SELECT track('{"event_id": "e1", "type": "click", "user_id": 42, "at": "2026-01-01T00:00:00Z"}');
SELECT track('{"event_id": "e1", "type": "click", "user_id": "42", "at": "2026-01-01T00:00:00Z"}'::jsonb);
SELECT track(jsonb_build_object('event_id', 'e2', 'type', 'click', 'user_id', 42, 'at', '2026-01-01T00:00:00Z'));
SELECT track('{"event_id": "e3", "type": "click", "user_id": 42, "at": "2026-01-01 00:00:00+00"}'::text);
SELECT track('{"event_id": "e4"'::text);
SELECT * FROM track(ARRAY[
  '{"event_id": "e5", "type": "click", "user_id": 42, "at": "2026-01-01T00:00:00Z"}',
  '{"event_id": "e5", "type": "click", "user_id": 42, "at": "2026-01-01T00:00:00Z"}',
  '{"event_id": "e6", "type": "click", "user_id": "", "at": "2026-01-01T00:00:00Z"}',
  '7', NULL]::jsonb[]);
SELECT * FROM track('{}'::jsonb[]);

-- features, by each way of writing a user
SELECT feature, key, value, updated_at = '2026-01-01 00:00:00+00' AS updated FROM decide.features(42);
SELECT feature, key, value FROM decide.features('42');
SELECT feature, key, value, updated_at FROM decide.features('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid);

-- explain, by each way of writing a user
SELECT action, score, probability, step, reason, slot, slot_probability FROM decide.explain('ann', 'home');
SELECT count(*) FROM decide.explain(42, 'home', '{}');
SELECT count(*) FROM decide.explain('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 'home', '{}', 7);

-- replay, and the time in an identifier
SELECT r.agrees, r.difference, count(*)
  FROM decide.decision AS d, decide.replay(d.decision_id) AS r GROUP BY 1, 2;
SELECT count(*) FROM decide.decision WHERE decide.decided_at(decision_id) IS DISTINCT FROM decided_at;
SELECT decide.decided_at('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');

-- publish, rollback, and their history
SELECT decide.publish();
SELECT decide.publish(note => NULL);
SELECT decide.rollback(1, 'back');
SELECT decide.rollback(bundle => 2);
SELECT publication, kind, bundle, note, in_force FROM decide.bundle_history;
SELECT count(*) FROM decide.bundle_diff(1, 2);

-- jobs
SELECT decide.run_job('partitions');

-- in the schema of the caller's choice are the two verbs and nothing else
SELECT DISTINCT p.pronamespace::regnamespace AS schema, p.proname
  FROM pg_depend AS d JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
 WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_decide')
   AND p.pronamespace <> 'decide'::regnamespace
 ORDER BY 2;

-- times beyond all sense are refused where they are written
\set VERBOSITY terse
INSERT INTO decide.surface (surface, fallback_action, latency_budget) VALUES ('eternal', 'nothing', '1001 days');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life) VALUES ('eternal', 'click', 'decayed_count', '6000000 years');
INSERT INTO decide.cap (cap, per, max_count, window_length, window_kind) VALUES ('eternal', 'user', 1, '7000 years', 'sliding');
INSERT INTO decide.cap (cap, per, max_count, counts, hold) VALUES ('eternal', 'user', 1, 'click', '2000000000 days');
