\set u random(1, :users)
SELECT * FROM bench.floor_reads(:u, '{"device": "mobile"}');
