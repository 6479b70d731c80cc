//! The counters of caps for all users: several rows each, so that decisions need not wait for each other.
//!
//! Decisions change a row under its claim, or if it still is the version that they looked at. Jobs and publishing
//! take the claims of the rows that they lock.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys::{INT2OID, INT4ARRAYOID, INT4OID, INT8ARRAYOID, INT8OID, TIMESTAMPTZOID};

use super::cap::{Cap, Per};
use crate::math::ledger::{self, Terms};
use crate::pg::attempt::best_effort;
use crate::pg::claim::Claim;
use crate::pg::holder::{Holder, Unavailable};
use crate::pg::invalidation::Watch;
use crate::pg::lookup::{Keyed, Visibility};
use crate::pg::row::TableRow;
use crate::pg::version::{RowLock, Version};
use crate::pg::{Statement, Watched, array, datum, session};

const STRIPES: Keyed = Keyed {
    schema: c"decide",
    table: c"budget_stripe",
    counts: true,
};

/// Columns of decide.budget_stripe.
const STRIPE: i32 = 2;
const QUOTA: i32 = 3;
const LEDGER: i32 = 4;
const PACED_AT: i32 = 5;
const ALLOWED: i32 = 6;

thread_local! {
    static LEVELS: RefCell<Levels> = RefCell::default();
    static WATCHED: Watched = const { Watched::new(Watch::Budget, "decide.budget_level") };
    static LOAD: Statement = const { Statement::new(
        "SELECT l.slot, l.window_start, l.level, l.until FROM decide.budget_level AS l WHERE l.level > 0", &[]) };
    static MARK: Statement = const { Statement::new(
        "UPDATE decide.budget_level AS l SET window_start = $2, level = $3, until = $4 \
          WHERE l.ctid = (SELECT k.ctid FROM decide.budget_level AS k \
                           WHERE k.slot = $1 AND (k.window_start, k.level, k.until) < ($2, $3, $4) FOR UPDATE SKIP LOCKED)",
        &[INT4OID, INT8OID, INT2OID, INT8OID]) };
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
    static TAKE_ALL: Statement = const { Statement::new(
        "SELECT s.stripe, s.ledger FROM decide.budget_stripe AS s WHERE s.slot = $1 ORDER BY s.stripe FOR NO KEY UPDATE",
        &[INT4OID]) };
    static TAKE_FREE: Statement = const { Statement::new(
        "SELECT s.stripe, s.quota, s.ledger FROM decide.budget_stripe AS s \
          WHERE s.slot = $1 AND s.stripe = ANY ($2) ORDER BY s.stripe FOR NO KEY UPDATE SKIP LOCKED",
        &[INT4OID, INT4ARRAYOID]) };
    static NUMBERS: Statement = const { Statement::new(
        "SELECT s.stripe FROM decide.budget_stripe AS s WHERE s.slot = $1 ORDER BY s.stripe", &[INT4OID]) };
    static PUT: Statement = const { Statement::new(
        "UPDATE decide.budget_stripe AS s SET quota = $3, ledger = $4 WHERE s.slot = $1 AND s.stripe = $2",
        &[INT4OID, INT4OID, INT8OID, INT8ARRAYOID]) };
    static SET_QUOTAS: Statement = const { Statement::new(
        "UPDATE decide.budget_stripe AS s SET quota = q.quota, allowed = 0, paced_at = $3 \
           FROM pg_catalog.unnest($2) WITH ORDINALITY AS q (quota, place) \
          WHERE s.slot = $1 AND s.stripe = q.place - 1", &[INT4OID, INT8ARRAYOID, TIMESTAMPTZOID]) };
    static TAKE_LEVEL: Statement = const { Statement::new(
        "SELECT 1 FROM decide.budget_level AS l WHERE l.slot = $1 FOR NO KEY UPDATE", &[INT4OID]) };
    static REOPEN: Statement = const { Statement::new(
        "UPDATE decide.budget_level AS l SET level = 0, window_start = $2, until = $3 \
          WHERE l.ctid = (SELECT k.ctid FROM decide.budget_level AS k \
                           WHERE k.slot = $1 AND k.level > 0 FOR UPDATE SKIP LOCKED)", &[INT4OID, INT8OID, INT8OID]) };
}

/// How full a budget is, as this session knows without looking at its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Plenty,
    Little,
    UsedUp,
}

#[derive(Default)]
struct Levels {
    changes: u64,
    /// Window, level and until when it holds, by slot.
    known: HashMap<i32, (i64, i16, i64)>,
    /// Until when this session has found nothing to be had.
    closed: HashMap<i32, i64>,
    /// How often in a row it has found the row free that it begins with.
    at_ease: HashMap<i32, u32>,
    /// The row that it begins with.
    home: HashMap<i32, i32>,
    /// Until when it does not wait for a row, having waited in vain for as long.
    crowded: HashMap<i32, i64>,
}

/// How often in a row that must be, for a session to take it for granted that one of many rows is free.
const EASE: u32 = 64;

/// One row of a counter.
#[derive(Clone, Default)]
pub struct Stripe {
    pub number: i32,
    pub quota: i64,
    pub ledger: Vec<i64>,
    pub paced_at: Option<i64>,
    pub allowed: f64,
    /// The other transaction that is changing it, as far as that was looked for.
    pub holder: Option<Holder>,
}

impl Stripe {
    fn of(found: &TableRow<'_>) -> Stripe {
        let mut stripe = Stripe {
            number: found.get(STRIPE).unwrap_or(0),
            quota: found.get(QUOTA).unwrap_or(0),
            paced_at: found.timestamp(PACED_AT),
            allowed: found.get(ALLOWED).unwrap_or(0.0),
            ..Stripe::default()
        };
        found
            .datum(LEDGER)
            .map(|ledger| array::read_into(ledger, &mut stripe.ledger));
        stripe
    }

    /// How much of its quota is left; below 0 if the limit was cut.
    pub fn free(&self, terms: &Terms) -> i64 {
        self.quota.saturating_sub(ledger::used(&self.ledger, terms))
    }

    /// Writes it; None if others were faster.
    pub fn write(&self, row_lock: RowLock) -> Option<RowLock> {
        row_lock.change([
            (QUOTA, datum::int8(self.quota)),
            (LEDGER, datum::array(&self.ledger)),
            (PACED_AT, self.paced_at.and_then(datum::timestamp)),
            (ALLOWED, datum::float8(self.allowed)),
        ])
    }
}

/// The counter of a cap.
pub struct Budget<'a>(pub &'a Cap);

impl Budget<'_> {
    /// A stripe as it is by now, unless another transaction has it.
    pub fn look(&self, stripe: i32) -> Result<(Stripe, Version), Unavailable> {
        let mut found = Stripe::default();
        let looked = STRIPES.look((self.0.slot, stripe), |row| found = Stripe::of(&row))?;
        Ok((found, looked.version))
    }

    /// The same, and its claim, so that it stays so; None where this transaction has the row anyway.
    pub fn claim(&self, stripe: i32) -> Result<(Stripe, Version, Option<Claim>), Unavailable> {
        let mut found = Stripe::default();
        let key = (self.0.slot, stripe);
        let (claim, version) = STRIPES.claim(key, |row| found = Stripe::of(&row))?;
        Ok((found, version, claim))
    }

    /// The same, or waits so many milliseconds for it.
    pub fn claim_within(
        &self,
        stripe: i32,
        milliseconds: u32,
    ) -> Result<(Stripe, Version, Option<Claim>), Unavailable> {
        let mut found = Stripe::default();
        let key = (self.0.slot, stripe);
        let (claim, version) =
            STRIPES.claim_within(key, milliseconds, |row| found = Stripe::of(&row))?;
        Ok((found, version, claim))
    }

    /// Every stripe; of one that is being changed, the version that leaves less. Of everything, none while others
    /// hold the table.
    pub fn stripes(&self, visibility: Visibility, terms: &Terms) -> Vec<Stripe> {
        let mut stripes: Vec<Stripe> = Vec::new();
        STRIPES.each(self.0.slot, visibility, |row, holder| {
            let mut stripe = Stripe::of(&row);
            stripe.holder = holder;
            match stripes
                .iter_mut()
                .find(|other| other.number == stripe.number)
            {
                None => stripes.push(stripe),
                Some(other) => {
                    stripe.holder = stripe.holder.or(other.holder);
                    other.holder = stripe.holder;
                    if stripe.free(terms) < other.free(terms) {
                        *other = stripe;
                    }
                }
            }
        });
        stripes
    }

    /// Whether this session has found its own row of many free time and again, so that it need not make sure of one
    /// before the choice.
    pub fn is_at_ease(&self) -> bool {
        let times = LEVELS.with_borrow(|levels| levels.at_ease.get(&self.0.slot).copied());
        self.0.has_many_rows() && times.is_some_and(|times| times >= EASE)
    }

    /// Notes whether the first row that was tried was free: once not, and all begins anew.
    pub fn note_ease(&self, free: bool) {
        LEVELS.with_borrow_mut(|levels| {
            let times = levels.at_ease.entry(self.0.slot).or_default();
            *times = if free { times.saturating_add(1) } else { 0 };
        });
    }

    /// Whether this session may wait for a row: not for as long as it has just waited in vain. So sessions that are
    /// too many for a budget spend half of their time waiting for it at most.
    pub fn is_worth_waiting(&self, now: i64) -> bool {
        let until = LEVELS.with_borrow(|levels| levels.crowded.get(&self.0.slot).copied());
        until.is_none_or(|until| now >= until)
    }

    /// Notes that it has waited so many milliseconds in vain.
    pub fn note_crowd(&self, milliseconds: u32, now: i64) {
        let until = now.saturating_add(i64::from(milliseconds) * 1_000);
        LEVELS.with_borrow_mut(|levels| levels.crowded.insert(self.0.slot, until));
    }

    /// The rows of the counter, in the order in which this session looks for one: it begins with its own, which
    /// depends on the session alone and not on what is chosen. So sessions do not meet while they are few.
    pub fn turns(&self) -> impl Iterator<Item = i32> + use<> {
        let rows = self.0.stripes.get();
        let home = LEVELS.with_borrow(|levels| levels.home.get(&self.0.slot).copied());
        let home = home.unwrap_or_else(|| session::number().rem_euclid(rows.max(1)));
        (0..rows).map(move |step| (home + step) % rows)
    }

    /// Has this session begin with that row.
    pub fn settle_down(&self, stripe: i32) {
        LEVELS.with_borrow_mut(|levels| levels.home.insert(self.0.slot, stripe));
    }

    /// What this session knows of it. Needs an open session.
    pub fn level(&self, window_start: i64, now: i64) -> Level {
        let changes = WATCHED.with(Watched::changes);
        if LEVELS.with_borrow(|levels| levels.changes != changes) {
            load(changes);
        }
        LEVELS.with_borrow(|levels| {
            if levels
                .closed
                .get(&self.0.slot)
                .is_some_and(|&until| now < until)
            {
                return Level::UsedUp;
            }
            match levels.known.get(&self.0.slot) {
                Some(&(start, 2, until)) if start == window_start && now < until => Level::UsedUp,
                Some(&(start, level, _)) if start == window_start && level > 0 => Level::Little,
                _ if self.0.is_small() => Level::Little,
                _ => Level::Plenty,
            }
        })
    }

    /// Lets all sessions know that it is running out, unless somebody else is doing so or has the table.
    pub fn mark(&self, window_start: i64, level: Level, until: i64) {
        let args = [
            datum::int4(self.0.slot),
            datum::int8(window_start),
            datum::int2(level as i16),
            datum::int8(until),
        ];
        best_effort(|| {
            if MARK.with(|statement| statement.write(&args, |_| {})) > 0 {
                WATCHED.with(Watched::announce);
            }
        });
    }

    /// Has this session not look again before that.
    pub fn close_until(&self, until: i64) {
        LEVELS.with_borrow_mut(|levels| levels.closed.insert(self.0.slot, until));
    }

    /// Locks the stripes that no other transaction has. Needs an open session.
    pub fn lock_free(&self) -> Vec<Stripe> {
        let (mut claims, mut free) = (Vec::new(), Vec::new());
        for number in self.numbers() {
            if let Ok((_, _, claim)) = self.claim(number) {
                claims.push(claim);
                free.push(number);
            }
        }
        let mut stripes = Vec::new();
        TAKE_FREE.with(|statement| {
            let args = [datum::int4(self.0.slot), datum::array(&free)];
            statement.write(&args, |row| {
                let mut stripe = Stripe {
                    number: row.must(1),
                    quota: row.must(2),
                    ..Stripe::default()
                };
                row.datum(3)
                    .map(|kept| array::read_into(kept, &mut stripe.ledger));
                stripes.push(stripe);
            })
        });
        stripes
    }

    /// The claims of all stripes, up to the first that is held for longer: that row is waited for by its lock.
    fn claim_to_settle(&self) -> Vec<Option<Claim>> {
        let numbers = self.numbers().into_iter();
        let claims = numbers.map_while(|number| self.claim_within(number, SETTLING).ok());
        claims.map(|(_, _, claim)| claim).collect()
    }

    /// Which stripes there are. Needs an open session.
    fn numbers(&self) -> Vec<i32> {
        let mut numbers = Vec::new();
        NUMBERS.with(|statement| {
            statement.write(&[datum::int4(self.0.slot)], |row| numbers.push(row.must(1)))
        });
        numbers
    }

    /// Writes quota and ledger of a stripe that is locked. Needs an open session.
    pub fn put(&self, stripe: &Stripe) {
        let args = [
            datum::int4(self.0.slot),
            datum::int4(stripe.number),
            datum::int8(stripe.quota),
            datum::array(&stripe.ledger),
        ];
        PUT.with(|statement| statement.write(&args, |_| {}));
    }

    /// Lets all sessions look again, unless somebody is saying otherwise.
    pub fn reopen(&self) {
        let args = [
            datum::int4(self.0.slot),
            datum::int8(i64::MIN),
            datum::int8(i64::MAX),
        ];
        if REOPEN.with(|statement| statement.write(&args, |_| {})) > 0 {
            WATCHED.with(Watched::announce);
        }
    }

    /// Gives it the rows that it should have, and all of them together the limit. Waits for decisions
    /// that hold one, but not for long. Needs an open session.
    pub fn settle(&self, now: i64) {
        let slot = datum::int4(self.0.slot);
        let (mut rows, mut total) = (0, 0);
        let count = |row: crate::pg::Row<'_>| (rows, total) = (row.must(1), row.must(2));
        SHARES.with(|statement| statement.write(&[slot], count));
        if rows >= self.0.stripes_wanted && total == self.0.limit {
            // What is left may be enough by now: actions may have become cheaper.
            return self.reopen();
        }
        MAKE.with(|statement| statement.write(&[slot, datum::int4(self.0.stripes_wanted)], |_| {}));
        let terms = self.0.terms(now);
        TAKE_LEVEL.with(|statement| statement.write(&[slot], |_| {}));
        let claims = self.claim_to_settle();
        let mut used: Vec<i64> = Vec::new();
        TAKE_ALL.with(|statement| {
            statement.write(&[slot], |row| {
                let mut ledger = Vec::new();
                row.datum(2).map(|kept| array::read_into(kept, &mut ledger));
                used.push(ledger::used(&ledger, &terms));
            })
        });
        drop(claims);
        let quotas = ledger::shares(self.0.limit, &used);
        let args = [slot, datum::array(&quotas), datum::timestamp(now)];
        SET_QUOTAS.with(|statement| statement.write(&args, |_| {}));
        self.reopen();
    }
}

/// How long publishing waits for the claim of one row of a counter, in milliseconds.
const SETTLING: u32 = 50;

/// Notes how many rows the counters of a bundle have. Needs an open session.
pub fn count_stripes(caps: &[Cap]) {
    let mut counts: HashMap<i32, i32> = HashMap::new();
    COUNT.with(|statement| {
        statement.read(&[], |row| {
            counts.extend([(row.must::<i32>(1), row.must::<i32>(2))])
        })
    });
    for cap in caps.iter().filter(|cap| cap.per == Per::All) {
        cap.stripes.set(counts.get(&cap.slot).copied().unwrap_or(0));
    }
}

/// Reads what sessions have said of budgets. Where others hold the table there is plenty of all, until the next
/// change: who takes finds out.
fn load(changes: u64) {
    let read = || {
        let mut known = HashMap::new();
        LOAD.with(|statement| {
            statement.read(&[], |row| {
                known.insert(row.must(1), (row.must(2), row.must(3), row.must(4)));
            })
        });
        known
    };
    let loaded = best_effort(|| WATCHED.with(|table| table.read(read)));
    let (changes, known) = loaded.unwrap_or((changes, HashMap::new()));
    LEVELS.with_borrow_mut(|levels| {
        *levels = Levels {
            changes,
            known,
            closed: HashMap::new(),
            at_ease: std::mem::take(&mut levels.at_ease),
            home: std::mem::take(&mut levels.home),
            crowded: std::mem::take(&mut levels.crowded),
        };
    });
}
