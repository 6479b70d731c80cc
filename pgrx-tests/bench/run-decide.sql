\set u random(1, :users)
SELECT * FROM decide(:u::bigint, :surface, '{"device": "mobile"}');
