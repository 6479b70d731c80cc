-- Consent, access and erasure of a person who is two users: whichever of the two is named, it is about the person.
SET timezone = 'UTC';
INSERT INTO decide.purpose (purpose, consent) VALUES ('ads', 'opt-in'), ('relevance', 'opt-out');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing'), ('a'), ('b');
INSERT INTO decide.feature (feature, event_type, aggregate, purpose) VALUES ('clicks', 'click', 'decayed_count', 'relevance');
INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('often', 'home', 'user', 1000);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
CREATE FUNCTION event(id text, person text, at timestamptz) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', id, 'type', 'click', 'user_id', person, 'at', at)
$$;
CREATE FUNCTION clicks(person text) RETURNS numeric LANGUAGE sql AS $$ SELECT round(value::numeric, 2) FROM decide.features(person) WHERE feature = 'clicks' $$;
CREATE FUNCTION rows_of(person uuid) RETURNS TABLE (name text, n bigint) LANGUAGE sql AS $$
  SELECT 'user_state', count(*) FROM decide.user_state WHERE user_key = person
   UNION ALL SELECT 'trace', count(*) FROM decide.trace WHERE user_key = person
   UNION ALL SELECT 'event', count(*) FROM decide.event WHERE user_key = person
   UNION ALL SELECT 'request', count(*) FROM decide.request WHERE user_key = person
   UNION ALL SELECT 'adjustment', count(*) FROM decide.adjustment WHERE user_key = person
   UNION ALL SELECT 'consent_log', count(*) FROM decide.consent_log WHERE user_key = person
   UNION ALL SELECT 'user_merge', count(*) FROM decide.user_merge WHERE user_key = person OR merged_into = person
$$;
SELECT decide.user_key('visitor') AS visitor, decide.user_key('ann') AS ann, decide.user_key('bob') AS bob \gset

-- of what both have decided, the newest holds
SELECT decide.set_consent('visitor', 'ads', true, 'banner', now() - interval '3 hours');
SELECT decide.set_consent('visitor', 'relevance', false, 'banner', now() - interval '3 hours');
SELECT decide.set_consent('ann', 'relevance', true, 'settings', now() - interval '2 hours');
SELECT decide.set_consent('ann', 'ads', false, 'settings', now() - interval '4 hours');
SELECT track(event('v1', 'visitor', now())), track(event('c1', 'ann', now())), track(event('b1', 'bob', now()));
SELECT count(*) FROM decide('visitor', 'home');
SELECT count(*) FROM decide('ann', 'home', '{}', 'r1');
SELECT decide.merge_users('visitor', 'ann');
SELECT purpose, granted FROM decide.consent('ann');
SELECT purpose, granted FROM decide.consent('visitor');
-- what is decided for the one holds for the other, at the next statement
SELECT decide.set_consent('visitor', 'relevance', false, 'banner', now());
SELECT clicks('ann'), clicks('visitor');
SELECT track(event('v2', 'visitor', now())), track(event('c2', 'ann', now()));
SELECT decide.set_consent('ann', 'relevance', true, 'settings', now() + interval '1 second');
SELECT clicks('ann'), clicks('visitor');
-- a correction is of what both have seen
SELECT decide.adjust_exposure('visitor', 'often', 2, 'as told by telephone') AS adjusted;
SELECT CASE user_key WHEN :'ann' THEN 'ann' WHEN :'visitor' THEN 'visitor' END AS who, cap, counted FROM decide.exposure WHERE user_key IN (:'ann', :'visitor');
SELECT count(*) FILTER (WHERE user_key = :'ann') AS of_ann, count(*) FROM decide.adjustment;

-- access: all of both
SELECT decide.export_person('ann') - 'features' = decide.export_person('visitor') - 'features' AS the_same;
SELECT key, jsonb_array_length(value) FROM jsonb_each(decide.export_person('ann') - 'user_key' - 'state') ORDER BY key;

-- a legal hold on one of them is about the person, and so is its end
SELECT decide.set_legal_hold('visitor', 'file 7');
SELECT decide.erase('ann') IS NOT NULL AS receipt;
SELECT persons, held, waits_for FROM decide.erasure;
SELECT clicks('ann');
SELECT decide.lift_legal_hold('visitor');
SELECT persons, held, users, waits_for FROM decide.erasure;
SELECT clicks('ann'), clicks('visitor');
SELECT count(*) FROM decide.decision WHERE user_key IN (:'ann', :'visitor');
-- both begin anew, as two, and late events of the past do not bring them back
SELECT track(event('v3', 'visitor', now() - interval '1 hour')), track(event('c3', 'ann', now() - interval '1 hour'));
SELECT track(event('v4', 'visitor', clock_timestamp())), track(event('c4', 'ann', clock_timestamp()));
SELECT clicks('ann'), clicks('visitor'), clicks('bob');
SELECT decide.run_job('erasure');
SELECT decide.run_job('erasure');
SELECT v.name, v.n AS visitor, a.n AS ann FROM rows_of(:'visitor') AS v JOIN rows_of(:'ann') AS a USING (name);
SELECT name, n FROM rows_of(:'bob') WHERE n > 0;
SELECT persons, held, users, finished_at IS NOT NULL AS finished, waits_for FROM decide.erasure;

-- many at once, some of whom are one person
SELECT decide.merge_users('visitor', 'ann');
SELECT decide.erase(ARRAY[:'ann', :'visitor', :'bob', decide.user_key('nobody')]::uuid[]) IS NOT NULL AS receipt;
SELECT persons, held, users FROM decide.erasure ORDER BY erasure DESC LIMIT 1;
SELECT clicks('ann'), clicks('visitor'), clicks('bob');
-- who was erased is not merged with somebody who has a past from before that, in neither direction
SELECT track('{"event_id": "old", "type": "view", "user_id": "past", "at": "2026-01-01T00:00:00Z"}'::jsonb);
SELECT decide.erase('erased') IS NOT NULL AS erased;
SELECT decide.merge_users('past', 'erased');
SELECT decide.merge_users('erased', 'past');
-- but with who has come later
SELECT track(jsonb_build_object('event_id', 'new', 'type', 'view', 'user_id', 'later', 'at', clock_timestamp()));
SELECT decide.merge_users('later', 'erased');
SELECT decide.run_job('erasure'), decide.run_job('erasure') IS NOT NULL AS again;
SELECT count(*) FROM decide.event WHERE event_id IN ('old', 'new');
