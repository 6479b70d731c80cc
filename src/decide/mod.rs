//! The pipeline of a decision: request → features → candidates → score → choose, and take from the counters of caps →
//! trace; the fallback where a stage cannot go on.

mod answer;
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
mod reason;
mod replay;
mod request;
mod reserve;
mod score;
mod stage;
mod trace;
mod verbs;

use buffers::Buffers;
use choose::{Options, choose};
use decision::Decision;
use envelope::Envelope;
use reason::Reason;
use request::{DecideArgs, Request};
use stage::{Stage, Stopwatch};

use crate::error::Error;
use crate::govern::modes::Mode;
use crate::pg::Session;
use crate::policy::{self, Bundle, Policy};

/// Decides, and hands the decision to `then` in the same session. A decision that is only explained writes nothing.
fn run<T>(args: &DecideArgs<'_>, then: impl FnOnce(&Decision<'_>) -> T) -> Result<T, Error> {
    buffers::with(|buffers| {
        let bundle = policy::current(args.now)?;
        let _session = Session::open();
        let admitted = args.decides.then(envelope::admit).transpose();
        let decision = decide(args, &bundle, admitted.is_ok(), buffers)?;
        Ok(then(&decision))
    })
}

fn decide<'a>(
    args: &DecideArgs<'a>,
    bundle: &'a Bundle,
    admitted: bool,
    buffers: &'a mut Buffers,
) -> Result<Decision<'a>, Error> {
    let mut watch = Stopwatch::start();
    let request = request::normalize(args, bundle)?;
    watch.lap(Stage::Request);
    buffers.clear(&request);
    let mut envelope = Envelope::open(&request, watch.began(), args.decides && admitted);
    let scored = match admitted {
        true => envelope.attempt(&request, |envelope| {
            buffers.clear(&request);
            score(&request, envelope, buffers, &mut watch)
        }),
        false => Ok(Err(Reason::Overload)),
    };
    let scored = scored.unwrap_or_else(|error| {
        buffers.clear(&request);
        Err(Reason::failed(&error, args.decides))
    });
    // The trace lists the candidates also where scoring has failed.
    let scored = scored.inspect_err(|_| buffers.draw.open_to(&buffers.candidates.eligible));
    let chosen = scored.and_then(|policy| {
        let options = Options {
            choice: request.choice(policy),
            eligible: &buffers.candidates.eligible,
            scores: &buffers.scores,
            user: &buffers.features.user,
        };
        choose(&request, &envelope, &options, &mut buffers.draw, &mut watch)
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
    if args.decides {
        trace::write(&decision, &mut buffers.columns);
    }
    Ok(decision)
}

/// The stages that may fail, and are undone then.
fn score<'a>(
    request: &Request<'a>,
    envelope: &Envelope,
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
    candidates::find(request, &features.vector, envelope, candidates);
    watch.lap(Stage::Candidates);
    let few = envelope.candidates_to_score(candidates.eligible.len(), surface.slots, watch)?;
    narrow::to_first(few, candidates);
    let policy = score::require_model(surface.policy.as_ref())?;
    score::score_candidates(policy, request, features, &mut buffers.scores);
    watch.lap(Stage::Score);
    Ok(policy)
}
