//! Counting tests and saying how they went.

use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::HumanDuration;

use crate::run;

/// The outcome of a run so far, to which several threads add.
pub struct Report {
    outcomes: Mutex<Outcomes>,
    begun: Instant,
}

#[derive(Default)]
struct Outcomes {
    passed: usize,
    failed: Vec<String>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            outcomes: Mutex::default(),
            begun: Instant::now(),
        }
    }
}

impl Report {
    /// Runs one test, and prints its name, its outcome and its duration.
    pub fn record(&self, name: &str, test: impl FnOnce() -> Result<()>) {
        let begun = Instant::now();
        let outcome = test();
        let duration = begun.elapsed();
        match outcome {
            Ok(()) => self.pass(name, duration),
            Err(error) => self.fail(name, duration, &format!("{error:#}")),
        }
    }

    /// Notes a success.
    pub fn pass(&self, name: &str, duration: Duration) {
        self.outcomes().passed += 1;
        run::print(&format!("ok      {name}  {}", seconds(duration)));
    }

    /// Notes a failure and why.
    pub fn fail(&self, name: &str, duration: Duration, why: &str) {
        self.outcomes().failed.push(name.to_owned());
        let mut text = format!("FAILED  {name}  {}", seconds(duration));
        for line in why.lines() {
            text += &format!("\n        {line}");
        }
        run::print(&text);
    }

    /// Notes successes that another program counted.
    pub fn pass_many(&self, name: &str, count: usize, duration: Duration) {
        self.outcomes().passed += count;
        run::print(&format!(
            "ok      {name}  {count} tests  {}",
            seconds(duration)
        ));
    }

    /// Whether nothing was run.
    pub fn is_empty(&self) -> bool {
        let outcomes = self.outcomes();
        outcomes.passed == 0 && outcomes.failed.is_empty()
    }

    /// Prints the summary; its last line is the count.
    pub fn close(self) -> ExitCode {
        let outcomes = self.outcomes();
        println!();
        for name in &outcomes.failed {
            println!("failed: {name}");
        }
        println!("done in {}", HumanDuration(self.begun.elapsed()));
        println!(
            "{} passed, {} failed",
            outcomes.passed,
            outcomes.failed.len()
        );
        if outcomes.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// The outcomes, even if a thread died while it held them.
    fn outcomes(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A duration as the column shows it.
fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
