//! First stage: the arguments, checked and brought into one form.

use std::cell::Cell;

use uuid::Uuid;

use super::assigned::Variants;
use crate::error::{Error, printable};
use crate::govern::modes::ModeLimits;
use crate::govern::pseudonym;
use crate::math::choice::Choice;
use crate::math::identifier::time_ordered;
use crate::math::model::Value;
use crate::pg::clock::{chance, to_unix_micros};
use crate::pg::json::Json;
use crate::policy::{Bundle, Policy, Seen, Surface, Terms, context_value, user_key_of};
use crate::settings;

/// What the caller said.
pub struct DecideArgs<'a> {
    pub user_id: Option<&'a str>,
    pub surface: Option<&'a str>,
    pub context: Json<'a>,
    /// Microseconds since 2000.
    pub now: i64,
    /// A seed to use instead of a new one.
    pub seed: Option<u64>,
    /// Whether what is chosen is taken from the counters of caps.
    pub decides: bool,
    /// By which the client knows the request, if its retries are to get the same answer.
    pub request_id: Option<&'a str>,
}

/// The request in one form.
pub struct Request<'a> {
    /// The nil one where the caller does not say who the user is; another one once it is found that the user was merged
    /// into that one.
    pub user_key: Cell<Uuid>,
    /// As the caller says it: what experiments assign.
    pub user_id: Option<&'a str>,
    pub now: i64,
    pub seed: u64,
    pub bundle: &'a Bundle,
    pub surface: &'a Surface,
    pub context: Json<'a>,
    pub context_hash: i64,
    /// Values of the surface's context fields, in their order.
    pub fields: Vec<Value<'a>>,
    /// What the mode of the surface allows.
    pub mode_limits: ModeLimits,
    /// What experiments make of it.
    pub variants: Variants,
}

impl<'a> Request<'a> {
    /// What it is decided with: the surface's own, or a variant's.
    pub fn terms(&self) -> Terms<'a> {
        self.variants.terms(self.surface)
    }

    /// How a policy chooses in the mode that is in force.
    pub fn choice(&self, policy: &Policy) -> Choice {
        policy.choice.exploring(self.mode_limits.exploration)
    }

    pub fn knows_user(&self) -> bool {
        !self.user_key.get().is_nil()
    }

    /// A new identifier for a decision of that moment.
    pub fn id_at(&self, moment: i64) -> Uuid {
        time_ordered(to_unix_micros(moment), chance())
    }
}

/// A user at a moment, in a context: what the surfaces of one page have in common.
#[derive(Clone, Copy)]
pub struct Visit<'a> {
    /// The nil one where the caller does not say who the user is.
    pub user_key: Uuid,
    /// As the caller says it; none until it is given.
    pub user_id: Option<&'a str>,
    /// Microseconds since 2000.
    pub now: i64,
    pub context: Json<'a>,
    pub context_hash: i64,
}

impl<'a> Visit<'a> {
    /// Checks user and context. Whatever is wrong there is the caller's own mistake, and an error.
    pub fn of(
        user_id: Option<&str>,
        context: Json<'a>,
        now: i64,
        seen: Seen,
    ) -> Result<Visit<'a>, Error> {
        let known = user_id.is_some() || !settings::unknown_users();
        let user_id = known.then(|| pseudonym::user_id(user_id)).transpose()?;
        let most = settings::max_context_bytes();
        if context.size() > most {
            return Err(Error::ContextTooLarge {
                bytes: context.size(),
                most,
            });
        }
        if !context.is_object() {
            return Err(Error::ContextNotObject);
        }
        // Of an unknown user nothing needs a key; the context then has no hash.
        let keys = match pseudonym::keys() {
            Err(Error::NoKey(_)) if user_id.is_none() => None,
            keys => Some(keys?),
        };
        let user = keys.as_ref().zip(user_id);
        Ok(Visit {
            user_key: user.map_or(Uuid::nil(), |(keys, user_id)| {
                user_key_of(keys, user_id, seen)
            }),
            user_id: None,
            now,
            context,
            context_hash: keys.map_or(0, |keys| context.hash(keys.newest().context_seed)),
        })
    }
}

/// The surface of that name; another one is the caller's own mistake.
pub fn surface_named<'a>(bundle: &'a Bundle, name: Option<&str>) -> Result<&'a Surface, Error> {
    let name = name.ok_or(Error::Null("surface"))?;
    let surface = bundle.surfaces.get(name);
    surface.ok_or_else(|| Error::UnknownSurface(printable(name)))
}

impl<'a> Request<'a> {
    /// Of a visit to a surface; with a new seed where none is given, and the settings say none.
    pub fn new(
        visit: &Visit<'a>,
        bundle: &'a Bundle,
        surface: &'a Surface,
        seed: Option<u64>,
    ) -> Request<'a> {
        let context = visit.context;
        let fields = surface.context_fields.iter();
        Request {
            user_key: Cell::new(visit.user_key),
            user_id: visit.user_id,
            now: visit.now,
            seed: seed.or_else(settings::seed).unwrap_or_else(chance),
            bundle,
            surface,
            context,
            context_hash: visit.context_hash,
            fields: fields
                .map(|name| context_value(context.get(name)))
                .collect(),
            mode_limits: ModeLimits::at(&surface.name, visit.now),
            variants: Variants::default(),
        }
    }
}
