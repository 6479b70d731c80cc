-- Erasure: at commit nothing of a person's past is used, a job deletes their rows, and late events do not bring them back.
SET timezone = 'UTC';
INSERT INTO decide.surface (surface, fallback_action, context_fields) VALUES ('home', 'nothing', '{country}');
INSERT INTO decide.action (action) VALUES ('nothing'), ('a'), ('b');
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('clicks', 'click', 'decayed_count');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('often', 'home', 'user', 1000);
SELECT decide.publish();
SELECT decide.make_partitions((now() AT TIME ZONE 'UTC')::date - 2, (now() AT TIME ZONE 'UTC')::date) > 0 AS made;

-- how many rows there are of a person, table by table
CREATE FUNCTION rows_of(person uuid) RETURNS TABLE (name text, n bigint) LANGUAGE sql AS $$
  SELECT 'user_state', count(*) FROM decide.user_state WHERE user_key = person
   UNION ALL SELECT 'trace', count(*) FROM decide.trace WHERE user_key = person
   UNION ALL SELECT 'decision', count(*) FROM decide.decision WHERE user_key = person
   UNION ALL SELECT 'outcome', count(*) FROM decide.outcome WHERE user_key = person
   UNION ALL SELECT 'event', count(*) FROM decide.event WHERE user_key = person
   UNION ALL SELECT 'quarantine', count(*) FROM decide.quarantine WHERE user_key = person
   UNION ALL SELECT 'event_inbox', count(*) FROM decide.event_inbox WHERE user_key = person
$$;
-- a person of whom there is something everywhere, and another one
CREATE FUNCTION live(person text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  decision uuid;
BEGIN
  PERFORM track(jsonb_build_object('event_id', 'old', 'type', 'click', 'user_id', person, 'at', now() - interval '1 day'));
  SELECT d.decision_id INTO decision FROM decide(person, 'home', '{"country": "NO"}') AS d;
  PERFORM track(jsonb_build_object('event_id', 'then', 'type', 'click', 'user_id', person, 'at', clock_timestamp(), 'decision_id', decision));
  PERFORM track(jsonb_build_object('event_id', 'bad', 'user_id', person, 'at', now()));
  INSERT INTO decide.event_inbox (event) VALUES (jsonb_build_object('event_id', 'copied', 'type', 'click', 'user_id', person, 'at', clock_timestamp())::text);
END
$$;
SELECT live('ann'), live('bob');
SELECT * FROM rows_of(decide.user_key('ann'));
SELECT decide.export_person('ann') - 'user_key' - 'state' IS NOT NULL AS exported;
SELECT key, jsonb_array_length(value) FROM jsonb_each(decide.export_person('ann') - 'user_key' - 'state') ORDER BY key;
SELECT decide.user_key('ann') AS ann, decide.user_key('bob') AS bob \gset

-- within the transaction, and undone with it
BEGIN;
SELECT decide.erase('ann') IS NOT NULL AS erased;
SELECT feature, value FROM decide.features('ann');
SELECT count(*) FROM decide.decision WHERE user_key = :'ann';
-- nor does a condition see the rows that are left out, however cheap it says that it is
CREATE FUNCTION tell(user_key uuid) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'seen %', user_key = decide.user_key('ann'); RETURN true; END $$;
SELECT count(*) FROM decide.decision AS d WHERE user_key = :'ann' AND tell(user_key);
SELECT count(*) FROM decide.kept_trace AS t WHERE user_key = :'ann' AND tell(user_key);
DROP FUNCTION tell(uuid);
ROLLBACK;
SELECT value > 0 AS known FROM decide.features('ann');

SELECT decide.erase('ann') AS receipt \gset
SELECT persons, held, users, traces, waits_for, finished_at FROM decide.erasure WHERE erasure = :'receipt';
-- nothing is shown or decided with, though the job has not run
SELECT feature, value FROM decide.features('ann');
SELECT count(*) FROM decide.decision WHERE user_key = :'ann';
SELECT key, jsonb_array_length(value) FROM jsonb_each(decide.export_person('ann') - 'user_key' - 'state') ORDER BY key;
SELECT decide.export_person('ann') -> 'state';
-- events of the past are refused, one by one and in arrays, and make no row; so is what the inbox has
SELECT track(jsonb_build_object('event_id', 'late', 'type', 'click', 'user_id', 'ann', 'at', now() - interval '1 hour'));
SELECT track(jsonb_build_object('event_id', 'old', 'type', 'click', 'user_id', 'ann', 'at', now() - interval '1 day'));
SELECT * FROM track(ARRAY[
  jsonb_build_object('event_id', 'late', 'type', 'click', 'user_id', 'ann', 'at', now() - interval '1 hour'),
  jsonb_build_object('event_id', 'late', 'type', 'click', 'user_id', 'bob', 'at', now() - interval '1 hour')]);
SELECT decide.run_job('fold');
SELECT count(*) FROM decide.user_state WHERE user_key = :'ann';
SELECT why, event_type, sum(events) FROM decide.refused_event GROUP BY why, event_type;
-- an event of now that follows from a decision of then is of the past as well
SELECT decision_id FROM decide.trace WHERE user_key = :'ann' \gset
SELECT track(jsonb_build_object('event_id', 'after', 'type', 'click', 'user_id', 'ann', 'at', clock_timestamp(), 'decision_id', :'decision_id', 'action', 'a'));

-- the job
SELECT decide.run_job('erasure');
SELECT * FROM rows_of(:'ann');
SELECT * FROM rows_of(:'bob');
SELECT persons, users, traces, outcomes, events, quarantined, inbox, waits_for, not_reached, finished_at IS NOT NULL AS finished
  FROM decide.erasure WHERE erasure = :'receipt';
SELECT count(*) AS left FROM decide.erasing;
SELECT count(*) AS of_the_pass FROM decide.erasure_part;
SELECT decide.run_job('erasure');
-- replayed afterwards
SELECT * FROM track(ARRAY[
  jsonb_build_object('event_id', 'old', 'type', 'click', 'user_id', 'ann', 'at', now() - interval '1 day'),
  jsonb_build_object('event_id', 'then', 'type', 'click', 'user_id', 'ann', 'at', now() - interval '5 minutes', 'decision_id', :'decision_id', 'action', 'a')]);
SELECT * FROM rows_of(:'ann') WHERE n > 0;
-- an invalid event of the past is not kept either, nor is one that has no date
SELECT track(jsonb_build_object('event_id', 'bad', 'user_id', 'ann', 'at', now() - interval '1 hour')), track(jsonb_build_object('event_id', 'bad', 'user_id', 'ann'));
SELECT * FROM rows_of(:'ann') WHERE n > 0;
-- nor by an import
CREATE TABLE elsewhere (user_id text, surface text, decided_at timestamptz, action text, propensity float8);
INSERT INTO elsewhere VALUES ('ann', 'home', now() - interval '1 day', 'a', 0.5), ('bob', 'home', now() - interval '1 day', 'a', 0.5);
SELECT decide.import_decisions('elsewhere');
SELECT * FROM rows_of(:'ann') WHERE n > 0;

-- who comes back begins anew
SELECT count(*) FROM decide('ann', 'home');
SELECT track(jsonb_build_object('event_id', 'new', 'type', 'click', 'user_id', 'ann', 'at', clock_timestamp()));
SELECT track(jsonb_build_object('event_id', 'late', 'type', 'click', 'user_id', 'ann', 'at', now() - interval '1 hour'));
SELECT round(value::numeric, 3) AS value FROM decide.features('ann');
SELECT * FROM rows_of(:'ann') WHERE n > 0;
-- the past of a feature that comes later is that of the new relation alone
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('all_clicks', 'click', 'decayed_count');
SELECT decide.backfill('all_clicks');
SELECT decide.backfill('all_clicks');
SELECT decide.publish();
SELECT round(value::numeric, 3) AS value FROM decide.features('ann') WHERE feature = 'all_clicks';
-- once more: the receipt is another one
SELECT decide.erase('ann') AS again \gset
SELECT decide.run_job('erasure');
SELECT * FROM rows_of(:'ann') WHERE n > 0;
SELECT users, traces, events FROM decide.erasure WHERE erasure = :'again';
-- somebody of whom nothing is known, and one who is asked for twice
SELECT decide.erase(ARRAY[decide.user_key('nobody'), decide.user_key('bob'), decide.user_key('bob')]) AS many \gset
SELECT decide.run_job('erasure');
SELECT persons, users, traces, events, finished_at IS NOT NULL AS finished FROM decide.erasure WHERE erasure = :'many';
SELECT decide.erase(42) IS NOT NULL AS bigint, decide.erase('00000000-0000-0000-0000-000000000001'::uuid) IS NOT NULL AS uuid;

-- a legal hold
SELECT live('cid');
SELECT decide.user_key('cid') AS cid \gset
SELECT decide.set_legal_hold('cid', 'file 7');
SELECT decide.erase('cid') AS held \gset
SELECT decide.run_job('erasure');
SELECT * FROM rows_of(:'cid');
SELECT persons, held, users, waits_for, finished_at FROM decide.erasure WHERE erasure = :'held';
SELECT decide.lift_legal_hold('cid');
SELECT decide.run_job('erasure');
SELECT * FROM rows_of(:'cid') WHERE n > 0;
SELECT persons, held, users, traces, waits_for, finished_at IS NOT NULL AS finished FROM decide.erasure WHERE erasure = :'held';
SELECT decide.lift_legal_hold('cid');
SELECT decide.set_legal_hold('cid', ' ');

-- a partition that was detached, which the receipt names, and one that is not ours to write
SELECT live('dan');
SELECT decide.user_key('dan') AS dan \gset
SELECT to_char((now() AT TIME ZONE 'UTC')::date - 1, 'YYYYMMDD') AS yesterday \gset
ALTER TABLE decide.event DETACH PARTITION decide.event_:yesterday;
SELECT decide.erase('dan') AS detached \gset
SELECT decide.run_job('erasure');
SELECT count(*) FROM decide.event_:yesterday WHERE user_key = :'dan';
SELECT replace(not_reached::text, :'yesterday', 'DAY') AS not_reached, finished_at IS NOT NULL AS finished FROM decide.erasure WHERE erasure = :'detached';
ALTER TABLE decide.event ATTACH PARTITION decide.event_:yesterday FOR VALUES FROM (:'yesterday') TO (:'yesterday'::date + 1);

-- a reservation of a budget that no event has confirmed yet keeps the trace until it is looked up
INSERT INTO decide.cap (cap, surface, per, max_count, counts, hold) VALUES ('paid', 'home', 'all', 100, 'click', '2 seconds');
SELECT decide.publish();
SELECT live('eve');
SELECT decide.user_key('eve') AS eve \gset
SELECT decide.erase('eve') AS budget \gset
SELECT decide.run_job('erasure');
SELECT * FROM rows_of(:'eve') WHERE n > 0;
SELECT waits_for FROM decide.erasure WHERE erasure = :'budget';
SELECT pg_sleep(3);
SELECT decide.run_job('budgets') LIKE '% reservations looked up' AS looked_up;
SELECT decide.run_job('erasure');
SELECT * FROM rows_of(:'eve') WHERE n > 0;
SELECT waits_for, finished_at IS NOT NULL AS finished FROM decide.erasure WHERE erasure = :'budget';
SELECT sum(ledger[2]) AS counted FROM decide.budget_stripe;

-- mistakes
SELECT decide.erase(NULL::text);
SELECT decide.erase('');
SELECT decide.erase(NULL::uuid[]);
SELECT decide.erase(ARRAY[NULL]::uuid[]);
SELECT decide.erase(ARRAY(SELECT gen_random_uuid() FROM generate_series(1, 10001)));
BEGIN READ ONLY; SELECT decide.erase('ann'); ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT decide.run_job('erasure'); ROLLBACK;
-- tombstones go after their time
SET pg_decide.tombstone_retention = 1;
UPDATE decide.tombstone SET erased_at = erased_at - interval '2 days';
SELECT decide.run_job('erasure') ~ '^[1-9]' AS ran;
SELECT count(*) FROM decide.tombstone;
-- every table that has rows of persons is one that an erasure knows
SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'user_key' AND NOT a.attisdropped
 WHERE c.relnamespace = 'decide'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1;
