-- Bundles share the actions that are the same: a publish writes the chunks in which something has changed.
CREATE ROLE regress_chunks_rules;
SELECT decide.grant('regress_chunks_rules', 'rules');
SET pg_decide.rule_role = regress_chunks_rules;
SET pg_decide.publish_warnings = off;
INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('home', 2, 'a0000');
INSERT INTO decide.campaign (campaign) VALUES ('spring');
INSERT INTO decide.action (action, campaign, surfaces, attributes, eligible_when, cost)
SELECT 'a' || lpad(i::text, 4, '0'), CASE WHEN i % 2 = 0 THEN 'spring' END, CASE WHEN i % 3 = 0 THEN '{home}' ELSE '{}' END::text[],
       jsonb_build_object('price', i / 4.0, 'name', format('"%s"', i)), CASE i WHEN 7 THEN $$action.action <> 'x'$$ END, i % 5 + 0.1
  FROM generate_series(0, 699) AS i;
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish('all');
CREATE VIEW written AS
SELECT (SELECT count(*) FROM decide.bundle_chunk) AS chunks, (SELECT array_agg(b.actions ORDER BY b.bundle) FROM decide.bundle AS b) AS actions,
       (SELECT count(*) FROM decide.action_version) AS versions, (SELECT count(*) FROM decide.bundle_action) AS of_rules;
SELECT * FROM written;
-- what is written is what the tables say
CREATE VIEW said AS
SELECT b.bundle, a.number, a.action, a.campaign, a.surfaces, a.attributes, a.eligible_when, a.cost, a.former, a.purpose
  FROM decide.bundle AS b CROSS JOIN LATERAL unnest(b.chunks) AS c (chunk) JOIN decide.bundle_chunk AS k ON k.chunk = c.chunk
 CROSS JOIN LATERAL jsonb_to_recordset(k.actions)
    AS a (number int, action text, campaign text, surfaces text[], attributes jsonb, eligible_when text, cost float8, former text[], purpose text);
CREATE VIEW wrong AS
SELECT count(*) FILTER (WHERE s.action IS NULL OR (s.number, s.campaign, s.surfaces, s.attributes, s.eligible_when, s.cost, COALESCE(s.former, '{}'), s.purpose)
         IS DISTINCT FROM (i.number, a.campaign, a.surfaces, a.attributes, a.eligible_when, a.cost, i.former, a.purpose)) AS wrong
  FROM decide.action AS a JOIN decide.identity AS i ON i.kind = 'action' AND i.id = a.id
  FULL JOIN (SELECT * FROM said WHERE bundle = (SELECT max(bundle) FROM decide.bundle)) AS s ON s.action = a.action;
SELECT * FROM wrong;
SELECT count(*) AS shown FROM decide('ann', 'home', '{"n": 1}');
-- a change in one chunk, and of what no bundle keeps
UPDATE decide.action SET cost = 1e20, attributes = attributes || '{"big": 12345678901234567890}' WHERE action = 'a0300';
SELECT decide.publish('one');
SELECT * FROM written;
SELECT * FROM wrong;
SELECT "table", "row", change, before - 'attributes' AS before, after - 'attributes' AS after FROM decide.bundle_diff(1, 2);
UPDATE decide.action SET description = 'for people' WHERE action = 'a0301';
SELECT decide.publish('nothing');
SELECT * FROM written;
-- what is as it once was is not written again
UPDATE decide.action AS a SET cost = 300 % 5 + 0.1, attributes = attributes - 'big' WHERE action = 'a0300';
SELECT decide.publish('as before');
SELECT * FROM written;
-- one that is new, one that goes, one that is renamed
INSERT INTO decide.action (action) VALUES ('new');
DELETE FROM decide.action WHERE action = 'a0600';
SELECT decide.rename('action', 'a0001', 'renamed');
SELECT decide.publish('three');
SELECT * FROM written;
SELECT * FROM wrong;
SELECT "table", "row", change FROM decide.bundle_diff(4, 5);
-- nothing is left of a publish that is undone, and two in a transaction are two
BEGIN;
UPDATE decide.action SET cost = 3 WHERE action = 'a0002';
SELECT decide.publish('undone');
ROLLBACK;
SELECT * FROM written;
BEGIN;
UPDATE decide.action SET cost = 3 WHERE action = 'a0002';
SAVEPOINT s;
SELECT decide.publish('undone');
ROLLBACK TO s;
SELECT decide.publish('first');
UPDATE decide.action SET cost = 4 WHERE action = 'a0002';
SELECT decide.publish('second');
COMMIT;
SELECT * FROM written;
SELECT * FROM wrong;
-- all rows of a bundle are of the moment at which the policy tables were read
CREATE FUNCTION edit_meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE decide.action SET cost = 77, campaign = NULL, surfaces = '{}', attributes = '{"late": 1}' WHERE action = 'a0007';
  UPDATE decide.surface SET context_fields = '{late}', latency_budget = '7 s';
  RETURN NULL;
END
$$;
UPDATE decide.action SET cost = 5, campaign = 'spring', surfaces = ARRAY['home', 'b "c\'], attributes = '{"of": "\\ ''now''"}' WHERE action = 'a0007';
INSERT INTO decide.surface (surface, fallback_action, context_fields, latency_budget) VALUES ('b "c\', 'a0000', '{x,y}', '1 day 00:00:01');
CREATE TRIGGER meanwhile AFTER INSERT ON decide.bundle FOR EACH ROW EXECUTE FUNCTION edit_meanwhile();
SELECT decide.publish('one moment') AS bundle \gset
DROP TRIGGER meanwhile ON decide.bundle;
SELECT action, step FROM decide.explain('ann', 'b "c\') WHERE action = 'a0007';
SELECT surface, rule, action, campaign, surfaces, attributes, cost FROM decide.bundle_action WHERE bundle = :bundle ORDER BY surface;
SELECT surface, context_fields, latency_budget FROM decide.bundle_surface WHERE bundle = :bundle ORDER BY surface;
SELECT v.campaign, v.attributes, v.cost FROM decide.action_version AS v WHERE v.bundle = :bundle;
-- bundles of which there is no image any more are read from their rows
SELECT bool_and(r.agrees) AS agrees FROM decide.trace AS t CROSS JOIN LATERAL decide.replay(t.decision_id) AS r;
SELECT decide.rollback(1, 'back');
SELECT step, count(*) FROM decide.explain('ann', 'home') GROUP BY 1 ORDER BY 1;
SELECT bundle, actions FROM decide.bundle_history ORDER BY publication DESC LIMIT 1;
-- chunks are as immutable as bundles
UPDATE decide.bundle_chunk SET actions = '[]';
DELETE FROM decide.bundle_chunk;
-- a bundle of which a part is lost says so
DROP RULE no_delete ON decide.bundle_chunk;
DELETE FROM decide.bundle_chunk WHERE chunk = (SELECT b.chunks[2] FROM decide.bundle AS b WHERE b.bundle = 2);
SELECT decide.rollback(2, 'back');
DROP OWNED BY regress_chunks_rules;
DROP ROLE regress_chunks_rules;
