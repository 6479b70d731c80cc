-- The shop: its items, the log of what it showed, and its stock.

CREATE SCHEMA shop;

CREATE TABLE shop.item (n integer, item_id integer PRIMARY KEY, price_index float8, brand text, category text, style text);
CREATE TABLE shop.log (n integer PRIMARY KEY, at timestamptz, item_id integer, position integer, click integer,
                       propensity float8, u0 text, u1 text, u2 text, u3 text);
CREATE TABLE shop.inventory (sku text PRIMARY KEY, on_hand integer NOT NULL);
CREATE TABLE shop.live (n integer PRIMARY KEY, decision_id uuid, decide_ms float8, track_ms float8);

-- The log as decisions. It names no users, so that people with the same four attributes count as one.
CREATE VIEW shop.history AS
SELECT n, md5(u0 || u1 || u2 || u3) AS user_id, 'home' AS surface, at AS decided_at,
       'item-' || item_id AS action, propensity, click AS reward, 'click' AS reward_type,
       jsonb_build_object('position', 'p' || position, 'u0', u0, 'u1', u1, 'u2', u2, 'u3', u3) AS context
  FROM shop.log;

-- The log is in order of time: seven tenths to learn from, the rest to come in as live traffic.
CREATE VIEW shop.past AS SELECT * FROM shop.history WHERE n < 7000;
CREATE VIEW shop.traffic AS SELECT * FROM shop.history WHERE n >= 7000;
