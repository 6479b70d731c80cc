//! What was chosen, against the probabilities that traces have for it.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use postgres::Client;
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Standard errors by which a mean may be off: among a hundred actions one of 160 campaigns fails without a cause.
const FARTHEST: f64 = 4.0;

/// A slot whose counts are less likely than this under the logged probabilities is a failure.
const LEAST_LIKELY: f64 = 1e-5;

/// Shares of decisions with a reason up to this are passed over: scenarios always leave something to choose.
const MOST_WITH_REASON: f64 = 0.001;

/// Equal situations, with what was chosen in them, from the traces. A situation is all that a slot's probabilities
/// follow from.
const SITUATIONS: &str = "
    SELECT g.slot, decide.candidate_names(g.candidates),
           decide.slot_probabilities(g.candidates, g.scores, g.choice, g.actions, g.slot, g.dropped),
           decide.action_name(g.actions[g.slot]), g.p, g.n
      FROM (SELECT s.slot, t.candidates, t.scores, t.choice, t.dropped, t.actions[1:s.slot] AS actions,
                   t.chosen[s.slot] AS p, pg_catalog.count(*) AS n
              FROM decide.trace AS t CROSS JOIN LATERAL pg_catalog.generate_series(1, t.filled::int) AS s (slot)
             WHERE t.surface = 's' GROUP BY 1, 2, 3, 4, 5, 6, 7) AS g";

const TOTALS: &str = "
    SELECT pg_catalog.count(*), pg_catalog.count(t.reason), pg_catalog.count(*) FILTER (WHERE 6 = ANY (t.blocked_by))
      FROM decide.trace AS t WHERE t.surface = 's'";

/// All decisions of a scenario.
pub struct Verdict {
    pub decisions: i64,
    pub with_reason: i64,
    pub busy: i64,
    pub actions: Vec<Action>,
    pub slots: Vec<Slot>,
}

/// One action in one slot, over the decisions in which it could be had there.
#[derive(Default)]
pub struct Action {
    pub slot: i32,
    pub action: String,
    /// In how many decisions it could be had, and in how many it was chosen.
    pub possible: i64,
    pub chosen: i64,
    /// Sum of its probabilities, and the variance of how often it is chosen.
    pub expected: f64,
    variance: f64,
    /// Sum of 1/p where it was chosen, and the variance of that.
    weight: f64,
    variance_of_weight: f64,
}

/// All actions of a slot.
pub struct Slot {
    pub slot: i32,
    pub statistic: f64,
    pub freedom: usize,
    pub likelihood: f64,
}

impl Action {
    /// Mean of 1[chosen] / p.
    pub fn mean(&self) -> f64 {
        self.weight / self.possible as f64
    }

    /// By how many standard errors the mean is not 1.
    pub fn z(&self) -> f64 {
        deviations(self.weight - self.possible as f64, self.variance_of_weight)
    }

    /// By how many standard errors it was chosen more often than expected.
    pub fn z_of_count(&self) -> f64 {
        deviations(self.chosen as f64 - self.expected, self.variance)
    }
}

/// A difference in standard deviations; what has no variance must have no difference.
fn deviations(difference: f64, variance: f64) -> f64 {
    match (difference.abs() < 1e-6, variance > 1e-9) {
        (_, true) => difference / variance.sqrt(),
        (true, false) => 0.0,
        (false, false) => f64::INFINITY.copysign(difference),
    }
}

impl Verdict {
    /// Reads the traces of the surface s.
    pub fn of(client: &mut Client) -> Result<Self> {
        let totals = client.query_one(TOTALS, &[])?;
        let mut slots: BTreeMap<i32, Counts> = BTreeMap::new();
        for row in client.query(SITUATIONS, &[])? {
            let (slot, names): (i32, Vec<String>) = (row.get(0), row.get(1));
            let (probabilities, chosen): (Vec<f64>, String) = (row.get(2), row.get(3));
            let (p, n): (f64, i64) = (row.get(4), row.get(5));
            let counts = slots.entry(slot).or_default();
            counts.add(&names, &probabilities, &chosen, p, n)?;
        }
        let mut verdict = Self {
            decisions: totals.get(0),
            with_reason: totals.get(1),
            busy: totals.get(2),
            actions: Vec::new(),
            slots: Vec::new(),
        };
        for (slot, counts) in slots {
            let (statistic, freedom) = counts.chi_square();
            let likelihood = match freedom {
                0 if statistic == 0.0 => 1.0,
                0 => 0.0,
                _ => ChiSquared::new(freedom as f64)?.sf(statistic),
            };
            verdict.slots.push(Slot {
                slot,
                statistic,
                freedom,
                likelihood,
            });
            let actions = counts.actions.into_iter();
            let mut actions: Vec<Action> =
                actions.map(|action| Action { slot, ..action }).collect();
            actions.sort_by(|a, b| a.action.cmp(&b.action));
            verdict.actions.extend(actions);
        }
        Ok(verdict)
    }

    /// Fails where something leans.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        for row in &self.actions {
            for (z, of) in [
                (row.z(), "mean of 1/p"),
                (row.z_of_count(), "number chosen"),
            ] {
                if z.abs() >= FARTHEST {
                    let (slot, action) = (row.slot, &row.action);
                    faults.push(format!("slot {slot}, {action}: z {z:.1} of the {of}"));
                }
            }
        }
        for slot in &self.slots {
            if slot.likelihood < LEAST_LIKELY {
                faults.push(format!(
                    "slot {}: likelihood {:.1e} of all counts",
                    slot.slot, slot.likelihood
                ));
            }
        }
        if self.with_reason as f64 > MOST_WITH_REASON * self.decisions as f64 {
            faults.push(format!("{} decisions have a reason", self.with_reason));
        }
        if self.decisions == 0 {
            faults.push("there are no decisions".into());
        }
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        Ok(())
    }

    /// The actions, for the report of a check.
    pub fn lines(&self) -> Vec<String> {
        let line = |row: &Action| {
            format!(
                "slot {} {}: n {}, chosen {}, expected {:.1}, mean {:.4}, z {:.2}",
                row.slot,
                row.action,
                row.possible,
                row.chosen,
                row.expected,
                row.mean(),
                row.z()
            )
        };
        self.actions.iter().map(line).collect()
    }
}

/// What is counted of a slot.
#[derive(Default)]
struct Counts {
    /// Where each action is, by its name.
    places: BTreeMap<String, usize>,
    actions: Vec<Action>,
    /// Sum of p_i p_j over decisions, by the places of two actions.
    products: Vec<Vec<f64>>,
}

impl Counts {
    /// Adds n decisions that chose alike among the same.
    fn add(
        &mut self,
        names: &[String],
        probabilities: &[f64],
        chosen: &str,
        p: f64,
        n: i64,
    ) -> Result<()> {
        let weight = n as f64;
        let possible: Vec<(&String, f64)> = names
            .iter()
            .zip(probabilities.iter().copied())
            .filter(|&(_, p)| p > 0.0)
            .collect();
        let logged = possible.iter().find(|(name, _)| *name == chosen);
        ensure!(
            logged.is_some_and(|&(_, of_slot)| of_slot == p),
            "{chosen} was chosen with probability {p} among {possible:?}"
        );
        let places: Vec<(usize, f64)> = possible
            .iter()
            .map(|&(name, q)| (self.place(name), q))
            .collect();
        for (&(name, q), &(place, _)) in possible.iter().zip(&places) {
            let row = &mut self.actions[place];
            row.possible += n;
            row.expected += weight * q;
            row.variance += weight * q * (1.0 - q);
            row.variance_of_weight += weight * (1.0 / q - 1.0);
            if name == chosen {
                row.chosen += n;
                row.weight += weight / q;
            }
            let products = &mut self.products[place];
            for &(other, r) in &places {
                products[other] += weight * q * r;
            }
        }
        Ok(())
    }

    /// Where an action is; it gets a place when it is seen first.
    fn place(&mut self, name: &str) -> usize {
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        let place = self.actions.len();
        self.places.insert(name.to_owned(), place);
        self.actions.push(Action {
            action: name.to_owned(),
            ..Action::default()
        });
        self.products.push(Vec::new());
        for products in &mut self.products {
            products.resize(place + 1, 0.0);
        }
        place
    }

    /// The squared distance of all counts from what is expected, in the measure of their covariance; and its rank.
    fn chi_square(&self) -> (f64, usize) {
        let rows = self.actions.iter().zip(&self.products);
        let difference: Vec<f64> = self
            .actions
            .iter()
            .map(|row| row.chosen as f64 - row.expected)
            .collect();
        let covariance: Vec<Vec<f64>> = rows
            .enumerate()
            .map(|(place, (row, products))| {
                let own = |other: usize| if other == place { row.expected } else { 0.0 };
                let products = products.iter().enumerate();
                products
                    .map(|(other, product)| own(other) - product)
                    .collect()
            })
            .collect();
        distance(difference, covariance)
    }
}

/// d' V⁻ d by elimination, the largest variance first, and the rank of V.
fn distance(mut d: Vec<f64>, mut v: Vec<Vec<f64>>) -> (f64, usize) {
    let largest = (0..d.len()).map(|i| v[i][i]).fold(0.0, f64::max);
    let (mut statistic, mut rank) = (0.0, 0);
    while let Some(pivot) = (0..d.len()).max_by(|&i, &j| v[i][i].total_cmp(&v[j][j])) {
        if v[pivot][pivot] <= largest * 1e-9 || rank == d.len() {
            break;
        }
        let (own, of_pivot, at_pivot) = (v[pivot][pivot], v[pivot].clone(), d[pivot]);
        statistic += at_pivot * at_pivot / own;
        rank += 1;
        for i in 0..d.len() {
            d[i] -= of_pivot[i] * at_pivot / own;
            for j in 0..d.len() {
                v[i][j] -= of_pivot[i] * of_pivot[j] / own;
            }
        }
    }
    (statistic, rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(cells: &[(&str, i64)]) -> Counts {
        let mut counts = Counts::default();
        let names: Vec<String> = cells.iter().map(|(name, _)| (*name).into()).collect();
        let p = 1.0 / names.len() as f64;
        for (name, n) in cells {
            let all = vec![p; names.len()];
            counts.add(&names, &all, name, p, *n).unwrap();
        }
        counts
    }

    #[test]
    fn distance_is_pearsons_where_all_are_possible() {
        let (statistic, freedom) = counts(&[("a", 120), ("b", 90), ("c", 90)]).chi_square();
        assert!((statistic - 6.0).abs() < 1e-9, "{statistic}");
        assert_eq!(freedom, 2);
    }

    fn z(counts: &Counts, name: &str) -> f64 {
        counts.actions[counts.places[name]].z()
    }

    #[test]
    fn a_lean_is_noticed() {
        let leaning = counts(&[("a", 10_400), ("b", 9_600)]);
        assert!(z(&leaning, "a") > 4.0);
        assert!(z(&leaning, "b") < -4.0);
        let even = counts(&[("a", 10_050), ("b", 9_950)]);
        assert!(z(&even, "a") < 1.0);
    }

    #[test]
    fn another_probability_than_that_of_the_slot_is_refused() {
        let names = ["a".to_owned(), "b".to_owned()];
        let mut counts = Counts::default();
        assert!(counts.add(&names, &[0.5, 0.5], "a", 0.6, 1).is_err());
        assert!(counts.add(&names, &[0.0, 1.0], "a", 0.5, 1).is_err());
    }
}
