-- Lets each set begin alike: no traces, nothing dirty, and the states of users in memory as far as they fit.
TRUNCATE decide.trace;
DO $$
BEGIN
  IF to_regclass('bench.floor_trace') IS NOT NULL THEN
    TRUNCATE bench.floor_trace, bench.hand_trace;
  END IF;
  IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_prewarm') THEN
    CREATE EXTENSION IF NOT EXISTS pg_prewarm;
    PERFORM pg_prewarm('decide.user_state'), pg_prewarm('decide.user_state_pkey');
  END IF;
END
$$;
CHECKPOINT;
