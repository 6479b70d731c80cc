//! From a model to a scorer.

use super::objective::differences;
use super::spreads::{Group, Part, Spreads};
use super::{FactIndex, MAX_CELLS, Objective, Panels, Position, RequestPart, Scorer};
use crate::model::{Covariance, Factor, Family, LinearModel, ModelError, Source, Term, Value};
use crate::to_f32;
use std::collections::BTreeMap;

/// Where the facts of a request will be: the caller's two look-ups.
struct Lookups<'a> {
    user: &'a dyn Fn(&Source) -> Option<Position>,
    context: &'a dyn Fn(&str) -> Option<usize>,
}

/// One term, taken apart into its request factors and its action factors.
struct Split<'m> {
    term: &'m Term,
    /// The request factors in sorted order, so that terms which differ in order alone share coordinates; each with the
    /// distance in the model's weights between two neighbouring levels of it.
    request: Vec<(&'m Factor, usize)>,
    /// The same for the action factors, in the term's order, each by its index among all that there are.
    action: Vec<(usize, usize)>,
    /// The term's weights.
    weights: &'m [f32],
    /// The column of the first of them.
    column: usize,
}

/// A term with its request facts found. One whose facts stand at different indexes for different actions is taken apart
/// into one for each.
struct LocatedTerm<'s, 'm> {
    split: &'s Split<'m>,
    indexes: Vec<FactIndex>,
    /// The actions that it is for, ascending; all if there is no list.
    only: Option<Vec<usize>>,
}

impl Scorer {
    /// Compiles a model for `actions` actions.
    ///
    /// With the covariance of its weights the scorer can tell how sure it is of its scores. What a score says is the
    /// objective's: the cells of a linear model with a baseline are differences from it.
    /// `action_value(a, source)` tells the name or an attribute of action a. `user_index` and `context_index` tell at
    /// which position of the slices given to [`Scorer::vector`] a feature or a field will be.
    ///
    /// Errors: whatever [`LinearModel::validate`] finds, a name that has no position, or a matrix above
    /// [`MAX_CELLS`]. Cells are summed in f64 in the order of terms and rounded to f32 once.
    pub fn compile<'v>(
        model: &LinearModel,
        covariance: Option<&Covariance>,
        objective: Objective,
        actions: usize,
        action_value: &dyn Fn(usize, &Source) -> Value<'v>,
        user_index: &dyn Fn(&Source) -> Option<Position>,
        context_index: &dyn Fn(&str) -> Option<usize>,
    ) -> Result<Scorer, ModelError> {
        model.validate()?;
        let is_linear = model.family == Family::Linear;
        let less = objective.baseline.filter(|_| is_linear);
        let lookups = Lookups {
            user: user_index,
            context: context_index,
        };
        let (splits, of_actions) = split(model);
        let encoded: Vec<Encoded> = of_actions
            .into_iter()
            .map(|factor| encoded(factor, actions, action_value))
            .collect();
        let mut groups: BTreeMap<Vec<(&Factor, FactIndex)>, Vec<LocatedTerm<'_, '_>>> =
            BTreeMap::new();
        for split in &splits {
            for located in located(split, actions, &lookups)? {
                groups.entry(located.request()).or_default().push(located);
            }
        }
        let (common, own): (Vec<_>, Vec<_>) = groups
            .into_values()
            .partition(|parts| parts.iter().all(LocatedTerm::is_of_every_action));

        let (mut parts, mut factors) = (Vec::new(), Vec::new());
        let (mut common_weights, mut rows) = (Vec::new(), Vec::new());
        let mut of_spreads = Vec::new();
        let mut inputs = 0usize;
        let mut begin = |located: &[LocatedTerm<'_, '_>], base: usize| {
            let of_part = located[0].request();
            factors.extend(
                of_part
                    .iter()
                    .map(|(factor, index)| (factor.encoding.clone(), *index)),
            );
            parts.push(RequestPart {
                base: base as u32,
                end: factors.len() as u32,
            });
            of_part
                .iter()
                .map(|(factor, _)| factor.encoding.width())
                .product::<usize>()
        };
        for located in common {
            let width = begin(&located, inputs);
            inputs += width;
            match less {
                None => common_weights.extend(cells(&located, width, 1, &[], None)),
                // the same for the baseline
                Some(_) => common_weights.resize(common_weights.len() + width, 0.0),
            }
            if covariance.is_some() {
                of_spreads.push(group(&located, width, actions, &encoded));
            }
        }
        for located in own {
            let width = begin(&located, inputs);
            inputs += width;
            let coordinates = inputs - common_weights.len();
            if coordinates
                .checked_mul(actions)
                .is_none_or(|cells| cells > MAX_CELLS)
            {
                return Err(ModelError::TooManyCells {
                    coordinates,
                    actions,
                });
            }
            rows.extend(cells(&located, width, actions, &encoded, less));
            if covariance.is_some() {
                of_spreads.push(group(&located, width, actions, &encoded));
            }
        }
        let of_differences = objective.baseline.filter(|_| covariance.is_some());
        let of_differences = of_differences.map(|b| differences(&of_spreads, b, actions));
        let compiled = |groups: &[Group]| {
            let known = covariance.map(|known| Spreads::compile(groups, known, actions));
            known.transpose()
        };
        let (spreads, contrasts) = match &of_differences {
            None => (compiled(&of_spreads)?, None),
            Some(groups) if is_linear => (compiled(groups)?, None),
            Some(groups) => (compiled(&of_spreads)?, compiled(groups)?),
        };
        Ok(Scorer {
            family: model.family,
            actions,
            inputs,
            parts: parts.into(),
            factors,
            common: common_weights.into(),
            own: Panels::cut(&rows, actions),
            spreads,
            contrasts,
            objective,
        })
    }
}

/// What the fact of each action gives under a factor: its level, and its number there. Terms share factors, some with
/// thousands of levels, among which each action is looked for only once.
type Encoded = Vec<Option<(usize, f64)>>;

fn encoded<'v>(
    factor: &Factor,
    actions: usize,
    action_value: &dyn Fn(usize, &Source) -> Value<'v>,
) -> Encoded {
    let fact = |action| action_value(action, &factor.source);
    (0..actions)
        .map(|action| factor.encoding.encode(fact(action)))
        .collect()
}

/// Takes each term apart; all action factors that there are, each once.
fn split(model: &LinearModel) -> (Vec<Split<'_>>, Vec<&Factor>) {
    let (mut of_actions, mut known) = (Vec::new(), BTreeMap::new());
    let mut weights = model.weights.as_slice();
    let mut splits = Vec::with_capacity(model.terms.len());
    let mut column = 0;
    for term in &model.terms {
        let mut stride = 1;
        let mut factors = Vec::with_capacity(term.factors.len());
        for factor in term.factors.iter().rev() {
            factors.push((factor, stride));
            stride *= factor.encoding.width();
        }
        let (of_term, rest) = weights.split_at(stride);
        weights = rest;
        let (action, mut request): (Vec<_>, Vec<_>) = factors
            .into_iter()
            .rev()
            .partition(|(factor, _)| factor.source.is_of_action());
        request.sort();
        let mut place_of = |factor| {
            *known.entry(factor).or_insert_with(|| {
                of_actions.push(factor);
                of_actions.len() - 1
            })
        };
        splits.push(Split {
            term,
            request,
            action: action
                .into_iter()
                .map(|(factor, stride)| (place_of(factor), stride))
                .collect(),
            weights: of_term,
            column,
        });
        column += stride;
    }
    (splits, of_actions)
}

/// Finds the request facts of a term.
fn located<'s, 'm>(
    split: &'s Split<'m>,
    actions: usize,
    lookups: &Lookups<'_>,
) -> Result<Vec<LocatedTerm<'s, 'm>>, ModelError> {
    let index = |factor: &Factor| match &factor.source {
        Source::User(_) | Source::Missing(_) => (lookups.user)(&factor.source),
        Source::Context(name) => (lookups.context)(name).map(Position::At),
        Source::Attribute(_) | Source::Action | Source::Surface(_) => None,
    };
    let mut found = Vec::with_capacity(split.request.len());
    for &(factor, _) in &split.request {
        found.push(index(factor).ok_or_else(|| ModelError::UnknownSource {
            term: split.term.to_string(),
            source: factor.source.clone(),
        })?);
    }
    let indexes_for = |action: Option<usize>| -> Option<Vec<FactIndex>> {
        let factors = split.request.iter().zip(&found);
        factors
            .map(|((factor, _), position)| {
                let index = match position {
                    Position::At(index) => *index,
                    Position::ByAction(indexes) => (*indexes.get(action?)?)?,
                };
                Some(match factor.source {
                    Source::Context(_) => FactIndex::Context(index as u32),
                    _ => FactIndex::Feature(index as u32),
                })
            })
            .collect()
    };
    if let Some(indexes) = indexes_for(None) {
        let only = None;
        return Ok(vec![LocatedTerm {
            split,
            indexes,
            only,
        }]);
    }
    let mut by_indexes: BTreeMap<Vec<FactIndex>, Vec<usize>> = BTreeMap::new();
    for action in 0..actions {
        if let Some(indexes) = indexes_for(Some(action)) {
            by_indexes.entry(indexes).or_default().push(action);
        }
    }
    let parts = by_indexes
        .into_iter()
        .map(|(indexes, actions)| LocatedTerm {
            split,
            indexes,
            only: Some(actions),
        });
    Ok(parts.collect())
}

impl<'m> LocatedTerm<'_, 'm> {
    /// What makes two terms share coordinates.
    fn request(&self) -> Vec<(&'m Factor, FactIndex)> {
        let factors = self.split.request.iter().map(|&(factor, _)| factor);
        factors.zip(self.indexes.iter().copied()).collect()
    }

    fn is_of_every_action(&self) -> bool {
        self.only.is_none() && self.split.action.is_empty()
    }

    /// The actions that it is for, how far into the term's weights each leads, and by what its weight is multiplied.
    fn of_actions(&self, actions: usize, encoded: &[Encoded]) -> Vec<(usize, usize, f64)> {
        let part = |a| {
            let (offset, value) = self.split.action_part(a, encoded)?;
            Some((a, offset, value))
        };
        match &self.only {
            None => (0..actions).filter_map(part).collect(),
            Some(only) => only.iter().copied().filter_map(part).collect(),
        }
    }
}

/// The same terms as [`cells`] takes, for their covariance.
fn group(
    located: &[LocatedTerm<'_, '_>],
    width: usize,
    actions: usize,
    encoded: &[Encoded],
) -> Group {
    let part = |located: &LocatedTerm<'_, '_>| {
        let split = located.split;
        let columns = (0..width).map(|coordinate| split.column + split.request_offset(coordinate));
        Part {
            columns: columns.collect(),
            of_actions: located.of_actions(actions, encoded),
        }
    };
    Group {
        width,
        parts: located.iter().map(part).collect(),
    }
}

/// The cells of terms that share their request part: `width` coordinates × actions, row-major; less those of the
/// baseline, if one is given.
fn cells(
    located: &[LocatedTerm<'_, '_>],
    width: usize,
    actions: usize,
    encoded: &[Encoded],
    less: Option<usize>,
) -> Vec<f32> {
    let parts: Vec<Vec<(usize, usize, f64)>> = located
        .iter()
        .map(|located| located.of_actions(actions, encoded))
        .collect();
    let mut cells = Vec::with_capacity(width * actions);
    let mut row = vec![0.0f64; actions];
    for coordinate in 0..width {
        row.fill(0.0);
        for (located, parts) in located.iter().zip(&parts) {
            let weights = &located.split.weights[located.split.request_offset(coordinate)..];
            for &(a, offset, value) in parts {
                row[a] += f64::from(weights[offset]) * value;
            }
        }
        if let Some(baseline) = less.map(|b| row[b]) {
            row.iter_mut().for_each(|cell| *cell -= baseline);
        }
        cells.extend(row.iter().map(|&cell| to_f32(cell)));
    }
    cells
}

impl Split<'_> {
    /// How far into the term's weights an action leads, and by what its weight is multiplied; None if one of its facts
    /// is missing.
    fn action_part(&self, action: usize, encoded: &[Encoded]) -> Option<(usize, f64)> {
        let (mut offset, mut product) = (0usize, 1.0f64);
        for &(factor, stride) in &self.action {
            let (level, value) = encoded[factor][action]?;
            offset += level * stride;
            product *= value;
        }
        Some((offset, product))
    }

    /// How far into the term's weights a coordinate of the request part leads.
    fn request_offset(&self, coordinate: usize) -> usize {
        let (mut rest, mut offset) = (coordinate, 0usize);
        for &(factor, stride) in self.request.iter().rev() {
            let width = factor.encoding.width();
            offset += rest % width * stride;
            rest /= width;
        }
        offset
    }
}
