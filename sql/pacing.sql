-- Pacing: how far each budget is, at which price its units go, and the traffic that is expected.

CREATE TABLE decide.pacing (
  slot int PRIMARY KEY,
  window_start timestamptz,
  window_end timestamptz,
  target double precision NOT NULL,
  delivered double precision NOT NULL,
  lambda double precision NOT NULL DEFAULT 0,
  throttled double precision NOT NULL DEFAULT 0,
  spread double precision NOT NULL DEFAULT 0,
  rate double precision NOT NULL DEFAULT 0,
  forecast double precision[],
  stepped_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE decide.pacing IS 'Budgets as the job pacing saw them last; sessions take prices and forecasts from here';
COMMENT ON COLUMN decide.pacing.slot IS 'Number of the cap';
COMMENT ON COLUMN decide.pacing.window_start IS 'First moment of its window (null: it has none)';
COMMENT ON COLUMN decide.pacing.window_end IS 'End of it (null: it has none)';
COMMENT ON COLUMN decide.pacing.target IS 'How much should have been delivered by stepped_at: exposures, or cost';
COMMENT ON COLUMN decide.pacing.delivered IS 'How much was delivered, reservations included';
COMMENT ON COLUMN decide.pacing.lambda IS 'Price of a unit: what is subtracted from the score of an action per unit that it takes; a negative price is a bonus';
COMMENT ON COLUMN decide.pacing.throttled IS 'Share of the decisions since the last step that found its gate shut';
COMMENT ON COLUMN decide.pacing.spread IS 'Standard deviation of the competing scores, per unit: prices are multiples of it';
COMMENT ON COLUMN decide.pacing.rate IS 'Units a second, lately';
COMMENT ON COLUMN decide.pacing.forecast IS 'Points of its curve, where pacing is forecast: pairs of a share of the window and a cumulative amount';
COMMENT ON COLUMN decide.pacing.stepped_at IS 'When the job adjusted it last';

CREATE TABLE decide.pacing_log (
  slot int NOT NULL,
  at timestamptz NOT NULL,
  window_start timestamptz,
  target double precision NOT NULL,
  delivered double precision NOT NULL,
  lambda double precision NOT NULL,
  throttled double precision NOT NULL,
  PRIMARY KEY (slot, at)
);
COMMENT ON TABLE decide.pacing_log IS 'How budgets were delivered, minute by minute, for a week: for charts';
COMMENT ON COLUMN decide.pacing_log.slot IS 'Number of the cap';
COMMENT ON COLUMN decide.pacing_log.at IS 'When';
COMMENT ON COLUMN decide.pacing_log.window_start IS 'First moment of the window that it was in (null: it has none)';
COMMENT ON COLUMN decide.pacing_log.target IS 'How much should have been delivered by then';
COMMENT ON COLUMN decide.pacing_log.delivered IS 'How much was delivered';
COMMENT ON COLUMN decide.pacing_log.lambda IS 'Price of a unit';
COMMENT ON COLUMN decide.pacing_log.throttled IS 'Share of the decisions since the last entry that found its gate shut';

CREATE TABLE decide.traffic_profile (
  surface text PRIMARY KEY,
  counts double precision[] NOT NULL,
  weeks double precision[] NOT NULL,
  learned_to timestamptz NOT NULL
);
COMMENT ON TABLE decide.traffic_profile IS 'Decisions of each hour of the week, learned from traces; old weeks fade';
COMMENT ON COLUMN decide.traffic_profile.surface IS 'Surface';
COMMENT ON COLUMN decide.traffic_profile.counts IS 'Decayed count of decisions per hour of the week, the first from Monday 0:00 UTC';
COMMENT ON COLUMN decide.traffic_profile.weeks IS 'Decayed number of weeks in which each hour was seen';
COMMENT ON COLUMN decide.traffic_profile.learned_to IS 'End of the last hour that is in it';

CREATE FUNCTION decide.simulate_pacing(
  pacing text DEFAULT 'even', budget integer DEFAULT 10000,
  starts timestamptz DEFAULT '2026-01-05 00:00+00', ends timestamptz DEFAULT '2026-01-06 00:00+00',
  shape text DEFAULT 'bursty', demand double precision DEFAULT 3, stripes integer DEFAULT 4, priced boolean DEFAULT false,
  cut_at double precision DEFAULT NULL, cut_to integer DEFAULT NULL, points double precision[] DEFAULT NULL, seed bigint DEFAULT 1)
RETURNS TABLE (at timestamptz, target double precision, delivered bigint, traffic integer, refused integer, price double precision, value double precision)
LANGUAGE c IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'simulate_pacing_wrapper';
COMMENT ON FUNCTION decide.simulate_pacing(text, integer, timestamptz, timestamptz, text, double precision, integer, boolean,
                                           double precision, integer, double precision[], bigint) IS
  'Simulates a window of traffic, in 1,440 steps, with the pacing that decisions use';

CREATE VIEW decide.budget AS
WITH counter AS (
  SELECT c.slot, pg_catalog.sum(n.amount) FILTER (WHERE n.state <> -1) AS spent, pg_catalog.sum(n.amount) FILTER (WHERE n.state = -1) AS reserved
    FROM decide.cap_in_force AS c JOIN decide.budget_stripe AS s USING (slot)
   CROSS JOIN LATERAL (
     SELECT s.ledger[i] AS at, s.ledger[i + 1] AS amount, s.ledger[i + 2] AS state
       FROM pg_catalog.generate_series(1, pg_catalog.cardinality(s.ledger) - 2, 3) AS i
   ) AS n
   -- microseconds since 2000
   WHERE c.window_start IS NULL OR n.at >= (EXTRACT(epoch FROM c.window_start) - 946684800) * 1000000
   GROUP BY c.slot
), taken AS (
  SELECT c.*, COALESCE(n.spent, 0)::double precision / u.scale AS spent, COALESCE(n.reserved, 0)::double precision / u.scale AS reserved
    FROM decide.cap_in_force AS c
    JOIN decide.cap_catalog() AS k ON k.per = c.per AND k.counted_in = 'budget_stripe'
    LEFT JOIN counter AS n USING (slot)
   CROSS JOIN LATERAL (SELECT CASE c.unit WHEN 'cost' THEN 1e6 ELSE 1 END::double precision) AS u (scale)
)
SELECT t.cap, t.value, t.slot, t.unit, t.max_count, t.min_count, t.window_start, t.window_end, t.spent, t.reserved,
       GREATEST(t.max_count - t.spent - t.reserved, 0) AS free,
       (t.spent + t.reserved) / NULLIF(t.max_count, 0) AS delivered_share,
       t.pacing, CASE WHEN t.pacing <> 'none' THEN p.target END AS target, p.lambda AS price, p.throttled, p.stepped_at,
       CASE WHEN p.rate > 0 THEN (
         SELECT f.at FROM (SELECT pg_catalog.now() + LEAST(GREATEST(t.max_count - t.spent - t.reserved, 0) / p.rate, 3e9) * interval '1 second') AS f (at)
          WHERE t.window_end IS NULL OR f.at < t.window_end)
       END AS forecast_end
  FROM taken AS t
  LEFT JOIN decide.pacing AS p ON p.slot = t.slot AND (p.window_start IS NULL OR p.window_start = t.window_start);
COMMENT ON VIEW decide.budget IS 'Budgets in force: how much of each is spent, how much should be, and when it will be used up';
COMMENT ON COLUMN decide.budget.cap IS 'Cap';
COMMENT ON COLUMN decide.budget.value IS 'Value of the attribute, where each value is limited by itself';
COMMENT ON COLUMN decide.budget.slot IS 'Number of the cap';
COMMENT ON COLUMN decide.budget.unit IS 'What amounts are: count (exposures) or cost';
COMMENT ON COLUMN decide.budget.max_count IS 'The limit';
COMMENT ON COLUMN decide.budget.min_count IS 'How much should at least be delivered (null: no goal)';
COMMENT ON COLUMN decide.budget.window_start IS 'Since when exposures count (null: from the first one on)';
COMMENT ON COLUMN decide.budget.window_end IS 'When the count starts again from 0 (null: never)';
COMMENT ON COLUMN decide.budget.spent IS 'What was counted in the window';
COMMENT ON COLUMN decide.budget.reserved IS 'What is reserved for exposures that may still be counted';
COMMENT ON COLUMN decide.budget.free IS 'What is left';
COMMENT ON COLUMN decide.budget.delivered_share IS 'Spent and reserved, as a share of the limit';
COMMENT ON COLUMN decide.budget.pacing IS 'How it is spread: none, even, frontloaded or forecast';
COMMENT ON COLUMN decide.budget.target IS 'How much should have been delivered when the job pacing ran last (null: it is not paced, or the job has not run in this window)';
COMMENT ON COLUMN decide.budget.price IS 'What is subtracted from the score of an action per unit';
COMMENT ON COLUMN decide.budget.throttled IS 'Share of the latest decisions that found its gate shut';
COMMENT ON COLUMN decide.budget.stepped_at IS 'When the job ran last';
COMMENT ON COLUMN decide.budget.forecast_end IS 'When it will be used up at the present rate (null: not within its window)';

-- The hours of days that have decisions, each found by its identifiers: a condition on the hour reads no other partition.
CREATE VIEW decide.cap_hit AS
SELECT s.cap, s.value, t.surface, decide.action_name(b.number) AS action,
       h.hour, pg_catalog.count(*) AS decisions
  FROM (SELECT pg_catalog.generate_series(d.day, d.day + interval '23 hours', interval '1 hour') AS hour
          FROM (SELECT pg_catalog.generate_series(
                  pg_catalog.date_trunc('day', (SELECT f.decided_at FROM decide.trace AS f ORDER BY f.decision_id LIMIT 1), 'UTC'),
                  (SELECT l.decided_at FROM decide.trace AS l ORDER BY l.decision_id DESC LIMIT 1), interval '24 hours') AS day) AS d
         WHERE (SELECT true FROM decide.trace AS e
                 WHERE e.decided_at >= d.day AND e.decided_at < d.day + interval '24 hours' AND e.decision_id >= decide.first_identifier(d.day)
                   AND e.decision_id < decide.first_identifier(d.day + interval '24 hours') LIMIT 1)) AS h
 CROSS JOIN LATERAL (
   SELECT t.* FROM decide.trace AS t
    WHERE t.decided_at >= h.hour AND t.decided_at < h.hour + interval '1 hour'
      AND t.decision_id >= decide.first_identifier(h.hour) AND t.decision_id < decide.first_identifier(h.hour + interval '1 hour')
   -- hour by hour, whatever the planner thinks of a whole scan
   OFFSET 0) AS t
 CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(t.blocked), pg_catalog.unnest(t.blocked_by)) AS b (number, code)
  JOIN decide.cap_slot AS s ON s.slot = b.code - 100
 WHERE b.code >= 100
 GROUP BY s.cap, s.value, t.surface, b.number, h.hour;
COMMENT ON VIEW decide.cap_hit IS 'Which caps blocked which actions, and how often; reads the traces of the hours that are asked for, all without a condition on the hour';
COMMENT ON COLUMN decide.cap_hit.cap IS 'Cap';
COMMENT ON COLUMN decide.cap_hit.value IS 'Value of the attribute, where each value is limited by itself';
COMMENT ON COLUMN decide.cap_hit.surface IS 'Surface of the decisions';
COMMENT ON COLUMN decide.cap_hit.action IS 'Action that was blocked';
COMMENT ON COLUMN decide.cap_hit.hour IS 'Start of the hour of the decisions (a whole hour in UTC)';
COMMENT ON COLUMN decide.cap_hit.decisions IS 'How many decisions it was blocked in';
