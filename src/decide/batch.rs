//! A batch: requests of many users, decided in one call. Users are locked in one order, whatever the order of requests,
//! so that two batches cannot wait for each other in a circle.

use std::borrow::Cow;

use super::decision::Decision;
use super::repeat::{Standing, Told, WAIT_MS, claim};
use super::request::{Request, Visit, surface_named};
use super::shared::Shared;
use super::stage::Stopwatch;
use super::{buffers, decide, envelope};
use crate::error::Error;
use crate::pg::json::{Field, Json};
use crate::pg::{Session, clock, session};
use crate::policy::{self, Bundle, Seen, Surface};

/// Requests that a call has at most: what it locks stays locked until its transaction ends.
const MOST_REQUESTS: usize = 100_000;

/// For how many requests that others decide on a call waits; of the rest it takes those that are free.
const MOST_VAIN_WAITS: u32 = 10;

/// Decisions whose traces are added together, and whose memory is freed together.
const GROUP: usize = 64;

/// What one element of the array asks for.
pub struct Asked<'a> {
    /// Its number in the array, from 1.
    pub number: i32,
    /// As it was said, None where the caller does not say who the user is.
    pub user_id: Option<Cow<'a, str>>,
    visit: Visit<'a>,
    surface: &'a Surface,
    /// By which the client knows it, if its retries are to get the same answer.
    request_id: Option<&'a str>,
}

/// A request that cannot be decided: its number in the array, whose it is and where as far as it says that, and why.
pub struct Faulty {
    pub number: i32,
    pub user_id: Option<String>,
    pub surface: Option<String>,
    pub error: Error,
}

/// Decides on all requests, and hands each decision to `then` in the same session, in the order in which users are
/// locked. What was decided before, of a request that its client has named, goes to `repeat`; requests that are wrong
/// go to `refuse`, which may end it all.
pub fn decide_batch(
    requests: &[Option<Json<'_>>],
    mut refuse: impl FnMut(Faulty) -> Result<(), Error>,
    mut repeat: impl FnMut(&Asked<'_>, &Told),
    mut then: impl FnMut(&Asked<'_>, &Decision<'_>),
) -> Result<(), Error> {
    if requests.len() > MOST_REQUESTS {
        return Err(Error::TooMany {
            what: "requests",
            number: requests.len(),
            most: MOST_REQUESTS,
        });
    }
    buffers::with(|buffers| {
        let now = clock::now();
        let bundle = policy::current(now)?;
        let mut batch = Vec::with_capacity(requests.len());
        for (i, request) in requests.iter().enumerate() {
            session::check_interrupts();
            let number = i as i32 + 1;
            match read(request.as_ref(), number, &bundle, now) {
                Ok(asked) => batch.push(asked),
                Err(error) => {
                    let request = request.as_ref();
                    refuse(Faulty {
                        number,
                        user_id: request
                            .and_then(|request| user_id(request).ok().flatten())
                            .map(Cow::into_owned),
                        surface: request.and_then(|request| match request.get("surface") {
                            Some(Field::Text(name)) => Some(name.to_owned()),
                            _ => None,
                        }),
                        error,
                    })?;
                }
            }
        }
        batch.sort_by_key(|asked| asked.visit.user_key);
        let admitted = envelope::admit();
        let mut shared = Shared::of_several(admitted.is_ok());
        let (mut user_before, mut vain_waits) = (None, 0);
        for group in batch.chunks_mut(GROUP) {
            let _session = Session::open();
            for asked in group {
                session::check_interrupts();
                let visit = &mut asked.visit;
                match user_before {
                    // All requests of a user are of one moment, as what is read of them.
                    Some((user_key, now)) if user_key == visit.user_key => visit.now = now,
                    _ => {
                        shared.kept.leave_user();
                        buffers.features.forget();
                        visit.now = clock::now();
                        user_before = Some((visit.user_key, visit.now));
                    }
                }
                let visit = *visit;
                let mut named = None;
                shared.is_open = false;
                if let Some(id) = asked.request_id {
                    // An answer of this call is read from its trace as well.
                    shared.traces.flush();
                    let wait = if vain_waits < MOST_VAIN_WAITS {
                        WAIT_MS
                    } else {
                        1
                    };
                    let names = [&asked.surface.name[..]].into_iter();
                    match claim(&visit, id, names, wait) {
                        Ok(Standing::Claimed(claimed)) => named = Some(claimed),
                        Ok(Standing::Open) => {
                            vain_waits += 1;
                            shared.is_open = true;
                        }
                        Ok(Standing::Decided(told)) => {
                            told.iter().for_each(|told| repeat(asked, told));
                            continue;
                        }
                        Err(error) => {
                            refuse(Faulty {
                                number: asked.number,
                                user_id: asked.user_id.clone().map(Cow::into_owned),
                                surface: Some(asked.surface.name.clone()),
                                error,
                            })?;
                            continue;
                        }
                    }
                }
                let visit = Visit {
                    user_id: asked.user_id.as_deref(),
                    ..visit
                };
                let request = Request::new(&visit, &bundle, asked.surface, None);
                let decision = decide(request, &mut shared, buffers, Stopwatch::start());
                then(asked, &decision);
                if let Some(named) = named {
                    named.note(&[decision.id]);
                }
            }
            shared.traces.flush();
        }
        let _session = Session::open();
        shared.write();
        Ok(())
    })
}

/// Reads a request. Whatever is wrong with it is the caller's own mistake.
fn read<'a>(
    request: Option<&Json<'a>>,
    number: i32,
    bundle: &'a Bundle,
    now: i64,
) -> Result<Asked<'a>, Error> {
    let request = request.ok_or(Error::Null("a request"))?;
    if !request.is_object() {
        return Err(Error::BadRequest("is not a JSON object"));
    }
    let fields = ["user_id", "surface", "context", "request_id"].map(|name| request.get(name));
    if request.fields() > fields.iter().flatten().count() {
        return Err(Error::BadRequest(
            "has a field other than user_id, surface, context and request_id",
        ));
    }
    let [_, surface, context, request_id] = fields;
    let user_id = user_id(request)?;
    let surface = match surface {
        None | Some(Field::Null) => None,
        Some(Field::Text(name)) => Some(name),
        Some(_) => return Err(Error::BadRequest("has a surface that is no text")),
    };
    let context = match context {
        None | Some(Field::Null) => Json::nothing(),
        Some(_) => request.document("context").unwrap_or_else(Json::nothing),
    };
    let request_id = match request_id {
        None | Some(Field::Null) => None,
        Some(Field::Text(id)) => Some(id),
        Some(_) => return Err(Error::BadRequest("has a request_id that is no text")),
    };
    let visit = Visit::of(user_id.as_deref(), context, now, bundle, Seen::ToWrite)?;
    let surface = surface_named(bundle, surface)?;
    Ok(Asked {
        number,
        user_id,
        visit,
        surface,
        request_id,
    })
}

/// Who the user is: a text, or a whole number as its text.
fn user_id<'a>(request: &Json<'a>) -> Result<Option<Cow<'a, str>>, Error> {
    match request.get("user_id") {
        None | Some(Field::Null) => Ok(None),
        Some(Field::Text(text)) => Ok(Some(Cow::from(text))),
        Some(_) => {
            let whole = request.bigint("user_id");
            let whole = whole.ok_or(Error::BadRequest(
                "has a user_id that is neither a text nor a whole number",
            ))?;
            Ok(Some(Cow::from(whole.to_string())))
        }
    }
}
