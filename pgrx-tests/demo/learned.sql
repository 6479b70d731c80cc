-- Items with a higher chance of a click are shown more often; each is shown to somebody.
SELECT decide.approve('ctr', 1);
INSERT INTO decide.policy (policy, surface, model, selection, params)
  VALUES ('home-policy', 'home', 'ctr', 'softmax', '{"temperature": 0.0015, "min_probability": 0.002}');
