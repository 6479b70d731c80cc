//! The rows of a budget's counter: several, so that decisions need not wait for each other.
//!
//! Decisions change a row under its claim, or if it still is the version that they read. Jobs and publishes
//! claim the rows that they lock.

use pgrx::pg_sys::{INT4ARRAYOID, INT4OID, INT8ARRAYOID, INT8OID};

use super::cap::Cap;
use crate::math::ledger::{self, Terms};
use crate::pg::claim::Claim;
use crate::pg::holder::{Holder, Unavailable};
use crate::pg::lookup::{Keyed, Visibility};
use crate::pg::row::TableRow;
use crate::pg::version::{RowLock, Version};
use crate::pg::{Row, Statement, array, datum};

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
    static TAKE_FREE: Statement = const { Statement::new(
        "SELECT s.stripe, s.quota, s.ledger FROM decide.budget_stripe AS s \
          WHERE s.slot = $1 AND s.stripe = ANY ($2) ORDER BY s.stripe FOR NO KEY UPDATE SKIP LOCKED",
        &[INT4OID, INT4ARRAYOID]) };
    static NUMBERS: Statement = const { Statement::new(
        "SELECT s.stripe FROM decide.budget_stripe AS s WHERE s.slot = $1 ORDER BY s.stripe", &[INT4OID]) };
    static PUT: Statement = const { Statement::new(
        "UPDATE decide.budget_stripe AS s SET quota = $3, ledger = $4 WHERE s.slot = $1 AND s.stripe = $2",
        &[INT4OID, INT4OID, INT8OID, INT8ARRAYOID]) };
}

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
    /// From a row of a statement: number, quota and ledger.
    pub(super) fn of_row(row: &Row<'_>) -> Stripe {
        let mut stripe = Stripe {
            number: row.must(1),
            quota: row.must(2),
            ..Stripe::default()
        };
        row.datum(3)
            .map(|kept| array::read_into(kept, &mut stripe.ledger));
        stripe
    }

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

    /// Writes it; None if another transaction has written it since.
    pub fn write(&self, row_lock: RowLock) -> Option<RowLock> {
        row_lock.change([
            (QUOTA, datum::int8(self.quota)),
            (LEDGER, datum::array(&self.ledger)),
            (PACED_AT, self.paced_at.and_then(datum::timestamp)),
            (ALLOWED, datum::float8(self.allowed)),
        ])
    }
}

/// Hands each of these caps, by its number, with the number of its last stripe to `each`. Whether it did: not where the
/// table is not as the extension made it.
pub(super) fn last_stripes(caps: &[i32], mut each: impl FnMut(i32, i32)) -> bool {
    STRIPES.last_of_each(caps, |cap, row| each(cap, row.get(STRIPE).unwrap_or(0)))
}

/// The counter of a cap.
pub struct Budget<'a>(pub &'a Cap);

impl Budget<'_> {
    /// A stripe as it is committed by now, unless another transaction has it.
    pub fn look(&self, stripe: i32) -> Result<(Stripe, Version), Unavailable> {
        let mut found = Stripe::default();
        let looked = STRIPES.look((self.0.number, stripe), |row| found = Stripe::of(&row))?;
        Ok((found, looked.version))
    }

    /// The same with its claim, under which no other transaction changes it; no claim where this one has the row.
    pub fn claim(&self, stripe: i32) -> Result<(Stripe, Version, Option<Claim>), Unavailable> {
        let mut found = Stripe::default();
        let key = (self.0.number, stripe);
        let (claim, version) = STRIPES.claim(key, |row| found = Stripe::of(&row))?;
        Ok((found, version, claim))
    }

    /// The same, with a wait of so many milliseconds at most.
    pub fn claim_within(
        &self,
        stripe: i32,
        milliseconds: u32,
    ) -> Result<(Stripe, Version, Option<Claim>), Unavailable> {
        let mut found = Stripe::default();
        let key = (self.0.number, stripe);
        let (claim, version) =
            STRIPES.claim_within(key, milliseconds, |row| found = Stripe::of(&row))?;
        Ok((found, version, claim))
    }

    /// Every stripe; of one that is being changed, the version that leaves less. With uncommitted versions, no stripe
    /// while others have locked the table.
    pub fn stripes(&self, visibility: Visibility, terms: &Terms) -> Vec<Stripe> {
        let mut stripes: Vec<Stripe> = Vec::new();
        STRIPES.each(self.0.number, visibility, |row, holder| {
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

    /// Locks the stripes that no other transaction has.
    pub fn lock_available(&self) -> Vec<Stripe> {
        let (mut claims, mut free) = (Vec::new(), Vec::new());
        for number in self.numbers() {
            if let Ok((_, _, claim)) = self.claim(number) {
                claims.push(claim);
                free.push(number);
            }
        }
        let mut stripes = Vec::new();
        TAKE_FREE.with(|statement| {
            let args = [datum::int4(self.0.number), datum::array(&free)];
            statement.write(&args, |row| stripes.push(Stripe::of_row(&row)))
        });
        stripes
    }

    /// The numbers of its stripes.
    pub(super) fn numbers(&self) -> Vec<i32> {
        let mut numbers = Vec::new();
        NUMBERS.with(|statement| {
            statement.write(&[datum::int4(self.0.number)], |row| {
                numbers.push(row.must(1))
            })
        });
        numbers
    }

    /// Writes quota and ledger of a stripe that is locked.
    pub fn put(&self, stripe: &Stripe) {
        let args = [
            datum::int4(self.0.number),
            datum::int4(stripe.number),
            datum::int8(stripe.quota),
            datum::array(&stripe.ledger),
        ];
        PUT.with(|statement| statement.write(&args, |_| {}));
    }
}
