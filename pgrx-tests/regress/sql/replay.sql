-- replay() recomputes a decision from its own record, and says what differs where that was tampered with.
INSERT INTO decide.surface (surface, slots, fallback_action, context_fields) VALUES ('home', 3, 'nothing', '{device,hour}');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life) VALUES ('clicks', 'click', 'decayed_count', '1 hour');
INSERT INTO decide.action (action, attributes) SELECT 'a' || i, jsonb_build_object('value', i / 7.0, 'kind', i % 3) FROM generate_series(1, 12) AS i;
INSERT INTO decide.action (action, surfaces) VALUES ('nothing', '{}');
INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at) VALUES
  ('m', 1, 'logistic', '{}', '{"family": "logistic", "terms": [{"factors": [{"source": "user.clicks", "encoding": "number"}, {"source": "action.kind", "encoding": {"levels": ["0", "1", "2"]}}]},
     {"factors": [{"source": "context.device", "encoding": {"hashed": 4}}, {"source": "action", "encoding": {"levels": ["a1", "a2", "a3"]}}]},
     {"factors": [{"source": "action.value", "encoding": "number"}, {"source": "context.hour", "encoding": "number"}]}]}',
   '{0.3,-0.2,0.1, 1,2,3,-1,-2,-3,0.5,0.25,0.125,0,0,0.1, 0.07}', now());
INSERT INTO decide.policy (policy, surface, model, selection, params) VALUES ('home', 'home', 'm', 'softmax', '{"temperature": 0.3, "min_probability": 0.01}');
SELECT decide.publish();
SELECT count(*) FROM generate_series(1, 50) AS i,
  track(jsonb_build_object('event_id', i, 'type', 'click', 'user_id', i % 7, 'at', now() - i * interval '7 minutes'));

-- contexts of all kinds: numbers that are texts, texts that are numbers, long and odd ones
CREATE TABLE contexts (context jsonb);
INSERT INTO contexts VALUES ('{}'), ('{"device": "mobile", "hour": 7}'), ('{"device": 7, "hour": "7"}'), ('{"device": "7.0", "hour": 7.0}'),
  ('{"device": 1e-7, "hour": 1e300}'), ('{"device": "", "hour": null}'), ('{"device": " 7", "hour": true}'), ('{"device": "NaN", "hour": "inf"}'),
  ('{"device": 0.1, "hour": -0.0}'), ('{"device": 123456789012345678901234567890, "hour": 0.30000000000000004}'), ('{"device": "ümläut \" '' \\ {,}", "hour": [1]}'), ('{"device": "NULL"}');
-- the first ones with a seed, so that what is tampered with below is always the same
SET pg_decide.seed = 1;
CREATE TABLE made AS SELECT d.* FROM contexts, decide(0, 'home', context) AS d;
RESET pg_decide.seed;
INSERT INTO made SELECT d.* FROM generate_series(1, 7) AS u, contexts, decide(u, 'home', context) AS d;
SELECT agrees, difference, count(*) FROM decide.trace AS t, decide.replay(t.decision_id) GROUP BY 1, 2;

-- whatever has happened since
SELECT track(jsonb_build_object('event_id', 'later', 'type', 'click', 'user_id', 3, 'at', now()));
UPDATE decide.policy SET selection = 'greedy', params = '{}';
UPDATE decide.action SET attributes = '{}';
UPDATE decide.surface SET slots = 1, context_fields = '{hour,device,more}';
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('a_first_one', 'click', 'decayed_count');
SELECT decide.publish();
CREATE TABLE later AS SELECT d.* FROM generate_series(0, 7) AS u, contexts, decide(u, 'home', context) AS d;
SELECT bundle, agrees, difference, count(*) FROM decide.trace AS t, decide.replay(t.decision_id) GROUP BY 1, 2, 3 ORDER BY 1;
DELETE FROM decide.action WHERE action IN ('a1', 'a2');
SELECT decide.publish();
SELECT bundle, agrees, difference, count(*) FROM decide.trace AS t, decide.replay(t.decision_id) GROUP BY 1, 2, 3 ORDER BY 1;

-- what was tampered with is told (by somebody who could switch off what makes it immutable)
CREATE TABLE tampered AS SELECT * FROM decide.trace AS t WHERE decision_id IN (SELECT decision_id FROM made) ORDER BY decision_id LIMIT 1;
CREATE FUNCTION replay_with(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  rule name;
  part regclass := (SELECT tableoid FROM decide.trace WHERE decision_id = (SELECT decision_id FROM public.tampered));
  answer text;
BEGIN
  FOR rule IN SELECT rulename FROM pg_rewrite WHERE ev_class = part LOOP
    EXECUTE format('ALTER TABLE %s DISABLE RULE %I', part, rule);
  END LOOP;
  EXECUTE format('UPDATE %s SET %s WHERE decision_id = (SELECT decision_id FROM public.tampered)', part, change);
  SELECT agrees || ': ' || difference INTO answer FROM decide.replay((SELECT decision_id FROM public.tampered));
  RAISE EXCEPTION USING ERRCODE = 'P0099', MESSAGE = answer;
EXCEPTION WHEN OTHERS THEN RETURN SQLERRM;
END
$$;
SELECT change, replay_with(change) FROM (VALUES
  ('seed = seed # 1'), ('features[1] = 99'), ('context_values[1] = ''other'''), ('chosen[1] = chosen[1] + 1e-16'),
  ('scores[1] = scores[1] / 2'), ('choice[2] = choice[2] * 2'), ('actions[1] = actions[2]'), ('candidates = candidates[1:1]'),
  ('candidates[1] = 999'), ('reason = ''no_policy'''), ('filled = 2'), ('bundle = 2'), ('bundle = 99'), ('surface = ''moon'''), ('bundle = NULL'),
  ('reason = ''failed: 22012''')
) AS c (change);
