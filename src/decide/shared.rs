//! What the decisions of one call have in common: those of a page, of a batch, or the only one.

use super::decision::Decision;
use super::reserve::Kept;
use super::trace::Traces;

/// Handed from one decision to the next, and written at the end.
pub struct Shared {
    /// They are decided, not only explained.
    pub decides: bool,
    /// There was a place for the call in the count of those at once.
    pub admitted: bool,
    /// Another transaction decides on the same request.
    pub is_open: bool,
    /// Rows of counters.
    pub kept: Kept,
    pub traces: Traces,
    /// Numbers of the actions that earlier surfaces of the page show, in their order.
    pub shown: Vec<i32>,
}

impl Shared {
    /// For a single decision.
    pub fn of_one(decides: bool, admitted: bool) -> Shared {
        Shared {
            decides,
            admitted,
            is_open: false,
            kept: Kept::for_several(false),
            traces: Traces::default(),
            shown: Vec::new(),
        }
    }

    /// For several that are decided.
    pub fn of_several(admitted: bool) -> Shared {
        Shared {
            kept: Kept::for_several(true),
            traces: Traces::waiting(),
            ..Shared::of_one(true, admitted)
        }
    }

    /// Writes what waits: the call ends.
    pub fn write(&mut self) {
        self.kept.write();
        self.traces.flush();
    }

    /// Remembers what a surface of the page shows.
    pub fn note_shown(&mut self, decision: &Decision<'_>) {
        let surface = decision.request.surface;
        for shown in decision.answer.slots() {
            let number = shown.action(surface).number;
            if let Err(at) = self.shown.binary_search(&number) {
                self.shown.insert(at, number);
            }
        }
    }
}
