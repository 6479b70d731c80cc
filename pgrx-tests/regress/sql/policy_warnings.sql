-- What is valid and has no effect is told when it is published, and kept for a view.
SET pg_decide.publish_warnings = on;
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('idle', 'nothing'), ('bare', 'nothing');
INSERT INTO decide.campaign (campaign, ends_at) VALUES ('over', '2020-01-01'), ('nobody', NULL), ('runs', '2999-01-01');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{home,bare}');
INSERT INTO decide.action (action, campaign, surfaces, attributes, cost) VALUES ('hat', 'runs', '{home}', '{"category": "hats"}', 0), ('relic', 'over', '{home,idle}', '{}', 1), ('relic two', 'over', '{home}', '{}', 1);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('bare', 'bare', 'uniform');
-- all is well here, but for what is meant to be found
SELECT decide.publish('rows without effect');
SELECT "table", "row", warning, bundle FROM decide.policy_warning;

-- caps that limit nothing
INSERT INTO decide.cap (cap, per, max_count, campaign) VALUES ('of nobody', 'user', 5, 'nobody');
INSERT INTO decide.cap (cap, per, max_count, attribute, attribute_value) VALUES ('of a value', 'user', 5, 'category', 'Hats'), ('of hats', 'user', 5, 'category', 'hats');
INSERT INTO decide.cap (cap, per, max_count, attribute) VALUES ('of an attribute', 'user', 5, 'colour'), ('of each category', 'user', 5, 'category');
INSERT INTO decide.cap (cap, per, max_count, surface, action) VALUES ('elsewhere', 'user', 5, 'bare', 'hat'), ('here', 'user', 5, 'home', 'hat');
INSERT INTO decide.cap (cap, per, max_count, action, unit) VALUES ('free of cost', 'all', 5, 'hat', 'cost');
INSERT INTO decide.cap (cap, per, max_count, action) VALUES ('none at all', 'all', 0, 'hat');
INSERT INTO decide.campaign (campaign) VALUES ('used');
UPDATE decide.action SET campaign = 'used' WHERE action LIKE 'relic%';
DELETE FROM decide.campaign WHERE campaign IN ('nobody', 'over');
DELETE FROM decide.surface WHERE surface IN ('idle');
UPDATE decide.action SET surfaces = '{home}' WHERE action = 'relic';
DELETE FROM decide.policy WHERE policy = 'bare';
INSERT INTO decide.policy (policy, surface, selection) VALUES ('bare', 'bare', 'uniform');
INSERT INTO decide.campaign (campaign) VALUES ('nobody');
SELECT decide.publish();
DELETE FROM decide.cap WHERE cap NOT IN ('of hats', 'here', 'of each category');
DELETE FROM decide.campaign WHERE campaign = 'nobody';
DELETE FROM decide.policy WHERE policy = 'bare';
DELETE FROM decide.surface WHERE surface = 'bare';
UPDATE decide.action SET surfaces = '{home}' WHERE action = 'nothing';
-- nothing to tell
SELECT decide.publish();
SELECT count(*) FROM decide.policy_warning;

-- rules that are never true; and some that look so
CREATE ROLE regress_warnings_rules;
SELECT decide.grant('regress_warnings_rules', 'rules');
SET pg_decide.rule_role = 'regress_warnings_rules';
INSERT INTO decide.action (action, eligible_when) VALUES
  ('never', 'false'), ('never by sum', '1 + 1 = 3'), ('unknown', 'NULL::boolean'), ('never in part', 'false AND context ->> ''x'' = ''y'''),
  ('sometimes', 'context ->> ''x'' = ''y'''), ('always', 'true'), ('compared', 'user_key IS NULL OR false');
SELECT decide.publish();
DELETE FROM decide.action WHERE eligible_when IS NOT NULL;

-- features that nobody reads, and types of events that nobody sends: nothing is said of types while none is known
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('clicks', 'click', 'decayed_count'), ('views today', 'view', 'decayed_count'), ('in_rule', 'click', 'decayed_count'), ('Mixed', 'click', 'decayed_count');
INSERT INTO decide.feature (feature, event_type, aggregate, offline_only) VALUES ('kept', 'purchase', 'decayed_count', true);
INSERT INTO decide.cap (cap, per, max_count, counts) VALUES ('of events', 'user', 5, 'impresion');
UPDATE decide.cap SET hard = false;
UPDATE decide.action SET eligible_when = 'features.in_rule > 0 OR features."Mixed" > 1' WHERE action = 'hat';
SELECT decide.publish();
SELECT track(ARRAY['{"event_id": "1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}', jsonb_build_object('event_id', '2', 'type', 'click', 'user_id', 'ann', 'at', now())]::jsonb[]);
SELECT decide.publish();
INSERT INTO decide.event_type (event_type) VALUES ('click'), ('purchase'), ('view'), ('impresion');
SELECT decide.publish();
SELECT "table", "row", warning FROM decide.policy_warning;

-- the view follows a rollback; many are told in part, and who does not want them is not told
SELECT decide.rollback(1);
SELECT count(*), min(bundle), max(bundle) FROM decide.policy_warning;
INSERT INTO decide.campaign (campaign) SELECT 'c' || lpad(n::text, 4, '0') FROM generate_series(1, 1200) AS n;
SELECT decide.publish();
SELECT count(*), max("row") FROM decide.policy_warning;
SET pg_decide.publish_warnings = off;
SELECT decide.publish();
SELECT count(*) FROM decide.policy_warning;
-- an aborted publish leaves none
BEGIN;
SELECT decide.publish();
ROLLBACK;
SELECT count(DISTINCT bundle) = (SELECT max(bundle) FROM decide.bundle) - 1 AS bundles FROM decide.bundle_warning;
RESET pg_decide.rule_role;
SELECT decide.revoke('regress_warnings_rules', 'rules');
DROP ROLE regress_warnings_rules;
