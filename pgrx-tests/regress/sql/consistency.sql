-- Skew: features computed again from the events that are kept, as of each decision, are those in the traces.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('bare', 'nothing');
INSERT INTO decide.action (action, attributes) VALUES ('nothing', '{}'),
  ('sneaker', '{"category": "shoes", "price": 80}'), ('boot', '{"category": "shoes", "price": 120}'), ('hat', '{"category": "hats", "price": 20}');
INSERT INTO decide.feature (feature, event_type, aggregate, value_path, half_life, window_length, trial_event_type, prior_weight, prior_rate, filter, ttl, key_path) VALUES
  ('count', 'click', 'decayed_count', NULL, '1 day', NULL, NULL, 0, NULL, '{}', NULL, NULL),
  ('sum', 'order', 'decayed_sum', 'value', '7 days', NULL, NULL, 0, NULL, '{}', NULL, NULL),
  ('mean', 'order', 'decayed_mean', 'value', '1 day', NULL, NULL, 0, NULL, '{}', NULL, NULL),
  ('rate', 'click', 'rate', NULL, '1 day', NULL, 'impression', 2, 0.5, '{}', NULL, NULL),
  ('window', 'order', 'window_count', NULL, NULL, '1 hour', NULL, 0, NULL, '{}', NULL, NULL),
  ('window_sum', 'order', 'window_sum', 'value', NULL, '1 day', NULL, 0, NULL, '{}', NULL, NULL),
  ('since', 'order', 'recency', NULL, NULL, NULL, NULL, 0, NULL, '{}', NULL, NULL),
  ('first', 'order', 'first', 'value', NULL, NULL, NULL, 0, NULL, '{}', NULL, NULL),
  ('last', 'order', 'last', 'value', NULL, NULL, NULL, 0, NULL, '{}', NULL, NULL),
  ('items', 'click', 'distinct', 'action', NULL, NULL, NULL, 0, NULL, '{}', NULL, NULL),
  ('web', 'click', 'decayed_count', NULL, NULL, NULL, NULL, 0, NULL, '{"attributes.source": ["web", "app"]}', NULL, NULL),
  ('shoes', 'click', 'decayed_count', NULL, NULL, NULL, NULL, 0, NULL, '{"action.category": "shoes"}', NULL, NULL),
  ('lately', 'click', 'decayed_count', NULL, NULL, NULL, NULL, 0, NULL, '{}', '1 hour', NULL),
  ('category', 'click', 'decayed_count', NULL, '2 days', NULL, NULL, 0, NULL, '{}', NULL, 'action.category'),
  ('spent_on', 'click', 'decayed_sum', 'action.price', NULL, NULL, NULL, 0, NULL, '{}', '30 minutes', 'action');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();

-- 12 users, 1,200 events: in no order, late by up to two days, every fifth twice, some bad; a decision after every tenth
CREATE FUNCTION shop(first int, last int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  counts int[] := '{0,0,0}';
  answer text;
BEGIN
  FOR i IN first .. last LOOP
    answer := track(jsonb_build_object(
      'event_id', CASE WHEN i % 5 = 4 THEN i - 1 ELSE i END, 'type', (ARRAY['click', 'order', 'impression', 'click', 'click'])[1 + (i - (i % 5) / 4) % 7 % 5],
      'user_id', (CASE WHEN i % 5 = 4 THEN i - 1 ELSE i END) % 12, 'at', date_trunc('hour', now()) - (CASE WHEN i % 5 = 4 THEN i - 1 ELSE i END) * 7919 % 2880 * interval '1 minute',
      'action', (ARRAY['sneaker', 'boot', 'hat', 'gone'])[1 + i % 4], 'value', CASE WHEN i % 50 = 7 THEN to_jsonb('much'::text) ELSE to_jsonb(i * 0.37) END,
      'attributes', jsonb_build_object('source', (ARRAY['web', 'mail', 'app'])[1 + i % 3])));
    counts[1] := counts[1] + (answer = 'accepted')::int;
    counts[2] := counts[2] + (answer = 'duplicate')::int;
    counts[3] := counts[3] + (answer = 'quarantined')::int;
    IF i % 10 = 0 THEN
      PERFORM decide(i % 13, 'home');
    END IF;
  END LOOP;
  RETURN counts::text;
END
$$;
SELECT shop(1, 600);
-- another bundle in between, with one feature less and the same slots
DELETE FROM decide.feature WHERE feature = 'mean';
UPDATE decide.feature SET default_value = 7 WHERE feature = 'lately';
SELECT decide.publish();
SELECT shop(601, 1200);
SELECT decision_id IS NOT NULL AS decided FROM decide('nobody', 'bare');
SELECT * FROM decide.feature_consistency('-infinity', 'infinity');
SELECT sum(decisions) FROM decide.feature_consistency('-infinity', now() - interval '1 day');
-- released events count from then on
SELECT count(*) > 0 AS some FROM decide.quarantine;
SELECT quarantined FROM decide.release_all('wrong_type: value', '{"value": 5}');
SELECT count(*) FROM generate_series(0, 11) AS u, decide(u, 'home');
SELECT sum(mismatch) AS mismatch, sum(missing) AS missing, sum(extra) AS extra, max(largest_difference) AS largest FROM decide.feature_consistency('-infinity', 'infinity');

-- a user with more events than are read at once: decisions after each thousand, after the next one, and twice at the end
CREATE FUNCTION many(first int, last int) RETURNS bigint LANGUAGE sql AS $$
  SELECT accepted FROM track(ARRAY(SELECT jsonb_build_object('event_id', 'many' || g, 'type', 'order', 'user_id', 'many', 'at', now() - g * interval '1 minute', 'value', g)
                                     FROM generate_series(first, last) AS g))
$$;
SELECT many(1, 1000);
SELECT count(*) FROM decide('many', 'home');
SELECT many(1001, 1001);
SELECT count(*) FROM decide('many', 'home');
SELECT many(1002, 3000);
SELECT count(*) FROM generate_series(1, 2), decide('many', 'home');
SELECT seen, count(*) FROM decide.trace WHERE user_key = decide.user_key('many') GROUP BY seen ORDER BY seen;
SELECT sum(mismatch) AS mismatch, sum(missing) AS missing, sum(extra) AS extra FROM decide.feature_consistency('-infinity', 'infinity');

-- a row that says what no event did: as much as a millionth too much, a cell lost, one made up
CREATE TABLE slots AS SELECT feature, slot FROM decide.feature_slot;
CREATE FUNCTION tamper(who text, feature text, cell int, value text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('UPDATE decide.user_state SET features[%s] = %s WHERE user_key = decide.user_key(%L)',
    (SELECT s.slot + 1 + cell FROM slots AS s WHERE s.feature = tamper.feature), replace(value, 'was',
      format('features[%s]', (SELECT s.slot + 1 + cell FROM slots AS s WHERE s.feature = tamper.feature))), who);
END
$$;
SELECT tamper('3', 'sum', 1, 'was * 1.000001'), tamper('3', 'last', 0, '''-Infinity''');
SELECT tamper('5', 'web', 1, 'was + 1');
UPDATE decide.user_state SET keyed = '{}' WHERE user_key = decide.user_key('4');
SELECT count(*) FROM unnest('{3,4,5}'::int[]) AS u, decide(u, 'home');
SELECT feature, mismatch, missing, extra, largest_difference > 0 AS differs FROM decide.feature_consistency('-infinity', 'infinity')
 WHERE mismatch + missing + extra > 0;

-- a feature that the trace has and no event made
INSERT INTO decide.user_state (user_key, features, keyed, events) VALUES (decide.user_key('ghost'), array_fill(1e6::float8, ARRAY[400]), '{}', 0);
SELECT count(*) FROM decide('ghost', 'home');
SELECT feature, extra FROM decide.feature_consistency('-infinity', 'infinity') WHERE extra > 0;

-- users whose events are not all kept are left out
DELETE FROM decide.event WHERE user_key IN (SELECT decide.user_key(u) FROM unnest('{3,4,5}'::text[]) AS u) AND ordinal = 1;
DELETE FROM decide.user_state WHERE user_key = decide.user_key('ghost');
SELECT feature, mismatch, missing, extra FROM decide.feature_consistency('-infinity', 'infinity') WHERE mismatch + missing > 0;
SELECT * FROM decide.feature_consistency(NULL, now());
SELECT * FROM decide.feature_consistency(now(), NULL);
BEGIN READ ONLY;
SELECT count(*) > 0 AS reads_only FROM decide.feature_consistency('-infinity', 'infinity');
ROLLBACK;
