\set u random(1, :users)
SELECT * FROM bench.floor(:u, '{"device": "mobile"}');
