//! What an event must look like, and everything that is wrong with an event that does not.

mod coarsen;
mod event;
mod fields;
mod moment;
mod read;
mod reason;

pub use coarsen::{coarsened, treated_in};
pub use event::{Arrival, Event, EventUser, Invalid, Sender};
pub use moment::parse as parse_time;
pub use read::read;
pub use reason::Reason;
