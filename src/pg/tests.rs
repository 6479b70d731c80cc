//! The glue, tried inside a server.

use pgrx::prelude::*;

super::record::select_row! {
    struct Pair {
        first: i32,
        second: Option<String>,
    }
}

#[pg_schema]
mod tests {
    use super::*;
    use crate::pg::attempt::{attempt, sqlstate};
    use crate::pg::expression::DirectExpressions;
    use crate::pg::json::{Document, Field, Json};
    use crate::pg::locked::{Locked, Wait};
    use crate::pg::lookup::Keyed;
    use crate::pg::plan::{Access, on_latest_snapshot};
    use crate::pg::record::SelectRow;
    use crate::pg::{Plan, Session, array, datum};

    /// What Postgres prints of a value that we have built.
    fn printed(kind: pg_sys::Oid, value: datum::Arg) -> Option<String> {
        let _session = Session::open();
        let plan = Plan::prepare("SELECT $1::text", &[kind]);
        let mut text = None;
        plan.run(Access::Read, &[value], |row| text = row.get::<String>(1));
        text
    }

    #[pg_test]
    fn arrays_are_what_postgres_takes_for_one() {
        let flat = datum::array(&[1.5f64, -0.0, 3.0]);
        assert_eq!(printed(pg_sys::FLOAT8ARRAYOID, flat).unwrap(), "{1.5,-0,3}");
        let small = datum::array(&[1i32, -2]);
        assert_eq!(printed(pg_sys::INT4ARRAYOID, small).unwrap(), "{1,-2}");
        let nothing = datum::array::<f32>(&[]);
        assert_eq!(printed(pg_sys::FLOAT4ARRAYOID, nothing).unwrap(), "{}");
    }

    #[pg_test]
    fn arrays_are_read_back() {
        let values = [f64::MIN_POSITIVE, 0.1, 1e308];
        let mut read = vec![7.0];
        assert!(array::read_into(array::from_slice(&values), &mut read));
        assert_eq!(read, [7.0, f64::MIN_POSITIVE, 0.1, 1e308]);
        // Neither another type nor an array with nulls is taken for numbers.
        assert!(!array::read_into(array::from_slice(&[1i32]), &mut read));
        let holes = datum::texts::<&str>(&[None]).unwrap();
        assert!(!array::read_into(holes, &mut read));
        assert_eq!(read.len(), 4);
    }

    #[pg_test]
    fn jsonb_is_read_where_it_lies() {
        let document = Document::parse(
            r#"{"n": 1e400, "t": "ü\"", "b": true, "o": {"x": 2}, "a": [], "z": null}"#,
        );
        let json = document.json();
        assert!(matches!(json.get("n"), Some(Field::Number(n)) if n == f64::INFINITY));
        assert!(matches!(json.get("t"), Some(Field::Text("ü\""))));
        assert!(matches!(json.get("b"), Some(Field::Bool(true))));
        assert!(matches!(json.get("a"), Some(Field::Array)));
        assert!(matches!(json.get("z"), Some(Field::Null)));
        assert!(json.get("missing").is_none());
        let Some(Field::Object(inner)) = json.get("o") else {
            panic!("an object")
        };
        assert!(matches!(inner.get("x"), Some(Field::Number(2.0))));
    }

    #[pg_test]
    fn equal_documents_have_equal_hashes() {
        let one = Document::parse(r#"{"a": 1.0, "b": [1, "x"]}"#);
        let same = Document::parse(r#"{"b": [1.00, "x"], "a": 1}"#);
        let other = Document::parse(r#"{"b": [1.00, "x"], "a": 2}"#);
        let [one, same, other] = [&one, &same, &other].map(Document::json);
        assert_eq!(one.hash(5), same.hash(5));
        assert_ne!(one.hash(5), other.hash(5));
        assert_ne!(one.hash(5), one.hash(6));
    }

    #[pg_test]
    fn a_failed_attempt_is_undone_and_the_next_statement_runs() {
        let caught = attempt(|| {
            Spi::run("CREATE TABLE half_done (x int)").unwrap();
            Spi::run("SELECT 1 / 0").unwrap();
        })
        .unwrap_err();
        assert_eq!(crate::pg::attempt::sqlstate(caught.code), "22012");
        let there = Spi::get_one::<bool>("SELECT to_regclass('half_done') IS NOT NULL");
        assert_eq!(there, Ok(Some(false)));
        assert_eq!(attempt(|| 7).unwrap(), 7);
        let panicked = attempt(|| -> i32 { panic!("a bug") }).unwrap_err();
        assert!(panicked.message.contains("a bug"));
    }

    /// What an attempt fails with.
    fn failure<T>(work: impl FnOnce() -> T) -> String {
        attempt(work).err().expect("a failure").message
    }

    #[pg_test]
    fn an_argument_needs_no_session_and_outlives_one() {
        let word = String::from("word");
        let args = [datum::text(&word), datum::array(&[1.5f64, 2.5])];
        for _ in 0..2 {
            let _session = Session::open();
            let types = [pg_sys::TEXTOID, pg_sys::FLOAT8ARRAYOID];
            let mut said = None;
            Plan::prepare("SELECT $1 || $2::text", &types)
                .run(Access::Read, &args, |row| said = row.get::<String>(1));
            assert_eq!(said.as_deref(), Some("word{1.5,2.5}"));
        }
    }

    #[pg_test]
    fn columns_and_parameters_are_of_the_types_that_they_are_taken_for() {
        let _session = Session::open();
        let plan = Plan::prepare("SELECT $1", &[pg_sys::INT8OID]);
        let read = |args: &[datum::Arg<'_>]| {
            plan.run(Access::Read, args, |row| _ = row.get::<i32>(1));
        };
        let column = failure(|| read(&[datum::int8(1)]));
        assert_eq!(column, "value 1 is of type 20, and read as a i32");
        let parameter = failure(|| read(&[datum::int4(1)]));
        assert!(
            parameter.starts_with("value 1 is of type 23, and taken for"),
            "{parameter}"
        );
        let none = failure(|| read(&[]));
        assert!(none.starts_with("0 parameters of 1"), "{none}");
        let array = failure(|| {
            plan.run(Access::Read, &[datum::int8(1)], |row| {
                array::read_into(row.datum(1).expect("1"), &mut Vec::<f64>::new());
            })
        });
        assert_eq!(array, "a value of type 20, read as an array");
    }

    #[pg_test]
    fn a_statement_without_a_session_and_a_lock_after_its_session_are_told() {
        let plan = {
            let _session = Session::open();
            Plan::prepare("SELECT 1", &[])
        };
        let alone = failure(|| plan.run(Access::Read, &[], |_| {}));
        assert_eq!(alone, "a statement needs an open session");

        Spi::run("INSERT INTO decide.budget_stripe (slot, stripe, quota) VALUES (-7, 0, 5)")
            .unwrap();
        let stripes = Keyed {
            schema: c"decide",
            table: c"budget_stripe",
            counts: true,
        };
        let lock = || stripes.lock((-7, 0), Wait::Never, |_| {}).expect("a row");
        let change = |locked: Locked| locked.change([(3, datum::int8(6))]);
        let locked = {
            let _session = Session::open();
            change(lock())
        };
        let late = failure(|| {
            let _session = Session::open();
            change(locked)
        });
        assert_eq!(late, "used after its session was closed");
        let _session = Session::open();
        let wrong = failure(|| lock().change([(3, datum::int4(6))]));
        assert!(
            wrong.starts_with("value 3 is of type 23, and taken for"),
            "{wrong}"
        );
        change(lock());
        let quota = Spi::get_one::<i64>("SELECT quota FROM decide.budget_stripe WHERE slot = -7");
        assert_eq!(quota, Ok(Some(6)));
    }

    #[pg_test]
    fn the_empty_object_is_what_the_server_makes_of_it() {
        let (ours, parsed) = (Json::nothing(), Document::parse("{}"));
        let parsed = parsed.json();
        assert_eq!((ours.text(), ours.size()), (parsed.text(), parsed.size()));
        assert_eq!(ours.hash(3), parsed.hash(3));
        let more = Document::parse(r#"{"a": 1, "b": "x"}"#);
        let more = more.json();
        assert_eq!(ours.with(&more).json().text(), more.text());
        assert_eq!(more.without("b").json().text(), r#"{"a": 1}"#);
    }

    const NUMBER_AND_TEXT: [pg_sys::Oid; 2] = [pg_sys::FLOAT8OID, pg_sys::TEXTOID];

    /// What of an array of truths about a number and a text needs no executor.
    fn truths(array: &str) -> (Option<DirectExpressions>, Plan) {
        let plan = Plan::prepare(&format!("SELECT ARRAY[{array}]::bool[]"), &NUMBER_AND_TEXT);
        plan.make_ready();
        (DirectExpressions::of(&plan, &NUMBER_AND_TEXT), plan)
    }

    fn evaluated(
        (truths, plan): (&DirectExpressions, &Plan),
        number: Option<f64>,
        text: Option<&str>,
    ) -> Vec<(usize, bool)> {
        let mut found = Vec::new();
        let args = [number.and_then(datum::float8), datum::optional_text(text)];
        // What the test has written is seen by no snapshot before.
        on_latest_snapshot(|| {
            truths.evaluate(plan, &args, |index, holds| found.push((index, holds)))
        });
        found
    }

    #[pg_test]
    fn a_plan_tells_whether_it_may_call_functions_of_users() {
        Spi::run("CREATE DOMAIN public.small AS int CHECK (VALUE < 10); CREATE TYPE public.pair AS (x public.small)").unwrap();
        let may = |sql: &str| {
            let _session = Session::open();
            let plan = Plan::prepare(sql, &[pg_sys::TEXTOID]);
            plan.make_ready();
            plan.calls_user_functions()
        };
        for sql in [
            "SELECT $1::float8 > 1 AND EXISTS (SELECT FROM pg_class AS c WHERE c.relname = $1)",
            "SELECT EXISTS (SELECT FROM decide.bundle_action AS a WHERE a.attributes ->> 'x' = $1)",
        ] {
            assert!(!may(sql), "{sql}");
        }
        for sql in [
            "SELECT $1::int::public.small IS NULL",
            "SELECT $1::public.pair IS NULL",
            "SELECT $1::public.small[] IS NULL",
            "SELECT jsonb_populate_record(NULL::public.pair, $1::jsonb) IS NULL",
            "SELECT EXISTS (SELECT FROM jsonb_to_record($1::jsonb) AS r (x public.small))",
        ] {
            assert!(may(sql), "{sql}");
        }
    }

    #[pg_test]
    fn what_reads_nothing_needs_no_executor() {
        let _session = Session::open();
        let of_all = "$1 > 1, EXISTS (SELECT FROM pg_class WHERE relname = $2), NULL, $2 LIKE 'x%', \
                      false, ($1 = ANY ('{1,2}')) IS NOT TRUE, CASE WHEN $1 > 0 THEN length($2) = 1 END";
        let (truths, plan) = truths(of_all);
        let truths = truths.expect("some");
        let had: Vec<usize> = (0..8).filter(|&index| truths.has(index)).collect();
        assert_eq!(had, [0, 2, 3, 4, 5, 6]);
        let with = |number, text| {
            let found = evaluated((&truths, &plan), number, text).into_iter();
            found.map(|(_, holds)| holds).collect::<Vec<_>>()
        };
        assert_eq!(
            with(Some(2.0), Some("x")),
            [true, false, true, false, false, true]
        );
        assert_eq!(
            with(Some(0.5), Some("yx")),
            [false, false, false, false, true, false]
        );
        assert_eq!(with(None, None), [false, false, false, false, true, false]);
    }

    /// What a statement of truths answers by the executor.
    fn executed(plan: &Plan, number: Option<f64>, text: Option<&str>) -> Vec<bool> {
        let args = [number.and_then(datum::float8), datum::optional_text(text)];
        let mut found = Vec::new();
        on_latest_snapshot(|| {
            plan.run(Access::Read, &args, |row| found = row.must::<Vec<bool>>(1))
        });
        found
    }

    const STOCK: &str = "CREATE SCHEMA shop; \
        CREATE TABLE shop.stock (sku text PRIMARY KEY, on_hand int, price numeric, gone int, note text); \
        INSERT INTO shop.stock SELECT 's' || i, i % 3, i, i, repeat('x', 100 * i) FROM generate_series(1, 500) AS i; \
        ALTER TABLE shop.stock DROP COLUMN gone; \
        CREATE TABLE shop.price (region int, day date, amount float8, UNIQUE (region, day)); \
        INSERT INTO shop.price SELECT i, '2026-01-01', i FROM generate_series(1, 500) AS i; \
        INSERT INTO shop.price SELECT 7, NULL, i FROM generate_series(1, 3) AS i; \
        CREATE TABLE shop.visit (sku text, at timestamptz); CREATE INDEX ON shop.visit (sku); \
        INSERT INTO shop.visit SELECT 's' || i, now() FROM generate_series(1, 500) AS i; \
        ANALYZE shop.stock; ANALYZE shop.price; ANALYZE shop.visit";

    /// Truths about rows of these tables that are found by a unique key.
    const BY_KEY: [&str; 10] = [
        "EXISTS (SELECT FROM shop.stock WHERE sku = 's4' AND on_hand > 0)",
        "EXISTS (SELECT FROM shop.stock WHERE sku = $2 AND on_hand > 0)",
        "NOT EXISTS (SELECT FROM shop.stock WHERE sku = $2)",
        "(SELECT on_hand FROM shop.stock WHERE sku = $2) > 1",
        "(SELECT on_hand FROM shop.stock WHERE sku = $2) IS NULL",
        "(SELECT note FROM shop.stock WHERE sku = $2) LIKE 'xxx%'",
        "(SELECT note FROM shop.stock WHERE sku = $2 AND on_hand >= $1) LIKE 'xxx%' OR $1 > 1",
        "EXISTS (SELECT FROM shop.price WHERE region = 8 AND day = '2026-01-01' AND amount > $1)",
        "EXISTS (SELECT FROM shop.price WHERE region = 900 AND day = '2026-01-01')",
        "EXISTS (SELECT FROM shop.stock WHERE sku = '{\"sku\": \"s5\"}'::jsonb ->> 'sku')",
    ];

    #[pg_test]
    fn rows_by_unique_keys_need_no_executor() {
        Spi::run(STOCK).unwrap();
        let _session = Session::open();
        let all = BY_KEY.map(|truth| format!("COALESCE(({truth}), false)"));
        let (truths, plan) = truths(&all.join(", "));
        let truths = truths.expect("some");
        for (index, truth) in BY_KEY.iter().enumerate() {
            assert!(truths.has(index), "{truth}");
        }
        let mut ever = [false; BY_KEY.len()];
        for number in [None, Some(0.0), Some(1.0), Some(5.0), Some(f64::NAN)] {
            for text in [
                None,
                Some("s1"),
                Some("s2"),
                Some("s3"),
                Some("s500"),
                Some("none"),
            ] {
                let found = evaluated((&truths, &plan), number, text);
                let found: Vec<bool> = found.into_iter().map(|(_, holds)| holds).collect();
                assert_eq!(found, executed(&plan, number, text), "{number:?} {text:?}");
                for (ever, found) in ever.iter_mut().zip(found) {
                    *ever |= found;
                }
            }
        }
        // The region that is not there.
        let never: Vec<usize> = (0..ever.len()).filter(|&index| !ever[index]).collect();
        assert_eq!(never, [8]);
    }

    #[pg_test]
    fn other_reads_are_left_to_the_executor() {
        Spi::run(STOCK).unwrap();
        let _session = Session::open();
        let others = [
            // Not unique, in part only, or of more than one row.
            "EXISTS (SELECT FROM shop.visit WHERE sku = $2)",
            "EXISTS (SELECT FROM shop.price WHERE region = 7)",
            "EXISTS (SELECT FROM shop.stock WHERE sku > $2)",
            "EXISTS (SELECT FROM shop.stock WHERE sku IN ('s1', 's2'))",
            "EXISTS (SELECT FROM shop.price WHERE region = 7 AND day IS NULL)",
            "(SELECT count(*) FROM shop.stock WHERE sku = $2) > 0",
            "EXISTS (SELECT FROM shop.stock AS s JOIN shop.visit AS v USING (sku) WHERE s.sku = 's1')",
            // What may fail, where the executor might never ask.
            "$1 > 0 AND EXISTS (SELECT FROM shop.stock WHERE sku = 's3' AND 1 / on_hand > 0)",
            "$1 > 0 AND EXISTS (SELECT FROM shop.stock WHERE sku = 's3' AND price / $1::numeric > 0)",
            "$1 > 0 AND EXISTS (SELECT FROM shop.price WHERE region = $2::int AND day = '2026-01-01')",
            // What is of the row itself.
            "EXISTS (SELECT FROM shop.stock AS s WHERE sku = $2 AND s.tableoid > 0)",
            "EXISTS (SELECT FROM shop.stock WHERE sku = $2 AND random() >= 0)",
        ];
        let (truths, _plan) = truths(&format!("$1 > 1, {}", others.join(", ")));
        let truths = truths.expect("the first");
        for (index, truth) in others.iter().enumerate() {
            assert!(!truths.has(index + 1), "{truth}");
        }
    }

    #[pg_test]
    fn policies_for_rows_are_left_to_the_executor() {
        Spi::run(STOCK).unwrap();
        Spi::run(
            "ALTER TABLE shop.stock ENABLE ROW LEVEL SECURITY; CREATE ROLE reader; \
             GRANT USAGE ON SCHEMA shop TO reader; GRANT SELECT ON shop.stock TO reader; \
             CREATE POLICY none ON shop.stock USING (on_hand > 1); SET ROLE reader",
        )
        .unwrap();
        let _session = Session::open();
        let (truths, plan) = truths(BY_KEY[1]);
        assert!(truths.is_none());
        assert_eq!(executed(&plan, None, Some("s1")), [false]);
        assert_eq!(executed(&plan, None, Some("s2")), [true]);
    }

    #[pg_test]
    fn a_change_of_a_table_is_noticed() {
        Spi::run(STOCK).unwrap();
        for change in [
            "ALTER TABLE shop.stock ADD extra int",
            "ALTER TABLE shop.stock DROP CONSTRAINT stock_pkey",
            "DROP TABLE shop.stock",
        ] {
            let made = {
                let _session = Session::open();
                truths(BY_KEY[1])
            };
            let (Some(truths), plan) = made else {
                panic!("before {change}")
            };
            assert!(truths.hold(&plan));
            Spi::run(change).unwrap();
            assert!(!truths.hold(&plan), "{change}");
            let _session = Session::open();
            let evaluate = || {
                evaluated((&truths, &plan), None, Some("s1"));
            };
            assert!(attempt(evaluate).is_err(), "{change}");
            if change.contains("DROP CONSTRAINT") {
                Spi::run("ALTER TABLE shop.stock ADD PRIMARY KEY (sku)").unwrap();
            }
        }
    }

    #[pg_test]
    fn rights_are_asked_for_at_each_read() {
        Spi::run(STOCK).unwrap();
        Spi::run(
            "CREATE ROLE reader; GRANT USAGE ON SCHEMA shop TO reader; \
             GRANT SELECT (sku, on_hand) ON shop.stock TO reader; SET ROLE reader",
        )
        .unwrap();
        let made = {
            let _session = Session::open();
            truths(BY_KEY[1])
        };
        let (Some(truths), plan) = made else {
            panic!("some")
        };
        let evaluate = || {
            let _session = Session::open();
            attempt(|| evaluated((&truths, &plan), None, Some("s1")))
        };
        assert_eq!(evaluate().ok(), Some(vec![(0, true)]));
        Spi::run("RESET ROLE; REVOKE SELECT (on_hand) ON shop.stock FROM reader; SET ROLE reader")
            .unwrap();
        let caught = evaluate().expect_err("no right");
        assert_eq!(sqlstate(caught.code), "42501");
    }

    #[pg_test]
    fn what_is_not_the_servers_own_is_left_to_the_executor() {
        let _session = Session::open();
        Spi::run(
            "CREATE FUNCTION pg_temp.mine(float8) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
             CREATE DOMAIN pg_temp.small AS float8 CHECK (VALUE < 10)",
        )
        .unwrap();
        assert!(
            truths("pg_temp.mine($1), ($1::pg_temp.small) > 1")
                .0
                .is_none()
        );
        assert!(truths("pg_temp.mine($1), $1 > 1").0.expect("one").has(1));
        // All elements are constants, so that the array is one; or there are several rows.
        assert!(truths("true, false").0.is_none());
        let plan = Plan::prepare(
            "SELECT ARRAY[$1 > g, $2 = ''] FROM generate_series(1, 2) AS g",
            &NUMBER_AND_TEXT,
        );
        plan.make_ready();
        assert!(DirectExpressions::of(&plan, &NUMBER_AND_TEXT).is_none());
    }

    #[pg_test]
    fn what_fails_fails_alone() {
        let _session = Session::open();
        let (truths, plan) = truths("1 / $1 > 0, $2::int > 1");
        let truths = truths.expect("both");
        let fails = |number, text| {
            let caught =
                attempt(|| evaluated((&truths, &plan), number, text)).expect_err("a fault");
            sqlstate(caught.code)
        };
        assert_eq!(fails(Some(0.0), Some("2")), "22012");
        assert_eq!(fails(Some(1.0), Some("two")), "22P02");
        assert_eq!(
            evaluated((&truths, &plan), Some(1.0), Some("2")),
            [(0, true), (1, true)]
        );
    }

    #[pg_test]
    fn truths_hold_until_functions_change() {
        let _session = Session::open();
        let (truths, plan) = truths("$1 > 1");
        let truths = truths.expect("one");
        assert!(truths.hold(&plan));
        Spi::run("REVOKE EXECUTE ON FUNCTION float8gt FROM PUBLIC").unwrap();
        assert!(!truths.hold(&plan));
    }

    #[pg_test]
    fn rows_are_read_by_the_names_of_their_columns() {
        let _session = Session::open();
        let read = |sql: &str| {
            let mut pair = None;
            let plan = Plan::prepare(sql, &[]);
            plan.run(Access::Read, &[], |row| pair = Pair::read(&row));
            pair.map(|Pair { first, second }| (first, second))
        };
        let both = Some((1, Some("a".to_owned())));
        assert_eq!(read("SELECT 1 AS first, 'a'::text AS second"), both);
        assert_eq!(read("SELECT true, 'a'::text AS second, 1 AS first"), both);
        assert_eq!(
            read("SELECT 1 AS first, NULL::text AS second"),
            Some((1, None))
        );
        // A column of another type, or of no such name, is not taken for it.
        assert_eq!(read("SELECT 1::bigint AS first, 'a'::text AS second"), None);
        assert_eq!(read("SELECT 1 AS first, 'a'::text AS third"), None);
    }
}
