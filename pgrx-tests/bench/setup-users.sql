-- The states of $1 users, each with bench.features features that fade, drawn from a thousand patterns.
INSERT INTO decide.user_state (user_key, features)
WITH pattern AS MATERIALIZED (
  SELECT n, array_agg(v ORDER BY feature, part) AS features
    FROM generate_series(0, 999) AS n, generate_series(1, current_setting('bench.features')::int) AS feature,
         LATERAL (VALUES (2, random() * 3),
                         (1, extract(epoch FROM now() - timestamptz '2000-01-01 00:00Z')::float8 * 1e6 - random() * 1e11)) AS p (part, v)
   GROUP BY n
)
SELECT decide.user_key(i), features FROM generate_series(1, $1::bigint) AS i JOIN pattern ON n = i % 1000
