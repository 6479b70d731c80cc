-- What features keep of events: every aggregate, filters, keys, expiry, and what decisions see of them.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action, attributes) VALUES ('nothing', '{}'),
  ('sneaker', '{"category": "shoes", "price": 80}'), ('boot', '{"category": "shoes", "price": 120}'), ('hat', '{"category": "hats", "price": 20}');
INSERT INTO decide.feature (feature, event_type, aggregate, value_path, half_life, window_length, trial_event_type, prior_weight, prior_rate, filter, ttl, key_path, key_limit, default_value) VALUES
  ('mean', 'order', 'decayed_mean', 'value', NULL, NULL, NULL, 0, NULL, '{}', NULL, NULL, 20, 0),
  ('click_rate', 'click', 'rate', NULL, NULL, NULL, 'impression', 2, 0.5, '{}', NULL, NULL, 20, 0),
  ('orders_1h', 'order', 'window_count', NULL, NULL, '1 hour', NULL, 0, NULL, '{}', NULL, NULL, 20, 0),
  ('spent_1d', 'order', 'window_sum', 'value', NULL, '1 day', NULL, 0, NULL, '{}', NULL, NULL, 20, 0),
  ('since_order', 'order', 'recency', NULL, NULL, NULL, NULL, 0, NULL, '{}', NULL, NULL, 20, 1e9),
  ('first_order', 'order', 'first', 'value', NULL, NULL, NULL, 0, NULL, '{}', NULL, NULL, 20, 0),
  ('last_order', 'order', 'last', 'value', NULL, NULL, NULL, 0, NULL, '{}', NULL, NULL, 20, 0),
  ('items', 'click', 'distinct', 'action', NULL, NULL, NULL, 0, NULL, '{}', NULL, NULL, 20, 0),
  ('dear_orders', 'order', 'decayed_count', NULL, NULL, NULL, NULL, 0, NULL, '{"value": {"min": 50}}', NULL, NULL, 20, 0),
  ('web_clicks', 'click', 'decayed_count', NULL, NULL, NULL, NULL, 0, NULL, '{"attributes.source": ["web", "app"]}', NULL, NULL, 20, 0),
  ('shoe_clicks', 'click', 'decayed_count', NULL, NULL, NULL, NULL, 0, NULL, '{"action.category": "shoes"}', NULL, NULL, 20, 0),
  ('lately', 'click', 'decayed_count', NULL, NULL, NULL, NULL, 0, NULL, '{}', '1 hour', NULL, 20, -1),
  ('category', 'click', 'decayed_count', NULL, NULL, NULL, NULL, 0, NULL, '{}', NULL, 'action.category', 20, 0),
  ('colour', 'click', 'decayed_sum', 'attributes.weight', NULL, NULL, NULL, 0, NULL, '{}', NULL, 'attributes.colour', 2, 0);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();

CREATE FUNCTION event(id text, type text, ago interval, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', id, 'type', type, 'user_id', 'ann', 'at', clock_timestamp() - ago) || more
$$;
SELECT * FROM track(ARRAY[
  event('o1', 'order', '3 hours', '{"value": 100}'), event('o2', 'order', '2 hours', '{"value": 20}'), event('o3', 'order', '20 minutes', '{"value": 60}'),
  event('i1', 'impression', '1 hour'), event('i2', 'impression', '1 hour'),
  event('c1', 'click', '2 hours', '{"action": "sneaker", "attributes": {"source": "web", "colour": "red", "weight": 1}}'),
  event('c2', 'click', '2 hours', '{"action": "boot", "attributes": {"source": "app", "colour": "blue", "weight": 5}}'),
  event('c3', 'click', '3 hours', '{"action": "hat", "attributes": {"source": "mail", "colour": "green", "weight": 3}}'),
  event('c4', 'click', '3 hours', '{"action": "gone", "attributes": {"colour": 7, "weight": "heavy"}}')]);
SELECT feature, key, CASE WHEN feature = 'since_order' THEN round(value / 60) * 60 ELSE round(value::numeric, 4) END AS value, updated_at IS NOT NULL AS known
  FROM decide.features('ann') ORDER BY feature, key;
-- nothing is known of bob, and what is missing is told
SELECT feature, key, value, updated_at FROM decide.features('bob') WHERE feature IN ('since_order', 'click_rate', 'lately', 'category');
CREATE TABLE made AS SELECT * FROM decide('bob', 'home') UNION ALL SELECT * FROM decide('ann', 'home');
SELECT t.features[1:2], t.missing, t.affinities IS NULL AS nothing_per_key, t.seen FROM decide.trace AS t JOIN made USING (decision_id) ORDER BY t.seen;
-- what is stored says what features need to be computed again, and no more
SELECT event_id, attributes, ordinal FROM decide.event ORDER BY event_id;

-- a model sees what is kept per key through the key of each action, and what is missing
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at) VALUES ('m', 1, 'linear',
  '{user.category,missing.lately,user.category*action.price}',
  '{"family": "linear", "terms": [{"factors": [{"source": "user.category", "encoding": "number"}]},
     {"factors": [{"source": "missing.lately", "encoding": "number"}]},
     {"factors": [{"source": "user.category", "encoding": "number"}, {"source": "action.price", "encoding": "number"}]}]}', '{1,10,0.001}', now());
UPDATE decide.policy SET model = 'm', selection = 'softmax';
SELECT decide.publish();
SELECT action, round(score::numeric, 4) AS score FROM decide.explain('ann', 'home') ORDER BY action;
SELECT action, round(score::numeric, 4) AS score FROM decide.explain('bob', 'home') ORDER BY action;
INSERT INTO made SELECT * FROM decide('ann', 'home');
SELECT r.* FROM made, decide.replay(decision_id) AS r;
SELECT cardinality(affinities) AS numbers FROM decide.trace WHERE model_version = 'm:1';
SELECT decide.train('trained', 'home', '{user.category,missing.lately,user.click_rate}', holdout => 0, min_count => 1);

-- what is wrong with a definition is said
CREATE FUNCTION faults(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  EXECUTE 'UPDATE decide.feature SET ' || change;
  PERFORM decide.publish();
  RAISE EXCEPTION 'published';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN COALESCE(NULLIF(detail, ''), SQLERRM);
END
$$;
SELECT faults(change) FROM (VALUES
  ($$half_life = '1 day' WHERE feature = 'since_order'$$), ($$window_length = '1 day' WHERE feature = 'mean'$$), ($$window_length = NULL WHERE feature = 'orders_1h'$$),
  ($$window_length = '1 microsecond' WHERE feature = 'orders_1h'$$), ($$ttl = '0' WHERE feature = 'lately'$$), ($$prior_rate = NULL WHERE feature = 'click_rate'$$),
  ($$prior_rate = 0 WHERE feature = 'click_rate'$$), ($$prior_weight = -1 WHERE feature = 'click_rate'$$), ($$trial_event_type = NULL WHERE feature = 'click_rate'$$),
  ($$trial_event_type = 'x' WHERE feature = 'mean'$$), ($$value_path = 'action' WHERE feature = 'mean'$$), ($$value_path = 'price' WHERE feature = 'items'$$),
  ($$filter = '{"price": 1}' WHERE feature = 'mean'$$), ($$filter = '{"value": null}' WHERE feature = 'mean'$$), ($$filter = '{"value": {"least": 1}}' WHERE feature = 'mean'$$),
  ($$key_path = 'value' WHERE feature = 'category'$$), ($$key_limit = 0 WHERE feature = 'category'$$), ($$key_limit = 1000 WHERE feature = 'category'$$),
  ($$default_value = 1 WHERE feature = 'category'$$), ($$key_path = 'action' WHERE feature = 'orders_1h'$$)) AS c (change);

-- the text of a key is there, whatever was rolled back before
BEGIN;
SAVEPOINT s;
SELECT track('{"event_id": "k1", "user_id": "kit", "type": "click", "at": "2026-01-01T00:00:00Z", "attributes": {"colour": "ochre", "weight": 1}}'::jsonb);
ROLLBACK TO s;
SELECT track('{"event_id": "k1", "user_id": "kit", "type": "click", "at": "2026-01-01T00:00:00Z", "attributes": {"colour": "ochre", "weight": 1}}'::jsonb);
SAVEPOINT s;
SELECT track('{"event_id": "k2", "user_id": "kit", "type": "click", "at": "2026-01-01T00:00:00Z", "attributes": {"colour": "ochre", "weight": 1}}'::jsonb);
ROLLBACK TO s;
COMMIT;
SELECT DISTINCT key FROM decide.features('kit') WHERE key IS NOT NULL ORDER BY key;
