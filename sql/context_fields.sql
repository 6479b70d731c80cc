-- Minimization: what may be known of contexts and events, before anything sees them.

CREATE TABLE decide.context_field (
  source text NOT NULL DEFAULT 'context' CHECK (source IN ('context', 'event')),
  field text NOT NULL,
  treatment text NOT NULL DEFAULT 'keep' CHECK (treatment IN ('keep', 'coarsen', 'hash', 'drop')),
  expression text,
  names_region boolean NOT NULL DEFAULT false,
  description text,
  PRIMARY KEY (source, field)
);
COMMENT ON TABLE decide.context_field IS 'What may be known of a field of the context, or of an attribute of events; what has no row is kept as it is';
COMMENT ON COLUMN decide.context_field.source IS 'context: a field of the context of decisions; event: an attribute of events';
COMMENT ON COLUMN decide.context_field.field IS 'Name of the field, or of the attribute';
COMMENT ON COLUMN decide.context_field.treatment IS
  'keep: it stays as it is; coarsen: the value of expression takes its place; hash: a keyed hash does; drop: it is left out';
COMMENT ON COLUMN decide.context_field.expression IS
  'SQL expression of value, the field as jsonb, made of immutable functions that the server came with; where it is null, or fails, the field is left out (only for coarsen)';
COMMENT ON COLUMN decide.context_field.names_region IS 'Whether what is left of it names the region; one field of each source may';
COMMENT ON COLUMN decide.context_field.description IS 'For people';

-- Written by the session that has failed to coarsen, into a row of its own.
CREATE TABLE decide.uncoarsened (
  day date NOT NULL,
  field text NOT NULL,
  stripe integer NOT NULL,
  events bigint NOT NULL,
  PRIMARY KEY (day, field, stripe)
);
COMMENT ON TABLE decide.uncoarsened IS 'How many events had an attribute that could not be coarsened and was left out; decisions say that in decide.decision.errors';
COMMENT ON COLUMN decide.uncoarsened.day IS 'Day on which they came (UTC)';
COMMENT ON COLUMN decide.uncoarsened.field IS 'Attribute';
COMMENT ON COLUMN decide.uncoarsened.stripe IS 'Process that has counted them; 0: merged';
COMMENT ON COLUMN decide.uncoarsened.events IS 'How many';
