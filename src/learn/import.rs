//! Decisions made elsewhere become traces and outcomes, marked as imported.

use std::collections::HashMap;

use pgrx::pg_sys::{self, OIDOID, TEXTOID, TIMESTAMPTZOID};
use uuid::Uuid;

use crate::error::{Error, printable};
use crate::govern::pseudonym::{self, Keys};
use crate::govern::tombstone;
use crate::math::identifier::time_ordered;
use crate::observe::Outcome;
use crate::pg::clock::{self, chance, to_unix_micros};
use crate::pg::json::Json;
use crate::pg::plan::{Access, Cursor};
use crate::pg::record::{Insert, Timestamp, insert_row};
use crate::pg::{Plan, Row, Session, Statement, datum, identity};
use crate::policy::{self, Bundle, Seen, user_key_of};

insert_row! {
    /// What a trace says of a decision that was made elsewhere.
    struct ImportedTrace<'a> {
        decision_id: Uuid,
        user_key: Uuid,
        decided_at: Timestamp,
        context_hash: i64,
        seed: i64,
        bundle: i64,
        filled: i16,
        first_slot: i16,
        surface: &'a str,
        origin: &'a str,
        stage_us: &'a [i32],
        actions: &'a [i32],
        chosen: &'a [f64],
        candidates: &'a [i32],
        context_values: &'a [Option<String>],
    }
}

/// Below this nothing is ever chosen, and estimates would divide by next to nothing.
const LEAST_PROPENSITY: f64 = 1e-9;

thread_local! {
    static COLUMNS: Statement = const { Statement::new(
        "SELECT a.attname::text FROM pg_catalog.pg_attribute AS a \
          WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped", &[OIDOID]) };
    static NAME: Statement = const { Statement::new(
        "SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class AS c WHERE c.oid = $1", &[OIDOID]) };
    static NUMBER: Statement = const { Statement::new(
        "INSERT INTO decide.identity (kind, number, name) \
         SELECT 'action', COALESCE(pg_catalog.max(i.number), 0) + 1, $1 FROM decide.identity AS i WHERE i.kind = 'action' \
         RETURNING number", &[TEXTOID]) };
    static NUMBERS: Statement = const { Statement::new(
        "SELECT n.name, i.number FROM decide.identity AS i \
          CROSS JOIN LATERAL pg_catalog.unnest(i.former || i.name) AS n (name) WHERE i.kind = 'action' ORDER BY i.named_at", &[]) };
    static LOCK: Statement = const { Statement::new(
        "LOCK TABLE decide.publication IN SHARE ROW EXCLUSIVE MODE", &[]) };
    static PARTITIONS: Statement = const { Statement::new(
        "SELECT decide.make_partitions(d.day, d.day) \
           FROM (SELECT ($1 AT TIME ZONE 'UTC')::pg_catalog.date AS day) AS d",
        &[TIMESTAMPTZOID]) };
    static TRACE: Insert = const { Insert::new("decide.trace", ImportedTrace::COLUMNS) };
}

/// Columns that a source must have, and those that it may have, with their types.
const COLUMNS_OF_SOURCE: [(&str, &str, bool); 9] = [
    ("user_id", "text", true),
    ("surface", "text", true),
    ("decided_at", "timestamptz", true),
    ("action", "text", true),
    ("propensity", "float8", true),
    ("slot", "int4", false),
    ("context", "jsonb", false),
    ("reward", "float8", false),
    ("reward_type", "text", false),
];

/// Most days that one import may touch: each takes partitions, and all of them stay locked until
/// its end.
const MOST_DAYS: usize = 366;

/// One decision of the source, checked.
struct Logged {
    user_key: Uuid,
    surface: String,
    decided_at: i64,
    action: String,
    propensity: f64,
    slot: i16,
    context_hash: i64,
    context_values: Vec<Option<String>>,
    reward: Option<f64>,
    reward_type: String,
}

/// Imports the rows of the relation; answers how many. Those of the past of persons who were erased are left out. The source is read as the caller, and nothing else is: all
/// that is the caller's own (views, functions, casts, row security) is evaluated there, and comes out as values.
pub fn import(source: pg_sys::Oid, origin: &str, caller: pg_sys::Oid) -> Result<i64, Error> {
    let bundle = policy::live()?;
    let keys = pseudonym::keys()?;
    let _session = Session::open();
    let query = query(source)?;
    // Numbers of actions are given by one session at a time.
    LOCK.with(|statement| statement.write(&[], |_| {}));
    for day in days(&query, caller)? {
        PARTITIONS.with(|statement| statement.write(&[datum::timestamp(day)], |_| {}));
    }
    let mut numbers = numbers();
    let mut cursor = {
        let _acting = identity::act_as(caller);
        Cursor::open(Plan::prepare(&query, &[]), &[])
    };
    let (mut rows, mut imported) = (0, 0);
    loop {
        // What a batch has allocated goes with it.
        let _batch = Session::open();
        let mut batch = Vec::new();
        {
            let _acting = identity::act_as(caller);
            cursor.fetch(500, |row| batch.push(read(&row, &bundle, &keys)));
        }
        if batch.is_empty() {
            return Ok(imported);
        }
        for logged in batch {
            rows += 1;
            let hint = "Correct the source and import again; nothing was imported.";
            let logged = logged.map_err(|reason| {
                Error::Import(format!("row {rows} of the source: {reason}"), hint)
            })?;
            // What is of the past of a person who was erased does not come back.
            let erased_at = tombstone::erased_at(logged.user_key);
            if erased_at.is_none_or(|erased_at| logged.decided_at > erased_at) {
                store(&logged, origin, &bundle, &mut numbers);
                imported += 1;
            }
        }
    }
}

/// A row as a decision, or what is wrong with it.
fn read(row: &Row<'_>, bundle: &Bundle, keys: &Keys) -> Result<Logged, String> {
    let text = |column, name| row.get::<String>(column).ok_or(format!("{name} is null"));
    let user_id = text(1, "user_id")?;
    let user_id = pseudonym::user_id(Some(&user_id)).map_err(|error| error.to_string())?;
    let surface = text(2, "surface")?;
    let fields = match bundle.surfaces.get(&surface) {
        Some(surface) => &surface.context_fields,
        None => {
            return Err(format!(
                "surface \"{}\" is not in the bundle in force",
                printable(&surface)
            ));
        }
    };
    let decided_at = row.timestamp(3).ok_or("decided_at is null")?;
    if to_unix_micros(decided_at) < 0 || decided_at > clock::now() {
        return Err("decided_at is before 1970 or in the future".into());
    }
    let action = text(4, "action")?;
    if !policy::is_name(&action) {
        return Err("action is not a valid name".into());
    }
    let propensity = row.get::<f64>(5).ok_or("propensity is null")?;
    if !(LEAST_PROPENSITY..=1.0).contains(&propensity) {
        return Err(format!(
            "propensity is {propensity}, and must be at least {LEAST_PROPENSITY} and at most 1"
        ));
    }
    let slot = match row.get::<i32>(6).unwrap_or(1) {
        slot @ 1..=100 => slot as i16,
        slot => return Err(format!("slot is {slot}, and must be between 1 and 100")),
    };
    let context = row.json(7).unwrap_or_else(Json::nothing);
    if !context.is_object() {
        return Err("context is not an object".into());
    }
    let coarsening = &bundle.context_fields.of_context;
    let hash = |field: &str, value: &str| Some(keys.newest().of_value(field, value));
    let known = coarsening.of(&context, &[], hash);
    let context = known.map_or(context, |known| known.document);
    let reward_type = row.get(9).unwrap_or_else(|| "reward".to_owned());
    if !policy::is_name(&reward_type) {
        return Err("reward_type is not a valid name".into());
    }
    let reward = row.get::<f64>(8);
    if reward.is_some_and(|reward| !reward.is_finite()) {
        return Err("reward is not an ordinary number".into());
    }
    Ok(Logged {
        user_key: user_key_of(keys, user_id, Seen::ToRead),
        decided_at,
        propensity,
        slot,
        context_hash: context.hash(keys.newest().context_seed),
        context_values: fields
            .iter()
            .map(|name| policy::context_text(context.get(name)))
            .collect(),
        reward: reward.filter(|reward| *reward != 0.0),
        reward_type,
        surface,
        action,
    })
}

fn store(logged: &Logged, origin: &str, bundle: &Bundle, numbers: &mut HashMap<String, i32>) {
    let number = *numbers
        .entry(logged.action.clone())
        .or_insert_with(|| new_number(&logged.action));
    let decision_id = time_ordered(to_unix_micros(logged.decided_at), chance());
    let trace = ImportedTrace {
        decision_id,
        user_key: logged.user_key,
        decided_at: Timestamp(logged.decided_at),
        context_hash: logged.context_hash,
        seed: 0,
        bundle: bundle.number,
        filled: 1,
        first_slot: logged.slot,
        surface: &logged.surface,
        origin,
        stage_us: &[],
        actions: &[number],
        chosen: &[logged.propensity],
        candidates: &[],
        context_values: &logged.context_values,
    };
    TRACE.with(|insert| insert.run(&trace.args()));
    if logged.reward.is_none() {
        return;
    }
    let outcome = Outcome {
        user_key: logged.user_key,
        decision_id,
        event_id: "imported",
        decided_at: Timestamp(logged.decided_at),
        at: Timestamp(logged.decided_at),
        r#type: &logged.reward_type,
        action: Some(&logged.action),
        value: logged.reward,
        number: Some(number),
    };
    outcome.add();
}

fn new_number(action: &str) -> i32 {
    let mut number = 0;
    NUMBER.with(|statement| statement.write(&[datum::text(action)], |row| number = row.must(1)));
    number
}

fn numbers() -> HashMap<String, i32> {
    let mut numbers = HashMap::new();
    NUMBERS.with(|statement| {
        statement.write(&[], |row| {
            numbers.insert(row.must(1), row.must(2));
        })
    });
    numbers
}

/// The statement that reads the source: the columns it has, in the types that they must have.
fn query(source: pg_sys::Oid) -> Result<String, Error> {
    let (mut columns, mut name) = (Vec::<String>::new(), None::<String>);
    COLUMNS
        .with(|statement| statement.read(&[datum::oid(source)], |row| columns.push(row.must(1))));
    NAME.with(|statement| statement.read(&[datum::oid(source)], |row| name = row.get(1)));
    let name = name
        .ok_or_else(|| Error::Import("source does not exist".into(), "Name a table or a view."))?;
    let mut list = Vec::new();
    for (column, kind, required) in COLUMNS_OF_SOURCE {
        match columns.iter().any(|have| have == column) {
            true => list.push(format!("s.{column}::pg_catalog.{kind}")),
            false if required => {
                let hint = "Make a view or a temporary table with user_id, surface, decided_at, action, \
                            propensity, and if wanted slot, context, reward, reward_type.";
                return Err(Error::Import(
                    format!("{name} has no column \"{column}\""),
                    hint,
                ));
            }
            false => list.push(format!("NULL::pg_catalog.{kind}")),
        }
    }
    Ok(format!("SELECT {} FROM {name} AS s", list.join(", ")))
}

/// A moment of each day of the source. Rows that are wrong are told later.
fn days(query: &str, caller: pg_sys::Oid) -> Result<Vec<i64>, Error> {
    let _acting = identity::act_as(caller);
    let sql = format!(
        "SELECT pg_catalog.min(q.decided_at) \
           FROM ({query}) AS q (user_id, surface, decided_at) \
          WHERE q.decided_at OPERATOR(pg_catalog.>=) 'epoch' \
            AND q.decided_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp() \
          GROUP BY pg_catalog.date_trunc('day', q.decided_at, 'UTC') LIMIT {}",
        MOST_DAYS + 1
    );
    let mut days = Vec::new();
    Plan::prepare(&sql, &[]).run(Access::Read, &[], |row| days.extend(row.timestamp(1)));
    if days.len() > MOST_DAYS {
        return Err(Error::Import(
            format!("the source has decisions of more than {MOST_DAYS} days"),
            "Import it in parts, through a view of some months for instance.",
        ));
    }
    Ok(days)
}
