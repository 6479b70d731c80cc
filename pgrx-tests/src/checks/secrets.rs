//! What rules say is not for who decides: whatever a session asks the server to tell, it hears nothing of them.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use postgres::error::{DbError, ErrorPosition};
use postgres::{Client, NoTls};

use crate::temporary::Database;

/// A word of each rule, and how a parse tree has it.
const WORD: &str = "SWORDFISH";
const BYTES: &str = "83 87 79 82 68 70 73 83 72";

const SHOP: &str = r#"
    CREATE ROLE secrets_app LOGIN; CREATE ROLE secrets_rules;
    SELECT decide.grant('secrets_app', 'serve'), decide.grant('secrets_rules', 'rules');
    CREATE TABLE public.stock (sku text); GRANT SELECT ON public.stock TO secrets_rules;
    CREATE FUNCTION public.speaks(word text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
      BEGIN RAISE NOTICE 'heard %', word; RAISE WARNING 'heard %', word; RETURN true; END $$;
    INSERT INTO decide.surface (surface, fallback_action, latency_budget) VALUES ('home', 'nothing', '10 s'), ('fails', 'nothing', '10 s'), ('sleeps', 'nothing', '10 s');
    INSERT INTO decide.action (action, surfaces, attributes, eligible_when) VALUES
      ('nothing', '{}', '{}', NULL),
      ('plain', '{home,fails}', '{}', 'context->>''country'' = ''SWORDFISH'''),
      ('reads', '{home,fails}', '{}', 'EXISTS (SELECT FROM public.stock WHERE sku = ''SWORDFISH'')'),
      ('speaks', '{home,fails}', '{}', 'public.speaks(''SWORDFISH'')'),
      ('few', '{home,fails}', '{"k": "SWORDFISH"}', 'action.attributes->>''k'' > ''SWORDFISH'''),
      ('fails', '{fails}', '{}', '(''SWORDFISH'' || (context->>''n''))::int > 0'),
      ('sleeps', '{sleeps}', '{}', '(SELECT count(*) FROM public.stock AS s, pg_catalog.generate_series(1, 1000000000) WHERE s.sku <> ''SWORDFISH'') > 0');
    INSERT INTO decide.action (action, surfaces, eligible_when)
      SELECT 'many ' || i, '{home,fails}', 'action.action <> ''SWORDFISH''' FROM pg_catalog.generate_series(1, 9) AS i;
    INSERT INTO public.stock VALUES ('x');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform'), ('fails', 'fails', 'uniform'), ('sleeps', 'sleeps', 'uniform');
"#;

/// What a session may set for itself.
const SETTINGS: &[&str] = &[
    "SET client_min_messages = log; SET debug_print_parse = on",
    "SET client_min_messages = log; SET debug_print_rewritten = on",
    "SET client_min_messages = log; SET debug_print_plan = on",
    "SET client_min_messages = debug5",
    "SET client_min_messages = debug5; SET debug_print_parse = on; SET debug_print_rewritten = on; SET debug_print_plan = on; SET debug_pretty_print = off",
];

/// What a superuser may have set for all.
const OF_THE_SERVER: &[&str] = &[
    "SET log_parser_stats = on; SET log_planner_stats = on; SET log_executor_stats = on",
    "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET auto_explain.log_verbose = on",
    "SET log_min_messages = debug5; SET log_min_duration_statement = 0; SET log_statement = 'all'",
];

pub fn rules_are_not_told(database: &Database) -> Result<()> {
    let mut admin = database.connect()?;
    admin.batch_execute(SHOP)?;
    let name = &database.name;
    admin.batch_execute(&format!(
        "ALTER DATABASE {name} SET pg_decide.rule_role = 'secrets_rules'; SET pg_decide.rule_role = 'secrets_rules'; \
         SELECT decide.publish('rules with a word')"
    ))?;
    let outcome = hear_all(database);
    admin.batch_execute(
        "DROP OWNED BY secrets_app, secrets_rules CASCADE; DROP ROLE secrets_app, secrets_rules",
    )?;
    outcome
}

fn hear_all(database: &Database) -> Result<()> {
    for settings in SETTINGS {
        let (mut client, heard) = connect(database, "secrets_app")?;
        client.batch_execute(settings)?;
        decide(&mut client, &heard, settings)?;
        let count = heard.lock().unwrap().len();
        ensure!(count > 0, "nothing at all was told with {settings}");
    }
    for settings in OF_THE_SERVER {
        let (mut client, heard) = connect(database, "postgres")?;
        client.batch_execute(settings)?;
        client.batch_execute(
            "SET SESSION AUTHORIZATION secrets_app; SET client_min_messages = log",
        )?;
        decide(&mut client, &heard, settings)?;
    }
    Ok(())
}

/// Decides where rules hold, fail, and are cancelled, twice each: planned now, and kept.
fn decide(client: &mut Client, heard: &Heard, settings: &str) -> Result<()> {
    for call in [
        "SELECT action FROM public.decide('ann', 'home', '{\"country\": \"NO\"}')",
        "SELECT action FROM public.decide('ann', 'fails', '{\"n\": \"x\"}')",
        "EXPLAIN (VERBOSE, ANALYZE) SELECT action FROM public.decide('ann', 'home', '{\"country\": \"NO\"}')",
    ] {
        for _ in 0..2 {
            client
                .simple_query(call)
                .with_context(|| format!("{call} with {settings}"))?;
        }
    }
    client.batch_execute("SET statement_timeout = '300ms'")?;
    let error = client
        .simple_query("SELECT action FROM public.decide('ann', 'sleeps')")
        .expect_err("a statement that takes long was not cancelled");
    let error = error.as_db_error().context("an error of the server")?;
    client.batch_execute("RESET statement_timeout")?;
    let mut all = std::mem::take(&mut *heard.lock().unwrap());
    all.push(told(error));
    for message in &all {
        ensure!(
            !message.contains(WORD) && !message.contains(BYTES),
            "with {settings} a role that decides was told of a rule: {message}"
        );
    }
    *heard.lock().unwrap() = all;
    Ok(())
}

type Heard = Arc<Mutex<Vec<String>>>;

/// A session that notes all that it is told.
fn connect(database: &Database, role: &str) -> Result<(Client, Heard)> {
    let heard = Heard::default();
    let client = postgres::Config::new()
        .host_path(database.server.sockets())
        .port(database.server.port())
        .user(role)
        .dbname(&database.name)
        .notice_callback({
            let heard = heard.clone();
            move |notice| heard.lock().unwrap().push(told(&notice))
        })
        .connect(NoTls)?;
    Ok((client, heard))
}

/// Every part of a message.
fn told(message: &DbError) -> String {
    let query = match message.position() {
        Some(ErrorPosition::Internal { query, .. }) => query.as_str(),
        _ => "",
    };
    let parts = [
        Some(message.message()),
        message.detail(),
        message.hint(),
        message.where_(),
        Some(query),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}
