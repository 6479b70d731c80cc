//! The ledger of a cap: its exposures as few entries of a time, an amount and a state, each three numbers. The row of a
//! user has a block of entries per cap, a stripe of a budget has one ledger.
//!
//! Times are microseconds, amounts whole numbers of a unit. An entry that stands for several exposures
//! has the time of the last of them, so that none of them is freed too early. It never stands for exposures of two
//! calendar windows: each window counts its own, in whatever order they come.
//!
//! A ledger is bounded. Exposures of the window before are kept, older ones are dropped. Up to 64 later windows, into
//! which producers whose clocks are ahead have dated events, are kept apart; exposures of further windows count in the
//! last of these. If there are more than 64 reservations, those of one action and one cell of time are merged into one
//! entry; if there are more than 192, those of one cell.

/// The state of an exposure that counts.
pub const COUNTED: i64 = 0;

/// Added to the number of an action, the state of merged reservations of that action; alone, the state of merged
/// reservations of several actions.
const MERGED: i64 = 1 << 32;

/// How many numbers an entry has.
const WIDTH: usize = 3;

/// How many exposures a ledger keeps unmerged, and how many later windows.
const MOST: usize = 64;

/// How many reservations are kept by action, and counted entries of a sliding window by cell.
const MANY: usize = 3 * MOST;

/// How many cells a sliding window has if there are more.
const CELLS: i64 = 64;

/// Which entries count at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The window of that moment: from this time on,
    pub from: i64,
    /// and up to this one; `i64::MAX` where it has no end, or slides.
    pub until: i64,
    /// Whether later exposures count as well: true if exposures have the moment of a decision, which can only be later
    /// than now if a clock was set back.
    pub binds_later: bool,
    /// Entries from this time on are kept, for decisions of a moment just before the window.
    pub kept_from: i64,
    /// Reservations from this time on count; `i64::MIN` if they count until they are looked up.
    pub reserved_from: i64,
    /// Length of a sliding window; None of a calendar window, whose counted exposures can be one entry.
    pub sliding: Option<i64>,
    /// How long a reservation is held.
    pub hold: i64,
    /// The width of the cells in which reservations are merged; it never changes.
    pub cell: i64,
}

impl Terms {
    fn binds(&self, at: i64, state: i64) -> bool {
        at >= self.from
            && match state {
                COUNTED => at < self.until || self.binds_later,
                _ => at >= self.reserved_from,
            }
    }

    fn keeps(&self, at: i64, state: i64) -> bool {
        at >= self.kept_from && (state == COUNTED || at >= self.reserved_from)
    }

    /// The window of the moment.
    pub fn window(&self) -> (i64, i64) {
        (self.from, self.until)
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

/// How much of the cap is used.
pub fn used(ledger: &[i64], terms: &Terms) -> i64 {
    entries(ledger)
        .filter(|&(at, _, state)| terms.binds(at, state))
        .fold(0, |sum, (_, amount, _)| sum.saturating_add(amount))
}

/// The time of the newest entry.
pub fn newest(ledger: &[i64]) -> Option<i64> {
    entries(ledger).map(|(at, ..)| at).max()
}

/// The part of a reservation's cell that is in its window: it stands for reservations of that time.
pub fn cell(at: i64, terms: &Terms) -> (i64, i64) {
    let cell = terms.cell.max(1);
    let first = at.div_euclid(cell).saturating_mul(cell);
    let next = first.saturating_add(cell);
    match terms.sliding {
        Some(_) => (first, next),
        None if at < terms.from => (first, next.min(terms.from)),
        None if at < terms.until => (first.max(terms.from), next.min(terms.until)),
        None => (first.max(terms.until), next),
    }
}

/// How often expired reservations are looked up again, for late events.
const LOOK_UPS: i64 = 7;

/// Whether an entry of a stripe should be looked up: a reservation that has expired, or one that was looked up before
/// at half its age.
pub fn is_due((at, _, state): (i64, i64, i64), terms: &Terms, now: i64) -> bool {
    let age = terms
        .hold
        .saturating_mul(1 << (-1 - state).clamp(0, LOOK_UPS));
    state < COUNTED && at >= terms.from && cell(at, terms).1.saturating_add(age) <= now
}

/// Whether an entry of a stripe is a reservation that will be looked up and has not been: until then it counts, whatever
/// events have confirmed.
pub fn is_new((at, _, state): (i64, i64, i64), terms: &Terms) -> bool {
    state == -1 && at >= terms.from
}

/// The entry after a look-up in which events have confirmed the amount `told`. It never counts less than before.
pub fn looked_up((at, amount, state): (i64, i64, i64), told: i64) -> [i64; WIDTH] {
    let counted = if state == -1 { told } else { told.max(amount) };
    match state - 1 {
        next if next < -LOOK_UPS => [at, counted, COUNTED],
        next => [at, counted, next],
    }
}

/// When the first of the entries that count is freed by time alone; None if none is within the window.
pub fn frees_at(ledger: &[i64], terms: &Terms) -> Option<i64> {
    let length = terms.sliding?;
    let binding = entries(ledger).filter(|&(at, _, state)| terms.binds(at, state));
    binding.map(|(at, ..)| at.saturating_add(length)).min()
}

/// Adds an exposure of now, and drops entries that are over. An amount of 0 adds nothing.
pub fn take(ledger: &mut Vec<i64>, (at, amount, state): (i64, i64, i64), terms: &Terms) {
    prune(ledger, terms);
    if amount > 0 {
        ledger.extend([at, amount, state]);
        merge(ledger, terms, terms.window());
    }
}

/// Adds a counted exposure of any moment; `window` is the window of that moment. If it is too old it is dropped.
pub fn count(ledger: &mut Vec<i64>, (at, amount): (i64, i64), window: (i64, i64), terms: &Terms) {
    prune(ledger, terms);
    if amount > 0 && terms.keeps(at, COUNTED) {
        ledger.extend([at, amount, COUNTED]);
        merge(ledger, terms, window);
    }
}

/// The same without knowing the terms: no entry is dropped, and entries are merged only if there are many.
pub fn count_without_window(ledger: &mut Vec<i64>, (at, amount): (i64, i64)) {
    if amount > 0 {
        ledger.extend([at, amount, COUNTED]);
    }
    bound(ledger, MANY, |_| true, Side::Oldest);
}

/// Adds what another ledger of the same cap has, such as that of a user who is merged into this one.
pub fn join(ledger: &mut Vec<i64>, other: &[i64], terms: &Terms) {
    ledger.extend_from_slice(other);
    prune(ledger, terms);
    merge(ledger, terms, (terms.kept_from, terms.from));
}

/// The same without knowing the terms.
pub fn join_without_window(ledger: &mut Vec<i64>, other: &[i64]) {
    ledger.extend_from_slice(other);
    bound(ledger, MANY, |_| true, Side::Oldest);
}

/// Drops entries that are over.
pub fn prune(ledger: &mut Vec<i64>, terms: &Terms) {
    let kept: Vec<i64> = entries(ledger)
        .filter(|&(at, _, state)| terms.keeps(at, state))
        .flat_map(|(at, amount, state)| [at, amount, state])
        .collect();
    *ledger = kept;
}

/// Whether the reservation that a decision at `at` has made for an action is there, unmerged.
pub fn is_reserved(ledger: &[i64], at: i64, action: i64) -> bool {
    let itself = entries(ledger).filter(|&(then, _, state)| (then, state) == (at, action));
    itself.count() == 1
}

/// Gives back the reservation that a decision at `at` has made for an action. Nothing changes if it is gone already, as
/// all are from before `open_from`. `window` is the window of `at`.
pub fn release(
    ledger: &mut Vec<i64>,
    (at, amount, action): (i64, i64, i64),
    (starts, ends): (i64, i64),
    open_from: i64,
    cell: i64,
) {
    let held: Vec<(usize, (i64, i64, i64))> = entries(ledger).enumerate().collect();
    let mut all = held.iter();
    let itself = all.find(|(_, held)| (held.0, held.2) == (at, action));
    // If it was merged, it is in an entry of the same time or a later one.
    let among = held.iter().filter(|&&(_, (then, left, state))| {
        (state == MERGED + action || state == MERGED)
            && at >= open_from
            && left >= amount
            && (at..=at.saturating_add(cell)).contains(&then)
            && (starts..ends).contains(&then)
    });
    let nearest = |&&(_, (then, _, state)): &&(usize, (i64, i64, i64))| (state == MERGED, then);
    if let Some(&(index, _)) = itself.or_else(|| among.min_by_key(nearest)) {
        lessen(ledger, index, amount);
    }
}

/// Gives back `amount` of the oldest open reservation of an action that was made at `latest` or before; all of it, if the
/// reservation is unmerged.
pub fn release_oldest(
    ledger: &mut Vec<i64>,
    (latest, amount, action): (i64, i64, i64),
    terms: &Terms,
) {
    let held = entries(ledger).enumerate().filter(|&(_, (at, _, state))| {
        (state == action || state == MERGED + action) && terms.keeps(at, state) && at <= latest
    });
    if let Some((index, (_, left, state))) = held.min_by_key(|&(_, (at, ..))| at) {
        lessen(ledger, index, if state == action { left } else { amount });
    }
}

/// Takes `amount` from an entry, at most what it has; an empty entry is removed.
fn lessen(ledger: &mut Vec<i64>, index: usize, amount: i64) {
    let left = &mut ledger[index * WIDTH + 1];
    *left = left.saturating_sub(amount);
    if *left <= 0 {
        ledger.drain(index * WIDTH..(index + 1) * WIDTH);
    }
}

/// How much is counted, reservations left out, from one moment to another, both included.
pub fn counted(ledger: &[i64], (from, to): (i64, i64)) -> i64 {
    entries(ledger)
        .filter(|&(at, _, state)| is_counted(state) && (from..=to).contains(&at))
        .fold(0, |sum, (_, amount, _)| sum.saturating_add(amount))
}

/// Whether an entry is counted: by itself, or since events have confirmed it.
fn is_counted(state: i64) -> bool {
    state == COUNTED || state < -1
}

/// Takes so much from what is counted from one moment to another, both included, the newest first; how much of it was
/// not there. What events have confirmed is final from then on: a look-up would count it again.
pub fn give_back(ledger: &mut Vec<i64>, mut amount: i64, (from, to): (i64, i64)) -> i64 {
    while amount > 0 {
        let counted = entries(ledger).enumerate().filter(|&(_, (at, of, state))| {
            is_counted(state) && of > 0 && (from..=to).contains(&at)
        });
        let newest = counted.max_by_key(|&(_, (at, _, state))| (state == COUNTED, at));
        let Some((index, (_, of, _))) = newest else {
            break;
        };
        let part = of.min(amount);
        ledger[index * WIDTH + 2] = COUNTED;
        lessen(ledger, index, part);
        amount -= part;
    }
    amount
}

/// Merges entries of the same state, cell and window: counted entries of a calendar window and reservations of stripes
/// always, others if there are many. The windows that are known are that of now and one other.
fn merge(ledger: &mut Vec<i64>, terms: &Terms, window: (i64, i64)) {
    let are_many = |ledger: &[i64], many| ledger.len() / WIDTH > many;
    let slides = terms.sliding.is_some();
    let many = are_many(ledger, MOST);
    bring_together(ledger, terms, window, |state| match state {
        COUNTED if slides => many.then(|| (COUNTED, counted_cell(terms))),
        COUNTED => Some((COUNTED, i64::MAX)),
        ..COUNTED => Some((state, terms.cell.max(1))),
        _ if !many || state >= MERGED => many.then(|| (state, terms.cell.max(1))),
        _ => Some((MERGED + state, terms.cell.max(1))),
    });
    if are_many(ledger, MANY) {
        bring_together(ledger, terms, window, |state| {
            (state > COUNTED).then(|| (MERGED, terms.cell.max(1)))
        });
    }
    match slides {
        true => bound(ledger, MANY, |_| true, Side::Newest { later: true }),
        false => {
            let (until, later) = (terms.until, terms.binds_later);
            bound(ledger, MOST, |at| at >= until, Side::Newest { later });
        }
    }
}

/// The width of the cells in which counted entries of a sliding window are merged.
fn counted_cell(terms: &Terms) -> i64 {
    (terms.sliding.unwrap_or(i64::MAX) / CELLS).max(1)
}

/// The state of merged entries, and the width of the cells in which they are merged.
type How = Option<(i64, i64)>;

/// Merges entries of one window to which `how` gives the same state and which are in the same cell of the width that it
/// gives; other entries do not change.
fn bring_together(
    ledger: &mut Vec<i64>,
    terms: &Terms,
    window: (i64, i64),
    how: impl Fn(i64) -> How,
) {
    let both_in = |(starts, ends): (i64, i64), a: i64, b: i64| {
        (starts..ends).contains(&a) && (starts..ends).contains(&b)
    };
    let is_one_window = |a: i64, b: i64| {
        terms.sliding.is_some() || both_in(terms.window(), a, b) || both_in(window, a, b)
    };
    // Entries that were merged in this pass: a single entry keeps its state.
    let mut merged: Vec<([i64; WIDTH], How)> = Vec::with_capacity(ledger.len() / WIDTH);
    for (at, amount, state) in entries(ledger) {
        let as_what = how(state);
        let alike = |(entry, other): &&mut ([i64; WIDTH], How)| {
            as_what.is_some_and(|(_, cell)| {
                *other == as_what
                    && is_one_window(entry[0], at)
                    && (cell == i64::MAX || entry[0].div_euclid(cell) == at.div_euclid(cell))
            })
        };
        match (merged.iter_mut().find(alike), as_what) {
            (Some((entry, _)), Some((state, _))) => {
                entry[0] = entry[0].max(at);
                entry[1] = entry[1].saturating_add(amount);
                entry[2] = state;
            }
            _ => merged.push(([at, amount, state], as_what)),
        }
    }
    ledger.clear();
    ledger.extend(merged.iter().flat_map(|(entry, _)| entry));
}

/// Which entries are merged if there are too many, and which time the merged entry has.
enum Side {
    /// The two newest, as of the later or of the earlier.
    Newest { later: bool },
    /// The two oldest, as of the later.
    Oldest,
}

/// Keeps at most `most` of the counted entries whose time is one of these.
fn bound(ledger: &mut Vec<i64>, most: usize, which: impl Fn(i64) -> bool, side: Side) {
    if ledger.len() / WIDTH <= most {
        return;
    }
    let mut indexes: Vec<usize> = entries(ledger)
        .enumerate()
        .filter(|&(_, (at, _, state))| state == COUNTED && which(at))
        .map(|(index, _)| index)
        .collect();
    if indexes.len() <= most {
        return;
    }
    indexes.sort_by_key(|&index| ledger[index * WIDTH]);
    let too_many = indexes.len() - most + 1;
    let (among, as_of) = match side {
        Side::Oldest => (&indexes[..too_many], too_many - 1),
        Side::Newest { later } => {
            let newest = &indexes[most - 1..];
            (newest, if later { newest.len() - 1 } else { 0 })
        }
    };
    let at = ledger[among[as_of] * WIDTH];
    let amounts = among.iter().map(|&index| ledger[index * WIDTH + 1]);
    let amount = amounts.fold(0i64, i64::saturating_add);
    let mut gone = among.to_vec();
    gone.sort_unstable();
    for index in gone.into_iter().rev() {
        ledger.drain(index * WIDTH..(index + 1) * WIDTH);
    }
    ledger.extend([at, amount, COUNTED]);
}

/// Divides a limit among counters, of which `used` is spent: each gets what it has used and its share of the rest, or, if
/// more is used than the limit, its share of the limit. The sum is the limit.
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
pub fn block(all: &[i64], number: i64) -> &[i64] {
    range_of(all, number).map_or(&[], |(first, last)| &all[first + 2..last])
}

/// The blocks in the row of a user, each with the number of its cap, in the order of these; up to a damaged block.
pub fn blocks(all: &[i64]) -> Vec<(i64, &[i64])> {
    let mut blocks: Vec<(i64, &[i64])> = Vec::new();
    let mut rest = all;
    while let Some((&[number, count], behind)) = rest.split_first_chunk::<2>() {
        let length = usize::try_from(count).ok();
        let length = length.and_then(|count| count.checked_mul(WIDTH));
        let Some((block, next)) = length.and_then(|length| behind.split_at_checked(length)) else {
            break;
        };
        blocks.push((number, block));
        rest = next;
    }
    // Of two blocks of a cap the first counts, as for `block`.
    blocks.sort_by_key(|&(number, _)| number);
    blocks.dedup_by_key(|&mut (number, _)| number);
    blocks
}

/// Replaces the block of a cap.
pub fn put(all: &mut Vec<i64>, number: i64, ledger: &[i64]) {
    let head = [number, (ledger.len() / WIDTH) as i64];
    let whole = head.iter().chain(ledger).copied();
    match range_of(all, number) {
        Some((first, last)) if ledger.is_empty() => drop(all.drain(first..last)),
        Some((first, last)) => drop(all.splice(first..last, whole)),
        None if ledger.is_empty() => {}
        None => all.extend(whole),
    }
}

/// Where the block of a cap begins and ends. The search stops at a damaged block.
fn range_of(all: &[i64], number: i64) -> Option<(usize, usize)> {
    let mut first = 0;
    while let Some(&[whose, count]) = all.get(first..first + 2) {
        let length = usize::try_from(count).ok()?.checked_mul(WIDTH)?;
        let last = (first + 2).checked_add(length)?;
        if last > all.len() {
            return None;
        }
        if whose == number {
            return Some((first, last));
        }
        first = last;
    }
    None
}

#[cfg(test)]
mod tests;
