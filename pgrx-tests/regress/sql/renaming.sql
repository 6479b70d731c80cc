-- Renaming: what is renamed goes on with the counters that it had, however it was renamed.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'logo'), ('none', 'logo');
INSERT INTO decide.campaign (campaign) VALUES ('spring'), ('summer');
INSERT INTO decide.action (action, campaign, surfaces, cost) VALUES
  ('logo', NULL, '{none}', 0), ('tulips', 'spring', '{home}', 2), ('roses', 'summer', '{home}', 3);
INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('clicks', 'click', 'decayed_count');
INSERT INTO decide.feature (feature, event_type, aggregate, filter) VALUES ('tulip_clicks', 'click', 'decayed_count', '{"action": ["tulips", "roses"], "surface": "home"}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 'home', 'uniform');
INSERT INTO decide.cap (cap, campaign, per, max_count) VALUES ('spring budget', 'spring', 'all', 10);
INSERT INTO decide.cap (cap, action, per, max_count, window_length) VALUES ('tulips a user', 'tulips', 'user', 4, '1 day');
INSERT INTO decide.cap (cap, surface, per, max_count, unit, window_length, window_kind) VALUES ('cost of home', 'home', 'all', 1000, 'cost', '30 days', 'sliding');
INSERT INTO decide.cap (cap, action, per, max_count, counts) VALUES ('roses seen', 'roses', 'user', 3, 'impression');
SELECT decide.publish('as it was');

CREATE FUNCTION many(who text, place text, times integer) RETURNS TABLE (action text, n bigint) LANGUAGE sql AS $$
  SELECT d.action, count(*) FROM generate_series(1, times) AS g, decide(CASE WHEN g > 0 THEN who END, place) AS d GROUP BY 1 ORDER BY 1
$$;
CREATE VIEW counted AS
  SELECT cap, slot, spent, max_count FROM decide.budget
   UNION ALL
  SELECT e.cap, s.slot, e.counted, e.max_count FROM decide.exposure AS e JOIN decide.cap_in_force AS s USING (cap) WHERE user_key = decide.user_key('ann');
CREATE FUNCTION disagrees() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT r.difference FROM decide.trace AS t, decide.replay(t.decision_id) AS r WHERE NOT r.agrees
$$;
SELECT track(jsonb_build_object('event_id', 'c1', 'type', 'click', 'user_id', 'ann', 'at', now(), 'action', 'tulips', 'surface', 'home'));
SELECT track(jsonb_build_object('event_id', 'i1', 'type', 'impression', 'user_id', 'ann', 'at', now(), 'action', 'roses'));
SET pg_decide.seed = 3;
SELECT sum(n) FROM many('ann', 'home', 3);
RESET pg_decide.seed;
CREATE TABLE before AS SELECT * FROM counted;
CREATE TABLE numbers AS SELECT kind, number, name FROM decide.identity;
SELECT cap, slot, spent > 0 AS spent FROM before ORDER BY cap;

-- by plain SQL
UPDATE decide.campaign SET campaign = 'spring sale' WHERE campaign = 'spring';
UPDATE decide.action SET action = 'red tulips' WHERE action = 'tulips';
UPDATE decide.surface SET surface = 'start' WHERE surface = 'home';
UPDATE decide.action SET surfaces = '{start}' WHERE surfaces = '{home}';
UPDATE decide.cap SET cap = 'budget of spring' WHERE cap = 'spring budget';
UPDATE decide.feature SET feature = 'all clicks' WHERE feature = 'clicks';
-- nothing in force changes until it is published
SELECT count(*) FROM decide('ann', 'home');
SELECT decide.action_name(number) FROM decide.action_number WHERE action = 'tulips';
SELECT decide.publish('renamed');
SELECT n.kind, n.name AS old, i.name AS new, i.former FROM numbers AS n JOIN decide.identity AS i USING (kind, number) WHERE n.name <> i.name ORDER BY 1, 2;
SELECT c.cap, c.spent - b.spent <= 3 AND c.spent >= b.spent AS goes_on, c.slot FROM counted AS c JOIN before AS b USING (slot) ORDER BY 1;
SELECT cap, definition ->> 'campaign' AS campaign, definition ->> 'action' AS action, definition ->> 'surface' AS surface FROM decide.cap_slot ORDER BY slot;
SELECT feature, value > 0.9 AS kept FROM decide.features('ann') ORDER BY 1;
SELECT kind, old, new, by = SESSION_USER AS by FROM decide.name_change ORDER BY number;
-- the caps bind as before: of 4 tulips a user as many are left as had not been shown
SELECT (SELECT spent FROM before WHERE cap = 'tulips a user') + sum(n) FILTER (WHERE action = 'red tulips') <= 4 AS held FROM many('ann', 'start', 40);
SELECT max(counted) FROM decide.exposure WHERE cap = 'tulips a user';
SELECT * FROM disagrees();
-- Events that say the old name are understood.
SELECT decide.number_of_action('tulips') = decide.number_of_action('red tulips') AS same, decide.number_of_action('unheard of');
SELECT decide.rename('action', 'roses', 'white roses');
SELECT decide.publish('white roses');
SELECT track(jsonb_build_object('event_id', 'i2', 'type', 'impression', 'user_id', 'ann', 'at', now(), 'action', 'roses'));
SELECT track(jsonb_build_object('event_id', 'i3', 'type', 'impression', 'user_id', 'ann', 'at', now(), 'action', 'white roses'));
SELECT counted FROM decide.exposure WHERE cap = 'roses seen';

-- by decide.rename, with all that says the name
INSERT INTO decide.event_type (event_type, fields) VALUES ('click', '{"action": {"type": "text", "one_of": ["red tulips", "logo"]}}'), ('impression', '{}');
SELECT decide.rename('action', 'red tulips', 'dutch tulips'), decide.rename('surface', 'start', 'front'), decide.rename('campaign', 'spring sale', 'may'),
       decide.rename('cap', 'cost of home', 'cost of front'), decide.rename('feature', 'all clicks', 'every click'), decide.rename('policy', 'p', 'q');
SELECT decide.rename('action', 'logo', 'sign');
SELECT surface, fallback_action FROM decide.surface ORDER BY 1;
SELECT action, campaign, surfaces FROM decide.action ORDER BY 1;
SELECT cap, surface, campaign, action FROM decide.cap ORDER BY 1;
SELECT feature, filter FROM decide.feature ORDER BY 1;
SELECT policy, surface FROM decide.policy;
SELECT fields #> '{action,one_of}' AS one_of FROM decide.event_type WHERE event_type = 'click';
CREATE TABLE again AS SELECT * FROM counted;
SELECT decide.publish('renamed again');
SELECT c.cap, c.spent = a.spent AS same, c.slot = a.slot AS same_slot FROM counted AS c JOIN again AS a USING (slot) ORDER BY 1;
SELECT number, action, former FROM decide.action_number ORDER BY 1;

-- Two that swap their names are still who they were.
CREATE TABLE names AS SELECT kind, number, name FROM decide.identity;
SELECT decide.kill('action', 'dutch tulips', 'mould', '2100-01-01'), decide.set_mode('front', 'cautious', 'a trial');
BEGIN;
SELECT decide.rename('action', 'dutch tulips', '-'), decide.rename('action', 'white roses', 'dutch tulips'), decide.rename('action', '-', 'white roses');
SELECT decide.rename('campaign', 'may', '-'), decide.rename('campaign', 'summer', 'may'), decide.rename('campaign', '-', 'summer');
SELECT decide.rename('surface', 'front', 'entrance');
SELECT decide.publish('swapped');
COMMIT;
SELECT n.kind, n.name AS old, i.name AS new, i.former FROM names AS n JOIN decide.identity AS i USING (kind, number) WHERE n.name <> i.name ORDER BY 1, 2;
SELECT c.cap, c.spent = a.spent AS same FROM counted AS c JOIN again AS a USING (slot) ORDER BY 1;
-- What was killed still is, under its new name; so with modes.
SELECT kind, name, why, until IS NOT NULL AS expires FROM decide.switch_in_force;
SELECT action, step FROM decide.explain('bob', 'entrance') ORDER BY 1;
SELECT surface, mode, why FROM decide.mode_in_force ORDER BY 1 NULLS FIRST;
SELECT decide.revive('action', 'white roses', 'aired'), decide.set_mode('entrance', 'normal', 'over');

-- DELETE and INSERT by a tool that knows no ids: the name is enough.
CREATE TABLE kept AS SELECT kind, number, name FROM decide.identity;
CREATE TEMP TABLE a AS SELECT action, campaign, surfaces, attributes, cost FROM decide.action;
CREATE TEMP TABLE c AS SELECT cap, surface, campaign, action, per, max_count, window_length, window_kind, counts, unit FROM decide.cap;
CREATE TEMP TABLE f AS SELECT feature, event_type, aggregate, filter FROM decide.feature;
CREATE TEMP TABLE s AS SELECT surface, slots, fallback_action FROM decide.surface;
DELETE FROM decide.cap; DELETE FROM decide.action; DELETE FROM decide.campaign; DELETE FROM decide.feature; DELETE FROM decide.policy; DELETE FROM decide.surface;
INSERT INTO decide.surface (surface, slots, fallback_action) SELECT * FROM s;
INSERT INTO decide.campaign (campaign) VALUES ('may'), ('summer');
INSERT INTO decide.action (action, campaign, surfaces, attributes, cost) SELECT * FROM a;
INSERT INTO decide.feature (feature, event_type, aggregate, filter) SELECT * FROM f;
INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 'entrance', 'uniform');
INSERT INTO decide.cap (cap, surface, campaign, action, per, max_count, window_length, window_kind, counts, unit) SELECT * FROM c;
SELECT count(*) FILTER (WHERE lifecycle = 'draft') AS drafts FROM decide.feature_catalog;
SELECT decide.publish('from a file');
SELECT count(*) AS other_numbers FROM kept AS k FULL JOIN decide.identity AS i USING (kind, number) WHERE k.name IS DISTINCT FROM i.name;
SELECT c.cap, c.spent = a.spent AS same FROM counted AS c JOIN again AS a USING (slot) ORDER BY 1;
SELECT max(slot) FROM decide.cap_slot;
-- A file that is older than a renaming: the former name is enough, too. A new row with a name that was given up is new.
UPDATE decide.action SET id = gen_random_uuid(), action = 'logo' WHERE action = 'sign';
UPDATE decide.surface SET fallback_action = 'logo';
INSERT INTO decide.action (action, surfaces) VALUES ('tulips', '{none}');
SELECT decide.publish('from an old file');
SELECT number, action, former FROM decide.action_number ORDER BY 1;
SELECT decide.number_of_action('tulips') AS new, decide.number_of_action('red tulips') AS renamed;
-- One identity is one row's.
\set VERBOSITY terse
UPDATE decide.action SET id = (SELECT a.id FROM decide.action AS a WHERE a.action = 'tulips') WHERE action = 'logo';
\set VERBOSITY default
-- The same length said otherwise is the same window; another one is another cap.
UPDATE decide.cap SET window_length = '1 mon' WHERE cap = 'cost of front';
UPDATE decide.cap SET window_length = '24 hours' WHERE cap = 'tulips a user';
SELECT decide.publish('the same windows');
SELECT max(slot) FROM decide.cap_slot;
UPDATE decide.cap SET window_length = '31 days' WHERE cap = 'cost of front';
SELECT decide.publish('another window');
SELECT max(slot) FROM decide.cap_slot;

-- Outcomes are those of the action that they were told of, after a swap of names too; and a budget counts what events say under an old name.
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('pair', 2, 'logo');
INSERT INTO decide.action (action, surfaces) VALUES ('left', '{pair}'), ('right', '{pair}');
INSERT INTO decide.cap (cap, surface, per, max_count, counts, hold) VALUES ('pair seen', 'pair', 'all', 4, 'impression', '10 milliseconds');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('pair', 'pair', 'uniform');
SELECT decide.publish('a pair') > 0 AS published;
CREATE TABLE shown AS SELECT * FROM decide('cat', 'pair');
SELECT track(jsonb_build_object('event_id', 'l1', 'type', 'impression', 'user_id', 'cat', 'at', now(), 'action', 'left', 'decision_id', decision_id)) FROM shown LIMIT 1;
SELECT decide.rename('action', 'left', 'leftmost');
SELECT decide.publish('renamed left') > 0 AS published;
SELECT pg_sleep(0.1);
SELECT decide.run_job('budgets') LIKE '% reservations looked up' AS looked_up;
SELECT spent, reserved FROM decide.budget WHERE cap = 'pair seen';
BEGIN;
SELECT decide.rename('action', 'leftmost', '-'), decide.rename('action', 'right', 'left'), decide.rename('action', '-', 'right');
SELECT decide.publish('swapped pair') > 0 AS published;
COMMIT;
SELECT s.action AS was, d.action AS is FROM decide.decision AS d JOIN shown AS s USING (decision_id, slot) ORDER BY 1;
SELECT decide.train('pair', 'pair', '{action}', 'impression', holdout => 0, min_count => 1) AS version, decide.approve('pair', 1);
UPDATE decide.policy SET model = 'pair', selection = 'greedy' WHERE policy = 'pair';
SELECT decide.publish('with a model') > 0 AS published;
SELECT action, reward FROM decide.training_set('pair', '-infinity', 'infinity', 'impression') ORDER BY 1;

-- What cannot be renamed.
SELECT decide.rename('action', 'unheard of', 'x');
SELECT decide.rename('action', 'logo', 'tulips');
SELECT decide.rename('action', 'logo', ' x');
SELECT decide.rename('action', 'logo', NULL);
SELECT decide.rename('model', 'a', 'b');
CREATE ROLE regress_renaming;
SET ROLE regress_renaming;
SELECT decide.rename('action', 'logo', 'x');
RESET ROLE;
SELECT decide.grant('regress_renaming', 'operate');
SET ROLE regress_renaming;
SELECT decide.rename('action', 'logo', 'x');
SELECT decide.publish('by operate');
SELECT kind, old, new FROM decide.name_change ORDER BY number DESC LIMIT 1;
RESET ROLE;
UPDATE decide.name_change SET old = 'y';
DELETE FROM decide.name_change;
SELECT * FROM disagrees();
DROP OWNED BY regress_renaming;
DROP ROLE regress_renaming;
