-- Surfaces of 10, 100 and 1,000 candidates with one slot and with five, as many features as bench.features says, and a
-- model that has a weight for each feature of each action. A tenth of the actions has a rule: over the context, over a
-- feature, or over a table of the shop. All rules hold, so that the number of candidates is what the surface's name says.

CREATE EXTENSION pg_decide;
CREATE SCHEMA bench;
SELECT setseed(0.5);

DO $$
BEGIN
  CREATE ROLE bench_rules;
EXCEPTION WHEN duplicate_object THEN NULL;
END
$$;
DO $$
BEGIN
  EXECUTE format('ALTER DATABASE %I SET pg_decide.rule_role = bench_rules', current_database());
END
$$;
SET pg_decide.rule_role = bench_rules;
SELECT decide.grant('bench_rules', 'rules');

CREATE TABLE bench.inventory (sku text PRIMARY KEY, on_hand integer NOT NULL);
INSERT INTO bench.inventory SELECT 'sku-' || i, 1 + i % 7 FROM generate_series(0, 999) AS i;
GRANT USAGE ON SCHEMA bench TO bench_rules;
GRANT SELECT ON bench.inventory TO bench_rules;

-- Time enough, however busy the machine is: a fallback would be no fair comparison.
INSERT INTO decide.surface (surface, slots, fallback_action, context_fields, latency_budget)
SELECT format('c%ss%s', candidates, slots), slots, 'a-0', '{device}', '1 minute'
  FROM unnest(ARRAY[10, 100, 1000]) AS candidates, unnest(ARRAY[1, 5]) AS slots;
INSERT INTO decide.surface (surface, fallback_action, context_fields, latency_budget) VALUES ('caps_plain', 'p-0', '{device}', '1 minute');

INSERT INTO decide.feature (feature, event_type, aggregate, value_path, half_life)
SELECT 'f' || i, CASE i % 2 WHEN 0 THEN 'click' ELSE 'order' END,
       CASE i % 2 WHEN 0 THEN 'decayed_count' ELSE 'decayed_sum' END, CASE i % 2 WHEN 1 THEN 'value' END, make_interval(hours => i)
  FROM generate_series(1, current_setting('bench.features')::int) AS i;

INSERT INTO decide.action (action, surfaces, attributes, eligible_when)
SELECT 'a-' || i,
       CASE WHEN i < 10 THEN '{c10s1,c10s5,c100s1,c100s5,c1000s1,c1000s5}'
            WHEN i < 100 THEN '{c100s1,c100s5,c1000s1,c1000s5}' ELSE '{c1000s1,c1000s5}' END::text[],
       jsonb_build_object('sku', 'sku-' || i, 'price', i % 50),
       CASE WHEN i % 10 <> 5 THEN NULL
            WHEN i % 20 = 5 THEN $rule$context->>'device' = 'mobile'$rule$
            WHEN i % 40 = 15 THEN 'features.f2 >= 0'
            ELSE $rule$exists (SELECT FROM bench.inventory WHERE sku = action.attributes->>'sku' AND on_hand > 0)$rule$ END
  FROM generate_series(0, 999) AS i;

-- A hundred more, with as many rules, none of which reads a table.
INSERT INTO decide.action (action, surfaces, attributes, eligible_when)
SELECT 'p-' || i, '{caps_plain}', jsonb_build_object('sku', 'sku-' || i, 'price', i % 50),
       CASE i % 20 WHEN 5 THEN $rule$context->>'device' = 'mobile'$rule$ WHEN 15 THEN 'features.f2 >= 0' END
  FROM generate_series(0, 99) AS i;

SELECT decide.publish('actions');

WITH levels AS (SELECT array_agg(action ORDER BY action COLLATE "C") AS names FROM decide.action)
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at)
SELECT 'bench', 1, 'linear',
       (SELECT array_agg(format('user.f%s*action', i) ORDER BY i) FROM generate_series(1, current_setting('bench.features')::int) AS i),
       jsonb_build_object('family', 'linear', 'terms', (
         SELECT jsonb_agg(jsonb_build_object('factors', jsonb_build_array(
                  jsonb_build_object('source', 'user.f' || i, 'encoding', 'number'),
                  jsonb_build_object('source', 'action', 'encoding', jsonb_build_object('levels', names)))) ORDER BY i)
           FROM generate_series(1, current_setting('bench.features')::int) AS i)),
       (SELECT array_agg((random() - 0.5)::real) FROM generate_series(1, 1100 * current_setting('bench.features')::int)),
       now()
  FROM levels;

INSERT INTO decide.policy (policy, surface, model, selection, params)
SELECT surface, surface, 'bench', 'softmax', '{"temperature": 1}' FROM decide.surface;
SELECT decide.publish('bench');
