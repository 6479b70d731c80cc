-- A new key of the pseudonyms: new persons are under it at once, those who are known are found under the old one, and moved.
SET timezone = 'UTC';
INSERT INTO decide.purpose (purpose, consent) VALUES ('ads', 'opt-in'), ('relevance', 'opt-out');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('elsewhere', 'nothing');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{elsewhere}'), ('a', '{home}');
INSERT INTO decide.feature (feature, event_type, aggregate, purpose) VALUES ('clicks', 'click', 'decayed_count', 'relevance');
INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('thrice', 'home', 'user', 3);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.rotate_pseudonyms();
SELECT decide.publish();
CREATE FUNCTION event(id text, person text, at timestamptz DEFAULT clock_timestamp()) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', id, 'type', 'click', 'user_id', person, 'at', at)
$$;
CREATE FUNCTION clicks(person text) RETURNS numeric LANGUAGE sql AS $$ SELECT round(value::numeric, 2) FROM decide.features(person) WHERE feature = 'clicks' $$;
-- under which key a person is found, and under which there are rows
CREATE FUNCTION under(person text) RETURNS text LANGUAGE sql AS $$
  SELECT decide.key_number(decide.user_key(person)) || ' of ' || string_agg(DISTINCT decide.key_number(k)::text, ',' ORDER BY decide.key_number(k)::text) FROM unnest(decide.user_keys(person)) AS k
$$;
CREATE FUNCTION rows_of(keys uuid[]) RETURNS TABLE (name text, n bigint) LANGUAGE sql AS $$
  SELECT 'user_state', count(*) FROM decide.user_state WHERE user_key = ANY (keys) OR merged_into = ANY (keys) OR merged_from && keys
   UNION ALL SELECT 'trace', count(*) FROM decide.trace WHERE user_key = ANY (keys)
   UNION ALL SELECT 'event', count(*) FROM decide.event WHERE user_key = ANY (keys)
   UNION ALL SELECT 'request', count(*) FROM decide.request WHERE user_key = ANY (keys)
   UNION ALL SELECT 'adjustment', count(*) FROM decide.adjustment WHERE user_key = ANY (keys)
   UNION ALL SELECT 'consent_log', count(*) FROM decide.consent_log WHERE user_key = ANY (keys)
   UNION ALL SELECT 'legal_hold', count(*) FROM decide.legal_hold WHERE user_key = ANY (keys)
   UNION ALL SELECT 'quarantine', count(*) FROM decide.quarantine WHERE user_key = ANY (keys)
   UNION ALL SELECT 'user_merge', count(*) FROM decide.user_merge WHERE user_key = ANY (keys) OR merged_into = ANY (keys)
   UNION ALL SELECT 'pseudonym_move', count(*) FROM decide.pseudonym_move WHERE old_key = ANY (keys) OR new_key = ANY (keys)
$$;

-- before: somebody of whom there is something everywhere, two who are one, one who was erased, one who is under a hold, and
-- one who is known by invalid and by unread events only
SELECT track(event('1', 'ann')), track(event('1', 'visitor')), track(event('1', 'maria')), track(event('1', 'gone')), track(event('1', 'idle')), track(event('1', 'bob'));
SELECT action, reason FROM decide('ann', 'home', '{}', 'r1');
SELECT decision_id AS first FROM decide('ann', 'home', '{}', 'r1') \gset
SELECT decide.set_consent('ann', 'ads', true, 'form', now() - interval '1 day'), decide.set_consent('bob', 'relevance', false, 'form', now() - interval '1 day');
SELECT decide.adjust_exposure('ann', 'thrice', 1, 'as told by telephone') AS adjusted;
SELECT decide.merge_users('visitor', 'maria');
SELECT decide.erase('gone') IS NOT NULL AS erased;
SELECT decide.set_legal_hold('ann', 'file 7'), decide.set_legal_hold('held', 'file 8');
SELECT track('{"event_id": "2", "user_id": "quinn", "at": "2026-01-01T00:00:00Z"}'::jsonb);
INSERT INTO decide.event_inbox (event) VALUES (event('1', 'ivy')::text);
SELECT decide.user_key('ann') AS ann \gset

-- it is undone with its transaction; nothing of it is in the keys that are shown
BEGIN;
SELECT decide.rotate_pseudonyms();
SELECT under('ann'), under('new');
ROLLBACK;
SELECT under('ann'), under('new');
SELECT decide.rotate_pseudonyms();
SELECT number, created_by = SESSION_USER AS by_me, is_newest, is_outside, settled, kept_in FROM decide.pseudonym_key ORDER BY number;
SELECT decide.rotate_pseudonyms();

-- at the next statement: who is known is found as before, who is new is under the new key
SELECT under('ann'), under('visitor'), under('maria'), under('gone'), under('new');
SELECT decide.user_key('ann') = :'ann' AS same, clicks('ann');
SELECT purpose, granted FROM decide.consent('ann');
SELECT purpose, granted FROM decide.consent('bob');
SELECT count(*) FROM decide.pseudonym_move;
SELECT track(event('1', 'ann')), track(event('2', 'ann')), track(event('2', 'visitor')), track(event('1', 'new')), track(event('0', 'gone', now() - interval '1 hour')), track(event('2', 'bob'));
SELECT decision_id = :'first' AS same FROM decide('ann', 'home', '{}', 'r1');
SELECT action, reason FROM decide('ann', 'home');
SELECT action, reason FROM decide('ann', 'home');
SELECT action, step, reason FROM decide.explain('ann', 'home') WHERE action = 'a';
SELECT under('ann'), clicks('ann'), clicks('maria'), clicks('bob');
SELECT count(*) FROM decide.pseudonym_move;

-- the job moves those who were seen
SELECT decide.run_job('pseudonyms');
SELECT count(*) FROM decide.pseudonym_move;
SELECT under('ann'), under('visitor'), under('maria'), under('bob'), under('idle'), under('gone');
SELECT clicks('ann'), clicks('maria'), clicks('visitor'), clicks('bob'), clicks('idle');
SELECT purpose, granted FROM decide.consent('ann');
SELECT purpose, granted FROM decide.consent('bob');
SELECT purpose, granted, source FROM decide.consent_history WHERE user_key = decide.user_key('ann');
SELECT track(event('1', 'ann')), track(event('2', 'ann')), track(event('2', 'maria'));
SELECT decision_id = :'first' AS same FROM decide('ann', 'home', '{}', 'r1');
SELECT action, step, reason FROM decide.explain('ann', 'home') WHERE action = 'a';
SELECT name, n FROM rows_of(ARRAY[:'ann']::uuid[]);
SELECT name, n FROM rows_of(ARRAY[decide.user_key('ann')]);
SELECT count(*) FROM decide.decision WHERE user_key = ANY (decide.user_keys('ann'));
SELECT key, jsonb_array_length(value) FROM jsonb_each(decide.export_person('ann') - 'user_key' - 'state') ORDER BY key;
-- a second visit finds everybody moved; those who are one are under the new key by either identifier
SELECT track(event('3', 'maria'));
SELECT decide.run_job('pseudonyms');
SELECT under('visitor'), under('maria'), clicks('maria'), clicks('visitor');
SELECT track(event('4', 'visitor'));
SELECT clicks('maria'), clicks('visitor');

-- settled, once everything that was open is over; with a row for who is known by unread events only
SELECT number, settled FROM decide.pseudonym_key ORDER BY number;
SELECT under('quinn'), under('ivy');
SELECT track(event('3', 'quinn')), track(event('3', 'later'));
SELECT decide.run_job('fold');
UPDATE decide.quarantine SET payload = event('2', 'x') - 'user_id';
SELECT count(*) FROM decide.quarantine AS q, decide.release_quarantine(q.quarantine_id) AS r WHERE r = 'accepted';
SELECT track(event('2', 'ivy'));
SELECT clicks('quinn'), clicks('ivy'), under('later');
SELECT decide.run_job('pseudonyms');
SELECT under('quinn'), under('ivy'), clicks('quinn'), clicks('ivy');

-- legal holds and erasure find a person under every key
SELECT decide.erase('ann') IS NOT NULL AS asked, decide.erase('held') IS NOT NULL AS asked_too;
SELECT persons, held, users FROM decide.erasure ORDER BY erasure DESC LIMIT 2;
SELECT decide.lift_legal_hold('ann'), decide.lift_legal_hold('held');
SELECT persons, held, users FROM decide.erasure ORDER BY erasure DESC LIMIT 2;
SELECT decide.user_keys('ann') AS anns \gset
SELECT track(event('1', 'ann', now() - interval '1 minute'));
SELECT decide.run_job('erasure'), decide.run_job('erasure');
SELECT name, n FROM rows_of(:'anns'::uuid[] || :'ann'::uuid) WHERE n > 0;
-- who was erased before is under the old key still, by the tombstone alone
SELECT track(event('1', 'gone', now() - interval '1 hour')), track(event('5', 'gone'));
SELECT decide.run_job('pseudonyms');
SELECT track(event('7', 'gone', now() - interval '1 hour')), under('gone'), clicks('gone');

-- as long as the trace is there by which a key was found to be in use, nothing else is read
UPDATE decide.secret AS s SET kept_in = 'remembered', kept_part = t.part, kept_place = t.place, checked_at = NULL
  FROM (SELECT x.tableoid::regclass::text AS part, x.ctid AS place FROM decide.trace AS x WHERE decide.key_number(x.user_key) = 0 LIMIT 1) AS t WHERE s.number = 0;
SELECT decide.key_to_check();
SELECT kept_in FROM decide.pseudonym_key WHERE number = 0;
UPDATE decide.secret AS s SET kept_place = '(4000000,1)', checked_at = NULL WHERE s.number = 0;
SELECT decide.key_to_check();
SELECT kept_in FROM decide.pseudonym_key WHERE number = 0;
SELECT decide.is_still_kept(0, 'decide.user_state', '(0,1)') AS other_table, decide.is_still_kept(0, 'decide.trace_19990101', '(0,1)') AS gone, decide.is_still_kept(0, NULL, NULL) AS none;
-- the old key goes with the last row under it
SELECT number, kept_in FROM decide.pseudonym_key ORDER BY number;
SELECT decide.erase(ARRAY(SELECT user_key FROM decide.user_state WHERE decide.key_number(user_key) = 0 AND merged_into IS NULL)) IS NOT NULL AS erased;
SELECT decide.erase(ARRAY(SELECT DISTINCT user_key FROM decide.trace WHERE decide.key_number(user_key) = 0)) IS NOT NULL AS erased;
SELECT decide.run_job('erasure'), decide.run_job('erasure');
UPDATE decide.secret SET checked_at = NULL;
SELECT decide.run_job('pseudonyms');
SELECT number, kept_in FROM decide.pseudonym_key ORDER BY number;
UPDATE decide.tombstone SET erased_at = now() - interval '1000 days';
SELECT decide.run_job('erasure');
UPDATE decide.secret SET checked_at = NULL;
SELECT decide.run_job('pseudonyms');
SELECT number, is_newest, settled FROM decide.pseudonym_key ORDER BY number;
-- those that led to a user who has moved lead to the new key first
UPDATE decide.secret SET checked_at = NULL;
SELECT decide.run_job('pseudonyms');
SELECT number, is_newest, settled FROM decide.pseudonym_key ORDER BY number;
SELECT clicks('visitor'), under('visitor');
SELECT count(*) FROM decide.user_state WHERE decide.key_number(user_key) <> 1 OR decide.key_number(merged_into) <> 1;
SELECT under('maria'), clicks('maria'), clicks('bob'), under('idle'), clicks('idle');
SELECT action, reason FROM decide('maria', 'home');
SELECT decide.rotate_pseudonyms();
