-- Synthetic traffic: what a bundle would decide on requests of the past. Nothing is written.

CREATE FUNCTION decide.simulate_traffic(
  bundle bigint DEFAULT NULL, surface text DEFAULT NULL, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity', requests integer DEFAULT 1000)
RETURNS TABLE (decision_id uuid, surface text, region text, slot integer, action text, probability double precision, reason text, was text)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'simulate_traffic_wrapper';
COMMENT ON FUNCTION decide.simulate_traffic(bigint, text, timestamptz, timestamptz, integer) IS
  'What a bundle (null: the one in force) would decide now on the newest requests of the past, and what was shown then; writes nothing';

CREATE FUNCTION decide.compare_bundles(
  before bigint, after bigint, surface text DEFAULT NULL, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity',
  requests integer DEFAULT 1000, cohort text DEFAULT 'region')
RETURNS TABLE (surface text, cohort text, requests bigint, changed bigint, distance double precision, fallbacks_before bigint, fallbacks_after bigint)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'compare_bundles_wrapper';
COMMENT ON FUNCTION decide.compare_bundles(bigint, bigint, text, timestamptz, timestamptz, integer, text) IS
  'What one bundle would decide otherwise than another on the newest requests of the past, by surface and by region or a context field; writes nothing';
