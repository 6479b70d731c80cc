-- Consent: what persons have decided about purposes. What holds is in their row; this is the record.

CREATE TABLE decide.consent_log (
  user_key uuid NOT NULL,
  purpose integer NOT NULL,
  at timestamptz NOT NULL,
  granted boolean NOT NULL,
  source text,
  held boolean NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  recorded_by text NOT NULL DEFAULT SESSION_USER,
  acting_as text NOT NULL,
  PRIMARY KEY (user_key, purpose, at, granted)
);
COMMENT ON TABLE decide.consent_log IS 'Every decision of a person about a purpose, in force or not; rows are added only, and go with an erasure';
COMMENT ON COLUMN decide.consent_log.user_key IS 'Pseudonym of the person';
COMMENT ON COLUMN decide.consent_log.purpose IS 'Number of the purpose, in decide.identity';
COMMENT ON COLUMN decide.consent_log.at IS 'When the person decided';
COMMENT ON COLUMN decide.consent_log.granted IS 'Whether consent was given, or denied';
COMMENT ON COLUMN decide.consent_log.source IS 'Where it was given: a form, a call, a document';
COMMENT ON COLUMN decide.consent_log.held IS 'Whether it came into force; not if a newer one was known';
COMMENT ON COLUMN decide.consent_log.recorded_at IS 'When it was recorded';
COMMENT ON COLUMN decide.consent_log.recorded_by IS 'Who recorded it (the session''s user)';
COMMENT ON COLUMN decide.consent_log.acting_as IS 'Role with whose rights';

-- The verbs leave a record that names their caller, so they are not SECURITY DEFINER.
CREATE FUNCTION decide.set_consent(user_id text, purpose text, granted boolean, source text DEFAULT NULL, at timestamptz DEFAULT pg_catalog.clock_timestamp()) RETURNS boolean
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_consent_text_wrapper';
COMMENT ON FUNCTION decide.set_consent(text, text, boolean, text, timestamptz) IS
  'Records that a person gives or denies consent to a purpose, in force from commit on; false if a newer decision is known';
CREATE FUNCTION decide.set_consent(user_id bigint, purpose text, granted boolean, source text DEFAULT NULL, at timestamptz DEFAULT pg_catalog.clock_timestamp()) RETURNS boolean
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_consent_bigint_wrapper';
COMMENT ON FUNCTION decide.set_consent(bigint, text, boolean, text, timestamptz) IS
  'Records that a person gives or denies consent to a purpose, in force from commit on; false if a newer decision is known';
CREATE FUNCTION decide.set_consent(user_id uuid, purpose text, granted boolean, source text DEFAULT NULL, at timestamptz DEFAULT pg_catalog.clock_timestamp()) RETURNS boolean
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_consent_uuid_wrapper';
COMMENT ON FUNCTION decide.set_consent(uuid, text, boolean, text, timestamptz) IS
  'Records that a person gives or denies consent to a purpose, in force from commit on; false if a newer decision is known';
CREATE FUNCTION decide.set_consents(consents jsonb[]) RETURNS bigint
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_consents_wrapper';
COMMENT ON FUNCTION decide.set_consents(jsonb[]) IS
  'Records the decisions of many persons: user_id, purpose, granted, at, and if wanted source; answers how many came into force';

CREATE FUNCTION decide.consent(user_id text)
RETURNS TABLE (purpose text, granted boolean, decided_at timestamptz)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'consent_text_wrapper';
COMMENT ON FUNCTION decide.consent(text) IS
  'What a person consents to now, as decide() and track() take it; decided_at is null where the default of the purpose holds';
CREATE FUNCTION decide.consent(user_id bigint)
RETURNS TABLE (purpose text, granted boolean, decided_at timestamptz)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'consent_bigint_wrapper';
COMMENT ON FUNCTION decide.consent(bigint) IS
  'What a person consents to now, as decide() and track() take it; decided_at is null where the default of the purpose holds';
CREATE FUNCTION decide.consent(user_id uuid)
RETURNS TABLE (purpose text, granted boolean, decided_at timestamptz)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'consent_uuid_wrapper';
COMMENT ON FUNCTION decide.consent(uuid) IS
  'What a person consents to now, as decide() and track() take it; decided_at is null where the default of the purpose holds';

CREATE VIEW decide.consent_history AS
SELECT l.user_key, i.name AS purpose, l.at, l.granted, l.source, l.held, l.recorded_at, l.recorded_by, l.acting_as
  FROM decide.consent_log AS l LEFT JOIN decide.identity AS i ON i.kind = 'purpose' AND i.number = l.purpose;
COMMENT ON VIEW decide.consent_history IS 'Decisions of persons about purposes, by name; filter by user_key = decide.user_key(…)';
COMMENT ON COLUMN decide.consent_history.user_key IS 'Pseudonym of the person';
COMMENT ON COLUMN decide.consent_history.purpose IS 'Purpose';
COMMENT ON COLUMN decide.consent_history.at IS 'When the person decided';
COMMENT ON COLUMN decide.consent_history.granted IS 'Whether consent was given, or denied';
COMMENT ON COLUMN decide.consent_history.source IS 'Where it was given: a form, a call, a document';
COMMENT ON COLUMN decide.consent_history.held IS 'Whether it came into force; not if a newer one was known';
COMMENT ON COLUMN decide.consent_history.recorded_at IS 'When it was recorded';
COMMENT ON COLUMN decide.consent_history.recorded_by IS 'Who recorded it (the session''s user)';
COMMENT ON COLUMN decide.consent_history.acting_as IS 'Role with whose rights';
