-- How the model does on the rows that it has learned from, and on those that it has not seen.
SELECT cardinality(weights) AS weights,
       (metrics -> 'training' ->> 'rows')::bigint AS rows,
       (metrics -> 'holdout' ->> 'rows')::bigint AS held_out,
       round((metrics -> 'training' ->> 'auc')::numeric, 2)::text AS auc,
       round((metrics -> 'holdout' ->> 'auc')::numeric, 2)::text AS auc_of_held_out,
       round((metrics -> 'holdout' ->> 'rows')::numeric * (metrics -> 'holdout' ->> 'mean_label')::numeric)::bigint AS held_out_clicks
  FROM decide.model_version WHERE model = 'ctr'
