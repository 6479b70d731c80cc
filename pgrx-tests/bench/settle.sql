-- Lets each set begin alike: no traces and events, nothing dirty, and the states of users in memory as far as they fit.
TRUNCATE decide.trace, decide.event;
DO $$
BEGIN
  IF to_regclass('bench.floor_trace') IS NOT NULL THEN
    TRUNCATE bench.floor_trace;
  END IF;
  IF to_regclass('bench.hand_trace') IS NOT NULL THEN
    TRUNCATE bench.hand_trace;
  END IF;
  IF to_regclass('bench.record') IS NOT NULL THEN
    TRUNCATE bench.record;
  END IF;
  IF to_regclass('bench.floor_event') IS NOT NULL THEN
    TRUNCATE bench.floor_event;
  END IF;
  IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_prewarm') THEN
    CREATE EXTENSION IF NOT EXISTS pg_prewarm;
    PERFORM pg_prewarm('decide.user_state'), pg_prewarm('decide.user_state_pkey');
    IF to_regclass('bench.floor_state') IS NOT NULL THEN
      PERFORM pg_prewarm('bench.floor_state'), pg_prewarm('bench.floor_state_pkey');
    END IF;
  END IF;
END
$$;
CHECKPOINT;
