-- Regions: what differs where the user is; of no known region, what any region forbids.
SET timezone = 'UTC';
INSERT INTO decide.purpose (purpose, consent) VALUES ('ads', 'opt-out'), ('relevance', 'opt-out'), ('profiling', 'opt-in');
INSERT INTO decide.surface (surface, fallback_action, latency_budget, context_fields) VALUES ('home', 'nothing', '10 s', '{country}'), ('elsewhere', 'nothing', '10 s', '{}');
INSERT INTO decide.campaign (campaign) VALUES ('casino');
INSERT INTO decide.action (action, campaign, purpose, surfaces) VALUES
  ('nothing', NULL, NULL, '{elsewhere}'), ('plain', NULL, NULL, '{home}'), ('ad', NULL, 'ads', '{home}'), ('tobacco', NULL, NULL, '{home}'), ('slots', 'casino', NULL, '{home}');
INSERT INTO decide.feature (feature, event_type, aggregate, key_path, purpose) VALUES
  ('views', 'view', 'decayed_count', NULL, 'relevance'), ('orders', 'order', 'decayed_count', NULL, NULL), ('brands', 'view', 'decayed_count', 'attributes.brand', NULL);
INSERT INTO decide.event_type (event_type, purpose) VALUES ('view', 'relevance'), ('order', NULL), ('answer', 'profiling');
INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('often', 'home', 'user', 100), ('all', 'home', 'all', 100000);
INSERT INTO decide.policy (policy, surface, selection, params) VALUES ('home', 'home', 'uniform', '{}');
INSERT INTO decide.context_field (source, field, treatment, expression, names_region) VALUES
  ('context', 'country', 'coarsen', $$CASE WHEN value #>> '{}' IN ('DE', 'FR') THEN 'eea' WHEN value #>> '{}' = 'US' THEN 'us' ELSE value #>> '{}' END$$, true),
  ('event', 'country', 'coarsen', $$CASE WHEN value #>> '{}' IN ('DE', 'FR') THEN 'eea' WHEN value #>> '{}' = 'US' THEN 'us' END$$, true);

-- faults, all at once
INSERT INTO decide.region (region, opt_in, opt_out, not_allowed, features_out, actions_out, campaigns_out, cap_limits, selection, params) VALUES
  ('a', '{none}', '{}', '{gone}', '{nix}', '{tobaco}', '{kasino}', '{"often": 1.5, "all": 3, "seldom": 1}', 'greedy', '{}'),
  ('b', '{ads}', '{ads}', '{}', '{}', '{nothing}', '{}', '{}', NULL, '{"epsilon": 1}'), ('c', '{}', '{}', '{}', '{}', '{}', '{}', '{}', 'best', '{}');
SELECT decide.publish();
TRUNCATE decide.region;

INSERT INTO decide.region (region, opt_in, opt_out, not_allowed, features_out, actions_out, campaigns_out, cap_limits, explores) VALUES
  ('eea', '{ads}', '{}', '{profiling}', '{views}', '{tobacco}', '{}', '{"often": 2}', false),
  ('us', '{}', '{profiling}', '{}', '{}', '{}', '{casino}', '{}', true),
  ('row', '{}', '{}', '{}', '{}', '{}', '{}', '{}', true);
SELECT decide.publish('regions');
CREATE FUNCTION ask(person text, country text) RETURNS TABLE (region text, candidates text[], blocked text[], reasons text[], denied text[], orders numeric, views numeric) LANGUAGE sql AS $$
  SELECT public.decide(person, 'home', jsonb_build_object('country', country));
  SELECT d.region, d.candidates, d.blocked, d.blocked_reasons, d.denied, round(t.features[1]::numeric, 1), round(t.features[2]::numeric, 1)
    FROM decide.decision AS d JOIN decide.trace AS t USING (decision_id) ORDER BY d.decision_id DESC LIMIT 1
$$;
CREATE FUNCTION event(id text, type text, person text, country text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', id, 'type', type, 'user_id', person, 'at', now(), 'attributes', jsonb_build_object('brand', 'acme', 'country', country))
$$;
-- by the context
SELECT track(event('v1', 'view', 'ann')), track(event('o1', 'order', 'ann'));
SELECT * FROM ask('ann', 'US');
SELECT * FROM ask('ann', 'DE');
SELECT * FROM ask('ann', 'row');
-- no known region, or one that is said and is not there: what any of them forbids
SELECT * FROM ask('ann', 'XX');
SELECT * FROM ask('ann', NULL);
-- a limit that is lower there has been used up by what was shown elsewhere
SELECT * FROM ask('ann', 'FR');
SELECT action, step, reason FROM decide.explain('ann', 'home', '{"country": "DE"}') ORDER BY action;
SELECT action, CASE WHEN step IN ('shown', 'choose') THEN 'candidate' ELSE step END AS step FROM decide.explain('bea', 'home', '{"country": "DE"}') ORDER BY action;
-- by the row of the user, which the context does not change
SELECT decide.set_region('cid', 'us'), decide.set_region('cid', 'eea', now() - interval '1 day') AS older;
SELECT * FROM ask('cid', 'DE');
SELECT decide.set_region('cid', 'eea');
SELECT * FROM ask('cid', 'US');
SELECT decide.set_region('cid', NULL);
SELECT * FROM ask('cid', 'US');
SELECT decide.set_region('cid', 'nowhere');
SELECT decide.set_region('cid', 'us', now() + interval '1 day');
SELECT decide.set_region(7::bigint, 'us'), decide.set_region('11111111-2222-3333-4444-555555555555'::uuid, 'us');
-- consent by region: what was granted, and what nobody may grant
SELECT decide.set_region('dan', 'us');
SELECT purpose, granted FROM decide.consent('dan') ORDER BY purpose;
SELECT decide.set_consent('dan', 'profiling', true), decide.set_consent('dan', 'ads', true);
SELECT decide.set_region('dan', 'eea');
SELECT purpose, granted FROM decide.consent('dan') ORDER BY purpose;
-- who asks is told the region, and what it hides is no fault of features
SELECT decide.export_person('dan') -> 'state' -> 'region' AS region, decide.export_person('ann') -> 'state' -> 'region' AS unknown;
SELECT feature, mismatch, missing, extra FROM decide.feature_consistency(now() - interval '1 hour', now() + interval '1 hour') ORDER BY feature;
-- events: by the row of the user, by what they say, and otherwise the strictest
SELECT track(event('a1', 'answer', 'eve')) AS nowhere, track(event('a2', 'answer', 'eve', 'US')) AS us, track(event('a3', 'answer', 'eve', 'DE')) AS eea, track(event('a4', 'answer', 'dan', 'US')) AS dan;
SELECT why, event_type, sum(events) AS events FROM decide.refused_event GROUP BY 1, 2;
SELECT feature, key FROM decide.features('dan') ORDER BY feature;
-- merged, the newest region holds
SELECT decide.set_region('fay', 'us'), decide.set_region('gil', 'eea');
SELECT decide.merge_users('fay', 'gil');
SELECT region FROM ask('fay', NULL);
-- erased, nothing is known of it
SELECT decide.erase('fay') IS NOT NULL AS erased;
SELECT decide.run_job('erasure') IS NOT NULL AS done;
SELECT region FROM ask('fay', NULL);
-- a page, a batch, and a user who is not known
SELECT count(*) FROM decide('cid', ARRAY['home', 'elsewhere'], '{"country": "US"}');
SELECT count(*) FROM decide.decide_batch(ARRAY['{"user_id": "hal", "surface": "home", "context": {"country": "FR"}}', '{"user_id": "ivy", "surface": "home", "context": {"country": "US"}}']::jsonb[]);
SET pg_decide.unknown_users = on;
SELECT count(*) FROM decide(NULL::text, 'home', '{"country": "US"}');
RESET pg_decide.unknown_users;
SELECT region, surface, count(*) FROM decide.trace GROUP BY 1, 2 ORDER BY 1, 2;
SELECT agrees, difference, count(*) FROM (SELECT DISTINCT decision_id FROM decide.decision) AS d CROSS JOIN LATERAL decide.replay(d.decision_id) GROUP BY 1, 2;
-- selections
UPDATE decide.region SET selection = 'softmax' WHERE region = 'us';
UPDATE decide.region SET selection = 'greedy' WHERE region = 'eea';
SELECT decide.publish();
UPDATE decide.region SET selection = NULL;
-- synthetic traffic: nothing is written, and a bundle that was only tried leaves nothing
CREATE TEMP TABLE written AS SELECT (SELECT count(*) FROM decide.trace) AS traces, (SELECT sum(cardinality(s.exposures)) FROM decide.user_state AS s) AS exposures;
SELECT region, count(*) AS slots, count(*) FILTER (WHERE action = CASE region WHEN 'us' THEN 'slots' WHEN 'row' THEN '' ELSE 'tobacco' END) AS forbidden FROM decide.simulate_traffic(surface => 'home') GROUP BY 1 ORDER BY 1;
BEGIN;
INSERT INTO decide.region (region, actions_out) VALUES ('ch', '{plain,ad,slots}');
UPDATE decide.region SET actions_out = '{plain,slots}' WHERE region = 'eea';
SELECT decide.publish('tried');
SELECT surface, cohort, requests, changed > 0 AS changed, distance > 0 AS differs, fallbacks_before, fallbacks_after FROM decide.compare_bundles(1, 2, 'home');
SELECT surface, cohort, requests, changed, round(distance::numeric, 3) AS distance FROM decide.compare_bundles(1, 1);
SELECT cohort, requests FROM decide.compare_bundles(1, 2, 'home', cohort => 'country');
SELECT cohort, sum(requests) AS requests FROM decide.compare_bundles(1, 2, cohort => NULL, requests => 5) GROUP BY 1;
ROLLBACK;
SELECT * FROM written EXCEPT SELECT (SELECT count(*) FROM decide.trace) AS traces, (SELECT sum(cardinality(s.exposures)) FROM decide.user_state AS s) AS exposures;
SELECT * FROM decide.compare_bundles(1, 7);
SELECT * FROM decide.compare_bundles(1, NULL);
SELECT * FROM decide.compare_bundles(1, 1, requests => 0);
SELECT * FROM decide.compare_bundles(1, 1, cohort => 'user_key');
-- names follow
SELECT decide.rename('action', 'tobacco', 'cigars'), decide.rename('campaign', 'casino', 'bets'), decide.rename('feature', 'views', 'looks'), decide.rename('cap', 'often', 'rarely');
UPDATE decide.purpose SET purpose = 'adverts' WHERE purpose = 'ads';
UPDATE decide.region SET region = 'europe' WHERE region = 'eea';
SELECT region, opt_in, features_out, actions_out, campaigns_out, cap_limits FROM decide.region ORDER BY 1;
SELECT decide.publish('renamed');
SELECT region, reasons FROM ask('dan', 'US');
SELECT "table", "row", change FROM decide.bundle_diff(1, 2) WHERE "table" LIKE '%region%' ORDER BY 1, 2;
-- no regions any more
TRUNCATE decide.region;
SELECT decide.publish('one world');
SELECT * FROM ask('dan', 'DE');
