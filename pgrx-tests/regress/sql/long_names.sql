-- What a caller names is in the message, but not a megabyte of it.
CREATE FUNCTION told(statement text) RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement USING repeat('é', 500000), repeat('x', 1000000);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN NEXT;
END $$;
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
INSERT INTO decide.action (action) VALUES ('nothing');
SELECT decide.publish();
CREATE TABLE orders (id int PRIMARY KEY, customer text);
CREATE TABLE calls (call text);
INSERT INTO calls VALUES ('SELECT * FROM decide(''ann'', $1)'), ('SELECT * FROM decide.explain(''ann'', $1)'), ('SELECT * FROM decide($2, ''home'')'), ('SELECT decide.user_key($2)'),
  ('SELECT decide.set_mode($1, ''paused'', ''x'')'), ('SELECT decide.set_mode(NULL, $1, ''x'')'), ('SELECT decide.kill($1, ''a'', ''x'')'), ('SELECT decide.kill(''action'', $1, ''x'')'), ('SELECT decide.revive(''action'', $1, ''x'')'),
  ('SELECT decide.run_job($1)'), ('SELECT decide.backfill($1)'), ('SELECT decide.train($1, ''home'', ''{1}'')'), ('SELECT decide.train(''m'', $1, ''{1}'')'), ('SELECT decide.train(''m'', ''home'', ARRAY[$1])'), ('SELECT decide.train(''m'', ''home'', ''{1}'', family => $1)'),
  ('SELECT decide.approve($1, 1)'), ('SELECT decide.import_decisions(''orders'', $1)'), ('SELECT * FROM decide.simulate_pacing(budget => 1, pacing => $1)'), ('SELECT * FROM decide.simulate_pacing(budget => 1, shape => $1)'),
  ('SELECT decide.grant(''postgres'', $1)'), ('SELECT decide.revoke(''postgres'', $1)'), ('SELECT decide.untrack_table(''orders'', $1)'), ('SELECT decide.track_table(''orders'', jsonb_build_object(''type'', ''order'', ''user_id'', $1))'),
  ('SELECT decide.track_table(''orders'', jsonb_build_object(''type'', ''order'', ''user_id'', ''customer'', $1, 1))'), ('SELECT track(jsonb_build_object(''event_id'', $2, ''type'', $1), true)'), ('SELECT track($2, true)'),
  ('INSERT INTO decide.policy (policy, surface, selection) VALUES (''home'', ''home'', $1); SELECT decide.publish()'), ('INSERT INTO decide.action (action, surfaces) VALUES (''a'', ARRAY[$1]); SELECT decide.publish()'),
  ('INSERT INTO decide.action (action, eligible_when) VALUES (''a'', $1 || '' = '''' ''); SELECT decide.publish()'), ('INSERT INTO decide.feature (feature, event_type, aggregate) VALUES (''f'', ''click'', $1); SELECT decide.publish()'),
  ('INSERT INTO decide.event_type (event_type, fields) VALUES (''click'', jsonb_build_object($1, 1)); SELECT decide.publish()');
SELECT CASE WHEN call ~ 'publish' THEN left(call, 45) ELSE call END AS call, code, octet_length(message) < 2500 AND octet_length(detail) < 2500 AND octet_length(hint) < 2500 AS short, left(message, 60) AS message FROM calls, told(call);
