//! Ledgers against a plain list of exposures, each by itself, whatever is told of them and in which order.

use super::super::*;
use proptest::prelude::*;

const HOLD: i64 = 800;
const CELL: i64 = 100;

/// Windows of all sorts, one behind the other for ever.
const LENGTHS: [i64; 5] = [1_000, 130, 2_400, 70, 1_000];

fn round() -> i64 {
    LENGTHS.iter().sum()
}

fn window(at: i64) -> (i64, i64) {
    let mut starts = at.div_euclid(round()) * round();
    for length in LENGTHS {
        if at < starts + length {
            return (starts, starts + length);
        }
        starts += length;
    }
    unreachable!("a round has all windows")
}

fn calendar(now: i64) -> Terms {
    let (from, until) = window(now);
    Terms {
        from,
        until,
        binds_later: false,
        kept_from: window(from - 1).0,
        reserved_from: now - HOLD + 1,
        sliding: None,
        hold: HOLD,
        cell: CELL,
    }
}

fn sliding(now: i64) -> Terms {
    Terms {
        from: now - 999,
        until: i64::MAX,
        kept_from: now - 999 - 125,
        sliding: Some(1_000),
        ..calendar(now)
    }
}

/// What happens to a cap of a user, after so much time.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A decision reserves so much for an action.
    Decide { action: i64, amount: i64 },
    /// An event tells of a decision, counted from the newest.
    Tell { which: usize },
    /// An event by itself, dated so far from now.
    Alone {
        action: i64,
        amount: i64,
        ahead: i64,
    },
}

fn steps(alone: bool, longest: i64) -> impl Strategy<Value = Vec<(i64, Step)>> {
    let decide = (1..4i64, 1..4i64).prop_map(|(action, amount)| Step::Decide { action, amount });
    let tell = (0..40usize).prop_map(|which| Step::Tell { which });
    let by_itself =
        (1..4i64, 1..4i64, -3_000..1_500i64).prop_map(|(action, amount, ahead)| Step::Alone {
            action,
            amount,
            ahead,
        });
    let weight = if alone { 2 } else { 0 };
    let step = prop_oneof![3 => decide, 3 => tell, weight => by_itself];
    proptest::collection::vec((1..longest, step), 1..250)
}

#[derive(Clone, Copy, Debug)]
struct Exposure {
    at: i64,
    amount: i64,
    action: i64,
    is_told: bool,
    is_open: bool,
}

/// All exposures, each by itself.
#[derive(Default)]
struct Plainly {
    decided: Vec<Exposure>,
    counted: Vec<(i64, i64)>,
}

impl Plainly {
    fn counted(&self, terms: &Terms) -> i64 {
        let within = self.counted.iter();
        let within = within.filter(|&&(at, _)| (terms.from..terms.until).contains(&at));
        within.map(|&(_, amount)| amount).sum()
    }

    fn reserved(&self, terms: &Terms) -> i64 {
        let open = self.decided.iter().filter(|exposure| {
            exposure.is_open && exposure.at >= terms.reserved_from.max(terms.from)
        });
        open.map(|exposure| exposure.amount).sum()
    }
}

/// Does the same to a ledger and to the plain list; hands both on after each step.
fn follow(
    steps: &[(i64, Step)],
    terms_at: impl Fn(i64) -> Terms,
    mut each: impl FnMut(i64, &[i64], &Plainly),
) {
    let slides = terms_at(0).sliding.is_some();
    let window_of = |at| match slides {
        true => (i64::MIN, i64::MAX),
        false => window(at),
    };
    let (mut ledger, mut plainly, mut now) = (Vec::new(), Plainly::default(), 0);
    for &(pause, step) in steps {
        now += pause;
        let terms = terms_at(now);
        match step {
            Step::Decide { action, amount } => {
                take(&mut ledger, (now, amount, action), &terms);
                plainly.decided.push(Exposure {
                    at: now,
                    amount,
                    action,
                    is_told: false,
                    is_open: true,
                });
            }
            Step::Tell { which } => {
                let Some(exposure) = plainly.decided.iter_mut().rev().nth(which) else {
                    continue;
                };
                if std::mem::replace(&mut exposure.is_told, true) {
                    continue;
                }
                exposure.is_open = false;
                let (at, amount) = (exposure.at, exposure.amount);
                plainly.counted.push((at, amount));
                let held = (at, amount, exposure.action);
                release(&mut ledger, held, window_of(at), terms.reserved_from, CELL);
                count(&mut ledger, (at, amount), window_of(at), &terms);
            }
            Step::Alone {
                action,
                amount,
                ahead,
            } => {
                let at = now + ahead;
                let mut decided = plainly.decided.iter_mut();
                let oldest = decided.find(|exposure| {
                    exposure.is_open
                        && exposure.action == action
                        && exposure.at >= terms.reserved_from
                        && exposure.at <= at
                });
                if let Some(oldest) = oldest {
                    oldest.is_open = false;
                }
                plainly.counted.push((at, amount));
                release_oldest(&mut ledger, (at, amount, action), &terms);
                count(&mut ledger, (at, amount), window_of(at), &terms);
            }
        }
        each(now, &ledger, &plainly);
    }
}

fn counted(ledger: &[i64], terms: &Terms) -> i64 {
    let counted =
        entries(ledger).filter(|&(at, _, state)| state == COUNTED && terms.binds(at, state));
    counted.map(|(_, amount, _)| amount).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// With few reservations, each keeps its own.
    #[test]
    fn each_window_counts_its_own(steps in steps(true, 90)) {
        let (mut wrong, mut few) = (None, true);
        follow(&steps, calendar, |now, ledger, plainly| {
            few &= entries(ledger).count() < MOST;
            for moment in [now, now + 1, now + 700, window(now).1] {
                let terms = calendar(moment);
                let (has, is) = (used(ledger, &terms), plainly.counted(&terms) + plainly.reserved(&terms));
                if few && has != is {
                    wrong.get_or_insert((now, moment, has, is));
                }
                if counted(ledger, &terms) != plainly.counted(&terms) {
                    wrong.get_or_insert((now, moment, counted(ledger, &terms), plainly.counted(&terms)));
                }
            }
        });
        prop_assert_eq!(wrong, None);
    }

    /// With many, what is counted stays exact, and what is reserved is never less.
    #[test]
    fn many_reservations_bind_no_less(steps in steps(false, 6)) {
        let mut wrong = None;
        follow(&steps, calendar, |now, ledger, plainly| {
            let terms = calendar(now);
            let is = plainly.counted(&terms);
            let reserved = used(ledger, &terms) - counted(ledger, &terms);
            if counted(ledger, &terms) != is || reserved < plainly.reserved(&terms) || ledger.len() > 2 * MANY * WIDTH {
                wrong.get_or_insert((now, counted(ledger, &terms), is, reserved, plainly.reserved(&terms)));
            }
        });
        prop_assert_eq!(wrong, None);
    }

    /// A sliding window frees each exposure when it is that old,
    #[test]
    fn a_sliding_window_counts_events_of_any_time(steps in steps(true, 60)) {
        let (mut wrong, mut few) = (None, true);
        follow(&steps, sliding, |now, ledger, plainly| {
            let terms = sliding(now);
            let is = plainly.counted(&terms) + plainly.reserved(&terms);
            let has = used(ledger, &terms);
            few &= entries(ledger).count() < MOST;
            if few && has != is {
                wrong.get_or_insert((now, has, is));
            }
        });
        prop_assert_eq!(wrong, None);
    }

    /// or, where there are many, a little later, never before.
    #[test]
    fn a_sliding_window_of_many_binds_no_less(steps in steps(false, 6)) {
        let mut wrong = None;
        follow(&steps, sliding, |now, ledger, plainly| {
            let terms = sliding(now);
            let is = plainly.counted(&terms) + plainly.reserved(&terms);
            if used(ledger, &terms) < is || ledger.len() > 2 * MANY * WIDTH {
                wrong.get_or_insert((now, used(ledger, &terms), is));
            }
        });
        prop_assert_eq!(wrong, None);
    }

    /// In whichever order events come, each window has the same.
    #[test]
    fn the_order_of_events_does_not_matter(
        events in proptest::collection::vec((-2_000..4_000i64, 1..4i64), 1..60),
        order in any::<u64>(),
    ) {
        let now = 500;
        let terms = calendar(now);
        let counts = |events: &[(i64, i64)]| {
            let mut ledger = Vec::new();
            for &(at, amount) in events {
                count(&mut ledger, (at, amount), window(at), &terms);
            }
            let mut entries: Vec<_> = entries(&ledger).collect();
            entries.sort_unstable();
            entries
        };
        let mut shuffled = events.clone();
        let mut state = order;
        shuffled.sort_by_cached_key(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state
        });
        prop_assert_eq!(counts(&events), counts(&shuffled));
    }

    /// Of a budget: what is reserved in a window is counted in it when events have told of it, else given back, and
    /// no other window pays for it.
    #[test]
    fn stripes_look_up_what_their_window_has_reserved(
        takes in proptest::collection::vec((1..60i64, any::<Option<u16>>()), 1..300),
    ) {
        let budget = |now| Terms { reserved_from: i64::MIN, binds_later: true, hold: 150, cell: 100, ..calendar(now) };
        let mut ledger = Vec::new();
        // When each was decided and told of, and what the first look-up saw of it.
        let mut all: Vec<(i64, Option<i64>, Option<bool>)> = Vec::new();
        let mut now = 0;
        for (pause, told) in takes {
            now += pause;
            let terms = budget(now);
            take(&mut ledger, (now, 1, -1), &terms);
            all.push((now, told.map(|after| now + i64::from(after % 400)), None));
            // The job.
            let mut kept = Vec::new();
            for entry in entries(&ledger) {
                if !is_due(entry, &terms, now) {
                    kept.extend([entry.0, entry.1, entry.2]);
                    continue;
                }
                let (first, next) = cell(entry.0, &terms);
                let mut told = 0;
                for (at, when, seen) in all.iter_mut().filter(|(at, ..)| (first..next).contains(at)) {
                    let is_told = when.is_some_and(|when| when <= now);
                    told += i64::from(is_told);
                    seen.get_or_insert(is_told);
                    prop_assert_eq!(window(*at), window(entry.0));
                }
                kept.extend(looked_up(entry, told));
            }
            ledger = kept;
            let of_window = all.iter().filter(|(at, ..)| (terms.from..terms.until).contains(at));
            let least = of_window.clone().filter(|(_, _, seen)| seen.unwrap_or(true)).count() as i64;
            let most = of_window.filter(|(_, when, seen)| seen.is_none() || when.is_some_and(|when| when <= now)).count() as i64;
            let has = used(&ledger, &terms);
            prop_assert!((least..=most).contains(&has), "at {}: {} of {} to {}", now, has, least, most);
        }
    }
}
