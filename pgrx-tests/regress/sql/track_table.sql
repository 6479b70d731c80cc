-- Rows of the shop's own tables become events in the same transaction, and no fault of that breaks the shop's write.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing'), ('42');
INSERT INTO decide.feature (feature, event_type, aggregate, value_path)
  VALUES ('spent', 'order', 'decayed_sum', 'value'), ('items', 'order', 'decayed_sum', 'attributes.items'), ('returns', 'return', 'decayed_count', NULL);

CREATE TYPE status AS ENUM ('open', 'cancelled', 'returned');
CREATE DOMAIN price AS numeric(10, 2);
CREATE TABLE orders (
  dropped int, id bigint PRIMARY KEY, customer_id text, created_at timestamptz NOT NULL DEFAULT now(), total price, items int,
  offer bigint, decision_id uuid, status status NOT NULL DEFAULT 'open', local_time timestamp, mail text
);
ALTER TABLE orders DROP COLUMN dropped;
CREATE FUNCTION told(statement text) RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN NEXT;
END
$$;
CREATE VIEW events AS SELECT event_id, type, action, surface, value, attributes, decision_id IS NOT NULL AS decision FROM decide.event ORDER BY event_id;

-- what a mapping must be like; each fault is told
CREATE TABLE keyless (id int, total int, doubled int);
SELECT c.mapping, t.message FROM (VALUES
  ('[]'::jsonb), ('"order"'), ('{}'), ('{"user_id": "customer_id"}'), ('{"type": {"const": "order"}, "user_id": "customer_id"}'), ('{"type": "", "user_id": "customer_id"}'),
  ('{"type": "12345678901234567890123456789012345678901", "user_id": "customer_id"}'), ('{"type": "order"}'), ('{"type": "order", "user_id": null}'),
  ('{"type": "order", "user_id": "nobody"}'), ('{"type": "order", "user_id": "dropped"}'), ('{"type": "order", "user_id": "ctid"}'), ('{"type": "order", "user_id": 7}'),
  ('{"type": "order", "user_id": {"constant": 7}}'), ('{"type": "order", "user_id": {"const": 7, "more": 7}}'), ('{"type": "order", "user_id": "customer_id", "User": "x"}'),
  ('{"type": "order", "user_id": "customer_id", "event_id": []}'), ('{"type": "order", "user_id": "customer_id", "event_id": {"const": 7}}'), ('{"type": "order", "user_id": "customer_id", "event_id": ["id", "x"]}'),
  ('{"type": "order", "user_id": "customer_id", "value": "mail"}'), ('{"type": "order", "user_id": "customer_id", "at": "mail"}'), ('{"type": "order", "user_id": "customer_id", "at": {"const": "now"}}'),
  ('{"type": "order", "user_id": "customer_id", "at": "local_time"}'), ('{"type": "order", "user_id": "customer_id", "at": "local_time", "time_zone": "Middle/Earth"}'),
  ('{"type": "order", "user_id": "customer_id", "at": "created_at", "time_zone": "UTC"}'), ('{"type": "order", "user_id": "customer_id", "time_zone": "UTC"}'),
  ('{"type": "order", "user_id": "customer_id", "attributes": "items"}'), ('{"type": "order", "user_id": "customer_id", "attributes": {"items": "x"}}'),
  ('{"type": "order", "user_id": "customer_id", "on": "delete"}'), ('{"type": "order", "user_id": "customer_id", "on": []}'), ('{"type": "order", "user_id": "customer_id", "on": "update"}'),
  ('{"type": "order", "user_id": "customer_id", "when": "status"}'), ('{"type": "order", "user_id": "customer_id", "when": {}}'), ('{"type": "order", "user_id": "customer_id", "when": {"status": []}}'),
  ('{"type": "order", "user_id": "customer_id", "when": {"status": {"not": "open"}}}'), ('{"type": "order", "user_id": "customer_id", "when": {"x": "open"}}'), ('{"type": "order", "user_id": "customer_id", "strict": "yes"}')
) AS c (mapping), told(format('SELECT decide.track_table(''orders'', %L)', c.mapping)) AS t;
\x
SELECT * FROM told($$SELECT decide.track_table('orders', '{"type": "order", "user_id": "nobody"}')$$);
SELECT * FROM told($$SELECT decide.track_table('keyless', '{"type": "order", "user_id": "id"}')$$);
SELECT * FROM told($$SELECT decide.track_table('decide.event_default', '{"type": "order", "user_id": "user_key"}')$$);
SELECT * FROM told($$SELECT decide.track_table('events', '{"type": "order", "user_id": "event_id"}')$$);
SELECT * FROM told($$SELECT decide.track_table('nowhere', '{"type": "order", "user_id": "id"}')$$);
SELECT * FROM told($$SELECT decide.track_table(NULL, '{}')$$);
SELECT * FROM told($$SELECT decide.track_table('orders', NULL)$$);
SELECT * FROM told($$SELECT decide.untrack_table('orders')$$);
\x
SELECT * FROM decide.tracked_tables;

-- nothing published: the shop goes on
SELECT decide.track_table('orders', '{"type": "order", "user_id": "customer_id", "at": "created_at", "value": "total", "action": "offer", "decision_id": "decision_id", "surface": {"const": "home"}, "attributes": {"items": "items", "from": {"const": "shop"}}}');
INSERT INTO orders (id, customer_id) VALUES (1, 'ann');
SELECT reasons, payload FROM decide.quarantine;
DELETE FROM decide.quarantine;
SELECT decide.publish();

-- an order is an event; with a return it takes two mappings
SELECT decide.track_table('orders', '{"type": "return", "user_id": "customer_id", "value": "total", "when": {"status": ["cancelled", "returned"]}}');
SELECT relation, type, operations, triggers, enabled FROM decide.tracked_tables ORDER BY type;
SELECT mapping FROM decide.tracked_tables ORDER BY type;
INSERT INTO orders (id, customer_id, total, items, offer, decision_id, mail) VALUES (2, 'ann', 19.90, 3, 42, '019b76da-a800-7000-8000-000000000000', 'ann@example.org');
SELECT * FROM events;
SELECT at = created_at AS same_moment FROM decide.event, orders WHERE id = 2;
SELECT feature, value FROM decide.features('ann');
SELECT count(*) FROM decide.outcome;
-- only what comes to be returned is a return, once
UPDATE orders SET items = 4 WHERE id = 2;
UPDATE orders SET status = 'returned' WHERE id = 2;
UPDATE orders SET status = 'returned', items = 5 WHERE id = 2;
UPDATE orders SET status = 'cancelled' WHERE id = 2;
UPDATE orders SET status = 'open' WHERE id = 2;
UPDATE orders SET status = 'returned' WHERE id = 2;
SELECT event_id, type, value FROM events;
SELECT feature, value FROM decide.features('ann');
-- an order that is cancelled when it is written is a return too
INSERT INTO orders (id, customer_id, total, status) VALUES (3, 'bob', 5, 'cancelled');
SELECT event_id, type, value FROM events WHERE event_id ~ ':3$';
-- DELETE, TRUNCATE and statements without rows make nothing
DELETE FROM orders WHERE id = 3;
INSERT INTO orders SELECT * FROM orders WHERE false;
UPDATE orders SET status = 'returned' WHERE false;
TRUNCATE orders;
SELECT count(*) FROM events;

-- order and event are rolled back together
BEGIN;
INSERT INTO orders (id, customer_id, total) VALUES (10, 'cid', 1);
SAVEPOINT s;
INSERT INTO orders (id, customer_id, total) VALUES (11, 'cid', 10);
ROLLBACK TO s;
INSERT INTO orders (id, customer_id, total) VALUES (12, 'cid', 100);
COMMIT;
BEGIN;
INSERT INTO orders (id, customer_id, total) VALUES (13, 'cid', 1000);
ROLLBACK;
SELECT value FROM decide.features('cid') WHERE feature = 'spent';
SELECT * FROM told($$INSERT INTO orders (id, customer_id, total) VALUES (14, 'cid', 10000), (10, 'cid', 100000)$$);
SELECT value FROM decide.features('cid') WHERE feature = 'spent';

-- thousands of rows in one statement
COPY orders (id, customer_id, total) FROM PROGRAM 'seq 100001 105000 | awk ''{print $1 "\tc" $1 % 7 "\t" 1}''';
SELECT count(*), sum(value) FROM events WHERE event_id ~ ':10\d{4}$';
SELECT sum(f.value) FROM generate_series(0, 6) AS i, decide.features('c' || i) AS f WHERE f.feature = 'spent';
UPDATE orders SET status = 'returned' WHERE id > 100000 AND id % 2 = 0;
UPDATE orders SET status = 'cancelled' WHERE id > 100000;
SELECT count(*) FROM events WHERE event_id ~ 'return:10\d{4}$';
SELECT count(*) FROM decide.quarantine;
-- where one array of rows fails, the others are events
ALTER TABLE decide.event ADD CONSTRAINT unlucky CHECK (value <> 13);
INSERT INTO orders (id, customer_id, total)
SELECT i, 'd' || i, CASE row_number() OVER (ORDER BY decide.user_key('d' || i)) WHEN 7 THEN 13 ELSE 1 END FROM generate_series(200001, 202500) AS i;
ALTER TABLE decide.event DROP CONSTRAINT unlucky;
SELECT count(*) FROM events WHERE event_id ~ ':20\d{4}$';
SELECT reasons, payload FROM decide.quarantine;
DELETE FROM decide.quarantine;

-- INSERT … ON CONFLICT and MERGE fire for what they do
INSERT INTO orders (id, customer_id, total) VALUES (20, 'dan', 1), (21, 'dan', 1);
INSERT INTO orders (id, customer_id, total, status) VALUES (20, 'dan', 2, 'returned'), (22, 'dan', 2, 'open'), (23, 'dan', 2, 'returned')
  ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status;
INSERT INTO orders (id, customer_id) VALUES (20, 'dan') ON CONFLICT DO NOTHING;
SELECT event_id, value FROM events WHERE event_id ~ ':2\d$';
MERGE INTO orders AS o USING (VALUES (21, 'returned'::status), (24, 'open'), (25, 'cancelled')) AS s (id, status) ON o.id = s.id
  WHEN MATCHED THEN UPDATE SET status = s.status
  WHEN NOT MATCHED THEN INSERT (id, customer_id, total, status) VALUES (s.id, 'dan', 3, s.status);
SELECT event_id, value FROM events WHERE event_id ~ ':2(1|4|5)$';

-- rows that are no events are in the quarantine, without the person, and break nothing
INSERT INTO orders (id, customer_id, total, decision_id) VALUES (30, NULL, 1, NULL), (31, 'eve', 'NaN', NULL), (32, 'eve', 1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), (33, 'eve', 7, NULL);
INSERT INTO orders (id, customer_id, created_at) VALUES (34, 'eve', 'infinity');
SELECT reasons, user_key = decide.user_key('eve') AS of_eve, payload ->> 'event_id' AS event_id, payload ? 'user_id' AS has_user FROM decide.quarantine ORDER BY 3;
SELECT value FROM decide.features('eve') WHERE feature = 'spent';
DELETE FROM decide.quarantine;
-- a mapping that no longer fits, and what does not fit is not shown
ALTER TABLE orders ALTER total TYPE text;
INSERT INTO orders (id, customer_id, total) VALUES (40, 'eve', 'eve@example.org'), (41, 'eve', '1');
SELECT reasons, payload, user_key FROM decide.quarantine;
SELECT substr(quarantine_id::text, 15, 1) AS version, abs(extract(epoch FROM received_at) * 1000 - ('x' || lpad(replace(left(quarantine_id::text, 13), '-', ''), 16, '0'))::bit(64)::bigint) < 1000 AS same_moment FROM decide.quarantine;
DELETE FROM decide.quarantine;
DELETE FROM orders WHERE id = 40;
ALTER TABLE orders ALTER total TYPE price USING total::price;
ALTER TABLE orders RENAME customer_id TO buyer;
INSERT INTO orders (id, buyer) VALUES (42, 'eve');
UPDATE orders SET status = 'returned' WHERE id = 42;
SELECT reasons, payload FROM decide.quarantine ORDER BY 2;
-- such a row is no event: released, it says still why
SELECT quarantined FROM decide.release_all('mapping_failed');
SELECT reasons FROM decide.quarantine ORDER BY payload LIMIT 1;
ALTER TABLE orders RENAME buyer TO customer_id;
DELETE FROM decide.quarantine;
-- not even a quarantine
ALTER TABLE decide.event RENAME TO gone;
ALTER TABLE decide.quarantine RENAME TO gone_too;
INSERT INTO orders (id, customer_id, total) VALUES (43, 'eve', 100);
ALTER TABLE decide.gone RENAME TO event;
ALTER TABLE decide.gone_too RENAME TO quarantine;
SELECT count(*) FROM orders WHERE id BETWEEN 30 AND 43;

-- columns of other types: blank-padded users, keys of several columns, times without zone, enumerations, booleans, nulls
CREATE TABLE bookings (shop char(4), number timestamptz, guest char(10), at timestamp, paid boolean, price money, note jsonb, tags text[], PRIMARY KEY (shop, number));
SELECT message FROM told($$SELECT decide.track_table('bookings', '{"type": "booking", "user_id": "guest", "value": "price"}')$$);
SELECT decide.track_table('bookings', '{"type": "booking", "user_id": "guest", "at": "at", "time_zone": "America/New_York", "value": {"const": 1.5}, "action": "tags", "when": {"paid": [true, null]}, "on": ["insert"]}');
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
INSERT INTO bookings (shop, number, guest, at, paid, price, note, tags) VALUES ('a', '2026-01-01 09:00:00', 'fay', '01.01.2026 12:00:00', true, 1, '{}', '{x,"y z"}'),
  ('b', '01.01.2026', 'fay', '01.06.2026 12:00:00', NULL, NULL, NULL, NULL), ('c', '01.01.2026', 'fay', '01.01.2026 12:00:00', false, NULL, NULL, NULL);
RESET TimeZone;
RESET DateStyle;
SELECT event_id, at AT TIME ZONE 'UTC' AS at, type, action, value FROM decide.event WHERE user_key = decide.user_key('fay') ORDER BY 1;
SELECT count(*) FROM decide.quarantine;

-- a second mapping of a type takes the place of the first, with all its triggers
SELECT decide.track_table('bookings', '{"type": "booking", "user_id": {"const": "gus"}, "event_id": "shop", "when": {"paid": true}, "on": "update"}');
SELECT triggers, mapping FROM decide.tracked_tables WHERE relation = 'bookings'::regclass;
INSERT INTO bookings VALUES ('d', '2026-01-01', 'fay');
UPDATE bookings SET paid = true;
SELECT event_id, type FROM decide.event WHERE user_key = decide.user_key('gus') ORDER BY 1;
-- disabled, renamed, untracked, dropped
ALTER TABLE bookings DISABLE TRIGGER pg_decide_booking_update;
SELECT type, enabled FROM decide.tracked_tables WHERE relation = 'bookings'::regclass;
ALTER TABLE bookings ENABLE TRIGGER pg_decide_booking_update;
ALTER TABLE bookings RENAME TO "Old bookings";
ALTER TRIGGER pg_decide_booking_update ON "Old bookings" RENAME TO another;
SELECT relation, triggers FROM decide.tracked_tables WHERE type = 'booking';
UPDATE "Old bookings" SET paid = NOT paid;
UPDATE "Old bookings" SET paid = NOT paid;
SELECT event_id, type FROM decide.event WHERE user_key = decide.user_key('gus') ORDER BY 1;
SELECT decide.track_table('"Old bookings"', '{"type": "booking", "user_id": "guest"}');
SELECT decide.track_table('"Old bookings"', '{"type": "it''s \"quoted\" \\ %s", "user_id": "guest", "surface": {"const": "it''s \"quoted\" \\000 %s"}}');
SELECT type, triggers, mapping ->> 'surface' AS surface FROM decide.tracked_tables WHERE relation = '"Old bookings"'::regclass ORDER BY 1;
INSERT INTO "Old bookings" VALUES ('e', '2026-01-01', 'hal');
SELECT event_id, type, surface FROM decide.event WHERE user_key = decide.user_key('hal') ORDER BY 1;
SELECT message, hint FROM told($$SELECT decide.untrack_table('"Old bookings"', 'bookings')$$);
SELECT decide.untrack_table('"Old bookings"', 'booking');
SELECT type FROM decide.tracked_tables WHERE relation = '"Old bookings"'::regclass;
SELECT decide.untrack_table('"Old bookings"');
SELECT tgname FROM pg_trigger WHERE tgrelid = '"Old bookings"'::regclass;
SELECT decide.track_table('"Old bookings"', '{"type": "booking", "user_id": "guest"}');
DROP TABLE "Old bookings";
SELECT count(*) FROM decide.tracked_tables WHERE type = 'booking';

-- a partitioned table as a whole, also where an update moves the row
CREATE TABLE visits (id int, region text, visitor int, status text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE visits_north PARTITION OF visits FOR VALUES IN ('north');
CREATE TABLE visits_south (status text, visitor int, id int NOT NULL, region text NOT NULL);
ALTER TABLE visits ATTACH PARTITION visits_south FOR VALUES IN ('south');
SELECT message, detail, hint FROM told($$SELECT decide.track_table('visits_north', '{"type": "visit", "user_id": "visitor"}')$$);
SELECT decide.track_table('visits', '{"type": "visit", "user_id": "visitor", "event_id": "id"}');
SELECT decide.track_table('visits', '{"type": "left", "user_id": "visitor", "event_id": "id", "on": "update", "when": {"status": "left"}}');
INSERT INTO visits VALUES (1, 'north', 7, 'in'), (2, 'south', 8, 'in');
UPDATE visits SET status = 'left', region = CASE region WHEN 'north' THEN 'south' ELSE 'north' END;
UPDATE visits SET region = CASE region WHEN 'north' THEN 'south' ELSE 'north' END;
SELECT e.event_id, e.type FROM decide.event AS e WHERE e.user_key IN (decide.user_key(7), decide.user_key(8)) ORDER BY 1;

-- strict: what cannot become an event is not written either
CREATE TABLE payments (id int PRIMARY KEY, payer text, amount numeric);
SELECT decide.track_table('payments', '{"type": "payment", "user_id": "payer", "value": "amount", "strict": true}');
INSERT INTO payments VALUES (1, 'ivy', 1);
\x
SELECT * FROM told($$INSERT INTO payments VALUES (2, 'ivy', 2), (3, NULL, 3)$$);
ALTER TABLE payments RENAME amount TO sum;
SELECT code, message FROM told($$INSERT INTO payments VALUES (4, 'ivy', 4)$$);
\x
SELECT id FROM payments;
SELECT event_id FROM events WHERE event_id ~ 'payment';

-- who writes to the shop's table needs no right on decide; who tracks one owns it
CREATE ROLE regress_track_clerk;
CREATE ROLE regress_track_owner;
CREATE ROLE regress_track_other;
SELECT decide.grant(role, 'operate') FROM unnest(ARRAY['regress_track_owner', 'regress_track_other']) AS role;
CREATE SCHEMA shop AUTHORIZATION regress_track_owner;
SET ROLE regress_track_owner;
CREATE TYPE shop.person AS (name text);
CREATE TABLE shop.carts (id int PRIMARY KEY, owner shop.person, gone text);
ALTER TABLE shop.carts ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON shop.carts USING (true);
GRANT USAGE ON SCHEMA shop TO regress_track_clerk, regress_track_other;
GRANT ALL ON shop.carts TO regress_track_clerk, regress_track_other;
SELECT decide.track_table('shop.carts', '{"type": "cart", "user_id": "owner"}');
SET ROLE regress_track_other;
\x
SELECT * FROM public.told($$SELECT decide.track_table('shop.carts', '{"type": "cart", "user_id": "owner"}')$$);
SELECT * FROM public.told($$SELECT decide.untrack_table('shop.carts')$$);
\x
SELECT relation, type FROM decide.tracked_tables ORDER BY relation::text, type;
SET ROLE regress_track_clerk;
SELECT code, message FROM public.told($$SELECT decide.track_table('shop.carts', '{}')$$);
INSERT INTO shop.carts VALUES (1, ROW('jo'));
RESET ROLE;
SELECT count(*) FROM decide.event WHERE user_key = decide.user_key('(jo)');
-- code of the table's owner, or of a writer, does not run with the rights of the extension's owner
SET ROLE regress_track_owner;
CREATE TABLE shop.ran (by name);
GRANT ALL ON shop.ran TO PUBLIC;
CREATE FUNCTION shop.as_json(shop.person) RETURNS json LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.ran VALUES (current_user); RETURN '"x"'; END $$;
CREATE FUNCTION shop.as_text(shop.person) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.ran VALUES (current_user); RETURN 'x'; END $$;
CREATE CAST (shop.person AS json) WITH FUNCTION shop.as_json;
CREATE CAST (shop.person AS text) WITH FUNCTION shop.as_text AS IMPLICIT;
INSERT INTO shop.carts VALUES (2, ROW('kim'));
CREATE FUNCTION shop.evil() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.ran VALUES (current_user); RETURN 1; END $$;
CREATE TEMP VIEW new_rows AS SELECT shop.evil() AS id, 'x'::text AS owner;
CREATE TRIGGER forged AFTER INSERT ON shop.carts FOR EACH STATEMENT EXECUTE FUNCTION decide.track_rows('{"type": "cart", "user_id": "owner", "event_id": ["id"]}', '{}');
SELECT code, message FROM public.told($$INSERT INTO shop.carts VALUES (3, ROW('kim'))$$);
DROP TRIGGER forged ON shop.carts;
INSERT INTO shop.carts VALUES (3, ROW('kim'));
CREATE TRIGGER forged AFTER INSERT ON shop.carts REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
  EXECUTE FUNCTION decide.track_rows('{"type": "cart", "user_id": "owner", "event_id": ["id"], "value": "owner"}', '{"owner": "text) FROM shop.carts; SELECT (shop.evil()"}');
INSERT INTO shop.carts VALUES (4, ROW('kim'));
DROP TRIGGER forged ON shop.carts;
SELECT * FROM shop.ran;
RESET ROLE;
SELECT count(*) FROM decide.event WHERE user_key = decide.user_key('(kim)');
SELECT reasons, payload - 'at' AS payload FROM decide.quarantine;
DROP SCHEMA shop CASCADE;
DROP OWNED BY regress_track_owner, regress_track_other;
DROP ROLE regress_track_clerk, regress_track_owner, regress_track_other;

-- a document that jsonb cannot have is a text: it takes no other row along
CREATE TABLE notes (id int PRIMARY KEY, who text, note json, state text);
SELECT decide.track_table('notes', '{"type": "note", "user_id": "who", "attributes": {"note": "note"}, "when": {"state": "sent"}}');
INSERT INTO notes VALUES (1, 'kit', '"fine"', 'sent'), (2, 'kit', '"\u0000"', 'sent'), (3, 'kit', '1e999999', 'sent'), (4, 'kit', NULL, 'sent');
SELECT count(*) FROM decide.event WHERE user_key = decide.user_key('kit');
-- and a row is the same event whatever the writer's session says of quotes
BEGIN;
SET LOCAL quote_all_identifiers = on;
UPDATE notes SET state = 'draft' WHERE id = 1;
UPDATE notes SET state = 'sent' WHERE id = 1;
COMMIT;
SELECT count(*), min(event_id) FROM decide.event WHERE user_key = decide.user_key('kit');
DROP TABLE notes;
-- constants that can be none of it, and what is no table
SELECT code, message FROM told($$SELECT decide.track_table('orders', '{"type": "x", "user_id": {"const": null}}')$$);
SELECT code, message FROM told($$SELECT decide.track_table('orders', '{"type": "x", "user_id": "customer_id", "value": {"const": "1"}}')$$);
SELECT code, message FROM told($$SELECT decide.track_table(999999, '{}')$$);
SELECT code, message FROM told($$SELECT decide.untrack_table(NULL)$$);

-- replicated rows make no events of their own, and without the extension there are no triggers
SET session_replication_role = replica;
INSERT INTO orders (id, customer_id) VALUES (60, 'liz');
RESET session_replication_role;
SELECT count(*) FROM decide.event WHERE user_key = decide.user_key('liz');
SELECT code, message, hint FROM told('DROP EXTENSION pg_decide');
SET client_min_messages = error;
DROP EXTENSION pg_decide CASCADE;
INSERT INTO orders (id, customer_id) VALUES (61, 'liz');

-- the verbs may be in another schema
CREATE SCHEMA app;
CREATE EXTENSION pg_decide SCHEMA app;
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
SELECT decide.publish();
SELECT decide.track_table('orders', '{"type": "order", "user_id": "customer_id"}');
INSERT INTO orders (id, customer_id) VALUES (62, 'liz');
SELECT event_id FROM decide.event;
