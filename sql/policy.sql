-- Policy tables: edited with plain SQL, in force once published.
--
-- None has a foreign key, and nor has any other table whose rows are dumped: pg_restore loads tables in any order, several
-- at a time. Publishing refuses a row that names what is not there, and decide.follow_name follows a name that changes.

CREATE TABLE decide.surface (
  surface text PRIMARY KEY,
  slots int NOT NULL DEFAULT 1 CHECK (slots BETWEEN 1 AND 100),
  fallback_action text,
  latency_budget interval NOT NULL DEFAULT '50 ms' CHECK (latency_budget > interval '0' AND latency_budget <= interval '1000 days'),
  context_fields text[] NOT NULL DEFAULT '{}'
    CHECK (pg_catalog.array_position(context_fields, NULL) IS NULL AND pg_catalog.cardinality(context_fields) <= 200),
  description text,
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid() UNIQUE,
  baseline_action text
);
COMMENT ON TABLE decide.surface IS 'Places where something is shown; all that differs between them is configuration';
COMMENT ON COLUMN decide.surface.surface IS 'Name, as decide() is called with';
COMMENT ON COLUMN decide.surface.slots IS 'How many actions one decision shows, without repetition';
COMMENT ON COLUMN decide.surface.fallback_action IS 'What is shown when the policy cannot choose; ignores dates and rules';
COMMENT ON COLUMN decide.surface.baseline_action IS 'The action over which uplift is told, one of the surface: what would be shown without personalization (null: none)';
COMMENT ON COLUMN decide.surface.latency_budget IS 'How long a decision may take; at most 1,000 days';
COMMENT ON COLUMN decide.surface.context_fields IS 'Context fields that models may use and that traces keep; all others are only hashed';
COMMENT ON COLUMN decide.surface.description IS 'For people';
COMMENT ON COLUMN decide.surface.id IS 'What stays when the name changes: the counters and traces of the row are found by it';

CREATE TABLE decide.campaign (
  campaign text PRIMARY KEY,
  starts_at timestamptz CHECK (pg_catalog.isfinite(starts_at)),
  ends_at timestamptz CHECK (pg_catalog.isfinite(ends_at)),
  description text,
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid() UNIQUE,
  purpose text,
  CHECK (ends_at > starts_at)
);
COMMENT ON TABLE decide.campaign IS 'Groups of actions with dates and budgets in common';
COMMENT ON COLUMN decide.campaign.campaign IS 'Name';
COMMENT ON COLUMN decide.campaign.starts_at IS 'First moment at which its actions may be shown (null: always)';
COMMENT ON COLUMN decide.campaign.ends_at IS 'First moment at which they may no longer be shown (null: never)';
COMMENT ON COLUMN decide.campaign.description IS 'For people';
COMMENT ON COLUMN decide.campaign.id IS 'What stays when the name changes: the counters and traces of the row are found by it';
COMMENT ON COLUMN decide.campaign.purpose IS 'Purpose that a person must consent to for its actions to be candidates (null: none)';

CREATE TABLE decide.action (
  action text PRIMARY KEY,
  campaign text,
  surfaces text[] NOT NULL DEFAULT '{}' CHECK (pg_catalog.array_position(surfaces, NULL) IS NULL),
  attributes jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(attributes) = 'object'),
  eligible_when text,
  cost double precision NOT NULL DEFAULT 1 CHECK (decide.is_finite(cost) AND cost >= 0),
  description text,
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid() UNIQUE,
  purpose text,
  for_variants boolean NOT NULL DEFAULT false
);
CREATE INDEX ON decide.action (campaign);
COMMENT ON TABLE decide.action IS 'What can be chosen: offers, items, creatives, or doing nothing (the baseline)';
COMMENT ON COLUMN decide.action.action IS 'Name, as decide() answers it';
COMMENT ON COLUMN decide.action.campaign IS 'Campaign whose dates and budgets bind it (null: none)';
COMMENT ON COLUMN decide.action.surfaces IS 'Surfaces where it may be shown (empty: all)';
COMMENT ON COLUMN decide.action.attributes IS 'What models and rules may know of it';
COMMENT ON COLUMN decide.action.eligible_when IS
  'Rule: an SQL boolean expression over user_key, context, features and action; runs with the rights of pg_decide.rule_role';
COMMENT ON COLUMN decide.action.cost IS 'What one exposure takes from a cap that counts cost; where one does, at most 9,007,199,254';
COMMENT ON COLUMN decide.action.description IS 'For people';
COMMENT ON COLUMN decide.action.id IS 'What stays when the name changes: the counters and traces of the row are found by it';
COMMENT ON COLUMN decide.action.for_variants IS 'Whether it is a candidate only where a variant of a running experiment puts it in';
COMMENT ON COLUMN decide.action.purpose IS 'Purpose that a person must consent to for it to be a candidate (null: none)';

CREATE TABLE decide.feature (
  feature text PRIMARY KEY,
  entity text NOT NULL DEFAULT 'user' CHECK (entity IN ('user', 'action', 'surface')),
  event_type text NOT NULL,
  aggregate text NOT NULL,
  value_path text,
  key_path text,
  half_life interval CHECK (pg_catalog.isfinite(half_life) AND half_life <= interval '100000 years'),
  default_value double precision NOT NULL DEFAULT 0 CHECK (decide.is_finite(default_value)),
  description text,
  window_length interval CHECK (pg_catalog.isfinite(window_length)),
  ttl interval CHECK (pg_catalog.isfinite(ttl)),
  filter jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(filter) = 'object'),
  key_limit int NOT NULL DEFAULT 20,
  trial_event_type text,
  prior_weight double precision NOT NULL DEFAULT 0 CHECK (decide.is_finite(prior_weight)),
  prior_rate double precision CHECK (decide.is_finite(prior_rate)),
  offline_only boolean NOT NULL DEFAULT false,
  freshness interval CHECK (freshness > interval '0'),
  purpose text,
  owner text,
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid() UNIQUE
);
COMMENT ON TABLE decide.feature IS 'Numbers kept from events';
COMMENT ON COLUMN decide.feature.window_length IS 'Length of the window of window_count and window_sum, in whole buckets';
COMMENT ON COLUMN decide.feature.ttl IS 'Age of the newest event from which on the feature is missing (null: never)';
COMMENT ON COLUMN decide.feature.filter IS 'Conditions by path that an event must meet to count: a value, a list of values or {"min", "max"}';
COMMENT ON COLUMN decide.feature.key_limit IS 'How many keys of a user decisions see: the heaviest';
COMMENT ON COLUMN decide.feature.trial_event_type IS 'Type of the events that are the trials of a rate; those of event_type are its hits';
COMMENT ON COLUMN decide.feature.prior_weight IS 'Hits that a rate begins with, at prior_rate';
COMMENT ON COLUMN decide.feature.prior_rate IS 'Rate of those hits';
COMMENT ON COLUMN decide.feature.offline_only IS 'Kept for training and analysis, never seen by decisions';
COMMENT ON COLUMN decide.feature.freshness IS 'How old its newest event may be, as promised to those who use it';
COMMENT ON COLUMN decide.feature.purpose IS 'What it is kept for; where decide.purpose has rows, it is missing for persons who do not consent to that';
COMMENT ON COLUMN decide.feature.owner IS 'Who answers for it';
COMMENT ON COLUMN decide.feature.feature IS 'Name, as models and rules refer to it';
COMMENT ON COLUMN decide.feature.entity IS 'Whose number it is: user, action or surface';
COMMENT ON COLUMN decide.feature.event_type IS 'Type of the events that it is kept from';
COMMENT ON COLUMN decide.feature.aggregate IS 'decayed_count, decayed_sum, decayed_mean, rate, window_count, window_sum, recency, first, last or distinct';
COMMENT ON COLUMN decide.feature.value_path IS 'Path of the amount in an event, or of the item that distinct counts: value, attributes.x, action.x; for distinct action or surface too';
COMMENT ON COLUMN decide.feature.key_path IS 'Path of the key, if the number is kept per user and key: action, surface, attributes.x or action.x';
COMMENT ON COLUMN decide.feature.half_life IS
  'Time in which the past loses half its weight, for the decayed ones and rate (null: it never does); at most 100,000 years';
COMMENT ON COLUMN decide.feature.default_value IS 'Value while it is missing';
COMMENT ON COLUMN decide.feature.description IS 'For people';
COMMENT ON COLUMN decide.feature.id IS 'What stays when the name changes: the counters and traces of the row are found by it';

CREATE TABLE decide.cap (
  cap text PRIMARY KEY,
  surface text,
  campaign text,
  action text,
  per text NOT NULL CHECK (per IN ('user', 'all', 'decision')),
  max_count bigint NOT NULL CHECK (max_count >= 0),
  window_length interval CHECK (window_length > interval '0' AND window_length <= interval '1000 years'),
  window_kind text NOT NULL DEFAULT 'calendar' CHECK (window_kind IN ('calendar', 'sliding')),
  counts text NOT NULL DEFAULT 'decision' CHECK (decide.is_name(counts)),
  pacing text NOT NULL DEFAULT 'none' CHECK (decide.is_name(pacing)),
  description text,
  attribute text CHECK (decide.is_name(attribute)),
  attribute_value text,
  unit text NOT NULL DEFAULT 'count' CHECK (unit IN ('count', 'cost')),
  hard boolean NOT NULL DEFAULT true,
  relax_order int NOT NULL DEFAULT 0,
  time_zone text NOT NULL DEFAULT 'UTC',
  week_start int NOT NULL DEFAULT 1 CHECK (week_start BETWEEN 1 AND 7),
  hold interval NOT NULL DEFAULT '30 minutes' CHECK (hold > interval '0' AND hold <= interval '1000 years'),
  stripes int CHECK (stripes BETWEEN 1 AND 256),
  min_count bigint CHECK (min_count >= 0),
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid() UNIQUE,
  for_variants boolean NOT NULL DEFAULT false,
  CHECK (attribute IS NOT NULL OR attribute_value IS NULL)
);
CREATE INDEX ON decide.cap (surface);
CREATE INDEX ON decide.cap (campaign);
CREATE INDEX ON decide.cap (action);
COMMENT ON TABLE decide.cap IS 'Limits on exposure; a cap for all users is a budget';
COMMENT ON COLUMN decide.cap.cap IS 'Name';
COMMENT ON COLUMN decide.cap.surface IS 'Surface that it limits (null: all)';
COMMENT ON COLUMN decide.cap.campaign IS 'Campaign that it limits (null: all)';
COMMENT ON COLUMN decide.cap.action IS 'Action that it limits (null: all)';
COMMENT ON COLUMN decide.cap.per IS 'user: each user by themselves; all: everyone together; decision: within the slots of one answer';
COMMENT ON COLUMN decide.cap.attribute IS 'Limits the actions that have this attribute (null: all)';
COMMENT ON COLUMN decide.cap.attribute_value IS 'Limits those with this value of it (null: each value by itself)';
COMMENT ON COLUMN decide.cap.unit IS 'count: each exposure takes 1; cost: it takes the action''s cost';
COMMENT ON COLUMN decide.cap.hard IS 'Never exceeded; a soft one gives way where slots could not be filled otherwise';
COMMENT ON COLUMN decide.cap.relax_order IS 'Which soft cap gives way first: the lowest';
COMMENT ON COLUMN decide.cap.time_zone IS 'Time zone of calendar windows';
COMMENT ON COLUMN decide.cap.week_start IS 'Day on which a window of weeks starts: 1 is Monday, 7 Sunday';
COMMENT ON COLUMN decide.cap.hold IS 'How long an exposure stays reserved for its event, where a type of event is counted; at most 1,000 years';
COMMENT ON COLUMN decide.cap.stripes IS 'Into how many rows its counter is split, 1 to 256 (null: by its size and max_connections)';
COMMENT ON COLUMN decide.cap.for_variants IS 'Whether it binds only where a variant of a running experiment puts it in';
COMMENT ON COLUMN decide.cap.max_count IS 'How many within the window; at most 4,611,686,018,427,387,903, and 4,611,686,018,427 of cost';
COMMENT ON COLUMN decide.cap.min_count IS 'How many should at least be delivered within the window: a soft goal, for which scores get a bonus (null: no goal)';
COMMENT ON COLUMN decide.cap.window_length IS 'Length of the window (null: for ever); at most 1,000 years';
COMMENT ON COLUMN decide.cap.window_kind IS 'calendar: starts anew at its boundary; sliding: looks back from now';
COMMENT ON COLUMN decide.cap.counts IS 'What is counted: decision, or a type of event';
COMMENT ON COLUMN decide.cap.pacing IS 'How the budget is spread over its window: none, even, frontloaded or forecast';
COMMENT ON COLUMN decide.cap.description IS 'For people';
COMMENT ON COLUMN decide.cap.id IS 'What stays when the name changes: the counters and traces of the row are found by it';

CREATE TABLE decide.model_version (
  model text NOT NULL CHECK (decide.is_name(model)),
  version int NOT NULL CHECK (version > 0),
  family text NOT NULL CHECK (family IN ('linear', 'logistic')),
  terms text[] NOT NULL,
  spec jsonb NOT NULL,
  weights real[] NOT NULL,
  covariance double precision[],
  window_from timestamptz,
  window_to timestamptz,
  rows bigint NOT NULL DEFAULT 0,
  hyperparameters jsonb NOT NULL DEFAULT '{}',
  metrics jsonb NOT NULL DEFAULT '{}',
  seed bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  created_by text NOT NULL DEFAULT SESSION_USER,
  created_as text NOT NULL DEFAULT CURRENT_USER,
  approved_at timestamptz,
  approved_by text,
  approved_as text,
  PRIMARY KEY (model, version)
);
COMMENT ON TABLE decide.model_version IS 'Trained models with their lineage; a version never changes once it is written';
COMMENT ON COLUMN decide.model_version.model IS 'Name, as policies refer to it';
COMMENT ON COLUMN decide.model_version.version IS 'Number, counting up within the model';
COMMENT ON COLUMN decide.model_version.family IS 'linear: the score is the sum; logistic: a probability';
COMMENT ON COLUMN decide.model_version.terms IS 'What it looks at: products of user.x, context.x, action.x and action';
COMMENT ON COLUMN decide.model_version.spec IS 'How each term is encoded: numbers, levels, hash buckets';
COMMENT ON COLUMN decide.model_version.weights IS 'One weight per coordinate, term by term';
COMMENT ON COLUMN decide.model_version.covariance IS
  'Covariance of the weights: up to 256 of them its lower triangle row by row, beyond that the variances (null: not known)';
COMMENT ON COLUMN decide.model_version.window_from IS 'Decisions trained on: from';
COMMENT ON COLUMN decide.model_version.window_to IS 'Decisions trained on: up to';
COMMENT ON COLUMN decide.model_version.rows IS 'Decisions trained on: how many';
COMMENT ON COLUMN decide.model_version.hyperparameters IS 'What train() was asked for';
COMMENT ON COLUMN decide.model_version.metrics IS 'How it does on the held-out share';
COMMENT ON COLUMN decide.model_version.seed IS 'Seed of the split into training and held-out share';
COMMENT ON COLUMN decide.model_version.created_at IS 'When it was trained';
COMMENT ON COLUMN decide.model_version.created_by IS 'Who trained it (the session''s user)';
COMMENT ON COLUMN decide.model_version.created_as IS 'Role with whose rights';
COMMENT ON COLUMN decide.model_version.approved_at IS 'When it was approved for use (null: not yet)';
COMMENT ON COLUMN decide.model_version.approved_by IS 'Who approved it (the session''s user)';
COMMENT ON COLUMN decide.model_version.approved_as IS 'Role with whose rights';

CREATE TABLE decide.policy (
  policy text PRIMARY KEY,
  surface text NOT NULL,
  model text,
  selection text NOT NULL,
  params jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(params) = 'object'),
  model_version int,
  unique_on_page boolean NOT NULL DEFAULT false,
  description text,
  objective text NOT NULL DEFAULT 'response' CHECK (objective IN ('response', 'uplift', 'value')),
  value_attribute text CHECK (decide.is_name(value_attribute)),
  cost_attribute text CHECK (decide.is_name(cost_attribute)),
  for_variants boolean NOT NULL DEFAULT false,
  CONSTRAINT value_attribute_is_for_value CHECK ((objective = 'value') = (value_attribute IS NOT NULL)),
  CONSTRAINT cost_attribute_is_for_value CHECK (objective = 'value' OR cost_attribute IS NULL)
);
CREATE INDEX ON decide.policy (surface);
COMMENT ON TABLE decide.policy IS 'How a surface chooses';
COMMENT ON COLUMN decide.policy.policy IS 'Name';
COMMENT ON COLUMN decide.policy.surface IS 'Surface that it chooses for; one policy per surface, and those of variants';
COMMENT ON COLUMN decide.policy.model IS 'Model that scores (null: none, for uniform)';
COMMENT ON COLUMN decide.policy.selection IS 'How scores become probabilities: a selection of decide.selection_catalog()';
COMMENT ON COLUMN decide.policy.params IS 'Parameters of the selection, as decide.selection_catalog() lists them';
COMMENT ON COLUMN decide.policy.model_version IS 'Version of the model (null: the latest approved one at publish)';
COMMENT ON COLUMN decide.policy.unique_on_page IS
  'Whether it leaves out what an earlier surface of the same page shows, but for the fallback action of its own surface';
COMMENT ON COLUMN decide.policy.description IS 'For people';
COMMENT ON COLUMN decide.policy.objective IS
  'What a score says: response, the model''s own answer; uplift, that less the answer for the surface''s baseline_action; value, uplift times value_attribute less cost_attribute, or response times that where the surface has no baseline_action';
COMMENT ON COLUMN decide.policy.value_attribute IS 'Attribute of actions that says what a unit of response is worth, such as the margin; given for the objective value';
COMMENT ON COLUMN decide.policy.cost_attribute IS 'Attribute of actions that says what it costs to show one, in the same unit (null: nothing)';
COMMENT ON COLUMN decide.policy.for_variants IS 'Whether it chooses only where a variant of a running experiment names it';

CREATE TABLE decide.event_type (
  event_type text NOT NULL,
  schema_version smallint NOT NULL DEFAULT 1 CHECK (schema_version > 0),
  status text NOT NULL DEFAULT 'accepted' CHECK (status IN ('accepted', 'deprecated', 'retired')),
  fields jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(fields) = 'object'),
  keep_attributes text[] NOT NULL DEFAULT '{}' CHECK (pg_catalog.array_position(keep_attributes, NULL) IS NULL),
  dedup_horizon interval NOT NULL DEFAULT '1 day' CHECK (pg_catalog.isfinite(dedup_horizon)),
  lateness interval CHECK (pg_catalog.isfinite(lateness)),
  future_tolerance interval NOT NULL DEFAULT '5 minutes' CHECK (pg_catalog.isfinite(future_tolerance)),
  retention interval CHECK (pg_catalog.isfinite(retention)),
  purpose text,
  owner text,
  description text,
  sets_consent boolean NOT NULL DEFAULT false,
  PRIMARY KEY (event_type, schema_version)
);
COMMENT ON TABLE decide.event_type IS
  'Contracts: what events of a type must look like, version by version; without any, every type is accepted';
COMMENT ON COLUMN decide.event_type.event_type IS 'Type, as events name it';
COMMENT ON COLUMN decide.event_type.schema_version IS 'Version, as events name it in their field schema';
COMMENT ON COLUMN decide.event_type.status IS
  'accepted; deprecated: accepted still, and shown in decide.event_type_usage; retired: not accepted any more';
COMMENT ON COLUMN decide.event_type.fields IS
  'By field (value, action, surface, decision_id, attributes.x): type, required, min, max, one_of, max_length';
COMMENT ON COLUMN decide.event_type.keep_attributes IS 'Attributes that are kept beside those that features use';
COMMENT ON COLUMN decide.event_type.dedup_horizon IS
  'How far apart in time two events of one user with one event_id are still the same event';
COMMENT ON COLUMN decide.event_type.lateness IS 'How old an event may be when it comes in (null: any age)';
COMMENT ON COLUMN decide.event_type.future_tolerance IS
  'How far into the future it may be dated, as clocks differ. Until that moment comes its user''s features stand as of it: what fades has faded up to it, and windows end there if that is more than one of their buckets ahead (else now). So keep this well below half-lives and windows';
COMMENT ON COLUMN decide.event_type.retention IS 'How long events are kept (null: for ever)';
COMMENT ON COLUMN decide.event_type.purpose IS 'What the events are collected for; where decide.purpose has rows, those of persons who do not consent to that are refused';
COMMENT ON COLUMN decide.event_type.owner IS 'Who answers for their producer';
COMMENT ON COLUMN decide.event_type.description IS 'For people';
COMMENT ON COLUMN decide.event_type.sets_consent IS 'Whether its events tell what a person decides: attributes.purpose names the purpose, attributes.granted is true or false';

-- What ON UPDATE CASCADE would do. Its rights are those of the owner, as with a foreign key; loading rows does not fire it.
CREATE FUNCTION decide.follow_name() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF TG_TABLE_NAME = 'surface' THEN
    UPDATE decide.cap AS c SET surface = NEW.surface WHERE c.surface = OLD.surface;
    UPDATE decide.policy AS p SET surface = NEW.surface WHERE p.surface = OLD.surface;
    UPDATE decide.experiment AS x SET surface = NEW.surface WHERE x.surface = OLD.surface;
  ELSIF TG_TABLE_NAME = 'campaign' THEN
    UPDATE decide.action AS a SET campaign = NEW.campaign WHERE a.campaign = OLD.campaign;
    UPDATE decide.cap AS c SET campaign = NEW.campaign WHERE c.campaign = OLD.campaign;
  ELSIF TG_TABLE_NAME = 'purpose' THEN
    UPDATE decide.feature AS f SET purpose = NEW.purpose WHERE f.purpose = OLD.purpose;
    UPDATE decide.event_type AS e SET purpose = NEW.purpose WHERE e.purpose = OLD.purpose;
    UPDATE decide.action AS a SET purpose = NEW.purpose WHERE a.purpose = OLD.purpose;
    UPDATE decide.campaign AS c SET purpose = NEW.purpose WHERE c.purpose = OLD.purpose;
    UPDATE decide.outcome_type AS o SET purpose = NEW.purpose WHERE o.purpose = OLD.purpose;
    UPDATE decide.region AS r
       SET opt_in = array_replace(r.opt_in, OLD.purpose, NEW.purpose), opt_out = array_replace(r.opt_out, OLD.purpose, NEW.purpose),
           not_allowed = array_replace(r.not_allowed, OLD.purpose, NEW.purpose)
     WHERE OLD.purpose = ANY (r.opt_in || r.opt_out || r.not_allowed);
  ELSE
    UPDATE decide.cap AS c SET action = NEW.action WHERE c.action = OLD.action;
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION decide.follow_name() IS
  'Where a surface, campaign, action or purpose gets another name, gives it to the rows that name it';
CREATE TRIGGER follow_name AFTER UPDATE ON decide.surface FOR EACH ROW WHEN (OLD.surface <> NEW.surface)
  EXECUTE FUNCTION decide.follow_name();
CREATE TRIGGER follow_name AFTER UPDATE ON decide.campaign FOR EACH ROW WHEN (OLD.campaign <> NEW.campaign)
  EXECUTE FUNCTION decide.follow_name();
CREATE TRIGGER follow_name AFTER UPDATE ON decide.action FOR EACH ROW WHEN (OLD.action <> NEW.action)
  EXECUTE FUNCTION decide.follow_name();
COMMENT ON TRIGGER follow_name ON decide.surface IS 'So that caps, policies and experiments follow a new name';
COMMENT ON TRIGGER follow_name ON decide.campaign IS 'So that actions and caps follow a new name';
COMMENT ON TRIGGER follow_name ON decide.action IS 'So that caps follow a new name';
