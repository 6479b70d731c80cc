//! Rules come in: policy tables, validated, compiled into a bundle, kept by each backend.

mod bundle;
mod bundle_cache;
mod caps;
mod compile;
mod context;
mod contract;
mod entity;
mod feature;
mod identity;
mod models;
mod names;
mod publish;
mod reading;
mod stage;
mod tables;
mod user;
mod validate;
mod verbs;

pub use bundle::{Action, Bundle, Policy, Surface};
pub use bundle_cache::{DecisionInputs, by_number, current, live, with_inputs};
pub use compile::attribute;
pub use context::{context_text, context_value, kept_value, value_text};
pub use contract::{Contract, FieldRule, Kind, Unknown};
pub use entity::{Snapshot, ever_kept, named as entity_feature, value as entity_value};
pub use feature::{Amount, Entity, Feature, Path, Scalar, Test};
pub use names::must_be_short;
pub use publish::make_partitions;
pub use stage::{Filled, Stage, filled_to, next_to_fill, stage, take_to_fill};
pub use user::UserRow;
pub use validate::is_name;
