-- Where the policy cannot choose, the fallback is shown, says why, and is traced like any decision.
CREATE ROLE regress_fallback_rules;
SELECT decide.grant('regress_fallback_rules', 'rules');
SET pg_decide.rule_role = regress_fallback_rules;
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES
  ('no_policy', 2, 'nothing'), ('no_model', 1, 'nothing'), ('unapproved', 1, 'nothing'),
  ('no_candidate', 1, 'nothing'), ('no_action', 1, 'nothing'), ('too_few', 4, 'nothing'), ('enough', 2, 'nothing');
INSERT INTO decide.action (action, surfaces, eligible_when) VALUES
  ('nothing', '{enough}', NULL), ('a', '{no_policy,no_model,too_few,enough}', NULL), ('b', '{too_few}', NULL),
  ('never', '{no_candidate,too_few}', 'false');
INSERT INTO decide.policy (policy, surface, selection) VALUES
  ('no_model', 'no_model', 'greedy'), ('no_candidate', 'no_candidate', 'uniform'),
  ('no_action', 'no_action', 'uniform'), ('too_few', 'too_few', 'uniform'), ('enough', 'enough', 'uniform');
SELECT decide.publish();
SET pg_decide.seed = 5;

SELECT slot, action, probability, reason FROM decide('ann', 'no_policy');
SELECT slot, action, probability, reason FROM decide('ann', 'no_model');
SELECT slot, action, probability, reason FROM decide('ann', 'no_candidate');
SELECT slot, action, probability, reason FROM decide('ann', 'no_action');
-- the slots that can be filled are; every slot has a row
SELECT slot, action, probability, reason FROM decide('ann', 'too_few');
-- the fallback may be an ordinary candidate too
SELECT slot, action, probability, reason FROM decide('ann', 'enough');

-- what the traces say
SELECT surface, slot, action, probability, candidates, probabilities, policy, reason, blocked, blocked_reasons, errors
  FROM decide.decision ORDER BY decided_at, slot;
SELECT surface, filled, reason FROM decide.trace ORDER BY decided_at;
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);

-- explain says the same
SELECT action, score, probability, step, reason, slot, slot_probability FROM decide.explain('ann', 'no_policy');
SELECT action, score, probability, step, reason, slot, slot_probability FROM decide.explain('ann', 'no_model');
SELECT action, score, probability, step, reason, slot, slot_probability FROM decide.explain('ann', 'no_candidate');
SELECT action, score, probability, step, reason, slot, slot_probability FROM decide.explain('ann', 'too_few', '{}', 5);

-- the row of the user cannot be read: the default values of features serve
ALTER TABLE decide.user_state RENAME TO hidden;
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('clicks', 'click', 'decayed_count');
SELECT decide.publish();
SELECT slot, action, probability, reason FROM decide('ann', 'enough');
SELECT slot, action, candidates, probabilities, reason, errors FROM decide.decision
 WHERE decision_id = (SELECT max(decision_id::text)::uuid FROM decide.trace) ORDER BY slot;
SELECT action, step, reason, slot FROM decide.explain('ann', 'enough');
ALTER TABLE decide.hidden RENAME TO user_state;
SELECT slot, action, probability, reason FROM decide('ann', 'enough');
SELECT agrees, difference, count(*) FROM decide.trace AS t, decide.replay(t.decision_id) GROUP BY 1, 2;

DROP OWNED BY regress_fallback_rules;
DROP ROLE regress_fallback_rules;
