INSERT INTO bench.record VALUES (bench.record_id(), clock_timestamp(), repeat('x', 1000));
