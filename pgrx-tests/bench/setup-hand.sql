-- The whole decision by hand: the floor, and between its reads and writes the features faded up to now, the rules, the
-- scores of 100 actions over 32 features, softmax and draw. Weights are an array per action.

CREATE TABLE bench.hand_user (user_id bigint PRIMARY KEY, amounts float8[] NOT NULL, at float8[] NOT NULL, n bigint NOT NULL DEFAULT 0)
  WITH (fillfactor = 80);
INSERT INTO bench.hand_user
SELECT i, features[1:32], ARRAY(SELECT extract(epoch FROM now())::float8 - f * 30000 FROM unnest(features[33:64]) AS f)
  FROM bench.floor_user AS u (i, features);

CREATE TABLE bench.hand_feature (n integer PRIMARY KEY, half_life float8 NOT NULL);
INSERT INTO bench.hand_feature SELECT i, i * 3600 FROM generate_series(1, 32) AS i;

CREATE TABLE bench.hand_action (n integer PRIMARY KEY, action text NOT NULL, sku text NOT NULL, rule text, weights float8[] NOT NULL);
INSERT INTO bench.hand_action
SELECT i + 1, 'a-' || i, 'sku-' || i,
       CASE WHEN i % 10 <> 5 THEN NULL WHEN i % 20 = 5 THEN 'mobile' WHEN i % 40 = 15 THEN 'active' ELSE 'stock' END,
       ARRAY(SELECT random() - 0.5 FROM generate_series(1, 32) AS j WHERE i >= 0)
  FROM generate_series(0, 99) AS i;

CREATE TABLE bench.hand_trace (LIKE bench.floor_trace INCLUDING ALL) WITH (toast_tuple_target = 8160);

CREATE FUNCTION bench.hand(p_user bigint, p_context jsonb)
RETURNS TABLE (slot integer, action text, probability float8, decision_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
  u record;
  f float8[];
  candidates integer[];
  probabilities float8[];
  pick integer;
  draw float8 := random();
  epoch float8 := extract(epoch FROM clock_timestamp());
  id uuid := bench.new_id();
  one integer := floor(random() * 64);
BEGIN
  UPDATE bench.hand_user SET n = n + 1 WHERE user_id = p_user RETURNING amounts, at INTO u;
  SELECT array_agg(x.amount * 2 ^ ((x.at - epoch) / h.half_life) ORDER BY x.n) INTO f
    FROM unnest(u.amounts, u.at) WITH ORDINALITY AS x (amount, at, n) JOIN bench.hand_feature AS h USING (n);
  WITH open AS (
    SELECT a.n, a.weights FROM bench.hand_action AS a
     WHERE CASE a.rule WHEN 'mobile' THEN p_context ->> 'device' = 'mobile'
                       WHEN 'active' THEN f[2] >= 0
                       WHEN 'stock' THEN EXISTS (SELECT FROM bench.inventory AS i WHERE i.sku = a.sku AND i.on_hand > 0)
                       ELSE true END
  ), scored AS (
    SELECT o.n, (SELECT sum(w * v) FROM unnest(o.weights, f) AS x (w, v)) AS score FROM open AS o
  ), weighed AS (
    SELECT s.n, exp(s.score - max(s.score) OVER ()) AS e FROM scored AS s
  ), shared AS (
    SELECT w.n, w.e / sum(w.e) OVER () AS p, sum(w.e) OVER (ORDER BY w.n) / sum(w.e) OVER () AS upto FROM weighed AS w
  )
  SELECT array_agg(s.n ORDER BY s.n), array_agg(s.p ORDER BY s.n), coalesce(min(s.n) FILTER (WHERE s.upto > draw), max(s.n))
    INTO candidates, probabilities, pick FROM shared AS s;
  UPDATE bench.counter AS c SET n = c.n + 1 WHERE c.id = one;
  INSERT INTO bench.hand_trace
  VALUES (id, p_user, clock_timestamp(), 1, 'home', ARRAY[pick], ARRAY[probabilities[array_position(candidates, pick)]],
          candidates, probabilities, f);
  RETURN QUERY SELECT 1, a.action, probabilities[array_position(candidates, pick)], id FROM bench.hand_action AS a WHERE a.n = pick;
END
$$;
