//! The rows that the counter of a budget should have, and the quota of each: brought in line with the limit at publish.

use std::collections::HashMap;

use pgrx::pg_sys::{INT4OID, INT8ARRAYOID, TIMESTAMPTZOID};

use super::cap::Cap;
use super::stripes::Budget;
use crate::math::ledger;
use crate::pg::claim::Claim;
use crate::pg::{Row, Statement, array, datum};

thread_local! {
    static COUNT: Statement = const { Statement::new(
        "SELECT s.slot, pg_catalog.count(*)::int FROM decide.budget_stripe AS s GROUP BY s.slot", &[]) };
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

/// Notes in each cap how many rows its counter has.
pub fn count_stripes(caps: &[Cap]) {
    if !caps.iter().any(|cap| cap.per.is_budget()) {
        return;
    }
    let mut counts: HashMap<i32, i32> = HashMap::new();
    COUNT.with(|statement| {
        statement.read(&[], |row| {
            counts.extend([(row.must::<i32>(1), row.must::<i32>(2))])
        })
    });
    for cap in caps.iter().filter(|cap| cap.per.is_budget()) {
        cap.stripes
            .set(counts.get(&cap.number).copied().unwrap_or(0));
    }
}
