//! From a model to a scorer.

use super::{MAX_CELLS, Place, RequestPart, Scorer};
use crate::math::model::{Factor, LinearModel, ModelError, Source, Term, Value};
use crate::math::to_f32;
use std::collections::BTreeMap;

/// Where the facts of a request will be: the caller's two look-ups.
struct Places<'a> {
    user: &'a dyn Fn(&str) -> Option<usize>,
    context: &'a dyn Fn(&str) -> Option<usize>,
}

/// One term, taken apart into its request factors and its action factors.
struct Split<'m> {
    term: &'m Term,
    /// The request factors in sorted order, so that terms which differ in order alone share coordinates; each with the
    /// distance in the model's weights between two neighbouring levels of it.
    request: Vec<(&'m Factor, usize)>,
    /// The same for the action factors, in the term's order.
    action: Vec<(&'m Factor, usize)>,
    /// The term's weights.
    weights: &'m [f32],
}

impl Scorer {
    /// Compiles a model for `actions` actions.
    ///
    /// `action_value(a, source)` tells the name or an attribute of action a. `user_index` and `context_index` tell at
    /// which position of the slices given to [`Scorer::vector`] a feature or a field will be.
    ///
    /// Errors: whatever [`LinearModel::validate`] finds, a name that has no position, or a matrix above
    /// [`MAX_CELLS`]. Cells are summed in f64 in the order of terms and rounded to f32 once.
    pub fn compile<'v>(
        model: &LinearModel,
        actions: usize,
        action_value: &dyn Fn(usize, &Source) -> Value<'v>,
        user_index: &dyn Fn(&str) -> Option<usize>,
        context_index: &dyn Fn(&str) -> Option<usize>,
    ) -> Result<Scorer, ModelError> {
        model.validate()?;
        let places = Places {
            user: user_index,
            context: context_index,
        };
        let splits = split(model);
        let mut groups: BTreeMap<Vec<&Factor>, Vec<&Split<'_>>> = BTreeMap::new();
        for split in &splits {
            let key = split.request.iter().map(|&(factor, _)| factor).collect();
            groups.entry(key).or_default().push(split);
        }
        let (common, own): (Vec<_>, Vec<_>) = groups
            .into_values()
            .partition(|splits| splits.iter().all(|split| split.action.is_empty()));

        let (mut parts, mut common_weights, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut inputs = 0usize;
        for splits in common {
            let part = request_part(splits[0], inputs, &places)?;
            inputs += part.width;
            common_weights.extend(cells(&splits, part.width, 1, &|_, _| Value::Missing));
            parts.push(part);
        }
        for splits in own {
            let part = request_part(splits[0], inputs, &places)?;
            inputs += part.width;
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
            rows.extend(cells(&splits, part.width, actions, action_value));
            parts.push(part);
        }
        Ok(Scorer {
            family: model.family,
            actions,
            inputs,
            parts,
            common: common_weights,
            rows,
        })
    }
}

/// Takes each term apart.
fn split(model: &LinearModel) -> Vec<Split<'_>> {
    let mut weights = model.weights.as_slice();
    let mut splits = Vec::with_capacity(model.terms.len());
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
        splits.push(Split {
            term,
            request,
            action,
            weights: of_term,
        });
    }
    splits
}

/// The request part of a term, with the places of its facts.
fn request_part(
    split: &Split<'_>,
    base: usize,
    places: &Places<'_>,
) -> Result<RequestPart, ModelError> {
    let place = |factor: &Factor| match &factor.source {
        Source::User(name) => (places.user)(name).map(Place::Feature),
        Source::Context(name) => (places.context)(name).map(Place::Context),
        Source::Attribute(_) | Source::Action => None,
    };
    let factors = split
        .request
        .iter()
        .map(|&(factor, _)| match place(factor) {
            Some(place) => Ok((factor.clone(), place)),
            None => Err(ModelError::UnknownSource {
                term: split.term.to_string(),
                source: factor.source.clone(),
            }),
        });
    let width = split
        .request
        .iter()
        .map(|(factor, _)| factor.encoding.width())
        .product();
    Ok(RequestPart {
        factors: factors.collect::<Result<_, _>>()?,
        base,
        width,
    })
}

/// The cells of terms that share their request part: `width` coordinates × actions, row-major.
fn cells<'v>(
    splits: &[&Split<'_>],
    width: usize,
    actions: usize,
    action_value: &dyn Fn(usize, &Source) -> Value<'v>,
) -> Vec<f32> {
    let parts: Vec<Vec<Option<(usize, f64)>>> = splits
        .iter()
        .map(|split| {
            (0..actions)
                .map(|a| split.action_part(&|source| action_value(a, source)))
                .collect()
        })
        .collect();
    let mut cells = Vec::with_capacity(width * actions);
    let mut row = vec![0.0f64; actions];
    for coordinate in 0..width {
        row.fill(0.0);
        for (split, parts) in splits.iter().zip(&parts) {
            let weights = &split.weights[split.request_offset(coordinate)..];
            for (cell, part) in row.iter_mut().zip(parts) {
                if let Some((offset, value)) = part {
                    *cell += f64::from(weights[*offset]) * value;
                }
            }
        }
        cells.extend(row.iter().map(|&cell| to_f32(cell)));
    }
    cells
}

impl Split<'_> {
    /// How far into the term's weights an action leads, and by what its weight is multiplied; None if one of its facts
    /// is missing.
    fn action_part<'v>(&self, action_value: &dyn Fn(&Source) -> Value<'v>) -> Option<(usize, f64)> {
        let (mut offset, mut product) = (0usize, 1.0f64);
        for &(factor, stride) in &self.action {
            let (level, value) = factor.encoding.encode(action_value(&factor.source))?;
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
