-- Corrections of counters: exact beside decisions, never below what is counted, and audited.
CREATE ROLE regress_adjust_operate;
CREATE ROLE regress_adjust_serve;
SELECT decide.grant('regress_adjust_operate', 'operate');
SELECT decide.grant('regress_adjust_serve', 'serve');
GRANT regress_adjust_operate, regress_adjust_serve TO CURRENT_USER;
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('none', 'nothing');
INSERT INTO decide.action (action, surfaces, attributes, cost) VALUES ('nothing', '{none}', '{}', 1), ('a', '{home}', '{"brand": "x"}', 0.25);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
INSERT INTO decide.cap (cap, action, per, max_count, stripes) VALUES ('total', 'a', 'all', 100, 4);
INSERT INTO decide.cap (cap, action, per, max_count, window_length, time_zone) VALUES ('each', 'a', 'user', 3, '1 day', 'UTC');
INSERT INTO decide.cap (cap, action, per, max_count, window_length, window_kind) VALUES ('sliding', 'a', 'all', 100000, '1 hour', 'sliding');
INSERT INTO decide.cap (cap, attribute, per, max_count, unit) VALUES ('spend', 'brand', 'all', 1000, 'cost');
INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('slate', 'a', 'decision', 1);
SELECT decide.publish('caps');
CREATE FUNCTION shown(users int, prefix text) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM generate_series(1, users) AS i, decide(prefix || i, 'home') AS d WHERE d.action = 'a'
$$;

CREATE FUNCTION shown_to(who text) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM generate_series(1, 5) AS i, decide(left(who || i, length(who)), 'home') AS d WHERE d.action = 'a'
$$;

SELECT shown(20, 'u');
-- what was counted elsewhere takes from the budget, and decisions stop at the limit
SELECT * FROM decide.adjust_budget('total', 70, 'shown by the letter shop');
SELECT spent, free FROM decide.budget WHERE cap = 'total';
SELECT shown(30, 'v');
SELECT spent, free FROM decide.budget WHERE cap = 'total';
SELECT sum(quota) AS quotas, bool_and(quota >= 0) AS none_below FROM decide.budget_stripe JOIN decide.cap_slot USING (slot) WHERE cap = 'total';
-- more was counted than the limit allows: nothing is left, and giving back a part leaves nothing either
SELECT * FROM decide.adjust_budget('total', 15, 'more of them');
SELECT shown(5, 'w');
SELECT * FROM decide.adjust_budget('total', -15, 'they were returned');
SELECT shown(5, 'w');
SELECT * FROM decide.adjust_budget('total', -7, 'robots');
SELECT shown(30, 'x');
-- all of it, in several rows, and not one more
SELECT * FROM decide.adjust_budget('total', -100, 'a new start');
SELECT spent, free FROM decide.budget WHERE cap = 'total';
SELECT shown(120, 'y');
-- what a transaction takes back is as if it had not been
BEGIN;
SELECT * FROM decide.adjust_budget('total', -50, 'a mistake');
SELECT shown(10, 'z');
ROLLBACK;
SELECT shown(10, 'z');
-- the same of a publish, which has locked the same rows
BEGIN;
UPDATE decide.cap SET max_count = 105 WHERE cap = 'total';
SELECT decide.publish('five more');
SELECT shown(10, 'z');
ROLLBACK;

-- a user
SELECT shown_to('42');
SELECT * FROM decide.adjust_budget('total', -20, 'room for more');
SELECT shown_to('42');
SELECT * FROM decide.adjust_exposure(42, 'each', -2, 'a complaint');
SELECT shown_to('42');
SELECT * FROM decide.adjust_exposure('new', 'each', 2, 'seen in the shop');
SELECT shown_to('new');
SELECT * FROM decide.adjust_exposure('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 'each', 3, 'seen in the shop');
SELECT e.counted FROM decide.exposure AS e WHERE e.user_key = decide.user_key('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::text);

-- the window before, by a moment in it; the present one is as it was
SELECT * FROM decide.adjust_exposure(42, 'each', 5, 'of yesterday', at => now() - interval '1 day');
SELECT * FROM decide.adjust_exposure(42, 'each', -4, 'of yesterday', at => now() - interval '1 day');
SELECT e.counted FROM decide.exposure AS e WHERE e.user_key = decide.user_key(42);
SELECT window_end - window_start AS length, before, after FROM decide.adjustment_history WHERE why = 'of yesterday' ORDER BY at;
-- in a sliding window the newest goes first
SELECT before < 200 AS few, after - before AS added FROM decide.adjust_budget('sliding', 1000, 'half an hour ago', at => now() - interval '30 minutes');
SELECT after - before AS added FROM decide.adjust_budget('sliding', -500, 'too many', at => now() - interval '29 minutes');
SELECT sum(l.ledger[i + 1]) AS old FROM decide.budget_stripe AS l JOIN decide.cap_slot AS s USING (slot), generate_series(1, cardinality(l.ledger), 3) AS i
 WHERE s.cap = 'sliding' AND l.ledger[i] < (EXTRACT(epoch FROM now() - interval '20 minutes') - 946684800) * 1000000;
-- cost, and the value of an attribute
SELECT after - before AS added FROM decide.adjust_budget('spend', 12.5, 'an invoice', value => 'x');
SELECT round((after - before)::numeric, 9) AS added FROM decide.adjust_budget('spend', -0.000001, 'a rounding', value => 'x');

-- mistakes
\set VERBOSITY default
SELECT * FROM decide.adjust_budget('total', -1000, 'too much');
SELECT * FROM decide.adjust_budget('total', 1, ' ');
SELECT * FROM decide.adjust_budget('total', 0, 'nothing');
SELECT * FROM decide.adjust_budget('total', 1.5, 'a half');
SELECT * FROM decide.adjust_budget('total', 'NaN', 'no number');
SELECT * FROM decide.adjust_budget('total', NULL, 'no number');
SELECT * FROM decide.adjust_budget('unknown', 1, 'no such cap');
SELECT * FROM decide.adjust_budget('spend', 1, 'no value');
SELECT * FROM decide.adjust_budget('each', 1, 'of users');
SELECT * FROM decide.adjust_budget('slate', 1, 'of answers');
SELECT * FROM decide.adjust_exposure('ann', 'total', 1, 'of all');
SELECT * FROM decide.adjust_exposure(NULL::text, 'each', 1, 'nobody');
SELECT * FROM decide.adjust_budget('total', 1, 'later', at => now() + interval '1 hour');
SELECT * FROM decide.adjust_exposure('ann', 'each', 1, 'long ago', at => now() - interval '3 days');
UPDATE decide.adjustment SET why = 'other';
DELETE FROM decide.adjustment;
BEGIN READ ONLY;
SELECT * FROM decide.adjust_budget('total', 1, 'nowhere');
ROLLBACK;
\set VERBOSITY terse

-- rights: operate corrects and reads the audit, under its own name; serve does neither
SET ROLE regress_adjust_operate;
SELECT after - before AS added FROM decide.adjust_budget('total', -3, 'by an operator');
SELECT acting_as, cap, per, user_key IS NULL AS of_all, amount, why FROM decide.adjustment_history ORDER BY at DESC LIMIT 1;
RESET ROLE;
SET ROLE regress_adjust_serve;
SELECT * FROM decide.adjust_budget('total', -3, 'by an application');
SELECT * FROM decide.adjust_exposure('ann', 'each', -3, 'by an application');
SELECT * FROM decide.adjustment_history;
RESET ROLE;
SELECT count(*), count(user_key) FROM decide.adjustment_history;
-- what is gone of the user goes with them
BEGIN;
SET LOCAL pg_decide.erasing = on;
DELETE FROM decide.adjustment WHERE user_key = decide.user_key(42);
COMMIT;
SELECT count(user_key) FROM decide.adjustment_history;
DROP OWNED BY regress_adjust_operate, regress_adjust_serve;
DROP ROLE regress_adjust_operate, regress_adjust_serve;
