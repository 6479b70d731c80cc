-- What the caller did wrong is an error with SQLSTATE, and a hint where one helps.
-- before anything is published
SELECT * FROM decide('ann', 'home');
\echo :SQLSTATE
SELECT * FROM decide.explain('ann', 'home');
\echo :SQLSTATE
SELECT track('{}'::jsonb);
\echo :SQLSTATE
SELECT decide.user_key('ann');
\echo :SQLSTATE
SELECT * FROM decide.features('ann');
\echo :SQLSTATE
SELECT decide.rollback(1);
\echo :SQLSTATE

INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
SELECT decide.publish();

-- the surface
SELECT * FROM decide('ann', 'moon');
\echo :SQLSTATE
SELECT * FROM decide('ann', 'Home');
\echo :SQLSTATE
SELECT * FROM decide('ann', NULL);
\echo :SQLSTATE
SELECT * FROM decide('ann', '');
SELECT * FROM decide('ann', E'two\nlines "quoted"');
SELECT * FROM decide.explain('ann', 'moon');
\echo :SQLSTATE

-- the user
SELECT * FROM decide(NULL::text, 'home');
\echo :SQLSTATE
SELECT * FROM decide(NULL::bigint, 'home');
SELECT * FROM decide(NULL::uuid, 'home');
SELECT * FROM decide('', 'home');
\echo :SQLSTATE
SELECT * FROM decide(E' \t\n', 'home');
SELECT slot FROM decide(repeat('x', 1024), 'home');
SELECT * FROM decide(repeat('x', 1025), 'home');
\echo :SQLSTATE
SELECT * FROM decide(repeat('ü', 513), 'home');
SELECT decide.user_key(NULL::text);
\echo :SQLSTATE
SELECT decide.user_key('');
\echo :SQLSTATE
SELECT * FROM decide.features(NULL::bigint);
\echo :SQLSTATE

-- the context
SELECT slot, action FROM decide('ann', 'home', '{}');
-- none is as good as an empty one
SELECT slot, action FROM decide('ann', 'home', NULL);
SELECT count(DISTINCT context_hash) FROM decide.trace WHERE user_key = decide.user_key('ann');
SELECT * FROM decide('ann', 'home', '[]');
\echo :SQLSTATE
SELECT * FROM decide('ann', 'home', '"text"');
SELECT * FROM decide('ann', 'home', 'null');
SELECT * FROM decide('ann', 'home', '7');
SET pg_decide.max_context_bytes = 100;
SELECT slot FROM decide('ann', 'home', jsonb_build_object('a', repeat('x', 50)));
SELECT * FROM decide('ann', 'home', jsonb_build_object('a', repeat('x', 200)));
\echo :SQLSTATE
SELECT * FROM decide.explain('ann', 'home', jsonb_build_object('a', repeat('x', 200)));
RESET pg_decide.max_context_bytes;
-- one that Postgres compresses is measured as it is
CREATE TABLE contexts AS SELECT jsonb_build_object('a', repeat('x', 100000)) AS context;
SELECT * FROM contexts, decide('ann', 'home', context);
SET pg_decide.max_context_bytes = '1MB';
SELECT slot FROM contexts, decide('ann', 'home', context);
RESET pg_decide.max_context_bytes;

-- where nothing may be written
BEGIN READ ONLY;
SELECT * FROM decide('ann', 'home');
\echo :SQLSTATE
ROLLBACK;
BEGIN READ ONLY;
SELECT track('{}'::jsonb);
\echo :SQLSTATE
ROLLBACK;
-- all verbs that write say the same, also those whose work functions in SQL do
DO $$
DECLARE
  verb text;
  detail text;
  hint text;
BEGIN
  SET TRANSACTION READ ONLY;
  FOREACH verb IN ARRAY ARRAY[
    $v$decide.rename('action', 'a', 'b')$v$, $v$decide.grant('postgres', 'serve')$v$, $v$decide.grant('postgres', job => 'serve')$v$,
    $v$decide.revoke('postgres', 'serve')$v$, $v$decide.track_table('pg_class', '{}')$v$, $v$decide.untrack_table('pg_class')$v$,
    'decide.publish()', 'decide.rollback(1)', $v$decide.backfill('x')$v$, $v$decide.run_job('fold')$v$]
  LOOP
    BEGIN
      EXECUTE 'SELECT ' || verb;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
      RAISE NOTICE '% % | % | %', SQLSTATE, SQLERRM, detail, hint;
    END;
  END LOOP;
END
$$;

-- other functions
SELECT * FROM decide.replay('01920000-0000-7000-8000-000000000000');
\echo :SQLSTATE
SELECT * FROM decide.replay('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
\echo :SQLSTATE
SELECT * FROM decide.replay(NULL);
SELECT * FROM track(NULL::jsonb[]);
\echo :SQLSTATE
SELECT decide.rollback(99);
\echo :SQLSTATE
SELECT decide.rollback(NULL);
\echo :SQLSTATE
-- its hint lists the jobs: regress/jobs has it
\set VERBOSITY terse
SELECT decide.run_job('coffee');
\echo :SQLSTATE
\set VERBOSITY default
SELECT decide.run_job(NULL);
\echo :SQLSTATE
SELECT decide.grant('postgres', 'everything');
\echo :SQLSTATE
SELECT decide.approve('absent', 1);
\echo :SQLSTATE
\set VERBOSITY sqlstate
SET pg_decide.seed = -1;
SET pg_decide.nonsense = 1;
SET pg_decide.max_context_bytes = 1;
SET pg_decide.partitions_ahead = 0;
\set VERBOSITY default

-- an error leaves no trace, and the caller's transaction can go on behind a savepoint
BEGIN;
SAVEPOINT before;
SELECT * FROM decide('ann', 'moon');
ROLLBACK TO before;
SELECT slot, action, reason FROM decide('ann', 'home');
COMMIT;
SELECT count(*) FROM decide.trace;
