-- Regions: what differs where. Published with the rest, as overlays over the bundle.

CREATE TABLE decide.region (
  region text PRIMARY KEY,
  opt_in text[] NOT NULL DEFAULT '{}',
  opt_out text[] NOT NULL DEFAULT '{}',
  not_allowed text[] NOT NULL DEFAULT '{}',
  features_out text[] NOT NULL DEFAULT '{}',
  actions_out text[] NOT NULL DEFAULT '{}',
  campaigns_out text[] NOT NULL DEFAULT '{}',
  cap_limits jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(cap_limits) = 'object'),
  explores boolean NOT NULL DEFAULT true,
  selection text,
  params jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(params) = 'object'),
  description text,
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid() UNIQUE
);
COMMENT ON TABLE decide.region IS 'What differs in which region; while there are none, nothing does';
COMMENT ON COLUMN decide.region.region IS 'Name, as users, contexts and events say it; unknown: what holds besides for those of no known region';
COMMENT ON COLUMN decide.region.opt_in IS 'Purposes that are denied here until they are granted';
COMMENT ON COLUMN decide.region.opt_out IS 'Purposes that are granted here until they are denied';
COMMENT ON COLUMN decide.region.not_allowed IS 'Purposes that are denied here, whatever was granted';
COMMENT ON COLUMN decide.region.features_out IS 'Features of users that decisions do not see here';
COMMENT ON COLUMN decide.region.actions_out IS 'Actions that are not shown here';
COMMENT ON COLUMN decide.region.campaigns_out IS 'Campaigns whose actions are not shown here';
COMMENT ON COLUMN decide.region.cap_limits IS 'Lower limits of caps per user or decision, by the name of the cap';
COMMENT ON COLUMN decide.region.explores IS 'Whether policies may explore here; if not they choose as with no exploration, and without min_probability';
COMMENT ON COLUMN decide.region.selection IS 'Selection of all policies here (null: their own)';
COMMENT ON COLUMN decide.region.params IS 'Its parameters, as decide.policy has them';
COMMENT ON COLUMN decide.region.description IS 'For people';
COMMENT ON COLUMN decide.region.id IS 'What stays when the name changes: the rows of users know the region by it';

-- Not SECURITY DEFINER: within an index or a view of somebody else they refuse their caller.
CREATE FUNCTION decide.set_region(user_id text, region text, at timestamptz DEFAULT pg_catalog.clock_timestamp()) RETURNS boolean
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_region_text_wrapper';
COMMENT ON FUNCTION decide.set_region(text, text, timestamptz) IS
  'Records the region of a person (null: it is not known), in force from commit on; false if a newer one is known';
CREATE FUNCTION decide.set_region(user_id bigint, region text, at timestamptz DEFAULT pg_catalog.clock_timestamp()) RETURNS boolean
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_region_bigint_wrapper';
COMMENT ON FUNCTION decide.set_region(bigint, text, timestamptz) IS
  'Records the region of a person (null: it is not known), in force from commit on; false if a newer one is known';
CREATE FUNCTION decide.set_region(user_id uuid, region text, at timestamptz DEFAULT pg_catalog.clock_timestamp()) RETURNS boolean
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_region_uuid_wrapper';
COMMENT ON FUNCTION decide.set_region(uuid, text, timestamptz) IS
  'Records the region of a person (null: it is not known), in force from commit on; false if a newer one is known';
