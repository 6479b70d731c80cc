-- The envelope: rules that are left out for a while, and how well decisions keep to their budgets.

CREATE TABLE decide.breaker (
  rule_hash bigint PRIMARY KEY,
  rule text NOT NULL,
  failures int NOT NULL,
  slow int NOT NULL,
  openings int NOT NULL,
  opened_at timestamptz NOT NULL,
  probe_at timestamptz NOT NULL,
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
COMMENT ON COLUMN decide.breaker.probe_at IS 'When a decision may run the rule again, as a probe';
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
COMMENT ON COLUMN decide.breaker_status.probe_at IS 'When a decision may run the rule again, as a probe';
COMMENT ON COLUMN decide.breaker_status.last_error IS 'What the last failure was: SQLSTATE and its name';

CREATE VIEW decide.slo AS
WITH budget AS (
  SELECT b.bundle, s ->> 'surface' AS surface, (s ->> 'latency_budget_us')::double precision AS us
    FROM decide.bundle AS b
   CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(b.content -> 'surfaces') AS s
), hourly AS (
  SELECT t.surface, pg_catalog.date_trunc('hour', t.decided_at, 'UTC') AS hour,
         pg_catalog.count(*) AS decisions,
         pg_catalog.count(*) FILTER (WHERE t.errors IS NOT NULL) AS errors,
         pg_catalog.count(*) FILTER (WHERE t.reason IS NOT NULL) AS fallbacks,
         pg_catalog.min(b.us) AS budget_us,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY l.total) AS total,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[1]) AS request,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[2]) AS features,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[3]) AS candidates,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[4]) AS score,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[5]) AS choose,
         pg_catalog.percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.stage_us[6]) AS reserve
    FROM decide.trace AS t
    LEFT JOIN budget AS b ON b.bundle = t.bundle AND b.surface = t.surface
   CROSS JOIN LATERAL (SELECT pg_catalog.sum(u.us)::int AS total FROM pg_catalog.unnest(t.stage_us) AS u (us)) AS l
   WHERE t.origin IS NULL
   GROUP BY 1, 2
)
SELECT h.surface, h.hour, h.decisions, h.errors, h.fallbacks,
       pg_catalog.make_interval(secs => h.budget_us / 1000000) AS latency_budget,
       h.total[2] <= h.budget_us AS slo_met,
       h.total[1] AS p50_us, h.total[2] AS p95_us, h.total[3] AS p99_us,
       h.request[1] AS request_p50_us, h.request[2] AS request_p95_us, h.request[3] AS request_p99_us,
       h.features[1] AS features_p50_us, h.features[2] AS features_p95_us, h.features[3] AS features_p99_us,
       h.candidates[1] AS candidates_p50_us, h.candidates[2] AS candidates_p95_us, h.candidates[3] AS candidates_p99_us,
       h.score[1] AS score_p50_us, h.score[2] AS score_p95_us, h.score[3] AS score_p99_us,
       h.choose[1] AS choose_p50_us, h.choose[2] AS choose_p95_us, h.choose[3] AS choose_p99_us,
       h.reserve[1] AS reserve_p50_us, h.reserve[2] AS reserve_p95_us, h.reserve[3] AS reserve_p99_us
  FROM hourly AS h;
COMMENT ON VIEW decide.slo IS
  'How long decisions took, per surface and hour, and whether they kept to the latency budget; without writing the trace';
COMMENT ON COLUMN decide.slo.surface IS 'Surface';
COMMENT ON COLUMN decide.slo.hour IS 'Start of the hour';
COMMENT ON COLUMN decide.slo.decisions IS 'Decisions made in it';
COMMENT ON COLUMN decide.slo.errors IS 'How many had an error of a rule or a stage';
COMMENT ON COLUMN decide.slo.fallbacks IS 'How many left a slot to the fallback';
COMMENT ON COLUMN decide.slo.latency_budget IS 'Latency budget of the surface; the shortest that was in force in that hour';
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
