\set u random(1, :users)
SELECT * FROM bench.floor_stock(:u, '{"device": "mobile"}');
