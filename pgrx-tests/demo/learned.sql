-- What was learned, and on top of it what the user likes. The imported decisions saw no features, and some thirty clicks
-- could not teach what an affinity is worth: its weight is set by hand.
INSERT INTO decide.model_version (model, version, family, terms, spec, weights)
SELECT model, 2, family, terms || ARRAY['user.brand'],
       jsonb_set(spec, '{terms}', spec -> 'terms' || '[{"factors": [{"source": "user.brand", "encoding": "number"}]}]'),
       weights || 0.2::real
  FROM decide.model_version WHERE model = 'ctr' AND version = 1;
SELECT decide.approve('ctr', 2);

-- Items with a higher chance of a click are shown more often; each is shown to somebody.
INSERT INTO decide.policy (policy, surface, model, selection, params)
  VALUES ('home-policy', 'home', 'ctr', 'softmax', '{"temperature": 0.0015, "min_probability": 0.002}');
