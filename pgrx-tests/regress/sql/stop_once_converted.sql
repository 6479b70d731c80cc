-- The recipes of the documents: an offer is shown until the user has bought.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('none', 'nothing');
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{none}'), ('boots', '{home}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
INSERT INTO decide.cap (cap, action, per, max_count, counts, hold) VALUES ('boots until bought', 'boots', 'user', 1, 'order', '1 microsecond');
SELECT decide.publish('stop once bought');
CREATE FUNCTION shown(who text, times int) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM generate_series(1, times) AS i, decide(left(who || i, length(who)), 'home') AS d WHERE d.action = 'boots'
$$;
SELECT shown('ann', 20), shown('bob', 20);
-- by an order that names the action, or the decision; another order is none of it
SELECT track('{"event_id": "o1", "type": "order", "user_id": "ann", "at": "2026-01-01T00:00:00Z", "action": "hats"}');
SELECT shown('ann', 20);
SELECT track('{"event_id": "o2", "type": "order", "user_id": "ann", "at": "2026-01-01T00:00:00Z", "action": "boots"}');
SELECT shown('ann', 20), shown('bob', 20);
SELECT track(jsonb_build_object('event_id', 'o3', 'type', 'order', 'user_id', 'bob', 'at', now(), 'decision_id', decision_id)) FROM decide('bob', 'home');
SELECT shown('ann', 20), shown('bob', 20), shown('cat', 20);
SELECT action, step, reason FROM decide.explain('bob', 'home');
-- an order that is returned
SELECT * FROM decide.adjust_exposure('bob', 'boots until bought', -1, 'returned');
SELECT shown('bob', 20);
-- by a rule about a feature
CREATE ROLE regress_convert_rules;
SELECT decide.grant('regress_convert_rules', 'rules');
SET pg_decide.rule_role = regress_convert_rules;
DELETE FROM decide.cap;
INSERT INTO decide.feature (feature, event_type, aggregate, value_path, default_value) VALUES ('spent', 'order', 'decayed_sum', 'value', 0);
UPDATE decide.action SET eligible_when = 'features.spent < 50' WHERE action = 'boots';
SELECT decide.publish('those who have not spent 50');
SELECT shown('dan', 20);
SELECT track('{"event_id": "o4", "type": "order", "user_id": "dan", "at": "2026-01-02T00:00:00Z", "value": 40}');
SELECT shown('dan', 20);
SELECT track('{"event_id": "o5", "type": "order", "user_id": "dan", "at": "2026-01-02T00:00:00Z", "value": 20}');
SELECT shown('dan', 20);
SELECT action, step, reason FROM decide.explain('dan', 'home');
DROP OWNED BY regress_convert_rules;
DROP ROLE regress_convert_rules;
