//! What was taken from a cap, in few numbers: entries of a time, an amount and a state, as triples. The
//! row of a user has a block of them per cap, a stripe of a budget has one.
//!
//! Times are microseconds, amounts whole numbers of a unit. An entry that stands for several exposures
//! has the time of the last, so that it binds for no shorter than each of them would.

/// The state of an exposure that counts.
pub const COUNTED: i64 = 0;

/// Numbers an entry takes.
const WIDTH: usize = 3;

/// Up to how many exposures a sliding window keeps each by itself.
const MOST: usize = 64;

/// Into how many cells its length is cut when there are more.
const CELLS: i64 = 64;

/// Which entries bind at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Entries from this time on.
    pub from: i64,
    /// Reserved ones from this time on; `i64::MIN` if they bind until they are looked up.
    pub reserved_from: i64,
    /// Length of a sliding window; None where all that counts can be one entry.
    pub sliding: Option<i64>,
    /// How long a reservation is held.
    pub hold: i64,
    /// The width of the grid in which reservations are brought together, the same for ever.
    pub cell: i64,
}

impl Terms {
    fn binds(&self, at: i64, state: i64) -> bool {
        at >= self.from && (state == COUNTED || at >= self.reserved_from)
    }
}

/// Time, amount and state of each entry.
pub fn entries(ledger: &[i64]) -> impl DoubleEndedIterator<Item = (i64, i64, i64)> + '_ {
    ledger
        .as_chunks::<WIDTH>()
        .0
        .iter()
        .map(|&[at, amount, state]| (at, amount, state))
}

/// How much is taken.
pub fn used(ledger: &[i64], terms: &Terms) -> i64 {
    entries(ledger)
        .filter(|&(at, _, state)| terms.binds(at, state))
        .fold(0, |sum, (_, amount, _)| sum.saturating_add(amount))
}

/// The time of the newest entry.
pub fn newest(ledger: &[i64]) -> Option<i64> {
    entries(ledger).map(|(at, ..)| at).max()
}

/// How much of that is reserved only.
pub fn reserved(ledger: &[i64], terms: &Terms) -> i64 {
    entries(ledger)
        .filter(|&(at, _, state)| state == -1 || state > COUNTED && terms.binds(at, state))
        .filter(|&(at, ..)| at >= terms.from)
        .fold(0, |sum, (_, amount, _)| sum.saturating_add(amount))
}

/// The beginning of the cell of a reservation, and of the next: all that it stands for was made in it.
pub fn cell(at: i64, terms: &Terms) -> (i64, i64) {
    let cell = cell_of(terms, -1);
    let first = at.div_euclid(cell) * cell;
    (first, first.saturating_add(cell))
}

/// How often reservations that are over are looked up once more, for events that come late.
const LOOK_UPS: i64 = 7;

/// Whether an entry of a stripe should be looked up: a reservation that is over, or one that was looked up
/// before, each time twice as old.
pub fn is_due((at, _, state): (i64, i64, i64), terms: &Terms, now: i64) -> bool {
    let age = terms
        .hold
        .saturating_mul(1 << (-1 - state).clamp(0, LOOK_UPS));
    state < COUNTED && cell(at, terms).1.saturating_add(age) <= now
}

/// What becomes of it, when events have told of so much. It never counts less than before.
pub fn looked_up((at, amount, state): (i64, i64, i64), told: i64) -> [i64; WIDTH] {
    let counted = if state == -1 { told } else { told.max(amount) };
    match state - 1 {
        next if next < -LOOK_UPS => [at, counted, COUNTED],
        next => [at, counted, next],
    }
}

/// When the first entry that binds stops to do so as time goes by; None if none does within the window.
pub fn frees_at(ledger: &[i64], terms: &Terms) -> Option<i64> {
    let length = terms.sliding?;
    let binding = entries(ledger).filter(|&(at, _, state)| terms.binds(at, state));
    binding.map(|(at, ..)| at.saturating_add(length)).min()
}

/// Adds an exposure, and leaves out what binds no more.
pub fn take(ledger: &mut Vec<i64>, (at, amount, state): (i64, i64, i64), terms: &Terms) {
    prune(ledger, terms);
    ledger.extend([at, amount, state]);
    merge(ledger, terms);
}

/// Leaves out what binds no more.
pub fn prune(ledger: &mut Vec<i64>, terms: &Terms) {
    let kept: Vec<i64> = entries(ledger)
        .filter(|&(at, _, state)| terms.binds(at, state))
        .flat_map(|(at, amount, state)| [at, amount, state])
        .collect();
    *ledger = kept;
}

/// A reservation made at `at` becomes an exposure that counts; false if there is none.
pub fn confirm(ledger: &mut Vec<i64>, at: i64, amount: i64, state: i64, terms: &Terms) -> bool {
    let cell = cell_of(terms, state);
    let held = entries(ledger)
        .enumerate()
        .filter(|&(_, (then, left, whose))| {
            whose == state && left >= amount && then >= at && then - at <= cell
        });
    let Some((place, _)) = held.min_by_key(|&(_, (then, ..))| then) else {
        return false;
    };
    ledger[place * WIDTH + 1] -= amount;
    if ledger[place * WIDTH + 1] == 0 {
        ledger.drain(place * WIDTH..(place + 1) * WIDTH);
    }
    take(ledger, (at, amount, COUNTED), terms);
    true
}

/// The width in which entries of a state are brought together.
fn cell_of(terms: &Terms, state: i64) -> i64 {
    match (state, terms.sliding) {
        (COUNTED, None) => i64::MAX,
        (COUNTED, Some(length)) => (length / CELLS).max(1),
        _ => terms.cell.max(1),
    }
}

/// Brings entries of the same state and cell together: always where all that counts is one window's and
/// for what stripes have reserved, else when there are many.
fn merge(ledger: &mut Vec<i64>, terms: &Terms) {
    let many = ledger.len() / WIDTH > MOST;
    let mut merged: Vec<[i64; WIDTH]> = Vec::with_capacity(ledger.len() / WIDTH);
    for (at, amount, state) in entries(ledger) {
        let alike = |entry: &&mut [i64; WIDTH]| {
            let cell = cell_of(terms, state);
            entry[2] == state
                && (cell == i64::MAX || entry[0].div_euclid(cell) == at.div_euclid(cell))
        };
        let together = many || state < COUNTED || state == COUNTED && terms.sliding.is_none();
        match merged.iter_mut().find(alike).filter(|_| together) {
            Some(entry) => {
                entry[0] = entry[0].max(at);
                entry[1] = entry[1].saturating_add(amount);
            }
            None => merged.push([at, amount, state]),
        }
    }
    ledger.clear();
    ledger.extend(merged.as_flattened());
}

/// A limit split among counters of which so much is used: each gets what it has used and its part of the
/// rest, or, where more is used than the limit, its part of the limit. The sum is the limit.
pub fn shares(limit: i64, used: &[i64]) -> Vec<i64> {
    let total: i128 = used.iter().map(|&n| i128::from(n)).sum();
    let (limit, count) = (i128::from(limit), used.len() as i128);
    let part = |whole: i128, i: i128| whole * (i + 1) / count - whole * i / count;
    let mut before = 0;
    let each = used.iter().enumerate().map(|(i, &used)| {
        let used = i128::from(used);
        let share = if total <= limit {
            used + part(limit - total, i as i128)
        } else {
            limit * (before + used) / total - limit * before / total
        };
        before += used;
        share as i64
    });
    each.collect()
}

/// The block of a cap in the row of a user; empty if there is none.
pub fn block(all: &[i64], slot: i64) -> &[i64] {
    place(all, slot).map_or(&[], |(first, last)| &all[first + 2..last])
}

/// Puts a block in the place of the one that is there.
pub fn put(all: &mut Vec<i64>, slot: i64, ledger: &[i64]) {
    let head = [slot, (ledger.len() / WIDTH) as i64];
    let whole = head.iter().chain(ledger).copied();
    match place(all, slot) {
        Some((first, last)) if ledger.is_empty() => drop(all.drain(first..last)),
        Some((first, last)) => drop(all.splice(first..last, whole)),
        None if ledger.is_empty() => {}
        None => all.extend(whole),
    }
}

/// Where the block of a cap begins and ends. What is damaged ends the search.
fn place(all: &[i64], slot: i64) -> Option<(usize, usize)> {
    let mut first = 0;
    while let Some(&[whose, count]) = all.get(first..first + 2) {
        let length = usize::try_from(count).ok()?.checked_mul(WIDTH)?;
        let last = (first + 2).checked_add(length)?;
        if last > all.len() {
            return None;
        }
        if whose == slot {
            return Some((first, last));
        }
        first = last;
    }
    None
}

#[cfg(test)]
mod tests;
