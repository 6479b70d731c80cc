-- What an application's role can do by sending what it likes, and what bounds it.
CREATE ROLE regress_app_serve;
CREATE ROLE regress_app_owner;
SELECT decide.grant('regress_app_serve', 'serve'), decide.grant('regress_app_owner', 'operate');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing'), ('a1');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
INSERT INTO decide.event_type (event_type) VALUES ('click'), ('order');
SELECT decide.publish();
GRANT CREATE ON SCHEMA public TO regress_app_owner;
SET ROLE regress_app_owner;
CREATE TABLE orders (id bigint PRIMARY KEY, customer text, total numeric);
SELECT decide.track_table('public.orders', '{"type": "order", "user_id": "customer", "value": "total"}');
RESET ROLE;
CREATE FUNCTION event(id text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('event_id', id, 'type', 'order', 'user_id', 'ann', 'at', now()) || more $$;
GRANT EXECUTE ON FUNCTION event(text, jsonb) TO PUBLIC;

-- the event of a row that is yet to be written cannot be sent before it: not by track(), in an array, as text, nor by the inbox
SET SESSION AUTHORIZATION regress_app_serve;
SELECT track(event('row:public.orders:order:1')), track(event('row:public.orders:order:1')::text), track(ARRAY[event('row:public.orders:order:1'), event('row:')]);
INSERT INTO decide.event_inbox (event) VALUES (event('row:public.orders:order:1')::text);
SELECT track(event('row:public.orders:order:1'), true);
RESET SESSION AUTHORIZATION;
SELECT decide.run_job('fold');
SELECT reasons, count(*) FROM decide.quarantine GROUP BY 1;
INSERT INTO orders VALUES (1, 'ann', 7);
SELECT event_id, value FROM decide.event;
-- nor is it taken for one when it is released, with whatever else is wrong with it
SELECT track(event('row:public.orders:order:2', '{"value": "x"}'));
SELECT * FROM decide.release_all('bad_number', '{"value": 1}');
SELECT * FROM decide.release_all('reserved');
SELECT count(*) FROM decide.event;
-- what came of a row can be released
INSERT INTO orders VALUES (3, NULL, 7);
SELECT * FROM decide.release_all('missing', '{"user_id": "bea"}');
SELECT event_id FROM decide.event ORDER BY 1;
DELETE FROM decide.quarantine;

-- decisions that never were: taken in, unless they are demanded
SELECT track(event('1', '{"decision_id": "01920000-0000-7000-8000-000000000000"}'));
SET SESSION AUTHORIZATION regress_app_serve;
SET pg_decide.require_decision = on;
RESET SESSION AUTHORIZATION;
SET pg_decide.require_decision = on;
SELECT track(event('2', '{"decision_id": "01920000-0000-7000-8000-000000000000"}'));
SELECT track(event('3'));
-- one of the same statement, of the same transaction, and of another
SELECT track(event('4', jsonb_build_object('decision_id', decision_id))) FROM decide('ann', 'home');
BEGIN;
SELECT decision_id AS ann FROM decide('ann', 'home') \gset
SELECT decision_id AS bea FROM decide('bea', 'home') \gset
SELECT track(event('5', jsonb_build_object('decision_id', :'ann')));
SELECT * FROM track(ARRAY[event('6', jsonb_build_object('decision_id', :'ann')), event('7', jsonb_build_object('decision_id', :'bea'))]);
COMMIT;
SELECT track(event('8', jsonb_build_object('decision_id', :'ann')));
-- somebody else's, and one that was rolled back
SELECT track(event('9', jsonb_build_object('decision_id', :'bea')));
BEGIN;
SELECT decision_id AS gone FROM decide('ann', 'home') \gset
ROLLBACK;
SELECT track(event('10', jsonb_build_object('decision_id', :'gone')));
SELECT track(event('11', jsonb_build_object('decision_id', :'bea')), true);
SELECT payload ->> 'event_id' AS event, reasons, user_key = decide.user_key('ann') AS of_ann, event_type FROM decide.quarantine ORDER BY 1;
SELECT event_id FROM decide.event WHERE decision_id IS NOT NULL ORDER BY 1;
-- by the inbox, from rows, and when it is released
INSERT INTO decide.event_inbox (event) VALUES (event('12', jsonb_build_object('decision_id', :'ann'))::text), (event('13', jsonb_build_object('decision_id', :'bea'))::text);
SELECT decide.run_job('fold');
ALTER TABLE orders ADD decision_id uuid;
SELECT decide.track_table('orders', '{"type": "order", "user_id": "customer", "decision_id": "decision_id"}');
INSERT INTO orders VALUES (4, 'ann', 7, :'ann'), (5, 'ann', 7, :'bea');
SELECT payload ->> 'event_id' AS event, reasons FROM decide.quarantine WHERE payload ->> 'event_id' ~ '13|order' ORDER BY 1;
SELECT event_id FROM decide.event WHERE event_id ~ '12|:[45]' ORDER BY 1;
SELECT * FROM decide.release_all('unknown_decision');
SET pg_decide.require_decision = off;
SELECT * FROM decide.release_all('unknown_decision');

\set VERBOSITY terse
SET client_min_messages = warning;
DROP OWNED BY regress_app_serve, regress_app_owner CASCADE;
DROP ROLE regress_app_serve, regress_app_owner;
