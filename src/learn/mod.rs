//! Results are learned from: decisions made elsewhere come in, and models are trained from traces.

mod history;
mod import;
mod train;
mod verbs;
