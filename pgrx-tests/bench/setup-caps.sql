-- The surface of 100 candidates again, with caps that never bind: one per user and one budget, five of each, a budget
-- alone; and one per user and one budget where no rule reads a table. And bench.caps_elsewhere caps on a surface that
-- nobody asks for.

INSERT INTO decide.surface (surface, fallback_action) VALUES ('elsewhere', 'a-0');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{elsewhere}');
INSERT INTO decide.surface (surface, fallback_action, context_fields, latency_budget)
SELECT name, 'nothing', '{device}', '1 minute' FROM unnest('{caps_1,caps_10,budget}'::text[]) AS name;
INSERT INTO decide.campaign (campaign) VALUES ('spring');
UPDATE decide.action SET campaign = 'spring', surfaces = surfaces || '{caps_1,caps_10,budget}' WHERE 'c100s1' = ANY (surfaces);
UPDATE decide.surface SET fallback_action = 'nothing' WHERE surface = 'caps_plain';
UPDATE decide.action SET campaign = 'spring' WHERE 'caps_plain' = ANY (surfaces);

INSERT INTO decide.cap (cap, surface, campaign, per, max_count, window_length)
SELECT format('%s per %s', s.surface, per), s.surface, 'spring', per, 1000000000000, '1 day'
  FROM (VALUES ('caps_1', 'user'), ('caps_1', 'all'), ('caps_plain', 'user'), ('caps_plain', 'all'), ('budget', 'all')) AS s (surface, per);
INSERT INTO decide.cap (cap, surface, per, max_count, window_length)
SELECT format('%s per %s', length, per), 'caps_10', per, 1000000000000, length
  FROM unnest('{1 hour,1 day,7 days,1 month,1 year}'::interval[]) AS length, unnest('{user,all}'::text[]) AS per;
INSERT INTO decide.cap (cap, surface, per, max_count, window_length)
SELECT format('elsewhere %s', i), 'elsewhere', CASE i % 2 WHEN 0 THEN 'user' ELSE 'all' END, 1000000, '1 day'
  FROM generate_series(1, current_setting('bench.caps_elsewhere')::int) AS i;

INSERT INTO decide.policy (policy, surface, model, selection, params)
SELECT surface, surface, 'bench', 'softmax', '{"temperature": 1}' FROM decide.surface WHERE surface IN ('caps_1', 'caps_10', 'budget');
SELECT decide.publish('caps');
