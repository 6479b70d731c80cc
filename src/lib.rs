//! pg_decide: personalization decisions inside PostgreSQL.
//!
//! The map of the house. Facts come in (`observe`), rules come in (`policy`), a request passes
//! through (`decide`), results are learned from (`learn`) and judged (`evaluate`), and a clock keeps it all (`worker`).
//!
//! | room | what | may know |
//! | --- | --- | --- |
//! | `math` | arithmetic, a crate of its own; nothing of Postgres | nobody |
//! | `pg` | the glue to Postgres, all unsafe code | nobody |
//! | `error` | every error: SQLSTATE, message, detail, hint | nobody |
//! | `settings` | the settings | pg |
//! | `govern` | pseudonyms, modes, kill switches | math, pg, error, settings |
//! | `eligibility` | rules: their statement, verdicts, deadlines, breakers | math, pg, error, settings |
//! | `caps` | caps and budgets: terms, counters, pacing and prices | math, pg, error, settings |
//! | `policy` | tables → validated → bundle → cached by each backend; the row of a user, as bundles lay it out | eligibility, caps, govern, math, pg, error, settings |
//! | `observe` | event → contract → once → features, outcomes; quarantine | policy, caps, govern, math, pg, error, settings |
//! | `decide` | the pipeline of a decision; one file a stage | policy, eligibility, caps, govern, math, pg, error, settings |
//! | `learn` | decisions made elsewhere, and models trained from traces | observe, policy, govern, math, pg, error, settings |
//! | `rights` | what a person may ask for: erasure, access, consent | observe, policy, govern, math, pg, error, settings |
//! | `evaluate` | estimators, uplift metrics and assignment, as SQL aggregates and functions; policies judged from traces | decide, policy, govern, math, pg, error |
//! | `worker` | launcher, workers and jobs; every job is a function too | all |
//!
//! A test of the developer's crate holds the table, and that no files import each other in a circle.
//!
//! Tables, views, function declarations and grants are in `sql/`, one file a subject, in the order below.

mod caps;
mod decide;
mod eligibility;
mod error;
mod evaluate;
mod govern;
mod learn;
mod observe;
mod pg;
mod policy;
mod rights;
mod settings;
mod worker;

pub use pg_decide_math as math;
use pgrx::prelude::*;

pgrx::pg_module_magic!();

extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../sql/policy.sql", name = "policy", requires = ["schema"]);
extension_sql_file!(
    "../sql/purpose.sql",
    name = "purpose",
    requires = ["policy"]
);
extension_sql_file!(
    "../sql/experiment.sql",
    name = "experiment",
    requires = ["purpose"]
);
extension_sql_file!(
    "../sql/context_fields.sql",
    name = "context_fields",
    requires = ["experiment"]
);
extension_sql_file!(
    "../sql/regions.sql",
    name = "regions",
    requires = ["context_fields"]
);
extension_sql_file!(
    "../sql/identity.sql",
    name = "identity",
    requires = ["regions"]
);
extension_sql_file!(
    "../sql/bundle.sql",
    name = "bundle",
    requires = ["identity"]
);
extension_sql_file!("../sql/facts.sql", name = "facts", requires = ["bundle"]);
extension_sql_file!("../sql/erasure.sql", name = "erasure", requires = ["facts"]);
extension_sql_file!(
    "../sql/consent.sql",
    name = "consent",
    requires = ["erasure"]
);
extension_sql_file!("../sql/limits.sql", name = "limits", requires = ["consent"]);
extension_sql_file!("../sql/trace.sql", name = "trace", requires = ["limits"]);
extension_sql_file!(
    "../sql/partitions.sql",
    name = "partitions",
    requires = ["trace"]
);
extension_sql_file!("../sql/jobs.sql", name = "jobs", requires = ["partitions"]);
extension_sql_file!(
    "../sql/functions.sql",
    name = "functions",
    requires = ["jobs"]
);
extension_sql_file!("../sql/batch.sql", name = "batch", requires = ["functions"]);
extension_sql_file!("../sql/tracked.sql", name = "tracked", requires = ["batch"]);
extension_sql_file!("../sql/views.sql", name = "views", requires = ["tracked"]);
extension_sql_file!(
    "../sql/outcomes.sql",
    name = "outcomes",
    requires = ["views"]
);
extension_sql_file!(
    "../sql/attribution.sql",
    name = "attribution",
    requires = ["outcomes"]
);
extension_sql_file!(
    "../sql/delays.sql",
    name = "delays",
    requires = ["attribution"]
);
extension_sql_file!(
    "../sql/reports.sql",
    name = "reports",
    requires = ["delays"]
);
extension_sql_file!(
    "../sql/catalog.sql",
    name = "catalog",
    requires = ["reports"]
);
extension_sql_file!("../sql/modes.sql", name = "modes", requires = ["catalog"]);
extension_sql_file!("../sql/pacing.sql", name = "pacing", requires = ["modes"]);
extension_sql_file!("../sql/adjust.sql", name = "adjust", requires = ["pacing"]);
extension_sql_file!(
    "../sql/requests.sql",
    name = "requests",
    requires = ["adjust"]
);
extension_sql_file!(
    "../sql/pseudonyms.sql",
    name = "pseudonyms",
    requires = ["requests"]
);
extension_sql_file!(
    "../sql/envelope.sql",
    name = "envelope",
    requires = ["pseudonyms"]
);
extension_sql_file!(
    "../sql/health.sql",
    name = "health",
    requires = ["envelope"]
);
extension_sql_file!(
    "../sql/export.sql",
    name = "export",
    requires = ["envelope"]
);
extension_sql_file!(
    "../sql/evaluate.sql",
    name = "evaluate",
    requires = ["envelope"]
);
extension_sql_file!(
    "../sql/judging.sql",
    name = "judging",
    requires = ["evaluate"]
);
extension_sql_file!(
    "../sql/calibration.sql",
    name = "calibration",
    requires = ["judging"]
);
extension_sql_file!(
    "../sql/experiments.sql",
    name = "experiments",
    requires = ["judging"]
);
extension_sql_file!(
    "../sql/simulate.sql",
    name = "simulate",
    requires = ["judging"]
);
extension_sql_file!(
    "../sql/grants.sql",
    name = "grants",
    requires = ["calibration", "experiments", "simulate", "export", "health"],
    finalize
);

/// Runs when the library is loaded: by the server at its start, or by a session at first use.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::session::without_backtraces();
    settings::init();
    pg::init();
    worker::launcher::init();
}

/// What `cargo pgrx test` asks of the crate.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    pub fn postgresql_conf_options() -> Vec<&'static str> {
        Vec::new()
    }
}
