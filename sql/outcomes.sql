-- Outcomes: what counts as one, and to which decision each event is credited.
--
-- Policy says what counts; a publish copies it here, so that nobody has to read whole bundles. track() queues the events that it
-- speaks of, and the job "attribution" credits them. What it writes of an event follows from the decisions and the events of the
-- person alone, so it is the same in whatever order these came in, and however often the job looks.

CREATE TABLE decide.outcome_type (
  outcome_type text PRIMARY KEY,
  event_types text[] NOT NULL CHECK (pg_catalog.array_position(event_types, NULL) IS NULL),
  window_length interval NOT NULL DEFAULT '7 days' CHECK (window_length > interval '0' AND window_length <= interval '366 days'),
  match_by text NOT NULL DEFAULT 'decision',
  requires text,
  touch text NOT NULL DEFAULT 'last' CHECK (touch IN ('last', 'first')),
  value_path text,
  margin_path text,
  max_value double precision NOT NULL DEFAULT 1000000000 CHECK (max_value > 0 AND max_value <= 1000000000000000),
  reversal_types text[] NOT NULL DEFAULT '{}' CHECK (pg_catalog.array_position(reversal_types, NULL) IS NULL),
  reference_path text,
  reversal_value_path text,
  delay_attribute text CHECK (decide.is_name(delay_attribute)),
  purpose text,
  description text
);
COMMENT ON TABLE decide.outcome_type IS 'What counts as an outcome, and how its events find the decisions that they are credited to';
COMMENT ON COLUMN decide.outcome_type.outcome_type IS 'Name';
COMMENT ON COLUMN decide.outcome_type.event_types IS 'Types of events that count';
COMMENT ON COLUMN decide.outcome_type.window_length IS 'How long after a decision its outcomes happen; at most 366 days';
COMMENT ON COLUMN decide.outcome_type.match_by IS
  'How an event without a decision_id finds its decision: decision (not at all), action, campaign, or attributes.x, which the event and the action that was shown have alike';
COMMENT ON COLUMN decide.outcome_type.requires IS 'Type of an event, such as a click, that must have followed from the decision before; for events that name no decision (null: none)';
COMMENT ON COLUMN decide.outcome_type.touch IS 'Which of several decisions gets the credit: the last or the first';
COMMENT ON COLUMN decide.outcome_type.value_path IS 'Path of the value in an event: value or attributes.x (null: each event counts 1)';
COMMENT ON COLUMN decide.outcome_type.margin_path IS 'Path of the margin (null: none)';
COMMENT ON COLUMN decide.outcome_type.max_value IS 'Largest value that an event counts, to both sides of 0: more is winsorized, that is, counted as this much; at most 10^15';
COMMENT ON COLUMN decide.outcome_type.reversal_types IS 'Types of events that reverse outcomes: returns, cancellations, refunds';
COMMENT ON COLUMN decide.outcome_type.reference_path IS 'Path of what a reversal has in common with its original, such as the number of an order: attributes.x';
COMMENT ON COLUMN decide.outcome_type.reversal_value_path IS
  'Path of how much a reversal takes back; one without it takes back everything (null: as value_path, which may be null)';
COMMENT ON COLUMN decide.outcome_type.delay_attribute IS 'Attribute of actions by which delays are fitted beside the surface (null: by the surface alone)';
COMMENT ON COLUMN decide.outcome_type.purpose IS 'What outcomes are used for; where decide.purpose has rows, those of persons who do not consent to that are not credited';
COMMENT ON COLUMN decide.outcome_type.description IS 'For people';

CREATE TABLE decide.bundle_outcome_type (
  bundle bigint NOT NULL,
  outcome_type text NOT NULL,
  event_types text[] NOT NULL,
  window_length interval NOT NULL,
  match_by text NOT NULL,
  requires text,
  touch text NOT NULL,
  value_path text,
  margin_path text,
  max_value double precision NOT NULL,
  reversal_types text[] NOT NULL,
  reference_path text,
  reversal_value_path text,
  delay_attribute text,
  purpose int,
  opt_out boolean NOT NULL,
  PRIMARY KEY (bundle, outcome_type)
);
COMMENT ON TABLE decide.bundle_outcome_type IS 'Outcome types of each bundle, as the job "attribution" reads them';
COMMENT ON COLUMN decide.bundle_outcome_type.bundle IS 'Bundle';
COMMENT ON COLUMN decide.bundle_outcome_type.outcome_type IS 'Name';
COMMENT ON COLUMN decide.bundle_outcome_type.event_types IS 'Types of events that count';
COMMENT ON COLUMN decide.bundle_outcome_type.window_length IS 'How long after a decision its outcomes happen';
COMMENT ON COLUMN decide.bundle_outcome_type.match_by IS 'How an event without a decision_id finds its decision';
COMMENT ON COLUMN decide.bundle_outcome_type.requires IS 'Type of an event that must have followed from the decision before (null: none)';
COMMENT ON COLUMN decide.bundle_outcome_type.touch IS 'last or first';
COMMENT ON COLUMN decide.bundle_outcome_type.value_path IS 'Path of the value (null: each event counts 1)';
COMMENT ON COLUMN decide.bundle_outcome_type.margin_path IS 'Path of the margin (null: none)';
COMMENT ON COLUMN decide.bundle_outcome_type.max_value IS 'Largest value that an event counts';
COMMENT ON COLUMN decide.bundle_outcome_type.reversal_types IS 'Types of events that reverse outcomes';
COMMENT ON COLUMN decide.bundle_outcome_type.reference_path IS 'Path of what a reversal has in common with its original (null: nothing reverses)';
COMMENT ON COLUMN decide.bundle_outcome_type.reversal_value_path IS 'Path of how much a reversal takes back (null: everything)';
COMMENT ON COLUMN decide.bundle_outcome_type.delay_attribute IS 'Attribute of actions by which delays are fitted beside the surface (null: none)';
COMMENT ON COLUMN decide.bundle_outcome_type.purpose IS 'Number of the purpose that a person must consent to (null: none)';
COMMENT ON COLUMN decide.bundle_outcome_type.opt_out IS 'Whether that purpose is granted where nothing was decided';

CREATE TABLE decide.outcome_queue (
  user_key uuid NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  is_repeat boolean
);
-- For publications of all tables: it has no key.
ALTER TABLE decide.outcome_queue REPLICA IDENTITY FULL;
COMMENT ON TABLE decide.outcome_queue IS 'Events that outcome types speak of, until the job "attribution" has looked at them; one may have several rows';
COMMENT ON COLUMN decide.outcome_queue.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.outcome_queue.event_id IS 'Event';
COMMENT ON COLUMN decide.outcome_queue.at IS 'When it happened';
COMMENT ON COLUMN decide.outcome_queue.received_at IS 'When track() took it in';
COMMENT ON COLUMN decide.outcome_queue.is_repeat IS 'Whether it is looked at again for an event that it requires (null: no)';

-- Traces are found by their identifiers. An index by user would be one more write in each decision, so the job keeps it, here.
CREATE TABLE decide.user_decision (
  user_key uuid NOT NULL,
  decision_id uuid NOT NULL,
  decided_at timestamptz NOT NULL,
  bundle bigint,
  surface text NOT NULL,
  first_slot smallint NOT NULL,
  actions integer[] NOT NULL,
  PRIMARY KEY (user_key, decision_id)
);
ALTER TABLE decide.user_decision ALTER COLUMN actions SET STATISTICS 0;
-- Rows come in order of time.
CREATE INDEX ON decide.user_decision USING brin (decided_at) WITH (pages_per_range = 16, autosummarize = on);
COMMENT ON TABLE decide.user_decision IS 'Decisions by user, for as long as the longest window of an outcome type: the job "attribution" copies them from traces, if some type looks for them';
COMMENT ON COLUMN decide.user_decision.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.user_decision.decision_id IS 'Identifier of the decision, in order of time';
COMMENT ON COLUMN decide.user_decision.decided_at IS 'When it was made';
COMMENT ON COLUMN decide.user_decision.bundle IS 'Bundle in force';
COMMENT ON COLUMN decide.user_decision.surface IS 'Surface';
COMMENT ON COLUMN decide.user_decision.first_slot IS 'Number of the first slot';
COMMENT ON COLUMN decide.user_decision.actions IS 'Action per slot, by number';

CREATE TABLE decide.attribution_progress (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  decisions_from timestamptz NOT NULL,
  decisions_to uuid NOT NULL,
  reached timestamptz NOT NULL
);
COMMENT ON TABLE decide.attribution_progress IS 'How far the job "attribution" has copied decisions; one row, none before its first run';
COMMENT ON COLUMN decide.attribution_progress.one IS 'True';
COMMENT ON COLUMN decide.attribution_progress.decisions_from IS 'Decisions are copied from this time on';
COMMENT ON COLUMN decide.attribution_progress.decisions_to IS 'Up to this identifier';
COMMENT ON COLUMN decide.attribution_progress.reached IS 'The time in that identifier';

CREATE TABLE decide.attributed_event (
  user_key uuid NOT NULL,
  outcome_type text NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  event_type text NOT NULL,
  bundle bigint NOT NULL,
  is_reversal boolean NOT NULL,
  reference text,
  raw_value double precision,
  max_value double precision NOT NULL,
  reversed double precision NOT NULL DEFAULT 0,
  value double precision,
  net_value double precision,
  margin double precision,
  net_margin double precision,
  decided_for uuid,
  decision_id uuid,
  decided_at timestamptz,
  surface text,
  slot int,
  number int,
  reason text,
  credited_at timestamptz NOT NULL,
  PRIMARY KEY (user_key, outcome_type, event_id, at)
) WITH (fillfactor = 90);
CREATE INDEX ON decide.attributed_event (user_key, outcome_type, reference) WHERE reference IS NOT NULL;
CREATE INDEX ON decide.attributed_event (COALESCE(decided_at, at));
COMMENT ON TABLE decide.attributed_event IS
  'What became of each event that an outcome type speaks of: the decision that it is credited to, or why there is none; decide.credited_outcome shows the former';
COMMENT ON COLUMN decide.attributed_event.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.attributed_event.outcome_type IS 'Outcome type';
COMMENT ON COLUMN decide.attributed_event.event_id IS 'Event';
COMMENT ON COLUMN decide.attributed_event.at IS 'When it happened';
COMMENT ON COLUMN decide.attributed_event.received_at IS 'When track() took it in';
COMMENT ON COLUMN decide.attributed_event.event_type IS 'Its type';
COMMENT ON COLUMN decide.attributed_event.bundle IS 'Bundle whose outcome type was used';
COMMENT ON COLUMN decide.attributed_event.is_reversal IS 'Whether it reverses another event';
COMMENT ON COLUMN decide.attributed_event.reference IS 'What it has in common with its reversals, or with its original (null: nothing)';
COMMENT ON COLUMN decide.attributed_event.raw_value IS 'Value as the event said it, at most 10^30 to both sides; of a reversal, how much it takes back (null: everything)';
COMMENT ON COLUMN decide.attributed_event.max_value IS 'Largest value that counts';
COMMENT ON COLUMN decide.attributed_event.reversed IS 'How much of raw_value reversals take back';
COMMENT ON COLUMN decide.attributed_event.value IS 'Gross value, winsorized (null: it is a reversal)';
COMMENT ON COLUMN decide.attributed_event.net_value IS 'Value less what was reversed, winsorized';
COMMENT ON COLUMN decide.attributed_event.margin IS 'Gross margin, winsorized (null: there is none)';
COMMENT ON COLUMN decide.attributed_event.net_margin IS 'Margin of the part of the value that was not reversed';
COMMENT ON COLUMN decide.attributed_event.decided_for IS 'Pseudonym for which the decision was made: that of the user, or of one who was merged into them (null: there is no decision)';
COMMENT ON COLUMN decide.attributed_event.decision_id IS 'Decision that it is credited to';
COMMENT ON COLUMN decide.attributed_event.decided_at IS 'When that was made';
COMMENT ON COLUMN decide.attributed_event.surface IS 'Surface of the decision';
COMMENT ON COLUMN decide.attributed_event.slot IS 'Slot that it is credited to (null: the slate)';
COMMENT ON COLUMN decide.attributed_event.number IS 'Number of the action in that slot (null: the slate; -1: the event names an action that the decision has not shown)';
COMMENT ON COLUMN decide.attributed_event.reason IS
  'Why it is credited to no decision (null: it is, or it is a reversal of another event): no decision named, unknown decision, outside the window, no key, no exposure, too late, consent denied, no reference, no original';
COMMENT ON COLUMN decide.attributed_event.credited_at IS 'When the job has looked at it last';

-- Where an event has what a path says.
CREATE FUNCTION decide.number_in_event(value double precision, attributes jsonb, path text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN path = 'value' THEN CASE WHEN value <> 'NaN' THEN LEAST(GREATEST(value, -1e30), 1e30) END
  WHEN pg_catalog.jsonb_typeof(attributes -> pg_catalog.substr(path, 12)) = 'number'
  THEN LEAST(GREATEST((attributes ->> pg_catalog.substr(path, 12))::numeric, -1e30), 1e30)::double precision END;
COMMENT ON FUNCTION decide.number_in_event(double precision, jsonb, text) IS 'The number at a path of an event: value or attributes.x; null if there is none';

CREATE FUNCTION decide.within(value double precision, most double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value IS NOT NULL THEN LEAST(GREATEST(value, -most), most) END;
COMMENT ON FUNCTION decide.within(double precision, double precision) IS 'A value, winsorized to both sides';

CREATE VIEW decide.credited_outcome AS
SELECT a.outcome_type, a.decision_id, a.decided_at, a.decided_for AS user_key, a.surface, a.slot, decide.action_name(a.number) AS action,
       a.event_id, a.event_type, a.at, a.value, a.net_value, a.margin, a.net_margin, pg_catalog.abs(a.raw_value) > a.max_value AS winsorized,
       a.user_key AS event_user_key, a.bundle, a.credited_at
  FROM decide.attributed_event AS a
 WHERE a.decision_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM decide.erasing AS e WHERE e.user_key IN (a.user_key, a.decided_for) AND a.received_at <= e.erased_at);
COMMENT ON VIEW decide.credited_outcome IS 'Outcomes and the decisions that they are credited to: at most one for each event and outcome type';
COMMENT ON COLUMN decide.credited_outcome.outcome_type IS 'Outcome type';
COMMENT ON COLUMN decide.credited_outcome.decision_id IS 'Decision that it is credited to';
COMMENT ON COLUMN decide.credited_outcome.decided_at IS 'When that was made';
COMMENT ON COLUMN decide.credited_outcome.user_key IS 'Pseudonym of the user of the decision';
COMMENT ON COLUMN decide.credited_outcome.surface IS 'Surface';
COMMENT ON COLUMN decide.credited_outcome.slot IS 'Slot (null: the slate, or the event names an action that the decision has not shown)';
COMMENT ON COLUMN decide.credited_outcome.action IS 'Action in that slot';
COMMENT ON COLUMN decide.credited_outcome.event_id IS 'Event that told of it';
COMMENT ON COLUMN decide.credited_outcome.event_type IS 'Type of the event';
COMMENT ON COLUMN decide.credited_outcome.at IS 'When it happened';
COMMENT ON COLUMN decide.credited_outcome.value IS 'Gross value';
COMMENT ON COLUMN decide.credited_outcome.net_value IS 'Value less what was reversed';
COMMENT ON COLUMN decide.credited_outcome.margin IS 'Gross margin (null: there is none)';
COMMENT ON COLUMN decide.credited_outcome.net_margin IS 'Margin of the part of the value that was not reversed';
COMMENT ON COLUMN decide.credited_outcome.winsorized IS 'Whether the event said more than the largest value that counts';
COMMENT ON COLUMN decide.credited_outcome.event_user_key IS 'Pseudonym of the user of the event: another one where users were merged';
COMMENT ON COLUMN decide.credited_outcome.bundle IS 'Bundle whose outcome type was used';
COMMENT ON COLUMN decide.credited_outcome.credited_at IS 'When it was credited, or changed last';

CREATE VIEW decide.uncredited_event AS
SELECT a.outcome_type, a.user_key, a.event_id, a.event_type, a.at, a.is_reversal, a.reference, a.raw_value, a.reason, a.bundle, a.credited_at AS looked_at
  FROM decide.attributed_event AS a
 WHERE a.reason IS NOT NULL
   AND NOT EXISTS (SELECT FROM decide.erasing AS e WHERE e.user_key = a.user_key AND a.received_at <= e.erased_at);
COMMENT ON VIEW decide.uncredited_event IS 'Events that outcome types speak of and that are credited to no decision, and reversals without an original, with the reason';
COMMENT ON COLUMN decide.uncredited_event.outcome_type IS 'Outcome type';
COMMENT ON COLUMN decide.uncredited_event.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.uncredited_event.event_id IS 'Event';
COMMENT ON COLUMN decide.uncredited_event.event_type IS 'Its type';
COMMENT ON COLUMN decide.uncredited_event.at IS 'When it happened';
COMMENT ON COLUMN decide.uncredited_event.is_reversal IS 'Whether it is a reversal';
COMMENT ON COLUMN decide.uncredited_event.reference IS 'What it would have in common with its original or its reversals';
COMMENT ON COLUMN decide.uncredited_event.raw_value IS 'Value as the event said it';
COMMENT ON COLUMN decide.uncredited_event.reason IS
  'no decision named, unknown decision, outside the window, no key, no exposure, too late, consent denied, no reference, no original';
COMMENT ON COLUMN decide.uncredited_event.bundle IS 'Bundle whose outcome type was used';
COMMENT ON COLUMN decide.uncredited_event.looked_at IS 'When the job has looked at it last';
