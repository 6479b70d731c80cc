-- Tables that their owner alters: values stand under their own names, or it is an error that says what is wrong.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing'), ('a');
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('clicks', 'click', 'decayed_count');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
CREATE FUNCTION click(id text) RETURNS text LANGUAGE sql AS $$
  SELECT track(jsonb_build_object('event_id', id, 'type', 'click', 'user_id', 'al', 'at', now(), 'action', 'THE ACTION', 'surface', 'THE SURFACE')) $$;
CREATE FUNCTION today(parent text) RETURNS text LANGUAGE sql AS
  $$ SELECT format('decide.%I', parent || '_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')) $$;
CREATE PROCEDURE replace_today(parent text, columns text) LANGUAGE plpgsql AS $$
DECLARE
  day timestamptz := date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
BEGIN
  PERFORM set_config('pg_decide.erasing', 'on', true);
  EXECUTE format('DROP TABLE %s', today(parent));
  EXECUTE format('CREATE TABLE %s (%s)', today(parent), columns);
  EXECUTE format('ALTER TABLE decide.%I ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', parent, today(parent), day, day + interval '1 day');
END $$;

-- a partition by hand, with the columns in another order
SELECT click('w0'), count(*) FROM decide('al', 'home');
CALL replace_today('event', 'user_key uuid NOT NULL, event_id text COLLATE "C" NOT NULL, at timestamptz NOT NULL, received_at timestamptz NOT NULL,
  type text NOT NULL, surface text, action text, decision_id uuid, value float8, attributes jsonb, schema_version smallint NOT NULL DEFAULT 1,
  ordinal bigint NOT NULL DEFAULT 0, PRIMARY KEY (user_key, event_id, at)');
SELECT click('w1'), click('w1');
SELECT event_id, action, surface FROM decide.event;
-- with its primary key in another order, or on other columns
CALL replace_today('event', 'user_key uuid NOT NULL, event_id text COLLATE "C" NOT NULL, at timestamptz NOT NULL, received_at timestamptz NOT NULL,
  type text NOT NULL, action text, surface text, decision_id uuid, value float8, attributes jsonb, schema_version smallint NOT NULL DEFAULT 1,
  ordinal bigint NOT NULL DEFAULT 0, PRIMARY KEY (at, event_id, user_key)');
SELECT click('w2'), click('w2');
SELECT event_id, action, surface FROM decide.event;
-- a column that must not be null, one with a default, a check, a trigger, a rule: all are heeded
UPDATE decide.event SET value = 1;
DO $$ BEGIN EXECUTE format('ALTER TABLE %s ALTER COLUMN value SET NOT NULL', today('event')); END $$;
DO $$ BEGIN PERFORM click('w3'); EXCEPTION WHEN not_null_violation THEN RAISE NOTICE 'it holds'; END $$;
DO $$ BEGIN EXECUTE format('ALTER TABLE %s ALTER COLUMN value DROP NOT NULL', today('event')); END $$;
ALTER TABLE decide.event ADD COLUMN shop text NOT NULL DEFAULT 'main';
SELECT click('w4'), click('w4');
SELECT event_id, action, surface, shop FROM decide.event WHERE event_id = 'w4';
ALTER TABLE decide.event DROP COLUMN shop;
SELECT click('w5');
ALTER TABLE decide.event ADD CONSTRAINT no_six CHECK (event_id <> 'w6');
DO $$ BEGIN PERFORM click('w6'); EXCEPTION WHEN check_violation THEN RAISE NOTICE 'the check holds'; END $$;
ALTER TABLE decide.event DROP CONSTRAINT no_six;
CREATE TABLE noticed (what text);
CREATE FUNCTION notice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.noticed VALUES (TG_ARGV[0]); RETURN NULL; END $$;
CREATE TRIGGER noticed AFTER INSERT ON decide.event FOR EACH STATEMENT EXECUTE FUNCTION notice('event');
CREATE TRIGGER noticed AFTER INSERT ON decide.trace FOR EACH STATEMENT EXECUTE FUNCTION notice('trace');
SELECT click('w7'), count(*) FROM decide('al', 'home');
SELECT what, count(*) FROM noticed GROUP BY what ORDER BY what;
DROP TRIGGER noticed ON decide.event;
DROP TRIGGER noticed ON decide.trace;
SELECT click('w8'), count(*) FROM decide('al', 'home');
SELECT count(*) FROM noticed;
SELECT string_agg(event_id, ' ' ORDER BY event_id) AS events FROM decide.event;
-- traces
DO $$
DECLARE columns text;
BEGIN
  SELECT string_agg(format('%I %s%s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END), ', '
           ORDER BY attname IN ('policy', 'surface'), attname = 'surface' DESC, attnum) INTO columns
    FROM pg_attribute WHERE attrelid = 'decide.trace'::regclass AND attnum > 0;
  CALL replace_today('trace', columns || ', PRIMARY KEY (decision_id, user_key, decided_at)');
END $$;
UPDATE decide.policy SET policy = 'THE POLICY';
SELECT decide.publish();
SELECT count(*) FROM decide('al', 'home');
SELECT surface, policy FROM decide.trace ORDER BY decision_id DESC LIMIT 1;
-- with them in another order, or with one more that may be null, decisions go on without the executor; else the log says so
CREATE PROCEDURE decide_often() LANGUAGE plpgsql AS $$ BEGIN PERFORM decide('al', 'home') FROM generate_series(1, 100); END $$;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = log;
CALL decide_often();
ALTER TABLE decide.trace ADD COLUMN remark text;
CALL decide_often();
SELECT surface, policy, remark FROM decide.trace ORDER BY decision_id DESC LIMIT 1;
ALTER TABLE decide.trace ADD COLUMN note text DEFAULT 'none';
CALL decide_often();
CALL decide_often();
RESET client_min_messages;
\set VERBOSITY default
SELECT surface, policy, note FROM decide.trace ORDER BY decision_id DESC LIMIT 1;
ALTER TABLE decide.trace DROP COLUMN note, DROP COLUMN remark;
SELECT agrees, difference FROM decide.trace AS t, decide.replay(t.decision_id) ORDER BY t.decision_id DESC LIMIT 2;

-- the table of users: more columns stay as they are
ALTER TABLE decide.user_state ADD COLUMN shop text NOT NULL DEFAULT 'main';
UPDATE decide.user_state SET shop = 'other';
SELECT click('x1'), track(ARRAY[jsonb_build_object('event_id', 'x2', 'type', 'click', 'user_id', 'al', 'at', now())]);
SELECT events, shop FROM decide.user_state;
SELECT click('x3'), track(jsonb_build_object('event_id', 'x3', 'type', 'click', 'user_id', 'bo', 'at', now()));
SELECT events, shop FROM decide.user_state ORDER BY events DESC;
ALTER TABLE decide.user_state DROP COLUMN shop;
SELECT click('x4');
-- what only the executor would heed is refused
CREATE TRIGGER noticed AFTER UPDATE ON decide.user_state FOR EACH ROW EXECUTE FUNCTION notice('user');
SELECT click('x5');
SELECT count(*) FROM decide('al', 'home') WHERE reason IS NULL;
DROP TRIGGER noticed ON decide.user_state;
ALTER TABLE decide.user_state ADD CONSTRAINT few CHECK (events < 1000);
SELECT click('x5');
ALTER TABLE decide.user_state DROP CONSTRAINT few;
ALTER TABLE decide.user_state ADD COLUMN twice bigint GENERATED ALWAYS AS (events * 2) STORED;
SELECT click('x5');
ALTER TABLE decide.user_state DROP COLUMN twice;
-- another type, another column in the place of one, none at all
ALTER TABLE decide.user_state ALTER COLUMN features TYPE real[];
SELECT click('x5');
SELECT * FROM decide.features('al');
SELECT count(*) FROM decide('al', 'home') WHERE reason IS NULL;
SELECT errors FROM decide.decision ORDER BY decision_id DESC LIMIT 1;
ALTER TABLE decide.user_state ALTER COLUMN features TYPE double precision[];
SELECT click('x5');
BEGIN;
ALTER TABLE decide.user_state DROP COLUMN keyed;
ALTER TABLE decide.user_state ADD COLUMN keyed double precision[] NOT NULL DEFAULT '{}';
SELECT click('x6');
ROLLBACK;
-- its index: replaced by another, or gone
ALTER INDEX decide.user_state_pkey RENAME TO of_users;
SELECT click('x6'), count(*) FROM decide('al', 'home');
REINDEX TABLE decide.user_state;
SELECT click('x7');
BEGIN;
ALTER TABLE decide.user_state DROP CONSTRAINT of_users;
SELECT click('x8');
ROLLBACK;
CLUSTER decide.user_state USING of_users;
SELECT click('x8'), count(*) FROM decide('al', 'home');
SELECT max(events) FROM decide.user_state;
-- counters
INSERT INTO decide.cap (cap, per, max_count) VALUES ('budget', 'all', 1000);
SELECT decide.publish();
SELECT count(*) FROM decide('al', 'home') WHERE reason IS NULL;
ALTER TABLE decide.budget_stripe ADD COLUMN shop text DEFAULT 'main';
SELECT count(*) FROM decide('al', 'home') WHERE reason IS NULL;
ALTER TABLE decide.budget_stripe ALTER COLUMN quota TYPE numeric;
SELECT count(*) FROM decide('al', 'home') WHERE reason IS NULL;
ALTER TABLE decide.budget_stripe ALTER COLUMN quota TYPE bigint;
SELECT count(*) FROM decide('al', 'home') WHERE reason IS NULL;
SELECT sum(ledger[2]) AS counted, min(shop) AS shop FROM decide.budget_stripe;
