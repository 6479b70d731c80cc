//! The databases that are measured: built once, and used again as long as they are what they would be
//! if they were built anew.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use indicatif::{HumanCount, HumanDuration};
use postgres::Client;

use crate::extension::Fingerprint;
use crate::run;
use crate::server::Server;
use crate::workspace::short_hash;

const POLICY: &str = include_str!("../../bench/setup-policy.sql");
const STATES: &str = include_str!("../../bench/setup-users.sql");
const FLOOR: &str = include_str!("../../bench/setup-floor.sql");
const HAND: &str = include_str!("../../bench/setup-hand.sql");
const CAPS: &str = include_str!("../../bench/setup-caps.sql");
const PAGES: &str = include_str!("../../bench/setup-pages.sql");
const INSERT: &str = include_str!("../../bench/setup-insert.sql");
const CATALOGUE: &str = include_str!("../../bench/setup-catalogue.sql");
const TRACKING: &str = include_str!("../../bench/setup-tracking.sql");

const SETTLE: &str = include_str!("../../bench/settle.sql");

/// What a database is for.
#[derive(Clone, Copy, PartialEq)]
pub enum Purpose {
    /// decide() beside what it is compared with.
    Compare,
    /// decide() with more users.
    Many,
    /// decide() with so many features.
    Features(u32),
    /// decide() with so many more caps that bear on other decisions.
    Caps(u32),
    /// The first decision of a session among so many actions.
    Actions(u32),
    /// track() beside what it is compared with.
    Track,
}

impl Purpose {
    /// The beginning of the database's name.
    fn name(self) -> String {
        match self {
            Self::Compare => "bench".into(),
            Self::Many => "bench_many".into(),
            Self::Features(number) => format!("bench_features_{number}"),
            Self::Caps(number) => format!("bench_caps_{number}"),
            Self::Actions(number) => format!("bench_actions_{number}"),
            Self::Track => "bench_track".into(),
        }
    }

    /// The scripts that fill it, before its users.
    fn scripts(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Compare => &[
                ("setup-policy.sql", POLICY),
                ("setup-floor.sql", FLOOR),
                ("setup-hand.sql", HAND),
                ("setup-caps.sql", CAPS),
                ("setup-pages.sql", PAGES),
                ("setup-insert.sql", INSERT),
            ],
            Self::Many => &[
                ("setup-policy.sql", POLICY),
                ("setup-floor.sql", FLOOR),
                ("setup-caps.sql", CAPS),
            ],
            Self::Caps(_) => &[("setup-policy.sql", POLICY), ("setup-caps.sql", CAPS)],
            Self::Features(_) => &[("setup-policy.sql", POLICY), ("setup-floor.sql", FLOOR)],
            Self::Actions(_) => &[("setup-catalogue.sql", CATALOGUE)],
            Self::Track => &[
                ("setup-tracking.sql", TRACKING),
                ("setup-insert.sql", INSERT),
            ],
        }
    }

    /// How many features each user has.
    fn features(self) -> u32 {
        match self {
            Self::Compare | Self::Many | Self::Caps(_) | Self::Actions(_) => 32,
            Self::Features(number) => number,
            Self::Track => 10,
        }
    }

    /// How many actions a catalogue has.
    fn actions(self) -> u32 {
        match self {
            Self::Actions(number) => number,
            _ => 0,
        }
    }

    /// How many caps bear on nothing that is measured.
    fn caps_elsewhere(self) -> u32 {
        match self {
            Self::Caps(number) => number,
            _ => 0,
        }
    }
}

/// One database with a policy and users.
pub struct Database {
    pub name: String,
    pub users: u64,
    /// Bytes of the users' states, with their index.
    pub state_bytes: u64,
    purpose: Purpose,
}

impl Database {
    /// Finds the database, or builds it.
    pub fn ensure(server: &Server, users: u64, purpose: Purpose) -> Result<Self> {
        let mut database = Self {
            name: format!("{}_{users}", purpose.name()),
            users,
            state_bytes: 0,
            purpose,
        };
        let made_of = database.made_of(server)?;
        if database.comment(server)?.as_ref() != Some(&made_of) {
            database.build(server, &made_of)?;
        }
        let mut client = server.connect(&database.name)?;
        client.execute("SELECT decide.run_job('partitions')", &[])?;
        let bytes: i64 = client
            .query_one("SELECT pg_total_relation_size('decide.user_state')", &[])?
            .get(0);
        database.state_bytes = bytes.unsigned_abs();
        Ok(database)
    }

    /// Creates and fills it; the comment comes last, so that a half-built one is not used.
    fn build(&self, server: &Server, made_of: &str) -> Result<()> {
        let begun = Instant::now();
        let what = format!("building a database of {} users", HumanCount(self.users));
        let spinner = run::spinner(&what);
        let mut client = server.connect("postgres")?;
        client.batch_execute(&format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            self.name
        ))?;
        client.batch_execute(&format!("CREATE DATABASE {}", self.name))?;
        let mut filler = server.connect(&self.name)?;
        filler.batch_execute(&format!(
            "SET bench.users = {}; SET bench.features = {}; SET bench.caps_elsewhere = {}; SET bench.actions = {}",
            self.users,
            self.purpose.features(),
            self.purpose.caps_elsewhere(),
            self.purpose.actions()
        ))?;
        for (file, script) in self.purpose.scripts() {
            filler
                .batch_execute(script)
                .with_context(|| format!("{file} failed"))?;
        }
        let users = i64::try_from(self.users)?;
        filler
            .execute(STATES, &[&users])
            .context("setup-users.sql failed")?;
        filler.batch_execute("VACUUM ANALYZE")?;
        client.batch_execute(&format!("COMMENT ON DATABASE {} IS '{made_of}'", self.name))?;
        client.batch_execute("CHECKPOINT")?;
        spinner.finish_and_clear();
        eprintln!("{what}: done in {}", HumanDuration(begun.elapsed()));
        Ok(())
    }

    /// Stands for all that the content depends on.
    fn made_of(&self, server: &Server) -> Result<String> {
        let scripts = Fingerprint::of(&server.install)?.scripts;
        let own: String = self.purpose.scripts().iter().map(|(_, sql)| *sql).collect();
        Ok(short_hash(format!("{scripts}{own}{STATES}").as_bytes()))
    }

    /// The comment on the database, if it is there.
    fn comment(&self, server: &Server) -> Result<Option<String>> {
        let row = server.connect("postgres")?.query_opt(
            "SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database WHERE datname = $1",
            &[&self.name],
        )?;
        Ok(row.and_then(|row| row.get(0)))
    }

    /// Lets each set begin alike: no traces, nothing dirty, and the users in memory as far as they fit.
    pub fn settle(&self, server: &Server) -> Result<()> {
        let mut client = server.connect(&self.name)?;
        client.batch_execute(SETTLE).context("settle.sql failed")
    }

    /// How many decisions were fallbacks, if any: hundreds of sessions on few processors take some beyond their envelope,
    /// and so does a machine that stands still. Fails if they are more than one in a hundred: that would be no fair
    /// comparison.
    pub fn check_traces(&self, server: &Server) -> Result<Option<String>> {
        let sql = "SELECT count(reason), count(*) FROM decide.trace";
        let row = server.connect(&self.name)?.query_one(sql, &[])?;
        let (found, all): (i64, i64) = (row.get(0), row.get(1));
        ensure!(
            found <= all / 100,
            "{found} of {all} decisions were fallbacks"
        );
        Ok((found > 0).then(|| format!("{found} of {all} decisions were fallbacks")))
    }

    /// The bytes of one trace row of each kind, all for 100 candidates.
    pub fn trace_bytes(&self, server: &Server) -> Result<Vec<(String, i64)>> {
        let mut client = server.connect(&self.name)?;
        client.batch_execute(
            "SELECT bench.floor(1, '{\"device\": \"mobile\"}'), bench.hand(1, '{\"device\": \"mobile\"}');
             SELECT decide(1::bigint, 'c100s1', '{\"device\": \"mobile\"}')",
        )?;
        let mut bytes = |name: &str, table: &str| -> Result<(String, i64)> {
            let wanted = if name == "decide" {
                "WHERE surface = 'c100s1'"
            } else {
                ""
            };
            let row = client.query_one(
                &format!("SELECT avg(pg_column_size(t))::bigint FROM (SELECT * FROM {table} {wanted} LIMIT 100) AS t"),
                &[],
            )?;
            Ok((name.to_owned(), row.get(0)))
        };
        Ok(vec![
            bytes("floor", "bench.floor_trace")?,
            bytes("hand", "bench.hand_trace")?,
            bytes("decide", "decide.trace")?,
        ])
    }

    /// Connects to it.
    pub fn connect(&self, server: &Server) -> Result<Client> {
        server.connect(&self.name)
    }
}
