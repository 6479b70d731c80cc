-- How many live decisions were for users who had clicked before; and in the contexts of some of these, the probability of
-- items of the brands that were clicked: for the user, and for somebody of whom nothing is known.
WITH liked AS (
  SELECT p.user_id, array_agg(DISTINCT 'item-' || same.item_id) AS items
    FROM shop.past AS p JOIN shop.item AS i ON p.action = 'item-' || i.item_id JOIN shop.item AS same USING (brand)
   WHERE p.reward > 0 GROUP BY p.user_id
), visit AS MATERIALIZED (
  SELECT t.*, l.items FROM shop.traffic AS t JOIN liked AS l USING (user_id)
), share AS (
  SELECT sum(e.probability) FILTER (WHERE who.known) AS known, sum(e.probability) FILTER (WHERE NOT who.known) AS unknown,
         count(DISTINCT v.n) AS visits
    FROM visit AS v, LATERAL (VALUES (v.user_id, true), ('somebody else', false)) AS who (user_id, known),
         decide.explain(who.user_id, v.surface, v.context) AS e
   WHERE v.n % 10 = 0 AND e.action = ANY (v.items)
)
SELECT (SELECT count(*) FROM shop.live) AS live, (SELECT count(*) FROM visit) AS of_them,
       known / visits AS known, unknown / visits AS unknown,
       (SELECT avg(reward)::float8 FROM shop.history) AS click_rate,
       (SELECT max(clicks) FROM (SELECT count(*) FROM shop.past WHERE reward > 0 GROUP BY user_id) AS c (clicks)) AS most_clicks
  FROM share
