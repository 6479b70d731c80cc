-- A copy of a database has the same pseudonyms, until it is emptied of people and their key.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish('as in the template');
-- a session that asks for pseudonyms only
CREATE TABLE before AS SELECT decide.user_key('ann') AS user_key;
SELECT decide.publish('the key stays');
SELECT decide.user_key('ann') = user_key AS same FROM before;

BEGIN;
TRUNCATE decide.user_state, decide.event, decide.outcome, decide.trace, decide.quarantine, decide.event_inbox, decide.secret;
SELECT decide.publish('a copy for tests');
COMMIT;
SELECT decide.user_key('ann') = user_key AS same FROM before;
SELECT action, reason FROM decide('ann', 'home');
SELECT user_key = decide.user_key('ann') AS of_ann, r.agrees FROM decide.trace AS t, decide.replay(t.decision_id) AS r;
SELECT count(*) FROM decide.secret;
