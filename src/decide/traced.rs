//! What a draw was made from, read back from its trace.

use super::columns;
use super::draw::{Draw, Dropped, dropped_after};
use super::features::Features;
use super::reason::Reason;
use crate::govern::modes::Mode;
use crate::math::choice::Choice;
use crate::math::model::Value;
use crate::math::runs::expand;
use crate::policy::{self, Surface};

/// Whether the reason says that nothing was chosen, so that there is nothing to recompute.
pub fn cut_short(reason: &str) -> bool {
    reason == Reason::Overload.to_string()
        || reason == Reason::RequestOpen.to_string()
        || reason.starts_with("failed: ")
        || reason.starts_with("timeout: ")
}

/// How a policy chose: in the mode cautious with less exploration, whose numbers are in the trace.
pub fn choice_of(own: Choice, mode: Mode, noted: Option<&[f64]>) -> Choice {
    let noted = noted.and_then(Choice::from_numbers);
    match noted {
        Some(noted) if mode == Mode::Cautious && noted.explores_no_more_than(&own) => noted,
        _ => own,
    }
}

/// Reads features into buffers.
pub fn read_features(vector: &[f64], missing: &[i16], affinities: &[f64], features: &mut Features) {
    features.vector.clear();
    features.vector.extend_from_slice(vector);
    features.missing = columns::missing(missing);
    features.affinities = columns::affinities(affinities);
}

/// The fields of a context as models see them.
pub fn fields(context_values: &[Option<String>]) -> Vec<Value<'_>> {
    let fields = context_values.iter();
    fields
        .map(|field| policy::kept_value(field.as_deref()))
        .collect()
}

/// Opens the draw to the candidates of a trace; or answers the first that is no action of the surface.
pub fn open(candidates: &[i32], surface: &Surface, draw: &mut Draw) -> Result<(), i32> {
    draw.open.clear();
    for number in expand(candidates) {
        draw.open.push(index_of(number, surface).ok_or(number)?);
    }
    Ok(())
}

/// The index of an action of the surface, by its number.
pub fn index_of(number: i32, surface: &Surface) -> Option<usize> {
    let found = surface
        .actions
        .binary_search_by_key(&number, |action| action.number);
    found.ok()
}

/// Where an action stands among what a draw is open to, which is in the order of the surface's actions.
pub fn position(number: i32, surface: &Surface, open: &[usize]) -> Option<usize> {
    open.binary_search(&index_of(number, surface)?).ok()
}

/// Adds what could not be had any more once a slot was filled.
pub fn drop_after(
    dropped: &[Dropped],
    slot: usize,
    surface: &Surface,
    open: &[usize],
    gone: &mut Vec<usize>,
) {
    let numbers = dropped_after(dropped, slot);
    gone.extend(numbers.filter_map(|number| position(number, surface, open)));
}
