-- Names are anything readable: quotes, other scripts, SQL; and there may be ten thousand of them.
CREATE ROLE "regress names "" rules";
SELECT decide.grant('regress names " rules', 'rules');
SET pg_decide.rule_role = 'regress names " rules';
INSERT INTO decide.surface (surface, slots, fallback_action, context_fields) VALUES
  ('start''seite "1"; DROP TABLE decide.trace; --', 4, 'ничего 🙂', '{"a b","quote\"d",$1}');
INSERT INTO decide.campaign (campaign) VALUES ('naïve — ''campaign''');
INSERT INTO decide.feature (feature, event_type, aggregate, value_path) VALUES ('f"; --', 'typ''e "x"', 'decayed_sum', 'attributes.a"b''c');
INSERT INTO decide.action (action, campaign, surfaces, eligible_when) VALUES
  ('ничего 🙂', NULL, '{}', NULL), ('it''s', 'naïve — ''campaign''', ARRAY['start''seite "1"; DROP TABLE decide.trace; --'], NULL),
  ('"quoted"', NULL, '{}', '"f""; --" >= 0'), ('100 % $1 \ ${x} {}', NULL, '{}', 'action.action = ''100 % $1 \ ${x} {}'' OR true'),
  ('日本語', NULL, '{}', $$context->>'a b' IS DISTINCT FROM '日本''語'$$);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('p"', 'start''seite "1"; DROP TABLE decide.trace; --', 'uniform');
SELECT decide.publish('note ''"; --');
SET pg_decide.seed = 1;
SELECT slot, action FROM decide('o''brien "x"', 'start''seite "1"; DROP TABLE decide.trace; --', '{"a b": "1", "quote\"d": "''", "$1": "\u00e4"}');
SELECT surface, slot, action, candidates, context_values, policy FROM decide.decision ORDER BY slot;
SELECT action, step, reason FROM decide.explain('日本', 'start''seite "1"; DROP TABLE decide.trace; --', '{"a b": "日本''語"}');
SELECT track('{"event_id": "e''\"1", "type": "typ''e \"x\"", "user_id": "o''brien \"x\"", "at": "2026-01-01T00:00:00Z", "attributes": {"a\"b''c": 2.5}}'::jsonb);
SELECT feature, value FROM decide.features('o''brien "x"');
SELECT attributes FROM decide.event;
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
-- a message says names so that they cannot be mistaken
SELECT * FROM decide('ann', 'start''seite');

-- ten thousand actions, a thousand of them under one rule, and a rule each for a hundred
DELETE FROM decide.action WHERE action <> 'ничего 🙂';
INSERT INTO decide.action (action, attributes, eligible_when)
  SELECT 'action number ' || i, jsonb_build_object('i', i),
         CASE WHEN i <= 1000 THEN $$(action.attributes->>'i')::int % 2 = 0$$ WHEN i <= 1100 THEN format($$context ? 'c%s'$$, i) END
    FROM generate_series(1, 10000) AS i;
SELECT decide.publish('many');
SELECT count(DISTINCT action), abs(min(probability) - 1 / 9401.0) < 1e-12 AS fair FROM decide('ann', 'start''seite "1"; DROP TABLE decide.trace; --') WHERE slot = 1;
SELECT DISTINCT cardinality(candidates) AS candidates, cardinality(blocked) AS blocked FROM decide.decision WHERE bundle = 2;
SELECT count(*) FROM decide.explain('ann', 'start''seite "1"; DROP TABLE decide.trace; --', '{"c1001": 1, "c1002": 1}') WHERE step <> 'rule';
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);

DROP OWNED BY "regress names "" rules";
DROP ROLE "regress names "" rules";
