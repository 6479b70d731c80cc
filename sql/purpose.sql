-- Purposes: what persons consent to. Features, types of events, actions and campaigns name the one that they need.

CREATE TABLE decide.purpose (
  purpose text PRIMARY KEY,
  legal_basis text,
  consent text NOT NULL DEFAULT 'opt-in' CHECK (consent IN ('opt-in', 'opt-out')),
  description text,
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid() UNIQUE
);
COMMENT ON TABLE decide.purpose IS 'Purposes that persons consent to; while there are none, nothing needs consent';
COMMENT ON COLUMN decide.purpose.purpose IS 'Name';
COMMENT ON COLUMN decide.purpose.legal_basis IS 'Legal basis, for people';
COMMENT ON COLUMN decide.purpose.consent IS 'opt-in: denied until it is granted; opt-out: granted until it is denied';
COMMENT ON COLUMN decide.purpose.description IS 'For people';
COMMENT ON COLUMN decide.purpose.id IS 'What stays when the name changes: consents are found by it';
CREATE TRIGGER follow_name AFTER UPDATE ON decide.purpose FOR EACH ROW WHEN (OLD.purpose <> NEW.purpose)
  EXECUTE FUNCTION decide.follow_name();
COMMENT ON TRIGGER follow_name ON decide.purpose IS 'So that features, types of events, actions and campaigns follow a new name';
