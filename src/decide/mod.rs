//! The pipeline of a decision: request → features → candidates → score → choose, and take from the counters of caps →
//! trace; the fallback where a stage cannot go on.

mod answer;
mod assigned;
mod batch;
mod blocked;
mod buffers;
mod candidates;
mod catalog;
mod choose;
mod columns;
mod decision;
mod distribution;
mod draw;
mod envelope;
mod explain;
mod features;
mod last_known;
mod narrow;
mod page;
mod reason;
mod repeat;
mod replay;
mod request;
mod reserve;
mod score;
mod shared;
mod simulate;
mod stage;
mod target;
mod trace;
mod traced;
mod variant_verbs;
mod variants;
mod verbs;

use buffers::Buffers;
use choose::{Options, choose};
use decision::Decision;
use envelope::Envelope;
use reason::Reason;
use repeat::{Standing, Told, WAIT_MS, claim};
use request::{DecideArgs, Request, Visit, surface_named};
use shared::Shared;
use stage::{Stage, Stopwatch};

use crate::error::Error;
use crate::govern::modes::Mode;
use crate::pg::Session;
use crate::policy::{self, Policy, Seen};

/// How long the answer to a request with a request_id can be had again, in microseconds.
pub use repeat::KEPT as REQUESTS_KEPT;

/// What other policies would have done in decisions that were made.
pub use columns::dropped as read_dropped;
pub use distribution::{TracedChoice, of_slot};
pub use target::{Judge, Logged};

/// Decides, and hands the decision to `then` in the same session; or answers what was decided before, of a request that
/// its client has named. A decision that is only explained writes nothing.
fn run(args: &DecideArgs<'_>, then: impl FnOnce(&Decision<'_>)) -> Result<Vec<Told>, Error> {
    buffers::with(|buffers| {
        let mut watch = Stopwatch::start();
        let bundle = policy::current(args.now)?;
        let _session = Session::open();
        let admitted = args.decides.then(envelope::admit).transpose();
        let mut shared = Shared::of_one(args.decides, admitted.is_ok());
        watch.begin();
        let seen = match args.decides {
            true => Seen::ToWrite,
            false => Seen::ToRead,
        };
        let visit = Visit {
            user_id: args.user_id,
            ..Visit::of(args.user_id, args.context, args.now, &bundle, seen)?
        };
        let surface = surface_named(&bundle, args.surface)?;
        let request = Request::new(&visit, &bundle, surface, args.seed);
        buffers.features.forget();
        let named = match args.request_id {
            None => None,
            Some(id) => match claim(&visit, id, [&surface.name[..]].into_iter(), WAIT_MS)? {
                Standing::Decided(told) => return Ok(told),
                Standing::Claimed(named) => Some(named),
                Standing::Open => {
                    shared.is_open = true;
                    None
                }
            },
        };
        let decision = decide(request, &mut shared, buffers, watch);
        then(&decision);
        if let Some(named) = named {
            named.note(&[decision.id]);
        }
        Ok(Vec::new())
    })
}

/// Decides on one surface. The watch has started with what was done for the request before.
fn decide<'a>(
    request: Request<'a>,
    shared: &mut Shared,
    buffers: &'a mut Buffers,
    mut watch: Stopwatch,
) -> Decision<'a> {
    watch.lap(Stage::Request);
    buffers.clear(&request);
    let Shared {
        decides, admitted, ..
    } = *shared;
    let may_decide = admitted && !shared.is_open;
    let mut envelope = Envelope::open(&request, watch.began(), decides && may_decide);
    let mut is_again = false;
    let scored = match may_decide {
        true => envelope.attempt(&request, |envelope| {
            if std::mem::replace(&mut is_again, true) {
                buffers.features.forget();
            }
            buffers.clear(&request);
            score(&request, envelope, &shared.shown, buffers, &mut watch)
        }),
        false if admitted => Ok(Err(Reason::RequestOpen)),
        false => Ok(Err(Reason::Overload)),
    };
    let scored = scored.unwrap_or_else(|error| {
        buffers.features.forget();
        buffers.clear(&request);
        Err(Reason::failed(&error, decides))
    });
    // The trace lists the candidates also where scoring has failed.
    let scored = scored.inspect_err(|_| buffers.draw.open_to(&buffers.candidates.eligible));
    let chosen = scored.and_then(|policy| {
        let options = Options {
            choice: request.choice(policy),
            lower_bound: policy.lower_bound,
            eligible: &buffers.candidates.eligible,
            scores: &buffers.scores,
            user: &buffers.features.user,
        };
        let (kept, draw) = (&mut shared.kept, &mut buffers.draw);
        choose(&request, &envelope, &options, kept, draw, &mut watch)
    });
    buffers.answer.fill(request.surface, &buffers.draw);
    let decision = Decision {
        id: request.id_at(buffers.draw.moment),
        features: &buffers.features,
        candidates: &buffers.candidates,
        scores: &buffers.scores,
        draw: &buffers.draw,
        answer: &buffers.answer,
        reason: chosen.err(),
        stage_us: watch.stage_us(),
        request,
    };
    if decides {
        trace::write(&decision, &mut buffers.columns, &mut shared.traces);
    }
    decision
}

/// The stages that may fail, and are undone then.
fn score<'a>(
    request: &Request<'a>,
    envelope: &Envelope,
    shown: &[i32],
    buffers: &mut Buffers,
    watch: &mut Stopwatch,
) -> Result<&'a Policy, Reason> {
    let surface = request.surface;
    if request.mode_limits.mode == Mode::Paused {
        return Err(Reason::Paused);
    }
    features::read(request, envelope, &mut buffers.features);
    watch.lap(Stage::Features);
    let (features, candidates) = (&buffers.features, &mut buffers.candidates);
    candidates::find(request, features, envelope, shown, candidates);
    watch.lap(Stage::Candidates);
    let few = envelope.candidates_to_score(candidates.eligible.len(), surface.slots, watch)?;
    narrow::to_first(few, candidates);
    let policy = score::require_model(request.policy())?;
    score::score_candidates(policy, request, features, &mut buffers.scores);
    watch.lap(Stage::Score);
    Ok(policy)
}
