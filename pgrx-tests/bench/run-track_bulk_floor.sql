SELECT bench.track_floor(bench.events(:users));
