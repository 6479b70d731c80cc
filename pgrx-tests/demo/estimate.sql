-- What the policy in force would have earned on traffic that it has not learned from, as the log tells it: each logged
-- click counts by how much more often, or less, the new policy would have shown the same item. An item that the new
-- policy cannot show counts 0. Intervals are 95 %, by the central limit theorem.
WITH judged AS MATERIALIZED (
  SELECT t.reward::float8 AS reward, t.propensity::float8 AS logged, coalesce(e.probability, 0) AS target
    FROM shop.traffic AS t CROSS JOIN LATERAL decide.explain(t.user_id, t.surface, t.context) AS e
   WHERE e.action = t.action
), totals AS (
  SELECT count(*) AS n, sum(reward)::bigint AS clicks, avg(reward) AS rate, decide.ips(reward, logged, logged) AS logged,
         decide.ips(reward, logged, target) AS ips, decide.snips(reward, logged, target) AS snips
    FROM judged
)
SELECT e.policy AS estimate, (e.estimate).value, (e.estimate).low, (e.estimate).high, n, clicks, (ips).mean_weight AS mean_w, (ips).ess AS effective,
       -- Impressions of two policies, half each, that show a rise by a fifth in four tests of five.
       2 * 2 * (1.96 + 0.84) ^ 2 * (1 - rate) / (0.2 ^ 2 * rate) AS impressions_needed
  FROM totals,
       LATERAL (VALUES ('logged policy (uniformly random)', logged), ('learned policy, IPS', ips), ('learned policy, SNIPS', snips)) AS e (policy, estimate)
