//! Fifth stage: an action for each slot is drawn from what can be had, and taken from the counters of its caps.

use super::blocked::Blocked;
use super::draw::Draw;
use super::envelope::Envelope;
use super::narrow;
use super::reason::Reason;
use super::request::Request;
use super::reserve::{Kept, MOST_DRAWS, Reservation};
use super::score::Scores;
use super::stage::{Stage, Stopwatch};
use crate::math::choice::Choice;
use crate::math::random::next_seed;
use crate::pg::session;
use crate::policy::UserRow;

/// What the stages before have found out.
pub struct Options<'a> {
    pub choice: Choice,
    /// Indexes of the surface's actions.
    pub eligible: &'a [usize],
    pub scores: &'a Scores,
    pub user: &'a UserRow,
}

/// Fills the slots, or says why some are left.
pub fn choose(
    request: &Request<'_>,
    envelope: &Envelope,
    options: &Options<'_>,
    kept: &mut Kept,
    draw: &mut Draw,
    watch: &mut Stopwatch,
) -> Result<(), Reason> {
    match request.surface.limits.caps.is_empty() {
        true => choose_freely(request, options, draw, watch),
        false => choose_within_caps(request, envelope, options, kept, draw, watch)?,
    }
    if draw.filled() >= request.surface.slots {
        return Ok(());
    }
    let is_busy = draw.blocked.iter().any(|of| of.why == Blocked::Busy);
    Err(match is_busy {
        true => Reason::Busy,
        false => Reason::NoCandidate,
    })
}

/// Where no cap binds anything.
fn choose_freely(
    request: &Request<'_>,
    options: &Options<'_>,
    draw: &mut Draw,
    watch: &mut Stopwatch,
) {
    let slots = request.surface.slots;
    draw.open_to(options.eligible);
    options.scores.write(&draw.open, &mut draw.scores);
    narrow::to_share(request.mode_limits.candidates, slots, draw);
    draw.slate
        .choose(&options.choice, &draw.scores, slots, draw.seed);
    watch.lap(Stage::Choose);
}

/// Draws, takes what was drawn, and draws again where others were faster.
fn choose_within_caps(
    request: &Request<'_>,
    envelope: &Envelope,
    options: &Options<'_>,
    kept: &mut Kept,
    draw: &mut Draw,
    watch: &mut Stopwatch,
) -> Result<(), Reason> {
    let slots = request.surface.slots;
    let time_left = envelope.time_left();
    let (decides, user) = (envelope.decides, options.user);
    let mut reservation = Reservation::open(request, decides, time_left, user, kept);
    let mut draws = 0;
    loop {
        session::check_interrupts();
        reservation.constrain(options.eligible, draw);
        options.scores.write(&draw.open, &mut draw.scores);
        narrow::to_share(request.mode_limits.candidates, slots, draw);
        reservation.draw(&options.choice, draw);
        if draw.filled() < slots && reservation.relax(draw) {
            continue;
        }
        watch.lap(Stage::Choose);
        let taken = reservation.take(envelope.time_left(), draw);
        draw.moment = reservation.moment();
        if taken {
            watch.lap(Stage::Reserve);
            return Ok(());
        }
        draws += 1;
        if draws == MOST_DRAWS || envelope.is_over() {
            reservation.take_nothing(draw);
            return Err(Reason::Timeout(Stage::Reserve));
        }
        draw.seed = next_seed(draw.seed);
    }
}
