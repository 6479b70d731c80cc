//! The policy tables as they were published: what a bundle's content says.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

#[derive(Deserialize)]
pub struct Content {
    pub surfaces: Vec<SurfaceRow>,
    pub campaigns: Vec<CampaignRow>,
    /// From the chunks of the bundle, in the order of their numbers.
    #[serde(skip)]
    pub actions: Vec<ActionRow>,
    pub features: Vec<FeatureRow>,
    pub caps: Vec<CapRow>,
    pub policies: Vec<PolicyRow>,
    /// Not in bundles from before there were contracts.
    #[serde(default)]
    pub event_types: Vec<EventTypeRow>,
    /// Not in bundles from before there were purposes, which no row names there.
    #[serde(default)]
    pub purposes: Vec<PurposeRow>,
    /// Not in bundles from before there were outcome types.
    #[serde(default)]
    pub outcome_types: Vec<OutcomeTypeRow>,
    /// Those that are running. Not in bundles from before there were any.
    #[serde(default)]
    pub experiments: Vec<ExperimentRow>,
    /// Not where every field is kept as it is.
    #[serde(default)]
    pub context_fields: Vec<ContextFieldRow>,
    /// Not where all regions are the same.
    #[serde(default)]
    pub regions: Vec<RegionRow>,
}

#[derive(Deserialize)]
pub struct OutcomeTypeRow {
    pub outcome_type: String,
    pub event_types: Vec<String>,
    pub match_by: String,
    pub requires: Option<String>,
    pub value_path: Option<String>,
    pub margin_path: Option<String>,
    pub reversal_types: Vec<String>,
    pub reference_path: Option<String>,
    pub reversal_value_path: Option<String>,
    pub purpose: Option<String>,
}

/// A running experiment, with its variants in the order of their positions.
#[derive(Deserialize)]
pub struct ExperimentRow {
    pub experiment: String,
    pub number: i32,
    pub surface: Option<String>,
    pub seed: String,
    pub unit: String,
    pub hash_version: i32,
    pub coverage: f64,
    pub ramp: Vec<RampRow>,
    pub namespace: Option<String>,
    pub namespace_from: f64,
    pub namespace_to: f64,
    pub target_when: Option<String>,
    pub sticky: bool,
    pub variants: Vec<VariantRow>,
    pub overrides: Vec<OverrideRow>,
}

/// From a moment on, in microseconds since 1970, so many are in the experiment.
#[derive(Deserialize)]
pub struct RampRow {
    pub at_us: i64,
    pub coverage: f64,
}

#[derive(Deserialize)]
pub struct VariantRow {
    pub variant: String,
    pub position: i16,
    pub weight: f64,
    pub policy: Option<String>,
    pub without_actions: Vec<String>,
    pub without_campaigns: Vec<String>,
    pub without_attributes: Option<serde_json::Map<String, serde_json::Value>>,
    pub without_caps: Vec<String>,
    pub with_actions: Vec<String>,
    pub with_caps: Vec<String>,
    pub payload: Option<Box<RawValue>>,
}

/// Requests whose context has that value get that variant.
#[derive(Deserialize)]
pub struct OverrideRow {
    pub field: String,
    pub value: String,
    pub variant: String,
}

#[derive(Deserialize)]
pub struct ContextFieldRow {
    pub source: String,
    pub field: String,
    pub treatment: String,
    pub expression: Option<String>,
    pub names_region: bool,
}

#[derive(Deserialize)]
pub struct RegionRow {
    pub region: String,
    pub number: i32,
    pub opt_in: Vec<String>,
    pub opt_out: Vec<String>,
    pub not_allowed: Vec<String>,
    pub features_out: Vec<String>,
    pub actions_out: Vec<String>,
    pub campaigns_out: Vec<String>,
    /// By the name of a cap.
    pub cap_limits: Map<String, Value>,
    pub explores: bool,
    pub selection: Option<String>,
    pub params: Box<RawValue>,
}

#[derive(Deserialize)]
pub struct PurposeRow {
    pub purpose: String,
    pub number: i32,
    pub consent: String,
}

#[derive(Deserialize)]
pub struct SurfaceRow {
    pub surface: String,
    pub slots: usize,
    pub fallback_action: Option<String>,
    pub latency_budget_us: f64,
    pub context_fields: Vec<String>,
    #[serde(default)]
    pub baseline_action: Option<String>,
}

#[derive(Deserialize)]
pub struct CampaignRow {
    pub campaign: String,
    /// Microseconds since 1970.
    pub starts_us: Option<i64>,
    pub ends_us: Option<i64>,
    #[serde(default)]
    pub purpose: Option<String>,
}

#[derive(Deserialize, Serialize)]
pub struct ActionRow {
    pub action: String,
    pub number: i32,
    pub campaign: Option<String>,
    pub surfaces: Vec<String>,
    /// Kept as text until it is looked at, so that one bad number spoils one action only.
    pub attributes: Box<RawValue>,
    pub eligible_when: Option<String>,
    #[serde(serialize_with = "shortest")]
    pub cost: f64,
    /// Names that it had before, and that no other action has had since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Whether it is a candidate only where a variant puts it in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_variants: bool,
}

#[derive(Deserialize)]
pub struct FeatureRow {
    pub feature: String,
    /// Its first cell in the row of its entity, or its number among the features kept per key.
    #[serde(rename = "slot")]
    pub cell: usize,
    pub entity: String,
    pub event_type: String,
    pub aggregate: String,
    pub value_path: Option<String>,
    pub key_path: Option<String>,
    pub key_limit: i32,
    pub trial_event_type: Option<String>,
    pub prior_weight: f64,
    pub prior_rate: Option<f64>,
    pub filter: Box<RawValue>,
    pub half_life_us: Option<f64>,
    pub window_us: Option<f64>,
    pub ttl_us: Option<f64>,
    pub offline_only: bool,
    pub default_value: f64,
    #[serde(default)]
    pub purpose: Option<String>,
}

#[derive(Deserialize)]
pub struct CapRow {
    pub cap: String,
    #[serde(rename = "slot")]
    pub number: i32,
    /// Of the attribute, where each value is limited by itself.
    pub value: Option<String>,
    pub surface: Option<String>,
    pub campaign: Option<String>,
    pub action: Option<String>,
    pub attribute: Option<String>,
    pub attribute_value: Option<String>,
    pub per: String,
    pub max_count: i64,
    pub window_length: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub window_us: f64,
    #[serde(default, deserialize_with = "number")]
    pub window_months: f64,
    #[serde(default, deserialize_with = "number")]
    pub window_days: f64,
    #[serde(default, deserialize_with = "number")]
    pub window_part_us: f64,
    pub window_kind: String,
    pub counts: String,
    pub unit: String,
    pub hard: bool,
    pub relax_order: i32,
    pub time_zone: String,
    pub week_start: i32,
    pub hold_us: f64,
    pub cell_us: i64,
    pub stripes: Option<i32>,
    pub pacing: String,
    pub min_count: Option<i64>,
    /// Whether it binds only where a variant puts it in.
    #[serde(default)]
    pub for_variants: bool,
}

/// A whole number without a fraction of 0, as SQL writes it.
fn shortest<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => serializer.serialize_i64(*value as i64),
        false => serializer.serialize_f64(*value),
    }
}

/// Null is 0.
fn number<'de, D: serde::Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    Option::<f64>::deserialize(value).map(Option::unwrap_or_default)
}

/// What a score says of an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveKind {
    #[default]
    Response,
    Uplift,
    Value,
}

#[derive(Clone, Deserialize)]
pub struct PolicyRow {
    pub policy: String,
    pub surface: String,
    pub model: Option<String>,
    pub model_version: Option<i32>,
    /// How many it was trained on. Not in bundles from before selections could look at that.
    #[serde(default)]
    pub model_rows: Option<i64>,
    pub selection: String,
    pub params: Box<RawValue>,
    /// Not in bundles from before there were pages.
    #[serde(default)]
    pub unique_on_page: bool,
    /// Only where it is not the response.
    #[serde(default)]
    pub objective: ObjectiveKind,
    #[serde(default)]
    pub value_attribute: Option<String>,
    #[serde(default)]
    pub cost_attribute: Option<String>,
    /// Whether it chooses only where a variant of an experiment names it.
    #[serde(default)]
    pub for_variants: bool,
}

#[derive(Deserialize)]
pub struct EventTypeRow {
    pub event_type: String,
    pub schema_version: i16,
    pub status: String,
    pub fields: Box<RawValue>,
    pub keep_attributes: Vec<String>,
    pub dedup_horizon_us: f64,
    pub lateness_us: Option<f64>,
    pub future_tolerance_us: f64,
    pub retention_us: Option<f64>,
    #[serde(default)]
    pub purpose: Option<String>,
    #[serde(default)]
    pub sets_consent: bool,
}
