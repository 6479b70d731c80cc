//! The SQL functions of this room.

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::history::Span;
use super::train::{Asked, train as fit};
use crate::error::{Error, OrRaise};
use crate::math::model::Family;
use crate::policy::is_name;

/// import_decisions(source, origin): how many rows came in.
#[pg_extern(sql = false)]
fn import_decisions(source: Option<pg_sys::Oid>, origin: Option<&str>) -> i64 {
    let source = source.ok_or(Error::Null("source")).or_raise();
    let origin = origin.ok_or(Error::Null("origin")).or_raise();
    if !is_name(origin) {
        Error::Import(
            "origin is not a clean name".into(),
            "Name the system that made the decisions.",
        )
        .raise();
    }
    super::import::import(source, origin).or_raise()
}

/// train(model, surface, terms, …): the number of the new version.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn train(
    model: &str,
    surface: &str,
    terms: Vec<Option<String>>,
    outcome: &str,
    family: &str,
    decided_from: TimestampWithTimeZone,
    decided_to: TimestampWithTimeZone,
    l2: f64,
    weighted: bool,
    holdout: f64,
    seed: i64,
    min_count: i32,
    hash_buckets: i32,
) -> i32 {
    let family = match family {
        "linear" => Family::Linear,
        "logistic" => Family::Logistic,
        other => refuse(&format!(
            "family \"{other}\" is neither linear nor logistic"
        )),
    };
    if !is_name(model) {
        refuse("model is not a clean name")
    }
    if !(l2 >= 0.0 && l2.is_finite()) {
        refuse("l2 must be a number from 0 up")
    }
    if !(0.0..1.0).contains(&holdout) {
        refuse("holdout must be from 0 up and below 1")
    }
    let span = Span {
        surface,
        outcome,
        from: decided_from.into_inner(),
        to: decided_to.into_inner(),
    };
    let asked = Asked {
        model,
        terms: terms.into_iter().flatten().collect(),
        family,
        span,
        l2,
        weighted,
        holdout,
        seed,
        min_count: usize::try_from(min_count).unwrap_or(0).max(1),
        hash_buckets: u32::try_from(hash_buckets)
            .ok()
            .filter(|&buckets| buckets > 0),
    };
    fit(&asked).or_raise()
}

fn refuse(what: &str) -> ! {
    Error::Training(what.to_owned(), "See \\df+ decide.train.").raise()
}
