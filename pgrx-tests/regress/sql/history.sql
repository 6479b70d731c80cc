-- Who changed what: bundles are numbered and never change; a rollback is a new entry.
CREATE ROLE regress_history_operator;
SELECT decide.grant('regress_history_operator', 'operate');
SET SESSION AUTHORIZATION regress_history_operator;
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 1, 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing'), ('a');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish('first');
RESET SESSION AUTHORIZATION;
INSERT INTO decide.action (action, attributes, cost) VALUES ('b', '{"price": 1}', 2);
DELETE FROM decide.action WHERE action = 'a';
UPDATE decide.surface SET slots = 2, description = 'for people';
INSERT INTO decide.campaign (campaign, starts_at) VALUES ('summer', '2026-06-01 00:00:00+02');
INSERT INTO decide.feature (feature, event_type, aggregate, half_life) VALUES ('clicks', 'click', 'decayed_count', '1 day');
SELECT decide.publish('second');
SELECT decide.publish();

SELECT publication, kind, bundle, note, by, in_force, surfaces, actions, policies FROM decide.bundle_history;
SELECT * FROM decide.bundle_diff(1, 2) AS d ("table", "row", change, before, after);
SELECT "table", "row", change FROM decide.bundle_diff(2, 1);
SELECT count(*) FROM decide.bundle_diff(2, 3);
-- tables that say the same make bundles that say the same, whatever the session prefers
UPDATE decide.action SET cost = 0.1::float8 + 0.2::float8;
SELECT decide.publish();
SET IntervalStyle = 'iso_8601';
SET DateStyle = 'German';
SET TimeZone = 'Asia/Tokyo';
SET extra_float_digits = 0;
SELECT decide.publish();
RESET IntervalStyle;
RESET DateStyle;
RESET TimeZone;
RESET extra_float_digits;
SELECT count(*) FROM decide.bundle_diff(4, 5);
SELECT count(*) FROM decide.bundle_diff(1, 1);
SELECT change, count(*) FROM decide.bundle_diff(99, 1) GROUP BY 1;

-- a rollback puts an old bundle in force as a new entry, and leaves the tables as they are
SELECT count(*) FROM decide('ann', 'home');
SELECT decide.rollback(1, 'too many slots');
SELECT count(*) FROM decide('ann', 'home');
SELECT publication, kind, bundle, note, in_force FROM decide.bundle_history;
SELECT slots FROM decide.surface;
-- an action that is gone from the tables is there in the old bundle
SELECT action, step FROM decide.explain('ann', 'home', '{}', 1);
-- and the next publish has a number of its own
SELECT decide.publish('third');
SELECT publication, kind, bundle, note, in_force FROM decide.bundle_history ORDER BY publication DESC LIMIT 2;
SELECT count(*) FROM decide('ann', 'home');
SELECT bundle, agrees, count(*) FROM decide.trace AS t, decide.replay(t.decision_id) GROUP BY 1, 2 ORDER BY 1;

-- an aborted publish and an aborted rollback are nowhere
BEGIN;
UPDATE decide.surface SET slots = 7;
SELECT decide.publish('not to be');
-- the publisher sees it at once
SELECT count(*) FROM decide('ann', 'home');
ROLLBACK;
SELECT count(*) FROM decide('ann', 'home');
BEGIN;
SELECT decide.rollback(1);
SELECT count(*) FROM decide('ann', 'home');
ROLLBACK;
SELECT count(*) FROM decide('ann', 'home');
BEGIN;
SAVEPOINT s;
SELECT decide.rollback(1);
SELECT count(*) FROM decide('ann', 'home');
ROLLBACK TO s;
SELECT count(*) FROM decide('ann', 'home');
COMMIT;
SELECT max(bundle), max(publication) FROM decide.bundle_history;
-- a cap that limits each value by itself is compared value by value
BEGIN;
INSERT INTO decide.action (action, attributes) SELECT 'of ' || k, jsonb_build_object('kind', k) FROM unnest('{a,b,c}'::text[]) AS k;
INSERT INTO decide.cap (cap, attribute, per, max_count) VALUES ('kinds', 'kind', 'user', 1000);
SELECT decide.publish('kinds') AS kinds \gset
SELECT count(*) FROM decide.bundle_diff(:kinds, :kinds);
UPDATE decide.cap SET max_count = 7;
SELECT decide.publish('fewer') AS fewer \gset
SELECT "table", "row", change, before ->> 'value' = after ->> 'value' AS same_value, after -> 'max_count' AS max_count FROM decide.bundle_diff(:kinds, :fewer);
ROLLBACK;
-- numbers have no gaps
SELECT decide.publish('fourth');

DROP OWNED BY regress_history_operator;
DROP ROLE regress_history_operator;
