-- A feature that comes later than its events: staged, computed from what is kept, then published.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action, attributes) VALUES ('nothing', '{}'), ('boot', '{"category": "shoes"}'), ('hat', '{"category": "hats"}');
INSERT INTO decide.feature (feature, event_type, aggregate, owner) VALUES ('clicks', 'click', 'decayed_count', 'shop');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
CREATE FUNCTION event(id text, user_id text, type text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', id, 'type', type, 'user_id', user_id, 'at', clock_timestamp()) || more
$$;
-- before
SELECT * FROM track(ARRAY[event('o1', 'ann', 'order', '{"value": 10}'), event('o2', 'ann', 'order', '{"value": 20}'), event('o3', 'bob', 'order', '{"value": 30}'),
  event('c1', 'ann', 'click', '{"action": "boot"}'), event('c2', 'ann', 'click', '{"action": "hat"}')]);
INSERT INTO decide.feature (feature, event_type, aggregate, value_path) VALUES ('spent', 'order', 'decayed_sum', 'value');
INSERT INTO decide.feature (feature, event_type, aggregate, key_path) VALUES ('by_action', 'click', 'decayed_count', 'action');
INSERT INTO decide.feature (feature, event_type, aggregate, trial_event_type) VALUES ('order_rate', 'order', 'rate', 'click');
SELECT feature, version, lifecycle, slot FROM decide.feature_catalog;

-- in the transaction that stages it there is nothing to compute yet
BEGIN;
SELECT decide.backfill('spent');
SELECT decide.backfill('spent');
SELECT decide.run_job('backfill');
COMMIT;
-- between: all sessions write it, and nobody sees it
SELECT track(event('o4', 'ann', 'order', '{"value": 40}'));
SELECT track(event('o5', 'eve', 'order', '{"value": 50}'));
SELECT feature, version, lifecycle, slot FROM decide.feature_catalog WHERE feature = 'spent';
SELECT DISTINCT feature FROM decide.features('ann') ORDER BY 1;
CREATE TABLE made AS SELECT * FROM decide('ann', 'home');
SELECT cardinality(t.features) AS features, r.* FROM decide.trace AS t JOIN made USING (decision_id), decide.replay(decision_id) AS r;
SELECT decide.backfill('spent');
SELECT decide.backfill('spent');
-- after: it goes on
SELECT track(event('o6', 'ann', 'order', '{"value": 60}'));
SELECT feature, version, lifecycle, slot, backfilled_at IS NOT NULL AS filled FROM decide.feature_catalog JOIN decide.feature_slot USING (feature, slot) WHERE feature = 'spent';

-- others are computed by the job, all at once; a rate has two types of event, and keys have their texts
SELECT decide.backfill('by_action'), decide.backfill('order_rate');
SELECT decide.run_job('backfill');
SELECT decide.run_job('backfill');
SELECT decide.publish('switch over');
SELECT decide.backfill('spent'), decide.backfill('by_action');
SELECT track(event('o7', 'ann', 'order', '{"value": 70}'));
SELECT u, feature, key, value FROM unnest('{ann,bob,eve}'::text[]) AS u, decide.features(u) WHERE feature <> 'clicks' ORDER BY u, feature, key;
SELECT feature, version, lifecycle, slot FROM decide.feature_catalog;
SELECT slot, feature, staged_at, backfilled_at IS NOT NULL AS filled FROM decide.feature_slot ORDER BY slot;
INSERT INTO made SELECT * FROM decide('ann', 'home');
SELECT * FROM decide.feature_consistency('-infinity', 'infinity');

-- a changed one is another version; the old one is live until then, and is retired
UPDATE decide.feature SET filter = '{"value": {"min": 30}}' WHERE feature = 'spent';
SELECT decide.backfill('spent');
SELECT track(event('o8', 'bob', 'order', '{"value": 80}'));
SELECT decide.backfill('spent');
SELECT u, value FROM unnest('{ann,bob}'::text[]) AS u, decide.features(u) WHERE feature = 'spent' ORDER BY u;
SELECT feature, version, lifecycle FROM decide.feature_catalog WHERE feature = 'spent';
SELECT decide.publish('dear ones');
SELECT u, value FROM unnest('{ann,bob}'::text[]) AS u, decide.features(u) WHERE feature = 'spent' ORDER BY u;
SELECT feature, version, lifecycle FROM decide.feature_catalog WHERE feature = 'spent';
-- what was not written for a while is computed anew when it comes back
SELECT track(event('o9', 'bob', 'order', '{"value": 5}'));
UPDATE decide.feature SET filter = '{}' WHERE feature = 'spent';
SELECT feature, version, lifecycle FROM decide.feature_catalog WHERE feature = 'spent';
SELECT decide.backfill('spent');
SELECT decide.backfill('spent');
SELECT decide.publish('all again');
SELECT u, value FROM unnest('{ann,bob}'::text[]) AS u, decide.features(u) WHERE feature = 'spent' ORDER BY u;
-- published before all is computed: it goes on, and a change of mind ends it
UPDATE decide.feature SET filter = '{"value": {"min": 50}}' WHERE feature = 'spent';
SELECT decide.backfill('spent');
SELECT decide.publish('too early');
SELECT u, value FROM unnest('{ann,bob}'::text[]) AS u, decide.features(u) WHERE feature = 'spent' ORDER BY u;
SELECT decide.backfill('spent');
SELECT u, value FROM unnest('{ann,bob}'::text[]) AS u, decide.features(u) WHERE feature = 'spent' ORDER BY u;
UPDATE decide.feature SET filter = '{"value": {"min": 70}}' WHERE feature = 'spent';
SELECT decide.backfill('spent');
UPDATE decide.feature SET filter = '{"value": {"min": 50}}' WHERE feature = 'spent';
SELECT decide.publish('changed our minds');
SELECT feature, version, lifecycle FROM decide.feature_catalog WHERE feature = 'spent';
SELECT decide.run_job('backfill');
-- a publish and a rollback leave what waits to be published alone
UPDATE decide.feature SET filter = '{"value": {"min": 75}}' WHERE feature = 'spent';
SELECT decide.backfill('spent');
SELECT decide.backfill('spent');
SELECT decide.rollback(1);
SELECT track(event('o10', 'bob', 'order', '{"value": 90}'));
SELECT feature, version, lifecycle FROM decide.feature_catalog WHERE feature = 'spent';
SELECT decide.publish('the dearest');
SELECT u, value FROM unnest('{ann,bob}'::text[]) AS u, decide.features(u) WHERE feature = 'spent' ORDER BY u;

-- errors
SELECT decide.backfill('nothing of the kind');
SELECT decide.backfill(NULL);
UPDATE decide.feature SET aggregate = 'median' WHERE feature = 'spent';
SELECT decide.backfill('spent');
SELECT count(*) FROM decide.feature_slot WHERE definition ->> 'aggregate' = 'median';
INSERT INTO decide.feature (feature, entity, event_type, aggregate) VALUES ('of_actions', 'action', 'click', 'decayed_count');
SELECT decide.backfill('of_actions');
BEGIN READ ONLY;
SELECT decide.backfill('spent');
ROLLBACK;
