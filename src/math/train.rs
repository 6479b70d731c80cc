//! Fitting a model to data: the design matrix, the minimiser, encodings learned from data, and metrics.
//!
//! Rows of a [`crate::model::LinearModel`] (see its `encode`) go into a [`Design`]; [`fit`] finds the weights;
//! [`Metrics`] judges them on rows that were held out. [`Vocabulary`] comes before all of it and finds out which facts
//! are numbers and which levels there are.

mod conjugate;
mod design;
mod fit;
mod metrics;
mod multinomial;
mod posterior;
mod propensity;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use design::Design;
pub use fit::{Fit, TrainError, fit};
pub use metrics::Metrics;
pub use multinomial::Multinomial;
pub use posterior::posterior;
pub use propensity::{Imbalance, Propensities, stratified_folds};
pub use vocabulary::{Limits, Scale, Vocabulary};
