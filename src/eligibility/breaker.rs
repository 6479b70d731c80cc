//! Circuit breakers: a rule that fails or times out again and again is skipped by all sessions, and later probed by one
//! decision at a time.
//!
//! Nothing is written while rules work. Each backend counts failures in its own memory; after `breaker_failures` in a
//! row it skips the rule by itself for a pause, and adds a suspicion to `decide.breaker`, which all sessions read.
//! When several sessions suspect a rule, and for a second none has had a verdict from it, all skip it; a session
//! that gets a verdict removes the suspicion. So no session can have others skip a rule that works for
//! them. A rule is identified by a hash of its text, so a breaker outlives a publish.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use pgrx::pg_sys::{INT4OID, INT8OID, TEXTOID, TIMESTAMPTZOID};

use super::rules::Rules;
use super::verdict::{OpenRules, RuleFault, RuleReport};
use crate::pg::attempt::best_effort;
use crate::pg::catalog::has_no_page;
use crate::pg::invalidation::Watch;
use crate::pg::{Cached, Statement, datum, session};
use crate::settings;

/// Longest pause before an open breaker is tried again, in microseconds.
const LONGEST_PAUSE: i64 = 300_000_000;

thread_local! {
    static BREAKERS: Cached<Breakers> = const { Cached::new(Watch::Breaker, "decide.breaker") };
    static OWN: RefCell<OwnFailures> = RefCell::default();

    static READ: Statement = const { Statement::new(
        "SELECT b.rule_hash, b.probe_at, b.openings = 0 FROM decide.breaker AS b", &[]) };
    static OPEN: Statement = const { Statement::new(
        "INSERT INTO decide.breaker AS b (rule_hash, rule, failures, slow, openings, opened_at, probe_at, last_error, sessions) \
         VALUES ($1, $2, $3, $4, CASE WHEN $8 > 1 THEN 0 ELSE 1 END, $5, CASE WHEN $8 > 1 THEN NULL ELSE $6 END, $7, ARRAY[$9]) \
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
    static UNSUSPECT: Statement = const { Statement::new(
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

/// How long open breakers are used as they were read, in microseconds; so changes that people make by hand are seen.
const LIFETIME: i64 = 1_000_000;

/// The breakers of all sessions.
#[derive(Default)]
struct Breakers {
    /// When each rule that is skipped may be probed, by its hash.
    open: HashMap<i64, i64>,
    /// Rules that have failed for some session only.
    suspected: HashSet<i64>,
}

/// What this session has seen of rules, by their hashes.
#[derive(Default)]
struct OwnFailures {
    /// In a row.
    failures: HashMap<i64, FailureCount>,
    /// Those that it skips by itself, and until when.
    paused: HashMap<i64, i64>,
}

#[derive(Default)]
struct FailureCount {
    failures: i32,
    slow: i32,
}

/// The rule that this decision probes, and how often its breaker has been opened.
pub struct Probe {
    rule: usize,
    openings: i32,
}

/// The rules whose breakers are open at this moment. Where the caller may write, one whose pause is over is
/// probed, unless another session probes it. Costs nothing while no breaker is open.
pub fn open_rules(rules: &Rules, now: i64, may_write: bool) -> (OpenRules, Option<Probe>) {
    let mut skipped = OpenRules::default();
    add_paused(rules, &mut skipped.rules, now);
    let due = with_breakers(now, |breakers| {
        if breakers.open.is_empty() {
            return None;
        }
        let at = |rule: usize| breakers.open.get(&rules.hashes()[rule]);
        let open = (0..rules.len()).filter(|&rule| at(rule).is_some());
        let open: Vec<usize> = open.collect();
        skipped.rules.retain(|rule| !open.contains(rule));
        skipped.rules.extend(&open);
        skipped.rules.sort_unstable();
        let mut due = open.into_iter();
        due.find(|&rule| at(rule).is_some_and(|&at| at <= now))
    });
    let probe = due
        .filter(|_| may_write)
        .and_then(|rule| claim(rule, rules.hashes()[rule], now));
    skipped.probed = probe.as_ref().map(|probe| probe.rule);
    (skipped, probe)
}

/// Adds the rules that this session skips by itself until their pause is over.
fn add_paused(rules: &Rules, skipped: &mut Vec<usize>, now: i64) {
    OWN.with_borrow_mut(|own| {
        if own.paused.is_empty() {
            return;
        }
        own.paused.retain(|_, until| now < *until);
        let is_paused = |&rule: &usize| own.paused.contains_key(&rules.hashes()[rule]);
        skipped.extend((0..rules.len()).filter(is_paused));
    });
}

/// Hands on the breakers, read where something has changed. Where that cannot be done now, they are as they were, and
/// the next decision tries again.
fn with_breakers<T>(now: i64, then: impl FnOnce(&Breakers) -> T) -> T {
    let make = |before: Option<Breakers>| match best_effort(read) {
        Some(breakers) if breakers.open.is_empty() => (breakers, i64::MAX),
        Some(breakers) => (breakers, now.saturating_add(LIFETIME)),
        None => (before.unwrap_or_default(), now),
    };
    BREAKERS.with(|kept| kept.with_until(now, make, then))
}

fn read() -> Breakers {
    let mut breakers = Breakers::default();
    if has_no_page("breaker") {
        return breakers;
    }
    READ.with(|statement| {
        statement.read(&[], |row| match row.must(3) {
            true => {
                breakers.suspected.insert(row.must(1));
            }
            false => {
                let probe_at = row.timestamp(2).unwrap_or(i64::MAX);
                breakers.open.insert(row.must(1), probe_at);
            }
        })
    });
    breakers
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

/// Counts the failures of the rules that were evaluated, and opens and closes breakers. Writes only then.
pub fn record(
    rules: &Rules,
    skipped: &OpenRules,
    probe: Option<Probe>,
    report: &RuleReport,
    now: i64,
) {
    let RuleReport {
        faults,
        inconclusive,
    } = report;
    let fault_of = |rule: usize| faults.iter().find(|fault| fault.rule == rule);
    if let Some(probe) = probe {
        match fault_of(probe.rule) {
            Some(fault) => open_again(rules.hashes()[probe.rule], fault, probe.openings, now),
            None if inconclusive.contains(&probe.rule) => {}
            None => close(rules.hashes()[probe.rule]),
        }
    }
    let last_read = |about: &dyn Fn(&Breakers) -> bool| {
        BREAKERS.with(|kept| kept.last(|breakers| about(breakers)).unwrap_or_default())
    };
    let is_suspected = |hash: i64| last_read(&|breakers| breakers.suspected.contains(&hash));
    if faults.is_empty()
        && OWN.with_borrow(|own| own.failures.is_empty())
        && !last_read(&|breakers| !breakers.suspected.is_empty())
    {
        return;
    }
    for rule in (0..rules.len()).filter(|rule| !skipped.rules.contains(rule)) {
        let hash = rules.hashes()[rule];
        match fault_of(rule) {
            Some(fault) => count(rules.text(rule), hash, fault, now),
            None if inconclusive.contains(&rule) => {}
            None => {
                OWN.with_borrow_mut(|own| own.failures.remove(&hash));
                if is_suspected(hash) {
                    unsuspect(hash);
                }
            }
        }
    }
}

fn count(text: &str, hash: i64, fault: &RuleFault, now: i64) {
    let most = settings::breaker_failures();
    let full = OWN.with_borrow_mut(|own| {
        let count = own.failures.entry(hash).or_default();
        count.failures += 1;
        count.slow += i32::from(fault.slow);
        let full = most > 0 && count.failures >= most;
        full.then(|| own.failures.remove(&hash)).flatten()
    });
    let Some(count) = full else { return };
    let sessions = settings::breaker_sessions();
    if sessions > 1 {
        // After the pause one more failure pauses it again.
        let until = now.saturating_add(settings::breaker_pause());
        OWN.with_borrow_mut(|own| {
            own.failures.entry(hash).or_default().failures = most - 1;
            own.paused.insert(hash, until);
        });
    }
    change_and_announce(|| {
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

/// Removes the suspicion of other sessions: the rule has given a verdict here.
fn unsuspect(hash: i64) {
    change_and_announce(|| {
        UNSUSPECT.with(|statement| statement.write(&[datum::int8(hash)], |_| {}))
    });
}

fn close(hash: i64) {
    change_and_announce(|| CLOSE.with(|statement| statement.write(&[datum::int8(hash)], |_| {})));
}

fn open_again(hash: i64, fault: &RuleFault, openings: i32, now: i64) {
    change_and_announce(|| {
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

/// Changes the table and has every session read it again.
fn change_and_announce(change: impl FnOnce() -> u64) {
    best_effort(|| {
        if change() > 0 {
            BREAKERS.with(Cached::announce);
        }
    });
}
