-- The envelope: rules that are left out for a while, and how well decisions keep to their budgets.

CREATE TABLE decide.breaker (
  rule_hash bigint PRIMARY KEY,
  rule text NOT NULL,
  failures int NOT NULL,
  slow int NOT NULL,
  openings int NOT NULL,
  opened_at timestamptz NOT NULL,
  probe_at timestamptz,
  last_error text,
  sessions integer[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
COMMENT ON TABLE decide.breaker IS
  'Rules that all sessions leave out, since they failed or were late too often, or that some sessions suspect; written by decisions, not dumped. To close a breaker, delete its row';
COMMENT ON COLUMN decide.breaker.rule_hash IS 'Hash of the rule''s text (FNV-1a)';
COMMENT ON COLUMN decide.breaker.rule IS 'Text of the rule';
COMMENT ON COLUMN decide.breaker.failures IS 'Failures that sessions saw in a row, and of probes since';
COMMENT ON COLUMN decide.breaker.slow IS 'How many of them were timeouts';
COMMENT ON COLUMN decide.breaker.openings IS 'How often it was opened in a row; the pause doubles each time. 0: suspected only';
COMMENT ON COLUMN decide.breaker.opened_at IS 'When it was opened first, or suspected';
COMMENT ON COLUMN decide.breaker.probe_at IS 'When a decision may run the rule again, as a probe (null: suspected only)';
COMMENT ON COLUMN decide.breaker.last_error IS 'What the last failure was: SQLSTATE and its name';
COMMENT ON COLUMN decide.breaker.sessions IS 'Processes of the sessions in which it failed';

CREATE VIEW decide.breaker_status AS
SELECT b.rule,
       CASE WHEN b.openings = 0 THEN 'suspected' WHEN b.probe_at <= pg_catalog.clock_timestamp() THEN 'half_open' ELSE 'open' END AS state,
       ARRAY(SELECT a.action FROM decide.action AS a WHERE a.eligible_when = b.rule ORDER BY a.action COLLATE "C") AS actions,
       b.failures, b.slow, b.openings, b.opened_at, b.probe_at, b.last_error
  FROM decide.breaker AS b;
COMMENT ON VIEW decide.breaker_status IS 'Circuit breakers that are not closed: rules that are left out now, by all sessions or by some';
COMMENT ON COLUMN decide.breaker_status.rule IS 'Text of the rule';
COMMENT ON COLUMN decide.breaker_status.state IS 'open: all sessions leave it out; half_open: the next decision runs it as a probe; suspected: the sessions in which it failed leave it out';
COMMENT ON COLUMN decide.breaker_status.actions IS 'Actions that have this rule in the policy tables';
COMMENT ON COLUMN decide.breaker_status.failures IS 'Failures that sessions saw in a row, and of probes since';
COMMENT ON COLUMN decide.breaker_status.slow IS 'How many of them were timeouts';
COMMENT ON COLUMN decide.breaker_status.openings IS 'How often it was opened in a row; the pause doubles each time';
COMMENT ON COLUMN decide.breaker_status.opened_at IS 'When it was opened first';
COMMENT ON COLUMN decide.breaker_status.probe_at IS 'When a decision may run the rule again, as a probe (null: suspected only)';
COMMENT ON COLUMN decide.breaker_status.last_error IS 'What the last failure was: SQLSTATE and its name';

-- The hours of days that have decisions, each found by its identifiers: a condition on the hour reads no other partition.
CREATE VIEW decide.slo AS
WITH hourly AS (
  SELECT t.surface, h.hour,
         pg_catalog.count(*) AS decisions,
         pg_catalog.count(*) FILTER (WHERE t.errors IS NOT NULL) AS errors,
         pg_catalog.count(*) FILTER (WHERE t.reason IS NOT NULL) AS fallbacks,
         pg_catalog.avg(1 - (COALESCE(t.made, 0) & 1)) AS bundle_hits,
         pg_catalog.avg(1 - (COALESCE(t.made, 0) >> 1 & 1)) AS model_hits,
         pg_catalog.avg(1 - (COALESCE(t.made, 0) >> 2 & 1)) AS plan_hits,
         pg_catalog.min(b.latency_budget) AS latency_budget,
         pg_catalog.avg(l.total) AS mean_us,
         pg_catalog.avg(w.bytes) AS bytes,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY l.total) AS total,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[1]) AS request,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[2]) AS features,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[3]) AS candidates,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[4]) AS score,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[5]) AS choose,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[6]) AS reserve
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
    LEFT JOIN decide.bundle_surface AS b ON b.bundle = t.bundle AND b.surface = t.surface
   CROSS JOIN LATERAL (SELECT pg_catalog.sum(u.us)::int AS total FROM pg_catalog.unnest(t.stage_us) AS u (us)) AS l
   -- The row header, the columns of fixed size, short texts, and the index entry take about 250 bytes.
   CROSS JOIN LATERAL (SELECT 250 + (SELECT pg_catalog.sum(c.bytes) FROM (VALUES
       (pg_catalog.pg_column_size(t.candidates)), (pg_catalog.pg_column_size(t.scores)), (pg_catalog.pg_column_size(t.features)),
       (pg_catalog.pg_column_size(t.context_values)), (pg_catalog.pg_column_size(t.blocked)), (pg_catalog.pg_column_size(t.blocked_by)),
       (pg_catalog.pg_column_size(t.errors)), (pg_catalog.pg_column_size(t.affinities)), (pg_catalog.pg_column_size(t.holds)),
       (pg_catalog.pg_column_size(t.dropped)), (pg_catalog.pg_column_size(t.duals))) AS c (bytes)) AS bytes) AS w
   WHERE t.origin IS NULL
   GROUP BY 1, 2
)
SELECT h.surface, h.hour, h.decisions, h.errors, h.fallbacks,
       h.latency_budget,
       h.total[2] <= EXTRACT(epoch FROM h.latency_budget) * 1000000 AS slo_met,
       h.total[1] AS p50_us, h.total[2] AS p95_us, h.total[3] AS p99_us,
       h.request[1] AS request_p50_us, h.request[2] AS request_p95_us, h.request[3] AS request_p99_us,
       h.features[1] AS features_p50_us, h.features[2] AS features_p95_us, h.features[3] AS features_p99_us,
       h.candidates[1] AS candidates_p50_us, h.candidates[2] AS candidates_p95_us, h.candidates[3] AS candidates_p99_us,
       h.score[1] AS score_p50_us, h.score[2] AS score_p95_us, h.score[3] AS score_p99_us,
       h.choose[1] AS choose_p50_us, h.choose[2] AS choose_p95_us, h.choose[3] AS choose_p99_us,
       h.reserve[1] AS reserve_p50_us, h.reserve[2] AS reserve_p95_us, h.reserve[3] AS reserve_p99_us,
       h.mean_us::double precision / 1000 AS seconds_per_1000,
       (h.bytes * 1000)::bigint AS bytes_per_1000,
       CASE WHEN p.cpu_hour > 0 OR p.written_gb > 0 THEN h.mean_us::double precision / 3600000 * p.cpu_hour + h.bytes::double precision / 1e6 * p.written_gb END AS cost_per_1000,
       h.bundle_hits::double precision AS bundle_hits,
       h.model_hits::double precision AS model_hits,
       h.plan_hits::double precision AS plan_hits
  FROM hourly AS h
 CROSS JOIN (SELECT NULLIF(pg_catalog.current_setting('pg_decide.price_cpu_hour', true), '')::double precision,
                    NULLIF(pg_catalog.current_setting('pg_decide.price_written_gb', true), '')::double precision) AS p (cpu_hour, written_gb);
COMMENT ON VIEW decide.slo IS
  'How long decisions took, per surface and hour, and whether they kept to the latency budget; without writing the trace';
COMMENT ON COLUMN decide.slo.surface IS 'Surface';
COMMENT ON COLUMN decide.slo.hour IS 'Start of the hour (a whole hour in UTC)';
COMMENT ON COLUMN decide.slo.decisions IS 'Decisions made in it';
COMMENT ON COLUMN decide.slo.errors IS 'How many had an error of a rule or a stage';
COMMENT ON COLUMN decide.slo.fallbacks IS 'How many left a slot to the fallback';
COMMENT ON COLUMN decide.slo.latency_budget IS 'Latency budget of the surface; the shortest that was in force in that hour';
COMMENT ON COLUMN decide.slo.seconds_per_1000 IS 'Seconds of the server that 1,000 decisions took: its CPU, and waits for locks and reads';
COMMENT ON COLUMN decide.slo.bytes_per_1000 IS 'Bytes that 1,000 traces took, with their index entries; the WAL has about as many';
COMMENT ON COLUMN decide.slo.cost_per_1000 IS
  'Cost of 1,000 decisions: seconds and bytes, times pg_decide.price_cpu_hour and pg_decide.price_written_gb (null: neither price is set, or the library is not loaded)';
COMMENT ON COLUMN decide.slo.bundle_hits IS 'Share of decisions, 0 to 1, whose session had the bundle in force in memory';
COMMENT ON COLUMN decide.slo.model_hits IS 'The same of its models, with the newest snapshot and the kill switches; 1 where there are none';
COMMENT ON COLUMN decide.slo.plan_hits IS 'The same of the plans of all statements that the decision ran';
COMMENT ON COLUMN decide.slo.slo_met IS 'True if 95 of 100 decisions kept to it';
DO $$
DECLARE
  stage text;
  place text;
BEGIN
  FOREACH place IN ARRAY ARRAY['50', '95', '99'] LOOP
    EXECUTE pg_catalog.format('COMMENT ON COLUMN decide.slo.p%s_us IS %L', place,
      'Microseconds within which ' || place || ' of 100 decisions were made');
    FOREACH stage IN ARRAY ARRAY['request', 'features', 'candidates', 'score', 'choose', 'reserve'] LOOP
      EXECUTE pg_catalog.format('COMMENT ON COLUMN decide.slo.%s_p%s_us IS %L', stage, place,
        'The same of the stage ' || stage);
    END LOOP;
  END LOOP;
END
$$;
