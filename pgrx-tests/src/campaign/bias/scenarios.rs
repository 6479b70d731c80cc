//! Policies under which counters are busy, and who decides by them.

use super::super::load::Scenario;
use super::companions;

/// What most of them have. A scenario leaves at least as many actions without limits as the surface s has slots.
const USUAL: Scenario = Scenario {
    setup: ONE_ROW,
    script: ANYBODY,
    ..Scenario::USUAL
};

/// The surfaces and the fallback of all of them, and a model that some use.
pub const COMMON: &str = r#"
    INSERT INTO decide.surface (surface, fallback_action) VALUES ('s', 'none'), ('elsewhere', 'none'), ('held', 'none');
    INSERT INTO decide.action (action, surfaces) VALUES ('none', '{elsewhere}');
    INSERT INTO decide.model_version (model, version, family, terms, spec, weights, approved_at)
      VALUES ('value', 1, 'linear', '{action.value}',
              '{"family": "linear", "terms": [{"factors": [{"source": "action.value", "encoding": "number"}]}]}',
              '{0.3}', pg_catalog.now());
"#;

const ONE_ROW: &str = "
    INSERT INTO decide.action (action, surfaces) VALUES ('a', '{s}'), ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    INSERT INTO decide.cap (cap, action, per, max_count, stripes) VALUES ('ca', 'a', 'all', 1000000000, 1);
    SELECT decide.publish('1')";

const TWO_ROWS: &str = "
    INSERT INTO decide.action (action, surfaces) VALUES ('a', '{s}'), ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    INSERT INTO decide.cap (cap, action, per, max_count, stripes) VALUES ('ca', 'a', 'all', 1000000000, 2);
    SELECT decide.publish('1')";

const MANY_ROWS: &str = "
    INSERT INTO decide.action (action, surfaces) VALUES ('a', '{s}'), ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    INSERT INTO decide.cap (cap, action, per, max_count, stripes) VALUES ('ca', 'a', 'all', 1000000000, 16);
    SELECT decide.publish('1')";

const DEFAULT_ROWS: &str = "
    INSERT INTO decide.action (action, surfaces) VALUES ('a', '{s}'), ('b', '{s}'), ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('ca', 'a', 'all', 1000000000), ('cb', 'b', 'all', 1000000000);
    SELECT decide.publish('1')";

const SLIDING: &str = "
    INSERT INTO decide.action (action, surfaces) SELECT 'a' || i, '{s}' FROM pg_catalog.generate_series(1, 8) AS i;
    INSERT INTO decide.action (action, surfaces) VALUES ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    INSERT INTO decide.cap (cap, action, per, max_count, window_length, window_kind)
      SELECT 'a' || i, 'a' || i, 'all', 3, '0.5 s', 'sliding' FROM pg_catalog.generate_series(1, 8) AS i;
    SELECT decide.publish('1')";

const PACED: &str = "
    INSERT INTO decide.action (action, surfaces) SELECT 'a' || i, '{s}' FROM pg_catalog.generate_series(1, 6) AS i;
    INSERT INTO decide.action (action, surfaces) VALUES ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    INSERT INTO decide.cap (cap, action, per, max_count, window_length, pacing, stripes)
      SELECT 'a' || i, 'a' || i, 'all', 6000 * i, '2 minutes', 'even', NULLIF(i % 3, 0)
        FROM pg_catalog.generate_series(1, 6) AS i;
    SELECT decide.publish('1')";

const COST: &str = "
    INSERT INTO decide.campaign (campaign) VALUES ('c'), ('d');
    INSERT INTO decide.action (action, surfaces, campaign, cost)
      SELECT k.campaign || i, '{s}', k.campaign, i FROM (VALUES ('c'), ('d')) AS k (campaign), pg_catalog.generate_series(1, 5) AS i;
    INSERT INTO decide.action (action, surfaces) VALUES ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    INSERT INTO decide.cap (cap, campaign, per, max_count, unit) VALUES ('money', 'c', 'all', 60, 'cost');
    INSERT INTO decide.cap (cap, campaign, per, max_count, unit, window_length, window_kind)
      VALUES ('money lately', 'd', 'all', 30, 'cost', '0.2 s', 'sliding');
    SELECT decide.publish('1')";

const HELD: &str = "
    UPDATE decide.surface SET slots = 2 WHERE surface = 'held';
    INSERT INTO decide.action (action, surfaces) VALUES ('a', '{s,held}'), ('b', '{s}'), ('c', '{s,held}'), ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform'), ('h', 'held', 'uniform');
    INSERT INTO decide.cap (cap, action, per, max_count, stripes)
      VALUES ('ca', 'a', 'all', 1000000000, 2), ('cb', 'b', 'all', 1000000000, 1), ('cc', 'c', 'all', 1000000000, 1);
    SELECT decide.publish('1')";

/// More budgets than a decision claims. All rows of three are held by transactions that stay open; ten others run low and
/// end in the course of the decisions.
const MANY_BUDGETS: &str = r#"
    UPDATE decide.surface SET slots = 3 WHERE surface = 'held';
    INSERT INTO decide.action (action, surfaces, attributes)
      SELECT pg_catalog.format('a%s', pg_catalog.lpad(i::text, 2, '0')),
             CASE WHEN i <= 3 THEN '{s,held}' ELSE '{s}' END::text[], pg_catalog.jsonb_build_object('sku', i)
        FROM pg_catalog.generate_series(1, 70) AS i;
    INSERT INTO decide.action (action, surfaces) VALUES ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform'), ('h', 'held', 'uniform');
    INSERT INTO decide.cap (cap, attribute, per, max_count, stripes) VALUES ('sku', 'sku', 'all', 1000000000, 16);
    INSERT INTO decide.cap (cap, action, per, max_count, stripes)
      SELECT 'end of ' || i, 'a' || i, 'all', 1100, 16 FROM pg_catalog.generate_series(11, 20) AS i;
    SELECT decide.publish('1')"#;

const IMPRESSIONS: &str = "
    INSERT INTO decide.action (action, surfaces) VALUES ('a', '{s}'), ('b', '{s}'), ('c', '{s}'), ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    INSERT INTO decide.cap (cap, action, per, max_count, window_length, window_kind, counts, hold)
      VALUES ('ca', 'a', 'all', 40, '1 s', 'sliding', 'impression', '0.2 s'),
             ('cb', 'b', 'all', 60, '2 s', 'sliding', 'impression', '0.1 s'),
             ('cc', 'c', 'all', 100, '1 s', 'calendar', 'impression', '0.3 s');
    SELECT decide.publish('1')";

const USER_CAPS: &str = "
    INSERT INTO decide.action (action, surfaces) VALUES ('a', '{s}'), ('b', '{s}'), ('c', '{s}'), ('d', '{s}'), ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    INSERT INTO decide.cap (cap, action, per, max_count, window_length, window_kind)
      VALUES ('ua', 'a', 'user', 3, '0.2 s', 'sliding'), ('ub', 'b', 'user', 1000000000, NULL, 'calendar');
    INSERT INTO decide.cap (cap, action, per, max_count, stripes)
      VALUES ('bb', 'b', 'all', 1000000000, 1), ('bc', 'c', 'all', 1000000000, 1);
    SELECT decide.publish('1')";

const SOFTMAX: &str = r#"
    INSERT INTO decide.action (action, surfaces, attributes)
      SELECT 'a' || i, '{s}', pg_catalog.jsonb_build_object('value', i) FROM pg_catalog.generate_series(1, 5) AS i;
    INSERT INTO decide.policy (policy, surface, model, selection, params) VALUES ('p', 's', 'value', 'softmax', '{"temperature": 1}');
    INSERT INTO decide.cap (cap, action, per, max_count, stripes)
      VALUES ('5', 'a5', 'all', 1000000000, 1), ('4', 'a4', 'all', 1000000000, 2), ('2', 'a2', 'all', 1000000000, 1);
    SELECT decide.publish('1')"#;

const EPSILON_GREEDY: &str = r#"
    INSERT INTO decide.action (action, surfaces, attributes)
      SELECT 'a' || i, '{s}', pg_catalog.jsonb_build_object('value', i) FROM pg_catalog.generate_series(1, 4) AS i;
    INSERT INTO decide.policy (policy, surface, model, selection, params)
      VALUES ('p', 's', 'value', 'epsilon_greedy', '{"epsilon": 0.5}');
    INSERT INTO decide.cap (cap, action, per, max_count, stripes)
      VALUES ('4', 'a4', 'all', 1000000000, 1), ('3', 'a3', 'all', 1000000000, 1);
    SELECT decide.publish('1')"#;

const THREE_SLOTS: &str = "
    UPDATE decide.surface SET slots = 3 WHERE surface = 's';
    INSERT INTO decide.action (action, surfaces)
      VALUES ('a', '{s}'), ('b', '{s}'), ('f1', '{s}'), ('f2', '{s}'), ('f3', '{s}'), ('f4', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    INSERT INTO decide.cap (cap, action, per, max_count, stripes)
      VALUES ('ca', 'a', 'all', 1000000000, 1), ('cb', 'b', 'all', 1000000000, 2);
    INSERT INTO decide.cap (cap, action, per, max_count, window_length, window_kind)
      VALUES ('cf', 'f1', 'all', 20, '0.2 s', 'sliding');
    SELECT decide.publish('1')";

const CAUTIOUS: &str = r#"
    INSERT INTO decide.action (action, surfaces, attributes)
      SELECT 'a' || i, '{s}', pg_catalog.jsonb_build_object('value', i) FROM pg_catalog.generate_series(1, 8) AS i;
    INSERT INTO decide.policy (policy, surface, model, selection, params) VALUES ('p', 's', 'value', 'softmax', '{"temperature": 4}');
    INSERT INTO decide.cap (cap, action, per, max_count, stripes)
      VALUES ('8', 'a8', 'all', 1000000000, 1), ('7', 'a7', 'all', 1000000000, 1);
    SELECT decide.publish('1'); SELECT decide.set_mode('s', 'cautious', 'a test')"#;

const ANYBODY: &str = "\\set u random(1, 1000000000)\nSELECT decide(:u::bigint, 's');\n";

/// Each keeps what it has taken for a while.
const STAYING: &str =
    "\\set u random(1, 1000000000)\nBEGIN;\nSELECT decide(:u::bigint, 's');\n\\sleep 30 ms\nEND;\n";

const FEW_USERS: &str = "\\set u random(1, 8)\nSELECT decide(:u::bigint, 's');\n";

/// Every second decision is told of.
const AND_IMPRESSIONS: &str = "\
\\set u random(1, 1000000000)
\\set told random(0, 1)
SELECT decision_id, action FROM decide(:u::bigint, 's') \\gset
\\if :told
SELECT track(jsonb_build_object('event_id', gen_random_uuid(), 'type', 'impression', 'user_id', :u::bigint, 'at', clock_timestamp(), 'decision_id', :decision_id::text, 'action', :action::text));
\\endif
";

const REPEATABLE_READ: &str = r"-c default_transaction_isolation=repeatable\ read";

const SERIALIZABLE: &str = "-c default_transaction_isolation=serializable";

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "one_row",
        what: "a budget with one row",
        ..USUAL
    },
    Scenario {
        name: "one_row_repeatable_read",
        what: "the same in REPEATABLE READ; what fails to serialize is tried again",
        options: REPEATABLE_READ,
        ..USUAL
    },
    Scenario {
        name: "one_row_serializable",
        what: "the same in SERIALIZABLE",
        options: SERIALIZABLE,
        share: 0.5,
        ..USUAL
    },
    Scenario {
        name: "one_row_durable",
        what: "the same where rows are kept until the disk has the commit",
        durable: true,
        share: 0.25,
        ..USUAL
    },
    Scenario {
        name: "one_row_within_a_latency_budget",
        what: "the same with the latency budget enforced, as servers have it",
        options: "-c pg_decide.enforce_latency_budget=on",
        ..USUAL
    },
    Scenario {
        name: "two_rows",
        what: "a budget with two rows",
        setup: TWO_ROWS,
        ..USUAL
    },
    Scenario {
        name: "default_rows",
        what: "budgets with the default number of rows, twice the clients",
        setup: DEFAULT_ROWS,
        crowd: 2,
        ..USUAL
    },
    Scenario {
        name: "sliding",
        what: "eight budgets of 3 in any half second",
        setup: SLIDING,
        ..USUAL
    },
    Scenario {
        name: "paced",
        what: "six paced budgets of 50 to 300 a second",
        setup: PACED,
        ..USUAL
    },
    Scenario {
        name: "cost",
        what: "cost budgets near their end, amounts of 1 to 5, one of them raised again and again",
        setup: COST,
        beside: Some(companions::raise_limit),
        ..USUAL
    },
    Scenario {
        name: "held_rows",
        what: "all rows of two budgets held by open transactions, and each decision the first of its session",
        setup: HELD,
        new_sessions: true,
        share: 0.05,
        beside: Some(companions::hold_rows),
        ..USUAL
    },
    Scenario {
        name: "held_rows_old_sessions",
        what: "all rows of two budgets held by open transactions, by sessions that go on",
        setup: HELD,
        share: 0.5,
        beside: Some(companions::hold_rows),
        ..USUAL
    },
    Scenario {
        name: "many_rows",
        what: "a budget of 16 rows, and three sessions for each that stay in their transactions for a while",
        setup: MANY_ROWS,
        script: STAYING,
        options: "-c pg_decide.enforce_latency_budget=on",
        share: 0.25,
        crowd: 6,
        ..USUAL
    },
    Scenario {
        name: "many_budgets",
        what: "more budgets than are claimed, some of them held by open transactions, some near their end",
        setup: MANY_BUDGETS,
        beside: Some(companions::hold_sixteen_rows),
        ..USUAL
    },
    Scenario {
        name: "many_budgets_new_sessions",
        what: "the same, and each decision the first of its session",
        setup: MANY_BUDGETS,
        new_sessions: true,
        share: 0.05,
        beside: Some(companions::hold_sixteen_rows),
        ..USUAL
    },
    Scenario {
        name: "impressions",
        what: "budgets of impressions whose reservations come back",
        setup: IMPRESSIONS,
        script: AND_IMPRESSIONS,
        share: 0.5,
        beside: Some(companions::run_budgets_job),
        ..USUAL
    },
    Scenario {
        name: "user_caps",
        what: "caps of eight users together with budgets",
        setup: USER_CAPS,
        script: FEW_USERS,
        ..USUAL
    },
    Scenario {
        name: "user_caps_repeatable_read",
        what: "the same in REPEATABLE READ",
        setup: USER_CAPS,
        script: FEW_USERS,
        options: REPEATABLE_READ,
        ..USUAL
    },
    Scenario {
        name: "softmax",
        what: "softmax over scores",
        setup: SOFTMAX,
        ..USUAL
    },
    Scenario {
        name: "epsilon_greedy",
        what: "epsilon_greedy over scores",
        setup: EPSILON_GREEDY,
        ..USUAL
    },
    Scenario {
        name: "three_slots",
        what: "three slots, two busy budgets and a small one",
        setup: THREE_SLOTS,
        ..USUAL
    },
    Scenario {
        name: "three_slots_repeatable_read",
        what: "the same in REPEATABLE READ",
        setup: THREE_SLOTS,
        options: REPEATABLE_READ,
        share: 0.5,
        ..USUAL
    },
    Scenario {
        name: "cautious",
        what: "the mode cautious, half of the candidates and less exploration",
        setup: CAUTIOUS,
        ..USUAL
    },
];
