//! Rules come in: policy tables, validated, compiled into a bundle, kept by each backend.

mod action;
mod action_names;
mod bundle;
mod bundle_cache;
mod caps;
mod compile;
mod context;
mod contract;
mod entity_snapshot;
mod faults;
mod feature;
mod feature_cells;
mod identity;
mod model_version;
mod name;
mod publication;
mod publish;
mod reading;
mod selection;
mod staging;
mod tables;
mod user;
mod validate;
mod verbs;

pub use action::{Action, attribute};
pub use action_names::must_be_short;
pub use bundle::{Bundle, Policy, Surface};
pub use bundle_cache::{DecisionInputs, by_number, current, live, with_inputs};
pub use context::{context_text, context_value, kept_value, value_text};
pub use contract::{Contract, FieldRule, Kind, Unknown};
pub use entity_snapshot::{
    EntitySnapshot, ever_kept, named as entity_feature, value as entity_value,
};
pub use feature::{Amount, Entity, Feature, Path, Scalar, Test};
pub use name::is_name;
pub use publish::make_partitions;
pub use staging::{Filled, Staging, filled_to, next_to_fill, stage, take_to_fill};
pub use user::UserRow;
