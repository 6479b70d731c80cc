-- Rules look at the user, the context, features, the action and the shop's own tables.
CREATE ROLE regress_eligibility_rules;
SELECT decide.grant('regress_eligibility_rules', 'rules');
SET pg_decide.rule_role = regress_eligibility_rules;
CREATE TABLE inventory (sku text PRIMARY KEY, on_hand integer NOT NULL);
INSERT INTO inventory VALUES ('red', 3), ('blue', 0), ('green', 1);
CREATE TABLE members (user_key uuid PRIMARY KEY);
GRANT SELECT ON inventory, members TO regress_eligibility_rules;

INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 20, 'nothing'), ('feed', 20, 'nothing');
INSERT INTO decide.feature (feature, event_type, aggregate, default_value) VALUES
  ('orders', 'order', 'decayed_count', 0), ('odd "name"; --', 'order', 'decayed_count', -1);
INSERT INTO decide.action (action, surfaces, attributes, cost, eligible_when) VALUES
  ('nothing', '{nowhere}', '{}', 1, NULL),
  ('always', '{}', '{}', 1, NULL),
  ('mobile', '{home}', '{}', 1, $$context->>'device' = 'mobile'$$),
  ('adults', '{home}', '{}', 1, $$(context->>'age')::int >= 18$$),
  ('members', '{home}', '{}', 1, $$EXISTS (SELECT 1 FROM public.members AS m WHERE m.user_key = request.user_key)$$),
  ('loyal', '{home}', '{}', 1, 'orders >= 2'),
  ('oddly', '{home}', '{}', 1, '"odd ""name""; --" > 0'),
  ('red', '{home}', '{"sku": "red"}', 1, $$EXISTS (SELECT 1 FROM public.inventory WHERE sku = action.attributes->>'sku' AND on_hand > 0)$$),
  ('blue', '{home}', '{"sku": "blue"}', 1, $$EXISTS (SELECT 1 FROM public.inventory WHERE sku = action.attributes->>'sku' AND on_hand > 0)$$),
  ('green', '{home,feed}', '{"sku": "green"}', 1, $$EXISTS (SELECT 1 FROM public.inventory WHERE sku = action.attributes->>'sku' AND on_hand > 0)$$),
  ('cheap', '{home}', '{}', 1, 'action.cost < 2'),
  ('dear', '{home}', '{}', 5, 'action.cost < 2'),
  ('unknown', '{home}', '{}', 1, 'NULL::boolean'),
  ('unknown_of_action', '{home}', '{}', 1, $$(action.attributes->>'absent')::boolean$$);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('feed', 'feed', 'uniform');
-- a surface that is named nowhere is a fault; elsewhere, this action is the fallback only
INSERT INTO decide.surface (surface, fallback_action) VALUES ('nowhere', 'nothing');
SELECT decide.publish();

CREATE FUNCTION candidates(user_id text, context jsonb DEFAULT '{}', surface text DEFAULT 'home') RETURNS text
LANGUAGE sql AS $$
  SELECT string_agg(action, ' ' ORDER BY action COLLATE "C") FROM public.decide(user_id, surface, context) WHERE reason IS NULL
$$;

SELECT candidates('ann');
SELECT candidates('ann', '{"device": "mobile"}');
SELECT candidates('ann', '{"device": "desktop", "age": 18}');
SELECT candidates('ann', '{"age": "17"}');
SELECT candidates('ann', '{}', 'feed');

-- facts about the user
INSERT INTO members VALUES (decide.user_key('bob'));
SELECT * FROM track(ARRAY[
  '{"event_id": "1", "type": "order", "user_id": "bob", "at": "2026-01-01T00:00:00Z"}',
  '{"event_id": "2", "type": "order", "user_id": "bob", "at": "2026-01-02T00:00:00Z"}']::jsonb[]);
SELECT candidates('bob');

-- the shop's tables as they are now, for the same kept statement
UPDATE inventory SET on_hand = 1 WHERE sku = 'blue';
DELETE FROM inventory WHERE sku = 'red';
SELECT candidates('ann');
-- within the caller's transaction too
BEGIN;
UPDATE inventory SET on_hand = 0;
SELECT candidates('ann');
ROLLBACK;
SELECT candidates('ann');

-- why the others are out
SELECT action, step, reason FROM decide.explain('ann', 'home') WHERE step <> 'shown' ORDER BY action COLLATE "C";
SELECT DISTINCT blocked, blocked_reasons, errors FROM decide.decision
 WHERE decision_id = (SELECT max(decision_id::text)::uuid FROM decide.trace);

-- a rule is in force as it was published
UPDATE decide.action SET eligible_when = 'false', attributes = '{"sku": "blue"}' WHERE action IN ('always', 'green');
SELECT candidates('ann', '{}', 'feed');
SELECT decide.publish();
SELECT candidates('ann', '{}', 'feed');
-- and one that looks at the action sees it as it was published
UPDATE decide.action SET eligible_when = $$action.attributes->>'sku' = 'blue' AND action.action = 'green' AND 'feed' = ANY (action.surfaces)
                                           AND action.campaign IS NULL$$ WHERE action = 'green';
SELECT decide.publish();
SELECT candidates('ann', '{}', 'feed');
UPDATE decide.action SET attributes = '{"sku": "red"}' WHERE action = 'green';
SELECT candidates('ann', '{}', 'feed');
SELECT decide.publish();
SELECT candidates('ann', '{}', 'feed');
SELECT decide.rollback(3);
SELECT candidates('ann', '{}', 'feed');

-- one action's rule says nothing about another's
UPDATE decide.action SET eligible_when = 'action.cost = 1 OR true' WHERE action = 'green';
UPDATE decide.action SET eligible_when = 'action.cost = 1 AND false' WHERE action = 'always';
SELECT decide.publish();
SELECT candidates('ann', '{}', 'feed');
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);

-- a rule over many actions is asked of them as a set, with the same answers
INSERT INTO decide.action (action, surfaces, attributes, eligible_when)
SELECT 'more-' || n, '{home}', jsonb_build_object('sku', CASE n % 2 WHEN 0 THEN 'green' ELSE 'none' END),
       $$EXISTS (SELECT 1 FROM public.inventory WHERE sku = action.attributes->>'sku' AND on_hand > 0)$$
  FROM generate_series(1, 6) AS n;
SELECT decide.publish();
SELECT candidates('ann');

-- what a rule never looks at cannot make it fail
INSERT INTO decide.action (action, surfaces, attributes, eligible_when) VALUES
  ('guarded', '{home}', '{"least": "none"}', $$context->>'kind' = 'numeric' AND (action.attributes->>'least')::int > 1$$);
SELECT decide.publish();
SELECT candidates('ann');
SELECT candidates('ann', '{"kind": "numeric"}');
SELECT errors FROM decide.decision WHERE errors IS NOT NULL LIMIT 1;

-- a rule that reads a table sees the request and the features however it spells their names
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('spelled', 20, 'nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('spelled', 'spelled', 'uniform');
INSERT INTO decide.feature (feature, event_type, aggregate, default_value) VALUES
  ('a_name_that_is_longer_than_what_the_server_keeps_of_the_names_of_columns', 'order', 'decayed_count', 0);
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES
  ('1 plain', '{spelled}', 'EXISTS (SELECT 1 FROM public.members) AND orders >= 2'),
  ('2 upper', '{spelled}', 'EXISTS (SELECT 1 FROM public.members) AND ORDERS >= 2'),
  ('3 qualified', '{spelled}', 'EXISTS (SELECT 1 FROM public.members) AND "features" . "orders" >= 2'),
  ('4 odd', '{spelled}', 'EXISTS (SELECT 1 FROM public.members) AND "odd ""name""; --" > 0'),
  ('5 unicode', '{spelled}', 'EXISTS (SELECT 1 FROM public.members) AND u&"\006frders" >= 2'),
  ('6 long', '{spelled}', 'EXISTS (SELECT 1 FROM public.members) AND a_name_that_is_longer_than_what_the_server_keeps_of_the_names_o >= 0'),
  ('7 context', '{spelled}', $$EXISTS (SELECT 1 FROM public.members) AND CONTEXT->>'device' = 'mobile'$$),
  ('8 request', '{spelled}', $$EXISTS (SELECT 1 FROM public.members AS m WHERE m.user_key = u&"re\0071uest".user_key)$$),
  ('9 nothing', '{spelled}', 'EXISTS (SELECT 1 FROM public.members)');
SELECT decide.publish();
SELECT candidates('bob', '{"device": "mobile"}', 'spelled');
SELECT candidates('ann', '{}', 'spelled');
SELECT DISTINCT errors FROM decide.decision WHERE surface = 'spelled';

DROP OWNED BY regress_eligibility_rules;
DROP ROLE regress_eligibility_rules;
