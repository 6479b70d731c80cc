//! The SQL functions of this room.

use std::cell::RefCell;

use pgrx::datum::UnboxDatum;
use pgrx::pg_sys::{FunctionCallInfo, INT8OID};
use pgrx::prelude::*;

use super::batch::{Asked, Faulty, decide_batch as decide_all};
use super::decision::Decision;
use super::explain::explain;
use super::page::{PageArgs, decide_page};
use super::repeat::Told;
use super::replay::replay as recompute;
use super::request::DecideArgs;
use super::simulate::{self, Sample};
use super::{columns, distribution, run, traced};
use crate::error::{Error, OrRaise};
use crate::govern::acting::refuse_read_only;
use crate::govern::pseudonym;
use crate::math::aggregate::cells_at;
use crate::math::identifier::moment_of;
use crate::math::keyed;
use crate::pg::call::Call;
use crate::pg::datum::Arg;
use crate::pg::json::Json;
use crate::pg::{Session, Statement, clock, datum};
use crate::policy::{self, Seen, UserRow};

#[pg_extern(sql = false)]
fn decide_text(call: FunctionCallInfo) {
    let call = Call::running(call);
    decide(&call, call.text(0));
}

#[pg_extern(sql = false)]
fn decide_bigint(call: FunctionCallInfo) {
    let call = Call::running(call);
    decide(&call, call.int8(0).map(|id| id.to_string()).as_deref());
}

#[pg_extern(sql = false)]
fn decide_uuid(call: FunctionCallInfo) {
    let call = Call::running(call);
    decide(&call, call.uuid(0).map(|id| id.to_string()).as_deref());
}

/// decide(user_id, surface, context): one row per slot, and a trace.
fn decide(call: &Call, user_id: Option<&str>) {
    refuse_read_only("decide");
    let args = DecideArgs {
        decides: true,
        request_id: call.text(3),
        ..args(call, user_id, None)
    };
    let told = run(&args, |decision| {
        let mut rows = call.rows();
        for_each_slot(decision, |row| rows.push(row));
    });
    let told = told.or_raise();
    if !told.is_empty() {
        let mut rows = call.rows();
        for told in &told {
            for_each_told(told, |row| rows.push(row));
        }
    }
}

#[pg_extern(sql = false)]
fn decide_page_text(call: FunctionCallInfo) {
    let call = Call::running(call);
    page(&call, call.text(0));
}

#[pg_extern(sql = false)]
fn decide_page_bigint(call: FunctionCallInfo) {
    let call = Call::running(call);
    page(&call, call.int8(0).map(|id| id.to_string()).as_deref());
}

#[pg_extern(sql = false)]
fn decide_page_uuid(call: FunctionCallInfo) {
    let call = Call::running(call);
    page(&call, call.uuid(0).map(|id| id.to_string()).as_deref());
}

/// decide(user_id, surfaces, context): one row per slot of each surface, and a trace for each surface.
fn page(call: &Call, user_id: Option<&str>) {
    refuse_read_only("decide");
    let args = PageArgs {
        user_id,
        surfaces: call.texts(1),
        context: call.json(2).unwrap_or_else(Json::nothing),
        request_id: call.text(3),
        now: clock::now(),
    };
    let mut rows = call.rows();
    let told = decide_page(&args, |decision| {
        let surface = datum::text(&decision.request.surface.name);
        for_each_slot(decision, |[slot, action, probability, id, reason]| {
            rows.push([surface, slot, action, probability, id, reason]);
        });
    });
    for told in &told.or_raise() {
        let surface = datum::text(&told.surface);
        for_each_told(told, |[slot, action, probability, id, reason]| {
            rows.push([surface, slot, action, probability, id, reason]);
        });
    }
}

/// decide_batch(requests): one row per slot of each request, and a trace for each request.
#[pg_extern(sql = false)]
fn decide_batch(call: FunctionCallInfo) {
    refuse_read_only("decide_batch");
    batch(&Call::running(call), true);
}

/// decide_each(requests): the same, but a request that is wrong has a row that says so.
#[pg_extern(sql = false)]
fn decide_each(call: FunctionCallInfo) {
    refuse_read_only("decide_batch");
    batch(&Call::running(call), false);
}

fn batch(call: &Call, is_strict: bool) {
    let requests = call.jsons(0).ok_or(Error::Null("requests")).or_raise();
    let rows = RefCell::new(call.rows());
    let refuse = |Faulty {
                      number,
                      user_id,
                      surface,
                      error,
                  }: Faulty| {
        if is_strict {
            return Err(error.of_request(number as usize));
        }
        rows.borrow_mut().push([
            datum::int4(number),
            datum::optional_text(user_id.as_deref()),
            datum::optional_text(surface.as_deref()),
            datum::int4(0),
            None,
            None,
            None,
            datum::text(&format!("not decided: {error}")),
        ]);
        Ok(())
    };
    let push = |asked: &Asked<'_>, surface: &str, row: [Arg<'_>; 5]| {
        let [slot, action, probability, id, reason] = row;
        rows.borrow_mut().push([
            datum::int4(asked.number),
            datum::optional_text(asked.user_id.as_deref()),
            datum::text(surface),
            slot,
            action,
            probability,
            id,
            reason,
        ]);
    };
    let repeat = |asked: &Asked<'_>, told: &Told| {
        for_each_told(told, |row| push(asked, &told.surface, row));
    };
    let then = |asked: &Asked<'_>, decision: &Decision<'_>| {
        let surface = &decision.request.surface.name;
        for_each_slot(decision, |row| push(asked, surface, row));
    };
    decide_all(&requests, refuse, repeat, then).or_raise();
}

/// The same of a decision that was made before.
fn for_each_told(told: &Told, mut then: impl FnMut([Arg<'_>; 5])) {
    for (slot, action) in told.actions.iter().enumerate() {
        let reason = told.reason.as_deref().filter(|_| slot >= told.filled);
        then([
            datum::int4(slot as i32 + 1),
            datum::optional_text(action.as_deref()),
            told.probabilities.get(slot).and_then(|&p| datum::float8(p)),
            datum::uuid(told.id),
            datum::optional_text(reason),
        ]);
    }
}

/// What an answer says of each slot: slot, action, probability, decision_id, reason.
fn for_each_slot(decision: &Decision<'_>, mut then: impl FnMut([Arg<'_>; 5])) {
    let request = &decision.request;
    let (surface, actions) = (request.surface, &request.bundle.actions);
    let id = datum::uuid(decision.id);
    let reason = decision.reason.as_ref().map(ToString::to_string);
    let reason = datum::optional_text(reason.as_deref());
    for (slot, shown) in decision.answer.slots().iter().enumerate() {
        then([
            datum::int4(slot as i32 + 1),
            datum::text(actions.name(shown.action(surface))),
            datum::float8(shown.probability),
            id,
            reason.filter(|_| shown.is_fallback()),
        ]);
    }
}

#[pg_extern(sql = false)]
fn explain_text(call: FunctionCallInfo) {
    let call = Call::running(call);
    explain(&args(&call, call.text(0), seed(&call)), &call);
}

#[pg_extern(sql = false)]
fn explain_bigint(call: FunctionCallInfo) {
    let call = Call::running(call);
    explain(
        &args(
            &call,
            call.int8(0).map(|id| id.to_string()).as_deref(),
            seed(&call),
        ),
        &call,
    );
}

#[pg_extern(sql = false)]
fn explain_uuid(call: FunctionCallInfo) {
    let call = Call::running(call);
    explain(
        &args(
            &call,
            call.uuid(0).map(|id| id.to_string()).as_deref(),
            seed(&call),
        ),
        &call,
    );
}

/// simulate_traffic(bundle, surface, from, to, requests): a row per slot of each request.
#[pg_extern(sql = false)]
fn simulate_traffic(call: FunctionCallInfo) {
    let call = Call::running(call);
    let mut rows = call.rows();
    let simulated = simulate::simulate(call.int8(0), &sample(&call, 1), |past, decision| {
        let bundle = decision.request.bundle;
        let surface = decision.request.surface;
        let region = decision.request.region().map(|region| region.name.as_str());
        let reason = decision.reason.as_ref().map(ToString::to_string);
        for (place, shown) in decision.answer.slots().iter().enumerate() {
            let was = past.actions().get(place);
            let was = was.and_then(|&number| match number == surface.fallback.number {
                true => Some(&surface.fallback),
                false => traced::index_of(number, surface).map(|index| &surface.actions[index]),
            });
            let was = was.map(|action| bundle.actions.name(action));
            let reason = reason.as_deref().filter(|_| shown.is_fallback());
            rows.push([
                datum::uuid(past.decision_id()),
                datum::text(&surface.name),
                datum::optional_text(region),
                datum::int4(place as i32 + 1),
                datum::text(bundle.actions.name(shown.action(surface))),
                datum::float8(shown.probability),
                datum::optional_text(reason),
                datum::optional_text(was),
            ]);
        }
    });
    simulated.or_raise();
}

/// compare_bundles(before, after, surface, from, to, requests, cohort): a row per surface and cohort.
#[pg_extern(sql = false)]
fn compare_bundles(call: FunctionCallInfo) {
    let call = Call::running(call);
    let bundle = |number, name| call.int8(number).ok_or(Error::Null(name)).or_raise();
    let bundles = [bundle(0, "before"), bundle(1, "after")];
    let compared = simulate::compare(bundles, &sample(&call, 2), call.text(6)).or_raise();
    let mut rows = call.rows();
    for ((surface, cohort), of) in &compared {
        rows.push([
            datum::text(surface),
            datum::optional_text(cohort.as_deref()),
            datum::int8(of.requests),
            datum::int8(of.changed),
            datum::float8(of.distance / of.requests as f64),
            datum::int8(of.fallbacks[0]),
            datum::int8(of.fallbacks[1]),
        ]);
    }
}

/// Surface, from, to and requests, from that argument on.
fn sample<'a>(call: &'a Call, first: usize) -> Sample<'a> {
    Sample {
        surface: call.text(first),
        from: call
            .timestamp(first + 1)
            .ok_or(Error::Null("from"))
            .or_raise(),
        to: call
            .timestamp(first + 2)
            .ok_or(Error::Null("to"))
            .or_raise(),
        requests: call
            .int4(first + 3)
            .ok_or(Error::Null("requests"))
            .or_raise(),
    }
}

/// explain()'s fourth argument.
fn seed(call: &Call) -> Option<u64> {
    call.int8(3).map(|seed| seed as u64)
}

/// The arguments of every verb of this room: user, surface, context.
fn args<'a>(call: &'a Call, user_id: Option<&'a str>, seed: Option<u64>) -> DecideArgs<'a> {
    DecideArgs {
        user_id,
        surface: call.text(1),
        context: call.json(2).unwrap_or_else(Json::nothing),
        now: clock::now(),
        seed,
        decides: false,
        request_id: None,
    }
}

/// replay(decision_id): one row.
#[pg_extern(sql = false)]
fn replay(call: FunctionCallInfo) {
    let call = Call::running(call);
    let id = call.uuid(0).ok_or(Error::Null("decision_id")).or_raise();
    let difference = recompute(id).or_raise();
    let agrees = datum::bool(difference.is_none());
    call.rows()
        .push([agrees, datum::optional_text(difference.as_deref())]);
}

#[pg_extern(sql = false)]
fn features_text(call: FunctionCallInfo) {
    let call = Call::running(call);
    show_features(&call, call.text(0));
}

#[pg_extern(sql = false)]
fn features_bigint(call: FunctionCallInfo) {
    let call = Call::running(call);
    show_features(&call, call.int8(0).map(|id| id.to_string()).as_deref());
}

#[pg_extern(sql = false)]
fn features_uuid(call: FunctionCallInfo) {
    let call = Call::running(call);
    show_features(&call, call.uuid(0).map(|id| id.to_string()).as_deref());
}

/// features(user_id): what a decision of this moment would see; a row per feature, or per key of it.
fn show_features(call: &Call, user_id: Option<&str>) {
    let now = clock::now();
    let bundle = policy::current(now).or_raise();
    let user_id = pseudonym::user_id(user_id).or_raise();
    let user_key = policy::user_key(user_id, Seen::ToRead).or_raise();
    let mut rows = call.rows();
    let _session = Session::open();
    let mut state = UserRow::default();
    state.read_living(user_key);
    let region = bundle.regions.at(bundle.region_of(&state, None));
    bundle.hide_denied(&mut state, true, region);
    for (feature, is_hidden) in bundle.features_of_user() {
        let aggregate = &feature.aggregate;
        let name = datum::text(&feature.name);
        let Some(kept) = &feature.key else {
            let cells = cells_at(&state.features, feature.cell, aggregate);
            let cells = cells.filter(|_| !is_hidden);
            let value = cells.and_then(|cells| aggregate.read(cells, now));
            let newest = cells.and_then(|cells| aggregate.newest(cells));
            let value = datum::float8(value.unwrap_or(feature.default_value));
            rows.push([name, None, value, newest.and_then(datum::timestamp)]);
            continue;
        };
        if is_hidden {
            continue;
        }
        let slot = feature.cell as u32;
        for (key, value) in keyed::entries(&state.keyed, slot, aggregate, now, kept.limit) {
            let newest = keyed::newest(&state.keyed, slot, aggregate, key);
            rows.push([
                name,
                datum::text(&key_text(key)),
                datum::float8(value),
                newest.and_then(datum::timestamp),
            ]);
        }
    }
}

thread_local! {
    static KEY_TEXT: Statement = const { Statement::new(
        "SELECT k.key FROM decide.feature_key AS k WHERE k.key_hash = $1 LIMIT 1", &[INT8OID]) };
}

/// The text of a key; its number where the text is not known.
fn key_text(key: u64) -> String {
    let mut text = None;
    KEY_TEXT.with(|statement| {
        statement.read(&[datum::int8(key as i64)], |row| {
            text = row.get::<String>(1)
        })
    });
    text.unwrap_or_else(|| format!("#{key}"))
}

/// slot_probabilities(candidates, scores, choice, picked, slot, dropped, spreads): what a slot was drawn from.
#[pg_extern(sql = false)]
fn slot_probabilities(
    candidates: Option<Array<'_, i32>>,
    scores: Option<Array<'_, f32>>,
    choice: Option<Array<'_, f64>>,
    picked: Option<Array<'_, i32>>,
    slot: Option<i32>,
    dropped: Option<Array<'_, i32>>,
    spreads: Option<Array<'_, f32>>,
) -> Option<Vec<f64>> {
    let traced = distribution::TracedChoice {
        candidates: &whole(candidates?)?,
        scores: scores.map_or(Some(None), |scores| whole(scores).map(Some))?,
        spreads: spreads.map_or(Some(Vec::new()), whole)?,
        choice: &whole(choice?)?,
        picked: &whole(picked?)?,
        dropped: &columns::dropped(&dropped.map_or(Some(Vec::new()), whole)?),
    };
    distribution::of_slot(traced, usize::try_from(slot?).ok()?)
}

/// An array of which no element is null, and that is no longer than a trace has them.
fn whole<T>(array: Array<'_, T>) -> Option<Vec<T>>
where
    T: FromDatum + for<'a> UnboxDatum<As<'a> = T>,
{
    policy::must_be_short(array.len()).or_raise();
    array.iter().collect()
}

/// decided_at(decision_id): what the identifier says.
#[pg_extern(sql = false)]
fn decided_at(call: FunctionCallInfo) -> Option<TimestampWithTimeZone> {
    let id = Call::running(call).uuid(0)?;
    let at = clock::from_unix_micros(moment_of(id)?);
    TimestampWithTimeZone::try_from(at).ok()
}
