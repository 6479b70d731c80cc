//! What the stages of a decision make, in buffers that a backend uses for one decision after another.

use std::cell::RefCell;

use super::answer::Answer;
use super::candidates::Candidates;
use super::columns::Columns;
use super::draw::Draw;
use super::features::Features;
use super::request::Request;
use super::score::Scores;
use crate::error::Error;

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

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Lends the buffers of this backend; an error within a decision, where they are lent already.
pub fn with<T>(work: impl FnOnce(&mut Buffers) -> Result<T, Error>) -> Result<T, Error> {
    BUFFERS.with(|buffers| {
        let mut buffers = buffers.try_borrow_mut().map_err(|_| Error::Nested)?;
        work(&mut buffers)
    })
}
