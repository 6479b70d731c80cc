-- Caps per value of an attribute that is an array bind each element.
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('other', 'nothing'), ('none', 'nothing');
INSERT INTO decide.action (action, surfaces, attributes) VALUES ('nothing', '{none}', '{}'), ('ab', '{home}', '{"tags": ["a", "b", "a", null]}'),
  ('b', '{other}', '{"tags": "b"}'), ('c', '{other}', '{"tags": ["c", 7, {"x": 1}]}'), ('none', '{none}', '{"tags": []}'), ('null', '{none}', '{"tags": null}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('other', 'other', 'uniform');
INSERT INTO decide.cap (cap, attribute, per, max_count, stripes) VALUES ('tag', 'tags', 'all', 4, 1);
INSERT INTO decide.cap (cap, attribute, attribute_value, per, max_count) VALUES ('only c', 'tags', 'c', 'user', 1);
SELECT decide.publish('tags');
SELECT cap, value, max_count FROM decide.cap_in_force ORDER BY cap, value COLLATE "C";
CREATE FUNCTION ask(surface text, times int) RETURNS TABLE (action text, n bigint) LANGUAGE sql AS $$
  SELECT d.action, count(*) FROM generate_series(1, times) AS i, decide('u' || i, ask.surface) AS d GROUP BY 1 ORDER BY 1
$$;
-- an exposure takes one unit of each tag, once
SELECT * FROM ask('home', 3);
SELECT cap, value, spent FROM decide.budget ORDER BY value COLLATE "C";
-- b has one left, which the action with the one tag can have; then both are out
SELECT sum(n) FILTER (WHERE action = 'b') AS b FROM ask('other', 50);
SELECT * FROM ask('home', 5);
SELECT cap, value, spent FROM decide.budget ORDER BY value COLLATE "C";
SELECT DISTINCT unnest(blocked_reasons) AS reason FROM decide.decision WHERE surface = 'home' AND action = 'nothing';
-- one element by its name
INSERT INTO decide.cap (cap, action, per, max_count, relax_order) VALUES ('unused', 'b', 'user', 1000, 1);
DELETE FROM decide.cap WHERE cap IN ('tag', 'unused');
UPDATE decide.action SET surfaces = '{none}' WHERE action = 'b';
SELECT decide.publish('one tag');
SELECT count(*) FILTER (WHERE action = 'c') AS c FROM (SELECT d.* FROM generate_series(1, 4) AS i, decide(left('new' || i, 3), 'other') AS d) AS x;
SELECT bool_and(agrees) FROM decide.trace AS t, decide.replay(t.decision_id);
