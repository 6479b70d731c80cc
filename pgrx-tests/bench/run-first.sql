SELECT * FROM decide(1::bigint, :surface);
