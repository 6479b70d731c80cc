-- Nothing is public; each access of decide.grant can do its work, and nothing else.
CREATE ROLE regress_priv_nobody;
CREATE ROLE regress_priv_serve;
CREATE ROLE regress_priv_analyse;
CREATE ROLE regress_priv_operate;
CREATE ROLE regress_priv_rules;
CREATE ROLE regress_priv_monitor;
SELECT decide.grant('regress_priv_' || job, job) FROM unnest(ARRAY['serve', 'analyse', 'operate', 'rules', 'monitor']) AS job;

-- nothing of ours is granted to PUBLIC: no function, table, view or schema
CREATE VIEW mine AS SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS x ON x.oid = d.refobjid WHERE x.extname = 'pg_decide' AND d.deptype = 'e';
SELECT p.oid::regprocedure FROM mine JOIN pg_proc AS p ON p.oid = objid AND classid = 'pg_proc'::regclass
 WHERE p.proacl IS NULL OR EXISTS (SELECT 1 FROM aclexplode(p.proacl) WHERE grantee = 0);
SELECT c.oid::regclass FROM mine JOIN pg_class AS c ON c.oid = objid AND classid = 'pg_class'::regclass, aclexplode(c.relacl) AS a WHERE a.grantee = 0;
SELECT n.nspname FROM pg_namespace AS n, aclexplode(n.nspacl) AS a WHERE n.nspname = 'decide' AND a.grantee = 0;
-- every function that runs with the owner's rights has a search_path of its own, with pg_temp last
SELECT p.oid::regprocedure FROM mine JOIN pg_proc AS p ON p.oid = objid AND classid = 'pg_proc'::regclass
 WHERE p.prosecdef AND NOT 'search_path=pg_catalog, pg_temp' = ANY (COALESCE(p.proconfig, '{}'));

INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
SELECT count(*) FROM decide('ann', 'home');
SELECT track('{"event_id": "1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}'::jsonb);

-- what a role can call, and what it can do to which table: tried, each in its own subtransaction
CREATE TABLE calls (call text);
INSERT INTO calls VALUES
  ('SELECT count(*) FROM public.decide(''ann'', ''home'')'), ('SELECT count(*) FROM public.decide(42, ''home'')'),
  ('SELECT count(*) FROM public.decide(''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11''::uuid, ''home'')'),
  ('SELECT count(*) FROM public.decide(''ann'', ARRAY[''home''])'), ('SELECT count(*) FROM public.decide(42, ARRAY[''home''])'),
  ('SELECT count(*) FROM public.decide(''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11''::uuid, ARRAY[''home''])'), ('SELECT count(*) FROM decide.decide_batch(''{}'')'),
  ('CALL decide.decide_batch(''SELECT 1'', ''pg_class'')'), ('SELECT * FROM decide.batch_statements(''SELECT 1'', ''pg_class'', 1, true)'),
  ('SELECT count(*) FROM decide.decide_each(''{}'')'), ('SELECT decide.batch_user(''x'')'),
  ('SELECT * FROM decide.adjust_budget(''x'', 1, ''x'')'), ('SELECT * FROM decide.adjust_exposure(''ann'', ''x'', 1, ''x'')'), ('SELECT * FROM decide.adjust_exposure(1, ''x'', 1, ''x'')'),
  ('SELECT decide.merge_users(''ann'', ''bob'')'), ('SELECT decide.merge_users(1, 2)'), ('SELECT public.track(''{}''::json)'), ('SELECT * FROM public.track(''{}''::json[])'),
  ('SELECT public.track(''{}''::jsonb)'), ('SELECT public.track(''{}''::text)'), ('SELECT * FROM public.track(''{}''::jsonb[])'),
  ('SELECT public.track(''{}''::jsonb, true)'), ('SELECT decide.release_quarantine(''01920000-0000-7000-8000-000000000000'')'), ('SELECT * FROM decide.release_all(''absent'')'),
  ('SELECT count(*) FROM decide.explain(''ann'', ''home'')'), ('SELECT count(*) FROM decide.features(''ann'')'),
  ('SELECT decide.user_key(''ann'')'), ('SELECT decide.user_key(1)'), ('SELECT decide.user_key(''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11''::uuid)'),
  ('SELECT decide.publish()'), ('SELECT decide.set_mode(NULL, ''normal'', ''x'')'), ('SELECT decide.kill(''action'', ''nothing'', ''x'')'), ('SELECT decide.revive(''action'', ''nothing'', ''x'')'), ('SELECT decide.rollback(1)'), ('SELECT * FROM decide.bundle_diff(1, 1)'),
  ('SELECT decide.replay(''01920000-0000-7000-8000-000000000000'')'), ('SELECT decide.run_job(''partitions'')'),
  ('SELECT decide.import_decisions(''pg_class'')'), ('SELECT decide.train(''m'', ''home'', ''{action}'', holdout => 0)'), ('SELECT decide.approve(''m'', 1)'),
  ('SELECT decide.backfill(''clicks'')'), ('SELECT * FROM decide.feature_consistency(now(), now())'), ('SELECT * FROM decide.training_set(''m'', now(), now())'), ('SELECT * FROM decide.simulate_pacing(budget => 1)'),
  ('SELECT decide.grant_rights(''regress_priv_nobody'', ''serve'')'), ('SELECT decide.revoke_rights(''regress_priv_nobody'', ''serve'')'), ('SELECT decide.rename_rows(''action'', ''nothing'', ''nil'')'), ('SELECT decide.make_triggers(NULL, ''{}'')'), ('SELECT decide.drop_triggers(''calls'', NULL)'),
  ('SELECT decide.grant(''regress_priv_nobody'', ''serve'')'), ('SELECT decide.revoke(''regress_priv_nobody'', ''serve'')'), ('SELECT * FROM decide.job_rights(''serve'')'), ('SELECT * FROM decide.access_rights(''serve'')'), ('SELECT decide.grant(''regress_priv_nobody'', job => ''serve'')'), ('SELECT decide.revoke(''regress_priv_nobody'', job => ''serve'')'), ('SELECT decide.put_role_job()'), ('INSERT INTO decide.role_job (role, job) VALUES (''regress_priv_nobody'', ''serve'')'),
  ('SELECT decide.make_partitions(1)'), ('SELECT decide.follow_name()'), ('SELECT decide.partition_key(''trace'')'), ('SELECT decide.movable_rows()'), ('SELECT decide.days_without_partition(''trace'', ''2020-01-01'', ''2020-01-01'')'), ('SELECT decide.missing_partitions(''trace'', ''2020-01-01'', ''2020-01-01'', true)'),
  ('SELECT decide.make_table_of_day(''trace'', ''2020-01-01'', ''trace_20200101'')'), ('SELECT decide.copy_day(''trace'', ''2020-01-01'', 0)'), ('SELECT decide.attach_days(''trace'', ''{2020-01-01}'')'), ('SELECT decide.take_turn_of_partitions()'), ('SELECT decide.user_turn(''ann'')'), ('SELECT decide.json_value(''1'')'), ('SELECT decide.know_role()'), ('SELECT decide.role_of(''regress_priv_nobody'', ''serve'')'), ('SELECT decide.make_partitions(''2020-01-01'', ''2020-01-01'')'),
  ('SELECT decide.action_name(1)'), ('SELECT decide.slot_probabilities(''{1,-1}'', NULL, ''{0,0,0}'', ''{2}'', 1)'), ('SELECT decide.action_names(''{1}'')'), ('SELECT decide.decided_at(''01920000-0000-7000-8000-000000000000'')'),
  ('SELECT decide.refuse_change(''x'')'), ('SELECT decide.may_erase()'), ('SELECT decide.make_immutable(''decide.surface'')'), ('SELECT decide.candidate_names(''{1}'')'), ('SELECT decide.is_name(''x'')'), ('SELECT decide.is_finite(1)'),
  ('SELECT decide.blocked_reason(1)'), ('SELECT decide.blocked_reasons(''{1}'')'), ('SELECT decide.candidate_numbers(''{1}'')'), ('SELECT decide.places(1, 2)'), ('SELECT decide.deferred(1)'), ('SELECT decide.deferred(1.5::float8)'), ('SELECT decide.first_identifier(now())'), ('SELECT * FROM decide.oldest_snapshot()'), ('SELECT * FROM decide.image_files()'), ('SELECT * FROM decide.reason_catalog()'), ('SELECT decide.cap_definition(NULL)'), ('SELECT decide.cap_identity(NULL)'), ('SELECT decide.number_of_action(''nothing'')'), ('SELECT decide.number_shown(''{1}'', now(), ''nothing'')'), ('SELECT decide.rename(''action'', ''nothing'', ''nil'')'), ('SELECT decide.cap_values(NULL)'), ('SELECT decide.cap_window(now(), ''1 day'', ''UTC'', 1)'), ('SELECT decide.exposure_entries(''{}'')'), ('SELECT decide.first_moment(''2026-01-01'', ''UTC'')'),
  ('SELECT decide.feature_definition(NULL)'), ('SELECT decide.feature_content(NULL, 0)'), ('SELECT * FROM decide.selection_catalog()'), ('SELECT * FROM decide.cap_catalog()'),
  ('SELECT decide.track_table(NULL, ''{}'')'), ('SELECT decide.untrack_table(''calls'')'), ('SELECT decide.track_rows()'),
  ('SELECT decide.mapped(''{}'')'), ('SELECT decide.column_types(''calls'', ''{}'')'), ('SELECT decide.mapping_fault(''{}'', ''{}'')'),
  ('SELECT decide.whole_mapping(''calls'', ''{}'')'), ('SELECT decide.source_sql(''""'', ''{}'', ''n'')'), ('SELECT decide.key_sql(''{}'', ''{}'', ''n'')'),
  ('SELECT decide.when_sql(''{}'', ''{}'', ''n'')'), ('SELECT decide.event_sql(''{}'', ''{}'', ''n'')'), ('SELECT decide.events_sql(''{}'', ''{}'', ''INSERT'', ''n'', true)'),
  ('SELECT decide.quarantine_rows(''calls'', ''order'', 1, ''XX000'')'), ('SELECT * FROM decide.take_rows(''{}'')'), ('SELECT decide.revoke_all(''decide.surface'')'),
  ('SELECT decide.default_jobs()'), ('SELECT decide.expire(''event'', ''at'', ''-infinity'')'), ('SELECT decide.expire_type(''click'', ''-infinity'')'), ('SELECT decide.put_job()'), ('SELECT decide.reschedule_job()'), ('SELECT decide.receive_event()'), ('SELECT decide.announce_erasure(''decide.user_state'')'),
  ('INSERT INTO decide.event_inbox (event) VALUES (''{}'')'), ('INSERT INTO decide.event_inbox (event, user_key) VALUES (''{}'', NULL)'), ('UPDATE decide.job SET every = ''1 hour'', enabled = true WHERE false'),
  ('SET pg_decide.seed = 1'), ('SET pg_decide.erasing = on'), ('SET pg_decide.rule_role = postgres'), ('SET pg_decide.max_context_bytes = ''16MB'''), ('SET pg_decide.partitions_ahead = 366'), ('SET pg_decide.event_retention = 1'), ('SET pg_decide.trace_retention = 1'), ('SET pg_decide.quarantine_retention = 1'), ('SET pg_decide.snapshot_max_age = 1'), ('SET pg_decide.track_lock_timeout = 1'), ('SET pg_decide.cautious_candidates = 1'), ('SET pg_decide.cautious_exploration = 1'), ('SET pg_decide.cautious_caps = 1'),
  ('SELECT decide.ips(1, 1, 1)'), ('SELECT decide.snips(1, 1, 1)'), ('SELECT decide.cips(1, 1, 1, 1)'), ('SELECT decide.dm(1)'), ('SELECT decide.dr(1, 1, 1, 1, 1)'), ('SELECT decide.sndr(1, 1, 1, 1, 1)'),
  ('SELECT decide.switch_dr(1, 1, 1, 1, 1, 1)'), ('SELECT decide.dros(1, 1, 1, 1, 1, 1)'), ('SELECT decide.normal_interval(NULL)'), ('SELECT decide.bernstein_interval(NULL, 1)'),
  ('SELECT FROM decide.evaluate_policy(''home'', 1)'), ('SELECT FROM decide.compare_policies(''home'', bundle => 1)'), ('SELECT FROM decide.exploration_value(''home'')'), ('SELECT FROM decide.predictions(''home'', ''m:1'')'), ('SELECT FROM decide.reliability(''home'', ''m:1'')'), ('SELECT decide.calibrate(''m:1'', ''home'')'), ('SELECT FROM decide.rewards(''click'', now(), now())'),
  ('SELECT FROM decide.estimate_propensities(NULL, ''{}'')'), ('SELECT FROM decide.propensity_balance(NULL, ''{}'')'), ('SELECT decide.policy_content(NULL)'),
  ('SELECT FROM decide.variants(''ann'', ''home'')'), ('SELECT FROM decide.variants(1, ''home'')'), ('SELECT decide.start_experiment(''none'')'), ('SELECT decide.stop_experiment(''none'')'), ('SELECT decide.conclude_experiment(''none'', ''none'')'),
  ('SELECT decide.change_experiment(''none'', ''start'', NULL)'), ('SELECT decide.change_experiment_rows(''none'', ''start'', NULL)'), ('SELECT decide.take_over_variant(NULL, NULL)'), ('SELECT decide.experiment_content(NULL, 1)'),
  ('SELECT decide.note_experiment()'), ('SELECT FROM decide.experiment_moments(''none'', ''click'')'), ('SELECT FROM decide.experiment_result(''none'', ''click'')'),
  ('SELECT FROM decide.compare_variants(array_fill(2::float8, ARRAY[9]), array_fill(3::float8, ARRAY[9]))'), ('SELECT decide.sample_ratio_p(''{1}'', ''{1}'')'), ('SELECT decide.adjust_p_values(''{0.1}'')'),
  ('SELECT decide.normal_bounds(1, 1, 0.9)'), ('SELECT decide.bernstein_bounds(1, 1, 9, 1, 0.9)'), ('SELECT decide.qini(1, true, 1)'), ('SELECT decide.auuc(1, true, 1)'), ('SELECT decide.causalml_qini(1, true, 1)'),
  ('SELECT decide.causalml_auuc(1, true, 1)'), ('SELECT decide.uplift_at(1, true, 1, 0.5, ''overall'')'), ('SELECT decide.uplift_curve(1, true, 1)'), ('SELECT decide.uplift_curve(1, true, 1, 9)'),
  ('SELECT decide.uplift_by_bin(1, true, 1, 10, ''overall'')'), ('SELECT decide.uplift_calibration(1, true, 1, 10, ''overall'')'), ('SELECT decide.bucket(''a'', ''b'')'), ('SELECT decide.choose_variation(0.5, 1, ''{1}'')'),
  ('CREATE TABLE decide.mine ()');
INSERT INTO calls VALUES
  ('SELECT decide.erase(''nobody'')'), ('SELECT decide.erase(1)'), ('SELECT decide.erase(''{}''::uuid[])'), ('SELECT decide.export_person(''nobody'')'),
  ('SELECT decide.set_legal_hold(''nobody'', ''x'')'), ('SELECT decide.lift_legal_hold(''nobody'')'), ('SELECT decide.set_consent(''nobody'', ''x'', true)'),
  ('SELECT decide.set_consents(''{}'')'), ('SELECT * FROM decide.consent(''nobody'')'), ('SELECT decide.begin_erasure()'), ('SELECT decide.user_keys(''ann'')'), ('SELECT decide.user_keys(1)'), ('SELECT decide.key_number(gen_random_uuid())'),
  ('SELECT decide.set_region(''nobody'', NULL)'), ('SELECT decide.set_region(1::bigint, NULL)'), ('SELECT decide.set_region(NULL::uuid, NULL)'), ('SELECT * FROM decide.simulate_traffic()'), ('SELECT * FROM decide.compare_bundles(1, 1)'),
  ('SELECT decide.rotate_pseudonyms()'), ('SELECT decide.settle_pseudonyms()'), ('SELECT decide.pseudonyms_without_row(1)'), ('SELECT decide.move_rows(NULL, NULL)'), ('SELECT decide.kept_under(15)'), ('SELECT decide.is_still_kept(15, NULL, NULL)'),
  ('SELECT decide.key_to_check()'), ('SELECT decide.forget_moved(15, NULL)'), ('SELECT decide.repoint_moved(15, NULL)'), ('SELECT decide.retire_key(15)'), ('SELECT decide.forget_corrections(NULL)'), ('SELECT * FROM decide.erase_next(NULL, NULL, ''{}'')'),
  ('SELECT decide.finish_erasure(NULL, ''{}'')'), ('SELECT decide.tidy_erasures(NULL)'), ('SELECT decide.open_transactions()'), ('SELECT * FROM decide.erasure_parts()'),
  ('SELECT decide.erasable(''trace'', true)'), ('SELECT decide.reserves_of_budget(NULL)');
INSERT INTO calls VALUES
  ('SELECT decide.credit_outcomes(now())'), ('SELECT FROM decide.outcome_estimates()'), ('SELECT FROM decide.outcome_types_in_force()'), ('SELECT decide.number_in_event(1, NULL, ''value'')'), ('SELECT decide.within(1, 2)'),
  ('SELECT decide.settled_before(''0'')'), ('SELECT decide.longest_look_back()'), ('SELECT decide.copy_decisions(now(), 1)'), ('SELECT decide.was_followed(NULL, 1, ''x'', now())'),
  ('SELECT decide.slot_of_match(NULL, now(), NULL, 1, NULL)'), ('SELECT decide.exposure_before(NULL, now(), NULL, 1, NULL, 1)'), ('SELECT decide.settle_reversals(''{}'', ''{}'', ''{}'')'), ('SELECT decide.credit_next(1, now())'),
  ('SELECT decide.move_outcomes(NULL, NULL)'), ('SELECT decide.expire_outcomes(''-infinity'')'), ('SELECT decide.fit_delay(''{}'', ''{}'', ''{}'')'), ('SELECT decide.still_to_come(1, 1, 1, 1, 1)'), ('SELECT decide.seen_by_now(1, 1, 1, 1)'),
  ('SELECT decide.fit_delays(now(), 1)'), ('SELECT FROM decide.newest_delays()');
CREATE FUNCTION attempt(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', role);
  EXECUTE statement;
  RAISE EXCEPTION USING ERRCODE = 'P0099';
EXCEPTION
  WHEN SQLSTATE 'P0099' THEN RETURN 'yes';
  WHEN insufficient_privilege THEN RETURN '-';
  WHEN OTHERS THEN RETURN SQLSTATE;
END
$$;
SELECT call, attempt('regress_priv_nobody', call) AS nobody, attempt('regress_priv_serve', call) AS serve, attempt('regress_priv_analyse', call) AS analyse,
       attempt('regress_priv_operate', call) AS operate, attempt('regress_priv_rules', call) AS rules, attempt('regress_priv_monitor', call) AS monitor
  FROM calls;
-- a function that is not in that list would go unnoticed; those that take internal are for aggregates alone, and granted to nobody
SELECT p.oid::regprocedure FROM mine JOIN pg_proc AS p ON p.oid = objid AND classid = 'pg_proc'::regclass
 WHERE NOT EXISTS (SELECT 1 FROM calls WHERE call LIKE '%' || p.proname || '(%') AND NOT 'internal'::regtype = ANY (p.proargtypes);
SELECT p.oid::regprocedure, a.grantee::regrole FROM mine JOIN pg_proc AS p ON p.oid = objid AND classid = 'pg_proc'::regclass, aclexplode(p.proacl) AS a
 WHERE 'internal'::regtype = ANY (p.proargtypes) AND a.grantee <> p.proowner;

CREATE FUNCTION table_rights(role text, relation text) RETURNS text LANGUAGE sql AS $$
  SELECT COALESCE(string_agg(what, ' ' ORDER BY o), '-') FROM (VALUES (1, 'select', 'SELECT 1 FROM %s LIMIT 1'), (2, 'insert', 'INSERT INTO %s SELECT * FROM %1$s LIMIT 0'),
    (3, 'update', 'UPDATE %s SET %I = DEFAULT WHERE false'), (4, 'delete', 'DELETE FROM %s WHERE false'), (5, 'truncate', 'TRUNCATE %s'), (6, 'lock', 'LOCK TABLE %s IN ACCESS EXCLUSIVE MODE')) AS w (o, what, statement)
   WHERE attempt(role, format(statement, relation, (SELECT attname FROM pg_attribute WHERE attrelid = relation::regclass AND attnum = 1))) = 'yes'
$$;
SELECT c.relname, table_rights('regress_priv_nobody', c.oid::regclass::text) AS nobody, table_rights('regress_priv_serve', c.oid::regclass::text) AS serve,
       table_rights('regress_priv_analyse', c.oid::regclass::text) AS analyse, table_rights('regress_priv_operate', c.oid::regclass::text) AS operate,
       table_rights('regress_priv_rules', c.oid::regclass::text) AS rules, table_rights('regress_priv_monitor', c.oid::regclass::text) AS monitor
  FROM pg_class AS c WHERE c.relnamespace = 'decide'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S', 'm', 'f') AND c.relname !~ '_\d{8}$' ORDER BY 1;
-- the partitions of days are nobody's either
SELECT DISTINCT table_rights(role, c.oid::regclass::text) FROM pg_class AS c, (VALUES ('regress_priv_serve'), ('regress_priv_analyse'), ('regress_priv_operate'), ('regress_priv_monitor')) AS r (role)
 WHERE c.relnamespace = 'decide'::regnamespace AND c.relname ~ '_\d{8}$';

-- each access, used by its role, whatever the search_path
SET ROLE regress_priv_operate;
INSERT INTO decide.action (action) VALUES ('offer');
SELECT decide.publish('by the operator');
SELECT count(*) FROM decide.explain('ann', 'home');
RESET ROLE;
SET ROLE regress_priv_analyse;
SELECT slot, action, candidates, bundle FROM decide.decision;
SELECT bundle, note FROM decide.bundle_history;
RESET ROLE;

-- an access that is taken back leaves what another access of the role takes
SELECT decide.grant('regress_priv_nobody', job) FROM unnest(ARRAY['analyse', 'operate']) AS job;
SELECT decide.revoke('regress_priv_nobody', 'analyse');
SELECT count(*) FILTER (WHERE attempt('regress_priv_nobody', call) <> attempt('regress_priv_operate', call)) AS differ FROM calls;
SELECT decide.revoke('regress_priv_nobody', 'operate');
SELECT count(*) FROM calls WHERE attempt('regress_priv_nobody', call) <> '-';
SELECT role, access FROM decide.role_access ORDER BY 1, 2;
SELECT decide.revoke('regress_priv_nobody', 'dancing');
SELECT decide.grant('nobody at all', 'serve');
SELECT decide.grant('public', 'serve');
SELECT decide.grant(NULL, 'serve');

-- a role that is renamed has its access still; one that has the name of another has not
SELECT decide.grant('regress_priv_nobody', job) FROM unnest(ARRAY['analyse', 'operate']) AS job;
ALTER ROLE regress_priv_nobody RENAME TO regress_priv_renamed;
SELECT decide.revoke('regress_priv_renamed', 'analyse');
SELECT count(*) FILTER (WHERE attempt('regress_priv_renamed', call) <> attempt('regress_priv_operate', call)) AS differ FROM calls;
SELECT role, access FROM decide.role_access WHERE role ~ 'nobody|renamed' ORDER BY 1, 2;
DROP OWNED BY regress_priv_renamed;
DROP ROLE regress_priv_renamed;
CREATE ROLE regress_priv_renamed;
SELECT decide.grant('regress_priv_renamed', 'analyse'), decide.revoke('regress_priv_renamed', 'analyse');
SELECT count(*) FROM calls WHERE attempt('regress_priv_renamed', call) <> '-';
SELECT role, access FROM decide.role_access WHERE role ~ 'nobody|renamed' ORDER BY 1, 2;
ALTER ROLE regress_priv_renamed RENAME TO regress_priv_nobody;

-- however the arguments are typed; and by their former name
PREPARE by_text (text, text) AS SELECT decide.grant($1, $2);
PREPARE by_varchar (varchar, varchar) AS SELECT decide.grant($1, $2);
PREPARE by_name (name, name) AS SELECT decide.grant($1, $2);
PREPARE untyped AS SELECT decide.grant($1, $2);
EXECUTE by_text ('regress_priv_nobody', 'serve');
EXECUTE by_varchar ('regress_priv_nobody', 'analyse');
EXECUTE by_name ('regress_priv_nobody', 'operate');
EXECUTE untyped ('regress_priv_nobody', 'rules');
SELECT role, access FROM decide.role_access WHERE role ~ 'nobody' ORDER BY 1, 2;
SELECT decide.revoke('regress_priv_nobody', 'serve'), decide.revoke('regress_priv_nobody'::text, 'analyse'::text), decide.revoke(access => 'rules', role => 'regress_priv_nobody');
SELECT decide.revoke('regress_priv_nobody', job => 'operate'), decide.grant(job => 'serve', role => 'regress_priv_nobody');
SELECT decide.grant('regress_priv_nobody', job => 'dancing');
SELECT role, job, role_id = (SELECT oid FROM pg_roles WHERE rolname = role) AS known FROM decide.role_job WHERE role ~ 'nobody' ORDER BY 1, 2;
SELECT count(*) AS differ FROM (SELECT * FROM decide.job_rights('serve') EXCEPT SELECT * FROM decide.access_rights('serve')) AS d;
SELECT decide.revoke('regress_priv_nobody', job => 'serve');
-- the rows of a dump that has the former name
COPY decide.role_job (role, job, role_id) FROM stdin;
regress_priv_nobody	analyse	1
\.
SELECT role, access, role_id = (SELECT oid FROM pg_roles WHERE rolname = role) AS known FROM decide.role_access WHERE role ~ 'nobody' ORDER BY 1, 2;
SELECT decide.revoke('regress_priv_nobody', 'analyse');
SELECT count(*) FROM calls WHERE attempt('regress_priv_nobody', call) <> '-';

-- what is granted can be taken back, and leaves nothing
SELECT decide.revoke('regress_priv_' || job, job) FROM unnest(ARRAY['serve', 'analyse', 'operate', 'rules', 'monitor']) AS job;
SELECT count(*) FROM calls, unnest(ARRAY['serve', 'analyse', 'operate', 'rules', 'monitor']) AS job WHERE attempt('regress_priv_' || job, call) <> '-' ;
DROP ROLE regress_priv_nobody, regress_priv_serve, regress_priv_analyse, regress_priv_operate, regress_priv_rules, regress_priv_monitor;
