-- The same request under the same seed: what was shown, the likeliest others, and what could not be had.
SELECT action, score, probability, step, reason
  FROM (SELECT *, row_number() OVER (PARTITION BY step ORDER BY probability DESC NULLS LAST, action) AS place
          FROM decide.explain($1::text, 'home', $2::jsonb, $3::bigint)) AS e
 WHERE place <= CASE step WHEN 'choose' THEN 4 WHEN 'shown' THEN 1 ELSE 2 END
 ORDER BY probability DESC NULLS LAST, action
