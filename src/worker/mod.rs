//! A clock keeps it all: the list of jobs. Workers run each when it is due, and `decide.run_job` at once.
//!
//! | file | what |
//! | --- | --- |
//! | `job` | what a job is, and a run of one |
//! | `record` | which job is due, and how each went: decide.job and decide.job_run |
//! | `launcher` | one process that sends a worker into each named database |
//! | `visit` | a worker in its database: does what is due, and leaves |
//! | `verbs` | the SQL functions |
//! | the others | one job each |

mod action_features;
mod attribution;
mod backfill;
mod budgets;
mod erasure;
mod fold;
mod freshness;
mod job;
pub mod launcher;
mod outcome_delays;
mod pacing;
mod partitions;
mod pseudonyms;
mod quarantine;
mod record;
mod requests;
mod retention;
mod verbs;
mod visit;

use job::Job;

/// Every job. A new one is an entry here, a file beside this one, and a row in docs/upkeep.md; the default rows
/// of decide.job, the names in errors and what the test of the documents expects are answered from here.
const JOBS: &[Job] = &[
    Job {
        name: "fold",
        every: "1 second",
        comment: "Takes in the events of the inbox, as track does",
        start: fold::start,
        report: fold::report,
    },
    Job {
        name: "partitions",
        every: "1 hour",
        comment: "Makes daily partitions ahead",
        start: partitions::start,
        report: partitions::report,
    },
    Job {
        name: "retention",
        every: "1 hour",
        comment: "Drops expired partitions, and deletes expired rows of the default partitions",
        start: || Box::new(retention::step),
        report: retention::report,
    },
    Job {
        name: "quarantine",
        every: "1 hour",
        comment: "Deletes expired invalid events",
        start: || Box::new(quarantine::step),
        report: quarantine::report,
    },
    Job {
        name: "erasure",
        every: "1 hour",
        comment: "Deletes the rows of persons who were erased",
        start: erasure::start,
        report: erasure::report,
    },
    Job {
        name: "pseudonyms",
        every: "1 minute",
        comment: "Moves persons who were seen again since a rotation to the newest key, and deletes keys under which nothing is kept",
        start: pseudonyms::start,
        report: pseudonyms::report,
    },
    Job {
        name: "requests",
        every: "10 minutes",
        comment: "Deletes requests whose answers cannot be had again any more, an hour after they were made",
        start: || Box::new(requests::step),
        report: requests::report,
    },
    Job {
        name: "backfill",
        every: "1 minute",
        comment: "Computes the past of features that are staged",
        start: || Box::new(backfill::step),
        report: backfill::report,
    },
    Job {
        name: "budgets",
        every: "10 seconds",
        comment: "Gives back reservations that have expired, and divides what is left of budgets among their rows",
        start: budgets::start,
        report: budgets::report,
    },
    Job {
        name: "freshness",
        every: "1 hour",
        comment: "Measures how fresh features are and how often decisions miss them, for decide.feature_catalog",
        start: || Box::new(freshness::step),
        report: freshness::report,
    },
    Job {
        name: "action_features",
        every: "1 minute",
        comment: "Merges what sessions have added to features of actions and surfaces, and writes a snapshot of their values",
        start: || Box::new(action_features::step),
        report: action_features::report,
    },
    Job {
        name: "attribution",
        every: "1 minute",
        comment: "Credits events to the decisions that they follow from, as outcome types say",
        start: attribution::start,
        report: attribution::report,
    },
    Job {
        name: "outcome_delays",
        every: "6 hours",
        comment: "Fits anew how long outcomes take",
        start: || Box::new(outcome_delays::step),
        report: outcome_delays::report,
    },
    Job {
        name: "pacing",
        every: "10 seconds",
        comment: "Records how much of each budget is delivered, adjusts prices, and learns the traffic for forecasts",
        start: || Box::new(pacing::step),
        report: pacing::report,
    },
];

/// The job of that name.
fn find(name: &str) -> Option<&'static Job> {
    JOBS.iter().find(|job| job.name == name)
}
