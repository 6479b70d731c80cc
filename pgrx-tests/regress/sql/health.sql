-- What a monitoring system sees, with the access monitor alone.
CREATE ROLE regress_health_monitor;
SELECT decide.grant('regress_health_monitor', 'monitor');
SET ROLE regress_health_monitor;
-- before anything was published
SELECT measure, CASE WHEN measure ~ 'seconds|xmin' THEN value >= 0 ELSE value = 0 END AS plain, value IS NULL AS unknown FROM decide.health ORDER BY 1;
RESET ROLE;
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
SELECT count(*) FROM decide('ann', 'home');
SELECT track('{"type": 3}'), track('nonsense');
INSERT INTO decide.event_inbox (event) VALUES ('{}'), ('{}'), ('x');
INSERT INTO decide.breaker (rule_hash, rule, failures, slow, openings, opened_at, probe_at) VALUES (1, 'shop.stock(action) > 0', 5, 0, 1, now(), now() + interval '10 seconds'), (2, 'suspected', 1, 0, 0, now(), NULL);
UPDATE decide.job SET enabled = job IN ('fold', 'budgets');
INSERT INTO decide.job_run (job, started_at, duration, rows, error, failures, next_run) VALUES
  ('fold', now() - interval '10 minutes', '1 second', 0, '55P03: lock_not_available', 2, now() - interval '5 minutes'), ('budgets', now(), '1 second', 0, NULL, 0, now() + interval '1 hour'),
  ('retention', now() - interval '1 day', '1 second', 0, 'XX000', 7, now() - interval '1 hour');
SELECT decide.set_mode('home', 'cautious', 'a test');
INSERT INTO decide.trace SELECT decide.first_identifier('2001-02-03'), user_key, '2001-02-03', context_hash, seed, bundle, filled, first_slot, surface, policy, model_version, mode, reason, origin, stage_us, actions, chosen, candidates FROM decide.trace;
SET ROLE regress_health_monitor;
SELECT measure, value, detail FROM decide.health WHERE measure !~ 'age|overdue|xmin' ORDER BY 1;
SELECT measure, value BETWEEN 299 AND 600 AS minutes, detail FROM decide.health WHERE measure = 'jobs_overdue_seconds';
SELECT measure, value BETWEEN 0 AND 600 AS recent FROM decide.health WHERE measure ~ 'age_seconds' ORDER BY 1;
SELECT count(*) AS measures, count(description) AS described FROM decide.health;
-- a breaker without a time to be probed, a job that never ran: no infinity
SELECT rule, state, probe_at IS NULL AS never FROM decide.breaker_status ORDER BY 1;
SELECT job, enabled, next_run <= now() AS due FROM decide.job_status WHERE job IN ('fold', 'budgets', 'retention', 'partitions') ORDER BY 1;
SELECT kind, bundle, bytes > 100 AS bytes, made_at BETWEEN now() - interval '10 minutes' AND now() + interval '1 minute' AS recent, mapped, image LIKE 'bundle.1.%' AS named FROM decide.image ORDER BY 1;
SELECT count(*) FROM decide.slo;
SELECT count(*) FROM decide.budget;
SELECT count(*) FROM decide.mode_in_force;
SELECT count(*) FROM decide.decision;
SELECT count(*) FROM decide.event_inbox;
SELECT count(*) FROM decide.trace;
RESET ROLE;
-- within a read-only transaction, as on a standby
BEGIN READ ONLY;
SELECT count(*) AS measures FROM decide.health;
SELECT count(*) AS images FROM decide.image;
COMMIT;
-- no view of ours answers an infinity, which drivers cannot read: also for what is for ever
SELECT decide.set_mode('home', 'paused', 'for ever', 'infinity');
SELECT decide.kill('action', 'nothing', 'for ever', 'infinity');
INSERT INTO decide.cap (cap, per, max_count, hard) VALUES ('for ever', 'user', 5, false), ('budget for ever', 'all', 5, false);
INSERT INTO decide.cap (cap, per, max_count, hard, window_length, window_kind) VALUES ('sliding', 'all', 5, false, '1 hour', 'sliding');
SELECT decide.publish();
SELECT count(*) FROM decide('bea', 'home');
SELECT decide.run_job('pacing');
CREATE FUNCTION infinities(relation regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  found bigint;
BEGIN
  EXECUTE format('SELECT count(*) FROM (SELECT to_jsonb(r)::text AS row FROM %s AS r) AS t WHERE t.row ~ ''"(-?[Ii]nfinity|NaN)"''', relation) INTO found;
  RETURN found;
END
$$;
SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace = 'decide'::regnamespace AND c.relkind = 'v' AND infinities(c.oid) > 0;
SELECT t.name FROM unnest(ARRAY['pacing', 'pacing_log', 'breaker', 'mode_change', 'switch_change', 'model_version', 'outcome', 'job_run']) AS t (name) WHERE infinities(('decide.' || t.name)::regclass) > 0;
SELECT cap, window_start, window_end FROM decide.cap_in_force WHERE cap ~ 'ever' ORDER BY 1;
SELECT cap, window_start, window_end, spent, reserved FROM decide.budget ORDER BY 1 LIMIT 1;
SELECT decide.revoke('regress_health_monitor', 'monitor');
DROP ROLE regress_health_monitor;
