//! What a person has decided about purposes, as it lies in their row.

use crate::pg::datum::{self, Arg};

/// A purpose has a bit in masks, so there are no more than these.
pub const MOST_PURPOSES: i32 = 62;

/// Two masks, then pairs of a purpose, or a region, and when it was decided; empty where nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consents(Vec<i64>);

/// Where the masks are: of the purposes that were granted, and of those that were decided.
const GRANTED: usize = 0;
const DECIDED: usize = 1;
const PAIRS: usize = 2;

/// The pair with a number below 0 is of the region: this one where it is not known, else less, by the number of the region.
const NO_REGION: i64 = -1;

impl Consents {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The purposes that were granted, and those that were decided at all, as bits.
    pub fn masks(&self) -> (u64, u64) {
        match self.0[..] {
            [granted, decided, ..] => (granted as u64, decided as u64),
            _ => (0, 0),
        }
    }

    /// When a purpose was decided last.
    pub fn decided_at(&self, purpose: i32) -> Option<i64> {
        let pairs = self.0.get(PAIRS..)?.as_chunks::<2>().0;
        let found = pairs.iter().find(|pair| pair[0] == i64::from(purpose));
        found.map(|pair| pair[1])
    }

    /// Notes a decision; false if a newer one is known. Of two of the same moment the denial holds.
    pub fn decide(&mut self, purpose: i32, granted: bool, at: i64) -> bool {
        let bit = 1 << purpose;
        let before = self.decided_at(purpose);
        let was_granted = self.masks().0 & bit as u64 != 0;
        let holds =
            before.is_none_or(|before| at > before || at == before && was_granted && !granted);
        if !holds {
            return false;
        }
        if self.0.is_empty() {
            self.0.extend([0; PAIRS]);
        }
        match granted {
            true => self.0[GRANTED] |= bit,
            false => self.0[GRANTED] &= !bit,
        }
        self.0[DECIDED] |= bit;
        let pairs = self.0[PAIRS..].as_chunks_mut::<2>().0;
        match pairs.iter_mut().find(|pair| pair[0] == i64::from(purpose)) {
            Some(pair) => pair[1] = at,
            None => self.0.extend([i64::from(purpose), at]),
        }
        true
    }

    /// Notes the region of the person, None where it is not known; false if a newer one is known. Of two of the same
    /// moment the unknown one holds, or the one with the lower number.
    pub fn set_region(&mut self, region: Option<i32>, at: i64) -> bool {
        let code = region.map_or(NO_REGION, |number| NO_REGION - 1 - i64::from(number));
        if self.0.is_empty() {
            self.0.extend([0; PAIRS]);
        }
        let pairs = self.0[PAIRS..].as_chunks_mut::<2>().0;
        match pairs.iter_mut().find(|pair| pair[0] < 0) {
            Some(known) if (known[1], known[0]) >= (at, code) => false,
            Some(known) => {
                *known = [code, at];
                true
            }
            None => {
                self.0.extend([code, at]);
                true
            }
        }
    }

    /// The number of the region of the person, if one is known.
    pub fn region(&self) -> Option<i32> {
        let pairs = self.0.get(PAIRS..)?.as_chunks::<2>().0;
        let found = pairs.iter().find(|pair| pair[0] < NO_REGION)?;
        Some((NO_REGION - 1 - found[0]) as i32)
    }

    /// Takes in what another user who is the same person has decided.
    pub fn merge(&mut self, other: &Consents) {
        let granted = other.masks().0;
        let pairs = other.0.get(PAIRS..).unwrap_or_default();
        for &[purpose, at] in pairs.as_chunks::<2>().0 {
            if purpose < 0 {
                let region = (purpose < NO_REGION).then_some((NO_REGION - 1 - purpose) as i32);
                self.set_region(region, at);
                continue;
            }
            let purpose = purpose as i32;
            self.decide(purpose, granted & (1 << purpose) != 0, at);
        }
    }

    /// Where a row is read into.
    pub(super) fn numbers(&mut self) -> &mut Vec<i64> {
        &mut self.0
    }

    pub(super) fn become_like(&mut self, other: &Consents) {
        self.0.clear();
        self.0.extend_from_slice(&other.0);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// As the column has them.
    pub fn datum(&self) -> Arg<'_> {
        match self.0.is_empty() {
            true => None,
            false => datum::array(&self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_decision_holds_whatever_the_order() {
        let decisions = [
            (1, true, 10),
            (1, false, 20),
            (1, true, 20),
            (2, true, 5),
            (1, true, 15),
        ];
        let mut orders = vec![decisions.to_vec()];
        for shift in 1..decisions.len() {
            let mut order = decisions.to_vec();
            order.rotate_left(shift);
            orders.push(order.clone());
            order.reverse();
            orders.push(order);
        }
        for order in orders {
            let mut consents = Consents::default();
            for &(purpose, granted, at) in &order {
                consents.decide(purpose, granted, at);
            }
            assert_eq!(consents.masks(), (0b100, 0b110), "{order:?}");
            assert_eq!(consents.decided_at(1), Some(20));
            assert_eq!(consents.decided_at(2), Some(5));
        }
    }

    #[test]
    fn of_two_users_who_are_one_the_newest_decisions_hold() {
        let [mut one, mut other] = [Consents::default(), Consents::default()];
        one.decide(1, true, 10);
        one.decide(2, true, 10);
        other.decide(2, false, 20);
        other.decide(3, true, 5);
        let mut merged = one.clone();
        merged.merge(&other);
        assert_eq!(merged.masks(), (0b1010, 0b1110));
        other.merge(&one);
        assert_eq!(other.masks(), merged.masks());
        assert_eq!(other.decided_at(2), Some(20));
    }

    #[test]
    fn the_newest_region_holds_and_is_no_purpose() {
        let mut consents = Consents::default();
        assert_eq!(consents.region(), None);
        consents.decide(3, true, 10);
        assert!(consents.set_region(Some(1), 10));
        assert!(!consents.set_region(Some(2), 9));
        assert!(!consents.set_region(Some(2), 10));
        assert_eq!(consents.region(), Some(1));
        assert_eq!(consents.masks(), (0b1000, 0b1000));
        let mut other = Consents::default();
        assert!(other.set_region(Some(40), 20));
        consents.merge(&other);
        assert_eq!(consents.region(), Some(40));
        assert!(consents.set_region(None, 20));
        assert_eq!(
            (consents.region(), consents.decided_at(3)),
            (None, Some(10))
        );
        other.merge(&consents);
        assert_eq!(other.region(), None);
    }

    #[test]
    fn what_is_known_changes_nothing() {
        let mut consents = Consents::default();
        assert!(consents.decide(0, true, 10));
        assert!(!consents.decide(0, true, 10));
        assert!(!consents.decide(0, false, 9));
        assert!(consents.decide(0, false, 10));
        assert!(!consents.decide(0, true, 10));
    }
}
