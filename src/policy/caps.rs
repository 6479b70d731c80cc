//! Caps from their rows in decide.cap, or what is wrong with them.

use std::cell::Cell;
use std::collections::HashMap;

use serde_json::value::RawValue;

use super::faults::Faults;
use super::tables::{ActionRow, CapRow, Content};
use crate::caps::cap::{
    LEAST_STRIPES, LastWindow, MOST_PACED, SHARE, most_stripes, most_stripes_of_value,
};
use crate::caps::{Amounts, Cap, Length, Pacing, Per, Span};
use crate::pg::session;

/// Units of a cost of 1.
const COST: f64 = 1e6;

/// The largest cost whose millionths a double tells apart: 2^53 of them.
const MOST_COST: f64 = 9_007_199_254.0;

/// The largest limit, in units: the exposures of one answer fit on top of it.
const MOST_UNITS: i64 = i64::MAX / 2;

/// The caps of a bundle; what is wrong with them is among the faults.
pub fn caps(content: &Content, faults: &mut Faults) -> Vec<Cap> {
    let mut caps = Vec::new();
    let mut by_value = HashMap::new();
    let mut values: HashMap<&str, i64> = HashMap::new();
    for row in content.caps.iter().filter(|row| row.value.is_some()) {
        *values.entry(&row.cap).or_default() += 1;
    }
    for row in &content.caps {
        let bound = bound(row, content, &mut by_value);
        let values = values.get(row.cap.as_str()).copied().unwrap_or(0);
        match cap(row, content, &bound, values) {
            Ok(cap) => caps.push(cap),
            Err(reason) => faults.add("decide.cap", &row.cap, reason),
        }
        let is_wrong = |action: &ActionRow| row.unit == "cost" && !is_countable(action.cost);
        for action in bound.into_iter().filter(|action| is_wrong(action)) {
            let reason = format!(
                "cost {}: cap \"{}\" counts cost, in millionths, of at most {MOST_COST} an exposure",
                action.cost, row.cap
            );
            faults.add("decide.action", &action.action, reason);
        }
    }
    caps.sort_by_key(|cap| cap.number);
    caps
}

/// The actions that have each value of an attribute, by the name of the attribute.
type ActionsByValue<'a> = HashMap<&'a str, HashMap<String, Vec<&'a ActionRow>>>;

/// The actions that a cap limits, wherever they are shown. Many caps look at the same attribute: `by_value` keeps what was
/// read of it.
fn bound<'a>(
    row: &'a CapRow,
    content: &'a Content,
    by_value: &mut ActionsByValue<'a>,
) -> Vec<&'a ActionRow> {
    let is_bound = |action: &&'a ActionRow| names(row, action);
    let Some(attribute) = &row.attribute else {
        return content.actions.iter().filter(is_bound).collect();
    };
    let of_attribute = by_value.entry(attribute).or_insert_with(|| {
        let mut of_attribute: HashMap<String, Vec<&ActionRow>> = HashMap::new();
        for action in &content.actions {
            let mut texts = attribute_texts(action, attribute);
            texts.sort_unstable();
            texts.dedup();
            for text in texts {
                of_attribute.entry(text).or_default().push(action);
            }
        }
        of_attribute
    });
    let with_value = wanted(row).and_then(|value| of_attribute.get(value));
    let with_value = with_value.into_iter().flatten().copied();
    with_value.filter(is_bound).collect()
}

/// Of a cap that limits each value of an attribute by itself, `values` says how many there are.
fn cap(row: &CapRow, content: &Content, bound: &[&ActionRow], values: i64) -> Result<Cap, String> {
    let per = Per::named(&row.per).ok_or_else(|| {
        let names = Per::ALL.map(Per::as_str).join(", ");
        format!("per \"{}\" is none of {names}", row.per)
    })?;
    let is_cost = row.unit == "cost";
    let scale = if is_cost { COST as i64 } else { 1 };
    let limit = in_units(row.max_count, scale, "max_count")?;
    let goal = match row.min_count {
        Some(least) => Some(in_units(least, scale, "min_count")?),
        None => None,
    };
    let amount = |action: &ActionRow| if is_cost { units(action.cost) } else { 1 };
    let bound = bound.iter();
    let amounts = Amounts::of(bound.map(|action| (action.number, amount(action))));
    let pacing = Pacing::named(&row.pacing).ok_or_else(|| {
        let names = Pacing::ALL.map(Pacing::as_str).join(", ");
        format!("pacing \"{}\" is none of {names}", row.pacing)
    })?;
    let span = span(row)?;
    let may_have_line = per.is_budget() && span.is_calendar();
    if pacing.is_paced() && !may_have_line {
        return Err("pacing: only a cap for all users over a calendar window can be paced".into());
    }
    if row.min_count.is_some() && !may_have_line {
        return Err(
            "min_count: only a cap for all users over a calendar window can have a goal".into(),
        );
    }
    if row.min_count.is_some_and(|least| least > row.max_count) {
        return Err("min_count: it is more than max_count".into());
    }
    if per.is_of_decision() && row.counts != "decision" {
        return Err("counts: a cap within a decision counts decisions".into());
    }
    let types = &content.event_types;
    if row.counts != "decision"
        && !types.is_empty()
        && !types.iter().any(|t| t.event_type == row.counts)
    {
        return Err(format!(
            "counts: event type \"{}\" is not in decide.event_type",
            row.counts
        ));
    }
    let most = match pacing.is_paced() {
        false => match values {
            0 => most_stripes(session::max_connections()),
            values => most_stripes_of_value(session::max_connections(), values),
        },
        true => MOST_PACED,
    };
    let stripes = row.stripes.unwrap_or_else(|| {
        (row.max_count / SHARE)
            .max(LEAST_STRIPES.min(row.max_count))
            .clamp(1, most) as i32
    });
    let name = match &row.value {
        Some(value) => format!("{} ({value})", row.cap),
        None => row.cap.clone(),
    };
    Ok(Cap {
        number: row.number,
        name,
        per,
        limit,
        span,
        counts: (row.counts != "decision").then(|| row.counts.clone()),
        hold: row.hold_us as i64,
        cell: row.cell_us,
        hard: row.hard,
        relax_order: row.relax_order,
        pacing,
        goal,
        scale,
        stripes_wanted: stripes,
        stripes: Cell::new(stripes),
        surface: row.surface.clone(),
        largest: amounts.values().max().unwrap_or(1).max(1),
        least: amounts.values().filter(|&n| n > 0).min(),
        amounts,
        last_window: LastWindow::default(),
    })
}

fn span(row: &CapRow) -> Result<Span, String> {
    let Some(length) = &row.window_length else {
        return Ok(Span::Forever);
    };
    if row.window_kind == "sliding" {
        return Ok(Span::Sliding((row.window_us as i64).max(1)));
    }
    let parts = [row.window_months, row.window_days, row.window_part_us];
    if parts.iter().filter(|&&part| part != 0.0).count() != 1
        || parts.iter().any(|&part| part < 0.0)
    {
        return Err(format!(
            "window_length {length}: a calendar window is of whole months, of whole days, or of a part of a day"
        ));
    }
    let [months, days, part] = parts;
    let in_utc = Length {
        months: months as i32,
        days: days as i32,
        part: part as i64,
    };
    Ok(Span::Calendar {
        in_utc: (row.time_zone == "UTC").then_some(in_utc),
        length: length.clone(),
        time_zone: row.time_zone.clone(),
        week_start: row.week_start,
    })
}

/// An amount in units, none of which gets lost.
fn in_units(amount: i64, scale: i64, column: &str) -> Result<i64, String> {
    let units = amount
        .checked_mul(scale)
        .filter(|units| (0..=MOST_UNITS).contains(units));
    let most = MOST_UNITS / scale;
    units.ok_or_else(|| format!("{column}: it is not between 0 and {most}"))
}

/// Whether the millionths of a cost can be counted one by one.
fn is_countable(cost: f64) -> bool {
    (0.0..=MOST_COST).contains(&cost)
}

/// A cost in millionths; what is finer counts as one more, unless it comes of the multiplication alone.
fn units(cost: f64) -> i64 {
    let exact = cost * COST;
    let near = exact.round();
    let whole = if (exact - near).abs() <= 4.0 * f64::EPSILON * near.abs().max(1.0) {
        near
    } else {
        exact.ceil()
    };
    whole.clamp(0.0, MOST_COST * COST) as i64
}

/// Whether the cap limits that action, wherever it is shown, as far as its name and campaign go.
fn names(row: &CapRow, action: &ActionRow) -> bool {
    let of_campaign = row.campaign.is_none() || row.campaign == action.campaign;
    let of_action = row
        .action
        .as_ref()
        .is_none_or(|only| *only == action.action);
    of_campaign && of_action
}

/// The value of its attribute that a cap limits.
fn wanted(row: &CapRow) -> Option<&str> {
    let value = row.attribute_value.as_ref().or(row.value.as_ref());
    value.map(String::as_str)
}

/// The texts of an attribute, as `decide.cap_values` has them: of an array that of each element.
fn attribute_texts(action: &ActionRow, name: &str) -> Vec<String> {
    let attributes: Option<HashMap<String, Box<RawValue>>> =
        serde_json::from_str(action.attributes.get()).ok();
    let Some(value) = attributes.as_ref().and_then(|all| all.get(name)) else {
        return Vec::new();
    };
    let elements: Vec<&RawValue> = match serde_json::from_str(value.get()) {
        Ok(elements) => elements,
        Err(_) => vec![&**value],
    };
    elements.into_iter().filter_map(text).collect()
}

/// A value as the operator ->> gives it.
fn text(value: &RawValue) -> Option<String> {
    let raw = value.get();
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'n' => None,
        _ => Some(raw.to_owned()),
    }
}

/// A hard cap must not bind what is shown without limit.
pub fn check_fallbacks(content: &Content, faults: &mut Faults) {
    for surface in &content.surfaces {
        let fallback = content
            .actions
            .iter()
            .find(|action| surface.fallback_action.as_ref() == Some(&action.action));
        let mut texts: HashMap<&str, Vec<String>> = HashMap::new();
        for row in content
            .caps
            .iter()
            .filter(|row| row.hard && !Per::named(&row.per).is_some_and(Per::is_of_decision))
        {
            let names_it =
                row.campaign.is_some() || row.action.is_some() || row.attribute.is_some();
            let is_here = row
                .surface
                .as_ref()
                .is_none_or(|only| *only == surface.surface);
            let mut has_value = |action: &ActionRow| {
                let Some(attribute) = row.attribute.as_deref() else {
                    return true;
                };
                let texts = texts.entry(attribute);
                let texts = texts.or_insert_with(|| attribute_texts(action, attribute));
                wanted(row).is_some_and(|wanted| texts.iter().any(|text| text == wanted))
            };
            let is_bound = |action: &&ActionRow| {
                names_it && is_here && names(row, action) && has_value(action)
            };
            if let Some(action) = fallback.filter(is_bound) {
                let reason = format!(
                    "it limits \"{}\", the fallback_action of surface \"{}\", which is shown without limit",
                    action.action, surface.surface
                );
                faults.add("decide.cap", &row.cap, reason);
            }
        }
    }
}

#[cfg(test)]
mod tests;
