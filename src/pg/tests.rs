//! The glue, tried inside a server.

mod expressions;

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
    use crate::pg::attempt::attempt;
    use crate::pg::json::{Document, Field, Json};
    use crate::pg::locked::{Locked, Wait};
    use crate::pg::lookup::Keyed;
    use crate::pg::plan::Access;
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
