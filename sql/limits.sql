-- Limits: what each cap counts, and the counters of the caps for all users. Those of one user are in their row.

CREATE TABLE decide.cap_slot (
  slot int PRIMARY KEY,
  cap text NOT NULL,
  value text,
  definition jsonb NOT NULL,
  cell_us bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE UNIQUE INDEX ON decide.cap_slot (cap, definition, (COALESCE(value, '')), (value IS NULL));
COMMENT ON TABLE decide.cap_slot IS 'The number by which counters and traces know a cap, for ever; another definition is another number, and starts anew';
COMMENT ON COLUMN decide.cap_slot.slot IS 'Number';
COMMENT ON COLUMN decide.cap_slot.cap IS 'Name';
COMMENT ON COLUMN decide.cap_slot.value IS 'Value of the attribute, where each value is limited by itself';
COMMENT ON COLUMN decide.cap_slot.definition IS 'What it counts, of whom, and over which window; not how much of it is allowed';
COMMENT ON COLUMN decide.cap_slot.cell_us IS 'Grid in which reservations are brought together, in microseconds: an eighth of its first hold';
COMMENT ON COLUMN decide.cap_slot.created_at IS 'When it was first published: exposures from then on are in it';

CREATE FUNCTION decide.cap_definition(cap decide.cap) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object(
  'surface', (cap).surface, 'campaign', (cap).campaign, 'action', (cap).action,
  'attribute', (cap).attribute, 'attribute_value', (cap).attribute_value, 'per', (cap).per,
  'window_length', (cap).window_length::text, 'window_kind', CASE WHEN (cap).window_length IS NOT NULL THEN (cap).window_kind END,
  'time_zone', (cap).time_zone, 'week_start', (cap).week_start, 'counts', (cap).counts, 'unit', (cap).unit);
COMMENT ON FUNCTION decide.cap_definition(decide.cap) IS 'What a cap counts, of whom, and over which window';

CREATE FUNCTION decide.cap_values(cap decide.cap) RETURNS SETOF text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT DISTINCT a.attributes ->> (cap).attribute FROM decide.action AS a
   WHERE (cap).attribute_value IS NULL AND a.attributes ->> (cap).attribute IS NOT NULL
   UNION ALL
  SELECT NULL WHERE (cap).attribute IS NULL OR (cap).attribute_value IS NOT NULL
$$;
COMMENT ON FUNCTION decide.cap_values(decide.cap) IS
  'The values of its attribute that a cap limits each by itself; one null where it does not';

-- A time that a clock shows twice is the first of the two: a window begins before all that is in it.
CREATE FUNCTION decide.first_moment(local timestamp, time_zone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  moment timestamptz := local AT TIME ZONE time_zone;
  earlier timestamptz;
BEGIN
  FOREACH earlier IN ARRAY ARRAY[moment - interval '1 hour', moment - interval '30 minutes'] LOOP
    IF earlier AT TIME ZONE time_zone = local THEN
      RETURN earlier;
    END IF;
  END LOOP;
  RETURN moment;
END
$$;
COMMENT ON FUNCTION decide.first_moment(timestamp, text) IS 'When a clock of the zone first shows a time';

CREATE FUNCTION decide.cap_window(at timestamptz, length interval, time_zone text, week_start int,
                                  OUT starts timestamptz, OUT ends timestamptz)
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  whole interval := justify_hours(length);
  months int := (EXTRACT(year FROM whole) * 12 + EXTRACT(month FROM whole))::int;
  days int := EXTRACT(day FROM whole)::int;
  part double precision := EXTRACT(epoch FROM whole - make_interval(months => months, days => days));
  local timestamp := at AT TIME ZONE time_zone;
  first timestamp;
  next timestamptz;
BEGIN
  IF months > 0 THEN
    first := date_trunc('month', local) - make_interval(months =>
      mod((EXTRACT(year FROM local) * 12 + EXTRACT(month FROM local) - 1)::int, months));
    starts := decide.first_moment(first, time_zone);
    ends := decide.first_moment(first + make_interval(months => months), time_zone);
  ELSIF days > 0 THEN
    -- 2000-01-03 was a Monday
    first := date_bin(make_interval(days => days), local, timestamp '2000-01-03' + make_interval(days => week_start - 1));
    starts := decide.first_moment(first, time_zone);
    ends := decide.first_moment(first + make_interval(days => days), time_zone);
  ELSE
    first := date_trunc('day', local);
    starts := decide.first_moment(first, time_zone);
    next := decide.first_moment(first + interval '1 day', time_zone);
    starts := starts + make_interval(secs => part * floor(EXTRACT(epoch FROM at - starts)::double precision / part));
    ends := least(starts + make_interval(secs => part), next);
  END IF;
END
$$;
COMMENT ON FUNCTION decide.cap_window(timestamptz, interval, text, int) IS
  'The calendar window that a moment is in: months from January, days from midnight, weeks from week_start (1: Monday), parts of a day from midnight; in local time of the zone';

CREATE TABLE decide.budget_stripe (
  slot int NOT NULL,
  stripe int NOT NULL,
  quota bigint NOT NULL,
  ledger bigint[] NOT NULL DEFAULT '{}',
  paced_at timestamptz,
  allowed double precision NOT NULL DEFAULT 0,
  PRIMARY KEY (slot, stripe)
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, autovacuum_analyze_threshold = 1000000000);
COMMENT ON TABLE decide.budget_stripe IS 'Counters of the caps for all users: several rows a cap, each with its share of the limit, so that decisions need not wait for each other';
COMMENT ON COLUMN decide.budget_stripe.slot IS 'Number of the cap';
COMMENT ON COLUMN decide.budget_stripe.stripe IS 'Which of its rows, from 0';
COMMENT ON COLUMN decide.budget_stripe.quota IS 'Its share of the limit; all of a cap make up the limit. In millionths where the cap counts cost';
COMMENT ON COLUMN decide.budget_stripe.ledger IS
  'What was taken: triples of a time in microseconds since 2000, an amount, and 0 (counted), -1 (reserved) or less (looked up once more, late ones included)';
COMMENT ON COLUMN decide.budget_stripe.paced_at IS 'As of when allowed is';
COMMENT ON COLUMN decide.budget_stripe.allowed IS 'How much of its quota pacing allows by then';

CREATE TABLE decide.budget_level (
  slot int PRIMARY KEY,
  window_start bigint NOT NULL DEFAULT -9223372036854775808,
  level smallint NOT NULL DEFAULT 0,
  until bigint NOT NULL DEFAULT 9223372036854775807
) WITH (fillfactor = 50);
COMMENT ON TABLE decide.budget_level IS 'Which budgets are running out: sessions look at the counters of these before they choose';
COMMENT ON COLUMN decide.budget_level.slot IS 'Number of the cap';
COMMENT ON COLUMN decide.budget_level.window_start IS 'In which window, by its start in microseconds since 2000';
COMMENT ON COLUMN decide.budget_level.level IS '0: plenty; 1: near its end; 2: used up';
COMMENT ON COLUMN decide.budget_level.until IS 'When something of it is free again, in microseconds since 2000';

CREATE FUNCTION decide.blocked_reason(code int) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN CASE
  WHEN code >= 100 THEN 'cap: ' || COALESCE((
    SELECT s.cap || COALESCE(' (' || s.value || ')', '') FROM decide.cap_slot AS s WHERE s.slot = code - 100), '?')
  ELSE (ARRAY['not_started', 'ended', 'rule', 'rule_failed', 'unknown_user', 'busy', 'narrowed', 'breaker', 'killed'])[code]
END;
COMMENT ON FUNCTION decide.blocked_reason(int) IS 'What a number in decide.trace.blocked_by says';
