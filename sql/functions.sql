-- The functions; what stands behind them is in src/.

-- A type, since the server looks its columns up once: those of RETURNS TABLE are put together for every call.
CREATE TYPE decide.choice AS (slot integer, action text, probability double precision, decision_id uuid, reason text);
COMMENT ON TYPE decide.choice IS 'What decide() answers: a row per slot of the surface';
COMMENT ON COLUMN decide.choice.slot IS 'From 1, the most prominent first';
COMMENT ON COLUMN decide.choice.action IS 'What to show';
COMMENT ON COLUMN decide.choice.probability IS 'Its probability among the candidates of the slot, given the slots before';
COMMENT ON COLUMN decide.choice.decision_id IS 'Identifier of the decision; events that follow from it name it';
COMMENT ON COLUMN decide.choice.reason IS 'Null, or why the slot has the fallback';

CREATE FUNCTION @extschema@.decide(user_id text, surface text, context jsonb DEFAULT '{}', request_id text DEFAULT NULL)
RETURNS SETOF decide.choice
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'decide_text_wrapper';
COMMENT ON FUNCTION @extschema@.decide(text, text, jsonb, text) IS
  'Decides what the user sees on the surface, one row per slot, and leaves a trace; within an hour, a retry with the same request_id gets the same answer';

CREATE FUNCTION @extschema@.decide(user_id bigint, surface text, context jsonb DEFAULT '{}', request_id text DEFAULT NULL)
RETURNS SETOF decide.choice
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'decide_bigint_wrapper';
COMMENT ON FUNCTION @extschema@.decide(bigint, text, jsonb, text) IS
  'Decides what the user sees on the surface, one row per slot, and leaves a trace; within an hour, a retry with the same request_id gets the same answer';

CREATE FUNCTION @extschema@.decide(user_id uuid, surface text, context jsonb DEFAULT '{}', request_id text DEFAULT NULL)
RETURNS SETOF decide.choice
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'decide_uuid_wrapper';
COMMENT ON FUNCTION @extschema@.decide(uuid, text, jsonb, text) IS
  'Decides what the user sees on the surface, one row per slot, and leaves a trace; within an hour, a retry with the same request_id gets the same answer';

CREATE TYPE decide.page_choice AS (surface text, slot integer, action text, probability double precision, decision_id uuid, reason text);
COMMENT ON TYPE decide.page_choice IS 'What decide() answers for several surfaces: a row per slot of each';
COMMENT ON COLUMN decide.page_choice.surface IS 'Surface';
COMMENT ON COLUMN decide.page_choice.slot IS 'From 1, the most prominent first';
COMMENT ON COLUMN decide.page_choice.action IS 'What to show';
COMMENT ON COLUMN decide.page_choice.probability IS
  'Its probability among the candidates of the slot, given the slots and the surfaces before';
COMMENT ON COLUMN decide.page_choice.decision_id IS 'Identifier of the decision on this surface; events that follow from it name it';
COMMENT ON COLUMN decide.page_choice.reason IS 'Null, or why the slot has the fallback';

CREATE FUNCTION @extschema@.decide(user_id text, surfaces text[], context jsonb DEFAULT '{}', request_id text DEFAULT NULL)
RETURNS SETOF decide.page_choice
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'decide_page_text_wrapper';
COMMENT ON FUNCTION @extschema@.decide(text, text[], jsonb, text) IS
  'Decides what the user sees on all surfaces of a page, one row per slot of each, and leaves a trace for each surface; within an hour, a retry with the same request_id gets the same answer';

CREATE FUNCTION @extschema@.decide(user_id bigint, surfaces text[], context jsonb DEFAULT '{}', request_id text DEFAULT NULL)
RETURNS SETOF decide.page_choice
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'decide_page_bigint_wrapper';
COMMENT ON FUNCTION @extschema@.decide(bigint, text[], jsonb, text) IS
  'Decides what the user sees on all surfaces of a page, one row per slot of each, and leaves a trace for each surface; within an hour, a retry with the same request_id gets the same answer';

CREATE FUNCTION @extschema@.decide(user_id uuid, surfaces text[], context jsonb DEFAULT '{}', request_id text DEFAULT NULL)
RETURNS SETOF decide.page_choice
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'decide_page_uuid_wrapper';
COMMENT ON FUNCTION @extschema@.decide(uuid, text[], jsonb, text) IS
  'Decides what the user sees on all surfaces of a page, one row per slot of each, and leaves a trace for each surface; within an hour, a retry with the same request_id gets the same answer';

-- The verbs stand where CREATE EXTENSION was pointed at; everything from here on is in the schema decide.

CREATE FUNCTION decide.explain(user_id text, surface text, context jsonb DEFAULT '{}', seed bigint DEFAULT NULL)
RETURNS TABLE (action text, score double precision, probability double precision, step text, reason text, slot integer, slot_probability double precision)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'explain_text_wrapper';
COMMENT ON FUNCTION decide.explain(text, text, jsonb, bigint) IS
  'Answers what decide() would do now and why, action by action, with the draw of the seed; writes nothing';

CREATE FUNCTION decide.explain(user_id bigint, surface text, context jsonb DEFAULT '{}', seed bigint DEFAULT NULL)
RETURNS TABLE (action text, score double precision, probability double precision, step text, reason text, slot integer, slot_probability double precision)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'explain_bigint_wrapper';
COMMENT ON FUNCTION decide.explain(bigint, text, jsonb, bigint) IS
  'Answers what decide() would do now and why, action by action, with the draw of the seed; writes nothing';

CREATE FUNCTION decide.explain(user_id uuid, surface text, context jsonb DEFAULT '{}', seed bigint DEFAULT NULL)
RETURNS TABLE (action text, score double precision, probability double precision, step text, reason text, slot integer, slot_probability double precision)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'explain_uuid_wrapper';
COMMENT ON FUNCTION decide.explain(uuid, text, jsonb, bigint) IS
  'Answers what decide() would do now and why, action by action, with the draw of the seed; writes nothing';

CREATE FUNCTION decide.user_key(user_id text) RETURNS uuid
LANGUAGE c STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'user_key_text_wrapper';
COMMENT ON FUNCTION decide.user_key(text) IS
  'The pseudonym of a user: HMAC-SHA-256 under the key in decide.secret; the only link from a person to their rows';

CREATE FUNCTION decide.user_turn(user_id text) RETURNS uuid
LANGUAGE c STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'user_turn_wrapper';
COMMENT ON FUNCTION decide.user_turn(text) IS
  'The position of a user in the order in which rows of users are locked; null if it is not a valid user_id';

CREATE FUNCTION decide.announce_erasure(users regclass) RETURNS boolean
LANGUAGE c VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'announce_erasure_wrapper';
COMMENT ON FUNCTION decide.announce_erasure(regclass) IS
  'Has all sessions forget, at commit, the features of users that they remember; always false';
CREATE TABLE decide.erasure_announced (never boolean CHECK (false));
COMMENT ON TABLE decide.erasure_announced IS 'Always empty: the target of the rule announce_erasure, which inserts nothing, so that a DELETE returns no rows of it';
COMMENT ON COLUMN decide.erasure_announced.never IS 'Nothing: CHECK (false)';
CREATE RULE announce_erasure AS ON DELETE TO decide.user_state DO ALSO
  INSERT INTO decide.erasure_announced (never)
  SELECT true WHERE decide.announce_erasure('decide.user_state'::pg_catalog.regclass);
COMMENT ON RULE announce_erasure ON decide.user_state IS 'Has all sessions forget the features of users whose rows are deleted';

CREATE FUNCTION decide.features(user_id text)
RETURNS TABLE (feature text, key text, value double precision, updated_at timestamptz)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'features_text_wrapper';
COMMENT ON FUNCTION decide.features(text) IS
  'The features of a user as decide() would see them now; updated_at is the time of the newest event in them';

CREATE FUNCTION decide.user_key(user_id bigint) RETURNS uuid
LANGUAGE c STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'user_key_bigint_wrapper';
COMMENT ON FUNCTION decide.user_key(bigint) IS
  'The pseudonym of a user: HMAC-SHA-256 under the key in decide.secret; the only link from a person to their rows';

CREATE FUNCTION decide.features(user_id bigint)
RETURNS TABLE (feature text, key text, value double precision, updated_at timestamptz)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'features_bigint_wrapper';
COMMENT ON FUNCTION decide.features(bigint) IS
  'The features of a user as decide() would see them now; updated_at is the time of the newest event in them';

CREATE FUNCTION decide.user_key(user_id uuid) RETURNS uuid
LANGUAGE c STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'user_key_uuid_wrapper';
COMMENT ON FUNCTION decide.user_key(uuid) IS
  'The pseudonym of a user: HMAC-SHA-256 under the key in decide.secret; the only link from a person to their rows';

CREATE FUNCTION decide.features(user_id uuid)
RETURNS TABLE (feature text, key text, value double precision, updated_at timestamptz)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'features_uuid_wrapper';
COMMENT ON FUNCTION decide.features(uuid) IS
  'The features of a user as decide() would see them now; updated_at is the time of the newest event in them';

CREATE FUNCTION @extschema@.track(event jsonb, strict boolean DEFAULT false) RETURNS text
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'track_wrapper';
COMMENT ON FUNCTION @extschema@.track(jsonb, boolean) IS
  'Takes in one event: accepted, duplicate or quarantined; of a JSON array each element, and answers the worst; if strict, an invalid event is an error';

CREATE FUNCTION @extschema@.track(event text, strict boolean DEFAULT false) RETURNS text
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'track_text_wrapper';
COMMENT ON FUNCTION @extschema@.track(text, boolean) IS
  'Takes in one event, or a JSON array of events, as it came over the wire; text that is not JSON is quarantined; if strict, an invalid event is an error';

-- With these no call is ambiguous: what has no type is a text. Of decide() there is none for json, since a context
-- without a type would be as much json as jsonb.
CREATE FUNCTION @extschema@.track(event json, strict boolean DEFAULT false) RETURNS text
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'track_text_wrapper';
COMMENT ON FUNCTION @extschema@.track(json, boolean) IS
  'Takes in one event, or a JSON array of events, as track(jsonb) does';

CREATE FUNCTION @extschema@.track(events json[], strict boolean DEFAULT false)
RETURNS TABLE (accepted bigint, duplicate bigint, quarantined bigint)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'track_many_json_wrapper';
COMMENT ON FUNCTION @extschema@.track(json[], boolean) IS
  'Takes in many events, as track(jsonb[]) does';

CREATE FUNCTION @extschema@.track(events jsonb[], strict boolean DEFAULT false)
RETURNS TABLE (accepted bigint, duplicate bigint, quarantined bigint)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'track_many_wrapper';
COMMENT ON FUNCTION @extschema@.track(jsonb[], boolean) IS
  'Takes in many events; answers how many were accepted, duplicates and quarantined; if strict, an invalid event is an error';

CREATE FUNCTION decide.merge_users("from" text, "to" text) RETURNS boolean
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'merge_users_text_wrapper';
COMMENT ON FUNCTION decide.merge_users(text, text) IS
  'Makes one user of two, such as a visitor who logs in: features, caps and events of the first become those of the second, and so does what is decided and tracked for the first from then on; false if that was so already';

CREATE FUNCTION decide.merge_users("from" bigint, "to" bigint) RETURNS boolean
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'merge_users_bigint_wrapper';
COMMENT ON FUNCTION decide.merge_users(bigint, bigint) IS
  'Makes one user of two, such as a visitor who logs in: features, caps and events of the first become those of the second, and so does what is decided and tracked for the first from then on; false if that was so already';

CREATE FUNCTION decide.merge_users("from" uuid, "to" uuid) RETURNS boolean
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'merge_users_uuid_wrapper';
COMMENT ON FUNCTION decide.merge_users(uuid, uuid) IS
  'Makes one user of two, such as a visitor who logs in: features, caps and events of the first become those of the second, and so does what is decided and tracked for the first from then on; false if that was so already';

CREATE FUNCTION decide.release_quarantine(quarantine_id uuid, patch jsonb DEFAULT '{}') RETURNS text
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'release_quarantine_wrapper';
COMMENT ON FUNCTION decide.release_quarantine(uuid, jsonb) IS
  'Tracks an event of the quarantine again, with the fields of the patch; it leaves the quarantine unless it is still invalid';

CREATE FUNCTION decide.release_all(reason text, patch jsonb DEFAULT '{}')
RETURNS TABLE (accepted bigint, duplicate bigint, quarantined bigint)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'release_all_wrapper';
COMMENT ON FUNCTION decide.release_all(text, jsonb) IS
  'Tracks all events again that are in quarantine for a reason, given whole or by its code; answers how many were accepted, were duplicates, and stay in quarantine';

-- The verbs that leave an audit, and import_decisions, which reads what is the caller's, have to know their immediate
-- caller. So they are not SECURITY DEFINER: they take the rights of their owner for their own statements.
CREATE FUNCTION decide.publish(note text DEFAULT NULL) RETURNS bigint
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
-- a bundle says the same whatever the publisher's session prefers
SET IntervalStyle = 'postgres' SET extra_float_digits = 1
AS 'MODULE_PATHNAME', 'publish_wrapper';
COMMENT ON FUNCTION decide.publish(text) IS
  'Validates the policy tables and puts them, as a numbered bundle, in force at commit; answers the number';

CREATE FUNCTION decide.rollback(bundle bigint, note text DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'rollback_wrapper';
COMMENT ON FUNCTION decide.rollback(bigint, text) IS
  'Puts an old bundle in force again, as a new entry in the history';

CREATE FUNCTION decide.replay(decision_id uuid)
RETURNS TABLE (agrees boolean, difference text)
LANGUAGE c VOLATILE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'replay_wrapper';
COMMENT ON FUNCTION decide.replay(uuid) IS
  'Recomputes a decision from its bundle, model, features and seed; answers whether every bit agrees, and the first difference';

CREATE FUNCTION decide.run_job(job text) RETURNS text
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'run_job_wrapper';
COMMENT ON FUNCTION decide.run_job(text) IS
  'Does a job of the background workers now, to its end, and says what it did; decide.job lists them';

-- What the views of traces call for each row. A SET clause or SECURITY DEFINER would cost more than the functions
-- themselves: they keep what they have read, and read it with the rights of their owner, by statements without operators.
CREATE FUNCTION decide.action_name(number integer) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'action_name_wrapper';
COMMENT ON FUNCTION decide.action_name(integer) IS 'The action of a number in a trace';

CREATE FUNCTION decide.action_names(numbers integer[]) RETURNS text[]
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50
AS 'MODULE_PATHNAME', 'action_names_wrapper';
COMMENT ON FUNCTION decide.action_names(integer[]) IS 'The actions of the numbers in a trace';

CREATE FUNCTION decide.candidate_names(runs integer[]) RETURNS text[]
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50
AS 'MODULE_PATHNAME', 'candidate_names_wrapper';
COMMENT ON FUNCTION decide.candidate_names(integer[]) IS
  'The actions of the numbers by which a trace keeps its candidates, where -n stands for the next n numbers';

CREATE FUNCTION decide.candidate_numbers(runs integer[]) RETURNS integer[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
AS 'MODULE_PATHNAME', 'candidate_numbers_wrapper';
COMMENT ON FUNCTION decide.candidate_numbers(integer[]) IS
  'The numbers of the candidates of a trace, each by itself, where -n stands for the next n numbers';

-- Functions of the server, with the estimates that the planner needs for views of decisions.

CREATE FUNCTION decide.places(first integer, last integer) RETURNS SETOF integer
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE COST 1 ROWS 2
AS 'generate_series_int4';
COMMENT ON FUNCTION decide.places(integer, integer) IS 'The places of the slots of a trace in its arrays: as generate_series, with an estimate of two rows';

CREATE FUNCTION decide.deferred(value integer) RETURNS integer
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'int4up';
COMMENT ON FUNCTION decide.deferred(integer) IS 'The same value, with a cost for which the planner computes it after ORDER BY and LIMIT';

CREATE FUNCTION decide.deferred(value double precision) RETURNS double precision
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'float8up';
COMMENT ON FUNCTION decide.deferred(double precision) IS 'The same value, with a cost for which the planner computes it after ORDER BY and LIMIT';

CREATE FUNCTION decide.selection_catalog()
RETURNS TABLE (selection text, parameter text, default_value double precision, lowest double precision, highest double precision,
               description text, number integer)
LANGUAGE c IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'selection_catalog_wrapper';
COMMENT ON FUNCTION decide.selection_catalog() IS
  'The selections that policies may have, a row for each parameter of one: its default and its range, and the number of the selection in traces';

CREATE FUNCTION decide.slot_probabilities(
  candidates integer[], scores real[], choice double precision[], picked integer[], slot integer,
  dropped integer[] DEFAULT NULL, spreads real[] DEFAULT NULL
) RETURNS double precision[]
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 400
AS 'MODULE_PATHNAME', 'slot_probabilities_wrapper';
COMMENT ON FUNCTION decide.slot_probabilities(integer[], real[], double precision[], integer[], integer, integer[], real[]) IS
  'The distribution from which a slot was drawn, bit for bit, computed from its trace; null for a slot that the policy did not fill';

CREATE FUNCTION decide.decided_at(decision_id uuid) RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'decided_at_wrapper';
COMMENT ON FUNCTION decide.decided_at(uuid) IS
  'When a decision was made, read from its identifier; null for an identifier of another kind';

CREATE FUNCTION decide.first_identifier(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_catalog.rpad(pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.floor(EXTRACT(epoch FROM at) * 1000)::bigint), 12, '0'), 32, '0')::uuid;
COMMENT ON FUNCTION decide.first_identifier(timestamptz) IS
  'The least identifier that a decision of that millisecond can have: all decisions before have lesser ones';

CREATE FUNCTION decide.import_decisions(source regclass, origin text DEFAULT 'import') RETURNS bigint
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'import_decisions_wrapper';
COMMENT ON FUNCTION decide.import_decisions(regclass, text) IS
  'Imports decisions made elsewhere into traces and outcomes: rows of a relation, read with the caller''s rights, with user_id, surface, decided_at, action, propensity, and if wanted slot, context, reward, reward_type; answers how many';

CREATE FUNCTION decide.train(
  model text, surface text, terms text[],
  outcome text DEFAULT 'click', family text DEFAULT 'logistic',
  decided_from timestamptz DEFAULT '-infinity', decided_to timestamptz DEFAULT 'infinity',
  l2 double precision DEFAULT 1, weighted boolean DEFAULT false, holdout double precision DEFAULT 0.2,
  seed bigint DEFAULT 1, min_count integer DEFAULT 5, hash_buckets integer DEFAULT 0,
  posterior boolean DEFAULT false, half_life interval DEFAULT NULL,
  categorical text[] DEFAULT '{}', numerical text[] DEFAULT '{}', delay_corrected boolean DEFAULT false
) RETURNS integer
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'train_wrapper';
COMMENT ON FUNCTION decide.train(text, text, text[], text, text, timestamptz, timestamptz, double precision, boolean, double precision, bigint, integer, integer, boolean, interval, text[], text[], boolean) IS
  'Fits a model to the decisions of a surface and their outcomes, and writes it as a new version, not yet approved; answers its number';

CREATE FUNCTION decide.approve(model text, version integer) RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'approve_wrapper';
COMMENT ON FUNCTION decide.approve(text, integer) IS
  'Approves a model version for use; policies that name the model without a version take it at the next publish';
