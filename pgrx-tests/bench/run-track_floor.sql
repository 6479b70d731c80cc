\set u random(1, :users)
SELECT bench.track_floor(bench.event(:u));
