//! What a job is, and a run of one.

use crate::error::Error;

/// A job: done in steps, each of them short and a transaction of its own in a worker.
pub struct Job {
    pub name: &'static str,
    /// How often workers run it, unless decide.job says otherwise.
    pub every: &'static str,
    /// What it does, as decide.default_jobs() and the documents say it.
    pub comment: &'static str,
    /// Begins a run.
    pub start: fn() -> Steps,
    /// What a run has done, in words.
    pub report: fn(&Run) -> String,
}

/// The steps of one run: each call does the next one. State that the closure captures lives for one run.
pub type Steps = Box<dyn FnMut() -> Result<Step, Error>>;

/// What a step did.
pub struct Step {
    pub rows: i64,
    /// Whether the run has another step to do.
    pub more: bool,
    /// How many users the run has left out so far, since other transactions have locked their rows.
    pub users_left: i64,
    /// Stripes of budgets that the run has skipped, since other transactions have locked them.
    pub stripes_left: i64,
}

impl Step {
    /// The last step of a run.
    pub fn last(rows: i64) -> Step {
        Step {
            rows,
            more: false,
            users_left: 0,
            stripes_left: 0,
        }
    }

    /// A step that takes at most so many rows: if it has found as many, there may be more.
    pub fn of_batch(rows: i64, most: i64) -> Step {
        match rows < most {
            true => Step::last(rows),
            false => Step::with_more(rows),
        }
    }

    /// A step after which there is more to do.
    pub fn with_more(rows: i64) -> Step {
        Step {
            more: true,
            ..Step::last(rows)
        }
    }
}

/// One run of a job, from its first step to its last.
pub struct Run {
    pub job: &'static Job,
    pub started_at: i64,
    pub rows: i64,
    pub users_left: i64,
    pub stripes_left: i64,
    steps: Steps,
}

impl Run {
    pub fn new(job: &'static Job, started_at: i64) -> Run {
        Run {
            job,
            started_at,
            rows: 0,
            users_left: 0,
            stripes_left: 0,
            steps: (job.start)(),
        }
    }

    /// Does the next step; whether there is more to do.
    pub fn step(&mut self) -> Result<bool, Error> {
        let step = (self.steps)()?;
        self.rows += step.rows;
        self.users_left = step.users_left;
        self.stripes_left = step.stripes_left;
        Ok(step.more)
    }
}
