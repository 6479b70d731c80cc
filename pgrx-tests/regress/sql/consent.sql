-- Consent: features, actions and events of a purpose that a person denies are not used, from the next statement on.
SET timezone = 'UTC';
INSERT INTO decide.purpose (purpose, legal_basis, consent) VALUES ('ads', 'Art. 6 (1) a GDPR', 'opt-in'), ('relevance', 'Art. 6 (1) f GDPR', 'opt-out'), ('research', NULL, 'opt-in');
INSERT INTO decide.surface (surface, fallback_action, latency_budget) VALUES ('home', 'nothing', '10 s');
INSERT INTO decide.campaign (campaign, purpose) VALUES ('study', 'research');
INSERT INTO decide.action (action, campaign, purpose, surfaces, attributes) VALUES
  ('nothing', NULL, NULL, '{elsewhere}', '{}'), ('plain', NULL, NULL, '{home}', '{"brand": "acme"}'), ('ad', NULL, 'ads', '{home}', '{"brand": "acme"}'), ('survey', 'study', NULL, '{home}', '{}');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('elsewhere', 'nothing');
INSERT INTO decide.feature (feature, event_type, aggregate, key_path, purpose) VALUES
  ('views', 'view', 'decayed_count', NULL, 'relevance'), ('brands', 'view', 'decayed_count', 'attributes.brand', 'relevance'), ('orders', 'order', 'decayed_count', NULL, NULL);
INSERT INTO decide.event_type (event_type, purpose) VALUES ('view', 'relevance'), ('order', NULL), ('answer', 'research');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
CREATE FUNCTION last_seen() RETURNS TABLE (candidates text[], blocked text[], reasons text[], views numeric, orders numeric, missing smallint[], denied text[]) LANGUAGE sql AS $$
  SELECT d.candidates, d.blocked, d.blocked_reasons, round(t.features[1]::numeric, 1), round(t.features[2]::numeric, 1), t.missing, d.denied
    FROM decide.decision AS d JOIN decide.trace AS t USING (decision_id) ORDER BY d.decision_id DESC LIMIT 1
$$;
CREATE FUNCTION event(id text, type text, person text, at timestamptz DEFAULT now()) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', id, 'type', type, 'user_id', person, 'at', at, 'attributes', jsonb_build_object('brand', 'acme'))
$$;

-- somebody of whom nothing is known has the defaults
SELECT * FROM decide.consent('ann');
SELECT track(event('v1', 'view', 'ann')), track(event('o1', 'order', 'ann')), track(event('a1', 'answer', 'ann'));
SELECT count(*) FROM decide('ann', 'home');
SELECT * FROM last_seen();
SELECT feature, key, round(value::numeric, 1) AS value FROM decide.features('ann') ORDER BY feature;
SELECT action, step, reason FROM decide.explain('ann', 'home') WHERE step = 'consent' ORDER BY action;
-- an event that is refused makes no row of its user
SELECT track(event('a2', 'answer', 'nobody'));
SELECT * FROM track(ARRAY[event('a3', 'answer', 'nobody'), event('a4', 'answer', 'ann'), event('o2', 'order', 'ann')]);
SELECT count(*) FROM decide.user_state WHERE user_key = decide.user_key('nobody');
SELECT why, event_type, sum(events) AS events FROM decide.refused_event GROUP BY 1, 2;

-- granted, and denied
SELECT decide.set_consent('ann', 'ads', true, 'web form');
SELECT decide.set_consent('ann', 'research', true, 'web form');
SELECT decide.set_consent('ann', 'relevance', false, 'letter');
SELECT purpose, granted, decided_at > now() - interval '1 minute' AS decided FROM decide.consent('ann');
SELECT track(event('v2', 'view', 'ann')), track(event('a5', 'answer', 'ann'));
SELECT count(*) FROM decide('ann', 'home');
SELECT * FROM last_seen();
-- the row of the user still has them, and no decision finds them
SELECT feature, key, round(value::numeric, 1) AS value FROM decide.features('ann') ORDER BY feature;
SELECT decide.set_consent('ann', 'relevance', true, 'web form');
SELECT feature, key, round(value::numeric, 1) AS value FROM decide.features('ann') ORDER BY feature;
SELECT agrees, difference FROM (SELECT DISTINCT decision_id FROM decide.decision) AS d CROSS JOIN LATERAL decide.replay(d.decision_id);
SELECT feature, decisions, mismatch, missing, extra FROM decide.feature_consistency(now() - interval '1 hour', now() + interval '1 hour') ORDER BY feature;

-- out of order, twice, and of one moment: the newest holds, and of two of a moment the denial
SELECT decide.set_consent('bob', 'ads', true, 'form', now() - interval '1 hour') AS first,
       decide.set_consent('bob', 'ads', false, 'form', now() - interval '2 hours') AS older,
       decide.set_consent('bob', 'ads', true, 'form', now() - interval '1 hour') AS again;
SELECT granted FROM decide.consent('bob') WHERE purpose = 'ads';
SELECT decide.set_consent('bob', 'ads', false, 'form', now() - interval '1 hour') AS denied_then;
SELECT granted FROM decide.consent('bob') WHERE purpose = 'ads';
SELECT decide.set_consents(ARRAY[
  jsonb_build_object('user_id', 'bob', 'purpose', 'ads', 'granted', true, 'at', now(), 'source', 'import'),
  jsonb_build_object('user_id', 'cid', 'purpose', 'research', 'granted', true, 'at', now()),
  jsonb_build_object('user_id', 'bob', 'purpose', 'ads', 'granted', false, 'at', now() - interval '1 minute')]);
SELECT purpose, granted, source, held, now() - at < interval '1 second' AS newest FROM decide.consent_history WHERE user_key = decide.user_key('bob') ORDER BY at, granted;
-- by events, one by one and many at once, if their contract says so
INSERT INTO decide.event_type (event_type, sets_consent) VALUES ('consent', true);
SELECT decide.publish();
CREATE FUNCTION told(id text, person text, purpose text, granted jsonb, at timestamptz) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('event_id', id, 'type', 'consent', 'user_id', person, 'at', at, 'attributes', jsonb_build_object('purpose', purpose, 'granted', granted))
$$;
SELECT track(told('c1', 'dan', 'ads', 'true', now() - interval '1 hour')), track(told('c1', 'dan', 'ads', 'true', now() - interval '1 hour'));
SELECT granted FROM decide.consent('dan') WHERE purpose = 'ads';
SELECT * FROM track(ARRAY[told('c2', 'dan', 'ads', 'true', now() - interval '3 minutes'), told('c3', 'dan', 'ads', 'false', now() - interval '2 minutes'),
                          told('c4', 'dan', 'research', 'true', now() - interval '2 minutes'), told('c5', 'dan', 'nonsense', 'true', now()), told('c6', 'dan', 'ads', '"yes"', now())]);
SELECT purpose, granted FROM decide.consent('dan');
SELECT reasons FROM decide.quarantine ORDER BY reasons;
SELECT purpose, granted, source, held FROM decide.consent_history WHERE user_key = decide.user_key('dan') ORDER BY at, purpose;
-- several slots, pages and batches
SELECT DISTINCT action FROM decide('cid', ARRAY['home', 'elsewhere']) WHERE action = 'ad';
SELECT DISTINCT d.action FROM generate_series(1, 20), decide.decide_batch(ARRAY['{"user_id": "cid", "surface": "home"}'::jsonb]) AS d WHERE d.action = 'ad';

-- a new name keeps consents, and rows follow it
UPDATE decide.purpose SET purpose = 'advertising' WHERE purpose = 'ads';
SELECT purpose FROM decide.action WHERE action = 'ad';
SELECT decide.publish();
SELECT purpose, granted FROM decide.consent('bob');
-- mistakes of who publishes
UPDATE decide.feature SET purpose = 'nonsense' WHERE feature = 'orders';
UPDATE decide.event_type SET purpose = 'nonsense' WHERE event_type = 'order';
UPDATE decide.action SET purpose = 'research' WHERE action = 'nothing';
SELECT decide.publish();
UPDATE decide.feature SET purpose = NULL WHERE feature = 'orders';
UPDATE decide.event_type SET purpose = NULL WHERE event_type = 'order';
UPDATE decide.action SET purpose = NULL WHERE action = 'nothing';
-- of who calls
SELECT decide.set_consent('ann', 'nonsense', true);
SELECT decide.set_consent(NULL::text, 'advertising', true);
SELECT decide.set_consent('ann', NULL, true);
SELECT decide.set_consent('ann', 'advertising', NULL);
SELECT decide.set_consent('ann', 'advertising', true, 'form', now() + interval '1 hour');
SELECT decide.set_consents(ARRAY['{"user_id": "ann", "purpose": "advertising", "granted": true}'::jsonb]);
SELECT decide.set_consents(ARRAY['{"user_id": "ann", "purpose": "advertising", "granted": 1, "at": "2026-01-01T00:00:00Z"}'::jsonb]);
SELECT decide.set_consents(ARRAY[NULL]::jsonb[]);
BEGIN READ ONLY; SELECT decide.set_consent('ann', 'advertising', true); ROLLBACK;
-- ids of other types
SELECT decide.set_consent(42, 'advertising', true), decide.set_consent('00000000-0000-0000-0000-000000000001'::uuid, 'advertising', true);
SELECT granted FROM decide.consent('42') WHERE purpose = 'advertising';
SELECT granted FROM decide.consent(42) WHERE purpose = 'advertising';
SELECT granted FROM decide.consent('00000000-0000-0000-0000-000000000001'::uuid) WHERE purpose = 'advertising';

-- an erasure takes consents along, and older ones do not come back
SELECT jsonb_array_length(decide.export_person('bob') -> 'consents') AS exported;
SELECT decide.erase('bob') IS NOT NULL AS erased;
SELECT purpose, granted, decided_at FROM decide.consent('bob');
SELECT count(*) FROM decide.consent_log WHERE user_key = decide.user_key('bob');
SELECT decide.set_consent('bob', 'advertising', true, 'form', now() - interval '1 hour') AS of_the_past;
SELECT count(*) FROM decide.user_state WHERE user_key = decide.user_key('bob');
SELECT decide.set_consent('bob', 'advertising', true) AS anew;

-- without purposes nothing needs consent
TRUNCATE decide.purpose;
SELECT decide.publish();
SELECT count(*) FROM decide('ann', 'home');
SELECT candidates, denied FROM last_seen();
SELECT * FROM decide.consent('ann');
