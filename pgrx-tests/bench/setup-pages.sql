-- Ten surfaces for pages of five: five like c100s1, and five of a campaign of their own, whose rules read no table, with a cap
-- per user and a budget for the whole page. And requests for batches, of users that no other client asks for.

INSERT INTO decide.surface (surface, fallback_action, context_fields, latency_budget)
SELECT name || i, 'nothing', '{device}', '1 minute' FROM unnest('{page_,page_caps_}'::text[]) AS name, generate_series(1, 5) AS i;
UPDATE decide.action SET surfaces = surfaces || '{page_1,page_2,page_3,page_4,page_5}' WHERE 'c100s1' = ANY (surfaces);
INSERT INTO decide.campaign (campaign) VALUES ('page');
INSERT INTO decide.action (action, campaign, surfaces, attributes, eligible_when)
SELECT replace(action, 'p-', 'q-'), 'page', '{page_caps_1,page_caps_2,page_caps_3,page_caps_4,page_caps_5}', attributes, eligible_when
  FROM decide.action WHERE 'caps_plain' = ANY (surfaces);
INSERT INTO decide.cap (cap, campaign, per, max_count, window_length)
SELECT 'page per ' || per, 'page', per, 1000000000000, '1 day' FROM unnest('{user,all}'::text[]) AS per;
INSERT INTO decide.policy (policy, surface, model, selection, params, unique_on_page)
SELECT surface, surface, 'bench', 'softmax', '{"temperature": 1}', true FROM decide.surface WHERE surface LIKE 'page\_%';
SELECT decide.publish('pages');

CREATE FUNCTION bench.requests(client bigint, surface text, number integer) RETURNS jsonb[] LANGUAGE sql AS $$
  SELECT array_agg(jsonb_build_object('user_id', (1 + client * 12000 + floor(random() * 12000))::bigint::text, 'surface', surface, 'context', '{"device": "mobile"}'::jsonb))
    FROM generate_series(1, number)
$$;
