//! The SQL functions of this room.

use pgrx::pg_sys::{FunctionCallInfo, JSONBOID, OIDOID, TEXTOID};
use pgrx::prelude::*;

use super::batch::take_all;
use super::contract::{Arrival, EventUser, Invalid, Reason, Sender};
use super::lock_timeout::with_lock_timeout;
use super::merge::merge_users;
use super::receipt::{Counts, Receipt};
use super::{Ingest, backfill as filling, consistency, quarantine, reject, release, text};
use crate::error::{Error, OrRaise};
use crate::govern::acting::{refuse_read_only, refuse_restricted};
use crate::govern::waiting::{Waiting, run_in_sql};
use crate::pg::call::Call;
use crate::pg::json::{Document, Json};
use crate::pg::{Session, Statement, clock, datum};

thread_local! {
    static MAKE_TRIGGERS: Statement = const { Statement::new(
        "SELECT decide.make_triggers($1::pg_catalog.regclass, $2)", &[OIDOID, JSONBOID]) };
    static DROP_TRIGGERS: Statement = const { Statement::new(
        "SELECT decide.drop_triggers($1::pg_catalog.regclass, $2)", &[OIDOID, TEXTOID]) };
}

/// track(event, strict): what became of it.
#[pg_extern(sql = false)]
fn track(call: FunctionCallInfo) -> &'static str {
    let call = Call::running(call);
    refuse_read_only("track");
    let event = call.json(0).ok_or(Invalid::because(Reason::NotAnObject));
    let taken = with_lock_timeout("track", || take_in(event, is_strict(&call)));
    taken.or_raise().as_str()
}

/// track(event, strict) for an event as text, or as json.
#[pg_extern(sql = false)]
fn track_text(call: FunctionCallInfo) -> &'static str {
    let call = Call::running(call);
    refuse_read_only("track");
    let text = call.text(0);
    if text.is_some_and(text::is_array_literal) {
        Error::ArrayLiteral.raise();
    }
    if text.is_some_and(text::is_too_large_an_array) {
        Error::LargeArray(text::LARGEST_ARRAY).raise();
    }
    let document = text.ok_or(Reason::NotAnObject).and_then(text::parse);
    let unreadable = text.filter(|_| document.is_err()).map(text::unreadable);
    let event = document.as_ref().map(Document::json);
    let event = event.map_err(|&reason| Invalid {
        payload: unreadable.as_ref().map(Document::json),
        ..Invalid::because(reason)
    });
    let taken = with_lock_timeout("track", || take_in(event, is_strict(&call)));
    taken.or_raise().as_str()
}

/// track(events, strict): one row of counts.
#[pg_extern(sql = false)]
fn track_many(call: FunctionCallInfo) {
    let call = Call::running(call);
    refuse_read_only("track");
    let events = call.jsons(0).ok_or(Error::Null("events")).or_raise();
    let events = events
        .into_iter()
        .map(|event| event.ok_or(Reason::NotAnObject));
    let take = || take_all(events, is_strict(&call), Sender::Client);
    let counts = with_lock_timeout("track", take).or_raise();
    call.rows().push(counts.columns().map(datum::int8));
}

/// track(events, strict) for events as json: the same.
#[pg_extern(sql = false)]
fn track_many_json(call: FunctionCallInfo) {
    let call = Call::running(call);
    refuse_read_only("track");
    let texts = call.json_texts(0).ok_or(Error::Null("events")).or_raise();
    let parse = |text: Option<&str>| text.ok_or(Reason::NotAnObject).and_then(text::parse);
    let documents: Vec<_> = texts.into_iter().map(parse).collect();
    let events = documents.iter().map(|document| {
        document
            .as_ref()
            .map(Document::json)
            .map_err(|&reason| reason)
    });
    let take = || take_all(events, is_strict(&call), Sender::Client);
    let counts = with_lock_timeout("track", take).or_raise();
    call.rows().push(counts.columns().map(datum::int8));
}

/// take_rows(events): one row of counts.
#[pg_extern(sql = false)]
fn take_rows(call: FunctionCallInfo) {
    let call = Call::running(call);
    refuse_read_only("track");
    let events = call.jsons(0).ok_or(Error::Null("events")).or_raise();
    let events = events
        .into_iter()
        .map(|event| event.ok_or(Reason::NotAnObject));
    let take = || take_all(events, false, Sender::TrackedTable);
    let counts = with_lock_timeout("track", take).or_raise();
    call.rows().push(counts.columns().map(datum::int8));
}

/// quarantine_rows(relation, type, rows, state).
#[pg_extern(sql = false)]
fn quarantine_rows(call: FunctionCallInfo) {
    let call = Call::running(call);
    let given = |number| call.text(number).unwrap_or_default();
    let (relation, kind, state) = (given(0), given(1), given(3));
    let rows = call.int8(2).unwrap_or_default();
    with_lock_timeout("track", || {
        quarantine::keep_rows(relation, kind, rows, state)
    });
}

/// track_table(relation, mapping).
#[pg_extern(sql = false)]
fn track_table(call: FunctionCallInfo) {
    let call = Call::running(call);
    let mapping = call.json(1).map(|mapping| mapping.datum());
    let args = [call.oid(0).and_then(datum::oid), mapping];
    run_in_sql("track_table", &MAKE_TRIGGERS, &args);
}

/// untrack_table(relation, type).
#[pg_extern(sql = false)]
fn untrack_table(call: FunctionCallInfo) {
    let call = Call::running(call);
    let of_type = datum::optional_text(call.text(1));
    let args = [call.oid(0).and_then(datum::oid), of_type];
    run_in_sql("untrack_table", &DROP_TRIGGERS, &args);
}

/// Takes in one event of a client, a document or the reason why it is none; of an array each element.
fn take_in(event: Result<Json<'_>, Invalid<'_>>, strict: bool) -> Result<Receipt, Error> {
    if let Ok(Some(events)) = event.as_ref().map(Json::elements) {
        let events = events.into_iter().map(Ok);
        return take_all(events, strict, Sender::Client).map(Counts::receipt);
    }
    let arrival = Arrival {
        user: EventUser::ByUserId,
        sender: Sender::Client,
        received: clock::now(),
        done: &[],
    };
    let ingest = Ingest::open()?;
    let _session = Session::open();
    // Nobody can tell what a text says that cannot be read: where something must not be kept, it is not.
    let bundle = &ingest.bundle;
    let may_be_kept = bundle.context_fields.of_events.is_empty() && bundle.purposes.is_empty();
    event
        .map_err(|invalid| Invalid {
            payload: invalid.payload.filter(|_| may_be_kept),
            ..invalid
        })
        .and_then(|event| ingest.take(&event, &arrival))
        .or_else(|invalid| reject(&invalid, arrival.received, strict))
}

fn is_strict(call: &Call) -> bool {
    call.bool(1).unwrap_or(false)
}

/// release_quarantine(quarantine_id, patch): what became of the event.
#[pg_extern(sql = false)]
fn release_quarantine(call: FunctionCallInfo) -> &'static str {
    let call = Call::running(call);
    refuse_restricted("release_quarantine");
    refuse_read_only("release_quarantine");
    let id = call.uuid(0).ok_or(Error::Null("quarantine_id")).or_raise();
    let patch = call.json(1).unwrap_or_else(Json::nothing);
    let release = || release::release(id, &patch);
    let released = with_lock_timeout("release_quarantine", release);
    released.or_raise().as_str()
}

/// release_all(reason, patch): one row of counts.
#[pg_extern(sql = false)]
fn release_all(call: FunctionCallInfo) {
    let call = Call::running(call);
    refuse_restricted("release_all");
    refuse_read_only("release_all");
    let reason = call.text(0).ok_or(Error::Null("reason")).or_raise();
    let patch = call.json(1).unwrap_or_else(Json::nothing);
    let release = || release::release_all(reason, &patch);
    let counts = with_lock_timeout("release_all", release).or_raise();
    call.rows().push(counts.columns().map(datum::int8));
}

#[pg_extern(sql = false)]
fn merge_users_text(call: FunctionCallInfo) -> bool {
    let call = Call::running(call);
    merge(call.text(0), call.text(1))
}

#[pg_extern(sql = false)]
fn merge_users_bigint(call: FunctionCallInfo) -> bool {
    let call = Call::running(call);
    let [from, to] = [0, 1].map(|number| call.int8(number).map(|id| id.to_string()));
    merge(from.as_deref(), to.as_deref())
}

#[pg_extern(sql = false)]
fn merge_users_uuid(call: FunctionCallInfo) -> bool {
    let call = Call::running(call);
    let [from, to] = [0, 1].map(|number| call.uuid(number).map(|id| id.to_string()));
    merge(from.as_deref(), to.as_deref())
}

/// merge_users(from, to): false if they were one already.
fn merge(from: Option<&str>, to: Option<&str>) -> bool {
    refuse_restricted("merge_users");
    refuse_read_only("merge_users");
    let merge = || merge_users(from, to);
    Waiting::of_verb("merge_users").run_short(merge).or_raise()
}

/// backfill(feature): how far it is.
#[pg_extern(sql = false)]
fn backfill(feature: Option<&str>) -> String {
    refuse_restricted("backfill");
    refuse_read_only("backfill");
    let feature = feature.ok_or(Error::Null("feature")).or_raise();
    let fill = || filling::backfill(feature);
    Waiting::of_verb("backfill").run(fill).or_raise()
}

/// feature_consistency(from, to): a row per feature.
#[pg_extern(sql = false)]
fn feature_consistency(call: FunctionCallInfo) {
    let call = Call::running(call);
    let from = call.timestamp(0).ok_or(Error::Null("from")).or_raise();
    let to = call.timestamp(1).ok_or(Error::Null("to")).or_raise();
    let report = consistency::compare(from, to).or_raise();
    if report.users_left_out > 0 {
        pgrx::notice!(
            "{} users were left out: not all of their events are kept",
            report.users_left_out
        );
    }
    let mut rows = call.rows();
    for (feature, agreement) in &report.features {
        rows.push([
            datum::text(feature),
            datum::int8(agreement.decisions),
            datum::int8(agreement.mismatch),
            datum::int8(agreement.missing),
            datum::int8(agreement.extra),
            datum::float8(agreement.largest_difference),
        ]);
    }
}
