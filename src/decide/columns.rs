//! The records of a decision as flat arrays, as columns of a trace hold them, and back.

use super::decision::Decision;
use super::draw::Dropped;
use super::features::AffinityValue;
use crate::caps::Price;
use crate::math::runs::compress;
use crate::policy::numbers_of;

/// What a trace says instead of the number of a stripe where units are reserved in the row of the user.
const ROW_OF_USER: i64 = -1;

/// Columns of decide.trace, by name.
#[derive(Default)]
pub struct Columns {
    pub actions: Vec<i32>,
    pub chosen: Vec<f64>,
    pub candidates: Vec<i32>,
    pub blocked: Vec<i32>,
    pub blocked_by: Vec<i32>,
    pub missing: Vec<i16>,
    pub affinities: Vec<f64>,
    pub dropped: Vec<i32>,
    pub holds: Vec<i64>,
    pub prices: Vec<f64>,
    pub denied: Vec<i32>,
    pub variants: Vec<i32>,
}

impl Columns {
    pub fn fill(&mut self, decision: &Decision<'_>) {
        let surface = decision.request.surface;
        let (features, draw) = (decision.features, decision.draw);
        let slots = decision.answer.slots();
        let number = |action: usize| surface.actions[action].number;
        self.candidates.clear();
        compress(draw.open.iter().map(|&i| number(i)), &mut self.candidates);
        let actions = slots.iter().map(|shown| shown.action(surface).number);
        refill(&mut self.actions, actions);
        let chosen = slots.iter().map(|shown| shown.probability);
        refill(&mut self.chosen, chosen);
        let blocked = decision.blocked().map(|blocked| number(blocked.action));
        refill(&mut self.blocked, blocked);
        let blocked_by = decision.blocked().map(|blocked| blocked.why.code());
        refill(&mut self.blocked_by, blocked_by);
        let missing = features.missing.iter().map(|&index| index as i16 + 1);
        refill(&mut self.missing, missing);
        let affinities = features.affinities.iter();
        let pairs = affinities.flat_map(|of| [of.index as f64, of.value]);
        refill(&mut self.affinities, pairs);
        let dropped = draw.dropped.iter().flat_map(|of| [of.slot, of.action]);
        refill(&mut self.dropped, dropped);
        let holds = draw.holds.iter().flat_map(|hold| {
            let row = hold.stripe.map_or(ROW_OF_USER, i64::from);
            [hold.slot.into(), hold.cap.into(), row, hold.amount]
        });
        refill(&mut self.holds, holds);
        let prices = decision.scores.prices.iter();
        let pairs = prices.flat_map(|price| [price.cap.into(), price.per_unit]);
        refill(&mut self.prices, pairs);
        refill(&mut self.denied, numbers_of(features.denied));
        let request = &decision.request;
        request.variants.write(request.bundle, &mut self.variants);
    }
}

fn refill<T>(column: &mut Vec<T>, values: impl Iterator<Item = T>) {
    column.clear();
    column.extend(values);
}

/// Back from the column `missing`.
pub fn missing(column: &[i16]) -> Vec<usize> {
    let numbers = column.iter();
    let missing = numbers.filter_map(|&number| usize::try_from(number).ok()?.checked_sub(1));
    missing.collect()
}

/// Back from the column `affinities`.
pub fn affinities(column: &[f64]) -> Vec<AffinityValue> {
    let pairs = column.as_chunks::<2>().0.iter();
    let affinities = pairs.map(|&[index, value]| AffinityValue {
        index: index as usize,
        value,
    });
    affinities.collect()
}

/// Back from the column `duals`.
pub fn prices(column: &[f64]) -> Vec<Price> {
    let pairs = column.as_chunks::<2>().0.iter();
    let prices = pairs.map(|&[cap, per_unit]| Price {
        cap: cap as i32,
        per_unit,
    });
    prices.collect()
}

/// Back from the column `dropped`.
pub fn dropped(column: &[i32]) -> Vec<Dropped> {
    let pairs = column.as_chunks::<2>().0.iter();
    let dropped = pairs.map(|&[slot, action]| Dropped { slot, action });
    dropped.collect()
}
