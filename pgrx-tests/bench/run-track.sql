\set u random(1, :users)
SELECT track(bench.event(:u));
