-- The catalog, how fresh features are, and sets to train on.
INSERT INTO decide.surface (surface, fallback_action, context_fields) VALUES ('home', 'nothing', '{device}'), ('other', 'nothing', '{}');
INSERT INTO decide.action (action) VALUES ('nothing'), ('a'), ('b');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life, ttl, freshness, owner, purpose, offline_only, key_path, trial_event_type) VALUES
  ('clicks', 'click', 'decayed_count', '1 day', NULL, '1 hour', 'search', 'relevance', false, NULL, NULL),
  ('orders', 'order', 'decayed_count', NULL, '10 minutes', '1 day', 'shop', 'relevance', false, NULL, NULL),
  ('rate', 'order', 'rate', NULL, NULL, NULL, NULL, NULL, false, NULL, 'click'),
  ('by_action', 'click', 'decayed_count', NULL, NULL, NULL, NULL, NULL, false, 'action', NULL),
  ('unseen', 'click', 'recency', NULL, NULL, NULL, 'research', NULL, true, NULL, NULL),
  ('never', 'nap', 'recency', NULL, NULL, NULL, NULL, NULL, false, NULL, NULL);
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at)
VALUES ('m', 1, 'linear', '{user.clicks}', '{"family": "linear", "terms": [{"factors": [{"source": "user.clicks", "encoding": "number"}]}]}', '{1}', now());
INSERT INTO decide.policy (policy, surface, model, selection) VALUES ('home', 'home', 'm', 'softmax'), ('other', 'other', NULL, 'uniform');
SELECT decide.publish();
SELECT feature, entity, aggregate, version, lifecycle, slot, owner, purpose, half_life, ttl, freshness_promised, freshness_seen, missing_share, statistics_at FROM decide.feature_catalog;

-- four decisions: two of ann, who has clicked, of which the second has seen an order too, and two of strangers
SELECT track(jsonb_build_object('event_id', 'c1', 'type', 'click', 'user_id', 'ann', 'at', now() - interval '2 hours'));
CREATE TABLE made AS SELECT 1 AS n, d.* FROM decide('ann', 'home', '{"device": "phone"}') AS d;
SELECT track(jsonb_build_object('event_id', 'o1', 'type', 'order', 'user_id', 'ann', 'at', now() - interval '1 minute'));
INSERT INTO made SELECT 2, d.* FROM decide('ann', 'home') AS d;
INSERT INTO made SELECT 3, d.* FROM decide('bob', 'home') AS d;
INSERT INTO made SELECT 4, d.* FROM decide('eve', 'other') AS d;
SELECT decide.run_job('freshness');
SELECT feature, date_trunc('minute', freshness_seen) AS seen, freshness_seen > freshness_promised AS late, missing_share, statistics_at IS NOT NULL AS known FROM decide.feature_catalog;
-- an event that comes late is not the newest; one that comes later is
SELECT track(jsonb_build_object('event_id', 'c2', 'type', 'click', 'user_id', 'bob', 'at', now() - interval '3 hours'));
SELECT track(jsonb_build_object('event_id', 'o2', 'type', 'order', 'user_id', 'bob', 'at', now()));
SELECT decide.run_job('freshness');
SELECT feature, date_trunc('minute', freshness_seen) AS seen, missing_share FROM decide.feature_catalog WHERE feature IN ('clicks', 'orders', 'rate', 'never');
-- decisions under another bundle say nothing of this one's features; those that are gone are forgotten
DELETE FROM decide.feature WHERE feature = 'never';
UPDATE decide.feature SET half_life = '2 days' WHERE feature = 'clicks';
INSERT INTO decide.feature (feature, event_type, aggregate, owner) VALUES ('news', 'click', 'recency', 'press');
SELECT feature, version, lifecycle, half_life, owner FROM decide.feature_catalog WHERE feature IN ('clicks', 'never', 'news');
SELECT decide.publish();
SELECT decide.run_job('freshness');
SELECT feature, version, lifecycle, owner, missing_share, statistics_at IS NOT NULL AS known FROM decide.feature_catalog;
SELECT feature, decisions FROM decide.feature_statistic ORDER BY 1;

-- sets to train on: with their own vectors, and what came after
SELECT track(jsonb_build_object('event_id', 'w1', 'type', 'click', 'user_id', 'ann', 'at', clock_timestamp(), 'decision_id', decision_id, 'action', action)) FROM made WHERE n = 1;
SELECT track(jsonb_build_object('event_id', 'w2', 'type', 'order', 'user_id', 'ann', 'at', clock_timestamp(), 'decision_id', decision_id, 'value', 30)) FROM made WHERE n = 2;
SELECT track(jsonb_build_object('event_id', 'w3', 'type', 'click', 'user_id', 'ann', 'at', clock_timestamp() - interval '1 hour', 'decision_id', decision_id)) FROM made WHERE n = 2;
-- a clock that is a little slow is no reason to lose a label
SELECT track(jsonb_build_object('event_id', 'w4', 'type', 'click', 'user_id', 'ann', 'at', d.decided_at - interval '1 minute', 'decision_id', decision_id)) FROM made JOIN decide.decision AS d USING (decision_id) WHERE n = 2;
SELECT n, t.slot, t.action = m.action AS same, t.probability = m.probability AS exact, t.features IS NOT DISTINCT FROM x.features AS own, t.missing, t.context_values, t.reward
  FROM decide.training_set('m', now() - interval '1 day', now() + interval '1 day') AS t JOIN made AS m USING (decision_id) JOIN decide.trace AS x USING (decision_id) ORDER BY n;
SELECT n, reward FROM decide.training_set('m', now() - interval '1 day', now() + interval '1 day', 'order') JOIN made USING (decision_id) ORDER BY n;
SELECT count(*) FROM decide.training_set('m', now() - interval '2 days', now() - interval '1 day');
SELECT count(*) FROM decide.training_set('nobody', '-infinity', 'infinity');

CREATE ROLE catalog_analyst;
SELECT decide.grant('catalog_analyst', 'analyse');
SET ROLE catalog_analyst;
SELECT count(*) FROM decide.feature_catalog;
SELECT count(*) FROM decide.training_set('m', '-infinity', 'infinity');
SELECT * FROM decide.feature_consistency('-infinity', 'infinity');
SELECT decide.backfill('clicks');
SELECT count(*) AS features FROM decide.feature;
SELECT * FROM decide.feature_statistic;
RESET ROLE;
SELECT decide.revoke('catalog_analyst', 'analyse');
DROP ROLE catalog_analyst;
