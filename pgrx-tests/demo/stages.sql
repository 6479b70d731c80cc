-- Microseconds per stage of the pipeline, half of the decisions being quicker.
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY request_us), percentile_disc(0.5) WITHIN GROUP (ORDER BY features_us),
       percentile_disc(0.5) WITHIN GROUP (ORDER BY candidates_us), percentile_disc(0.5) WITHIN GROUP (ORDER BY score_us),
       percentile_disc(0.5) WITHIN GROUP (ORDER BY choose_us)
  FROM decide.decision WHERE origin IS NULL
