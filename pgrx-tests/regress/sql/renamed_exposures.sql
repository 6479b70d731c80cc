-- Events that say what an action was called when it was shown, once the name has gone to another one.
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 1, 'logo'), ('pair', 2, 'logo'), ('none', 1, 'logo');
INSERT INTO decide.action (action, surfaces) VALUES ('logo', '{none}'), ('a', '{home,pair}'), ('b', '{pair}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('pair', 'pair', 'uniform');
INSERT INTO decide.cap (cap, surface, action, per, max_count, counts, hold) VALUES
  ('seen', 'home', 'a', 'user', 1, 'impression', '1 hour'), ('seen by all', 'home', 'a', 'all', 1, 'impression', '200 ms'),
  ('a in a pair', 'pair', 'a', 'user', 9, 'impression', '1 hour'), ('b in a pair', 'pair', 'b', 'user', 9, 'impression', '1 hour');
SELECT decide.publish('a and b');
CREATE FUNCTION seen(id text, who text, decision uuid, shown text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', id, 'type', 'impression', 'user_id', who, 'at', clock_timestamp(), 'decision_id', decision, 'action', shown) $$;
SELECT decision_id AS d1, action FROM decide('ann', 'home') \gset
SELECT decision_id AS d2 FROM decide('bob', 'pair') LIMIT 1 \gset
BEGIN;
SELECT decide.rename('action', 'a', 'c'), decide.rename('action', 'b', 'a'), decide.rename('action', 'c', 'b');
COMMIT;
SELECT decide.publish('swapped');
-- The decision showed one action, which was called a.
SELECT track(seen('1', 'ann', :'d1', 'a'));
SELECT cap, counted, reserved FROM decide.exposure WHERE user_key = decide.user_key('ann');
SELECT pg_sleep(0.3);
SELECT decide.run_job('budgets') LIKE '% reservations looked up' AS looked_up;
SELECT cap, spent, reserved FROM decide.budget;
SELECT action, reason FROM decide('ann', 'home');
-- Of a slate with both, each event counts for the one that had the name; the second of the same changes nothing.
SELECT track(seen('2', 'bob', :'d2', 'a')), track(seen('3', 'bob', :'d2', 'a'));
SELECT cap, counted, reserved FROM decide.exposure WHERE user_key = decide.user_key('bob') ORDER BY 1;
SELECT track(seen('4', 'bob', :'d2', 'b'));
SELECT cap, counted, reserved FROM decide.exposure WHERE user_key = decide.user_key('bob') ORDER BY 1;
-- Renamed, and another one gets the name: the old decision is about the old one.
SELECT decision_id AS d3 FROM decide('cat', 'pair') LIMIT 1 \gset
UPDATE decide.action SET action = 'old' WHERE action = 'a';
INSERT INTO decide.action (action, surfaces) VALUES ('a', '{pair}');
SELECT decide.publish('another a');
SELECT track(seen('5', 'cat', :'d3', 'a'));
SELECT cap, counted, reserved FROM decide.exposure WHERE user_key = decide.user_key('cat') ORDER BY 1;
SELECT o.event_id, o.action, n.action AS is_now FROM decide.outcome AS o JOIN decide.action_number AS n USING (number) ORDER BY 1;
-- What nobody was called counts nothing.
SELECT track(seen('6', 'cat', :'d3', 'zebra'));
SELECT cap, counted, reserved FROM decide.exposure WHERE user_key = decide.user_key('cat') ORDER BY 1;
