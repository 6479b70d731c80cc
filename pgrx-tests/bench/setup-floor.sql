-- The floor: only what no implementation can avoid, with nothing decided. One row of the user read and updated, one
-- counter updated, one trace row written, in the storage that decide.trace has. Two numbers per feature, as decide() keeps.

CREATE TABLE bench.floor_user (user_id bigint PRIMARY KEY, features float8[] NOT NULL, n bigint NOT NULL DEFAULT 0)
  WITH (fillfactor = 80);
INSERT INTO bench.floor_user
SELECT i, ARRAY(SELECT random() * 3 FROM generate_series(1, 2 * current_setting('bench.features')::int) AS j WHERE i > 0)
  FROM generate_series(1, current_setting('bench.users')::bigint) AS i;

CREATE TABLE bench.counter (id integer PRIMARY KEY, n bigint NOT NULL DEFAULT 0) WITH (fillfactor = 10);
INSERT INTO bench.counter SELECT i FROM generate_series(0, 63) AS i;

CREATE TABLE bench.floor_trace (
  decision_id uuid PRIMARY KEY, user_id bigint, decided_at timestamptz, context_hash bigint, surface text,
  actions integer[], chosen float8[], candidates integer[], probabilities float8[], features float8[]
) WITH (toast_tuple_target = 8160);
ALTER TABLE bench.floor_trace
  ALTER candidates SET STORAGE EXTERNAL, ALTER probabilities SET STORAGE EXTERNAL, ALTER features SET STORAGE EXTERNAL;

-- Identifiers in order of time where the server has them, as random ones are dearer to index.
DO $$
BEGIN
  EXECUTE 'CREATE FUNCTION bench.new_id() RETURNS uuid LANGUAGE sql AS ' || quote_literal(
    CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'SELECT uuidv7()' ELSE 'SELECT gen_random_uuid()' END);
  EXECUTE 'CREATE FUNCTION bench.numbers() RETURNS integer[] LANGUAGE sql IMMUTABLE AS ' || quote_literal(
    'SELECT ' || quote_literal(ARRAY(SELECT generate_series(1, 100))::text) || '::integer[]');
  EXECUTE 'CREATE FUNCTION bench.probabilities() RETURNS float8[] LANGUAGE sql IMMUTABLE AS ' || quote_literal(
    'SELECT ' || quote_literal(ARRAY(SELECT random() / 50 FROM generate_series(1, 100))::text) || '::float8[]');
END
$$;

CREATE FUNCTION bench.floor(p_user bigint, p_context jsonb)
RETURNS TABLE (slot integer, action text, probability float8, decision_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
  f float8[];
  id uuid := bench.new_id();
  one integer := floor(random() * 64);
BEGIN
  UPDATE bench.floor_user SET n = n + 1 WHERE user_id = p_user RETURNING features INTO f;
  UPDATE bench.counter AS c SET n = c.n + 1 WHERE c.id = one;
  INSERT INTO bench.floor_trace
  VALUES (id, p_user, clock_timestamp(), 1, 'home', ARRAY[1], ARRAY[0.01::float8], bench.numbers(), bench.probabilities(), f[1:cardinality(f) / 2]);
  RETURN QUERY SELECT 1, 'a-1', 0.01::float8, id;
END
$$;

-- The same where a decision depends on the shop's stock: two more rows are read, in one statement.
CREATE FUNCTION bench.floor_stock(p_user bigint, p_context jsonb)
RETURNS TABLE (slot integer, action text, probability float8, decision_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
  f float8[];
  id uuid := bench.new_id();
  one integer := floor(random() * 64);
  stock boolean[];
BEGIN
  UPDATE bench.floor_user SET n = n + 1 WHERE user_id = p_user RETURNING features INTO f;
  stock := ARRAY(SELECT i.on_hand > 0 FROM bench.inventory AS i WHERE i.sku IN ('sku-35', 'sku-75'));
  UPDATE bench.counter AS c SET n = c.n + 1 WHERE c.id = one;
  INSERT INTO bench.floor_trace
  VALUES (id, p_user, clock_timestamp(), 1, 'home', ARRAY[1], ARRAY[0.01::float8], bench.numbers(), bench.probabilities(), f[1:cardinality(f) / 2]);
  RETURN QUERY SELECT 1, 'a-1', 0.01::float8, id;
END
$$;

-- The floor without the updates: what a decision that no cap binds cannot avoid.
CREATE FUNCTION bench.floor_reads(p_user bigint, p_context jsonb)
RETURNS TABLE (slot integer, action text, probability float8, decision_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
  f float8[];
  id uuid := bench.new_id();
BEGIN
  SELECT features INTO f FROM bench.floor_user WHERE user_id = p_user;
  INSERT INTO bench.floor_trace
  VALUES (id, p_user, clock_timestamp(), 1, 'home', ARRAY[1], ARRAY[0.01::float8], bench.numbers(), bench.probabilities(), f[1:cardinality(f) / 2]);
  RETURN QUERY SELECT 1, 'a-1', 0.01::float8, id;
END
$$;
