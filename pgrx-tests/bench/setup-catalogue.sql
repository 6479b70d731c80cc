-- A surface with as many actions as bench.actions says, 32 features, and a model that has a weight for each feature.

CREATE EXTENSION pg_decide;
CREATE SCHEMA bench;
SELECT setseed(0.5);

INSERT INTO decide.surface (surface, fallback_action, latency_budget) VALUES ('catalogue', 'i-0', '1 minute');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life)
SELECT 'f' || i, 'click', 'decayed_count', make_interval(hours => i) FROM generate_series(1, 32) AS i;
INSERT INTO decide.action (action, attributes)
SELECT 'i-' || i, jsonb_build_object('sku', 'sku-' || i, 'price', i % 50)
  FROM generate_series(0, current_setting('bench.actions')::int - 1) AS i;
SELECT decide.publish('actions');

INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at)
SELECT 'bench', 1, 'linear', (SELECT array_agg('user.f' || i ORDER BY i) FROM generate_series(1, 32) AS i),
       jsonb_build_object('family', 'linear', 'terms', (
         SELECT jsonb_agg(jsonb_build_object('factors', jsonb_build_array(jsonb_build_object('source', 'user.f' || i, 'encoding', 'number'))) ORDER BY i)
           FROM generate_series(1, 32) AS i)),
       (SELECT array_agg((random() - 0.5)::real) FROM generate_series(1, 32)), now();
INSERT INTO decide.policy (policy, surface, model, selection, params)
VALUES ('catalogue', 'catalogue', 'bench', 'softmax', '{"temperature": 1}');
SELECT decide.publish('catalogue');
