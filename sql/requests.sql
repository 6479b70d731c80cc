-- Requests that clients have named, for an hour: a retry gets the same answer.

CREATE TABLE decide.request (
  user_key uuid NOT NULL,
  request_key uuid NOT NULL,
  requested_at timestamptz NOT NULL,
  surfaces bigint NOT NULL,
  decisions uuid[] NOT NULL DEFAULT '{}',
  PRIMARY KEY (user_key, request_key)
) WITH (fillfactor = 70);
CREATE INDEX ON decide.request (requested_at);
COMMENT ON TABLE decide.request IS 'Requests with a request_id, and their decisions, until the job "requests" deletes them after an hour';
COMMENT ON COLUMN decide.request.user_key IS 'Pseudonym of the user';
COMMENT ON COLUMN decide.request.request_key IS 'Keyed hash of the request_id';
COMMENT ON COLUMN decide.request.requested_at IS 'When it was decided';
COMMENT ON COLUMN decide.request.surfaces IS 'Hash of the names of its surfaces, in their order';
COMMENT ON COLUMN decide.request.decisions IS 'Its decisions, one for each surface';
