-- Rights: nothing is public; decide.grant gives a role what one kind of access takes; pg_dump keeps the rows.

CREATE FUNCTION decide.access_rights(access text) RETURNS TABLE (rights text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH verbs AS (
    SELECT p.oid, p.proname::text AS name, CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END AS kind FROM pg_proc AS p
      JOIN pg_extension AS x ON x.extname = 'pg_decide'
      JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refobjid = x.oid AND d.deptype = 'e'
  )
  SELECT 'USAGE', 'SCHEMA decide' WHERE access IN ('serve', 'analyse', 'operate', 'rules', 'monitor', 'privacy', 'consent')
  UNION ALL
  SELECT 'USAGE', 'SCHEMA ' || x.extnamespace::regnamespace::text FROM pg_extension AS x WHERE x.extname = 'pg_decide' AND access = 'serve'
  UNION ALL
  SELECT 'USAGE', 'TYPE decide.' || t FROM unnest(ARRAY['choice', 'page_choice', 'batch_choice']) AS t WHERE access = 'serve'
  UNION ALL
  SELECT 'USAGE', 'TYPE decide.' || t FROM unnest(ARRAY['estimate', 'bounds', 'uplift_point', 'uplift_bin', 'uplift_fit']) AS t WHERE access = 'analyse'
  UNION ALL
  SELECT 'INSERT (event)', 'TABLE decide.event_inbox' WHERE access = 'serve'
  UNION ALL
  SELECT 'UPDATE (every, enabled)', 'TABLE decide.job' WHERE access = 'operate'
  UNION ALL
  SELECT r, 'TABLE decide.breaker' FROM unnest(ARRAY['SELECT', 'DELETE']) AS r WHERE access = 'operate'
  UNION ALL
  SELECT 'EXECUTE', v.kind || v.oid::regprocedure::text FROM verbs AS v
   WHERE (access = 'serve' AND v.name IN ('decide', 'decide_batch', 'decide_each', 'batch_statements', 'batch_user', 'track', 'variants'))
      OR (access = 'analyse' AND v.name IN ('action_name', 'action_names', 'blocked_reason', 'blocked_reasons', 'reason_catalog', 'candidate_names', 'candidate_numbers', 'places', 'deferred', 'first_identifier', 'is_finite', 'decided_at', 'slot_probabilities',
                                            'training_set', 'feature_definition', 'simulate_pacing', 'cap_window', 'first_moment', 'number_of_action', 'number_shown',
                                            'selection_catalog', 'cap_catalog',
                                            'ips', 'snips', 'cips', 'dm', 'dr', 'sndr', 'switch_dr', 'dros', 'normal_interval', 'normal_bounds', 'bernstein_interval',
                                            'bernstein_bounds', 'qini', 'auuc', 'causalml_qini', 'causalml_auuc', 'uplift_at', 'uplift_curve', 'uplift_by_bin',
                                            'uplift_calibration', 'bucket', 'choose_variation', 'evaluate_policy', 'compare_policies', 'exploration_value', 'predictions', 'reliability', 'estimate_propensities', 'propensity_balance', 'rewards', 'outcome_estimates', 'outcome_types_in_force',
                                            'compare_variants', 'sample_ratio_p', 'adjust_p_values', 'experiment_moments', 'experiment_result'))
      OR (access = 'monitor' AND v.name IN ('oldest_snapshot', 'image_files', 'cap_window', 'first_moment', 'cap_catalog', 'first_identifier'))
      OR (access = 'operate' AND v.name IN (
            'publish', 'rollback', 'variants', 'start_experiment', 'stop_experiment', 'conclude_experiment', 'change_experiment', 'change_experiment_rows', 'take_over_variant', 'experiment_content', 'set_mode', 'kill', 'revive', 'adjust_budget', 'adjust_exposure', 'merge_users', 'release_quarantine', 'release_all', 'bundle_diff', 'explain', 'simulate_traffic', 'compare_bundles', 'features', 'replay', 'run_job', 'train', 'calibrate', 'approve', 'evaluate_policy', 'compare_policies', 'exploration_value', 'predictions', 'reliability', 'rewards',
            'import_decisions', 'track_table', 'untrack_table', 'make_triggers', 'drop_triggers', 'track_rows', 'whole_mapping', 'column_types', 'mapped',
            'is_name', 'is_finite', 'feature_definition', 'feature_content', 'candidate_names', 'candidate_numbers', 'places', 'deferred', 'first_identifier', 'action_name', 'action_names', 'blocked_reason', 'blocked_reasons', 'reason_catalog', 'oldest_snapshot', 'image_files', 'cap_definition', 'cap_identity', 'cap_window', 'first_moment', 'cap_values', 'number_of_action', 'number_shown', 'rename', 'rename_rows', 'exposure_entries', 'decided_at',
            'slot_probabilities', 'backfill', 'feature_consistency', 'training_set', 'simulate_pacing', 'selection_catalog', 'cap_catalog', 'credit_outcomes', 'outcome_estimates'))
      OR (access = 'privacy' AND v.name IN ('erase', 'export_person', 'set_legal_hold', 'lift_legal_hold', 'user_key', 'user_keys', 'key_number', 'rotate_pseudonyms', 'set_consent', 'set_consents', 'set_region', 'consent'))
      OR (access = 'consent' AND v.name IN ('set_consent', 'set_consents', 'set_region', 'consent'))
  UNION ALL
  SELECT 'SELECT', 'TABLE decide.' || t FROM unnest(CASE access
    WHEN 'analyse' THEN ARRAY['decision', 'decision_detail', 'decision_candidate', 'kept_trace', 'surface', 'campaign', 'action', 'feature', 'cap', 'policy', 'feature_in_force', 'feature_slot', 'bundle_surface', 'action_version', 'policy_warning', 'outcome', 'identity', 'action_number', 'name_change', 'cap_slot', 'cap_in_force', 'bundle_history', 'model_version', 'event_type_usage', 'feature_catalog', 'entity_features', 'outcome_type', 'attributed_event', 'credited_outcome', 'uncredited_event', 'outcome_interim', 'outcome_final', 'outcome_delay',
                              'mode_in_force', 'switch_in_force', 'mode_change', 'switch_change', 'slo', 'budget', 'cap_hit', 'pacing', 'pacing_log', 'adjustment_history', 'experiment', 'variant', 'experiment_change', 'experiment_exposure']
    WHEN 'monitor' THEN ARRAY['health', 'image', 'job_status', 'breaker_status', 'bundle_history', 'mode_in_force', 'switch_in_force', 'slo', 'budget', 'policy_warning']
    WHEN 'operate' THEN ARRAY['decision', 'decision_detail', 'decision_candidate', 'kept_trace', 'bundle_surface', 'action_version', 'health', 'image', 'policy_warning', 'outcome', 'bundle_history', 'bundle', 'bundle_chunk', 'publication', 'model_version', 'credited_outcome', 'uncredited_event', 'outcome_interim', 'outcome_final', 'outcome_delay',
                              'identity', 'named', 'action_number', 'name_change', 'feature_slot', 'cap_slot', 'cap_in_force', 'budget_stripe', 'budget_level', 'exposure', 'quarantine', 'tracked_tables', 'event_type_usage',
                              'event_inbox', 'job', 'job_run', 'job_status', 'feature_catalog', 'feature_in_force', 'feature_statistic',
                              'entity_features', 'mode_in_force', 'switch_in_force', 'mode_change', 'switch_change', 'breaker_status', 'slo', 'budget', 'cap_hit', 'pacing', 'pacing_log', 'traffic_profile', 'adjustment_history', 'user_merge', 'experiment_change', 'experiment_exposure']
    WHEN 'privacy' THEN ARRAY['erasure', 'legal_hold', 'refused_event', 'job_status', 'consent_history', 'consent_log', 'pseudonym_key', 'context_field', 'uncoarsened', 'region']
    WHEN 'rules' THEN ARRAY['bundle_action'] END) AS t
  UNION ALL
  -- One by one: what another access takes of them stays when this one is taken back.
  SELECT r, 'TABLE decide.' || t
    FROM unnest(ARRAY['surface', 'campaign', 'action', 'feature', 'cap', 'policy', 'event_type', 'purpose', 'outcome_type', 'experiment', 'variant', 'experiment_override', 'context_field', 'region']) AS t, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r
   WHERE access = 'operate'
$$;
COMMENT ON FUNCTION decide.access_rights(text) IS 'The rights that a kind of access takes: serve, analyse, operate, rules, monitor, privacy or consent';

CREATE TABLE decide.role_access (
  role name NOT NULL,
  access text NOT NULL,
  role_id oid,
  usage_on name,
  PRIMARY KEY (role, access)
);
COMMENT ON TABLE decide.role_access IS 'Which role has been given which access by decide.grant';
COMMENT ON COLUMN decide.role_access.role IS 'Role, by the name that it had then';
COMMENT ON COLUMN decide.role_access.access IS 'Access: serve, analyse, operate, rules, monitor, privacy or consent';
COMMENT ON COLUMN decide.role_access.role_id IS
  'Role, by its OID: the same after a renaming, and another one where the name was given again; looked up anew when the row is restored';

COMMENT ON COLUMN decide.role_access.usage_on IS
  'Schema of decide() and track(), if decide.grant gave USAGE on it; the role had it otherwise, where this is null';

-- Restored elsewhere, a role has another OID.
CREATE FUNCTION decide.know_role() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  NEW.role_id := (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = NEW.role);
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION decide.know_role() IS 'Looks up the OID of the role that a row of decide.role_access names';
CREATE TRIGGER know_role BEFORE INSERT ON decide.role_access FOR EACH ROW EXECUTE FUNCTION decide.know_role();
ALTER TABLE decide.role_access ENABLE ALWAYS TRIGGER know_role;

-- The rows of roles that are gone go, and those of renamed ones take the new name.
CREATE FUNCTION decide.role_of(name name, access text) RETURNS oid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  role oid;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM decide.access_rights(role_of.access)) THEN
    RAISE EXCEPTION 'access "%" does not exist', left(role_of.access, 200) USING ERRCODE = 'undefined_object',
      HINT = 'Access is one of: serve, analyse, operate, rules, monitor, privacy, consent.';
  END IF;
  SELECT r.oid INTO role FROM pg_roles AS r WHERE r.rolname = role_of.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'role "%" does not exist', role_of.name USING ERRCODE = 'undefined_object';
  END IF;
  DELETE FROM decide.role_access AS a WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = a.role_id);
  UPDATE decide.role_access AS a SET role = r.rolname FROM pg_roles AS r WHERE r.oid = a.role_id AND r.rolname <> a.role;
  RETURN role;
END
$$;
COMMENT ON FUNCTION decide.role_of(name, text) IS
  'The role of a name, once decide.role_access is up to date; an error if there is no such role or access';

CREATE FUNCTION decide.grant(role name, access text) RETURNS void
LANGUAGE c
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'grant_access_wrapper';
COMMENT ON FUNCTION decide.grant(name, text) IS
  'Gives a role the rights of one access: serve (decide and track), analyse (read decisions), operate (edit and publish policy), rules (run eligibility rules), monitor (read how the server is doing), privacy (erase and export persons), consent (record consents)';
CREATE FUNCTION decide.revoke(role name, access text) RETURNS void
LANGUAGE c
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'revoke_access_wrapper';
COMMENT ON FUNCTION decide.revoke(name, text) IS 'Takes the rights of one access from a role, but for those that another access of it takes';

CREATE FUNCTION decide.grant_rights(role name, access text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  verbs CONSTANT regnamespace := (SELECT x.extnamespace FROM pg_extension AS x WHERE x.extname = 'pg_decide');
  usage_on name;
  needed record;
BEGIN
  PERFORM decide.role_of(role, access);
  FOR needed IN SELECT * FROM decide.access_rights(access) LOOP
    -- That schema is not ours, and DROP EXTENSION leaves it as it is: nothing is granted on it that the role has anyway.
    IF needed.object = 'SCHEMA ' || verbs::text THEN
      CONTINUE WHEN has_schema_privilege(role, verbs::oid, 'USAGE');
      usage_on := (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = verbs);
    END IF;
    EXECUTE format('GRANT %s ON %s TO %I', needed.rights, needed.object, role);
  END LOOP;
  INSERT INTO decide.role_access AS r (role, access, usage_on) VALUES (grant_rights.role, grant_rights.access, usage_on)
  ON CONFLICT (role, access) DO UPDATE SET usage_on = COALESCE(excluded.usage_on, r.usage_on);
END
$$;
COMMENT ON FUNCTION decide.grant_rights(name, text) IS 'What decide.grant does, without a limit of its own to waits for locks';

CREATE FUNCTION decide.revoke_rights(role name, access text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  needed record;
  known CONSTANT oid := decide.role_of(role, access);
  verbs CONSTANT regnamespace := (SELECT x.extnamespace FROM pg_extension AS x WHERE x.extname = 'pg_decide');
  given name;
BEGIN
  DELETE FROM decide.role_access AS r WHERE r.role_id = known AND r.access = revoke_rights.access RETURNING r.usage_on INTO given;
  -- What another access of the role takes stays.
  FOR needed IN
    SELECT n.rights, n.object FROM decide.access_rights(revoke_rights.access) AS n
    EXCEPT
    SELECT k.rights, k.object FROM decide.role_access AS o, decide.access_rights(o.access) AS k WHERE o.role_id = known
  LOOP
    CONTINUE WHEN needed.object = 'SCHEMA ' || verbs::text AND given IS NULL;
    EXECUTE format('REVOKE %s ON %s FROM %I', needed.rights, needed.object, role);
  END LOOP;
END
$$;
COMMENT ON FUNCTION decide.revoke_rights(name, text) IS 'What decide.revoke does, without a limit of its own to waits for locks';

-- The former names. The second parameter is a name here, so that a call with a text or a literal is never ambiguous:
-- it takes the functions above, and only `job => …` takes these.
CREATE FUNCTION decide.grant(role name, job name) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$ SELECT decide.grant(role, access => job::text) $$;
COMMENT ON FUNCTION decide.grant(name, name) IS 'Former spelling of decide.grant(role, access), for calls that name the argument job';
CREATE FUNCTION decide.revoke(role name, job name) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$ SELECT decide.revoke(role, access => job::text) $$;
COMMENT ON FUNCTION decide.revoke(name, name) IS 'Former spelling of decide.revoke(role, access), for calls that name the argument job';
CREATE FUNCTION decide.job_rights(job text) RETURNS TABLE (rights text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT a.rights, a.object FROM decide.access_rights(job) AS a $$;
COMMENT ON FUNCTION decide.job_rights(text) IS 'Former name of decide.access_rights';
CREATE VIEW decide.role_job AS
SELECT a.role, a.access AS job, a.role_id FROM decide.role_access AS a;
COMMENT ON VIEW decide.role_job IS 'Former name of decide.role_access; dumps that have its rows can be restored';
COMMENT ON COLUMN decide.role_job.role IS 'Role, by the name that it had then';
COMMENT ON COLUMN decide.role_job.job IS 'Access: serve, analyse, operate, rules, monitor, privacy or consent';
COMMENT ON COLUMN decide.role_job.role_id IS 'Role, by its OID';
-- COPY writes into a view by a trigger only.
CREATE FUNCTION decide.put_role_job() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO decide.role_access (role, access) VALUES (NEW.role, NEW.job);
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION decide.put_role_job() IS 'Puts a row that is inserted into decide.role_job into decide.role_access';
CREATE TRIGGER put_role_job INSTEAD OF INSERT ON decide.role_job FOR EACH ROW EXECUTE FUNCTION decide.put_role_job();

-- Functions and types are granted to PUBLIC when they are made, and anything to anybody by default privileges.
DO $$
DECLARE
  taken record;
BEGIN
  FOR taken IN
    WITH mine AS (
      SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS x ON x.oid = d.refobjid
       WHERE x.extname = 'pg_decide' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
    ), held (what, owner, rights) AS (
      SELECT format('ROUTINE %s', p.oid::regprocedure), p.proowner, COALESCE(p.proacl, acldefault('f', p.proowner))
        FROM mine AS m JOIN pg_proc AS p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
       UNION ALL
      SELECT format(CASE c.relkind WHEN 'S' THEN 'SEQUENCE %s' ELSE 'TABLE %s' END, c.oid::regclass), c.relowner, c.relacl
        FROM mine AS m JOIN pg_class AS c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
       UNION ALL
      SELECT format('TYPE %s', t.oid::regtype), t.typowner, COALESCE(t.typacl, acldefault('T', t.typowner))
        FROM mine AS m JOIN pg_type AS t ON t.oid = m.objid AND m.classid = 'pg_type'::regclass AND t.typelem = 0
        -- a row type that comes with a table gives nothing
       WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
       UNION ALL
      SELECT format('SCHEMA %s', n.oid::regnamespace), n.nspowner, n.nspacl
        FROM mine AS m JOIN pg_namespace AS n ON n.oid = m.objid AND m.classid = 'pg_namespace'::regclass
    )
    SELECT DISTINCT h.what, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
      FROM held AS h, aclexplode(h.rights) AS a WHERE a.grantee <> h.owner
  LOOP
    EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', taken.what, taken.grantee);
  END LOOP;
END
$$;

DO $$
DECLARE
  mine text;
BEGIN
  FOREACH mine IN ARRAY ARRAY[
    'surface', 'campaign', 'action', 'feature', 'cap', 'model_version', 'policy', 'event_type', 'bundle', 'bundle_chunk', 'publication',
    'identity', 'name_change', 'feature_slot', 'cap_slot', 'budget_stripe', 'budget_level', 'bundle_action', 'bundle_surface', 'bundle_warning', 'action_version', 'secret', 'user_state', 'entity_state', 'entity_snapshot', 'feature_key', 'event_default',
    'outcome_default', 'quarantine', 'event_inbox', 'trace_default', 'role_access', 'job',
    'mode_change', 'switch_change', 'pacing', 'pacing_log', 'traffic_profile', 'adjustment', 'user_merge',
    'erasure', 'erasing', 'erasure_part', 'tombstone', 'legal_hold', 'refused_event', 'purpose', 'consent_log', 'pseudonym_move',
    'outcome_type', 'bundle_outcome_type', 'outcome_queue', 'user_decision', 'attribution_progress', 'attributed_event', 'outcome_delay', 'experiment', 'variant', 'experiment_override', 'experiment_change',
    'context_field', 'uncoarsened', 'region']
  LOOP
    PERFORM pg_catalog.pg_extension_config_dump(('decide.' || mine)::pg_catalog.regclass, '');
  END LOOP;
END
$$;
