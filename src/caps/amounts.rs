//! What exposures take of a cap.

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::math::slab::Slab;

/// What an exposure of each action takes of a cap, by the action's number.
#[derive(Default, Serialize, Deserialize)]
pub struct Amounts(Slab<Amount>);

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Amount {
    amount: i64,
    number: i32,
    unused: i32,
}

impl Amounts {
    /// Of the actions with these numbers, in units.
    pub fn of(amounts: impl Iterator<Item = (i32, i64)>) -> Amounts {
        let amounts = amounts.map(|(number, amount)| Amount {
            amount,
            number,
            unused: 0,
        });
        let mut amounts: Vec<Amount> = amounts.collect();
        amounts.sort_unstable_by_key(|of| of.number);
        Amounts(amounts.into())
    }

    /// That of an action; None where the cap does not limit it.
    pub fn get(&self, number: i32) -> Option<i64> {
        let index = self.0.binary_search_by_key(&number, |of| of.number);
        index.ok().map(|index| self.0[index].amount)
    }

    /// Numbers of actions, ascending, and their amounts.
    pub fn all(&self) -> impl Iterator<Item = (i32, i64)> {
        self.0.iter().map(|of| (of.number, of.amount))
    }

    pub fn values(&self) -> impl Iterator<Item = i64> {
        self.0.iter().map(|of| of.amount)
    }
}
