//! The rows that the counter of a budget should have, and the quota of each: brought in line with the limit at publish.

use std::collections::HashMap;

use pgrx::pg_sys::{INT4ARRAYOID, INT4OID, INT8ARRAYOID, TIMESTAMPTZOID};

use super::budget_cache::{clear_levels, note_change};
use super::cap::Cap;
use super::stripes::{Budget, last_stripes};
use crate::math::ledger;
use crate::pg::claim::Claim;
use crate::pg::{Row, Statement, array, datum};

thread_local! {
    static COUNT: Statement = const { Statement::new(
        "SELECT b.slot, (SELECT s.stripe + 1 FROM decide.budget_stripe AS s WHERE s.slot = b.slot ORDER BY s.stripe DESC LIMIT 1) \
           FROM pg_catalog.unnest($1) AS b (slot)", &[INT4ARRAYOID]) };
    static SHARES_OF_ALL: Statement = const { Statement::new(
        "SELECT s.slot, pg_catalog.count(*)::int, pg_catalog.sum(s.quota)::bigint \
           FROM decide.budget_stripe AS s WHERE s.slot = ANY ($1) GROUP BY s.slot", &[INT4ARRAYOID]) };
    static MAKE_LEVELS: Statement = const { Statement::new(
        "INSERT INTO decide.budget_level (slot) SELECT b.slot FROM pg_catalog.unnest($1) AS b (slot) ON CONFLICT DO NOTHING",
        &[INT4ARRAYOID]) };
    static MAKE_ALL: Statement = const { Statement::new(
        "INSERT INTO decide.budget_stripe (slot, stripe, quota, paced_at) \
         SELECT b.slot, g.stripe, pg_catalog.div(b.units * (g.stripe + 1), b.stripes) - pg_catalog.div(b.units * g.stripe, b.stripes), $4 \
           FROM (SELECT u.slot, u.stripes, u.units::numeric AS units FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) AS u (slot, stripes, units)) AS b \
          CROSS JOIN LATERAL pg_catalog.generate_series(0, b.stripes - 1) AS g (stripe)",
        &[INT4ARRAYOID, INT4ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID]) };
    static SHARES: Statement = const { Statement::new(
        "SELECT pg_catalog.count(*)::int, COALESCE(pg_catalog.sum(s.quota), 0)::bigint \
           FROM decide.budget_stripe AS s WHERE s.slot = $1", &[INT4OID]) };
    static MAKE: Statement = const { Statement::new(
        "WITH level AS (INSERT INTO decide.budget_level (slot) VALUES ($1) ON CONFLICT DO NOTHING) \
         INSERT INTO decide.budget_stripe (slot, stripe, quota) \
         SELECT $1, g, 0 FROM pg_catalog.generate_series(0, $2 - 1) AS g ON CONFLICT DO NOTHING",
        &[INT4OID, INT4OID]) };
    static TAKE_LEVEL: Statement = const { Statement::new(
        "SELECT 1 FROM decide.budget_level AS l WHERE l.slot = $1 FOR NO KEY UPDATE", &[INT4OID]) };
    static TAKE_ALL: Statement = const { Statement::new(
        "SELECT s.stripe, s.ledger FROM decide.budget_stripe AS s WHERE s.slot = $1 ORDER BY s.stripe FOR NO KEY UPDATE",
        &[INT4OID]) };
    static SET_QUOTAS: Statement = const { Statement::new(
        "UPDATE decide.budget_stripe AS s SET quota = q.quota, allowed = 0, paced_at = $3 \
           FROM pg_catalog.unnest($2) WITH ORDINALITY AS q (quota, number) \
          WHERE s.slot = $1 AND s.stripe = q.number - 1", &[INT4OID, INT8ARRAYOID, TIMESTAMPTZOID]) };
}

/// How long a publish waits for the claim of one row of a counter, in milliseconds.
const CLAIM_TIMEOUT_MS: u32 = 50;

impl Budget<'_> {
    /// Adds the rows that are missing, and shares the limit out among all. Waits for decisions that hold a row, within
    /// the lock timeout.
    pub fn settle(&self, now: i64) {
        let number = datum::int4(self.0.number);
        let (mut rows, mut total) = (0, 0);
        let count = |row: Row<'_>| (rows, total) = (row.must(1), row.must(2));
        SHARES.with(|statement| statement.write(&[number], count));
        if rows >= self.0.stripes_wanted && total == self.0.limit {
            // What is left may be enough by now: actions may have become cheaper.
            return self.clear_level();
        }
        MAKE.with(|statement| {
            statement.write(&[number, datum::int4(self.0.stripes_wanted)], |_| {})
        });
        let terms = self.0.terms(now);
        TAKE_LEVEL.with(|statement| statement.write(&[number], |_| {}));
        let claims = self.claim_to_settle();
        let mut used: Vec<i64> = Vec::new();
        TAKE_ALL.with(|statement| {
            statement.write(&[number], |row| {
                let mut ledger = Vec::new();
                row.datum(2).map(|kept| array::read_into(kept, &mut ledger));
                used.push(ledger::used(&ledger, &terms));
            })
        });
        drop(claims);
        let quotas = ledger::shares(self.0.limit, &used);
        let args = [number, datum::array(&quotas), datum::timestamp(now)];
        SET_QUOTAS.with(|statement| statement.write(&args, |_| {}));
        self.clear_level();
    }

    /// The claims of all stripes, up to the first whose claim cannot be had in time: its row lock is waited for.
    pub(super) fn claim_to_settle(&self) -> Vec<Option<Claim>> {
        let numbers = self.numbers().into_iter();
        let claims = numbers.map_while(|number| self.claim_within(number, CLAIM_TIMEOUT_MS).ok());
        claims.map(|(_, _, claim)| claim).collect()
    }
}

/// Brings the counters of many budgets in line at once: those that have no row yet get theirs, and those that have what
/// they should have stay as they are. Answers the others, to be settled one by one.
pub fn settle_at_once<'a>(budgets: &[&'a Cap], now: i64) -> Vec<&'a Cap> {
    let numbers: Vec<i32> = budgets.iter().map(|cap| cap.number).collect();
    let mut found: HashMap<i32, (i32, i64)> = HashMap::new();
    SHARES_OF_ALL.with(|statement| {
        let mut note = |row: Row<'_>| {
            found.insert(row.must(1), (row.must(2), row.must(3)));
        };
        statement.write(&[datum::array(&numbers)], &mut note)
    });
    let (mut new, mut settled, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for &cap in budgets {
        match found.get(&cap.number) {
            None => new.push(cap),
            // What is left may be enough by now: actions may have become cheaper.
            Some(&(rows, total)) if rows >= cap.stripes_wanted && total == cap.limit => {
                settled.push(cap.number);
            }
            Some(_) => others.push(cap),
        }
    }
    if !new.is_empty() {
        let numbers: Vec<i32> = new.iter().map(|cap| cap.number).collect();
        let stripes: Vec<i32> = new.iter().map(|cap| cap.stripes_wanted).collect();
        let limits: Vec<i64> = new.iter().map(|cap| cap.limit).collect();
        MAKE_LEVELS.with(|statement| statement.write(&[datum::array(&numbers)], |_| {}));
        let args = [
            datum::array(&numbers),
            datum::array(&stripes),
            datum::array(&limits),
            datum::timestamp(now),
        ];
        MAKE_ALL.with(|statement| statement.write(&args, |_| {}));
        settled.extend(numbers);
    }
    clear_levels(&settled);
    others
}

/// Notes in each cap how many rows its counter has.
pub fn count_stripes(caps: &[Cap]) {
    let budgets = caps.iter().filter(|cap| cap.per.is_budget());
    let numbers: Vec<i32> = budgets.map(|cap| cap.number).collect();
    if numbers.is_empty() {
        return;
    }
    let mut counts: HashMap<i32, i32> = HashMap::new();
    let is_counted = last_stripes(&numbers, |cap, last| {
        counts.insert(cap, last + 1);
    });
    if !is_counted {
        COUNT.with(|statement| {
            statement.read(&[datum::array(&numbers)], |row| {
                counts.extend([(row.must::<i32>(1), row.get::<i32>(2).unwrap_or(0))])
            })
        });
    }
    for cap in caps.iter().filter(|cap| cap.per.is_budget()) {
        cap.stripes
            .set(counts.get(&cap.number).copied().unwrap_or(0));
    }
    note_change();
}
