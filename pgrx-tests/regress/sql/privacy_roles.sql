-- The accesses privacy and consent: each can do its work, and nothing else.
CREATE ROLE regress_officer;
CREATE ROLE regress_preferences;
CREATE ROLE regress_shop;
SELECT decide.grant('regress_officer', 'privacy'), decide.grant('regress_preferences', 'consent'), decide.grant('regress_shop', 'serve');
INSERT INTO decide.purpose (purpose) VALUES ('ads');
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
SELECT decide.publish();
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
SELECT call, attempt('regress_officer', call) AS privacy, attempt('regress_preferences', call) AS consent, attempt('regress_shop', call) AS serve
  FROM unnest(ARRAY[
    'SELECT decide.erase(''nobody'')', 'SELECT decide.erase(ARRAY[decide.user_key(1)])', 'SELECT decide.export_person(''nobody'')',
    'SELECT decide.set_legal_hold(''nobody'', ''x'')', 'SELECT decide.lift_legal_hold(''nobody'')', 'SELECT decide.set_consent(''nobody'', ''ads'', true)',
    'SELECT decide.set_consents(''{}'')', 'SELECT * FROM decide.consent(''nobody'')', 'SELECT decide.user_key(''nobody'')',
    'SELECT * FROM decide.erasure', 'SELECT * FROM decide.legal_hold', 'SELECT * FROM decide.refused_event', 'SELECT * FROM decide.consent_history',
    'SELECT * FROM decide.erasing', 'SELECT * FROM decide.tombstone', 'SELECT * FROM decide.user_state', 'SELECT * FROM decide.trace', 'SELECT * FROM decide.decision', 'SELECT * FROM decide.secret',
    'DELETE FROM decide.consent_log', 'UPDATE decide.erasure SET traces = 0', 'DELETE FROM decide.legal_hold', 'UPDATE decide.purpose SET consent = ''opt-out''',
    'SELECT decide.publish()', 'SELECT decide.run_job(''erasure'')', 'SELECT count(*) FROM public.decide(''nobody'', ''home'')', 'SELECT public.track(''{}''::jsonb)', 'SET pg_decide.tombstone_retention = 1']) AS call;
-- who has acted is the caller, also where a function that is SECURITY DEFINER calls
SET ROLE regress_officer;
SELECT decide.erase('ann') IS NOT NULL AS erased, decide.set_consent('bob', 'ads', true, 'form'), decide.set_legal_hold('cid', 'file 7');
RESET ROLE;
SELECT acting_as, asked_by = session_user AS own FROM decide.erasure;
SELECT acting_as FROM decide.consent_log;
SELECT acting_as FROM decide.legal_hold;
-- not within an index or a view that somebody else has made
CREATE TABLE public.trap (id text);
INSERT INTO public.trap VALUES ('ann');
CREATE FUNCTION public.erases(id text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT decide.erase(id) $$;
CREATE INDEX ON public.trap (public.erases(id));
SELECT decide.revoke('regress_officer', 'privacy'), decide.revoke('regress_preferences', 'consent'), decide.revoke('regress_shop', 'serve');
DROP ROLE regress_officer, regress_preferences, regress_shop;
