-- Facts: events once, the numbers kept from them, and what came of decisions.

CREATE TABLE decide.user_state (
  user_key uuid PRIMARY KEY,
  features double precision[] NOT NULL DEFAULT '{}',
  updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  keyed double precision[] NOT NULL DEFAULT '{}',
  events bigint NOT NULL DEFAULT 0,
  exposures bigint[] NOT NULL DEFAULT '{}',
  not_before timestamptz,
  consents bigint[],
  merged_into uuid,
  merged_from uuid[]
) WITH (fillfactor = 80);
-- Nobody searches by what is in these; ANALYZE would spend most of its time on them.
ALTER TABLE decide.user_state
  ALTER COLUMN features SET STATISTICS 0, ALTER COLUMN keyed SET STATISTICS 0, ALTER COLUMN exposures SET STATISTICS 0,
  ALTER COLUMN consents SET STATISTICS 0;
COMMENT ON TABLE decide.user_state IS 'One row per user, which decide() reads in one look-up';
COMMENT ON COLUMN decide.user_state.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.user_state.features IS 'Cells, by the slots of features: the time of the newest event, in microseconds since 2000, and what the aggregate keeps; -Infinity: nothing yet';
COMMENT ON COLUMN decide.user_state.keyed IS 'Features kept per key: blocks of slot, width, count, and so many keys with their cells; where keys were dropped 16 more than the width, after the count a moment and the most that a dropped key weighed, and behind each key the most that it lacks';
COMMENT ON COLUMN decide.user_state.events IS 'How many events are in it';
COMMENT ON COLUMN decide.user_state.exposures IS 'Counters of caps per user: blocks of the number of a cap, how many entries, and so many triples of time, amount, and 0 (counted) or the action that it is reserved for (2^32 more: several reservations, brought together). A negative number is that of an experiment, whose variant is kept as time, position and 0';
COMMENT ON COLUMN decide.user_state.updated_at IS 'When it last changed';
COMMENT ON COLUMN decide.user_state.not_before IS 'When the person was erased last: no event of that time or before is taken in (null: never, or not any more)';
COMMENT ON COLUMN decide.user_state.consents IS
  'What the person has decided about purposes: the numbers of those that were granted and of those that were decided, as bits, then pairs of a number and the time of its newest decision; a pair with a number below 0 is of the region (null: nothing yet)';
COMMENT ON COLUMN decide.user_state.merged_into IS 'User into whom this one was merged: what is decided or tracked for this one is for them (null: it was not)';
COMMENT ON COLUMN decide.user_state.merged_from IS 'Users who were merged into this one, also by way of others: decisions of theirs are this one''s (null: none)';

CREATE TABLE decide.user_merge (
  user_key uuid PRIMARY KEY,
  merged_into uuid NOT NULL,
  merged_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  events bigint NOT NULL,
  events_before bigint NOT NULL,
  duplicates bigint NOT NULL DEFAULT 0
);
CREATE INDEX ON decide.user_merge (merged_into);
COMMENT ON TABLE decide.user_merge IS 'Users who were merged into others by decide.merge_users, or moved to a newer key';
COMMENT ON COLUMN decide.user_merge.user_key IS 'Pseudonym of the user who was merged';
COMMENT ON COLUMN decide.user_merge.merged_into IS 'Pseudonym of the user into whom';
COMMENT ON COLUMN decide.user_merge.merged_at IS 'When';
COMMENT ON COLUMN decide.user_merge.events IS 'How many events the first had';
COMMENT ON COLUMN decide.user_merge.events_before IS 'How many the other had before: event n of the first is now event events_before + n of the other';
COMMENT ON COLUMN decide.user_merge.duplicates IS 'How many events both had: these count once';

CREATE TABLE decide.entity_state (
  entity text NOT NULL,
  name text NOT NULL,
  stripe integer NOT NULL,
  features double precision[] NOT NULL DEFAULT '{}',
  updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (entity, name, stripe)
) WITH (fillfactor = 80);
ALTER TABLE decide.entity_state ALTER COLUMN features SET STATISTICS 0;
COMMENT ON TABLE decide.entity_state IS 'Features of actions and of surfaces: a row for each session that adds to them, until the job "action_features" merges it';
COMMENT ON COLUMN decide.entity_state.entity IS 'action or surface';
COMMENT ON COLUMN decide.entity_state.name IS 'Name of the action, or of the surface';
COMMENT ON COLUMN decide.entity_state.stripe IS '0: the merged row; else the process that adds to it';
COMMENT ON COLUMN decide.entity_state.features IS 'Cells by feature slot, as in decide.user_state';
COMMENT ON COLUMN decide.entity_state.updated_at IS 'When it last changed';

CREATE TABLE decide.entity_snapshot (
  taken_at timestamptz PRIMARY KEY,
  bundle bigint NOT NULL,
  content jsonb NOT NULL,
  slots jsonb NOT NULL
);
COMMENT ON TABLE decide.entity_snapshot IS 'The features of actions and of surfaces at a moment; decisions use the newest snapshot, and traces name it';
COMMENT ON COLUMN decide.entity_snapshot.taken_at IS 'The moment';
COMMENT ON COLUMN decide.entity_snapshot.bundle IS 'Bundle that was in force';
COMMENT ON COLUMN decide.entity_snapshot.content IS 'Values by entity, feature, and name of the action or surface; only what there is';
COMMENT ON COLUMN decide.entity_snapshot.slots IS 'Slots of these features: another definition has another';

-- Partitioned tables have their primary keys on the partitions: what pg_dump writes of a partition can then be
-- restored under a parent that CREATE EXTENSION has made.
CREATE TABLE decide.event (
  user_key uuid NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  type text NOT NULL,
  action text,
  surface text,
  decision_id uuid,
  value double precision,
  attributes jsonb,
  schema_version smallint NOT NULL DEFAULT 1,
  ordinal bigint NOT NULL DEFAULT 0
) PARTITION BY RANGE (at);
CREATE TABLE decide.event_default PARTITION OF decide.event (
  PRIMARY KEY (user_key, event_id, at)
) DEFAULT;
CREATE TABLE decide.feature_key (
  key_hash bigint NOT NULL,
  key text NOT NULL
);
-- For publications of all tables: it has no key.
ALTER TABLE decide.feature_key REPLICA IDENTITY FULL;
CREATE INDEX ON decide.feature_key (key_hash);
COMMENT ON TABLE decide.feature_key IS 'The texts of the keys of features that are kept per key; a text may have two rows';
COMMENT ON COLUMN decide.feature_key.key_hash IS 'The number by which the row of a user knows it';
COMMENT ON COLUMN decide.feature_key.key IS 'Text, its first 200 characters';
COMMENT ON TABLE decide.event IS 'Events, each once, by day';
COMMENT ON TABLE decide.event_default IS 'Events of days that have no partition';
COMMENT ON COLUMN decide.event.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.event.event_id IS 'The producer''s identifier; a second event with it is a duplicate';
COMMENT ON COLUMN decide.event.at IS 'When it happened';
COMMENT ON COLUMN decide.event.received_at IS 'When track() took it in';
COMMENT ON COLUMN decide.event.type IS 'Type';
COMMENT ON COLUMN decide.event.action IS 'Action that it is about';
COMMENT ON COLUMN decide.event.surface IS 'Surface where it happened';
COMMENT ON COLUMN decide.event.decision_id IS 'Decision that it follows from';
COMMENT ON COLUMN decide.event.value IS 'How much: price, seconds, stars';
COMMENT ON COLUMN decide.event.ordinal IS 'Which of the events of its user it was that was stored, from 1';
COMMENT ON COLUMN decide.event.attributes IS 'Only the attributes that features look at, action.x for those of its action, and what the contract keeps';
COMMENT ON COLUMN decide.event.schema_version IS 'Version of the contract that it conforms to';

CREATE TABLE decide.outcome (
  user_key uuid NOT NULL,
  decision_id uuid NOT NULL,
  event_id text NOT NULL,
  decided_at timestamptz NOT NULL,
  at timestamptz NOT NULL,
  type text NOT NULL,
  action text,
  value double precision,
  number integer
) PARTITION BY RANGE (decided_at);
CREATE TABLE decide.outcome_default PARTITION OF decide.outcome (
  PRIMARY KEY (decision_id, user_key, event_id, decided_at)
) DEFAULT;
COMMENT ON TABLE decide.outcome IS 'What happened after a decision, by the day of the decision';
COMMENT ON TABLE decide.outcome_default IS 'Outcomes of days that have no partition';
COMMENT ON COLUMN decide.outcome.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.outcome.decision_id IS 'Decision that it belongs to';
COMMENT ON COLUMN decide.outcome.event_id IS 'Event that told of it';
COMMENT ON COLUMN decide.outcome.decided_at IS 'When the decision was made (it is written into its identifier)';
COMMENT ON COLUMN decide.outcome.at IS 'When it happened';
COMMENT ON COLUMN decide.outcome.type IS 'Type of the event';
COMMENT ON COLUMN decide.outcome.action IS 'Action of the slate that it is about (null: the slate)';
COMMENT ON COLUMN decide.outcome.value IS 'How much';
COMMENT ON COLUMN decide.outcome.number IS 'Number of the action that had that name when the event came (null: none had, or the slate)';

CREATE TABLE decide.quarantine (
  quarantine_id uuid PRIMARY KEY,
  received_at timestamptz NOT NULL,
  user_key uuid,
  reasons text[] NOT NULL,
  payload jsonb,
  event_type text,
  treated text[] NOT NULL DEFAULT '{}'
);
CREATE INDEX ON decide.quarantine (received_at);
CREATE INDEX quarantine_unreadable ON decide.quarantine (quarantine_id) WHERE payload ? 'unreadable';
COMMENT ON INDEX decide.quarantine_unreadable IS 'Texts that could not be read: whose they are is not known, so every erasure empties them';
COMMENT ON TABLE decide.quarantine IS 'Events that did not conform, with every reason';
COMMENT ON COLUMN decide.quarantine.quarantine_id IS 'Identifier, in order of time';
COMMENT ON COLUMN decide.quarantine.received_at IS 'When track() took it in';
COMMENT ON COLUMN decide.quarantine.user_key IS 'Pseudonym of the user, if the event had one';
COMMENT ON COLUMN decide.quarantine.reasons IS 'What is wrong with it: code and field';
COMMENT ON COLUMN decide.quarantine.payload IS 'The event without its user_id, or {"unreadable": …} with the first 1,024 bytes of a text that track() could not read (null: too large, too deep, or no object)';
COMMENT ON COLUMN decide.quarantine.event_type IS 'Type, if it can be told';
COMMENT ON COLUMN decide.quarantine.treated IS 'Attributes that were coarsened or hashed before it was kept';

-- Events that COPY puts there, until the job "fold" takes them in. As text, so that one bad line fails
-- no COPY. The user_id never gets into the row.
CREATE TABLE decide.event_inbox (
  event text NOT NULL,
  received_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  user_key uuid,
  treated text[]
);
-- For publications of all tables: it has no key.
ALTER TABLE decide.event_inbox REPLICA IDENTITY FULL;
CREATE INDEX ON decide.event_inbox (received_at);
COMMENT ON TABLE decide.event_inbox IS 'Events that COPY puts there, until the job "fold" tracks them';
COMMENT ON COLUMN decide.event_inbox.event IS 'An event as track() takes it; kept without its user_id, and empty where it was no JSON object';
COMMENT ON COLUMN decide.event_inbox.received_at IS 'When it came';
COMMENT ON COLUMN decide.event_inbox.user_key IS 'Pseudonym of the user, made from the user_id on the way in';
COMMENT ON COLUMN decide.event_inbox.treated IS 'Attributes that were coarsened or hashed on the way in (null: none)';
CREATE FUNCTION decide.receive_event() RETURNS trigger
LANGUAGE c SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'receive_event_wrapper';
COMMENT ON FUNCTION decide.receive_event() IS 'Replaces the user_id by the pseudonym before an event is stored in the inbox';
CREATE TRIGGER receive_event BEFORE INSERT ON decide.event_inbox FOR EACH ROW
  WHEN (NEW.user_key IS NULL) EXECUTE FUNCTION decide.receive_event();
COMMENT ON TRIGGER receive_event ON decide.event_inbox IS 'No raw user_id in a table';

