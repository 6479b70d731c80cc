//! Limits hold, whatever becomes of the transactions that take from them: rolled back, cut short,
//! killed, or left open.

mod fire;
mod midnight;
mod multixacts;
mod probabilities;
mod stuck;
mod together;

pub use fire::{of_a_campaign, of_many_caps_at_once};
pub use midnight::for_one_user_at_once;
pub use multixacts::need_no_multixacts;
pub use probabilities::{
    agree_where_counters_are_held, agree_while_caps_bite, chances_agree_while_caps_bite,
};
pub use stuck::{all_of_them_hold, one_holds};
pub use together::without_deadlocks;

use anyhow::{Result, ensure};
use postgres::Client;

use crate::temporary::Database;

/// Does the same in so many sessions at once, each with its number.
fn side_by_side(
    database: &Database,
    sessions: usize,
    work: impl Fn(usize, Client) -> Result<()> + Sync,
) -> Result<()> {
    let clients = (0..sessions)
        .map(|_| database.connect())
        .collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, client)| scope.spawn(move || work(number, client)))
            .collect();
        for thread in threads {
            thread.join().expect("a client panicked")?;
        }
        Ok(())
    })
}

/// Per cap for all users that is in force: its limit, what its counters have, and what committed decisions
/// have shown of it, in its own units.
const COUNTED: &str = "
    SELECT c.cap, c.max_count * u.scale,
           (SELECT COALESCE(sum(s.ledger[i + 1]), 0)::int8 FROM decide.budget_stripe AS s, generate_series(1, cardinality(s.ledger), 3) AS i
             WHERE s.slot = c.slot),
           (SELECT COALESCE(sum(CASE c.unit WHEN 'cost' THEN round(a.cost * 1000000) ELSE 1 END), 0)::int8
              FROM decide.decision AS d JOIN decide.action AS a USING (action)
             WHERE d.reason IS NULL AND (c.surface IS NULL OR d.surface = c.surface) AND (c.action IS NULL OR a.action = c.action)
               AND (c.campaign IS NULL OR a.campaign = c.campaign)),
           (SELECT sum(s.quota)::int8 FROM decide.budget_stripe AS s WHERE s.slot = c.slot)
      FROM decide.cap_in_force AS c, LATERAL (SELECT CASE c.unit WHEN 'cost' THEN 1000000 ELSE 1 END) AS u (scale)
     WHERE c.per = 'all' ORDER BY c.cap";

/// Pairs of a user and a cap per user that counts decisions for ever or by the day, of which the row of the
/// user has something else than today's committed decisions, or more than the limit.
const MISCOUNTED: &str = "
    SELECT count(*) FROM decide.cap_in_force AS c
     CROSS JOIN (SELECT DISTINCT t.user_key FROM decide.trace AS t) AS u
      LEFT JOIN decide.user_state AS s USING (user_key)
     CROSS JOIN LATERAL (
             SELECT COALESCE(sum(e.amount), 0) FROM decide.exposure_entries(s.exposures) AS e
              WHERE e.slot = c.slot AND (c.window_start IS NULL OR e.at >= c.window_start)) AS kept (n)
     CROSS JOIN LATERAL (
             SELECT count(*) FROM decide.decision AS d JOIN decide.action AS a USING (action)
              WHERE d.user_key = u.user_key AND d.reason IS NULL AND (c.window_start IS NULL OR d.decided_at >= c.window_start)
                AND (c.surface IS NULL OR d.surface = c.surface) AND (c.action IS NULL OR a.action = c.action)
                AND (c.campaign IS NULL OR a.campaign = c.campaign)) AS shown (n)
     WHERE c.per = 'user' AND (kept.n <> shown.n OR shown.n > c.max_count)";

/// What the counters of a budget have.
struct Spent {
    cap: String,
    limit: i64,
    counted: i64,
}

/// That counters have what was shown, and no more than the limits.
fn agree(client: &mut Client) -> Result<Vec<Spent>> {
    let mut all = Vec::new();
    for row in client.query(COUNTED, &[])? {
        let (cap, limit): (String, i64) = (row.get(0), row.get(1));
        let (counted, shown, quota): (i64, i64, i64) = (row.get(2), row.get(3), row.get(4));
        ensure!(
            counted == shown,
            "{cap}: the counters have {counted}, but {shown} are committed"
        );
        ensure!(shown <= limit, "{cap}: {shown} of {limit} are committed");
        ensure!(
            quota == limit,
            "{cap}: the quotas of its rows make {quota}, not {limit}"
        );
        all.push(Spent {
            cap,
            limit,
            counted,
        });
    }
    let wrong: i64 = client.query_one(MISCOUNTED, &[])?.get(0);
    ensure!(wrong == 0, "{wrong} counters of users are wrong");
    Ok(all)
}
