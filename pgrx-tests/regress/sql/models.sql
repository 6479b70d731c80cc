-- A policy names a model; publish pins a version of it, and refuses what does not fit.
INSERT INTO decide.surface (surface, fallback_action, context_fields) VALUES ('home', 'nothing', '{device,hour}');
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('clicks', 'click', 'decayed_count');
INSERT INTO decide.action (action, attributes) VALUES
  ('nothing', '{}'), ('shoes', '{"category": "shoes", "price": 10, "new": true}'),
  ('hats', '{"category": "hats", "price": "5", "new": false, "tags": ["x"], "size": null}');
INSERT INTO decide.policy (policy, surface, model, selection) VALUES ('home', 'home', 'm', 'greedy');

-- no approved version yet
INSERT INTO decide.model_version (model, version, family, terms, spec, weights) VALUES
  ('m', 1, 'linear', '{action}', '{"family": "linear", "terms": [{"factors": []}, {"factors": [{"source": "action", "encoding": {"levels": ["hats", "shoes"]}}]}]}', '{0.5,1,2}');
SELECT decide.publish();
-- a number takes it all the same: that is the operator's decision
UPDATE decide.policy SET model_version = 1;
SELECT decide.publish();
UPDATE decide.policy SET model_version = NULL;
SELECT decide.approve('m', 1);
SELECT decide.publish();
SELECT action, score FROM decide.explain('ann', 'home');
SELECT action FROM decide('ann', 'home');
SELECT DISTINCT model_version FROM decide.decision;

-- a newer version is not live before it is approved and published
INSERT INTO decide.model_version (model, version, family, terms, spec, weights) VALUES
  ('m', 2, 'logistic', '{user.clicks,context.device*action.category,action.price,action.new}',
   '{"family": "logistic", "terms": [{"factors": [{"source": "user.clicks", "encoding": "number"}]},
      {"factors": [{"source": "context.device", "encoding": {"levels": ["mobile"]}}, {"source": "action.category", "encoding": {"levels": ["hats", "shoes"]}}]},
      {"factors": [{"source": "action.price", "encoding": "number"}]}, {"factors": [{"source": "action.new", "encoding": "number"}]}]}', '{0.25,4,-4,0.0625,0.5}');
SELECT DISTINCT score FROM decide.explain('ann', 'home') WHERE action = 'hats';
SELECT decide.publish();
SELECT DISTINCT score FROM decide.explain('ann', 'home') WHERE action = 'hats';
SELECT decide.approve('m', 2);
SELECT DISTINCT score FROM decide.explain('ann', 'home') WHERE action = 'hats';
SELECT decide.publish();
-- the scores are 1 / (1 + e^-sum): clicks/4, ±4 on mobile, price/16, new/2
SELECT action, round(score::numeric, 6) AS score FROM decide.explain('ann', 'home');
SELECT action, round(score::numeric, 6) AS score FROM decide.explain('ann', 'home', '{"device": "mobile"}');
SELECT action, round(score::numeric, 6) AS score FROM decide.explain('ann', 'home', '{"device": "other"}');
SELECT action, round(score::numeric, 6) AS score FROM decide.explain('ann', 'home', '{"device": null}');
SELECT action, round(score::numeric, 6) AS score FROM decide.explain('ann', 'home', '{"device": ["mobile"]}');
SELECT * FROM track(ARRAY['{"event_id": "1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}',
                          '{"event_id": "2", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}']::jsonb[]);
SELECT action, round(score::numeric, 6) AS score FROM decide.explain('ann', 'home');
SELECT action FROM decide('ann', 'home', '{"device": "mobile", "hour": 12.50}');
SELECT model_version, features, context_values FROM decide.decision WHERE model_version = 'm:2';

-- what was approved is on record, by whom too
SELECT version, approved_at IS NOT NULL AS approved, approved_by = SESSION_USER AS by_me FROM decide.model_version ORDER BY 1;

-- models that do not fit are faults
CREATE FUNCTION with_model(spec text, weights real[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at)
    VALUES ('m', 3, 'linear', '{}', with_model.spec::jsonb, with_model.weights, now());
  PERFORM decide.publish();
  RAISE EXCEPTION USING ERRCODE = 'P0099';
EXCEPTION
  WHEN SQLSTATE 'P0099' THEN RETURN 'fine';
  WHEN invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail;
END
$$;
SELECT with_model('{"family": "linear", "terms": [{"factors": []}]}', '{1}');
SELECT with_model('{"family": "linear", "terms": [{"factors": []}]}', '{1,2}');
SELECT with_model('{"family": "linear", "terms": [{"factors": []}]}', '{NaN}');
SELECT with_model('{"family": "linear", "terms": [{"factors": []}]}', '{Infinity}');
SELECT with_model('{"family": "linear", "terms": [{"factors": []}]}', '{NULL}');
SELECT with_model('{"family": "linear", "terms": [{"factors": [{"source": "user.absent", "encoding": "number"}]}]}', '{1}');
SELECT with_model('{"family": "linear", "terms": [{"factors": [{"source": "context.absent", "encoding": "number"}]}]}', '{1}');
SELECT with_model('{"family": "linear", "terms": [{"factors": [{"source": "action.absent", "encoding": "number"}]}]}', '{1}');
SELECT with_model('{"family": "linear", "terms": [{"factors": [{"source": "moon", "encoding": "number"}]}]}', '{1}');
SELECT with_model('{"family": "linear", "terms": [{"factors": [{"source": "action", "encoding": {"levels": ["b", "a"]}}]}]}', '{1,2}');
SELECT with_model('{"family": "linear", "terms": [{"factors": [{"source": "action", "encoding": {"hashed": 0}}]}]}', '{}');
SELECT with_model('{"family": "linear"}', '{}');
SELECT with_model('[]', '{}');
UPDATE decide.policy SET model_version = 9;
SELECT decide.publish();
-- each decision is recomputed with the version that its bundle pins
SELECT decide.rollback(1);
SELECT bool_and(agrees), count(*) FROM decide.trace AS t, decide.replay(t.decision_id);
