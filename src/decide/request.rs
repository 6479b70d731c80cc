//! First stage: the arguments, checked and brought into one form.

use uuid::Uuid;

use crate::error::{Error, printable};
use crate::govern::modes::ModeLimits;
use crate::govern::pseudonym;
use crate::math::choice::Choice;
use crate::math::identifier::time_ordered;
use crate::math::model::Value;
use crate::pg::clock::{chance, to_unix_micros};
use crate::pg::json::Json;
use crate::policy::{Bundle, Policy, Surface, context_value};
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
}

/// The request in one form.
pub struct Request<'a> {
    /// The nil one where the caller does not say who the user is.
    pub user_key: Uuid,
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
}

impl Request<'_> {
    /// How a policy chooses in the mode that is in force.
    pub fn choice(&self, policy: &Policy) -> Choice {
        policy.choice.exploring(self.mode_limits.exploration)
    }

    pub fn knows_user(&self) -> bool {
        !self.user_key.is_nil()
    }

    /// A new identifier for a decision of that moment.
    pub fn id_at(&self, moment: i64) -> Uuid {
        time_ordered(to_unix_micros(moment), chance())
    }
}

/// Checks the request. Whatever is wrong here is the caller's own mistake, and an error.
pub fn normalize<'a>(args: &DecideArgs<'a>, bundle: &'a Bundle) -> Result<Request<'a>, Error> {
    let known = args.user_id.is_some() || !settings::unknown_users();
    let user_id = known
        .then(|| pseudonym::user_id(args.user_id))
        .transpose()?;
    let name = args.surface.ok_or(Error::Null("surface"))?;
    let surface = bundle
        .surfaces
        .get(name)
        .ok_or_else(|| Error::UnknownSurface(printable(name)))?;
    let context = args.context;
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
    let key = pseudonym::key()?;
    Ok(Request {
        user_key: user_id.map_or(Uuid::nil(), |user_id| key.of(user_id)),
        now: args.now,
        seed: args.seed.or_else(settings::seed).unwrap_or_else(chance),
        bundle,
        surface,
        context,
        context_hash: context.hash(key.context_seed),
        fields: surface
            .context_fields
            .iter()
            .map(|name| context_value(context.get(name)))
            .collect(),
        mode_limits: ModeLimits::at(name, args.now),
    })
}
