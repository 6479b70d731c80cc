//! Decisions with one or several slots, as rows of every estimator that fits.
//!
//! A slot k has the reward rₖ, and the probabilities of what was chosen for it, given the slots before. With wₖ the ratio
//! of target and log, the weight of the slots up to k is Wₖ = w₁·…·wₖ. Of a decision with K slots:
//!
//! | estimator | row | assumes | source |
//! | --- | --- | --- | --- |
//! | IPS, SNIPS, clipped IPS | W_K and Σ rₖ | nothing | A. Swaminathan et al., 2017 ("standard" IPS of slates) |
//! | RIPS | Σ Wₖ·rₖ | a slot's reward does not depend on what is shown behind it | J. McInerney et al., 2020 |
//! | cascade DR | Σ W₍ₖ₋₁₎·bₖ + Wₖ·(rₖ − qₖ) | the same | H. Kiyohara et al., 2022 |
//!
//! where qₖ is what a model expects of the slot, and bₖ = Σ p·q over its candidates. In cascade DR of that paper q is what is
//! expected of all slots from k on; here it is of the slot itself, which is unbiased as well. With one slot RIPS is IPS, and cascade DR is DR.

use super::row::{RowError, finite, shrunk, split, switched};
use super::{
    Estimate, Moments, Overflow, mean, mean_clipped, mean_limited, mean_modelled, ratio,
    ratio_doubly_robust,
};

/// What log and target say of a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// What came of it.
    pub reward: f64,
    /// The probability of what was chosen, given the slots before: by the log, and by the target.
    pub logged: f64,
    pub target: f64,
    /// The reward that a model expects of what was chosen, and of the target; 0 without a model.
    pub q_logged: f64,
    pub q_target: f64,
}

impl Slot {
    /// One in which both could only show the same: what is expected is what has come.
    pub fn forced(reward: f64) -> Slot {
        Slot {
            reward,
            logged: 1.0,
            target: 1.0,
            q_logged: reward,
            q_target: reward,
        }
    }

    fn row(&self) -> [f64; 5] {
        [
            self.reward,
            self.logged,
            self.target,
            self.q_logged,
            self.q_target,
        ]
    }
}

/// The limits of estimators that have one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightLimits {
    /// Of clipped IPS.
    pub most_weight: f64,
    /// Of Switch-DR.
    pub threshold: f64,
    /// Of DRos.
    pub lambda: f64,
}

/// A decision as a row of the estimators that every decision has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionRow {
    /// Σ rₖ.
    pub reward: f64,
    /// W_K.
    pub weight: f64,
    /// Σ Wₖ·rₖ.
    pub by_slot: f64,
    /// The row of cascade DR.
    pub doubly_robust: f64,
}

impl DecisionRow {
    /// Of the log itself.
    pub fn of_log(reward: f64) -> DecisionRow {
        DecisionRow {
            reward,
            weight: 1.0,
            by_slot: reward,
            doubly_robust: reward,
        }
    }

    /// Of the slots of a decision.
    pub fn of(slots: &[Slot]) -> Result<DecisionRow, RowError> {
        let mut row = DecisionRow {
            reward: 0.0,
            weight: 1.0,
            by_slot: 0.0,
            doubly_robust: 0.0,
        };
        for slot in slots {
            let before = row.weight;
            let [rest, own, base] = split(slot.row())?;
            row.reward += slot.reward;
            row.weight = finite("weight", before * own)?;
            row.by_slot += row.weight * slot.reward;
            row.doubly_robust += before * (base + rest);
        }
        Ok(row)
    }
}

/// The estimates of a target by all estimators that fit.
#[derive(Clone, Debug)]
pub struct Estimates {
    limits: WeightLimits,
    /// Whether a model says which rewards to expect.
    is_modelled: bool,
    /// Whether a decision had several slots.
    has_slates: bool,
    logged: Moments<1>,
    whole: Moments<2>,
    clipped: Moments<3>,
    by_slot: Moments<2>,
    doubly_robust: Moments<2>,
    modelled: Moments<1>,
    split: Moments<3>,
    switched: Moments<3>,
    shrunk: Moments<3>,
}

/// An estimator and what it says.
pub type Named = (&'static str, Result<Estimate, Overflow>);

impl Estimates {
    /// Without a decision yet.
    pub fn new(limits: WeightLimits, is_modelled: bool) -> Estimates {
        Estimates {
            limits,
            is_modelled,
            has_slates: false,
            logged: Moments::new(),
            whole: Moments::new(),
            clipped: Moments::new(),
            by_slot: Moments::new(),
            doubly_robust: Moments::new(),
            modelled: Moments::new(),
            split: Moments::new(),
            switched: Moments::new(),
            shrunk: Moments::new(),
        }
    }

    /// Adds a decision, and answers its row.
    pub fn push(&mut self, slots: &[Slot]) -> Result<DecisionRow, RowError> {
        let row = DecisionRow::of(slots)?;
        self.has_slates |= slots.len() > 1;
        self.logged.push([row.reward]);
        self.whole.push([row.weight * row.reward, row.weight]);
        let used = row.weight.min(self.limits.most_weight);
        self.clipped.push([used * row.reward, used, row.weight]);
        self.by_slot.push([row.by_slot, row.weight]);
        if self.is_modelled {
            self.doubly_robust.push([row.doubly_robust, row.weight]);
        }
        if self.is_modelled
            && !self.has_slates
            && let [slot] = slots
        {
            let [reward, logged, target, q_logged, q_target] = slot.row();
            let limited = |limit| [reward, logged, target, q_logged, q_target, limit];
            self.modelled.push([q_target]);
            self.split.push(split(slot.row())?);
            self.switched
                .push(switched(limited(self.limits.threshold))?);
            self.shrunk.push(shrunk(limited(self.limits.lambda))?);
        }
        Ok(row)
    }

    /// What the log has earned itself, and then what each estimator says; nothing without a decision.
    pub fn estimates(&self) -> Vec<Named> {
        let own = [
            ("logged", mean_modelled(&self.logged)),
            ("ips", mean(&self.whole)),
            ("snips", ratio(&self.whole)),
            ("cips", mean_clipped(&self.clipped)),
        ];
        let mut found = own.to_vec();
        if self.has_slates {
            found.push(("rips", mean(&self.by_slot)));
        }
        match (self.is_modelled, self.has_slates) {
            (false, _) => {}
            (true, true) => found.push(("cascade_dr", mean(&self.doubly_robust))),
            (true, false) => found.extend([
                ("dm", mean_modelled(&self.modelled)),
                ("dr", mean(&self.doubly_robust)),
                ("sndr", ratio_doubly_robust(&self.split)),
                ("switch_dr", mean_limited(&self.switched)),
                ("dros", mean_limited(&self.shrunk)),
            ]),
        }
        let found = found.into_iter();
        found
            .filter_map(|(name, estimate)| Some((name, estimate?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{clipped, doubly_robust, weighted};
    use super::*;

    const LIMITS: WeightLimits = WeightLimits {
        most_weight: 2.0,
        threshold: 1.5,
        lambda: 3.0,
    };

    fn slot(reward: f64, logged: f64, target: f64, q_logged: f64, q_target: f64) -> Slot {
        Slot {
            reward,
            logged,
            target,
            q_logged,
            q_target,
        }
    }

    fn log() -> Vec<Slot> {
        (1..40)
            .map(|i| {
                let x = f64::from(i);
                slot(
                    f64::from(i % 3),
                    0.1 + 0.02 * x,
                    f64::from(i % 5) / 5.0,
                    0.3 + 0.01 * x,
                    0.4,
                )
            })
            .collect()
    }

    #[test]
    fn one_slot_is_what_the_aggregates_say() {
        let mut all = Estimates::new(LIMITS, true);
        let (mut whole, mut cips, mut dr) = (Moments::new(), Moments::new(), Moments::new());
        let (mut sndr, mut switch, mut dros) = (Moments::new(), Moments::new(), Moments::new());
        for slot in log() {
            all.push(&[slot]).unwrap();
            let [reward, logged, target, q_logged, q_target] = slot.row();
            let with = |limit| [reward, logged, target, q_logged, q_target, limit];
            whole.push(weighted([reward, logged, target]).unwrap());
            cips.push(clipped([reward, logged, target, LIMITS.most_weight]).unwrap());
            dr.push(doubly_robust(slot.row()).unwrap());
            sndr.push(split(slot.row()).unwrap());
            switch.push(switched(with(LIMITS.threshold)).unwrap());
            dros.push(shrunk(with(LIMITS.lambda)).unwrap());
        }
        let expected = [
            ("ips", mean(&whole)),
            ("snips", ratio(&whole)),
            ("cips", mean_clipped(&cips)),
            ("dr", mean(&dr)),
            ("sndr", ratio_doubly_robust(&sndr)),
            ("switch_dr", mean_limited(&switch)),
            ("dros", mean_limited(&dros)),
        ];
        let found = all.estimates();
        for (name, estimate) in expected {
            let same = found.iter().find(|(known, _)| *known == name).unwrap();
            assert_eq!(Some(same.1.clone()), estimate, "{name}");
        }
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "logged",
                "ips",
                "snips",
                "cips",
                "dm",
                "dr",
                "sndr",
                "switch_dr",
                "dros"
            ]
        );
    }

    #[test]
    fn slots_are_weighted_by_those_up_to_them() {
        let slots = [
            slot(1.0, 0.5, 0.8, 0.3, 0.4),
            slot(2.0, 0.4, 0.1, 0.5, 0.6),
            slot(0.0, 0.5, 0.0, 0.1, 0.2),
        ];
        let row = DecisionRow::of(&slots).unwrap();
        let (w1, w2) = (0.8 / 0.5, 0.8 / 0.5 * (0.1 / 0.4));
        assert_eq!((row.reward, row.weight), (3.0, 0.0));
        assert!((row.by_slot - (w1 + 2.0 * w2)).abs() < 1e-15);
        let robust = 0.4 + w1 * 0.7 + (w1 * 0.6 + w2 * 1.5) + w2 * 0.2;
        assert!((row.doubly_robust - robust).abs() < 1e-15);
        let mut all = Estimates::new(LIMITS, true);
        all.push(&slots).unwrap();
        let names: Vec<&str> = all.estimates().iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            ["logged", "ips", "snips", "cips", "rips", "cascade_dr"]
        );
    }

    /// Two slots out of three actions, drawn without repetition: every slate, by its probability under the log, gives
    /// what the target earns, exactly. A slot's reward depends on it and on the slots before.
    #[test]
    fn over_all_slates_the_target_has_its_own_value() {
        let (log, target) = ([0.5, 0.3, 0.2], [0.1, 0.6, 0.3]);
        let given = |p: &[f64; 3], first: usize, second: usize| p[second] / (1.0 - p[first]);
        let reward = |first: usize, second: Option<usize>| match second {
            None => first as f64 + 1.0,
            Some(second) => (3 * first + second) as f64 / 4.0,
        };
        let model = |action: usize| 0.3 * action as f64;
        let (mut by_log, mut truth) = ([0.0; 3], 0.0);
        for first in 0..3 {
            for second in (0..3).filter(|&second| second != first) {
                let earned = [reward(first, None), reward(first, Some(second))];
                let expected = |p: &[f64; 3]| (0..3).map(|a| p[a] * model(a)).sum::<f64>();
                let left: f64 = (0..3)
                    .filter(|&a| a != first)
                    .map(|a| given(&target, first, a) * model(a))
                    .sum();
                let slots = [
                    slot(
                        earned[0],
                        log[first],
                        target[first],
                        model(first),
                        expected(&target),
                    ),
                    slot(
                        earned[1],
                        given(&log, first, second),
                        given(&target, first, second),
                        model(second),
                        left,
                    ),
                ];
                let row = DecisionRow::of(&slots).unwrap();
                let chance = log[first] * given(&log, first, second);
                let columns = [row.weight * row.reward, row.by_slot, row.doubly_robust];
                for (sum, column) in by_log.iter_mut().zip(columns) {
                    *sum += chance * column;
                }
                truth += target[first] * given(&target, first, second) * (earned[0] + earned[1]);
            }
        }
        for value in by_log {
            assert!((value - truth).abs() < 1e-12, "{value} is not {truth}");
        }
    }

    #[test]
    fn a_forced_slot_changes_nothing() {
        let one = slot(1.0, 0.5, 0.8, 0.3, 0.4);
        let alone = DecisionRow::of(&[one]).unwrap();
        let with = DecisionRow::of(&[one, Slot::forced(0.0)]).unwrap();
        assert_eq!(alone, with);
        let all = DecisionRow::of(&[Slot::forced(7.0)]).unwrap();
        assert_eq!((all.reward, all.weight, all.doubly_robust), (7.0, 1.0, 7.0));
    }
}
