-- Outcome types say what counts; the job credits each event to at most one decision, whatever the order in which events come.
\pset null -
SET pg_decide.attribution_lag = 0;
INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing'), ('feed', 'nothing');
INSERT INTO decide.campaign (campaign) VALUES ('spring');
INSERT INTO decide.action (action, campaign, attributes) VALUES
  ('nothing', NULL, '{}'), ('shoes', 'spring', '{"sku": "s1"}'), ('boots', 'spring', '{"sku": "s2"}'), ('hat', NULL, '{"sku": "h1"}');
INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('feed', 'feed', 'uniform');

-- what contradicts itself is refused
INSERT INTO decide.outcome_type (outcome_type, event_types, match_by, requires, reversal_types, reference_path) VALUES
  ('a', '{order}', 'decision', NULL, '{order}', 'attributes.no'), ('b', '{order}', 'decision', NULL, '{return}', NULL), ('c', '{}', 'decision', NULL, '{}', NULL),
  ('d', '{order}', 'decision', 'click', '{}', NULL), ('e', '{click}', 'action', 'click', '{}', NULL), ('f', '{order}', 'price', NULL, '{}', 'value');
INSERT INTO decide.outcome_type (outcome_type, event_types, purpose, value_path) VALUES ('g', '{order}', 'ads', 'action.x');
SELECT decide.publish();
INSERT INTO decide.purpose (purpose) VALUES ('research');
SELECT decide.publish();
DELETE FROM decide.purpose;
DELETE FROM decide.outcome_type;
INSERT INTO decide.outcome_type (outcome_type, event_types, max_value) VALUES ('a', '{order}', 1e300);
INSERT INTO decide.outcome_type (outcome_type, event_types, max_value) VALUES ('a', '{order}', 'NaN');
INSERT INTO decide.outcome_type (outcome_type, event_types, window_length) VALUES ('a', '{order}', '0');

INSERT INTO decide.outcome_type (outcome_type, event_types, match_by, window_length, value_path, margin_path, max_value, reversal_types, reference_path) VALUES
  ('order', '{order}', 'attributes.sku', '1 day', 'value', 'attributes.margin', 1000, '{return}', 'attributes.no');
INSERT INTO decide.outcome_type (outcome_type, event_types, match_by, window_length, requires, touch) VALUES
  ('clicked_order', '{order}', 'attributes.sku', '1 day', 'click', 'last'), ('first_of_campaign', '{order}', 'campaign', '1 day', NULL, 'first'),
  ('click', '{click}', 'decision', '1 hour', NULL, 'last'), ('read', '{read}', 'action', '1 day', NULL, 'last');
SELECT decide.publish();

-- decisions of ann: three days ago, each at its hour
CREATE FUNCTION at(hour float8) RETURNS timestamptz LANGUAGE sql AS $$ SELECT date_trunc('hour', now()) - interval '3 days' + make_interval(secs => 3600 * hour) $$;
CREATE TABLE logged AS
SELECT u.user_id, l.surface, at(l.hour) AS decided_at, l.action, 1.0::float8 AS propensity
  FROM (VALUES ('ann'), ('bob')) AS u (user_id),
       (VALUES ('home', 1, 'shoes'), ('feed', 2, 'shoes'), ('home', 3, 'hat'), ('feed', 4, 'boots'), ('home', 30, 'shoes')) AS l (surface, hour, action);
SELECT decide.import_decisions('logged', 'test');
CREATE FUNCTION decision(who text, hour float8) RETURNS uuid LANGUAGE sql AS $$
  SELECT t.decision_id FROM decide.trace AS t WHERE t.user_key = decide.user_key(who) AND t.decided_at = at(hour) $$;
CREATE FUNCTION tell(who text, id text, kind text, hour float8, more jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT track(jsonb_build_object('event_id', id, 'user_id', who, 'type', kind, 'at', at(hour)) || more) $$;
CREATE VIEW credited AS
SELECT c.outcome_type AS type, c.event_id AS event, round(extract(epoch FROM c.decided_at - at(0)) / 3600) AS hour, c.surface, c.slot, c.action, c.value, c.net_value, c.margin, c.net_margin, c.winsorized
  FROM decide.credited_outcome AS c ORDER BY c.outcome_type, c.event_id;

SELECT tell('ann', '1', 'order', 5, '{"value": 100, "attributes": {"sku": "s1", "no": "A", "margin": 40, "campaign": "spring"}}');
SELECT tell('ann', '2', 'click', 1.5, jsonb_build_object('decision_id', decision('ann', 1)));
SELECT tell('ann', '3', 'read', 3.5, '{"action": "hat"}');
SELECT count(*) FROM decide.outcome_queue;
SELECT decide.run_job('attribution');
SELECT count(*) FROM decide.outcome_queue;
-- the order: the last exposure, the last that was clicked, the first of the campaign
SELECT * FROM credited;
-- the sku's of no exposure, after the window, before the first; without one; a decision that is not the user's, and one outside of the window
SELECT tell('ann', '4', 'order', 5, '{"value": 1, "attributes": {"sku": "x"}}'), tell('ann', '5', 'order', 60, '{"value": 1, "attributes": {"sku": "s1"}}'),
       tell('ann', '6', 'order', 0.5, '{"value": 1, "attributes": {"sku": "s1"}}'), tell('ann', '7', 'order', 5, '{}'),
       tell('ann', '8', 'click', 5, jsonb_build_object('decision_id', decision('bob', 1))), tell('ann', '9', 'click', 5, jsonb_build_object('decision_id', decision('ann', 1))),
       tell('ann', '10', 'click', 5, '{}'), tell('ann', '12', 'order', -24 * 30, '{"value": 1, "attributes": {"sku": "s1"}}');
SELECT decide.run_job('attribution');
SELECT u.outcome_type, u.event_id, u.reason FROM decide.uncredited_event AS u ORDER BY 1, u.event_id::int;
-- a click that comes late: the order has a clicked exposure that is nearer
SELECT tell('ann', '11', 'click', 2.5, jsonb_build_object('decision_id', decision('ann', 2)));
SELECT decide.run_job('attribution');
SELECT * FROM credited WHERE type = 'clicked_order';

-- a click that names an action which the decision has not shown is the decision's, and no slot's
SELECT tell('ann', '13', 'click', 1.6, jsonb_build_object('decision_id', decision('ann', 1), 'action', 'hat'));
SELECT decide.run_job('attribution') LIKE '% events %' AS done;
SELECT c.event_id, c.slot, c.action FROM decide.credited_outcome AS c WHERE c.outcome_type = 'click' ORDER BY 1;
SELECT n.action, r.number < 0 AS of_none, r.reward FROM decide.rewards('click', '-infinity', 'infinity') AS r LEFT JOIN decide.action_number AS n USING (number) ORDER BY 1, 2;

-- reversals: of a part, before the original came, of all, of nothing, and with amounts that are no ordinary ones
SELECT tell('ann', '20', 'return', 9, '{"value": 30, "attributes": {"no": "A"}}'), tell('ann', '21', 'return', 9, '{"value": -5, "attributes": {"no": "B"}}'),
       tell('ann', '22', 'return', 9, '{"attributes": {"no": "C"}}'), tell('ann', '23', 'return', 9, '{"value": 7}'), tell('ann', '24', 'return', 9, '{"value": 1, "attributes": {"no": "nothing"}}');
SELECT decide.run_job('attribution');
SELECT type, event, value, net_value, margin, net_margin FROM credited WHERE type = 'order';
SELECT u.event_id, u.reference, u.raw_value, u.reason FROM decide.uncredited_event AS u WHERE u.is_reversal ORDER BY 1;
SELECT tell('ann', '30', 'order', 6, '{"value": 20, "attributes": {"sku": "s1", "no": "B", "margin": 8}}'), tell('ann', '31', 'order', 7, '{"value": 20, "attributes": {"sku": "s1", "no": "C", "margin": 8}}'),
       tell('ann', '32', 'order', 8, '{"value": 1e300, "attributes": {"sku": "s1", "margin": 1e300}}'), tell('ann', '33', 'order', 8, '{"value": -1e300, "attributes": {"sku": "s1", "margin": "NaN"}}');
SELECT decide.run_job('attribution');
SELECT type, event, value, net_value, margin, net_margin, winsorized FROM credited WHERE type = 'order';
SELECT u.event_id, u.reason FROM decide.uncredited_event AS u WHERE u.is_reversal ORDER BY 1;
-- an original of two lines: what is taken back is taken from one, then from the other
SELECT tell('ann', '40', 'order', 10, '{"value": 50, "attributes": {"sku": "s1", "no": "D", "margin": 10}}'), tell('ann', '41', 'order', 10, '{"value": 70, "attributes": {"sku": "s2", "no": "D"}}'),
       tell('ann', '42', 'return', 11, '{"value": 60, "attributes": {"no": "D"}}');
SELECT decide.run_job('attribution');
SELECT event, value, net_value, net_margin FROM credited WHERE type = 'order' AND event IN ('40', '41');
SELECT tell('ann', '43', 'return', 12, '{"value": 1000, "attributes": {"no": "D"}}');
SELECT decide.run_job('attribution');
SELECT event, value, net_value, net_margin FROM credited WHERE type = 'order' AND event IN ('40', '41');
-- an event is credited once: again, and on demand, nothing changes
CREATE TABLE before AS SELECT (to_jsonb(a) - 'credited_at')::text AS row FROM decide.attributed_event AS a;
SELECT tell('ann', '1', 'order', 5, '{"value": 100, "attributes": {"sku": "s1", "no": "A", "margin": 40}}');
SELECT decide.credit_outcomes(at(-1000)) = (SELECT count(*) FROM decide.event WHERE type IN ('order', 'click', 'read', 'return')) AS all_again;
SELECT split_part(decide.run_job('attribution'), ' ', 1)::int >= (SELECT count(*) FROM decide.event WHERE type IN ('order', 'click', 'read', 'return')) AS all_again;
SELECT count(*) FROM (SELECT row FROM before EXCEPT SELECT (to_jsonb(a) - 'credited_at')::text FROM decide.attributed_event AS a) AS changed;
SELECT (SELECT count(*) FROM before) = (SELECT count(*) FROM decide.attributed_event) AS as_many;
SELECT decide.credit_outcomes('-infinity', 'infinity');

-- any order of the same events gives the same rows: users with the same decisions, told in random orders, with the job in between
SELECT setseed(0.5);
CREATE TABLE story AS
SELECT n, CASE WHEN random() < 0.5 THEN 'order' WHEN random() < 0.5 THEN 'return' ELSE 'click' END AS kind, round((random() * 40)::numeric, 2) AS hour,
       (round((random() * 100)::numeric, 2)) AS value, (ARRAY['s1', 's2', 'h1', 'x'])[1 + floor(random() * 4)::int] AS sku, (ARRAY['P', 'Q', 'R', NULL])[1 + floor(random() * 4)::int] AS no,
       (ARRAY[1, 2, 3, 4, 30])[1 + floor(random() * 5)::int] AS decision, random() < 0.3 AS is_bare
  FROM generate_series(1, 60) AS n;
CREATE TABLE tellers AS SELECT 'teller ' || n AS who FROM generate_series(1, 12) AS n;
TRUNCATE logged;
INSERT INTO logged SELECT t.who, l.surface, at(l.hour), l.action, 1 FROM tellers AS t,
  (VALUES ('home', 1, 'shoes'), ('feed', 2, 'shoes'), ('home', 3, 'hat'), ('feed', 4, 'boots'), ('home', 30, 'shoes')) AS l (surface, hour, action);
SELECT decide.import_decisions('logged', 'test');
SELECT decide.credit_outcomes(at(0)) > 0 AS copied_again;
DO $$
DECLARE next record; n int := 0;
BEGIN
  FOR next IN SELECT t.who, s.* FROM tellers AS t, story AS s ORDER BY random() LOOP
    n := n + 1;
    PERFORM tell(next.who, 's' || next.n, next.kind, next.hour, jsonb_strip_nulls(jsonb_build_object(
      'decision_id', CASE next.kind WHEN 'click' THEN decision(next.who, next.decision) END,
      'value', CASE WHEN NOT next.is_bare THEN next.value END, 'attributes', jsonb_build_object('sku', next.sku, 'no', next.no))));
    IF n % 7 = 0 AND random() < 0.3 THEN PERFORM decide.run_job('attribution'); END IF;
    IF n % 50 = 0 THEN PERFORM tell(next.who, 's' || next.n, next.kind, next.hour, '{}'); END IF;
  END LOOP;
END $$;
SELECT decide.run_job('attribution') LIKE '% events %' AS done;
CREATE VIEW told AS
SELECT t.who, md5(string_agg(concat_ws('|', a.outcome_type, a.event_id, a.decided_at, a.surface, a.number, a.reason, a.value, a.net_value, a.reversed), E'\n' ORDER BY a.outcome_type, a.event_id)) AS rows, count(*) AS many
  FROM tellers AS t JOIN decide.attributed_event AS a ON a.user_key = decide.user_key(t.who) GROUP BY 1;
SELECT count(*) AS tellers, count(DISTINCT rows) AS stories, min(many) > 60 AS many FROM told;
-- no event is credited twice, and no more is taken back than there was
SELECT count(*) FROM (SELECT FROM decide.credited_outcome GROUP BY outcome_type, event_user_key, event_id HAVING count(*) > 1) AS twice;
SELECT bool_and(net_value BETWEEN 0 AND value) FROM decide.credited_outcome WHERE event_id LIKE 's%';

-- a visitor who is merged into a customer: what the one was shown last, the other has bought; and decisions stay the visitor's
TRUNCATE logged;
INSERT INTO logged VALUES ('visitor', 'home', at(20), 'boots', 1), ('customer', 'home', at(15), 'boots', 1);
SELECT decide.import_decisions('logged', 'test');
SELECT tell('visitor', 'v1', 'order', 21, '{"value": 10, "attributes": {"sku": "s2", "no": "V"}}'), tell('customer', 'v2', 'order', 22, '{"value": 20, "attributes": {"sku": "s2"}}'),
       tell('customer', 'v3', 'return', 23, '{"value": 4, "attributes": {"no": "V"}}'), tell('customer', 'v1', 'order', 21.5, '{"value": 10, "attributes": {"sku": "s2", "no": "V"}}');
SELECT decide.credit_outcomes(at(0)) > 0 AS copied_again;
SELECT decide.run_job('attribution') LIKE '% events %' AS done;
CREATE VIEW of_both AS
SELECT a.event_id, a.user_key = decide.user_key('customer') AS of_customer, a.decided_for = decide.user_key('visitor') AS decided_for_visitor, a.value, a.net_value, a.reason
  FROM decide.attributed_event AS a WHERE a.outcome_type = 'order' AND a.user_key IN (decide.user_key('customer'), decide.user_key('visitor')) ORDER BY 1, 2;
SELECT * FROM of_both;
SELECT decide.merge_users('visitor', 'customer');
SELECT decide.run_job('attribution') LIKE '% events %' AS done;
SELECT * FROM of_both;
SELECT jsonb_array_length(x -> 'credited_outcomes') AS credited, jsonb_array_length(x -> 'uncredited_events') AS others FROM decide.export_person('customer') AS x;

-- what is sent while its user is merged, or after it, is the customer's
SELECT tell('visitor', 'v4', 'order', 24, '{"value": 1, "attributes": {"sku": "s2"}}');
SELECT decide.run_job('attribution') LIKE '% events %' AS done;
SELECT * FROM of_both WHERE event_id = 'v4';

-- erased: gone from views at once, and from the tables with the job; what was waiting is not credited
SELECT tell('customer', 'v5', 'order', 25, '{"value": 1, "attributes": {"sku": "s2"}}');
CREATE TABLE person AS SELECT unnest(decide.user_keys('customer')) AS user_key;
SELECT decide.erase('customer') IS NOT NULL AS erased;
SELECT count(*) FROM decide.credited_outcome AS c JOIN person AS p ON p.user_key IN (c.user_key, c.event_user_key);
SELECT decide.run_job('attribution') LIKE '% events %' AS done;
SELECT decide.run_job('erasure') LIKE '%' AS done;
SELECT decide.run_job('erasure') LIKE '%' AS done;
SELECT (SELECT count(*) FROM decide.attributed_event JOIN person USING (user_key)) AS attributed, (SELECT count(*) FROM decide.user_decision JOIN person USING (user_key)) AS decisions,
       (SELECT count(*) FROM decide.outcome_queue JOIN person USING (user_key)) AS queued;

-- a purpose: who does not consent to it is not credited
INSERT INTO decide.purpose (purpose) VALUES ('measurement');
UPDATE decide.outcome_type SET purpose = 'measurement' WHERE outcome_type = 'order';
SELECT decide.publish();
SELECT decide.set_consent('bob', 'measurement', true, 'form');
SELECT tell(who, 'c1', 'order', 5, '{"value": 1, "attributes": {"sku": "s1"}}') FROM (VALUES ('ann'), ('bob')) AS w (who);
SELECT decide.run_job('attribution') LIKE '% events %' AS done;
SELECT a.user_key = decide.user_key('bob') AS of_bob, a.reason FROM decide.attributed_event AS a WHERE a.outcome_type = 'order' AND a.event_id = 'c1' ORDER BY 1;
-- what was credited stays as it was, until it is credited again under the types of now
DELETE FROM decide.outcome_type WHERE outcome_type <> 'order';
UPDATE decide.outcome_type SET match_by = 'decision', value_path = NULL, reference_path = NULL, reversal_types = '{}';
SELECT decide.publish();
SELECT bundle, count(*) > 0 AS some FROM decide.credited_outcome GROUP BY 1 ORDER BY 1;
-- nobody looks for decisions by user any more
SELECT decide.run_job('attribution');
SELECT count(*) FROM decide.user_decision;

-- retention: with the traces
SET pg_decide.trace_retention = 1;
SELECT decide.run_job('attribution');
SELECT count(*) FROM decide.attributed_event WHERE COALESCE(decided_at, at) < now() - interval '1 day';

-- whoever only serves sees and does none of this; operators do it on demand
CREATE ROLE regress_outcomes_serve;
SELECT decide.grant('regress_outcomes_serve', 'serve');
SET ROLE regress_outcomes_serve;
SELECT decide.credit_outcomes(now() - interval '1 day');
SELECT count(*) FROM decide.credited_outcome;
SELECT track(jsonb_build_object('event_id', 'z', 'user_id', 'zoe', 'type', 'order', 'at', now()));
RESET ROLE;
SELECT decide.revoke('regress_outcomes_serve', 'serve');
DROP ROLE regress_outcomes_serve;
