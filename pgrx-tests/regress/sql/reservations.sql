-- What a decision takes from counters: what costs nothing, overdrafts, and ends that are near.
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 1, 'logo'), ('two', 2, 'logo'), ('about', 1, 'logo');
INSERT INTO decide.campaign (campaign) VALUES ('spring');
INSERT INTO decide.action (action, surfaces, campaign, cost) VALUES
  ('logo', '{about}', NULL, 0), ('paid', '{home}', 'spring', 1), ('free', '{home}', 'spring', 0), ('a', '{two}', NULL, 1), ('b', '{two}', NULL, 1);
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('two', 'two', 'uniform');
INSERT INTO decide.cap (cap, campaign, per, max_count, unit) VALUES ('money', 'spring', 'all', 10, 'cost');
SELECT decide.publish('spring');

-- A budget whose limit is lowered below what is spent: what costs nothing can be had all the same, with and without a
-- latency budget.
SELECT count(*) FILTER (WHERE action = 'paid') AS paid, count(*) FILTER (WHERE reason IS NOT NULL) AS fallbacks FROM generate_series(1, 100) AS g, decide(g, 'home');
SELECT spent, free FROM decide.budget;
UPDATE decide.cap SET max_count = 5;
SELECT decide.publish('less');
SELECT action, probability, reason FROM decide(1, 'home');
SELECT action, step, probability FROM decide.explain(1, 'home') ORDER BY 1;
SET pg_decide.enforce_latency_budget = off;
SET statement_timeout = '10s';
SELECT action, probability, reason FROM decide(1, 'home');

-- The same of a soft one, of one per user, and of a limit of 0.
UPDATE decide.cap SET hard = false;
INSERT INTO decide.cap (cap, campaign, per, max_count, unit) VALUES ('money of a user', 'spring', 'user', 0, 'cost'), ('nothing', 'spring', 'all', 0, 'cost');
SELECT decide.publish('soft');
SELECT action, probability, reason FROM decide(1, 'home');
SET pg_decide.unknown_users = on;
SELECT action, probability, reason FROM decide(NULL::text, 'home');
RESET pg_decide.unknown_users;
DELETE FROM decide.cap;

-- A soft budget gives way, and what it is overdrawn by in one row counts for all of them once it is hard again.
INSERT INTO decide.cap (cap, surface, per, max_count, hard, stripes) VALUES ('soft', 'two', 'all', 4, false, 2);
SELECT decide.publish('two');
SELECT count(*) AS shown FROM generate_series(1, 4) AS g, decide(g, 'two') WHERE reason IS NULL;
SELECT spent, free FROM decide.budget;
UPDATE decide.cap SET max_count = 10, hard = true;
SELECT decide.publish('hard');
SELECT count(*) AS shown FROM generate_series(1, 4) AS g, decide(g, 'two') WHERE reason IS NULL;
SELECT spent, free FROM decide.budget;

-- One row has been overdrawn by 3 since, by late events say. Another one has 5 left: 2 can be had.
UPDATE decide.cap SET max_count = 20;
SELECT decide.publish('more');
SELECT slot AS of_cap FROM decide.budget \gset
UPDATE decide.budget_stripe SET quota = 10, ledger = ARRAY[0, CASE stripe WHEN 0 THEN 13 ELSE 5 END, 0] WHERE slot = :of_cap;
SELECT action IS NOT NULL AS could_be_had FROM decide.explain(9, 'two') WHERE step IN ('shown', 'choose');
SELECT count(*) FILTER (WHERE reason IS NULL) AS shown, count(*) FILTER (WHERE reason IS NOT NULL) AS fallbacks FROM generate_series(1, 4) AS g, decide(g, 'two');
SELECT spent, free FROM decide.budget;

-- What is left in several rows is brought together for one that takes more.
DELETE FROM decide.cap;
UPDATE decide.action SET cost = 3 WHERE action = 'a';
INSERT INTO decide.cap (cap, action, per, max_count, unit, stripes) VALUES ('rows', 'a', 'all', 4, 'cost', 4);
SELECT decide.publish('rows');
SELECT action FROM decide(1, 'two') ORDER BY 1;
SELECT action, probability, reason FROM decide(1, 'two') ORDER BY 1;
SELECT spent, free, (SELECT sum(quota) FROM decide.budget_stripe AS s WHERE s.slot = b.slot) AS quotas FROM decide.budget AS b;

-- Nothing is claimed when a decision is over, whatever became of what it claimed; and the row that it keeps is its own.
BEGIN;
SELECT count(*) FROM decide(2, 'two');
SELECT count(*) FROM decide(3, 'two');
SELECT locktype, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'object' AND classid = 'decide.budget_stripe'::regclass;
ROLLBACK;

SELECT count(*) AS differ FROM decide.trace AS t, decide.replay(t.decision_id) WHERE NOT agrees;
