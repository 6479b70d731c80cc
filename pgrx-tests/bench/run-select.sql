\set u random(1, :users)
SELECT n FROM bench.floor_user WHERE user_id = :u;
