//! First stage: the arguments, checked and brought into one form.

use std::cell::Cell;

use uuid::Uuid;

use super::assigned::Variants;
use crate::caps::Cap;
use crate::error::{Error, printable};
use crate::govern::modes::ModeLimits;
use crate::govern::pseudonym;
use crate::math::choice::Choice;
use crate::math::identifier::time_ordered;
use crate::math::model::Value;
use crate::pg::clock::{chance, to_unix_micros};
use crate::pg::json::{Field, Json};
use crate::policy::{Bundle, Policy, Region, Seen, Surface, Terms, context_value, user_key_of};
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
    /// Fields of the context that are left out since they could not be coarsened, as bits.
    pub uncoarsened: u64,
    /// Values of the surface's context fields, in their order.
    pub fields: Vec<Value<'a>>,
    /// What the mode of the surface allows.
    pub mode_limits: ModeLimits,
    /// What experiments make of it.
    pub variants: Variants,
    /// The region of the user, by its index, once their row was read; None where there are none.
    pub region: Cell<Option<usize>>,
}

impl<'a> Request<'a> {
    /// What it is decided with: the surface's own, or a variant's.
    pub fn terms(&self) -> Terms<'a> {
        self.variants.terms(self.surface)
    }

    /// What differs where the user is, once their row was read.
    pub fn region(&self) -> Option<&'a Region> {
        self.bundle.regions.at(self.region.get())
    }

    /// The policy: the surface's own or a variant's, in the region of the user.
    pub fn policy(&self) -> Option<&'a Policy> {
        self.terms().policy_in(self.region())
    }

    /// The limit of a cap, in the mode and in the region.
    pub fn limit(&self, cap: &Cap) -> i64 {
        let limit = self.region().map_or(cap.limit, |region| region.limit(cap));
        self.mode_limits.limit(limit)
    }

    /// Whether caps have lower limits than their own.
    pub fn is_tightened(&self) -> bool {
        self.mode_limits.caps < 1.0 || self.region().is_some_and(Region::has_limits)
    }

    /// The region that the context names.
    pub fn region_said(&self) -> Option<&'a str> {
        let field = self.bundle.context_fields.of_context.region()?;
        match self.context.get(field) {
            Some(Field::Text(region)) => Some(region),
            _ => None,
        }
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
    /// As it may be known.
    pub context: Json<'a>,
    pub context_hash: i64,
    /// Fields of the context that are left out since they could not be coarsened, as bits.
    pub uncoarsened: u64,
}

impl<'a> Visit<'a> {
    /// Checks user and context. Whatever is wrong there is the caller's own mistake, and an error.
    pub fn of(
        user_id: Option<&str>,
        context: Json<'a>,
        now: i64,
        bundle: &Bundle,
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
        let coarsening = &bundle.context_fields.of_context;
        let hash = |field: &str, value: &str| Some(keys.as_ref()?.newest().of_value(field, value));
        let known = match coarsening.is_empty() {
            true => None,
            false => coarsening.of(&context, &[], hash),
        };
        let (context, uncoarsened) = known.map_or((context, 0), |of| (of.document, of.failed));
        Ok(Visit {
            user_key: user.map_or(Uuid::nil(), |(keys, user_id)| {
                user_key_of(keys, user_id, seen)
            }),
            user_id: None,
            now,
            context,
            context_hash: keys
                .as_ref()
                .map_or(0, |keys| context.hash(keys.newest().context_seed)),
            uncoarsened,
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
            uncoarsened: visit.uncoarsened,
            fields: fields
                .map(|name| context_value(context.get(name)))
                .collect(),
            mode_limits: ModeLimits::at(&surface.name, visit.now),
            variants: Variants::default(),
            region: Cell::default(),
        }
    }
}
