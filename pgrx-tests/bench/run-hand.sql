\set u random(1, :users)
SELECT * FROM bench.hand(:u, '{"device": "mobile"}');
