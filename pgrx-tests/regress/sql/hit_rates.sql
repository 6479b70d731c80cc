-- Traces say what a session had to make for a decision, and decide.slo how often it had all.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('plain', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing'), ('a'), ('b');
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, rows, approved_at) VALUES
  ('value', 1, 'linear', '{action}', '{"family": "linear", "terms": [{"factors": [{"source": "action", "encoding": {"levels": ["a", "b"]}}]}]}', '{1,2}', 10000, now());
INSERT INTO decide.policy (policy, surface, model, selection) VALUES ('home', 'home', 'value', 'greedy');
SELECT decide.publish();
CREATE VIEW newest AS SELECT made & 1 AS bundle, made & 2 AS models FROM decide.trace ORDER BY decision_id DESC LIMIT 1;
-- a new session has nothing
\c -
SELECT action FROM decide('ann', 'home');
SELECT * FROM newest;
SELECT count(*) FROM decide('ann', 'home');
SELECT count(*) FROM decide('ann', 'home');
SELECT made FROM decide.trace ORDER BY decision_id DESC LIMIT 1;
-- after a publish it makes what is new, after a switch the models alone
SELECT decide.publish();
SELECT count(*) FROM decide('ann', 'home');
SELECT * FROM newest;
SELECT decide.kill('action', 'b', 'a test');
SELECT action FROM decide('ann', 'home');
SELECT * FROM newest;
-- the plans of other verbs are none of a decision
SELECT count(*) FROM decide('ann', 'home');
SELECT track('{"event_id": "1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}'::jsonb);
SELECT count(*) FROM decide('ann', 'home');
SELECT made FROM decide.trace ORDER BY decision_id DESC LIMIT 1;
-- in a page it is the first decision that makes it
SELECT decide.publish();
SELECT surface FROM decide('ann', '{plain,home}'::text[]);
SELECT surface, made & 1 AS bundle FROM decide.trace WHERE bundle = (SELECT max(bundle) FROM decide.bundle) ORDER BY surface DESC;
SELECT decisions, round(bundle_hits::numeric, 4) AS bundle_hits, round(model_hits::numeric, 4) AS model_hits, plan_hits > 0 AND plan_hits <= 1 AS plan_hits
  FROM (SELECT sum(decisions) AS decisions, sum(bundle_hits * decisions) / sum(decisions) AS bundle_hits, sum(model_hits * decisions) / sum(decisions) AS model_hits,
               sum(plan_hits * decisions) / sum(decisions) AS plan_hits FROM decide.slo) AS s;
