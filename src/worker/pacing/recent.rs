//! What the newest decisions say of budgets: how often each refused, and how far scores are apart.

use std::collections::HashMap;

use pgrx::pg_sys::{TIMESTAMPTZOID, UUIDOID};

use crate::caps::Cap;
use crate::math::identifier::time_ordered;
use crate::math::runs::expand;
use crate::math::sum;
use crate::pg::{Statement, array, clock, datum};
use crate::policy::Bundle;

thread_local! {
    static DECISIONS: Statement = const { Statement::new(
        "SELECT t.surface, pg_catalog.count(*), pg_catalog.max(t.decided_at) \
           FROM (SELECT l.surface, l.decided_at FROM decide.trace AS l \
                  WHERE l.decision_id >= $1 AND l.decided_at >= $2 AND l.origin IS NULL ORDER BY l.decision_id DESC LIMIT 100000) AS t \
          GROUP BY t.surface", &[UUIDOID, TIMESTAMPTZOID]) };
    static REFUSED: Statement = const { Statement::new(
        "SELECT b.code - 100, pg_catalog.count(*) \
           FROM (SELECT l.blocked_by FROM decide.trace AS l \
                  WHERE l.decision_id >= $1 AND l.decided_at >= $2 AND l.origin IS NULL ORDER BY l.decision_id DESC LIMIT 100000) AS t \
          CROSS JOIN LATERAL (SELECT DISTINCT u.code FROM pg_catalog.unnest(t.blocked_by) AS u (code) WHERE u.code >= 100) AS b \
          GROUP BY b.code", &[UUIDOID, TIMESTAMPTZOID]) };
    static SCORES: Statement = const { Statement::new(
        "SELECT l.surface, l.candidates, l.scores, l.duals FROM decide.trace AS l \
          WHERE l.decision_id >= $1 AND l.decided_at >= $2 AND l.scores IS NOT NULL AND l.origin IS NULL \
          ORDER BY l.decision_id DESC LIMIT 200", &[UUIDOID, TIMESTAMPTZOID]) };
}

/// Scores of the last hour tell how far they are apart.
const SCORES_OF: i64 = 3_600_000_000;

#[derive(Default)]
pub struct RecentDecisions {
    by_surface: HashMap<String, Decisions>,
    /// By cap: how many decisions it refused.
    refused: HashMap<i32, f64>,
    /// By surface: scores, before prices were subtracted.
    scores: HashMap<String, Vec<f64>>,
}

/// How many decisions there were, and when the newest was.
#[derive(Clone, Copy, Default)]
struct Decisions {
    count: f64,
    newest: Option<i64>,
}

/// The recent decisions of the surfaces of one cap.
pub struct CapDecisions {
    pub count: f64,
    pub newest: Option<i64>,
    refused: f64,
    scores: Vec<f64>,
}

impl RecentDecisions {
    pub fn since(since: i64, now: i64, bundle: &Bundle) -> RecentDecisions {
        let mut recent = RecentDecisions::default();
        let from = |at: i64| {
            let first = time_ordered(clock::to_unix_micros(at), 0);
            [datum::uuid(first), datum::timestamp(at)]
        };
        DECISIONS.with(|statement| {
            statement.write(&from(since), |row| {
                let decisions = Decisions {
                    count: row.must::<i64>(2) as f64,
                    newest: row.timestamp(3),
                };
                recent.by_surface.insert(row.must(1), decisions);
            })
        });
        REFUSED.with(|statement| {
            statement.write(&from(since), |row| {
                recent
                    .refused
                    .insert(row.must(1), row.must::<i64>(2) as f64);
            })
        });
        SCORES.with(|statement| {
            statement.write(&from(now - SCORES_OF), |row| {
                let surface: String = row.must(1);
                let (mut runs, mut prices) = (Vec::new(), Vec::new());
                row.datum(2).map(|kept| array::read_into(kept, &mut runs));
                row.datum(4).map(|kept| array::read_into(kept, &mut prices));
                let scores: Vec<f32> = row.get(3).unwrap_or_default();
                let candidates = expand(&runs).zip(&scores);
                let own = candidates.map(|(number, &score)| {
                    f64::from(score) + taken_off(&prices, number, &surface, bundle)
                });
                let own: Vec<f64> = own.collect();
                recent.scores.entry(surface).or_default().extend(own);
            })
        });
        recent
    }

    pub fn of(&self, cap: &Cap, bundle: &Bundle) -> CapDecisions {
        let mut own = CapDecisions {
            count: 0.0,
            newest: None,
            refused: self.refused.get(&cap.number).copied().unwrap_or(0.0),
            scores: Vec::new(),
        };
        for surface in bundle.surfaces.values() {
            let mut caps = surface.limits.caps.iter();
            if !caps.any(|&i| bundle.caps[i].number == cap.number) {
                continue;
            }
            if let Some(decisions) = self.by_surface.get(&surface.name) {
                own.count += decisions.count;
                own.newest = own.newest.max(decisions.newest);
            }
            if let Some(scores) = self.scores.get(&surface.name) {
                own.scores.extend(scores);
            }
        }
        own
    }
}

impl CapDecisions {
    /// The share of the decisions that the cap refused.
    pub fn share_refused(&self) -> f64 {
        if self.count > 0.0 {
            (self.refused / self.count).min(1.0)
        } else {
            0.0
        }
    }

    /// The standard deviation of scores, per unit of what its actions take; None if there are no scores.
    pub fn spread(&self, cap: &Cap) -> Option<f64> {
        if self.scores.len() < 2 {
            return None;
        }
        let count = self.scores.len() as f64;
        let mean = sum(&self.scores) / count;
        let squares: Vec<f64> = self
            .scores
            .iter()
            .map(|s| (s - mean) * (s - mean))
            .collect();
        let amounts: Vec<f64> = cap
            .amounts
            .values()
            .map(|n| n as f64)
            .filter(|n| *n > 0.0)
            .collect();
        let amount = match amounts.len() {
            0 => 1.0,
            count => sum(&amounts) / count as f64 / cap.scale as f64,
        };
        let spread = (sum(&squares) / count).sqrt() / amount;
        spread.is_finite().then_some(spread)
    }
}

/// The prices that were subtracted from the score of an action.
fn taken_off(prices: &[f64], number: i32, surface: &str, bundle: &Bundle) -> f64 {
    let pairs = prices.as_chunks::<2>().0.iter();
    let off = pairs.filter_map(|&[number_of_cap, price]| {
        let cap = bundle
            .caps
            .iter()
            .find(|cap| f64::from(cap.number) == number_of_cap)?;
        Some(price * cap.amount(number, surface)? as f64 / cap.scale as f64)
    });
    off.sum()
}
