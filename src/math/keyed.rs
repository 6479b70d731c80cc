//! Features kept for each key, such as a user's affinity to categories, brands or items: one row of numbers for a user
//! holds them for several features.
//!
//! The row is a list of blocks, one for each feature that has any key, in the order of their numbers:
//! `[number, width, count]` and then `count` entries of a key and `width` cells of a state (see [`super::aggregate`]), in
//! the order of their keys. So the same entries are always the same row. Numbers, widths and counts are integers; keys
//! are integers below 2⁵² (see [`key_of`]), so that an f64 holds them exactly.
//!
//! # Bounds
//! With a limit of n, reading gives the n heaviest keys at most, and 2n are kept: beyond that the lightest are dropped,
//! with their values. So the result does not depend on the order of arrival as long as a user has no more
//! than 2n distinct keys; beyond, it may, by keys that were once among the lightest.
//!
//! A key's weight is its decayed count, the magnitude of its decayed sum, or for a mean or a rate the decayed count of
//! its events, all as of one moment; for the other kinds it is the time of its newest event. Weights that differ by
//! less than a millionth count as equal, as they may differ so by rounding alone; then the smaller key comes first.
//!
//! # Damage
//! A damaged row is read up to its first invalid block, and without invalid entries. Adding an event repairs its block,
//! and drops what cannot be read behind the last valid block.

use std::cmp::Reverse;
use std::iter;
use std::ops::Range;

use super::aggregate::cell::{moment, number};
use super::aggregate::{Aggregate, Kind, NEVER, Observation};
use super::hash;

/// The widest state that may be kept for each key.
pub const MAX_WIDTH: usize = 4;

/// Number, width and count.
const HEADER: usize = 3;

/// One more than the largest key.
const KEYS: u64 = 1 << 52;

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
    let mut entry = Entry {
        key: key % KEYS,
        cells: [NEVER; MAX_WIDTH],
    };
    aggregate.add(&mut entry.cells, o);
    join(row, number, aggregate, iter::once(entry), limit);
}

/// Adds the block that another row has of this feature: the events of another part of the stream.
pub fn merge(row: &mut Vec<f64>, other: &[f64], number: u32, aggregate: &Aggregate, limit: usize) {
    join(
        row,
        number,
        aggregate,
        sound(other, number, aggregate),
        limit,
    );
}

/// Removes the block of this feature.
pub fn clear(row: &mut Vec<f64>, number: u32) {
    put(row, number, 0, &[]);
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
    let mut found: Vec<_> = sound(row, number, aggregate)
        .filter_map(|entry| {
            let value = aggregate.read(&entry.cells, now)?;
            Some((entry.weight(aggregate, now), entry.key, value))
        })
        .collect();
    found.sort_unstable_by_key(|&(weight, key, _)| (Reverse(weight), key));
    found.truncate(limit);
    found.into_iter().map(|(_, key, value)| (key, value))
}

/// The value of one key as of `now`.
pub fn read(row: &[f64], number: u32, aggregate: &Aggregate, key: u64, now: i64) -> Option<f64> {
    aggregate.read(state(row, number, aggregate, key)?, now)
}

/// The time of one key's newest event.
pub fn newest(row: &[f64], number: u32, aggregate: &Aggregate, key: u64) -> Option<i64> {
    aggregate.newest(state(row, number, aggregate, key)?)
}

/// A key and its state; the cells beyond the state's width are not used.
#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    cells: [f64; MAX_WIDTH],
}

impl Entry {
    /// None if it is invalid or has no event.
    fn of(cells: &[f64], aggregate: &Aggregate) -> Option<Entry> {
        let (&key, state) = cells.split_first()?;
        let key = whole(key, KEYS - 1)?;
        aggregate.newest(state)?;
        let mut cells = [NEVER; MAX_WIDTH];
        for (cell, &kept) in cells.iter_mut().zip(state) {
            *cell = number(kept);
        }
        Some(Entry { key, cells })
    }

    /// A number that orders entries by their weight as of `now`: the logarithm of weights that fade, so that none is too
    /// small to be compared.
    fn weight(&self, aggregate: &Aggregate, now: i64) -> i64 {
        let Some(newest) = aggregate.newest(&self.cells) else {
            return i64::MIN;
        };
        let age = (moment(now) - newest).max(0);
        let expired = aggregate.ttl.is_some_and(|ttl| age > ttl);
        let [_, x, y, _] = self.cells.map(number);
        match aggregate.kind {
            _ if expired => i64::MIN,
            Kind::DecayedCount | Kind::DecayedSum => logarithm(x, age, aggregate.half_life),
            Kind::DecayedMean => logarithm(y, age, aggregate.half_life),
            Kind::Rate { .. } => logarithm(x + y, age, aggregate.half_life),
            Kind::WindowCount { .. }
            | Kind::WindowSum { .. }
            | Kind::Recency
            | Kind::First
            | Kind::Last
            | Kind::Distinct => newest,
        }
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

/// The position of a block in the row.
struct Block {
    number: u32,
    width: usize,
    /// With its header.
    all: Range<usize>,
}

/// The blocks of a row, up to the first that is invalid.
fn blocks(row: &[f64]) -> impl Iterator<Item = Block> {
    let mut start = 0;
    iter::from_fn(move || {
        let &[number, width, count] = row.get(start..start + HEADER)? else {
            return None;
        };
        let number = u32::try_from(whole(number, u64::from(u32::MAX))?).ok()?;
        let width = whole(width, MAX_WIDTH as u64)? as usize;
        let count = whole(count, row.len() as u64)? as usize;
        let end = start + HEADER + count * (1 + width);
        if end > row.len() {
            return None;
        }
        let all = start..end;
        start = end;
        Some(Block { number, width, all })
    })
}

/// The entries of a feature, each of `1 + aggregate.cells()` cells; none if it was kept in another form.
fn block<'a>(row: &'a [f64], number: u32, aggregate: &Aggregate) -> &'a [f64] {
    blocks(row)
        .find(|block| block.number == number)
        .filter(|block| block.width == aggregate.cells())
        .map_or(&[], |block| &row[block.all][HEADER..])
}

/// The valid entries.
fn sound(row: &[f64], number: u32, aggregate: &Aggregate) -> impl Iterator<Item = Entry> {
    block(row, number, aggregate)
        .chunks_exact(1 + aggregate.cells())
        .filter_map(|cells| Entry::of(cells, aggregate))
}

/// The state of one key.
fn state<'a>(row: &'a [f64], number: u32, aggregate: &Aggregate, key: u64) -> Option<&'a [f64]> {
    let (entries, length) = (block(row, number, aggregate), 1 + aggregate.cells());
    let key = (key % KEYS) as f64;
    let (mut low, mut high) = (0, entries.len() / length);
    while low < high {
        let middle = (low + high) / 2;
        if entries[middle * length] < key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let (&found, state) = entries
        .get(low * length..(low + 1) * length)?
        .split_first()?;
    (found == key).then_some(state)
}

/// Adds entries to those of a feature, and drops the lightest beyond twice the limit.
fn join(
    row: &mut Vec<f64>,
    number: u32,
    aggregate: &Aggregate,
    more: impl Iterator<Item = Entry>,
    limit: usize,
) {
    let more = more.filter(|entry| !aggregate.is_empty(&entry.cells));
    let mut more = more.peekable();
    if !allows(aggregate) || more.peek().is_none() {
        return;
    }
    let mut entries: Vec<Entry> = sound(row, number, aggregate).chain(more).collect();
    entries.sort_by_key(|entry| entry.key);
    entries.dedup_by(|entry, kept| {
        let same = entry.key == kept.key;
        if same {
            aggregate.merge(&mut kept.cells, &entry.cells);
        }
        same
    });
    drop_lightest(&mut entries, aggregate, limit.saturating_mul(2));
    put(row, number, aggregate.cells(), &entries);
}

/// Keeps the heaviest `most` entries, as of the newest event of all.
fn drop_lightest(entries: &mut Vec<Entry>, aggregate: &Aggregate, most: usize) {
    if entries.len() <= most {
        return;
    }
    let times = entries
        .iter()
        .filter_map(|entry| aggregate.newest(&entry.cells));
    let now = times.max().unwrap_or(0);
    entries.sort_by_cached_key(|entry| (Reverse(entry.weight(aggregate, now)), entry.key));
    entries.truncate(most);
    entries.sort_unstable_by_key(|entry| entry.key);
}

/// Replaces the block of `number`; there is none for a feature without entries.
fn put(row: &mut Vec<f64>, number: u32, width: usize, entries: &[Entry]) {
    let mut block = Vec::new();
    if !entries.is_empty() {
        block.extend([f64::from(number), width as f64, entries.len() as f64]);
    }
    for entry in entries {
        block.push(entry.key as f64);
        block.extend(&entry.cells[..width]);
    }
    let range = range_of(row, number);
    row.splice(range, block);
}

/// The range of the block of `number`, or the empty range where it belongs; at the end of the row, the range of what is
/// invalid there.
fn range_of(row: &[f64], number: u32) -> Range<usize> {
    let mut end = 0;
    for Block {
        number: other, all, ..
    } in blocks(row)
    {
        if other == number {
            return all;
        }
        if other > number {
            return all.start..all.start;
        }
        end = all.end;
    }
    end..row.len()
}

/// A cell's integer, if it holds one from 0 to `most`.
fn whole(cell: f64, most: u64) -> Option<u64> {
    let sound = cell >= 0.0 && cell <= most as f64 && cell.fract() == 0.0;
    sound.then_some(cell as u64)
}

#[cfg(test)]
mod tests;
