//! What a decision shows.

use super::draw::Draw;
use crate::policy::{Action, Surface};

/// What each slot of the surface shows.
#[derive(Default)]
pub struct Answer {
    slots: Vec<Shown>,
}

/// What one slot shows.
pub struct Shown {
    /// The index of the surface's action; None: the fallback.
    action: Option<usize>,
    pub probability: f64,
}

impl Shown {
    pub fn is_fallback(&self) -> bool {
        self.action.is_none()
    }

    pub fn action<'a>(&self, surface: &'a Surface) -> &'a Action {
        self.action
            .map_or(&surface.fallback, |action| &surface.actions[action])
    }
}

impl Answer {
    /// What was drawn, then the fallback, whose probability is 1.
    pub fn fill(&mut self, surface: &Surface, draw: &Draw) {
        let drawn = draw.slate.picks.iter().zip(&draw.slate.chosen);
        self.slots.clear();
        self.slots.extend(drawn.map(|(&pick, &probability)| Shown {
            action: Some(draw.open[pick]),
            probability,
        }));
        self.slots.resize_with(surface.slots, || Shown {
            action: None,
            probability: 1.0,
        });
    }

    /// One for each slot of the surface, in their order.
    pub fn slots(&self) -> &[Shown] {
        &self.slots
    }
}
