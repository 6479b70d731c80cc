SELECT count(*) FROM decide.decide_batch(bench.requests(:client_id, :surface, 500));
