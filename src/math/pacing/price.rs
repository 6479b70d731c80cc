//! The price of a unit of a budget, moved until the demand meets the curve.
//!
//! Decisions maximize Σ u·π − price·(A·π − b). The dual of that, as a function of the price, has the subgradient
//! b − A·π: supply minus demand. So the price takes projected steps
//!   price ← clamp(price + step · σ · (asked − due) / due, floor, most · σ)
//! where σ is the spread of scores per unit, so that a step means the same for scores of any scale, and `asked` is what
//! would have been taken without the gate: taken / (1 − refused share). `due` is what the gate lets through: the growth of
//! the line, and a part of the lag behind it; with a little headroom, so that the gate still refuses some requests and the
//! price never leaves a unit unspent.
//!
//! # Why it is stable
//! With y = delivered − line, asked − due is y′ + y/H: a price that integrates this is a proportional and integral
//! controller of y. If it reduces the demand by k·price/σ, y″ = −(k/τ)·(y′ + y/H), where τ is the time in which a full
//! error moves it by σ. Its damping ratio is √(k·H/τ)/2; with τ = H/4 and k about 1 it is 1, critical: nothing oscillates.

use super::{CATCH_UP, CLOSING, FINISH};

/// The largest price, in spreads; it goes to 0 at the end of the window.
const MOST: f64 = 8.0;
/// The largest step, in spreads.
const STEP: f64 = 0.25;
/// How much more demand there should be than is due.
const HEADROOM: f64 = 0.05;
/// With this number of chances a step has half its length.
const FEW: f64 = 20.0;
/// The least τ, in microseconds: counts come in lumps.
const SHORTEST: f64 = 30e6;

/// The price of a unit: what is subtracted from a score per unit that it would count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Above 0 it holds demand back; below 0, for a goal alone, it is a bonus.
    pub per_unit: f64,
}

/// What was seen since the last step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Feedback {
    /// Microseconds since the last step.
    pub elapsed: f64,
    /// How old the newest of it is, in microseconds.
    pub age: f64,
    /// Length of the window, in microseconds.
    pub window: f64,
    /// How much of it is left.
    pub left: f64,
    /// Units counted since then.
    pub taken: f64,
    /// Units counted in the window.
    pub delivered: f64,
    /// The line that they should follow.
    pub line: Line,
    /// The share of the decisions asking for a unit that the gate refused.
    pub refused: f64,
    /// How many decisions could have taken a unit, asking or not.
    pub chances: f64,
    /// The spread (standard deviation) of scores per unit.
    pub spread: f64,
    /// The line of what should at least be delivered.
    pub goal: Option<Line>,
}

/// The line that delivery should follow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// Units by which it grew since the last step.
    pub due: f64,
    /// Where it is.
    pub now: f64,
    /// Where it ends.
    pub end: f64,
}

impl Feedback {
    /// H, as the gate has it.
    fn catch_up(&self) -> f64 {
        (self.window * CATCH_UP).min(self.time() / f64::from(CLOSING))
    }

    /// The time to the end of the line.
    fn time(&self) -> f64 {
        self.left - self.window * (1.0 - FINISH)
    }

    /// τ: the microseconds in which a full error moves the price by one spread.
    fn settling(&self) -> f64 {
        (self.catch_up() / 4.0).max(SHORTEST)
    }
}

impl Price {
    /// The price after that feedback. Numbers that are not finite are ignored.
    pub fn step(self, seen: &Feedback) -> Price {
        let spread = if seen.spread.is_finite() {
            seen.spread.max(0.0)
        } else {
            0.0
        };
        // At the end there is nothing left to keep units for.
        let closing = (seen.time() / (seen.window * CATCH_UP)).clamp(0.0, 1.0);
        let most = MOST * spread * if closing.is_nan() { 1.0 } else { closing };
        let before = if self.per_unit.is_finite() {
            self.per_unit
        } else {
            0.0
        };
        let length = spread * STEP.min(seen.elapsed / seen.settling()) * trust(seen);
        let error = error(&seen.line, seen);
        let moved = |error: f64| {
            let step = length * error;
            before + if step.is_finite() { step } else { 0.0 }
        };
        let short = seen.goal.as_ref().map(|goal| self::error(goal, seen));
        let after = match short {
            // A price goes to 0 before there is a bonus, and a bonus before there is a price.
            Some(short) if before < 0.0 || before == 0.0 && error <= 0.0 => moved(short).min(0.0),
            _ => moved(error).max(0.0),
        };
        Price {
            per_unit: after.clamp(-most, most),
        }
    }
}

/// (asked − due) / due, within [−1, 1]. `due` is what the gate allows: behind the line a part of the lag too; ahead of
/// it the rest of the budget, spread over the rest of the time.
fn error(line: &Line, seen: &Feedback) -> f64 {
    let behind = line.now - seen.delivered;
    let due = if behind >= 0.0 {
        line.due + behind * (seen.elapsed / seen.catch_up().max(SHORTEST)).min(1.0)
    } else {
        line.due * (line.end - seen.delivered).max(0.0) / (line.end - line.now)
    };
    let due = due * (1.0 + HEADROOM);
    let refused = seen.refused.clamp(0.0, 1.0);
    let asked = seen.taken / (1.0 - refused);
    let error = if refused >= 1.0 {
        1.0
    } else if due > 0.0 {
        (asked - due) / due
    } else if asked > 0.0 {
        1.0
    } else {
        0.0
    };
    if error.is_nan() {
        0.0
    } else {
        error.clamp(-1.0, 1.0)
    }
}

/// How much the feedback counts: less if there were few chances, and less if it is old.
fn trust(seen: &Feedback) -> f64 {
    let many = seen.chances.max(0.0) / (seen.chances.max(0.0) + FEW);
    let fresh = 1.0 / (1.0 + seen.age.max(0.0) / seen.settling());
    let trust = many * fresh;
    if trust.is_finite() { trust } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: f64 = 86_400e6;

    /// So much was due, and it is so much ahead.
    fn line(due: f64, behind: f64) -> Line {
        Line {
            due,
            now: 5_000.0 + behind,
            end: 10_000.0,
        }
    }

    /// A minute in which all that was due was taken.
    fn even() -> Feedback {
        Feedback {
            elapsed: 60e6,
            age: 0.0,
            window: DAY,
            left: DAY / 2.0,
            taken: 100.0,
            delivered: 5_000.0,
            line: line(100.0, 0.0),
            refused: 0.0,
            chances: 1_000.0,
            spread: 2.0,
            goal: None,
        }
    }

    fn after(per_unit: f64, seen: &Feedback) -> f64 {
        Price { per_unit }.step(seen).per_unit
    }

    #[test]
    fn demand_raises_it_and_a_lag_lowers_it() {
        let refused = Feedback {
            refused: 0.5,
            ..even()
        };
        assert!(after(0.0, &refused) > 0.0);
        let behind = Feedback {
            taken: 50.0,
            line: line(100.0, 500.0),
            ..even()
        };
        assert!(after(1.0, &behind) < 1.0);
        // Nobody is held back: the headroom takes it back to 0, and not below.
        assert!(after(1.0, &even()) < 1.0);
        assert_eq!(after(0.0, &even()), 0.0);
    }

    #[test]
    fn few_or_old_feedback_moves_it_less() {
        let seen = Feedback {
            refused: 0.9,
            ..even()
        };
        let moved = after(1.0, &seen) - 1.0;
        let few = after(
            1.0,
            &Feedback {
                chances: 5.0,
                ..seen
            },
        ) - 1.0;
        let old = after(1.0, &Feedback { age: DAY, ..seen }) - 1.0;
        assert!(few > 0.0 && few < moved / 4.0);
        assert!(old > 0.0 && old < moved / 50.0);
        assert_eq!(
            after(
                1.0,
                &Feedback {
                    chances: 0.0,
                    ..seen
                }
            ),
            1.0
        );
    }

    #[test]
    fn ahead_of_the_line_what_is_left_is_spread_over_the_rest() {
        // A fifth of the window is over, a half is delivered: 5/8 of the pace is right, and with it the price is.
        let ahead = |taken| Feedback {
            taken,
            line: line(100.0, -3_000.0),
            ..even()
        };
        assert!(after(1.0, &ahead(50.0)) < 1.0);
        assert!(after(1.0, &ahead(80.0)) > 1.0);
    }

    #[test]
    fn a_price_at_which_nobody_asks_falls() {
        let seen = Feedback {
            taken: 0.0,
            ..even()
        };
        assert!(after(3.0, &seen) < 3.0);
    }

    #[test]
    fn a_goal_that_is_missed_gives_a_bonus_until_it_is_met() {
        let goal = |due, behind| Feedback {
            taken: 10.0,
            goal: Some(line(due, behind)),
            ..even()
        };
        let short = goal(50.0, 500.0);
        let bonus = after(0.0, &short);
        assert!(bonus < 0.0);
        assert!(after(bonus, &short) < bonus);
        let met = after(bonus, &goal(5.0, -500.0));
        assert!(met > bonus && met <= 0.0);
        // Without a goal there is none.
        assert_eq!(
            after(
                0.0,
                &Feedback {
                    goal: None,
                    ..short
                }
            ),
            0.0
        );
        assert_eq!(
            after(
                bonus,
                &Feedback {
                    goal: None,
                    ..short
                }
            ),
            0.0
        );
    }

    #[test]
    fn it_is_worth_the_same_in_any_unit_of_score() {
        let seen = Feedback {
            refused: 0.3,
            ..even()
        };
        let scaled = Feedback {
            spread: 2_000.0,
            ..seen
        };
        assert_eq!(after(1_000.0, &scaled), 1_000.0 * after(1.0, &seen));
        assert_eq!(
            after(
                1.0,
                &Feedback {
                    spread: 0.0,
                    ..seen
                }
            ),
            0.0
        );
    }

    proptest! {
        #[test]
        fn steps_and_range_are_bounded(
            price in -20.0..20.0f64,
            (elapsed, age, window) in (0.0..1e13f64, 0.0..1e13f64, 0.0..1e13f64),
            (taken, due, behind) in (0.0..1e6f64, 0.0..1e6f64, -1e6..1e6f64),
            (refused, chances) in (0.0..1.1f64, 0.0..1e6f64),
            goal in prop::option::of((0.0..1e6f64, -1e6..1e6f64)),
        ) {
            let goal = goal.map(|(due, behind)| line(due, behind));
            let seen = Feedback { elapsed, age, window, left: window, taken, delivered: 5_000.0, line: line(due, behind), refused, chances, spread: 1.0, goal };
            let price = if goal.is_none() { price.max(0.0) } else { price }.clamp(-8.0, 8.0);
            let stepped = after(price, &seen);
            prop_assert!((stepped - price).abs() <= 0.25 + 1e-12);
            prop_assert!(stepped.abs() <= 8.0);
        }

        #[test]
        fn never_nan(
            price in any::<f64>(),
            (elapsed, age, window, taken) in any::<(f64, f64, f64, f64)>(),
            (due, behind, refused, chances, spread) in any::<(f64, f64, f64, f64, f64)>(),
            goal in prop::option::of(any::<(f64, f64)>()),
        ) {
            let goal = goal.map(|(due, behind)| line(due, behind));
            let seen = Feedback { elapsed, age, window, left: window, taken, delivered: 5_000.0, line: line(due, behind), refused, chances, spread, goal };
            prop_assert!(after(price, &seen).is_finite());
        }
    }
}
