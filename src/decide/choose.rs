//! Fifth stage: an action for each slot is drawn from what can be had, and taken from the counters of its caps.

use super::draw::Draw;
use super::envelope::Envelope;
use super::narrow;
use super::reason::Reason;
use super::request::Request;
use super::reserve::{Kept, MOST_DRAWS, Reservation};
use super::score::Scores;
use super::stage::{Stage, Stopwatch};
use crate::math::choice::{Choice, LowerBound, Scored};
use crate::math::random::next_seed;
use crate::pg::session;
use crate::policy::UserRow;

/// What the stages before have found out.
pub struct Options<'a> {
    pub choice: Choice,
    pub lower_bound: Option<LowerBound>,
    /// Indexes of the surface's actions.
    pub eligible: &'a [usize],
    pub scores: &'a Scores,
    pub user: &'a UserRow,
}

impl Options<'_> {
    /// Scores what the draw is open to, and leaves out what policy and mode do not want.
    fn narrow(&self, request: &Request<'_>, draw: &mut Draw) {
        self.scores.write(draw);
        if let Some(bound) = &self.lower_bound {
            narrow::to_sure(bound, draw);
        }
        let share = request.mode_limits.candidates;
        narrow::to_share(share, request.surface.slots, draw);
    }
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
    let has_caps = !request.terms().limits.caps.is_empty();
    match has_caps || request.variants.are_to_be_kept() {
        false => choose_freely(request, options, draw, watch),
        true => choose_within_caps(request, envelope, options, kept, draw, watch)?,
    }
    if draw.filled() >= request.surface.slots {
        return Ok(());
    }
    Err(Reason::of_empty_slots(
        draw.blocked.iter().map(|of| of.why.code()),
    ))
}

/// Where no cap binds anything, and nothing is written into the row of the user.
fn choose_freely(
    request: &Request<'_>,
    options: &Options<'_>,
    draw: &mut Draw,
    watch: &mut Stopwatch,
) {
    let slots = request.surface.slots;
    draw.open_to(options.eligible);
    options.narrow(request, draw);
    let scored = Scored {
        scores: &draw.scores,
        spreads: &draw.spreads,
    };
    draw.slate.choose(&options.choice, scored, slots, draw.seed);
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
    let eligible = options.eligible;
    let mut reservation = Reservation::open(request, decides, time_left, user, eligible, kept);
    let mut draws = 0;
    loop {
        session::check_interrupts();
        reservation.constrain(draw);
        options.narrow(request, draw);
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
