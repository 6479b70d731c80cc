-- What the policy in force would have earned on traffic that it has not learned from, as the log tells it: each logged
-- click counts by how much more often, or less, the new policy would have shown the same item. An item that the new
-- policy cannot show counts 0. Intervals are 95 %, by the central limit theorem.
WITH judged AS MATERIALIZED (
  SELECT t.reward, coalesce(e.probability, 0) / t.propensity AS w
    FROM shop.traffic AS t CROSS JOIN LATERAL decide.explain(t.user_id, t.surface, t.context) AS e
   WHERE e.action = t.action
), totals AS (
  SELECT count(*) AS n, sum(reward)::bigint AS clicks, avg(reward)::float8 AS logged, stddev_samp(reward)::float8 AS logged_sd,
         avg(w * reward) AS ips, stddev_samp(w * reward) AS ips_sd, sum(w * reward) / sum(w) AS snips,
         sum(w) AS sum_w, sum(w) ^ 2 / sum(w ^ 2) AS effective
    FROM judged
), spread AS (
  SELECT sqrt(sum((w * (reward - snips)) ^ 2)) / max(sum_w) AS snips_se FROM judged, totals
)
SELECT e.estimate, e.value, e.value - 1.96 * e.se AS low, e.value + 1.96 * e.se AS high,
       n, clicks, sum_w / n AS mean_w, effective,
       -- Impressions of two policies, half each, that show a rise by a fifth in four tests of five.
       2 * 2 * (1.96 + 0.84) ^ 2 * (1 - logged) / (0.2 ^ 2 * logged) AS impressions_needed
  FROM totals, spread,
       LATERAL (VALUES ('logged policy (uniformly random)', logged, logged_sd / sqrt(n)),
                       ('learned policy, IPS', ips, ips_sd / sqrt(n)),
                       ('learned policy, SNIPS', snips, snips_se)) AS e (estimate, value, se)
