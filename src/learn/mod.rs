//! Results are learned from: decisions made elsewhere come in, and models are trained from traces.

mod approve;
mod delay;
mod history;
mod import;
mod train;
mod verbs;
