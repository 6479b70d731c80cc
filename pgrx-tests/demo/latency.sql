-- Milliseconds that a client waits for an answer.
SELECT call, count, p[1] AS p50, p[2] AS p95, p[3] AS p99, max
  FROM (SELECT c.call, count(*), percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY c.ms) AS p, max(c.ms) AS max
          FROM shop.live AS l, LATERAL (VALUES ('decide', l.decide_ms), ('track', l.track_ms)) AS c (call, ms)
         GROUP BY c.call) AS calls (call, count, p, max)
 ORDER BY call
