//! Where the keys of features stand in the row of numbers of a user.
//!
//! The row is a list of blocks, one for each feature that has any key, in the order of their numbers:
//! `[number, width, count]` and then `count` entries of a key and `width` cells of a state, in the order of their keys.
//! A block with a floor is `[number, width + 16, count, at, floor]`, and each of its entries ends with the error of its
//! key; floor and errors are as of the moment `at`. Numbers, widths and counts are integers; keys are integers below
//! 2⁵², so that an f64 holds them exactly.
//!
//! So with a limit of n a block has no more than 5 + 2n · (2 + width) numbers.

use std::iter;
use std::ops::Range;

use super::super::aggregate::cell::{moment, number};
use super::super::aggregate::{Aggregate, NEVER};

/// The widest state that may be kept for each key.
pub const MAX_WIDTH: usize = 4;

/// One more than the largest key.
pub const KEYS: u64 = 1 << 52;

/// Number, width and count.
const HEADER: usize = 3;

/// The moment of the floor, and the floor.
const FLOOR: usize = 2;

/// What the width in the header of a block with a floor is greater by.
const WITH_FLOOR: usize = 16;

/// A key and its state; the cells beyond the state's width are not used.
#[derive(Clone, Copy)]
pub struct Entry {
    pub key: u64,
    pub cells: [f64; MAX_WIDTH],
    /// The most that the state lacks of the weight of its key.
    pub error: f64,
}

/// What a block holds.
pub struct Contents {
    /// In the order of their keys, each once.
    pub entries: Vec<Entry>,
    /// The most that a key weighs that is not there.
    pub floor: f64,
    /// The moment of floor and errors; without them it is before all others.
    pub at: i64,
}

impl Entry {
    /// Without any event.
    pub fn new(key: u64) -> Entry {
        Entry {
            key,
            cells: [NEVER; MAX_WIDTH],
            error: 0.0,
        }
    }

    /// None if it is invalid or has no event.
    fn of(cells: &[f64], width: usize, aggregate: &Aggregate) -> Option<Entry> {
        let (&key, state) = cells.split_first()?;
        let mut entry = Entry::new(whole(key, KEYS - 1)?);
        aggregate.newest(state)?;
        for (cell, &kept) in entry.cells.iter_mut().zip(&state[..width]) {
            *cell = number(kept);
        }
        entry.error = state.get(width).map_or(0.0, |&error| size(error));
        Some(entry)
    }
}

impl Contents {
    /// Entries of which nothing was ever dropped.
    pub fn exact(entries: Vec<Entry>) -> Contents {
        Contents {
            entries,
            floor: 0.0,
            at: i64::MIN,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.floor == 0.0
    }

    /// The time of the newest event that is known of; that of an event that was dropped is, where there is a floor.
    pub fn newest(&self, aggregate: &Aggregate) -> i64 {
        let times = self
            .entries
            .iter()
            .filter_map(|entry| aggregate.newest(&entry.cells));
        times.fold(self.at, i64::max)
    }

    fn has_floor(&self) -> bool {
        self.floor > 0.0 || self.entries.iter().any(|entry| entry.error > 0.0)
    }
}

/// The position of a block in the row.
struct Block {
    number: u32,
    width: usize,
    has_floor: bool,
    /// With its header.
    all: Range<usize>,
}

impl Block {
    /// How many numbers come before its entries.
    fn header(&self) -> usize {
        HEADER + if self.has_floor { FLOOR } else { 0 }
    }

    /// How many numbers an entry has.
    fn stride(&self) -> usize {
        1 + self.width + usize::from(self.has_floor)
    }

    fn entries<'a>(&self, row: &'a [f64]) -> &'a [f64] {
        &row[self.all.start + self.header()..self.all.end]
    }
}

/// The blocks of a row, up to the first that is invalid.
fn blocks(row: &[f64]) -> impl Iterator<Item = Block> {
    let mut start = 0;
    iter::from_fn(move || {
        let &[number, width, count] = row.get(start..start + HEADER)? else {
            return None;
        };
        let number = u32::try_from(whole(number, u64::from(u32::MAX))?).ok()?;
        let width = whole(width, (WITH_FLOOR + MAX_WIDTH) as u64)? as usize;
        let count = whole(count, row.len() as u64)? as usize;
        let has_floor = width >= WITH_FLOOR;
        let width = if has_floor { width - WITH_FLOOR } else { width };
        let mut block = Block {
            number,
            width,
            has_floor,
            all: start..start,
        };
        block.all.end += block.header() + count * block.stride();
        if width > MAX_WIDTH || block.all.end > row.len() {
            return None;
        }
        start = block.all.end;
        Some(block)
    })
}

/// The block of a feature; none if it was kept in another form.
fn block(row: &[f64], number: u32, aggregate: &Aggregate) -> Option<Block> {
    blocks(row)
        .find(|block| block.number == number)
        .filter(|block| block.width == aggregate.cells())
}

/// The valid entries of a feature.
pub fn sound(row: &[f64], number: u32, aggregate: &Aggregate) -> impl Iterator<Item = Entry> {
    let width = aggregate.cells();
    let block = block(row, number, aggregate);
    let (entries, stride) = match &block {
        Some(block) => (block.entries(row), block.stride()),
        None => (&[][..], 1),
    };
    entries
        .chunks_exact(stride)
        .filter_map(move |cells| Entry::of(cells, width, aggregate))
}

/// What is kept of a feature.
pub fn contents(row: &[f64], number: u32, aggregate: &Aggregate) -> Contents {
    let mut contents = Contents::exact(sound(row, number, aggregate).collect());
    let block = block(row, number, aggregate).filter(|block| block.has_floor);
    if let Some(block) = block {
        let [at, floor] = [0, 1].map(|i| row[block.all.start + HEADER + i]);
        contents.at = moment(self::number(at) as i64);
        contents.floor = size(floor);
    }
    contents
}

/// The state of one key.
pub fn state<'a>(
    row: &'a [f64],
    number: u32,
    aggregate: &Aggregate,
    key: u64,
) -> Option<&'a [f64]> {
    let block = block(row, number, aggregate)?;
    let (entries, stride) = (block.entries(row), block.stride());
    let key = (key % KEYS) as f64;
    let (mut low, mut high) = (0, entries.len() / stride);
    while low < high {
        let middle = (low + high) / 2;
        if entries[middle * stride] < key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let (&found, state) = entries
        .get(low * stride..(low + 1) * stride)?
        .split_first()?;
    (found == key).then_some(&state[..block.width])
}

/// Replaces the block of `number`; there is none for a feature without entries.
pub fn put(row: &mut Vec<f64>, number: u32, width: usize, contents: &Contents) {
    let (entries, has_floor) = (&contents.entries, contents.has_floor());
    let mut block = Vec::new();
    if !entries.is_empty() {
        let form = if has_floor { width + WITH_FLOOR } else { width };
        block.extend([f64::from(number), form as f64, entries.len() as f64]);
        if has_floor {
            block.extend([contents.at as f64, contents.floor]);
        }
    }
    for entry in entries {
        block.push(entry.key as f64);
        block.extend(&entry.cells[..width]);
        block.extend(has_floor.then_some(entry.error));
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

/// A cell's number that is 0 or more.
fn size(cell: f64) -> f64 {
    number(cell).max(0.0)
}
