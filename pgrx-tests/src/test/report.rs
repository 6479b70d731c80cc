//! Counting tests and saying how they went.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::HumanDuration;

/// The outcome of a run so far.
pub struct Report {
    passed: usize,
    failed: Vec<String>,
    begun: Instant,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            passed: 0,
            failed: Vec::new(),
            begun: Instant::now(),
        }
    }
}

impl Report {
    /// Runs one test, and prints its name, its outcome and its duration.
    pub fn record(&mut self, name: &str, test: impl FnOnce() -> Result<()>) {
        let begun = Instant::now();
        let outcome = test();
        let duration = begun.elapsed();
        match outcome {
            Ok(()) => self.pass(name, duration),
            Err(error) => self.fail(name, duration, &format!("{error:#}")),
        }
    }

    /// Notes a success.
    pub fn pass(&mut self, name: &str, duration: Duration) {
        self.passed += 1;
        println!("ok      {name}  {}", seconds(duration));
    }

    /// Notes a failure and why.
    pub fn fail(&mut self, name: &str, duration: Duration, why: &str) {
        self.failed.push(name.to_owned());
        println!("FAILED  {name}  {}", seconds(duration));
        for line in why.lines() {
            println!("        {line}");
        }
    }

    /// Notes successes that another program counted.
    pub fn pass_many(&mut self, name: &str, count: usize, duration: Duration) {
        self.passed += count;
        println!("ok      {name}  {count} tests  {}", seconds(duration));
    }

    /// Whether nothing was run.
    pub fn is_empty(&self) -> bool {
        self.passed == 0 && self.failed.is_empty()
    }

    /// Prints the summary; its last line is the count.
    pub fn close(self) -> ExitCode {
        println!();
        for name in &self.failed {
            println!("failed: {name}");
        }
        println!("done in {}", HumanDuration(self.begun.elapsed()));
        println!("{} passed, {} failed", self.passed, self.failed.len());
        if self.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// A duration as the column shows it.
fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
