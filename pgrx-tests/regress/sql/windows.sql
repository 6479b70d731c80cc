-- Calendar windows: each moment is in one, which begins when clocks first show its beginning and ends where the next begins.
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';

-- What a window is, told minute by minute: the latest beginning that clocks have shown by then, or leapt over.
CREATE TEMP TABLE odd (zone text, around timestamptz, what text);
INSERT INTO odd VALUES
  ('America/St_Johns', '2010-11-07 02:31+00', 'back at 0:01, midnight comes twice and the date goes back'),
  ('America/St_Johns', '2011-03-13 03:31+00', 'forward at 0:01'),
  ('Asia/Pyongyang', '2015-08-14 15:00+00', '30 minutes back at midnight'),
  ('Asia/Pyongyang', '2018-05-04 15:00+00', '30 minutes forward to midnight'),
  ('Antarctica/Casey', '2010-03-04 15:00+00', '3 hours back'),
  ('Pacific/Apia', '2011-12-30 10:00+00', 'a day skipped'),
  ('Pacific/Kwajalein', '1993-08-21 12:00+00', 'a day skipped'),
  ('America/Sao_Paulo', '2018-11-04 03:00+00', 'midnight skipped'),
  ('America/Sao_Paulo', '2018-02-18 02:00+00', 'back at midnight'),
  ('America/Havana', '2026-11-01 05:00+00', 'back at 1:00, at the beginning of a month'),
  ('Atlantic/Azores', '2026-10-25 01:00+00', 'back at 1:00'),
  ('Atlantic/Azores', '2026-03-29 01:00+00', 'midnight skipped'),
  ('Australia/Lord_Howe', '2026-04-04 15:00+00', '30 minutes back'),
  ('Africa/Cairo', '2023-04-27 22:00+00', 'midnight skipped'),
  ('Africa/Cairo', '2023-10-26 21:00+00', 'back at midnight'),
  ('Asia/Beirut', '2022-03-26 22:00+00', 'midnight skipped'),
  ('America/Asuncion', '2022-10-02 04:00+00', 'midnight skipped'),
  ('Europe/Berlin', '2026-10-25 01:00+00', 'back at 3:00'),
  ('UTC', '2026-02-28 12:00+00', 'none'), ('+05:45', '2026-02-28 12:00+00', 'none'), ('Europe/London', '0044-03-15 12:01:15+00 BC', 'LMT'),
  ('XXX3YYY,M3.2.0/0:01,M11.1.0/0:01', '2026-11-01 02:01+00', 'POSIX, midnight comes twice');
CREATE TEMP TABLE minute AS
  SELECT o.zone, o.around, m.at, max(m.at AT TIME ZONE o.zone) OVER (PARTITION BY o.zone, o.around ORDER BY m.at) AS shown
    FROM odd AS o, generate_series(o.around - interval '42 hours', o.around + interval '42 hours', interval '1 minute') AS m (at);
CREATE TEMP TABLE expected AS
  SELECT b.*, min(at) OVER w AS starts, max(at) OVER w + interval '1 minute' AS ends,
         row_number() OVER w AS place, count(*) OVER w AS minutes
    FROM (SELECT m.zone, m.around, m.at, l.length, l.week_start,
                 CASE l.length WHEN '1 day' THEN date_trunc('day', m.shown) WHEN '1 mon' THEN date_trunc('month', m.shown)
                               ELSE date_trunc('week', m.shown - make_interval(days => l.week_start - 1)) END AS beginning
            FROM minute AS m, (VALUES (interval '1 day', 1), ('1 mon', 1), ('7 days', 1), ('7 days', 7)) AS l (length, week_start)) AS b
  WINDOW w AS (PARTITION BY zone, around, length, week_start, beginning);
-- the first minute of each window, the last, and some between; what the scan has not seen whole is left out
SELECT count(*) > 10000 AS many, count(*) FILTER (WHERE w.starts <> e.starts AND e.starts > e.around - interval '42 hours') AS begin_elsewhere,
       count(*) FILTER (WHERE w.ends <> e.ends AND e.ends < e.around + interval '42 hours') AS end_elsewhere
  FROM expected AS e, decide.cap_window(e.at, e.length, e.zone, e.week_start) AS w WHERE e.at IN (e.starts, e.ends - interval '1 minute') OR extract(epoch FROM e.at)::bigint / 60 % 29 = 0;
SELECT o.what, w.starts, w.ends, w.ends - w.starts AS length
  FROM odd AS o, decide.cap_window(o.around, '1 day', o.zone, 1) AS w ORDER BY o.zone, o.around;

-- Every zone, length and moment: windows hold their moment, are the same for all in them, and leave nothing between.
CREATE TEMP TABLE tried AS
  SELECT z.name AS zone, l.length, 1 + abs(hashint4(n)) % 7 AS week_start,
         timestamptz '1890-01-01' + abs(hashint8extended(n, 1) % (150 * 365.25 * 86400000000)::bigint) * interval '1 microsecond' AS at
    FROM generate_series(1, 4000) AS n
    JOIN (SELECT name, row_number() OVER (ORDER BY name) - 1 AS place, count(*) OVER () AS many FROM pg_timezone_names WHERE name NOT LIKE 'posix%') AS z ON z.place = n % z.many
    JOIN (SELECT length, place - 1 AS place, count(*) OVER () AS many FROM unnest(ARRAY['1 day', '24 hours', '1 day 00:00', '7 days', '2 days', '10 days', '1 mon',
            '3 mons', '5 mons', '1 year', '7 years', '1 hour', '7 hours', '23:59:59.999999', '0.1 s', '1.1 s', '3 microseconds', '13 minutes']::interval[]) WITH ORDINALITY AS l (length, place)) AS l ON l.place = n / z.many % l.many;
SELECT count(*), count(DISTINCT zone) > 300 AS zones, count(*) FILTER (WHERE NOT (w.starts <= t.at AND t.at < w.ends)) AS without,
       count(*) FILTER (WHERE first <> w OR last <> w) AS other, count(*) FILTER (WHERE next.starts <> w.ends) AS gap, count(*) FILTER (WHERE before.ends <> w.starts) AS gap_before
  FROM tried AS t, decide.cap_window(at, length, zone, week_start) AS w, decide.cap_window(w.starts, length, zone, week_start) AS first,
       decide.cap_window(w.ends - interval '1 microsecond', length, zone, week_start) AS last, decide.cap_window(w.ends, length, zone, week_start) AS next,
       decide.cap_window(w.starts - interval '1 microsecond', length, zone, week_start) AS before;
-- whatever the zone of the session
SET TimeZone = 'America/St_Johns';
SELECT count(*) FILTER (WHERE w.starts <> e.starts AND e.starts > e.around - interval '42 hours') AS begin_elsewhere
  FROM expected AS e, decide.cap_window(e.at, e.length, e.zone, e.week_start) AS w WHERE e.place = 1;
SET TimeZone = 'UTC';

-- Parts of a day begin at exact multiples of their length, whatever a double makes of these; the last is cut off.
SELECT p.part, count(*), count(*) FILTER (WHERE w.starts <> b.at) AS elsewhere, count(*) FILTER (WHERE w.ends <> b.at + p.part) AS other_end
  FROM unnest(ARRAY['0.1 s', '1.1 s', '3 microseconds', '0.7 s', '1 minute', '59.999999 s']::interval[]) AS p (part),
       LATERAL (SELECT timestamptz '2026-03-01 00:00+00' + n * p.part FROM generate_series(0, 1000) AS n
                UNION ALL SELECT timestamptz '2026-03-01 00:00+00' + (n * 139) * p.part FROM generate_series(1, 10) AS n) AS b (at),
       decide.cap_window(b.at, p.part, 'UTC', 1) AS w GROUP BY 1 ORDER BY 1;
SELECT w.* FROM unnest(ARRAY['2026-03-01 20:59:59.999999', '2026-03-01 21:00', '2026-03-02 00:00']::timestamptz[]) AS at, decide.cap_window(at, '7 hours', 'UTC', 1) AS w;
-- What is a day, what a part of one, and what is neither.
SELECT length, w.* FROM unnest(ARRAY['24 hours', '1 day 00:00', '48:00', '1 day -1 hours', '1 mon 00:00']::interval[]) AS length, decide.cap_window('2026-03-04 12:34:56.7+00', length, 'UTC', 1) AS w;
SELECT decide.cap_window('2026-03-04 12:34:56.7+00', '36:00', 'UTC', 1);
SELECT decide.cap_window('2026-03-04 12:34:56.7+00', '1 mon 1 day', 'UTC', 1);
SELECT decide.cap_window('2026-03-04 12:34:56.7+00', '-1 days', 'UTC', 1);
SELECT decide.cap_window('2026-03-04 12:34:56.7+00', '0', 'UTC', 1);
-- Months and weeks before Christ; the ends of time are in none.
SELECT w.* FROM decide.cap_window('0044-03-15 12:00+00 BC', '3 months', 'UTC', 1) AS w;
SELECT w.* FROM decide.cap_window('0002-03-15 12:00+00 BC', '2 years', 'UTC', 1) AS w;
SELECT at, w.* FROM unnest(ARRAY['infinity', '-infinity']::timestamptz[]) AS at, decide.cap_window(at, '1 day', 'UTC', 1) AS w;
SELECT decide.first_moment('infinity', 'Europe/Berlin'), decide.first_moment('2026-03-29 02:30', 'Europe/Berlin') AS skipped, decide.first_moment('2026-10-25 02:30', 'Europe/Berlin') AS twice;
