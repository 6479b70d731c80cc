-- Limits: what each cap counts, and the counters of the caps for all users. Those of one user are in their row.

CREATE TABLE decide.cap_slot (
  slot int PRIMARY KEY,
  cap text NOT NULL,
  value text,
  definition jsonb NOT NULL,
  cell_us bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  number int NOT NULL,
  identity jsonb NOT NULL
);
CREATE UNIQUE INDEX ON decide.cap_slot (number, identity, (COALESCE(value, '')), (value IS NULL));
COMMENT ON TABLE decide.cap_slot IS 'The number of a cap in counters and traces, for ever; another definition has another number, and starts from 0';
COMMENT ON COLUMN decide.cap_slot.slot IS 'Number';
COMMENT ON COLUMN decide.cap_slot.cap IS 'Name, as last published';
COMMENT ON COLUMN decide.cap_slot.value IS 'Value of the attribute, where each value is limited by itself';
COMMENT ON COLUMN decide.cap_slot.definition IS 'What it counts, of whom, and over which window; not how much of it is allowed. In words, for people';
COMMENT ON COLUMN decide.cap_slot.cell_us IS 'Grid in which reservations are merged, in microseconds: an eighth of its first hold';
COMMENT ON COLUMN decide.cap_slot.created_at IS 'When it was first published: exposures from then on are in it';
COMMENT ON COLUMN decide.cap_slot.number IS 'Number of the cap in decide.identity';
COMMENT ON COLUMN decide.cap_slot.identity IS 'The same as the definition, with numbers in the place of names and lengths in microseconds: another one is another slot';

CREATE FUNCTION decide.cap_definition(cap decide.cap) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN jsonb_build_object(
  'surface', (cap).surface, 'campaign', (cap).campaign, 'action', (cap).action,
  'attribute', (cap).attribute, 'attribute_value', (cap).attribute_value, 'per', (cap).per,
  'window_length', (cap).window_length::text, 'window_kind', CASE WHEN (cap).window_length IS NOT NULL THEN (cap).window_kind END,
  'time_zone', (cap).time_zone, 'week_start', (cap).week_start, 'counts', (cap).counts, 'unit', (cap).unit);
COMMENT ON FUNCTION decide.cap_definition(decide.cap) IS 'What a cap counts, of whom, and over which window';

CREATE FUNCTION decide.cap_identity(cap decide.cap) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT jsonb_build_object(
           'surface', (SELECT n.number FROM decide.named AS n WHERE n.kind = 'surface' AND n.name = (cap).surface),
           'campaign', (SELECT n.number FROM decide.named AS n WHERE n.kind = 'campaign' AND n.name = (cap).campaign),
           'action', (SELECT n.number FROM decide.named AS n WHERE n.kind = 'action' AND n.name = (cap).action),
           'attribute', (cap).attribute, 'attribute_value', (cap).attribute_value, 'per', (cap).per,
           'counts', (cap).counts, 'unit', (cap).unit)
         || CASE
              WHEN (cap).window_length IS NULL THEN '{}'
              WHEN (cap).window_kind = 'sliding' THEN jsonb_build_object('sliding_us', (EXTRACT(epoch FROM (cap).window_length) * 1000000)::bigint)
              ELSE jsonb_build_object('months', (EXTRACT(year FROM whole) * 12 + EXTRACT(month FROM whole))::int, 'days', EXTRACT(day FROM whole)::int,
                     'part_us', (EXTRACT(hour FROM whole) * 3600000000 + EXTRACT(minute FROM whole) * 60000000 + EXTRACT(microseconds FROM whole))::bigint,
                     'time_zone', (cap).time_zone)
                   || CASE WHEN EXTRACT(day FROM whole) > 1 THEN jsonb_build_object('week_start', (cap).week_start) ELSE '{}' END
            END
    FROM justify_hours((cap).window_length) AS whole
$$;
COMMENT ON FUNCTION decide.cap_identity(decide.cap) IS
  'What a cap counts, of whom, and over which window, by numbers that no renaming changes';

CREATE FUNCTION decide.cap_values(cap decide.cap) RETURNS SETOF text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT DISTINCT v.value
    FROM decide.action AS a CROSS JOIN LATERAL (SELECT a.attributes -> (cap).attribute) AS o (attribute)
   CROSS JOIN LATERAL (
     SELECT e FROM jsonb_array_elements_text(CASE jsonb_typeof(o.attribute) WHEN 'array' THEN o.attribute ELSE '[]' END) AS e
      UNION ALL
     SELECT o.attribute #>> '{}' WHERE jsonb_typeof(o.attribute) <> 'array') AS v (value)
   WHERE (cap).attribute_value IS NULL AND v.value IS NOT NULL
   UNION ALL
  SELECT NULL WHERE (cap).attribute IS NULL OR (cap).attribute_value IS NOT NULL
$$;
COMMENT ON FUNCTION decide.cap_values(decide.cap) IS
  'The values of the attribute, of arrays their elements, if a cap limits each value by itself; else one null';

-- Clocks change at whole seconds, and no zone has two changes within 95 hours: of the 72 hours around a time either
-- none is seen, or one. The clock shows the time, or has leapt over it, before that change or else from it on.
CREATE FUNCTION decide.first_moment(local timestamp, time_zone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- moments as a clock in UTC shows them: arithmetic on these knows no zone
  near CONSTANT timestamp := (local AT TIME ZONE time_zone) AT TIME ZONE 'UTC';
  before timestamp;
  after timestamp;
  middle timestamp;
  offset_before interval;
  offset_after interval;
BEGIN
  IF NOT isfinite(local) OR local < timestamp '4713-01-01 BC' OR local > timestamp '294276-12-01' THEN
    RETURN near AT TIME ZONE 'UTC';
  END IF;
  before := date_trunc('second', near) - interval '36 hours';
  after := before + interval '72 hours';
  offset_before := ((before AT TIME ZONE 'UTC') AT TIME ZONE time_zone) - before;
  offset_after := ((after AT TIME ZONE 'UTC') AT TIME ZONE time_zone) - after;
  IF offset_before = offset_after THEN
    RETURN (local - offset_before) AT TIME ZONE 'UTC';
  END IF;
  WHILE after - before > interval '1 second' LOOP
    middle := date_trunc('second', before + (after - before) / 2);
    IF ((middle AT TIME ZONE 'UTC') AT TIME ZONE time_zone) - middle = offset_before THEN
      before := middle;
    ELSE
      after := middle;
    END IF;
  END LOOP;
  IF local - offset_before < after THEN
    RETURN (local - offset_before) AT TIME ZONE 'UTC';
  END IF;
  RETURN greatest(after, local - offset_after) AT TIME ZONE 'UTC';
END
$$;
COMMENT ON FUNCTION decide.first_moment(timestamp, text) IS 'The first moment at which a clock of the zone shows a time, or one after it';

-- A window begins at the first moment at which a clock shows its beginning, and ends where the next begins, whatever
-- clocks show in between: so each moment is in one.
CREATE FUNCTION decide.cap_window(at timestamptz, length interval, time_zone text, week_start int,
                                  OUT starts timestamptz, OUT ends timestamptz)
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  whole CONSTANT interval := justify_hours(length);
  months CONSTANT int := EXTRACT(year FROM whole) * 12 + EXTRACT(month FROM whole);
  days CONSTANT int := EXTRACT(day FROM whole);
  part CONSTANT bigint := EXTRACT(epoch FROM whole - make_interval(months => months, days => days)) * 1000000;
  step CONSTANT int := greatest(days, 1);
  unit CONSTANT interval := make_interval(months => months, days => CASE months WHEN 0 THEN step ELSE 0 END);
  local CONSTANT timestamp := at AT TIME ZONE time_zone;
  number int;
  first timestamp;
  passed bigint;
BEGIN
  IF least(months, days, part) < 0 OR (months > 0)::int + (days > 0)::int + (part > 0)::int <> 1 THEN
    RAISE EXCEPTION 'length % is none of a calendar window', length
      USING ERRCODE = 'invalid_parameter_value', HINT = 'A calendar window is of whole months, of whole days, or of a part of a day.';
  END IF;
  IF NOT isfinite(at) THEN
    RETURN;
  END IF;
  IF months > 0 THEN
    -- counted from January of the year 0, which is 1 BC
    number := (EXTRACT(year FROM local) + (local < timestamp '0001-01-01')::int) * 12 + EXTRACT(month FROM local) - 1;
    first := timestamp '2000-01-01' + make_interval(months => number - 24000 - mod(mod(number, months) + months, months));
  ELSE
    -- 2000-01-03 was a Monday
    number := local::date - date '2000-01-03' - week_start + 1;
    first := date_trunc('day', local) - make_interval(days => mod(mod(number, step) + step, step));
  END IF;
  starts := decide.first_moment(first, time_zone);
  ends := decide.first_moment(first + unit, time_zone);
  -- A clock that was set back shows a window again that is over.
  WHILE ends <= at LOOP
    first := first + unit;
    starts := ends;
    ends := decide.first_moment(first + unit, time_zone);
  END LOOP;
  IF part > 0 THEN
    passed := EXTRACT(epoch FROM at - starts) * 1000000;
    starts := starts + (passed - mod(passed, part)) * interval '1 microsecond';
    ends := least(starts + part * interval '1 microsecond', ends);
  END IF;
END
$$;
COMMENT ON FUNCTION decide.cap_window(timestamptz, interval, text, int) IS
  'The calendar window that a moment is in: months from January, days from midnight, weeks from week_start (1: Monday), parts of a day from midnight; in local time of the zone';

CREATE FUNCTION decide.cap_catalog() RETURNS TABLE (per text, counted_in text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 3
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cap_catalog_wrapper';
COMMENT ON FUNCTION decide.cap_catalog() IS
  'Every kind of cap, and the table of the schema decide in which its exposures are counted (null: within one answer)';

CREATE TABLE decide.budget_stripe (
  slot int NOT NULL,
  stripe int NOT NULL,
  quota bigint NOT NULL,
  ledger bigint[] NOT NULL DEFAULT '{}',
  paced_at timestamptz,
  allowed double precision NOT NULL DEFAULT 0,
  PRIMARY KEY (slot, stripe)
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, autovacuum_analyze_threshold = 1000000000);
COMMENT ON TABLE decide.budget_stripe IS 'Counters of the caps for all users: several rows per cap, each with its share of the limit, so that concurrent decisions rarely wait for each other';
COMMENT ON COLUMN decide.budget_stripe.slot IS 'Number of the cap';
COMMENT ON COLUMN decide.budget_stripe.stripe IS 'Which of its rows, from 0';
COMMENT ON COLUMN decide.budget_stripe.quota IS 'Its share of the limit; all of a cap make up the limit. In millionths where the cap counts cost';
COMMENT ON COLUMN decide.budget_stripe.ledger IS
  'What was taken: triples of a time in microseconds since 2000, an amount, and 0 (counted), -1 (reserved) or less (looked up once more, late ones included); of the window before as well';
COMMENT ON COLUMN decide.budget_stripe.paced_at IS 'As of when allowed is';
COMMENT ON COLUMN decide.budget_stripe.allowed IS 'How much of its quota pacing allows by then';

CREATE TABLE decide.budget_level (
  slot int PRIMARY KEY,
  window_start bigint NOT NULL DEFAULT -9223372036854775808,
  level smallint NOT NULL DEFAULT 0,
  until bigint NOT NULL DEFAULT 9223372036854775807
) WITH (fillfactor = 50);
COMMENT ON TABLE decide.budget_level IS 'Which budgets are running out, or had all their rows in use: sessions read the counters of these before they choose';
COMMENT ON COLUMN decide.budget_level.slot IS 'Number of the cap';
COMMENT ON COLUMN decide.budget_level.window_start IS 'In which window, by its start in microseconds since 2000';
COMMENT ON COLUMN decide.budget_level.level IS '0: plenty; 1: near its end, or its rows were in use; 2: used up';
COMMENT ON COLUMN decide.budget_level.until IS 'When it has capacity again, in microseconds since 2000';

-- Called for each row of decide.decision, as decide.action_names is.
CREATE FUNCTION decide.blocked_reason(code int) RETURNS text
LANGUAGE c STABLE PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'blocked_reason_wrapper';
COMMENT ON FUNCTION decide.blocked_reason(int) IS 'The name of a code in decide.trace.blocked_by: a reason of decide.reason_catalog, with the name of the cap';

CREATE FUNCTION decide.blocked_reasons(codes int[]) RETURNS text[]
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50
AS 'MODULE_PATHNAME', 'blocked_reasons_wrapper';
COMMENT ON FUNCTION decide.blocked_reasons(int[]) IS 'The names of the codes in decide.trace.blocked_by, in their order';

CREATE FUNCTION decide.reason_catalog()
RETURNS TABLE (kind text, code int, reason text, step text, description text)
LANGUAGE c IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'reason_catalog_wrapper';
COMMENT ON FUNCTION decide.reason_catalog() IS
  'Every reason: why a slot gets the fallback (fallback), and why an action is no candidate (blocked), with the number in decide.trace.blocked_by';
