SELECT accepted FROM track(bench.events(:users));
