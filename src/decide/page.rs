//! A page: the surfaces that a user sees at once, decided one after the other, the most prominent first. Each has a
//! decision and a trace of its own; the request is read once, the row of the user is read and locked once.

use std::collections::HashSet;

use super::decision::Decision;
use super::repeat::{Standing, Told, WAIT_MS, claim};
use super::request::{Request, Visit, surface_named};
use super::shared::Shared;
use super::stage::Stopwatch;
use super::{buffers, decide, envelope};
use crate::error::{Error, printable};
use crate::math::random::next_seed;
use crate::pg::json::Json;
use crate::pg::{Session, session};
use crate::policy::{self, Bundle, Seen, Surface};
use crate::settings;

/// Surfaces that a page has at most.
const MOST_SURFACES: usize = 100;

/// What the caller said.
pub struct PageArgs<'a> {
    pub user_id: Option<&'a str>,
    pub surfaces: Option<Vec<Option<&'a str>>>,
    pub context: Json<'a>,
    pub request_id: Option<&'a str>,
    /// Microseconds since 2000.
    pub now: i64,
}

/// Decides on all surfaces, and hands each decision to `then` in the same session; or answers what was decided before,
/// of a request that its client has named.
pub fn decide_page(
    args: &PageArgs<'_>,
    mut then: impl FnMut(&Decision<'_>),
) -> Result<Vec<Told>, Error> {
    buffers::with(|buffers| {
        let mut watch = Stopwatch::start();
        let bundle = policy::current(args.now)?;
        let _session = Session::open();
        let admitted = envelope::admit();
        let mut shared = Shared::of_several(admitted.is_ok());
        watch.begin();
        let visit = Visit {
            user_id: args.user_id,
            ..Visit::of(args.user_id, args.context, args.now, &bundle, Seen::ToWrite)?
        };
        let surfaces = surfaces_of(args.surfaces.as_deref(), &bundle)?;
        buffers.features.forget();
        let mut named = None;
        if let Some(id) = args.request_id {
            let names = surfaces.iter().map(|surface| &surface.name[..]);
            match claim(&visit, id, names, WAIT_MS)? {
                Standing::Decided(told) => return Ok(told),
                Standing::Claimed(claimed) => named = Some(claimed),
                Standing::Open => shared.is_open = true,
            }
        }
        let mut decisions = Vec::new();
        // Surfaces do not share their draws where the settings say the seed.
        let mut seed = settings::seed();
        for surface in surfaces {
            session::check_interrupts();
            let request = Request::new(&visit, &bundle, surface, seed);
            let decision = decide(request, &mut shared, buffers, watch);
            shared.note_shown(&decision);
            then(&decision);
            decisions.push(decision.id);
            seed = seed.map(next_seed);
            watch = Stopwatch::start();
        }
        shared.write();
        if let Some(named) = named {
            named.note(&decisions);
        }
        Ok(Vec::new())
    })
}

/// The surfaces by their names. Whatever is wrong with them is the caller's own mistake.
fn surfaces_of<'a>(
    names: Option<&[Option<&str>]>,
    bundle: &'a Bundle,
) -> Result<Vec<&'a Surface>, Error> {
    let names = names.ok_or(Error::Null("surfaces"))?;
    if names.is_empty() {
        return Err(Error::NoSurfaces);
    }
    if names.len() > MOST_SURFACES {
        return Err(Error::TooMany {
            what: "surfaces",
            number: names.len(),
            most: MOST_SURFACES,
        });
    }
    let mut seen = HashSet::with_capacity(names.len());
    let surface = |&name: &Option<&str>| {
        let surface = surface_named(bundle, name)?;
        match seen.insert(&surface.name) {
            true => Ok(surface),
            false => Err(Error::RepeatedSurface(printable(&surface.name))),
        }
    };
    names.iter().map(surface).collect()
}
