//! A request that its client has named by a request_id: whoever asks again within the hour gets the same answer, and
//! nothing is taken again.
//!
//! 1. **Claimed**: a row of decide.request is added before anything is decided, in the transaction of the decision, so
//!    that both commit or roll back together. Who asks again meanwhile waits for that transaction, for as long as a
//!    decision waits for the row of its user; then the fallback answers.
//! 2. **Noted**: the row says which decisions were made.
//! 3. **Repeated**: the answer is read from their traces. Where these are gone, or the hour is over, the row is claimed
//!    again, by whoever finds it as it was.

use pgrx::pg_sys::{INT8OID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID};
use uuid::Uuid;

use super::request::Visit;
use crate::error::Error;
use crate::govern::pseudonym;
use crate::math::hash::fnv64a;
use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::lock_timeout::attempt_waiting;
use crate::pg::{Statement, datum, session};

thread_local! {
    static CLAIM: Statement = const { Statement::new(
        "INSERT INTO decide.request (user_key, request_key, requested_at, surfaces) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        &[UUIDOID, UUIDOID, TIMESTAMPTZOID, INT8OID]) };
    static FIND: Statement = const { Statement::new(
        "SELECT r.requested_at, r.surfaces, r.decisions FROM decide.request AS r WHERE r.user_key = $1 AND r.request_key = $2",
        &[UUIDOID, UUIDOID]) };
    static CLAIM_AGAIN: Statement = const { Statement::new(
        "UPDATE decide.request AS r SET requested_at = $3, surfaces = $4, decisions = '{}' \
          WHERE r.user_key = $1 AND r.request_key = $2 AND r.requested_at = $5 AND r.decisions = $6",
        &[UUIDOID, UUIDOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, UUIDARRAYOID]) };
    static NOTE: Statement = const { Statement::new(
        "UPDATE decide.request AS r SET decisions = $3 WHERE r.user_key = $1 AND r.request_key = $2",
        &[UUIDOID, UUIDOID, UUIDARRAYOID]) };
    static TOLD: Statement = const { Statement::new(
        "SELECT t.surface, decide.action_names(t.actions), t.chosen, t.filled, t.reason \
           FROM decide.trace AS t WHERE t.decision_id = $1 AND t.decided_at = $2",
        &[UUIDOID, TIMESTAMPTZOID]) };
}

/// How long an answer can be had again, in microseconds.
pub const KEPT: i64 = 3_600_000_000;

/// How long another transaction with the same request is waited for, in milliseconds.
pub const WAIT_MS: u32 = 20;

/// How often others may change the row while it is looked at.
const MOST_ATTEMPTS: u32 = 8;

/// The longest request_id, in bytes.
const LONGEST: usize = 512;

/// A named request.
pub struct Named {
    user_key: Uuid,
    request_key: Uuid,
    surfaces: i64,
    now: i64,
}

/// How a named request stands.
pub enum Standing {
    /// It is claimed, and to be decided.
    Claimed(Named),
    /// It was decided.
    Decided(Vec<Told>),
    /// Another transaction decides on it.
    Open,
}

/// What a decision has answered.
pub struct Told {
    pub id: Uuid,
    pub surface: String,
    /// The action of each slot, by its name of now.
    pub actions: Vec<Option<String>>,
    pub probabilities: Vec<f64>,
    /// How many slots the policy has filled.
    pub filled: usize,
    /// Why the others have the fallback.
    pub reason: Option<String>,
}

/// Claims a request of a visit to surfaces of these names, or finds its answer.
pub fn claim<'a>(
    visit: &Visit<'_>,
    request_id: &str,
    surfaces: impl Iterator<Item = &'a str>,
    wait_ms: u32,
) -> Result<Standing, Error> {
    if request_id.trim().is_empty() || request_id.len() > LONGEST {
        return Err(Error::Refused(
            "request_id is empty or too long".into(),
            "Pass an identifier of the request of at most 512 bytes, such as a UUID that its retries repeat, or null.",
        ));
    }
    let surfaces: Vec<&str> = surfaces.collect();
    let request_keys = pseudonym::keys()?.of_request(visit.user_key, request_id);
    let named = Named {
        user_key: visit.user_key,
        request_key: known_as(visit.user_key, &request_keys),
        surfaces: fnv64a(&surfaces.join("\n")) as i64,
        now: visit.now,
    };
    for _ in 0..MOST_ATTEMPTS {
        session::check_interrupts();
        match named.add(wait_ms) {
            None => return Ok(Standing::Open),
            Some(true) => return Ok(Standing::Claimed(named)),
            Some(false) => {}
        }
        let Some((requested_at, of, decisions)) = named.find() else {
            continue;
        };
        if requested_at > named.now.saturating_sub(KEPT) {
            if of != named.surfaces {
                return Err(Error::Refused(
                    "the request_id was used for other surfaces".into(),
                    "A retry names the same surfaces in the same order; another request has another request_id.",
                ));
            }
            if let Some(told) = all_told(&decisions) {
                return Ok(Standing::Decided(told));
            }
        }
        match named.take_over(requested_at, &decisions, wait_ms) {
            None => return Ok(Standing::Open),
            Some(true) => return Ok(Standing::Claimed(named)),
            Some(false) => {}
        }
    }
    Ok(Standing::Open)
}

/// The hash by which a request is known: one of an older key, if the rotation has come since; else the first.
fn known_as(user_key: Uuid, request_keys: &[Uuid]) -> Uuid {
    let is_there = |request_key: &&Uuid| {
        let args = [datum::uuid(user_key), datum::uuid(**request_key)];
        FIND.with(|statement| statement.write(&args, |_| {})) > 0
    };
    let mut older = request_keys[1..].iter();
    *older.find(is_there).unwrap_or(&request_keys[0])
}

impl Named {
    /// Adds the row; false if there is one, None if another transaction is adding it for longer than that.
    fn add(&self, wait_ms: u32) -> Option<bool> {
        let args = [
            datum::uuid(self.user_key),
            datum::uuid(self.request_key),
            datum::timestamp(self.now),
            datum::int8(self.surfaces),
        ];
        within(wait_ms, || {
            CLAIM.with(|statement| statement.write(&args, |_| {}))
        })
    }

    fn find(&self) -> Option<(i64, i64, Vec<Uuid>)> {
        let mut found = None;
        let args = [datum::uuid(self.user_key), datum::uuid(self.request_key)];
        FIND.with(|statement| {
            statement.write(&args, |row| {
                let decisions = row.get::<Vec<pgrx::Uuid>>(3).unwrap_or_default();
                let decisions = decisions.iter().map(|id| Uuid::from_bytes(*id.as_bytes()));
                found = row
                    .timestamp(1)
                    .map(|at| (at, row.must(2), decisions.collect()));
            })
        });
        found
    }

    /// Claims the row again, if it is as it was; as `add` does.
    fn take_over(&self, requested_at: i64, decisions: &[Uuid], wait_ms: u32) -> Option<bool> {
        let args = [
            datum::uuid(self.user_key),
            datum::uuid(self.request_key),
            datum::timestamp(self.now),
            datum::int8(self.surfaces),
            datum::timestamp(requested_at),
            datum::uuids(decisions),
        ];
        within(wait_ms, || {
            CLAIM_AGAIN.with(|statement| statement.write(&args, |_| {}))
        })
    }

    /// Notes which decisions were made.
    pub fn note(&self, decisions: &[Uuid]) {
        let args = [
            datum::uuid(self.user_key),
            datum::uuid(self.request_key),
            datum::uuids(decisions),
        ];
        NOTE.with(|statement| statement.write(&args, |_| {}));
    }
}

/// Whether a statement has changed a row; None if it has waited for another transaction for longer than that.
fn within(milliseconds: u32, change: impl FnOnce() -> u64) -> Option<bool> {
    match attempt_waiting(milliseconds, change) {
        Ok(rows) => rows.map(|rows| rows > 0),
        Err(caught) => caught.raise(),
    }
}

/// What these decisions have answered; None if there are none, or if a trace is gone.
fn all_told(decisions: &[Uuid]) -> Option<Vec<Told>> {
    let told: Vec<Told> = decisions
        .iter()
        .map(|&id| told(id))
        .collect::<Option<_>>()?;
    (!told.is_empty()).then_some(told)
}

fn told(id: Uuid) -> Option<Told> {
    let decided_at = moment_of(id).map(from_unix_micros)?;
    let mut told = None;
    TOLD.with(|statement| {
        let args = [datum::uuid(id), datum::timestamp(decided_at)];
        statement.write(&args, |row| {
            told = Some(Told {
                id,
                surface: row.must(1),
                actions: row.get(2).unwrap_or_default(),
                probabilities: row.get(3).unwrap_or_default(),
                filled: usize::try_from(row.must::<i16>(4)).unwrap_or(0),
                reason: row.get(5),
            })
        })
    });
    told
}
