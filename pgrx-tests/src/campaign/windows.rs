//! Windows of caps: by the moments that traces tell, none holds more than its limit, whoever waited for whom.

use std::time::Duration;

use anyhow::{Result, ensure};
use postgres::Client;

use super::load::{Scenario, Size, run_each};
use crate::table::Table;
use crate::temporary::{Database, TemporaryServer};

/// The limit of every cap.
const LIMIT: i64 = 5;

/// Actions that are limited each by one cap, and one that is not.
const POLICY: &str = "
    INSERT INTO decide.surface (surface, fallback_action) VALUES ('s', 'none'), ('elsewhere', 'none');
    INSERT INTO decide.action (action, surfaces) VALUES ('none', '{elsewhere}'), ('free', '{s}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('p', 's', 'uniform');
    CREATE TABLE public.kind AS
      SELECT concat_ws(' ', w.per, w.kind, w.length, w.stripes) AS cap, w.* FROM (VALUES
        ('user', 'calendar', interval '0.1 s', NULL::int), ('user', 'sliding', '0.1 s', NULL), ('user', 'sliding', '1 s', NULL),
        ('all', 'calendar', '0.1 s', NULL), ('all', 'calendar', '0.1 s', 1), ('all', 'sliding', '0.1 s', NULL),
        ('all', 'sliding', '0.1 s', 1), ('all', 'sliding', '1 s', NULL)) AS w (per, kind, length, stripes);
    INSERT INTO decide.action (action, surfaces) SELECT k.cap, '{s}' FROM public.kind AS k;
    INSERT INTO decide.cap (cap, action, per, max_count, window_kind, window_length, stripes)
      SELECT k.cap, k.cap, k.per, 5, k.kind, k.length, k.stripes FROM public.kind AS k;
    SELECT decide.publish('1')";

/// How many windows each cap had, how many were full, how many too full, and how full the fullest. A calendar window of a
/// tenth of a second begins at a whole one; a sliding one is all that is later than its length before some exposure.
const WINDOWS: &str = "
    WITH exposure AS (
      SELECT k.cap, k.kind, k.length, CASE k.per WHEN 'user' THEN t.user_key END AS who,
             (EXTRACT(epoch FROM t.decided_at) * 1000000)::bigint AS us
        FROM decide.trace AS t JOIN public.kind AS k ON k.cap = decide.action_name(t.actions[1]) WHERE t.filled = 1
    ), counted AS (
      SELECT e.cap, pg_catalog.count(*) AS n FROM exposure AS e WHERE e.kind = 'calendar' GROUP BY e.cap, e.who, e.us / 100000
       UNION ALL
      SELECT e.cap, pg_catalog.count(*) OVER (PARTITION BY e.cap, e.who ORDER BY e.us RANGE BETWEEN 99999 PRECEDING AND CURRENT ROW)
        FROM exposure AS e WHERE e.kind = 'sliding' AND e.length = '0.1 s'
       UNION ALL
      SELECT e.cap, pg_catalog.count(*) OVER (PARTITION BY e.cap, e.who ORDER BY e.us RANGE BETWEEN 999999 PRECEDING AND CURRENT ROW)
        FROM exposure AS e WHERE e.kind = 'sliding' AND e.length = '1 s'
    )
    SELECT c.cap, pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE c.n = 5), pg_catalog.count(*) FILTER (WHERE c.n > 5),
           pg_catalog.max(c.n)
      FROM counted AS c GROUP BY c.cap ORDER BY c.cap";

/// Moments that cap_window puts into another tenth of a second than the one they are in, and those that the identifier of
/// the decision does not tell alike.
const MOMENTS: &str = "
    SELECT pg_catalog.count(*) FILTER (WHERE EXTRACT(epoch FROM w.starts) * 10 <> pg_catalog.floor(EXTRACT(epoch FROM t.decided_at) * 10)
                                          OR EXTRACT(epoch FROM w.ends - w.starts) <> 0.1),
           pg_catalog.count(*) FILTER (WHERE decide.decided_at(t.decision_id) <> t.decided_at)
      FROM decide.trace AS t CROSS JOIN LATERAL decide.cap_window(t.decided_at, '0.1 s', 'UTC', 1) AS w";

/// What all of them have.
const USUAL: Scenario = Scenario {
    setup: POLICY,
    script: FEW_USERS,
    ..Scenario::USUAL
};

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "few_users",
        what: "four users",
        ..USUAL
    },
    Scenario {
        name: "few_users_durable",
        what: "four users, and commits that wait for the disk",
        durable: true,
        share: 0.15,
        ..USUAL
    },
    Scenario {
        name: "few_users_repeatable_read",
        what: "four users, in REPEATABLE READ",
        options: r"-c default_transaction_isolation=repeatable\ read",
        share: 0.5,
        ..USUAL
    },
    Scenario {
        name: "rows_of_users_held",
        what: "four users whose rows are kept for up to 30 ms after a tenth of the decisions",
        script: HELD,
        share: 0.3,
        ..USUAL
    },
];

const FEW_USERS: &str = "\\set u random(1, 4)\nSELECT decide(:u::bigint, 's');\n";

const HELD: &str = "\\set u random(1, 4)
\\set wait greatest(random(-270, 30), 0)
BEGIN;
SELECT decide(:u::bigint, 's');
\\sleep :wait ms
COMMIT;
";

/// What became of one cap.
struct Row {
    cap: String,
    windows: i64,
    full: i64,
    over: i64,
    most: i64,
}

/// Runs scenarios one after the other; returns what failed.
pub fn campaign(
    server: &TemporaryServer,
    scenarios: &[&Scenario],
    size: Size,
) -> Result<Vec<String>> {
    run_each(server, "windows", scenarios, size, |database, scenario| {
        scenario.set_up(database, "")?;
        let tps = scenario.decide(database, size)?;
        let rows = windows(&mut database.connect()?)?;
        println!("  {tps:.0} decisions a second");
        let mut table = Table::new(&["cap", ">windows", ">full", ">over", ">most"]);
        for row in &rows {
            let numbers = [row.windows, row.full, row.over, row.most];
            let [windows, full, over, most] = numbers.map(|number| number.to_string());
            table.row([row.cap.clone(), windows, full, over, most]);
        }
        table.print("  ");
        judge(&mut database.connect()?, &rows)
    })
}

/// The small form: one scenario as a check.
pub fn check(database: &Database, name: &str) -> Result<()> {
    let scenario = Scenario::find(SCENARIOS, name)?;
    let size = Size {
        decisions: 30_000,
        clients: 8,
        longest: Duration::from_secs(20 * 60),
    };
    scenario.set_up(database, "")?;
    scenario.decide(database, size)?;
    let mut client = database.connect()?;
    let rows = windows(&mut client)?;
    judge(&mut client, &rows)
}

/// Counts the windows of each cap.
fn windows(client: &mut Client) -> Result<Vec<Row>> {
    let rows = client.query(WINDOWS, &[])?;
    let row = |row: &postgres::Row| Row {
        cap: row.get(0),
        windows: row.get(1),
        full: row.get(2),
        over: row.get(3),
        most: row.get(4),
    };
    Ok(rows.iter().map(row).collect())
}

/// No window is over, each cap has been full, and moments are told alike everywhere.
fn judge(client: &mut Client, rows: &[Row]) -> Result<()> {
    let caps: i64 = client
        .query_one("SELECT pg_catalog.count(*) FROM public.kind", &[])?
        .get(0);
    ensure!(
        rows.len() as i64 == caps,
        "only {} of {caps} caps let anything through",
        rows.len()
    );
    let mut faults: Vec<String> = rows
        .iter()
        .filter(|row| row.over > 0)
        .map(|row| {
            let Row {
                cap,
                windows,
                over,
                most,
                ..
            } = row;
            format!("{cap}: {over} of {windows} windows are over, up to {most} of {LIMIT}")
        })
        .collect();
    let idle = rows.iter().filter(|row| row.full == 0);
    faults.extend(idle.map(|row| format!("{}: no window was ever full", row.cap)));
    let moments = client.query_one(MOMENTS, &[])?;
    for (place, what) in [
        "moments that cap_window puts into another window",
        "decisions whose identifier tells another moment",
    ]
    .into_iter()
    .enumerate()
    {
        let number: i64 = moments.get(place);
        if number > 0 {
            faults.push(format!("{number} {what}"));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}
