//! What a log can tell of each action: how often it could be had and was shown, and how well its worth is known.

use std::collections::BTreeMap;

use pgrx::pg_sys::{INT4OID, Oid};

use super::cohorts::Cohorts;
use super::log::Log;
use super::policies::unusable;
use crate::decide::{TracedChoice, of_slot, read_dropped};
use crate::error::Error;
use crate::math::estimate::{Estimate, Moments, finite_reward, ratio};
use crate::math::runs::expand;
use crate::pg::record::select_row;
use crate::pg::{Session, Statement, datum};

select_row! {
    /// How a decision chose, and what came of it.
    struct Explored {
        imported: bool,
        filled: i16,
        actions: Vec<i32>,
        chosen: Vec<f64>,
        candidates: Vec<i32>,
        scores: Option<Vec<f32>>,
        spreads: Vec<f32>,
        choice: Vec<f64>,
        dropped: Vec<i32>,
        numbers: Vec<i32>,
        rewards: Vec<f64>,
        cohort: Option<String>,
    }
}

thread_local! {
    static NAME: Statement = const { Statement::new(
        "SELECT i.name FROM decide.identity AS i WHERE i.kind = 'action' AND i.number = $1", &[INT4OID]) };
}

/// More actions, in all cohorts, than anybody looks at.
const MOST: usize = 200_000;

/// What the log says of an action in the first slot.
pub struct Support {
    /// Decisions in which it was a candidate, and those in which it was shown.
    pub candidate: u64,
    pub shown: u64,
    /// In how many it was a candidate with a chance of 0.
    pub without_chance: u64,
    /// The least chance above 0.
    pub least: f64,
    /// The sum of its probabilities.
    pub expected: f64,
    /// The rows of SNIPS, for a policy that shows it whenever it can be had.
    rows: Moments<2>,
}

impl Support {
    fn new() -> Support {
        Support {
            candidate: 0,
            shown: 0,
            without_chance: 0,
            least: f64::INFINITY,
            expected: 0.0,
            rows: Moments::new(),
        }
    }

    /// Adds a decision in which it was a candidate, with the reward if it was shown.
    fn push(&mut self, probability: f64, reward: Option<f64>) {
        self.candidate += 1;
        self.expected += probability;
        match probability > 0.0 {
            true => self.least = self.least.min(probability),
            false => self.without_chance += 1,
        }
        let weight = match reward {
            Some(_) if probability > 0.0 => 1.0 / probability,
            _ => 0.0,
        };
        self.shown += u64::from(reward.is_some());
        self.rows.push([weight * reward.unwrap_or(0.0), weight]);
    }

    /// What showing it whenever it can be had would earn.
    pub fn estimate(&self) -> Result<Option<Estimate>, Error> {
        ratio(&self.rows).transpose().map_err(|_| Error::OutOfRange)
    }
}

/// Sums up the log, and hands on what it says of each cohort and action.
pub fn explore(
    log: &Log<'_>,
    caller: Oid,
    mut then: impl FnMut(Option<&str>, &str, &Support) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut cohorts = Cohorts::new();
    let mut known = 0;
    log.each(caller, |of: &Explored| {
        let actions: &mut BTreeMap<i32, Support> =
            cohorts.of(of.cohort.as_deref(), BTreeMap::new)?;
        let before = actions.len();
        of.add_to(actions)?;
        known += actions.len() - before;
        match known > MOST {
            true => Err(Error::Evaluation(
                format!("there are more than {MOST} actions in all cohorts"),
                "Ask without a cohort, or give an expression with fewer values.",
            )),
            false => Ok(()),
        }
    })?;
    for (cohort, actions) in cohorts.each() {
        for (&number, support) in actions {
            then(cohort, &name_of(number), support)?;
        }
    }
    Ok(())
}

impl Explored {
    fn add_to(&self, actions: &mut BTreeMap<i32, Support>) -> Result<(), Error> {
        let (Some(&shown), Some(&chance)) = (self.actions.first(), self.chosen.first()) else {
            return Ok(());
        };
        if self.filled < 1 {
            return Ok(());
        }
        let reward = finite_reward(self.reward_of(shown)).map_err(unusable)?;
        let mut add = |number, probability| {
            let reward = (number == shown).then_some(reward);
            let support = actions.entry(number).or_insert_with(Support::new);
            support.push(probability, reward);
        };
        if self.imported {
            // which other candidates there were is not known
            add(shown, chance);
            return Ok(());
        }
        let traced = TracedChoice {
            candidates: &self.candidates,
            scores: self.scores.clone(),
            spreads: self.spreads.clone(),
            choice: &self.choice,
            picked: &self.actions[..1],
            dropped: &read_dropped(&self.dropped),
        };
        let probabilities = of_slot(traced, 1).unwrap_or_default();
        for (number, probability) in expand(&self.candidates).zip(probabilities) {
            add(number, probability);
        }
        Ok(())
    }

    /// What came of the first slot; of all slots together it is told of a single one only.
    fn reward_of(&self, action: i32) -> f64 {
        let is_alone = self.actions.len() == 1;
        let rewards = self.numbers.iter().zip(&self.rewards);
        let own = rewards.filter(|&(&number, _)| number == action || number == 0 && is_alone);
        own.map(|(_, reward)| reward).sum()
    }
}

/// The name of an action, or its number where there is none.
pub fn name_of(number: i32) -> String {
    let _session = Session::open();
    let mut name = None;
    NAME.with(|statement| statement.read(&[datum::int4(number)], |row| name = row.get(1)));
    name.unwrap_or_else(|| number.to_string())
}
