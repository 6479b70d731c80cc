//! The stages of a decision, and the time that each took.

use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Request,
    Features,
    Candidates,
    Score,
    Choose,
    Reserve,
}

impl Stage {
    /// How many stages a trace has times of.
    pub const COUNT: usize = Stage::Reserve as usize + 1;

    /// As reasons name it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Request => "request",
            Stage::Features => "features",
            Stage::Candidates => "candidates",
            Stage::Score => "score",
            Stage::Choose => "choose",
            Stage::Reserve => "reserve",
        }
    }
}

/// Microseconds per stage.
pub struct Stopwatch {
    began: Instant,
    last: Instant,
    stage_us: [i32; Stage::COUNT],
}

impl Stopwatch {
    pub fn start() -> Stopwatch {
        let now = Instant::now();
        Stopwatch {
            began: now,
            last: now,
            stage_us: [0; Stage::COUNT],
        }
    }

    /// The latency budget counts from here on. What a session needs to take up a bundle is time of the request, and of
    /// no budget: every decision after a publish would be late otherwise.
    pub fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// When the latency budget began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// When the last stage ended.
    pub fn last(&self) -> Instant {
        self.last
    }

    /// Adds the time since the last lap to a stage: one that is repeated has the sum of its times.
    pub fn lap(&mut self, stage: Stage) {
        let now = Instant::now();
        let passed = now.duration_since(self.last).as_micros();
        let sum = &mut self.stage_us[stage as usize];
        *sum = sum.saturating_add(passed.min(i32::MAX as u128) as i32);
        self.last = now;
    }

    pub fn micros(&self, stage: Stage) -> i32 {
        self.stage_us[stage as usize]
    }

    /// Of all stages, in their order.
    pub fn stage_us(&self) -> [i32; Stage::COUNT] {
        self.stage_us
    }
}
