-- Experiments, once they run: who got which variant, and the verbs by which they start and end.

CREATE FUNCTION decide.variants(user_id text, surface text, context jsonb DEFAULT '{}')
RETURNS TABLE (experiment text, variant text, payload jsonb, changes boolean, overridden boolean, kept boolean)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'variants_text_wrapper';
CREATE FUNCTION decide.variants(user_id bigint, surface text, context jsonb DEFAULT '{}')
RETURNS TABLE (experiment text, variant text, payload jsonb, changes boolean, overridden boolean, kept boolean)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'variants_bigint_wrapper';
CREATE FUNCTION decide.variants(user_id uuid, surface text, context jsonb DEFAULT '{}')
RETURNS TABLE (experiment text, variant text, payload jsonb, changes boolean, overridden boolean, kept boolean)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'variants_uuid_wrapper';
COMMENT ON FUNCTION decide.variants(text, text, jsonb) IS
  'The variants that decide() of this moment would give a user, with their payloads; writes nothing, so that only decide() exposes';
COMMENT ON FUNCTION decide.variants(bigint, text, jsonb) IS 'The same for a user_id that is a number';
COMMENT ON FUNCTION decide.variants(uuid, text, jsonb) IS 'The same for a user_id that is a uuid';

CREATE VIEW decide.experiment_exposure AS
SELECT t.decision_id, t.decided_at, t.user_key, COALESCE(m.living, t.user_key) AS person, t.surface, t.bundle, x.name AS experiment, v.variant,
       t.variants[p.place] AS number, t.variants[p.place + 1] AS "position", t.variants[p.place + 2] & 1 <> 0 AS changed,
       t.variants[p.place + 2] & 2 <> 0 AS overridden, t.variants[p.place + 2] & 4 <> 0 AS kept, t.reason,
       CASE WHEN e.unit = 'user' THEN COALESCE(m.living, t.user_key)::text
            ELSE t.context_values[pg_catalog.array_position(b.context_fields, pg_catalog.substr(e.unit, 9))] END AS unit,
       b.features AS feature_names, t.features
  FROM decide.trace AS t
 CROSS JOIN LATERAL pg_catalog.generate_series(1, pg_catalog.cardinality(t.variants) - 2, 3) AS p (place)
  JOIN decide.identity AS x ON x.kind = 'experiment' AND x.number = t.variants[p.place]
  LEFT JOIN decide.experiment AS e ON e.id = x.id
  LEFT JOIN decide.variant AS v ON v.experiment = e.experiment AND v.position = t.variants[p.place + 1]
  LEFT JOIN (SELECT s.user_key AS living, pg_catalog.unnest(s.merged_from) AS merged FROM decide.user_state AS s WHERE s.merged_from IS NOT NULL) AS m
         ON m.merged = t.user_key
  LEFT JOIN decide.bundle_surface AS b ON b.bundle = t.bundle AND b.surface = t.surface
 WHERE t.variants IS NOT NULL
   AND NOT EXISTS (SELECT FROM decide.erasing AS e WHERE e.user_key = t.user_key AND t.decided_at <= COALESCE(e.until, 'infinity'));
COMMENT ON VIEW decide.experiment_exposure IS 'Which decision was made under which variant, one row for each experiment of a decision';
COMMENT ON COLUMN decide.experiment_exposure.decision_id IS 'Identifier of the decision, in order of time';
COMMENT ON COLUMN decide.experiment_exposure.decided_at IS 'When it was made';
COMMENT ON COLUMN decide.experiment_exposure.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.experiment_exposure.person IS 'The same, or the user into whom they were merged since';
COMMENT ON COLUMN decide.experiment_exposure.surface IS 'Surface';
COMMENT ON COLUMN decide.experiment_exposure.bundle IS 'Bundle in force';
COMMENT ON COLUMN decide.experiment_exposure.experiment IS 'Experiment';
COMMENT ON COLUMN decide.experiment_exposure.variant IS 'Variant (null: the unit was not known, so that there was none)';
COMMENT ON COLUMN decide.experiment_exposure.number IS 'Number of the experiment in traces';
COMMENT ON COLUMN decide.experiment_exposure."position" IS 'Position of the variant; -1: none';
COMMENT ON COLUMN decide.experiment_exposure.changed IS 'Whether the variant changed this request';
COMMENT ON COLUMN decide.experiment_exposure.overridden IS 'Whether it was a tester''s override';
COMMENT ON COLUMN decide.experiment_exposure.kept IS 'Whether the user kept it from before its weights changed';
COMMENT ON COLUMN decide.experiment_exposure.reason IS 'Why slots got the fallback (null: none did)';
COMMENT ON COLUMN decide.experiment_exposure.unit IS 'Unit that was assigned: the person, or the value of the context field';
COMMENT ON COLUMN decide.experiment_exposure.feature_names IS 'Names of the values in features';
COMMENT ON COLUMN decide.experiment_exposure.features IS 'Feature vector used';

-- The verbs run with the rights of their caller, who edits policy tables and publishes.
CREATE FUNCTION decide.start_experiment(experiment text, note text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM decide.change_experiment(experiment, 'start', NULL);
  RETURN decide.publish(COALESCE(note, 'start experiment ' || experiment));
END
$$;
COMMENT ON FUNCTION decide.start_experiment(text, text) IS 'Has an experiment run and publishes the policy tables; answers the number of the bundle';
CREATE FUNCTION decide.stop_experiment(experiment text, note text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM decide.change_experiment(experiment, 'stop', NULL);
  RETURN decide.publish(COALESCE(note, 'stop experiment ' || experiment));
END
$$;
COMMENT ON FUNCTION decide.stop_experiment(text, text) IS 'Ends an experiment, so that everybody gets what the surface has of its own, and publishes; answers the number of the bundle';
CREATE FUNCTION decide.conclude_experiment(experiment text, winner text, note text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM decide.change_experiment(experiment, 'conclude', winner);
  RETURN decide.publish(COALESCE(note, format('conclude experiment %s with %s', experiment, winner)));
END
$$;
COMMENT ON FUNCTION decide.conclude_experiment(text, text, text) IS
  'Ends an experiment, makes what its winner changes the policy of everybody, and publishes; answers the number of the bundle';

CREATE FUNCTION decide.change_experiment(experiment text, change text, winner text) RETURNS void
LANGUAGE c
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'change_experiment_wrapper';
COMMENT ON FUNCTION decide.change_experiment(text, text, text) IS
  'What decide.start_experiment, stop_experiment and conclude_experiment do before they publish';
CREATE FUNCTION decide.change_experiment_rows(experiment text, change text, winner text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  own decide.experiment;
  won decide.variant;
  due text[] := CASE change WHEN 'start' THEN ARRAY['draft', 'stopped'] WHEN 'stop' THEN ARRAY['running'] ELSE ARRAY['running', 'stopped'] END;
BEGIN
  IF experiment IS NULL OR change = 'conclude' AND winner IS NULL THEN
    RAISE EXCEPTION '% must not be null', CASE WHEN experiment IS NULL THEN 'experiment' ELSE 'winner' END USING ERRCODE = 'null_value_not_allowed';
  END IF;
  SELECT * INTO own FROM decide.experiment AS x WHERE x.experiment = experiment FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'experiment "%" does not exist', left(experiment, 200) USING ERRCODE = 'undefined_object',
      HINT = 'decide.experiment lists them.';
  END IF;
  IF own.status <> ALL (due) THEN
    RAISE EXCEPTION 'experiment "%" is %', experiment, own.status USING ERRCODE = 'object_not_in_prerequisite_state',
      DETAIL = format('Only one that is %s can be %s.', array_to_string(due, ' or '),
                      CASE change WHEN 'start' THEN 'started' WHEN 'stop' THEN 'stopped' ELSE 'concluded' END),
      HINT = 'decide.experiment_change says who has changed that, and when.';
  END IF;
  IF change = 'conclude' THEN
    SELECT * INTO won FROM decide.variant AS v WHERE v.experiment = experiment AND v.variant = winner;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'experiment "%" has no variant "%"', experiment, left(winner, 200) USING ERRCODE = 'undefined_object',
        HINT = 'decide.variant lists them.';
    END IF;
    PERFORM decide.take_over_variant(own, won);
  END IF;
  UPDATE decide.experiment AS x
     SET status = CASE change WHEN 'start' THEN 'running' WHEN 'stop' THEN 'stopped' ELSE 'analysed' END,
         seed = COALESCE(x.seed, x.experiment),
         started_at = COALESCE(x.started_at, clock_timestamp()),
         stopped_at = CASE change WHEN 'start' THEN NULL ELSE COALESCE(x.stopped_at, clock_timestamp()) END,
         winner = CASE change WHEN 'conclude' THEN winner ELSE x.winner END
   WHERE x.experiment = experiment;
END
$$;
COMMENT ON FUNCTION decide.change_experiment_rows(text, text, text) IS
  'What decide.change_experiment does, without a limit of its own to waits for locks';

CREATE FUNCTION decide.take_over_variant(experiment decide.experiment, variant decide.variant) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  wide text;
  its_surface text;
BEGIN
  IF variant.policy IS NOT NULL THEN
    SELECT p.surface INTO its_surface FROM decide.policy AS p WHERE p.policy = variant.policy;
    UPDATE decide.policy AS p SET for_variants = p.policy <> variant.policy
     WHERE p.policy = variant.policy OR p.surface = its_surface AND NOT p.for_variants;
  END IF;
  -- A cap may bind elsewhere as well.
  SELECT c.cap INTO wide FROM decide.cap AS c
   WHERE c.cap = ANY (variant.without_caps || variant.with_caps) AND experiment.surface IS NOT NULL AND c.surface IS DISTINCT FROM experiment.surface
   ORDER BY c.cap COLLATE "C" LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'cap "%" is not of the surface of experiment "%" alone', wide, experiment.experiment
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'The variant puts it in or takes it out on that surface, and a cap is for one surface or for all.',
            HINT = 'Give each surface a cap of its own first, or end the experiment with decide.stop_experiment and edit decide.cap.';
  END IF;
  UPDATE decide.cap AS c SET for_variants = c.cap = ANY (variant.without_caps)
   WHERE c.cap = ANY (variant.without_caps || variant.with_caps);
  UPDATE decide.action AS a SET for_variants = false WHERE a.action = ANY (variant.with_actions);
  -- An action leaves the surface of the experiment; one that has no other is for variants from then on.
  UPDATE decide.action AS a
     SET surfaces = CASE l.others WHEN '{}' THEN a.surfaces ELSE l.others END, for_variants = a.for_variants OR l.others = '{}'
    FROM decide.action AS o
   CROSS JOIN LATERAL (
     SELECT ARRAY(SELECT s.surface FROM decide.surface AS s
                   WHERE (o.surfaces = '{}' OR s.surface = ANY (o.surfaces)) AND s.surface <> experiment.surface
                   ORDER BY s.surface COLLATE "C") AS others) AS l
   WHERE o.action = a.action
     AND (experiment.surface IS NULL OR o.surfaces = '{}' OR experiment.surface = ANY (o.surfaces))
     AND (o.action = ANY (variant.without_actions) OR o.campaign = ANY (variant.without_campaigns)
          OR variant.without_attributes <> '{}' AND NOT EXISTS (
               SELECT FROM jsonb_each(variant.without_attributes) AS w (name, value)
                WHERE NOT COALESCE(o.attributes -> w.name = w.value
                                   OR jsonb_typeof(o.attributes -> w.name) = 'array' AND o.attributes -> w.name @> jsonb_build_array(w.value), false)));
END
$$;
COMMENT ON FUNCTION decide.take_over_variant(decide.experiment, decide.variant) IS
  'Makes what a variant changes the policy of everybody: its policy that of its surface, and caps and actions that it puts in or takes out';

-- Statistics of variants, pure functions of numbers.
CREATE FUNCTION decide.compare_variants(baseline double precision[], variant double precision[], kind text DEFAULT 'mean',
  alpha double precision DEFAULT 0.05, tuning double precision DEFAULT 5000, power double precision DEFAULT 0.8, effect double precision DEFAULT NULL)
RETURNS TABLE (mean double precision, baseline_mean double precision, difference double precision, std_error double precision, low double precision, high double precision,
               p_value double precision, lift double precision, lift_low double precision, lift_high double precision,
               always_low double precision, always_high double precision, always_p double precision, detectable double precision, times_as_many double precision)
LANGUAGE c IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'compare_variants_wrapper';
COMMENT ON FUNCTION decide.compare_variants(double precision[], double precision[], text, double precision, double precision, double precision, double precision) IS
  'How a variant differs from its baseline, each given by nine moments as decide.experiment_moments has them; kind is mean, ratio or adjusted';
CREATE FUNCTION decide.sample_ratio_p(counts bigint[], weights double precision[]) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'sample_ratio_p_wrapper';
COMMENT ON FUNCTION decide.sample_ratio_p(bigint[], double precision[]) IS
  'p-value of the counts of variants under their weights, by chi-square: a very small one is a sample ratio mismatch';
CREATE FUNCTION decide.adjust_p_values(p_values double precision[], correction text DEFAULT 'holm') RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'adjust_p_values_wrapper';
COMMENT ON FUNCTION decide.adjust_p_values(double precision[], text) IS
  'p-values corrected for their number, in their order: holm, benjamini-hochberg or none; nulls are left out and stay';

-- These are not SECURITY DEFINER: what they read, their caller may read.
CREATE FUNCTION decide.experiment_moments(
  experiment text, outcome text, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity', within interval DEFAULT NULL,
  per text DEFAULT 'user', covariate text DEFAULT NULL)
RETURNS TABLE ("position" integer, variant text, weight double precision, units bigint, decisions bigint, changed bigint, moments double precision[],
               multiple bigint, unknown bigint, overridden bigint, first_at timestamptz, last_at timestamptz)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
-- before PostgreSQL 18 so many expressions would be compiled for longer than they run
SET jit = off
AS $$
  WITH exposed AS MATERIALIZED (
    SELECT e.decision_id, e.user_key, e.decided_at, e."position", e.changed, e.overridden, e.unit,
           CASE WHEN experiment_moments.covariate IS NOT NULL THEN e.features[array_position(e.feature_names, experiment_moments.covariate)] END AS covariate
      FROM decide.experiment_exposure AS e
     WHERE e.experiment = experiment_moments.experiment AND e.decided_at >= "from" AND e.decided_at < "to"
       AND (within IS NULL OR e.decided_at <= now() - within)
  ), reward AS (
    SELECT r.decision_id, r.user_key, sum(r.reward) AS reward FROM decide.rewards(experiment_moments.outcome, "from", "to", within) AS r GROUP BY 1, 2
  ), base AS (
    SELECT r.decision_id, r.user_key, sum(r.reward) AS reward FROM decide.rewards(per, "from", "to", within) AS r WHERE per NOT IN ('user', 'decision') GROUP BY 1, 2
  ), unit AS (
    SELECT e.unit, min(e."position") AS "position", min(e."position") <> max(e."position") AS multiple, count(*) AS decisions, bool_or(e.changed) AS changed,
           min(e.decided_at) AS first_at, max(e.decided_at) AS last_at, COALESCE(sum(r.reward), 0) AS outcome,
           CASE per WHEN 'user' THEN 1 WHEN 'decision' THEN count(*) ELSE COALESCE(sum(b.reward), 0) END::double precision AS denominator,
           -- as it was at the first exposure, so that no variant has moved it
           CASE WHEN experiment_moments.covariate IS NOT NULL THEN COALESCE((array_agg(e.covariate ORDER BY e.decided_at, e.decision_id))[1], 0) ELSE 0 END AS covariate
      FROM exposed AS e
      LEFT JOIN reward AS r ON r.decision_id = e.decision_id AND r.user_key = e.user_key
      LEFT JOIN base AS b ON b.decision_id = e.decision_id AND b.user_key = e.user_key
     WHERE e."position" >= 0 AND NOT e.overridden AND e.unit IS NOT NULL
     GROUP BY e.unit
  ), summed AS (
    SELECT u."position", count(*) AS units, sum(u.decisions)::bigint AS decisions, count(*) FILTER (WHERE u.changed) AS changed,
           ARRAY[count(*), avg(u.outcome), COALESCE(var_samp(u.outcome), 0), avg(u.denominator), COALESCE(var_samp(u.denominator), 0),
                 COALESCE(covar_samp(u.outcome, u.denominator), 0), avg(u.covariate), COALESCE(var_samp(u.covariate), 0),
                 COALESCE(covar_samp(u.outcome, u.covariate), 0)]::double precision[] AS moments,
           min(u.first_at) AS first_at, max(u.last_at) AS last_at
      FROM unit AS u WHERE NOT u.multiple GROUP BY u."position"
  )
  SELECT v."position", v.variant, v.weight, COALESCE(s.units, 0), COALESCE(s.decisions, 0), COALESCE(s.changed, 0),
         COALESCE(s.moments, array_fill(0::double precision, ARRAY[9])),
         (SELECT count(*) FROM unit AS u WHERE u.multiple), (SELECT count(*) FROM exposed AS e WHERE e."position" < 0 OR e.unit IS NULL),
         (SELECT count(*) FROM exposed AS e WHERE e.overridden), s.first_at, s.last_at
    FROM decide.variant AS v LEFT JOIN summed AS s ON s."position" = v."position"
   WHERE v.experiment = experiment_moments.experiment
   ORDER BY v."position"
$$;
COMMENT ON FUNCTION decide.experiment_moments(text, text, timestamptz, timestamptz, interval, text, text) IS
  'What came of each variant, over the units that had no other: how many there are, and nine moments: number, mean and variance of the outcome, of the denominator, their covariance, mean and variance of the covariate, and its covariance with the outcome';

CREATE FUNCTION decide.experiment_result(
  experiment text, outcomes text[], "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL, within interval DEFAULT NULL,
  per text DEFAULT 'user', covariate text DEFAULT NULL, alpha double precision DEFAULT 0.05, tuning double precision DEFAULT 5000,
  correction text DEFAULT 'holm', power double precision DEFAULT 0.8, effect double precision DEFAULT NULL, srm_alpha double precision DEFAULT 0.001)
RETURNS TABLE (outcome text, variant text, baseline text, stage text, units bigint, baseline_units bigint, decisions bigint, changed bigint,
               mean double precision, baseline_mean double precision, difference double precision, std_error double precision,
               low double precision, high double precision, p_value double precision, lift double precision, lift_low double precision, lift_high double precision,
               always_low double precision, always_high double precision, always_p double precision, p_adjusted double precision, significant boolean,
               srm_p double precision, detectable double precision, units_needed bigint, days_needed double precision,
               multiple bigint, unknown bigint, overridden bigint, warning text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  own decide.experiment;
  kind text := CASE WHEN covariate IS NOT NULL THEN 'adjusted' WHEN per = 'user' THEN 'mean' ELSE 'ratio' END;
BEGIN
  SELECT * INTO own FROM decide.experiment AS x WHERE x.experiment = experiment_result.experiment;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'experiment "%" does not exist', left(experiment_result.experiment, 200) USING ERRCODE = 'undefined_object',
      HINT = 'decide.experiment lists them.';
  END IF;
  IF covariate IS NOT NULL AND per <> 'user' THEN
    RAISE EXCEPTION 'a covariate adjusts means of users alone' USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Leave out covariate, or per.';
  END IF;
  IF covariate IS NOT NULL AND NOT EXISTS (SELECT FROM decide.bundle_surface AS b WHERE covariate = ANY (b.features)) THEN
    RAISE EXCEPTION 'no decision has a feature "%"', left(covariate, 200) USING ERRCODE = 'undefined_object',
      HINT = 'decide.feature lists features; those that are kept per key are no covariates.';
  END IF;
  -- what else is wrong with the arguments
  PERFORM decide.adjust_p_values('{}', correction);
  PERFORM FROM decide.compare_variants(array_fill(0::double precision, ARRAY[9]), array_fill(0::double precision, ARRAY[9]), kind, alpha, tuning, power, effect);
  RETURN QUERY
  WITH asked AS (
    SELECT o.outcome, o.place FROM unnest(outcomes) WITH ORDINALITY AS o (outcome, place)
  ), moment AS MATERIALIZED (
    SELECT a.place, a.outcome AS of_outcome, m.*
      FROM asked AS a
     CROSS JOIN LATERAL decide.experiment_moments(experiment_result.experiment, a.outcome,
             COALESCE("from", own.started_at, '-infinity'), COALESCE("to", own.stopped_at, 'infinity'), within, per, covariate) AS m
  ), ratio AS (
    SELECT m.place, decide.sample_ratio_p(array_agg(m.units ORDER BY m."position"), array_agg(m.weight ORDER BY m."position")) AS srm_p,
           sum(m.units) AS units,
           sum(m.units) / NULLIF(GREATEST(EXTRACT(epoch FROM max(m.last_at) - min(m.first_at)) / 86400, 0), 0) AS units_a_day
      FROM moment AS m GROUP BY m.place
  ), pair AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY b.place, a."position", b."position") AS number, b.place, b.of_outcome, b.variant AS of_variant, a.variant AS of_baseline,
           b.units AS own_units, a.units AS base_units, b.decisions AS own_decisions, b.changed AS own_changed,
           b.multiple AS of_multiple, b.unknown AS of_unknown, b.overridden AS of_overridden, r.srm_p AS of_ratio, r.units AS all_units, r.units_a_day, c.*
      FROM moment AS b JOIN moment AS a ON a.place = b.place AND a."position" < b."position" JOIN ratio AS r ON r.place = b.place
     CROSS JOIN LATERAL decide.compare_variants(a.moments, b.moments, kind, alpha, tuning, power, effect) AS c
  ), adjusted AS (
    SELECT n.number, n.p
      FROM (SELECT decide.adjust_p_values(array_agg(CASE own.status WHEN 'running' THEN p.always_p ELSE p.p_value END ORDER BY p.number), correction) AS all_p FROM pair AS p) AS l
     CROSS JOIN LATERAL unnest(l.all_p) WITH ORDINALITY AS n (p, number)
  )
  SELECT p.of_outcome, p.of_variant, p.of_baseline, CASE own.status WHEN 'running' THEN 'interim' ELSE 'final' END,
         p.own_units, p.base_units, p.own_decisions, p.own_changed,
         p.mean, p.baseline_mean, p.difference, p.std_error, p.low, p.high, p.p_value, p.lift, p.lift_low, p.lift_high,
         p.always_low, p.always_high, p.always_p, a.p,
         CASE WHEN p.of_ratio < srm_alpha THEN NULL ELSE a.p < alpha END,
         p.of_ratio, p.detectable,
         CASE WHEN p.times_as_many < 1e12 THEN ceil(p.times_as_many * (p.own_units + p.base_units))::bigint END,
         CASE WHEN p.times_as_many < 1e12 THEN GREATEST(p.times_as_many - 1, 0) * p.all_units / p.units_a_day END::double precision,
         p.of_multiple, p.of_unknown, p.of_overridden,
         NULLIF(concat_ws('; ',
           CASE WHEN p.of_ratio < srm_alpha THEN 'sample ratio mismatch: units did not fall to variants by their weights, so nothing is said to be significant' END,
           CASE WHEN p.difference IS NULL THEN 'too few units, or nothing varies' END,
           CASE WHEN p.of_multiple > 0.01 * p.all_units THEN 'more than one unit in a hundred has seen several variants; these are left out' END), '')
    FROM pair AS p JOIN adjusted AS a ON a.number = p.number
   ORDER BY p.number;
END
$$;
COMMENT ON FUNCTION decide.experiment_result(text, text[], timestamptz, timestamptz, interval, text, text, double precision, double precision, text, double precision, double precision, double precision) IS
  'What an experiment has shown: a row for each outcome and each pair of variants, with fixed and always-valid intervals, corrected p-values, and whether units fell to variants as they should have';
CREATE FUNCTION decide.experiment_result(
  experiment text, outcome text, "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL, within interval DEFAULT NULL,
  per text DEFAULT 'user', covariate text DEFAULT NULL, alpha double precision DEFAULT 0.05, tuning double precision DEFAULT 5000,
  correction text DEFAULT 'holm', power double precision DEFAULT 0.8, effect double precision DEFAULT NULL, srm_alpha double precision DEFAULT 0.001)
RETURNS TABLE (outcome text, variant text, baseline text, stage text, units bigint, baseline_units bigint, decisions bigint, changed bigint,
               mean double precision, baseline_mean double precision, difference double precision, std_error double precision,
               low double precision, high double precision, p_value double precision, lift double precision, lift_low double precision, lift_high double precision,
               always_low double precision, always_high double precision, always_p double precision, p_adjusted double precision, significant boolean,
               srm_p double precision, detectable double precision, units_needed bigint, days_needed double precision,
               multiple bigint, unknown bigint, overridden bigint, warning text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT * FROM decide.experiment_result(experiment, ARRAY[experiment_result.outcome], "from", "to", within, per, covariate, alpha, tuning, correction, power, effect, srm_alpha)
$$;
COMMENT ON FUNCTION decide.experiment_result(text, text, timestamptz, timestamptz, interval, text, text, double precision, double precision, text, double precision, double precision, double precision) IS
  'The same for one outcome';
