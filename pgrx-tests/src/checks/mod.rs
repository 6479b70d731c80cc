//! Tests that need a real server and real clients: concurrency, commits, crashes, rights.
//!
//! A check gets a fresh database with the extension created in it, on a server of its version that
//! has the library preloaded. It may restart the server, alter its settings or crash it: the next
//! check finds it as usual. To add one, write a function and name it in `ALL`.

mod backfill;
mod batches;
mod caps;
mod catalog;
mod columns;
mod crashes;
mod docs;
mod drivers;
mod entities;
mod envelope;
mod evaluation;
mod experiments;
mod extension;
mod frequencies;
mod fuzz;
mod images;
mod interruptions;
mod keys;
mod lists;
mod maintenance;
mod memory;
mod modes;
mod outcomes;
mod owner;
mod pacing;
mod replication;
mod restore;
mod rights;
mod secrets;
mod sessions;
mod shop;
mod stream;
mod tracked;
pub mod upgrade;
mod workers;

use anyhow::Result;

use crate::campaign::{bias, caps as simulated_caps, rights as simulated_rights, windows};
use crate::temporary::Database;

/// One check: an error or a panic is a failure.
pub type Check = fn(&Database) -> Result<()>;

/// Every check, in the order in which they run.
pub const ALL: &[(&str, Check)] = &[
    (
        "extension/is_created_and_dropped",
        extension::is_created_and_dropped,
    ),
    (
        "extension/loads_without_preload",
        extension::loads_without_preload,
    ),
    (
        "extension/is_refused_to_a_plain_role",
        extension::is_refused_to_a_plain_role,
    ),
    (
        "extension/is_dumped_as_one_statement",
        extension::is_dumped_as_one_statement,
    ),
    (
        "extension/leaves_no_rights_behind",
        extension::leaves_no_rights_behind,
    ),
    ("extension/survives_a_crash", extension::survives_a_crash),
    ("catalog/has_comments", catalog::has_comments),
    ("catalog/is_in_the_reference", catalog::is_in_the_reference),
    (
        "catalog/columns_agree_with_comments",
        columns::agree_with_comments,
    ),
    ("docs/first_steps_run", docs::first_steps_run),
    ("docs/limits_run", docs::limits_run),
    ("docs/pages_and_batches_run", docs::pages_and_batches_run),
    ("docs/privacy_runs", docs::privacy_runs),
    ("docs/users_run", docs::users_run),
    ("docs/regions_run", docs::regions_run),
    ("docs/name_every_job", docs::name_every_job),
    (
        "rights/erasure_survives_a_crash",
        rights::erasure_survives_a_crash,
    ),
    ("outcomes/survive_a_crash", outcomes::survive_a_crash),
    ("keys/rotate_under_load", keys::rotate_under_load),
    ("keys/are_outside", keys::are_outside),
    (
        "keys/are_outside_on_a_standby",
        keys::are_outside_on_a_standby,
    ),
    ("docs/name_every_reason", lists::name_every_reason),
    ("docs/name_every_setting", lists::name_every_setting),
    ("docs/name_every_aggregate", lists::name_every_aggregate),
    ("docs/name_every_selection", lists::name_every_selection),
    ("docs/name_every_kind_of_cap", lists::name_every_kind_of_cap),
    (
        "docs/tutorial_and_operations_run",
        docs::tutorial_and_operations_run,
    ),
    ("drivers/snippets_run", drivers::snippets_run),
    (
        "fuzz/quarantines_every_bad_event",
        fuzz::quarantines_every_bad_event,
    ),
    (
        "images/are_made_by_publishing",
        images::are_made_by_publishing,
    ),
    (
        "images/are_not_read_unless_whole",
        images::are_not_read_unless_whole,
    ),
    (
        "images/are_marked_when_large",
        images::are_marked_when_large,
    ),
    ("images/can_be_done_without", images::can_be_done_without),
    ("images/survive_crashes", images::survive_crashes),
    (
        "images/go_with_their_database",
        images::go_with_their_database,
    ),
    ("evaluation/agrees_with_obp", evaluation::agrees_with_obp),
    (
        "evaluation/keeps_its_promise",
        evaluation::keeps_its_promise,
    ),
    ("docs/outcomes_run", docs::outcomes_run),
    ("docs/evaluation_runs", docs::evaluation_runs),
    ("docs/experiments_run", docs::experiments_run),
    (
        "experiments/without_an_effect_find_none",
        experiments::without_an_effect_find_none,
    ),
    ("entities/count_exactly", entities::count_exactly),
    (
        "entities/reach_every_session",
        entities::reach_every_session,
    ),
    (
        "envelope/survives_hung_and_failing_rules",
        envelope::survives_hung_and_failing_rules,
    ),
    (
        "envelope/lets_one_try_at_a_time",
        envelope::lets_one_try_at_a_time,
    ),
    ("envelope/waits_for_no_lock", envelope::waits_for_no_lock),
    (
        "envelope/forgets_who_was_erased",
        envelope::forgets_who_was_erased,
    ),
    (
        "envelope/opens_breakers_for_several_sessions",
        envelope::opens_breakers_for_several_sessions,
    ),
    (
        "envelope/waits_for_no_counter",
        envelope::waits_for_no_counter,
    ),
    (
        "envelope/counts_decisions_whatever_ends_them",
        envelope::counts_decisions_whatever_ends_them,
    ),
    (
        "envelope/leaves_the_caller_its_own_timeouts",
        envelope::leaves_the_caller_its_own_timeouts,
    ),
    (
        "envelope/serves_what_was_last_known",
        envelope::serves_what_was_last_known,
    ),
    (
        "envelope/bounds_decisions_at_once",
        envelope::bounds_decisions_at_once,
    ),
    (
        "batches/pages_are_drawn_as_logged",
        batches::pages_are_drawn_as_logged,
    ),
    ("batches/resume_what_is_left", batches::resume_what_is_left),
    (
        "batches/are_exact_side_by_side",
        batches::are_exact_side_by_side,
    ),
    (
        "batches/end_when_cancelled_and_stay_small",
        batches::end_when_cancelled_and_stay_small,
    ),
    ("frequencies/of_uniform", frequencies::of_uniform),
    ("frequencies/of_greedy", frequencies::of_greedy),
    (
        "frequencies/of_epsilon_greedy",
        frequencies::of_epsilon_greedy,
    ),
    ("frequencies/of_softmax", frequencies::of_softmax),
    ("frequencies/of_thompson", frequencies::of_thompson),
    ("frequencies/of_ucb", frequencies::of_ucb),
    ("frequencies/of_squarecb", frequencies::of_squarecb),
    (
        "frequencies/of_a_lower_bound",
        frequencies::of_a_lower_bound,
    ),
    ("frequencies/of_a_floor", frequencies::of_a_floor),
    ("frequencies/of_caution", frequencies::of_caution),
    ("memory/ends_one_session", memory::ends_one_session),
    ("interruptions/by_a_timeout", interruptions::by_a_timeout),
    ("interruptions/by_a_cancel", interruptions::by_a_cancel),
    (
        "interruptions/at_every_stage",
        interruptions::at_every_stage,
    ),
    ("interruptions/by_the_caller", interruptions::by_the_caller),
    (
        "interruptions/by_a_lock_timeout_of_a_rule",
        interruptions::by_a_lock_timeout_of_a_rule,
    ),
    (
        "maintenance/by_autovacuum_gains_nothing",
        maintenance::by_autovacuum_gains_nothing,
    ),
    ("modes/hold_on_a_standby", modes::hold_on_a_standby),
    ("modes/need_no_preload", modes::need_no_preload),
    ("secrets/rules_are_not_told", secrets::rules_are_not_told),
    (
        "sessions/outlive_the_extension",
        sessions::outlive_the_extension,
    ),
    (
        "sessions/outlive_changes_of_a_shops_table",
        sessions::outlive_changes_of_a_shops_table,
    ),
    ("sessions/need_no_preload", sessions::need_no_preload),
    ("sessions/give_back_memory", sessions::give_back_memory),
    (
        "restore/brings_everything_back",
        restore::brings_everything_back,
    ),
    ("owner/needs_no_superuser", owner::needs_no_superuser),
    ("restore/in_parallel", restore::in_parallel),
    (
        "replication/fills_a_warehouse",
        replication::fills_a_warehouse,
    ),
    (
        "replication/copies_all_tables",
        replication::copies_all_tables,
    ),
    (
        "restore/while_workers_come_by",
        restore::while_workers_come_by,
    ),
    ("pacing/follows_its_line", pacing::follows_its_line),
    ("crashes/of_a_backend", crashes::of_a_backend),
    ("crashes/of_the_server", crashes::of_the_server),
    ("caps/of_a_campaign", caps::of_a_campaign),
    ("caps/of_many_caps_at_once", caps::of_many_caps_at_once),
    ("caps/for_one_user_at_once", caps::for_one_user_at_once),
    ("caps/one_holds", caps::one_holds),
    ("caps/all_of_them_hold", caps::all_of_them_hold),
    ("caps/agree_while_caps_bite", caps::agree_while_caps_bite),
    (
        "caps/chances_agree_while_caps_bite",
        caps::chances_agree_while_caps_bite,
    ),
    (
        "caps/agree_where_counters_are_held",
        caps::agree_where_counters_are_held,
    ),
    ("caps/without_deadlocks", caps::without_deadlocks),
    ("caps/need_no_multixacts", caps::need_no_multixacts),
    ("bias/one_row", |database| bias::check(database, "one_row")),
    ("bias/one_row_repeatable_read", |database| {
        bias::check(database, "one_row_repeatable_read")
    }),
    ("bias/one_row_serializable", |database| {
        bias::check(database, "one_row_serializable")
    }),
    ("bias/one_row_durable", |database| {
        bias::check(database, "one_row_durable")
    }),
    ("bias/two_rows", |database| {
        bias::check(database, "two_rows")
    }),
    ("bias/default_rows", |database| {
        bias::check(database, "default_rows")
    }),
    ("bias/sliding", |database| bias::check(database, "sliding")),
    ("bias/paced", |database| bias::check(database, "paced")),
    ("bias/cost", |database| bias::check(database, "cost")),
    ("bias/held_rows", |database| {
        bias::check(database, "held_rows")
    }),
    ("bias/held_rows_old_sessions", |database| {
        bias::check(database, "held_rows_old_sessions")
    }),
    ("bias/many_rows", |database| {
        bias::check(database, "many_rows")
    }),
    ("bias/impressions", |database| {
        bias::check(database, "impressions")
    }),
    ("bias/user_caps", |database| {
        bias::check(database, "user_caps")
    }),
    ("bias/user_caps_repeatable_read", |database| {
        bias::check(database, "user_caps_repeatable_read")
    }),
    ("bias/softmax", |database| bias::check(database, "softmax")),
    ("bias/epsilon_greedy", |database| {
        bias::check(database, "epsilon_greedy")
    }),
    ("bias/three_slots", |database| {
        bias::check(database, "three_slots")
    }),
    ("bias/three_slots_repeatable_read", |database| {
        bias::check(database, "three_slots_repeatable_read")
    }),
    ("bias/cautious", |database| {
        bias::check(database, "cautious")
    }),
    ("windows/few_users", |database| {
        windows::check(database, "few_users")
    }),
    ("windows/few_users_durable", |database| {
        windows::check(database, "few_users_durable")
    }),
    ("windows/few_users_repeatable_read", |database| {
        windows::check(database, "few_users_repeatable_read")
    }),
    ("windows/rows_of_users_held", |database| {
        windows::check(database, "rows_of_users_held")
    }),
    ("simulator/agrees_with_caps", simulated_caps::check),
    ("simulator/agrees_with_rights", simulated_rights::check),
    (
        "backfill/counts_every_event_once",
        backfill::counts_every_event_once,
    ),
    (
        "backfill/waits_for_a_user_that_is_being_made",
        backfill::waits_for_a_user_that_is_being_made,
    ),
    (
        "backfill/reaches_who_waited_for_it",
        backfill::reaches_who_waited_for_it,
    ),
    ("stream/survives_a_crash", stream::survives_a_crash),
    (
        "tracked/large_statements_wait_for_each_other",
        tracked::large_statements_wait_for_each_other,
    ),
    ("workers/fold_the_inbox", workers::fold_the_inbox),
    (
        "workers/lose_and_double_nothing",
        workers::lose_and_double_nothing,
    ),
    (
        "workers/go_on_where_a_job_fails",
        workers::go_on_where_a_job_fails,
    ),
    (
        "workers/outlive_the_extension",
        workers::outlive_the_extension,
    ),
    ("workers/let_a_database_go", workers::let_a_database_go),
    ("workers/follow_the_settings", workers::follow_the_settings),
    (
        "workers/take_over_at_promotion",
        workers::take_over_at_promotion,
    ),
    ("workers/hold_nothing", workers::hold_nothing),
    (
        "workers/pass_by_what_others_hold",
        workers::pass_by_what_others_hold,
    ),
    (
        "workers/come_back_soon_to_what_is_held",
        workers::come_back_soon_to_what_is_held,
    ),
    (
        "workers/come_back_later_where_all_is_broken",
        workers::come_back_later_where_all_is_broken,
    ),
    ("workers/wait_for_room", workers::wait_for_room),
];
