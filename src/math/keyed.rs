//! Features kept for each key, such as a user's affinity to categories, brands or items: one row of numbers for a user
//! holds them for several features, in the form that [`row`] describes. The same entries are always the same row.
//!
//! # Bounds
//! With a limit of n, reading gives the n heaviest keys at most, and 2n are kept: beyond that the key with the least
//! rank is dropped, with its state.
//!
//! The weight of a key is its decayed count, the magnitude of its decayed sum, or for a mean or a rate the decayed
//! count of its events, all as of one moment; for the other kinds it is the time of its newest event. The rank of a key
//! is its weight plus its *error*: the most that its state may lack of its weight, because events of the key came while
//! the key was not kept. Weights and ranks that differ by less than a millionth count as equal, as they may differ so
//! by rounding alone; then the smaller key comes first.
//!
//! # Errors
//! For kinds that fade this is the algorithm of Misra and Gries, in the form that states can be merged in (Agarwal and
//! others, "Mergeable Summaries", 2012), with weights that fade. A block has a *floor*: no key that is not kept weighs
//! more. A key that comes enters with the floor as its error, and a key that is dropped lifts the floor to its rank. So
//! with W the sum of the magnitudes of all that was ever added to the feature (1 for an event of a count, a mean or a
//! rate), all as of one moment, and whatever the order and the batches in which it was added:
//!
//! 1. What the state of a key lacks weighs its error at most: the events that it lacks, or for a sum their sum.
//! 2. A key that is not kept weighs the floor at most.
//! 3. The error of a key is the floor at most, and the floor is W / 2n at most, n being the smallest limit that there
//!    was; if no amount is negative, also (W − H) / (2n − h), where H is the weight of the h heaviest keys, h < 2n.
//!
//! So each key that weighs more than W / 2n is kept, and a user with no more than 2n keys has no errors. Everything
//! fades alike, so nothing has to be done while time passes. A TTL does not change what is kept.
//!
//! For the other kinds a key that is kept is one of the 2n with the newest events, in any order. Its newest event is
//! exact. The earliest one, and windows, have no events of it from before 2n other keys had newer ones than it had.
//!
//! A row from before there were floors is read as one without errors.
//!
//! # Damage
//! A damaged row is read up to its first invalid block, and without invalid entries. Adding an event repairs its block,
//! and drops what cannot be read behind the last valid block.

mod row;

use std::cmp::Reverse;

use super::aggregate::cell::{moment, number};
use super::aggregate::{Aggregate, Kind, Observation};
use super::decay::Decayed;
use super::hash;
use row::{Contents, Entry, KEYS, MAX_WIDTH};

/// The key that a text is kept under: 52 bits of a hash of it. Two of a user's few hundred keys meet by chance in one
/// of 10¹¹ users.
pub fn key_of(text: &str) -> u64 {
    hash::mix(hash::fnv64a(text)) >> 12
}

/// Whether an aggregate can be kept for each key: its state has few cells. Others are never stored and read as empty.
pub fn allows(aggregate: &Aggregate) -> bool {
    aggregate.cells() <= MAX_WIDTH
}

/// Adds an event to one key of the feature with this number; only the lower 52 bits of the key count.
pub fn add(
    row: &mut Vec<f64>,
    number: u32,
    aggregate: &Aggregate,
    key: u64,
    o: &Observation,
    limit: usize,
) {
    let mut entry = Entry::new(key % KEYS);
    aggregate.add(&mut entry.cells, o);
    let event = Contents::exact(vec![entry]);
    join(row, number, aggregate, event, limit);
}

/// Adds the block that another row has of this feature: the events of another part of the stream.
pub fn merge(row: &mut Vec<f64>, other: &[f64], number: u32, aggregate: &Aggregate, limit: usize) {
    let other = row::contents(other, number, aggregate);
    join(row, number, aggregate, other, limit);
}

/// Removes the block of this feature.
pub fn clear(row: &mut Vec<f64>, number: u32) {
    row::put(row, number, 0, &Contents::exact(Vec::new()));
}

/// The heaviest `limit` keys as of `now` and the value of each, the heaviest first. Keys without a value, which are older
/// than the TTL, are left out.
pub fn entries(
    row: &[f64],
    number: u32,
    aggregate: &Aggregate,
    now: i64,
    limit: usize,
) -> impl Iterator<Item = (u64, f64)> {
    let mut found: Vec<_> = row::sound(row, number, aggregate)
        .filter_map(|entry| {
            let value = aggregate.read(&entry.cells, now)?;
            Some((weight(&entry, aggregate, now), entry.key, value))
        })
        .collect();
    found.sort_unstable_by_key(|&(weight, key, _)| (Reverse(weight), key));
    found.truncate(limit);
    found.into_iter().map(|(_, key, value)| (key, value))
}

/// The value of one key as of `now`.
pub fn read(row: &[f64], number: u32, aggregate: &Aggregate, key: u64, now: i64) -> Option<f64> {
    aggregate.read(row::state(row, number, aggregate, key)?, now)
}

/// The time of one key's newest event.
pub fn newest(row: &[f64], number: u32, aggregate: &Aggregate, key: u64) -> Option<i64> {
    aggregate.newest(row::state(row, number, aggregate, key)?)
}

/// Whether the aggregate of a feature weighs keys by what fades, and so has errors.
fn fades(aggregate: &Aggregate) -> bool {
    match aggregate.kind {
        Kind::DecayedCount | Kind::DecayedSum | Kind::DecayedMean | Kind::Rate { .. } => true,
        Kind::WindowCount { .. }
        | Kind::WindowSum { .. }
        | Kind::Recency
        | Kind::First
        | Kind::Last
        | Kind::Distinct => false,
    }
}

/// What the weight of an entry is as of its newest event, of kinds that fade.
fn magnitude(entry: &Entry, aggregate: &Aggregate) -> f64 {
    let [_, x, y, _] = entry.cells.map(number);
    match aggregate.kind {
        Kind::DecayedMean => y.abs(),
        Kind::Rate { .. } => x.abs() + y.abs(),
        _ => x.abs(),
    }
}

/// A number that orders entries by their weight as of `now`: the logarithm of weights that fade, so that none is too
/// small to be compared.
fn weight(entry: &Entry, aggregate: &Aggregate, now: i64) -> i64 {
    let Some(newest) = aggregate.newest(&entry.cells) else {
        return i64::MIN;
    };
    if !fades(aggregate) {
        return newest;
    }
    let age = (moment(now) - newest).max(0);
    logarithm(magnitude(entry, aggregate), age, aggregate.half_life)
}

/// The weight of an entry and its error, as of `now`.
fn rank(entry: &Entry, aggregate: &Aggregate, now: i64) -> f64 {
    let newest = aggregate.newest(&entry.cells).unwrap_or(now);
    let weight = faded(magnitude(entry, aggregate), newest, now, aggregate);
    (weight + entry.error).min(f64::MAX)
}

/// A number that orders entries by their rank.
fn order(entry: &Entry, aggregate: &Aggregate, now: i64) -> i64 {
    if entry.error > 0.0 {
        logarithm(rank(entry, aggregate, now), 0, aggregate.half_life)
    } else {
        weight(entry, aggregate, now)
    }
}

/// The binary logarithm of |x| as it fades by `age`, in units of 2⁻²⁰.
fn logarithm(x: f64, age: i64, half_life: f64) -> i64 {
    let halvings = if age == 0 {
        0.0
    } else if half_life > 0.0 {
        age as f64 / half_life
    } else {
        f64::INFINITY
    };
    let logarithm = libm::log2(x.abs()) - halvings;
    (logarithm * f64::from(1 << 20)).round() as i64 // saturates
}

/// What is left as of `now` of a number as of `at`.
fn faded(value: f64, at: i64, now: i64, aggregate: &Aggregate) -> f64 {
    Decayed { value, at }.read(now, aggregate.half_life)
}

/// Adds other contents to those of a feature, and drops the keys of least rank beyond twice the limit.
fn join(row: &mut Vec<f64>, number: u32, aggregate: &Aggregate, mut more: Contents, limit: usize) {
    more.entries
        .retain(|entry| !aggregate.is_empty(&entry.cells));
    if !allows(aggregate) || more.is_empty() {
        return;
    }
    let mut kept = row::contents(row, number, aggregate);
    let now = kept.newest(aggregate).max(more.newest(aggregate));
    kept.advance(now, aggregate);
    more.advance(now, aggregate);
    let mut kept = sum(kept, more, aggregate);
    drop_least(&mut kept, aggregate, limit.saturating_mul(2));
    row::put(row, number, aggregate.cells(), &kept);
}

/// The contents of both, as of the same moment. A key that one of them does not have may have had there what its floor
/// says.
fn sum(ours: Contents, theirs: Contents, aggregate: &Aggregate) -> Contents {
    let floors = [theirs.floor, ours.floor];
    let of_ours = ours.entries.into_iter().map(|entry| (entry, floors[0]));
    let of_theirs = theirs.entries.into_iter().map(|entry| (entry, floors[1]));
    let mut all: Vec<(Entry, f64)> = of_ours.chain(of_theirs).collect();
    all.sort_by_key(|(entry, _)| entry.key);
    all.dedup_by(|(entry, _), (kept, other_floor)| {
        let same = entry.key == kept.key;
        if same {
            aggregate.merge(&mut kept.cells, &entry.cells);
            kept.error = (kept.error + entry.error).min(f64::MAX);
            *other_floor = 0.0;
        }
        same
    });
    let with_floor = |(mut entry, floor): (Entry, f64)| {
        entry.error = (entry.error + floor).min(f64::MAX);
        entry
    };
    Contents {
        entries: all.into_iter().map(with_floor).collect(),
        floor: (floors[0] + floors[1]).min(f64::MAX),
        at: ours.at,
    }
}

/// Keeps the `most` entries with the highest ranks, as of the moment of the contents.
fn drop_least(contents: &mut Contents, aggregate: &Aggregate, most: usize) {
    if contents.entries.len() <= most {
        return;
    }
    let (now, entries) = (contents.at, &mut contents.entries);
    entries.sort_by_cached_key(|entry| (Reverse(order(entry, aggregate, now)), entry.key));
    for dropped in entries.drain(most..) {
        if fades(aggregate) {
            contents.floor = contents.floor.max(rank(&dropped, aggregate, now));
        }
    }
    entries.sort_unstable_by_key(|entry| entry.key);
}

impl Contents {
    /// Fades floor and errors to that moment.
    fn advance(&mut self, now: i64, aggregate: &Aggregate) {
        self.floor = faded(self.floor, self.at, now, aggregate);
        for entry in &mut self.entries {
            entry.error = faded(entry.error, self.at, now, aggregate);
        }
        self.at = now;
    }
}

#[cfg(test)]
mod tests;
