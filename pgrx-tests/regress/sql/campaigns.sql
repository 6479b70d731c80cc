-- Actions are candidates from the start of their campaign until its end.
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 10, 'nothing');
INSERT INTO decide.campaign (campaign, starts_at, ends_at) VALUES
  ('always', NULL, NULL), ('past', NULL, now() - interval '1 second'), ('future', now() + interval '1 hour', NULL),
  ('running', now() - interval '1 hour', now() + interval '1 hour'),
  ('ancient', '4000-01-01 BC', '1970-01-01Z'), ('distant', '2020-01-01Z', '290000-01-01Z');
INSERT INTO decide.action (action, campaign) SELECT campaign, campaign FROM decide.campaign;
INSERT INTO decide.action (action) VALUES ('nothing'), ('none');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
SET pg_decide.seed = 1;
SELECT action, step, reason FROM decide.explain('ann', 'home') WHERE step <> 'fallback' ORDER BY action COLLATE "C";
SELECT count(*) FROM decide('ann', 'home') WHERE reason IS NULL;
SELECT DISTINCT candidates, blocked, blocked_reasons FROM decide.decision;

-- the fallback ignores dates
UPDATE decide.surface SET fallback_action = 'past', slots = 1;
UPDATE decide.action SET campaign = 'past';
SELECT decide.publish();
SELECT action, reason FROM decide('ann', 'home');

-- a campaign that ends while the bundle is kept ends then, without a publish
UPDATE decide.campaign SET ends_at = clock_timestamp() + interval '700 milliseconds' WHERE campaign = 'always';
UPDATE decide.action SET campaign = 'always' WHERE action = 'none';
SELECT decide.publish();
SELECT action, reason FROM decide('ann', 'home');
SELECT pg_sleep(0.8) IS NULL AS slept;
SELECT action, reason FROM decide('ann', 'home');
-- dates that are changed count once they are published
UPDATE decide.campaign SET ends_at = NULL WHERE campaign = 'always';
SELECT action, reason FROM decide('ann', 'home');
SELECT decide.publish();
SELECT action, reason FROM decide('ann', 'home');
