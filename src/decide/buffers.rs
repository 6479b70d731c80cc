//! What the stages of a decision make, in buffers that a backend uses for one decision after another.

use std::cell::Cell;

use super::answer::Answer;
use super::candidates::Candidates;
use super::columns::Columns;
use super::draw::Draw;
use super::features::Features;
use super::request::Request;
use super::score::Scores;
use crate::error::Error;
use crate::pg::idle::{Buffered, Kept, Spare};
use crate::pg::{made, session};

/// The product of each stage.
#[derive(Default)]
pub struct Buffers {
    pub features: Features,
    pub candidates: Candidates,
    pub scores: Scores,
    pub draw: Draw,
    pub answer: Answer,
    pub columns: Columns,
}

impl Buffers {
    /// Forgets what was made for another decision, or in an attempt that has failed.
    pub fn clear(&mut self, request: &Request<'_>) {
        self.features.clear();
        self.candidates.clear();
        self.scores.clear();
        self.draw.clear(request.seed, request.now);
    }
}

impl Buffered for Buffers {
    fn spare<'a>(&'a mut self, each: &mut dyn FnMut(Spare<'a>)) {
        let (candidates, draw) = (&mut self.candidates, &mut self.draw);
        candidates.eligible.clear();
        candidates.blocked.clear();
        each(Spare::of(&mut candidates.eligible));
        each(Spare::of(&mut candidates.blocked));
        let [of_actions, spreads] = self.scores.emptied();
        each(Spare::of(of_actions));
        each(Spare::of(spreads));
        for of_open in [&mut draw.scores, &mut draw.spreads] {
            of_open.clear();
            each(Spare::of(of_open));
        }
        draw.open.clear();
        draw.blocked.clear();
        each(Spare::of(&mut draw.open));
        each(Spare::of(&mut draw.blocked));
        let (probabilities, weights, taken) = draw.slate.emptied();
        each(Spare::of(probabilities));
        each(Spare::of(weights));
        each(Spare::of(taken));
        for numbers in [&mut self.columns.blocked, &mut self.columns.blocked_by] {
            numbers.clear();
            each(Spare::of(numbers));
        }
    }
}

thread_local! {
    /// None while they are lent.
    static BUFFERS: Kept<Buffers> = const { Kept::new() };
    /// The statement in which they were lent last, by the time at which it began.
    static LENT_IN: Cell<Option<i64>> = const { Cell::new(None) };
}

/// Buffers that are lent, and given back whatever happens.
struct Lent(Option<Box<Buffers>>);

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(buffers) = self.0.take() {
            BUFFERS.with(|kept| kept.put(buffers));
        }
        LENT_IN.set(None);
    }
}

/// Lends the buffers of this backend; an error within a decision, where they are lent already. What a statement that has
/// ended did not give back, as it was cut off, is made anew.
pub fn with<T>(work: impl FnOnce(&mut Buffers) -> Result<T, Error>) -> Result<T, Error> {
    let statement = session::statement_began();
    if LENT_IN.get() == Some(statement) {
        return Err(Error::Nested);
    }
    let mut lent = Lent(Some(BUFFERS.with(Kept::take).unwrap_or_default()));
    LENT_IN.set(Some(statement));
    // What earlier verbs made is none of this decision.
    made::take();
    work(lent.0.as_mut().expect("lent until it is dropped"))
}
