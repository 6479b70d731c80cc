//! A number that fades: z(t) = z(t₀) · 2^(−(t−t₀)/half-life) + x.
//!
//! Source: the accumulator z_t = λ·z_{t−1} + x_t of the system's paper (section 3), in continuous time.

/// A decayed count or sum, as it stood at the time of its newest event.
///
/// What it stands for, Σᵢ xᵢ · 2^(−(at−tᵢ)/half-life) over all events (xᵢ, tᵢ), does not depend on the order in which
/// they were added; the computed value differs between orders by rounding alone (below 1e-9 of Σᵢ |xᵢ| · 2^(−…)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decayed {
    /// The decayed sum at the time `at`, in the unit of what was added. Always finite.
    pub value: f64,
    /// The time of the newest event, in microseconds; i64::MIN in the empty state alone.
    pub at: i64,
}

impl Decayed {
    /// Nothing was added yet.
    pub const EMPTY: Decayed = Decayed {
        value: 0.0,
        at: i64::MIN,
    };

    /// The state with `x` added at time `at` (microseconds), for a half-life in microseconds.
    ///
    /// An event older than the state fades to the state's time first, so any order of arrival gives the same state.
    /// With a half-life of infinity nothing fades and counts are exact. A half-life that is zero, negative or NaN
    /// forgets everything but the newest instant. An `x` that is NaN or infinite changes nothing; a sum beyond the
    /// range of f64 stays at its largest finite number.
    pub fn add(self, x: f64, at: i64, half_life: f64) -> Decayed {
        if !x.is_finite() {
            return self;
        }
        let at = at.max(i64::MIN + 1); // i64::MIN means empty
        if self.is_empty() {
            return Decayed { value: x, at };
        }
        let value = if at >= self.at {
            faded(self.value, at.abs_diff(self.at), half_life) + x
        } else {
            self.value + faded(x, self.at.abs_diff(at), half_life)
        };
        Decayed {
            value: value.clamp(f64::MIN, f64::MAX),
            at: self.at.max(at),
        }
    }

    /// The value as it has faded by `now` (microseconds), for a half-life in microseconds. Before the newest event it
    /// reads as at that event; the empty state reads 0. Never NaN.
    pub fn read(self, now: i64, half_life: f64) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let value = faded(self.value, now.max(self.at).abs_diff(self.at), half_life);
        if value.is_nan() { 0.0 } else { value }
    }

    /// Whether nothing was added yet.
    pub fn is_empty(self) -> bool {
        self.at == i64::MIN
    }
}

/// What remains of `value` after `elapsed` microseconds. In two halves when the share alone would be too small for an
/// f64 to hold precisely: a huge value may still be an ordinary one by then.
fn faded(value: f64, elapsed: u64, half_life: f64) -> f64 {
    let share = remaining(elapsed, half_life);
    if share > f64::MIN_POSITIVE {
        value * share
    } else {
        let half = remaining(elapsed, 2.0 * half_life);
        value * half * half
    }
}

/// The share that remains after `elapsed` microseconds: 2^(−elapsed/half_life), exactly 1 when nothing fades.
pub fn remaining(elapsed: u64, half_life: f64) -> f64 {
    if elapsed == 0 {
        1.0
    } else if half_life > 0.0 {
        halved(elapsed as f64 / half_life)
    } else {
        0.0
    }
}

/// 2^−x, for x from 0 on: to 2 units in the last place, and exactly where x is a whole number.
///
/// By the Taylor series of e^t to t¹², with t = r·ln 2 and |r| ≤ ½ what is left of x beside the nearest whole number:
/// the next term is below 1.7e-16 of the sum. Every decision does this once a feature; a table, as `libm` has it,
/// would have to be fetched into the processor's cache each time.
fn halved(x: f64) -> f64 {
    const ROUND: f64 = (3u64 << 51) as f64; // what is added to it has no room for a fraction
    if x.is_nan() || x >= 1022.0 {
        return libm::exp2(-x);
    }
    let whole = (x + ROUND) - ROUND;
    let t = (whole - x) * std::f64::consts::LN_2;
    let (t2, t4) = (t * t, t * t * (t * t));
    let low = (1.0 / 2.0 + t * (1.0 / 6.0)) + t2 * (1.0 / 24.0 + t * (1.0 / 120.0));
    let middle = (1.0 / 720.0 + t * (1.0 / 5040.0)) + t2 * (1.0 / 40320.0 + t * (1.0 / 362_880.0));
    let high = 1.0 / 3_628_800.0 + t * (1.0 / 39_916_800.0) + t2 * (1.0 / 479_001_600.0);
    let above_one = t + t2 * (low + t4 * (middle + t4 * high));
    let power = f64::from_bits((1023 - whole as u64) << 52);
    (1.0 + above_one) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600_000_000;

    fn added(events: &[(f64, i64)], half_life: f64) -> Decayed {
        events.iter().fold(Decayed::EMPTY, |state, &(x, at)| {
            state.add(x, at, half_life)
        })
    }

    #[test]
    fn halves_at_each_half_life() {
        let state = Decayed::EMPTY.add(8.0, 0, HOUR as f64);
        for (hours, expected) in [(0, 8.0), (1, 4.0), (2, 2.0), (3, 1.0), (10, 8.0 / 1024.0)] {
            assert_eq!(state.read(hours * HOUR, HOUR as f64), expected);
        }
        assert_eq!(
            state.add(1.0, HOUR, HOUR as f64),
            Decayed {
                value: 5.0,
                at: HOUR
            }
        );
    }

    #[test]
    fn an_older_event_fades_to_the_state() {
        let state = Decayed::EMPTY
            .add(1.0, 2 * HOUR, HOUR as f64)
            .add(8.0, 0, HOUR as f64);
        assert_eq!(
            state,
            Decayed {
                value: 3.0,
                at: 2 * HOUR
            }
        );
    }

    #[test]
    fn a_huge_value_fades_as_far_at_once_as_in_steps() {
        // 2^1000 fades by 1500 half-lives to 2^-500, though 2^-1500 is no f64
        let huge = libm::exp2(1000.0);
        let at = 1500 * HOUR;
        let once = Decayed::EMPTY.add(huge, 0, HOUR as f64);
        assert_eq!(once.read(at, HOUR as f64), libm::exp2(-500.0));
        assert_eq!(once.add(0.0, at, HOUR as f64).value, libm::exp2(-500.0));
        let late = Decayed::EMPTY.add(0.0, at, HOUR as f64);
        assert_eq!(late.add(huge, 0, HOUR as f64).value, libm::exp2(-500.0));
    }

    #[test]
    fn reads_before_the_state_are_clamped() {
        let state = Decayed::EMPTY.add(3.0, HOUR, HOUR as f64);
        assert_eq!(state.read(0, HOUR as f64), 3.0);
        assert_eq!(state.read(i64::MIN, HOUR as f64), 3.0);
    }

    #[test]
    fn empty_reads_zero() {
        assert!(Decayed::EMPTY.is_empty());
        for now in [i64::MIN, 0, i64::MAX] {
            assert_eq!(Decayed::EMPTY.read(now, f64::INFINITY), 0.0);
            assert_eq!(Decayed::EMPTY.read(now, 1.0), 0.0);
        }
        assert!(!Decayed::EMPTY.add(0.0, i64::MIN, 1.0).is_empty());
    }

    #[test]
    fn without_decay_counts_are_exact() {
        let mut state = Decayed::EMPTY;
        for i in 0..10_000i64 {
            state = state.add(1.0, (i * 7919) % 10_007 * HOUR, f64::INFINITY);
        }
        assert_eq!(state.value, 10_000.0);
        assert_eq!(state.read(i64::MAX, f64::INFINITY), 10_000.0);
    }

    #[test]
    fn the_ends_of_time_and_of_numbers_are_safe() {
        for half_life in [
            f64::INFINITY,
            f64::MAX,
            HOUR as f64,
            f64::MIN_POSITIVE,
            0.0,
            -1.0,
            f64::NAN,
        ] {
            let state = Decayed::EMPTY
                .add(1.0, i64::MIN, half_life)
                .add(2.0, i64::MAX, half_life);
            assert_eq!(state.at, i64::MAX);
            assert!(state.read(i64::MAX, half_life).is_finite());
            assert!(state.read(i64::MIN, half_life).is_finite());
            let state = Decayed::EMPTY
                .add(2.0, i64::MAX, half_life)
                .add(1.0, i64::MIN, half_life);
            assert!(state.value >= 2.0 && state.value <= 3.0);
        }
        let huge = Decayed::EMPTY.add(f64::MAX, 0, 1.0).add(f64::MAX, 0, 1.0);
        assert_eq!(huge.value, f64::MAX);
        assert_eq!(huge.add(f64::NAN, 5, 1.0).add(f64::INFINITY, 5, 1.0), huge);
        let stored = Decayed {
            value: f64::INFINITY,
            at: 0,
        }; // not made by add, but perhaps by a table
        assert!(!stored.read(i64::MAX, 1.0).is_nan());
    }

    #[test]
    fn whole_halvings_are_exact() {
        for n in 0..1100 {
            assert_eq!(halved(f64::from(n)), libm::exp2(-f64::from(n)), "{n}");
        }
        assert_eq!(halved(f64::INFINITY), 0.0);
        assert!(halved(f64::NAN).is_nan());
    }

    #[derive(serde::Deserialize)]
    struct Case {
        half_life: f64,
        now: i64,
        value: f64,
        events: Vec<(f64, i64)>,
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    #[test]
    fn agrees_with_the_reference() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../pgrx-tests/golden/decay.json")).unwrap();
        for case in golden.cases {
            let value = added(&case.events, case.half_life).read(case.now, case.half_life);
            assert!(
                (value - case.value).abs() <= 1e-12 * case.value,
                "{value}, not {}",
                case.value
            );
        }
    }

    proptest! {
        #[test]
        fn any_order_gives_the_same_state(
            (events, shuffled) in prop::collection::vec((-100.0..100.0f64, 0..1000 * HOUR), 1..40)
                .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
            hours in 0.01..5000.0f64,
        ) {
            let half_life = hours * HOUR as f64;
            let (a, b) = (added(&events, half_life), added(&shuffled, half_life));
            prop_assert_eq!(a.at, b.at);
            let now = a.at + HOUR;
            let size: f64 = events.iter().map(|&(x, at)| x.abs() * remaining(now.abs_diff(at), half_life)).sum();
            let direct: f64 = events.iter().map(|&(x, at)| x * remaining(now.abs_diff(at), half_life)).sum();
            prop_assert!((a.read(now, half_life) - b.read(now, half_life)).abs() <= 1e-9 * size);
            prop_assert!((a.read(now, half_life) - direct).abs() <= 1e-9 * size);
        }

        #[test]
        fn halvings_are_those_of_the_library(
            x in prop_oneof![0.0..1.0f64, 0.0..60.0f64, 0.0..1100.0f64, (0..1100u32, -1e-9..1e-9f64).prop_map(|(n, d)| (f64::from(n) + d).max(0.0))],
        ) {
            let (ours, theirs) = (halved(x), libm::exp2(-x));
            prop_assert!(ours.to_bits().abs_diff(theirs.to_bits()) <= 2, "{ours} for {theirs} at {x}");
        }

        #[test]
        fn never_nan(
            (x, y) in any::<(f64, f64)>(),
            (s, t, now) in any::<(i64, i64, i64)>(),
            half_life in any::<f64>(),
        ) {
            let state = Decayed::EMPTY.add(x, s, half_life).add(y, t, half_life);
            prop_assert!(state.value.is_finite());
            prop_assert!(state.read(now, half_life).is_finite());
        }
    }
}
