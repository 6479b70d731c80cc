//! What of a plan needs no executor.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::*;
    use crate::pg::attempt::{attempt, sqlstate};
    use crate::pg::expression::DirectExpressions;
    use crate::pg::plan::{Access, on_latest_snapshot};
    use crate::pg::{Plan, Session, datum};

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
            "CREATE ROLE reader; CREATE ROLE readers; GRANT readers TO reader; \
             GRANT USAGE ON SCHEMA shop TO readers; \
             GRANT SELECT (sku, on_hand) ON shop.stock TO readers; SET ROLE reader",
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
        // Nothing changes in the table, and the plan holds.
        Spi::run("RESET ROLE; REVOKE readers FROM reader; SET ROLE reader").unwrap();
        assert!(plan.holds());
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
}
