//! Circuit breakers: a rule that fails or is late again and again is left out by all sessions, and is
//! tried again later by one decision at a time.
//!
//! Nothing is written while all is well. Each backend counts failures in its own memory; at so many in
//! a row it leaves the rule out by itself for a while, and suspects it in `decide.breaker`, where all see it.
//! When several sessions do, and for a second none has had an answer from the rule, all leave it out; a session
//! that gets an answer takes the suspicion back. So no session can have others leave out a rule that works for
//! them. A rule is known by a hash of its text, so a breaker outlives a publish.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use pgrx::pg_sys::{INT4OID, INT8OID, TEXTOID, TIMESTAMPTZOID};

use super::rules::Rules;
use super::verdict::{Round, RuleFault, RuleReport};
use crate::pg::attempt::best_effort;
use crate::pg::invalidation::Watch;
use crate::pg::{Statement, Watched, datum, session};
use crate::settings;

/// Longest pause before an open breaker is tried again, in microseconds.
const LONGEST_PAUSE: i64 = 300_000_000;

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
    /// Failures in a row, by the rule's hash.
    static COUNTS: RefCell<HashMap<i64, Count>> = RefCell::default();
    /// Rules that this session leaves out by itself, by their hashes, and until when.
    static ALONE: RefCell<HashMap<i64, i64>> = RefCell::default();

    static WATCHED: Watched = const { Watched::new(Watch::Breaker, "decide.breaker") };
    static READ: Statement = const { Statement::new(
        "SELECT b.rule_hash, b.probe_at, b.openings = 0 FROM decide.breaker AS b", &[]) };
    static OPEN: Statement = const { Statement::new(
        "INSERT INTO decide.breaker AS b (rule_hash, rule, failures, slow, openings, opened_at, probe_at, last_error, sessions) \
         VALUES ($1, $2, $3, $4, CASE WHEN $8 > 1 THEN 0 ELSE 1 END, $5, CASE WHEN $8 > 1 THEN 'infinity' ELSE $6 END, $7, ARRAY[$9]) \
         ON CONFLICT (rule_hash) DO UPDATE \
            SET failures = b.failures + excluded.failures, slow = b.slow + excluded.slow, last_error = excluded.last_error, \
                sessions = pg_catalog.array_remove(b.sessions, $9) || $9, \
                (openings, opened_at, probe_at) = (SELECT \
                   CASE WHEN e.enough THEN 1 ELSE 0 END, CASE WHEN e.enough THEN $5 ELSE b.opened_at END, \
                   CASE WHEN e.enough THEN $6 ELSE b.probe_at END \
                   FROM (SELECT pg_catalog.cardinality(pg_catalog.array_remove(b.sessions, $9)) + 1 >= $8 \
                                AND b.opened_at <= $5 - interval '1 second' AS enough) AS e) \
          WHERE b.openings = 0",
        &[INT8OID, TEXTOID, INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID, INT4OID]) };
    static TAKE_BACK: Statement = const { Statement::new(
        "DELETE FROM decide.breaker AS b WHERE b.ctid = (SELECT k.ctid FROM decide.breaker AS k \
          WHERE k.rule_hash = $1 AND k.openings = 0 FOR UPDATE SKIP LOCKED)", &[INT8OID]) };
    static CLAIM: Statement = const { Statement::new(
        "SELECT b.openings FROM decide.breaker AS b WHERE b.rule_hash = $1 AND b.probe_at <= $2 \
         FOR UPDATE SKIP LOCKED",
        &[INT8OID, TIMESTAMPTZOID]) };
    static CLOSE: Statement = const { Statement::new(
        "DELETE FROM decide.breaker AS b WHERE b.rule_hash = $1", &[INT8OID]) };
    static AGAIN: Statement = const { Statement::new(
        "UPDATE decide.breaker AS b SET failures = b.failures + 1, slow = b.slow + $2, \
           openings = b.openings + 1, probe_at = $3, last_error = $4 WHERE b.rule_hash = $1",
        &[INT8OID, INT4OID, TIMESTAMPTZOID, TEXTOID]) };
}

/// How long a copy with open breakers is good for, in microseconds: what people change or delete in the
/// table is seen then.
const GOOD_FOR: i64 = 1_000_000;

/// The open breakers, as of a change count and a moment: when each may be tried again.
#[derive(Default)]
struct Kept {
    changes: u64,
    at: i64,
    open: HashMap<i64, i64>,
    /// Rules that some session has not had an answer from for a while.
    suspected: HashSet<i64>,
}

#[derive(Default)]
struct Count {
    failures: i32,
    slow: i32,
}

/// A rule that this decision tries, and how often it has been opened.
pub struct Probe {
    rule: usize,
    openings: i32,
}

/// Which rules are left out at this moment. Where the caller may write, one whose pause is over is
/// tried, unless another session is at it. Costs nothing while no breaker is open.
pub fn round(rules: &Rules, now: i64, may_write: bool) -> (Round, Option<Probe>) {
    let mut round = Round::default();
    look(now);
    leave_out_alone(rules, &mut round, now);
    let due = KEPT.with_borrow(|kept| {
        if kept.open.is_empty() {
            return None;
        }
        let at = |rule: usize| kept.open.get(&rules.hashes()[rule]);
        let open = (0..rules.len()).filter(|&rule| at(rule).is_some());
        let open: Vec<usize> = open.collect();
        round.out.retain(|rule| !open.contains(rule));
        round.out.extend(&open);
        round.out.sort_unstable();
        let mut due = open.into_iter();
        due.find(|&rule| at(rule).is_some_and(|&at| at <= now))
    });
    let probe = due
        .filter(|_| may_write)
        .and_then(|rule| claim(rule, rules.hashes()[rule], now));
    round.probed = probe.as_ref().map(|probe| probe.rule);
    (round, probe)
}

/// Leaves out what has failed this session so often that it asks again only after a pause.
fn leave_out_alone(rules: &Rules, round: &mut Round, now: i64) {
    ALONE.with_borrow_mut(|alone| {
        if alone.is_empty() {
            return;
        }
        alone.retain(|_, until| now < *until);
        let is_out = |&rule: &usize| alone.contains_key(&rules.hashes()[rule]);
        round.out.extend((0..rules.len()).filter(is_out));
    });
}

/// Reads the table where something has changed.
fn look(now: i64) {
    let changes = WATCHED.with(Watched::changes);
    let is_good =
        |kept: &Kept| kept.changes == changes && (kept.open.is_empty() || now - kept.at < GOOD_FOR);
    if KEPT.with_borrow(is_good) {
        return;
    }
    let read = || {
        let (mut open, mut suspected) = (HashMap::new(), HashSet::new());
        READ.with(|statement| {
            statement.read(&[], |row| match row.must(3) {
                true => {
                    suspected.insert(row.must(1));
                }
                false => {
                    open.insert(row.must(1), row.timestamp(2).unwrap_or(i64::MAX));
                }
            })
        });
        (open, suspected)
    };
    if let Some((changes, (open, suspected))) =
        best_effort(|| WATCHED.with(|table| table.read(read)))
    {
        KEPT.set(Kept {
            changes,
            at: now,
            open,
            suspected,
        });
    }
}

fn claim(rule: usize, hash: i64, now: i64) -> Option<Probe> {
    let mut openings = None;
    best_effort(|| {
        CLAIM.with(|statement| {
            let args = [datum::int8(hash), datum::timestamp(now)];
            statement.write(&args, |row| openings = row.get::<i32>(1))
        })
    });
    openings.map(|openings| Probe { rule, openings })
}

/// Counts how the rules that were asked have done, and opens and closes what is due. Writes only then.
pub fn account(rules: &Rules, round: &Round, probe: Option<Probe>, outcome: &RuleReport, now: i64) {
    let RuleReport { faults, silent } = outcome;
    let fault_of = |rule: usize| faults.iter().find(|fault| fault.rule == rule);
    if let Some(probe) = probe {
        match fault_of(probe.rule) {
            Some(fault) => open_again(rules.hashes()[probe.rule], fault, probe.openings, now),
            None if silent.contains(&probe.rule) => {}
            None => close(rules.hashes()[probe.rule]),
        }
    }
    let is_suspected = |hash: i64| KEPT.with_borrow(|kept| kept.suspected.contains(&hash));
    if faults.is_empty()
        && COUNTS.with_borrow(HashMap::is_empty)
        && KEPT.with_borrow(|kept| kept.suspected.is_empty())
    {
        return;
    }
    for rule in (0..rules.len()).filter(|rule| !round.out.contains(rule)) {
        let hash = rules.hashes()[rule];
        match fault_of(rule) {
            Some(fault) => count(rules.text(rule), hash, fault, now),
            None if silent.contains(&rule) => {}
            None => {
                COUNTS.with_borrow_mut(|counts| counts.remove(&hash));
                if is_suspected(hash) {
                    take_back(hash);
                }
            }
        }
    }
}

fn count(text: &str, hash: i64, fault: &RuleFault, now: i64) {
    let most = settings::breaker_failures();
    let full = COUNTS.with_borrow_mut(|counts| {
        let count = counts.entry(hash).or_default();
        count.failures += 1;
        count.slow += i32::from(fault.slow);
        let full = most > 0 && count.failures >= most;
        full.then(|| counts.remove(&hash)).flatten()
    });
    let Some(count) = full else { return };
    let sessions = settings::breaker_sessions();
    if sessions > 1 {
        // After the pause one more failure is enough.
        COUNTS.with_borrow_mut(|counts| counts.entry(hash).or_default().failures = most - 1);
        let until = now.saturating_add(settings::breaker_pause());
        ALONE.with_borrow_mut(|alone| alone.insert(hash, until));
    }
    changing(|| {
        let args = [
            datum::int8(hash),
            datum::text(text),
            datum::int4(count.failures),
            datum::int4(count.slow),
            datum::timestamp(now),
            datum::timestamp(now.saturating_add(pause(0))),
            datum::text(&fault.error),
            datum::int4(sessions),
            datum::int4(session::process()),
        ];
        OPEN.with(|statement| statement.write(&args, |_| {}))
    });
}

/// The rule has answered here: what other sessions have suspected is not its fault.
fn take_back(hash: i64) {
    changing(|| TAKE_BACK.with(|statement| statement.write(&[datum::int8(hash)], |_| {})));
}

fn close(hash: i64) {
    changing(|| CLOSE.with(|statement| statement.write(&[datum::int8(hash)], |_| {})));
}

fn open_again(hash: i64, fault: &RuleFault, openings: i32, now: i64) {
    changing(|| {
        let args = [
            datum::int8(hash),
            datum::int4(i32::from(fault.slow)),
            datum::timestamp(now.saturating_add(pause(openings))),
            datum::text(&fault.error),
        ];
        AGAIN.with(|statement| statement.write(&args, |_| {}))
    });
}

/// The pause after so many openings before this one: twice as long each time.
fn pause(openings: i32) -> i64 {
    let first = settings::breaker_pause();
    let longer = first.saturating_mul(1 << openings.clamp(0, 20));
    longer.min(LONGEST_PAUSE).max(first)
}

/// Changes the table and tells every session.
fn changing(change: impl FnOnce() -> u64) {
    best_effort(|| {
        if change() > 0 {
            WATCHED.with(Watched::announce);
        }
    });
}
