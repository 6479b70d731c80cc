-- The requests that come in, in order.
SELECT n, user_id, context, reward > 0 AS clicked FROM shop.traffic ORDER BY n
