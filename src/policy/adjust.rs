//! Corrections of counters by people: audited, and exact beside decisions.

use pgrx::pg_sys::{FLOAT8OID, INT4OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::bundle_cache::live;
use super::person::{self, Seen};
use super::user::UserRow;
use crate::caps::{Adjusted, Budget, Cap, CountedIn, NotCounted};
use crate::error::{Error, printable};
use crate::govern::pseudonym;
use crate::govern::waiting::{Awaited, waiting_for};
use crate::math::identifier::time_ordered;
use crate::math::ledger;
use crate::pg::clock::{self, chance, to_unix_micros};
use crate::pg::{Session, Statement, datum};

thread_local! {
    static FIND: Statement = const { Statement::new(
        "SELECT c.slot FROM decide.cap_in_force AS c WHERE c.cap = $1 AND c.value IS NOT DISTINCT FROM $2", &[TEXTOID, TEXTOID]) };
    static NOTE: Statement = const { Statement::new(
        "INSERT INTO decide.adjustment (adjustment_id, user_key, acting_as, cap, value, slot, window_start, window_end, amount, before, after, why) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, FLOAT8OID, FLOAT8OID, FLOAT8OID, TEXTOID]) };
}

/// What is to be corrected, by how much, and why.
pub struct Adjustment<'a> {
    pub cap: &'a str,
    /// The value of the attribute, where each is limited by itself.
    pub value: Option<&'a str>,
    /// In exposures, or in cost.
    pub amount: f64,
    pub why: &'a str,
    /// A moment of the window; None is now.
    pub at: Option<i64>,
    pub caller: &'a str,
}

/// Corrects the counter of a budget; what was counted in the window before and after.
pub fn adjust_budget(asked: &Adjustment<'_>) -> Result<(f64, f64), Error> {
    adjust(asked, CountedIn::Stripes, |cap, units, at, now| {
        let counter = Awaited {
            what: format!(
                "the rows of the counter of cap \"{}\"",
                printable(&cap.name)
            )
            .into(),
            by: "Another transaction has locked one of them.",
        };
        let adjusted = waiting_for(counter, || Budget(cap).adjust(units, at, now))?;
        Ok((Uuid::nil(), adjusted))
    })
}

/// Corrects what is counted of a user, or of the one into whom they were merged.
pub fn adjust_exposure(asked: &Adjustment<'_>, user_id: Option<&str>) -> Result<(f64, f64), Error> {
    let user_key = person::user_key(pseudonym::user_id(user_id)?, Seen::ToWrite)?;
    adjust(asked, CountedIn::UserRow, |cap, units, at, now| {
        let row = Awaited {
            what: "the row of a user".into(),
            by: "Another transaction has locked that row of decide.user_state, or is adding it.",
        };
        let (living, mut row, locked) = waiting_for(row, || UserRow::lock_living(user_key));
        let number = cap.number.into();
        let mut block = ledger::block(&row.exposures, number).to_vec();
        let adjusted = cap.adjust(&mut block, units, at, now)?;
        ledger::put(&mut row.exposures, number, &block);
        row.write(living, locked);
        Ok((living, adjusted))
    })
}

/// `change` says whose counter it has changed: nobody's, of a budget.
fn adjust(
    asked: &Adjustment<'_>,
    counted_in: CountedIn,
    change: impl FnOnce(&Cap, i64, i64, i64) -> Result<(Uuid, Adjusted), NotCounted>,
) -> Result<(f64, f64), Error> {
    if asked.why.trim().is_empty() {
        return Err(Error::NoReason);
    }
    let bundle = live()?;
    let _session = Session::open();
    let mut slot = None;
    let args = [datum::text(asked.cap), datum::optional_text(asked.value)];
    FIND.with(|statement| statement.read(&args, |row| slot = row.get::<i32>(1)));
    let cap = slot.and_then(|slot| bundle.cap(slot));
    let cap = cap.ok_or_else(|| Error::Unknown {
        kind: "cap",
        name: printable(asked.cap),
        detail: "The bundle in force has no cap of that name, or none with that value.",
        hint: "decide.cap_in_force lists caps, and the values of those that limit each value of an attribute by itself.",
    })?;
    if cap.per.counted_in() != counted_in {
        let (per, hint) = match cap.per.counted_in() {
            CountedIn::UserRow => ("user", "Call decide.adjust_exposure() with the user."),
            CountedIn::Stripes => ("all", "Call decide.adjust_budget()."),
            CountedIn::Answer => ("decision", "What counts within one answer is kept nowhere."),
        };
        let cap = printable(asked.cap);
        return Err(Error::Refused(format!("cap \"{cap}\" is per {per}"), hint));
    }
    let units = units(asked.amount, cap)?;
    // The clock is read before the lock is waited for: entries that are made meanwhile are later.
    let now = clock::now();
    let at = asked.at.unwrap_or(now);
    if at > now {
        return Err(Error::Refused(
            "the moment is in the future".into(),
            "Pass a moment of the window to correct, or null for the present one.",
        ));
    }
    if at < cap.terms(now).kept_from {
        return Err(Error::Refused(
            "the window of that moment is not kept any more".into(),
            "The present window can be corrected, and the one before it.",
        ));
    }
    let scale = cap.scale as f64;
    let (user_key, adjusted) = change(cap, units, at, now).map_err(|NotCounted(counted)| {
        Error::Refused(
            format!(
                "cap \"{}\" has counted {} in that window, less than {}",
                printable(asked.cap),
                counted as f64 / scale,
                -asked.amount
            ),
            "What is reserved cannot be given back, only what is counted; decide.budget and decide.exposure show both.",
        )
    })?;
    let (before, after) = (
        adjusted.before as f64 / scale,
        adjusted.after as f64 / scale,
    );
    let (starts, last) = cap.whole_window(at);
    let moment = |at: i64| datum::timestamp(at).filter(|_| at != i64::MIN && at != i64::MAX);
    let args = [
        datum::uuid(time_ordered(to_unix_micros(now), chance())),
        datum::uuid(user_key),
        datum::text(asked.caller),
        datum::text(asked.cap),
        datum::optional_text(asked.value),
        datum::int4(cap.number),
        moment(starts),
        moment(last.saturating_add(1)),
        datum::float8(asked.amount),
        datum::float8(before),
        datum::float8(after),
        datum::text(asked.why),
    ];
    NOTE.with(|statement| statement.write(&args, |_| {}));
    Ok((before, after))
}

/// The largest amount that is told apart from its neighbours: 2^53 units.
const MOST: f64 = 9_007_199_254_740_992.0;

/// An amount in units: whole exposures, or millionths of cost.
fn units(amount: f64, cap: &Cap) -> Result<i64, Error> {
    let exact = amount * cap.scale as f64;
    let units = exact.round();
    let is_whole = cap.scale > 1 || units == exact;
    if is_whole && units != 0.0 && units.abs() <= MOST {
        return Ok(units as i64);
    }
    Err(Error::Refused(
        format!("an amount of {amount} cannot be counted"),
        "Pass how much to add, or below 0 to give back: whole exposures, or cost in millionths.",
    ))
}
