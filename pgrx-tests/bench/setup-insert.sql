-- The yardstick: one row of about a kilobyte in a plain table, the least durable record that there is.
CREATE TABLE bench.record (id uuid PRIMARY KEY, at timestamptz NOT NULL, body text NOT NULL) WITH (toast_tuple_target = 8160);
ALTER TABLE bench.record ALTER body SET STORAGE EXTERNAL;

-- Identifiers in order of time where the server has them, as random ones are dearer to index.
DO $$
BEGIN
  EXECUTE 'CREATE FUNCTION bench.record_id() RETURNS uuid LANGUAGE sql AS ' || quote_literal(
    CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'SELECT uuidv7()' ELSE 'SELECT gen_random_uuid()' END);
END
$$;
