//! Training: from the decisions of a surface and what came of them to a model version.

use pgrx::pg_sys::{FLOAT4ARRAYOID, INT8OID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID};
use serde_json::json;

use super::history::{History, Shown, Span};
use crate::error::{Error, printable};
use crate::math::model::{Family, LinearModel, Source, parse_term};
use crate::math::random::Draws;
use crate::math::to_f32;
use crate::math::train::{Design, Fit, Limits, Metrics, Vocabulary, fit};
use crate::pg::{Session, Statement, array, datum, session};

thread_local! {
    static LOCK: Statement = const { Statement::new(
        "LOCK TABLE decide.model_version IN SHARE ROW EXCLUSIVE MODE", &[]) };
    static WRITE: Statement = const { Statement::new(
        "INSERT INTO decide.model_version (model, version, family, terms, spec, weights, window_from, \
                window_to, rows, hyperparameters, metrics, seed, created_by, created_as) \
         SELECT $1, COALESCE(pg_catalog.max(m.version), 0) + 1, $2, $3, $4::jsonb, $5, $6, $7, $8, \
                $9::jsonb, $10::jsonb, $11, SESSION_USER, $12 \
           FROM decide.model_version AS m WHERE m.model = $1 \
         RETURNING version",
        &[TEXTOID, TEXTOID, TEXTARRAYOID, TEXTOID, FLOAT4ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
          INT8OID, TEXTOID, TEXTOID, INT8OID, TEXTOID]) };
}

/// What train() is asked for.
pub struct TrainArgs<'a> {
    pub model: &'a str,
    pub terms: Vec<String>,
    pub family: Family,
    pub span: Span<'a>,
    pub l2: f64,
    /// Weigh each row by 1 / propensity.
    pub weighted: bool,
    /// Share of the decisions that is not trained on but measured.
    pub holdout: f64,
    pub seed: i64,
    /// Rows that a level of a text must have.
    pub min_count: usize,
    /// Hash texts into so many buckets instead.
    pub hash_buckets: Option<u32>,
}

/// Trains a model and writes it as a new version, not approved; answers the version.
pub fn train(asked: &TrainArgs<'_>, caller: &str) -> Result<i32, Error> {
    let sources = sources(asked)?;
    let history = History::read(&asked.span)?;
    let (held, rows): (Vec<&Shown>, Vec<&Shown>) = history
        .rows
        .iter()
        .partition(|shown| is_held_out(asked, shown));
    if rows.is_empty() {
        return Err(Error::Training(
            format!(
                "surface \"{}\" has no decisions to train on in that time",
                printable(asked.span.surface)
            ),
            "Widen decided_from and decided_to, import decisions, or let a policy decide for a while.",
        ));
    }
    let model = encode(asked, &sources, &history, &rows)?;
    let design = design(asked, &model, &history, &rows);
    let fitted = solve(asked, &model, &design)?;
    let weights: Vec<f32> = fitted
        .weights
        .iter()
        .map(|&weight| to_f32(weight))
        .collect();
    let exact: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
    let measured = |design: &Design| {
        let predictions = design.predict(asked.family, &exact);
        Metrics::measure(
            asked.family,
            &predictions,
            design.labels(),
            design.weights(),
        )
    };
    let metrics = json!({
        "training": measured(&design), "holdout": measured(&self::design(asked, &model, &history, &held)),
        "iterations": fitted.iterations, "converged": fitted.converged,
    });
    Ok(write(asked, &model, &weights, &rows, &metrics, caller))
}

/// The terms, taken apart; an intercept is added where none is asked for.
fn sources(asked: &TrainArgs<'_>) -> Result<Vec<Vec<Source>>, Error> {
    let mut terms = vec![Vec::new()];
    for term in &asked.terms {
        let sources = parse_term(term).map_err(|error| {
            Error::Training(
                format!("term \"{}\": {error}", printable(term)),
                "Terms are 1, user.feature, missing.feature, context.field, action.attribute, surface.feature, action, and products of them with *.",
            )
        })?;
        if !sources.is_empty() {
            terms.push(sources);
        }
    }
    Ok(terms)
}

/// The split is by the moment of the decision, so that the slots of one slate stay together, and the
/// same log is split the same way wherever it is imported.
fn is_held_out(asked: &TrainArgs<'_>, shown: &Shown) -> bool {
    Draws::from_seed(shown.decided_at as u64 ^ asked.seed as u64).unit() < asked.holdout
}

/// The model's terms with the encodings that the rows call for; no weights yet.
fn encode(
    asked: &TrainArgs<'_>,
    sources: &[Vec<Source>],
    history: &History,
    rows: &[&Shown],
) -> Result<LinearModel, Error> {
    let mut vocabulary = Vocabulary::new(sources);
    for shown in rows {
        session::check_interrupts();
        vocabulary.observe(&|source| history.value(shown, source));
    }
    let limits = Limits {
        min_count: asked.min_count,
        max_levels: 10_000,
        hashed: asked.hash_buckets,
    };
    // Actions are few and known: each keeps a level of its own.
    let named = Limits {
        min_count: 1,
        hashed: None,
        ..limits
    };
    let terms = vocabulary.terms(sources, &|source| {
        if *source == Source::Action {
            named
        } else {
            limits
        }
    });
    let model = LinearModel {
        family: asked.family,
        terms,
        weights: Vec::new(),
    };
    model.width().map_err(|error| {
        Error::Training(
            error.to_string(),
            "Use fewer crosses, hash_buckets, or a larger min_count.",
        )
    })?;
    Ok(model)
}

fn design(
    asked: &TrainArgs<'_>,
    model: &LinearModel,
    history: &History,
    rows: &[&Shown],
) -> Design {
    let weight = |shown: &Shown| {
        if asked.weighted {
            1.0 / shown.propensity
        } else {
            1.0
        }
    };
    let total: f64 = rows.iter().map(|shown| weight(shown)).sum();
    let mean = total / rows.len().max(1) as f64;
    let mut design = Design::new();
    let mut row = Vec::new();
    for shown in rows {
        session::check_interrupts();
        model.encode(&|source| history.value(shown, source), &mut row);
        let label = match asked.family {
            Family::Linear => shown.reward,
            Family::Logistic => f64::from(u8::from(shown.reward > 0.0)),
        };
        design.push(&row, label, weight(shown) / mean);
    }
    design
}

fn solve(asked: &TrainArgs<'_>, model: &LinearModel, design: &Design) -> Result<Fit, Error> {
    let width = model.width().unwrap_or(0);
    // The intercept is the first term and has one weight.
    let penalise = |column: usize| column > 0;
    fit(
        design,
        width,
        asked.family,
        asked.l2,
        &penalise,
        &mut session::check_interrupts,
    )
    .map_err(|error| {
        Error::Training(
            error.to_string(),
            "Raise l2, or look at the values of its features.",
        )
    })
}

fn write(
    asked: &TrainArgs<'_>,
    model: &LinearModel,
    weights: &[f32],
    rows: &[&Shown],
    metrics: &serde_json::Value,
    caller: &str,
) -> i32 {
    let terms: Vec<Option<String>> = asked.terms.iter().cloned().map(Some).collect();
    let hyperparameters = json!({
        "surface": asked.span.surface, "outcome": asked.span.outcome, "l2": asked.l2,
        "weighted": asked.weighted, "holdout": asked.holdout, "min_count": asked.min_count,
        "hash_buckets": asked.hash_buckets,
    });
    let family = match asked.family {
        Family::Linear => "linear",
        Family::Logistic => "logistic",
    };
    let moment = |at: Option<i64>| at.and_then(datum::timestamp);
    let spec = serde_json::to_string(model).expect("a model is plain data");
    let (hyperparameters, metrics) = (hyperparameters.to_string(), metrics.to_string());
    let mut version = 0;
    let _session = Session::open();
    LOCK.with(|statement| statement.write(&[], |_| {}));
    WRITE.with(|statement| {
        let args = [
            datum::text(asked.model),
            datum::text(family),
            datum::texts(&terms),
            datum::text(&spec),
            Some(array::from_slice(weights)),
            moment(rows.iter().map(|shown| shown.decided_at).min()),
            moment(rows.iter().map(|shown| shown.decided_at).max()),
            datum::int8(rows.len() as i64),
            datum::text(&hyperparameters),
            datum::text(&metrics),
            datum::int8(asked.seed),
            datum::text(caller),
        ];
        statement.write(&args, |row| version = row.must(1))
    });
    version
}
