-- The schema of everything but the two verbs, and what this server must be like.

-- CREATE EXTENSION puts its target schema into the search_path, and what stands there may be somebody else's: an
-- operator or a function with better matching types would be taken into our views and functions, and run with the
-- rights of whoever uses them. Every upgrade script begins with this line too.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
  IF pg_catalog.current_setting('server_encoding') <> 'UTF8' THEN
    RAISE EXCEPTION 'pg_decide needs a database in UTF8, this one is in %',
        pg_catalog.current_setting('server_encoding')
      USING ERRCODE = 'feature_not_supported',
            HINT = 'Create the database with ENCODING ''UTF8'' TEMPLATE template0.';
  END IF;
END
$$;

CREATE SCHEMA decide;
COMMENT ON SCHEMA decide IS 'pg_decide: policy tables, traces, facts, models and the functions that keep them';

CREATE FUNCTION decide.is_name(name text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_catalog.length(name) BETWEEN 1 AND 200
   AND name !~ '[[:cntrl:]]'
   AND name = pg_catalog.btrim(name);
COMMENT ON FUNCTION decide.is_name(text) IS
  'Whether a text is a valid name: 1 to 200 characters, no control characters, no blanks around it';

CREATE FUNCTION decide.is_finite(number double precision) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN number IS NULL OR (number > '-infinity' AND number < 'infinity');
COMMENT ON FUNCTION decide.is_finite(double precision) IS
  'Whether a number is null or finite: neither NaN nor infinity';
