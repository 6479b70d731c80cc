-- What can be shown where, what binds it, and what is kept of users. In force once published.

INSERT INTO shop.inventory SELECT 'item-' || item_id, CASE WHEN item_id % 20 = 7 THEN 0 ELSE 10 END FROM shop.item;

INSERT INTO decide.surface (surface, slots, fallback_action, context_fields)
  VALUES ('home', 1, 'item-1', '{position,u0,u1,u2,u3}');

INSERT INTO decide.action (action, attributes, eligible_when)
SELECT 'item-' || item_id,
       jsonb_build_object('price_index', price_index, 'brand', brand, 'category', category, 'style', style),
       'exists (SELECT FROM shop.inventory AS i WHERE i.sku = action.action AND i.on_hand > 0)'
  FROM shop.item;

INSERT INTO decide.feature (feature, event_type, aggregate, half_life, window_length, value_path, key_path, default_value, purpose) VALUES
  ('brand', 'click', 'decayed_count', '7 days', NULL, NULL, 'action.brand', 0, 'which brands a user likes'),
  ('clicks', 'click', 'decayed_count', '7 days', NULL, NULL, NULL, 0, 'how active a user is'),
  ('clicks_1d', 'click', 'window_count', NULL, '1 day', NULL, NULL, 0, 'whether they are active today'),
  ('since_click', 'click', 'recency', NULL, NULL, NULL, NULL, 31536000, 'whether they come back'),
  ('impressions', 'impression', 'decayed_count', '1 day', NULL, NULL, NULL, 0, 'how much they were shown'),
  ('items_seen', 'impression', 'distinct', NULL, NULL, 'action', NULL, 0, 'how much of the shop they know');

-- Rules run as a role that may read the stock, and nothing else of the shop.
DO $$
BEGIN
  CREATE ROLE demo_rules;
EXCEPTION WHEN duplicate_object THEN NULL;
END
$$;
SELECT decide.grant('demo_rules', 'rules');
GRANT USAGE ON SCHEMA shop TO demo_rules;
GRANT SELECT ON shop.inventory TO demo_rules;
ALTER DATABASE demo SET pg_decide.rule_role = demo_rules;
SET pg_decide.rule_role = demo_rules;
