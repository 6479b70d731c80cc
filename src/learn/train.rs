//! Training: from the decisions of a surface and what came of them to a model version.

use std::collections::BTreeMap;

use pgrx::pg_sys::{
    FLOAT4ARRAYOID, FLOAT8ARRAYOID, INT8OID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID,
};
use serde_json::json;

use super::delay;
use super::history::{Example, History, Span};
use crate::error::{Error, printable};
use crate::math::decay::remaining;
use crate::math::model::{Covariance, Family, LinearModel, Source, parse_term};
use crate::math::random::Draws;
use crate::math::to_f32;
use crate::math::train::{
    Design, Fit, Limits, Metrics, Scale, TrainError, Vocabulary, fit, posterior,
};
use crate::pg::{Session, Statement, array, datum, session};

thread_local! {
    static LOCK: Statement = const { Statement::new(
        "LOCK TABLE decide.model_version IN SHARE ROW EXCLUSIVE MODE", &[]) };
    static WRITE: Statement = const { Statement::new(
        "INSERT INTO decide.model_version (model, version, family, terms, spec, weights, window_from, \
                window_to, rows, hyperparameters, metrics, seed, created_by, created_as, covariance) \
         SELECT $1, COALESCE(pg_catalog.max(m.version), 0) + 1, $2, $3, $4::jsonb, $5, $6, $7, $8, \
                $9::jsonb, $10::jsonb, $11, SESSION_USER, $12, $13 \
           FROM decide.model_version AS m WHERE m.model = $1 \
         RETURNING version",
        &[TEXTOID, TEXTOID, TEXTARRAYOID, TEXTOID, FLOAT4ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
          INT8OID, TEXTOID, TEXTOID, INT8OID, TEXTOID, FLOAT8ARRAYOID]) };
}

/// The arguments of train().
pub struct TrainArgs<'a> {
    pub model: &'a str,
    pub terms: Vec<String>,
    pub family: Family,
    pub span: Span<'a>,
    pub l2: f64,
    /// Each row weighs 1 / propensity.
    pub weighted: bool,
    /// Share of the decisions that is measured and not trained on.
    pub holdout: f64,
    pub seed: i64,
    /// Rows that a level of a text must have.
    pub min_count: usize,
    /// Hash texts into so many buckets instead.
    pub hash_buckets: Option<u32>,
    /// Keep how sure the model is of its weights.
    pub posterior: bool,
    /// A row that is so much older than the newest counts half, in microseconds.
    pub half_life: Option<f64>,
    /// Facts whose numbers are codes, and those whose texts are numbers.
    pub categorical: Vec<String>,
    pub numerical: Vec<String>,
}

/// Trains a model and writes it as a new version, not approved; answers the version.
pub fn train(args: &TrainArgs<'_>, caller: &str) -> Result<i32, Error> {
    let sources = sources(args)?;
    let declared = declared(args, &sources)?;
    let delay_version = match args.span.delay_corrected {
        true => Some(delay::version(&args.span)?),
        false => None,
    };
    let history = History::read(&args.span)?;
    let (held, rows): (Vec<&Example>, Vec<&Example>) = history
        .rows
        .iter()
        .partition(|example| is_held_out(args, example));
    if rows.is_empty() {
        return Err(Error::Training(
            format!(
                "surface \"{}\" has no decisions to train on in that time",
                printable(args.span.surface)
            ),
            "Widen decided_from and decided_to, import decisions, or let a policy decide for a while.",
        ));
    }
    let model = encode(args, &sources, &declared, &history, &rows)?;
    let design = design(args, &model, &history, &rows);
    let fitted = solve(args, &model, &design)?;
    let covariance = args.posterior.then(|| covariance(args, &fitted, &design));
    let covariance = covariance.transpose()?;
    let weights: Vec<f32> = fitted
        .weights
        .iter()
        .map(|&weight| to_f32(weight))
        .collect();
    let exact: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
    let measured = |design: &Design| {
        let predictions = design.predict(args.family, &exact);
        Metrics::measure(args.family, &predictions, design.labels(), design.weights())
    };
    let metrics = json!({
        "training": measured(&design), "holdout": measured(&self::design(args, &model, &history, &held)),
        "iterations": fitted.iterations, "converged": fitted.converged,
    });
    let fitted = Fitted {
        weights: &weights,
        covariance: covariance.as_ref(),
        delay_version,
    };
    Ok(write(args, &model, &fitted, &rows, &metrics, caller))
}

/// What was learned.
struct Fitted<'a> {
    weights: &'a [f32],
    covariance: Option<&'a Covariance>,
    /// Of the delay by which labels were corrected.
    delay_version: Option<i32>,
}

/// The sources of each term, with an intercept first.
fn sources(args: &TrainArgs<'_>) -> Result<Vec<Vec<Source>>, Error> {
    let mut terms = vec![Vec::new()];
    for term in &args.terms {
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

/// What facts were declared to be.
fn declared(args: &TrainArgs<'_>, terms: &[Vec<Source>]) -> Result<BTreeMap<Source, Scale>, Error> {
    let categorical = args.categorical.iter();
    let categorical = categorical.map(|name| (name, Scale::Categorical));
    let numerical = args.numerical.iter().map(|name| (name, Scale::Numeric));
    let mut declared = BTreeMap::new();
    for (name, scale) in categorical.chain(numerical) {
        let refuse = |what: &str| {
            Err(Error::Training(
                format!("\"{}\" {what}", printable(name)),
                "categorical and numerical name facts of the terms, as context.field or action.attribute, each once.",
            ))
        };
        let source = name.parse::<Source>().ok();
        let in_terms = |source: &Source| terms.iter().flatten().any(|term| term == source);
        let Some(source) = source.filter(in_terms) else {
            return refuse("is in no term");
        };
        let before = declared.insert(source, scale);
        if before.is_some_and(|before| before != scale) {
            return refuse("is declared both categorical and numerical");
        }
    }
    Ok(declared)
}

/// The split is by the moment of the decision, so that the slots of one slate stay together, and the
/// same log is split the same way wherever it is imported.
fn is_held_out(args: &TrainArgs<'_>, example: &Example) -> bool {
    Draws::from_seed(example.decided_at as u64 ^ args.seed as u64).unit() < args.holdout
}

/// The model's terms with the encodings that the rows call for; no weights yet.
fn encode(
    args: &TrainArgs<'_>,
    sources: &[Vec<Source>],
    declared: &BTreeMap<Source, Scale>,
    history: &History,
    rows: &[&Example],
) -> Result<LinearModel, Error> {
    let mut vocabulary = Vocabulary::new(sources);
    for example in rows {
        session::check_interrupts();
        vocabulary.observe(&|source| history.value(example, source));
    }
    let limits = Limits {
        min_count: args.min_count,
        max_levels: 10_000,
        hashed: args.hash_buckets,
        declared: None,
    };
    // Actions are few and known: each keeps a level of its own.
    let named = Limits {
        min_count: 1,
        hashed: None,
        ..limits
    };
    let terms = vocabulary.terms(sources, &|source| {
        if *source == Source::Action {
            return named;
        }
        Limits {
            declared: declared.get(source).copied(),
            ..limits
        }
    });
    let model = LinearModel {
        family: args.family,
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
    args: &TrainArgs<'_>,
    model: &LinearModel,
    history: &History,
    rows: &[&Example],
) -> Design {
    let weight = |example: &Example| {
        if args.weighted {
            1.0 / example.propensity
        } else {
            1.0
        }
    };
    let total: f64 = rows.iter().map(|example| weight(example)).sum();
    let mean = total / rows.len().max(1) as f64;
    let newest = rows.iter().map(|example| example.decided_at).max();
    let faded = |example: &Example| match (args.half_life, newest) {
        (Some(half_life), Some(newest)) => {
            remaining(newest.abs_diff(example.decided_at), half_life)
        }
        _ => 1.0,
    };
    let mut design = Design::new();
    let mut row = Vec::new();
    for example in rows {
        session::check_interrupts();
        model.encode(&|source| history.value(example, source), &mut row);
        let label = match args.family {
            Family::Linear => example.reward + example.value_to_come,
            Family::Logistic if example.reward > 0.0 => 1.0,
            Family::Logistic => example.to_come,
        };
        design.push(&row, label, weight(example) / mean * faded(example));
    }
    design
}

fn solve(args: &TrainArgs<'_>, model: &LinearModel, design: &Design) -> Result<Fit, Error> {
    let width = model.width().unwrap_or(0);
    fit(
        design,
        width,
        args.family,
        args.l2,
        &is_penalised,
        &mut session::check_interrupts,
    )
    .map_err(|error| unlearned(error, constant_terms(args, model, design)))
    .inspect(|fitted| {
        if !fitted.converged {
            let constant = constant_terms(args, model, design);
            pgrx::warning!(
                "the weights have not settled, and are the best that were found{}; raise l2, or leave terms out",
                constant.unwrap_or_default()
            );
        }
    })
}

/// How sure one can be of the weights.
fn covariance(args: &TrainArgs<'_>, fitted: &Fit, design: &Design) -> Result<Covariance, Error> {
    posterior(
        design,
        args.family,
        &fitted.weights,
        args.l2,
        &is_penalised,
        &mut session::check_interrupts,
    )
    .map_err(|error| unlearned(error, None))
}

/// The intercept, which is the first term and has one weight, is not.
fn is_penalised(column: usize) -> bool {
    column > 0
}

/// Why there are no weights, and which terms are the same in every row.
fn unlearned(error: TrainError, constant: Option<String>) -> Error {
    Error::Training(
        format!("{error}{}", constant.unwrap_or_default()),
        "Raise l2, or look at the values of its features.",
    )
}

/// Which terms are the same in every row: without a penalty they and the intercept can take any weights whose sum is the
/// same, and run away from each other.
fn constant_terms(args: &TrainArgs<'_>, model: &LinearModel, design: &Design) -> Option<String> {
    if args.l2 > 0.0 {
        return None;
    }
    let constant = design.constant_columns(model.width().unwrap_or(0));
    let (mut first, mut names) = (0, Vec::new());
    for term in &model.terms {
        let next = first + term.width().unwrap_or(0);
        let is_constant = constant.iter().any(|column| (first..next).contains(column));
        if is_constant && !term.factors.is_empty() {
            names.push(format!("\"{}\"", printable(&term.to_string())));
        }
        first = next;
    }
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!(": the same in every row, as the intercept, are the terms {names}")
    })
}

fn write(
    args: &TrainArgs<'_>,
    model: &LinearModel,
    fitted: &Fitted<'_>,
    rows: &[&Example],
    metrics: &serde_json::Value,
    caller: &str,
) -> i32 {
    let terms: Vec<Option<String>> = args.terms.iter().cloned().map(Some).collect();
    let mut hyperparameters = json!({
        "surface": args.span.surface, "outcome": args.span.outcome, "l2": args.l2,
        "weighted": args.weighted, "holdout": args.holdout, "min_count": args.min_count,
        "hash_buckets": args.hash_buckets, "posterior": args.posterior,
        "half_life_seconds": args.half_life.map(|us| us / 1e6),
        "categorical": args.categorical, "numerical": args.numerical,
    });
    if let Some(version) = fitted.delay_version {
        hyperparameters["delay_version"] = version.into();
    }
    let family = match args.family {
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
        let row = [
            datum::text(args.model),
            datum::text(family),
            datum::texts(&terms),
            datum::text(&spec),
            Some(array::from_slice(fitted.weights)),
            moment(rows.iter().map(|example| example.decided_at).min()),
            moment(rows.iter().map(|example| example.decided_at).max()),
            datum::int8(rows.len() as i64),
            datum::text(&hyperparameters),
            datum::text(&metrics),
            datum::int8(args.seed),
            datum::text(caller),
            fitted
                .covariance
                .map(|known| array::from_slice(known.entries())),
        ];
        statement.write(&row, |row| version = row.must(1))
    });
    version
}
