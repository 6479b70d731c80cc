-- How often an item was shown before a moment, and after it.
SELECT count(*) FILTER (WHERE decided_at <= $2::timestamptz), count(*) FILTER (WHERE decided_at > $2::timestamptz)
  FROM decide.decision WHERE origin IS NULL AND action = $1::text
