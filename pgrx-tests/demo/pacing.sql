SELECT extract(epoch FROM at - first_value(at) OVER w)::float8 / 86400 AS x, target / 10000 AS target, delivered / 10000.0::float8 AS delivered,
       traffic, refused, price, value
  FROM decide.simulate_pacing('even', 10000, shape => 'bursty', demand => 3, priced => true, seed => 7) WINDOW w AS (ORDER BY at)
