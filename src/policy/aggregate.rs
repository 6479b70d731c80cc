//! The aggregates that features may have, and which columns of decide.feature each takes: this list is the only one.

use super::tables::FeatureRow;
use crate::math::aggregate::{Aggregate, Kind, bucket_for};

/// What there is to know of an aggregate.
pub struct AggregateRule {
    /// As features call it.
    pub name: &'static str,
    /// What it takes of an event.
    pub takes: Takes,
    /// Whether it may have a half_life.
    fades: bool,
    /// Whether it has a window_length.
    has_window: bool,
    /// Whether it has a trial_event_type.
    pub has_trials: bool,
    kind: KindOf,
}

/// The kind with the columns of a feature, or what is wrong with them.
type KindOf = fn(&FeatureRow) -> Result<Kind, String>;

/// What an aggregate takes of an event.
#[derive(Clone, Copy)]
pub enum Takes {
    /// That there was one; no value_path.
    Nothing,
    /// The number at value_path.
    Number,
    /// What is at value_path, by default the action.
    Item,
}

/// All of them.
static AGGREGATES: [AggregateRule; 10] = [
    AggregateRule {
        fades: true,
        ..plain("decayed_count", |_| Ok(Kind::DecayedCount))
    },
    AggregateRule {
        takes: Takes::Number,
        fades: true,
        ..plain("decayed_sum", |_| Ok(Kind::DecayedSum))
    },
    AggregateRule {
        takes: Takes::Number,
        fades: true,
        ..plain("decayed_mean", |_| Ok(Kind::DecayedMean))
    },
    AggregateRule {
        fades: true,
        has_trials: true,
        ..plain("rate", rate)
    },
    AggregateRule {
        has_window: true,
        ..plain("window_count", |row| {
            window(row).map(|(window, bucket)| Kind::WindowCount { window, bucket })
        })
    },
    AggregateRule {
        takes: Takes::Number,
        has_window: true,
        ..plain("window_sum", |row| {
            window(row).map(|(window, bucket)| Kind::WindowSum { window, bucket })
        })
    },
    plain("recency", |_| Ok(Kind::Recency)),
    AggregateRule {
        takes: Takes::Number,
        ..plain("first", |_| Ok(Kind::First))
    },
    AggregateRule {
        takes: Takes::Number,
        ..plain("last", |_| Ok(Kind::Last))
    },
    AggregateRule {
        takes: Takes::Item,
        ..plain("distinct", |_| Ok(Kind::Distinct))
    },
];

/// One that takes nothing of an event, and no column of its own.
const fn plain(name: &'static str, kind: KindOf) -> AggregateRule {
    AggregateRule {
        name,
        takes: Takes::Nothing,
        fades: false,
        has_window: false,
        has_trials: false,
        kind,
    }
}

impl AggregateRule {
    /// That of a feature, or that there is none of that name.
    pub fn of(row: &FeatureRow) -> Result<&'static AggregateRule, String> {
        let found = AGGREGATES.iter().find(|rule| rule.name == row.aggregate);
        found.ok_or_else(|| {
            let names: Vec<&str> = AGGREGATES.iter().map(|rule| rule.name).collect();
            format!(
                "aggregate \"{}\" is none of {}",
                row.aggregate,
                names.join(", ")
            )
        })
    }
}

/// The aggregate of a feature, or what is wrong with its columns.
pub fn aggregate(row: &FeatureRow) -> Result<Aggregate, String> {
    let half_life = match row.half_life_us {
        None => f64::INFINITY,
        Some(us) if us >= 1.0 => us,
        Some(_) => return Err("half_life must be positive".into()),
    };
    let ttl = match row.ttl_us {
        None => None,
        Some(us) if us >= 1.0 => Some(us as i64),
        Some(_) => return Err("ttl must be positive".into()),
    };
    let rule = AggregateRule::of(row)?;
    let kind = (rule.kind)(row)?;
    let columns = [
        ("half_life", row.half_life_us.is_some(), rule.fades),
        ("window_length", row.window_us.is_some(), rule.has_window),
        (
            "trial_event_type",
            row.trial_event_type.is_some(),
            rule.has_trials,
        ),
    ];
    for (column, is_given, is_taken) in columns {
        if is_given && !is_taken {
            return Err(format!("{} takes no {column}", rule.name));
        }
    }
    Ok(Aggregate {
        kind,
        half_life,
        ttl,
    })
}

/// The window, and the width of its buckets.
fn window(row: &FeatureRow) -> Result<(i64, i64), String> {
    match row.window_us {
        Some(us) if us >= 1e6 => Ok((us as i64, bucket_for(us as i64))),
        Some(_) => Err("window_length must be a second at least".to_owned()),
        None => Err(format!("{} needs a window_length", row.aggregate)),
    }
}

fn rate(row: &FeatureRow) -> Result<Kind, String> {
    let (weight, rate) = (row.prior_weight, row.prior_rate);
    if !(weight.is_finite() && weight >= 0.0) {
        return Err("prior_weight must be a number of 0 or more".into());
    }
    if weight > 0.0 && rate.is_none() {
        return Err("a prior_weight needs a prior_rate".into());
    }
    let prior_rate = rate.unwrap_or(0.0);
    if rate.is_some() && !(prior_rate.is_finite() && prior_rate > 0.0) {
        return Err("prior_rate must be a number above 0".into());
    }
    Ok(Kind::Rate {
        prior_weight: weight,
        prior_rate,
    })
}
