-- What a decision would know now of the user who had clicked most before the live traffic.
SELECT f.feature, coalesce(left(f.key, 8), '') AS key, f.value, coalesce(date_trunc('second', now() - f.updated_at)::text, '') AS age
  FROM (SELECT user_id FROM shop.past WHERE reward > 0 GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT 1) AS most,
       decide.features(most.user_id) AS f
