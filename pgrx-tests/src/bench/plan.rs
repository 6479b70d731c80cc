//! What is measured beside what.

use anyhow::{Result, ensure};

use super::database::Database;
use super::sessions;
use crate::server::Server;

/// The set of decide() in all sizes.
pub const SIZES: &str = "sizes";

/// The sets of track() begin with this.
pub const TRACKING: &str = "tracking";

/// The set of decide() with few and many features.
pub const OF_FEATURES: &str = "features";

/// How many.
pub const FEATURES: [u32; 2] = [10, 100];

/// The sets of decide() with caps begin with this.
pub const CAPS: &str = "caps";

/// decide() with a cap per user and a budget, with five of each, with a budget alone, beside many caps
/// that do not bear on it, and with many users.
pub const ONE_CAP: &str = "decide, caps";
pub const TEN_CAPS: &str = "decide, 10 caps";
pub const BUDGET: &str = "decide, budget";
pub const CAPS_ELSEWHERE: &str = "decide, caps, 1,000 elsewhere";
pub const CAPS_OF_MANY: &str = "decide, caps, many users";

/// decide() with a cap per user and a budget where no rule reads a table; and the floor of what does.
pub const PLAIN_CAPS: &str = "decide, caps, rules read no table";
pub const STOCK_FLOOR: &str = "floor, two rows of the shop read";

/// How many elsewhere.
pub const ELSEWHERE: u32 = 1000;

/// track() of a thousand events.
pub const BULK: &str = "track, 1,000 events";

/// The workload with the large database.
pub const MANY: &str = "decide, many users";

/// The floors of decisions that hold no caps, and of those that do, with few and with many users.
pub const FLOOR: &str = "floor";
pub const FLOOR_OF_MANY: &str = "floor, many users";
pub const READS: &str = "floor, no updates";
pub const READS_OF_MANY: &str = "floor, no updates, many users";

/// The least that does the same work.
pub fn floor_of(workload: &str) -> String {
    match workload.starts_with("track") {
        true => format!("{} floor", workload.trim_end_matches(" floor")),
        false => "floor".into(),
    }
}

/// The name of the workload that decides with so many features.
pub fn with_features(number: u32) -> String {
    format!("decide, {number} features")
}

/// The name of the floor of that, which updates nothing either.
pub fn floor_with_features(number: u32) -> String {
    format!("floor, no updates, {number} features")
}

/// The name of the workload that decides in this shape.
pub fn decide_of(candidates: u32, slots: u32) -> String {
    let plural = if slots == 1 { "" } else { "s" };
    format!("decide, {candidates} candidates, {slots} slot{plural}")
}

/// One script of pgbench with its variables.
pub struct Work<'a> {
    pub name: String,
    /// Stands for `bench/run-{script}.sql`.
    pub script: &'static str,
    pub database: &'a Database,
    pub candidates: u32,
    pub slots: u32,
    /// The surface, where its shape does not say which.
    pub asked: Option<&'static str>,
    /// How many decisions a transaction makes.
    pub decisions: u32,
    /// Whether each transaction has a session of its own.
    pub reconnects: bool,
    /// What another session runs each second.
    pub beside: Option<&'static str>,
}

impl<'a> Work<'a> {
    /// A script that is measured in the same shape everywhere: 100 candidates, one slot.
    pub fn plain(script: &'static str, database: &'a Database) -> Self {
        Self {
            name: script.into(),
            script,
            database,
            candidates: 100,
            slots: 1,
            asked: None,
            decisions: 1,
            reconnects: false,
            beside: None,
        }
    }

    /// A floor by another name than its script's.
    pub fn floor(name: &str, script: &'static str, database: &'a Database) -> Self {
        Self {
            name: name.into(),
            ..Self::plain(script, database)
        }
    }

    /// decide() under the caps of a surface of its own.
    pub fn capped(name: &str, database: &'a Database, surface: &'static str) -> Self {
        Self {
            asked: Some(surface),
            ..Self::decide(name, database, 100, 1)
        }
    }

    /// decide() for so many candidates and slots.
    pub fn decide(name: &str, database: &'a Database, candidates: u32, slots: u32) -> Self {
        Self {
            name: name.into(),
            candidates,
            slots,
            ..Self::plain("decide", database)
        }
    }

    /// Several decisions in one call: on a page of five surfaces, or for a batch of users.
    fn together(
        name: &str,
        script: &'static str,
        database: &'a Database,
        surface: &'static str,
    ) -> Self {
        Self {
            name: name.into(),
            script,
            asked: Some(surface),
            decisions: if script == "page" { SURFACES } else { REQUESTS },
            ..Self::plain(script, database)
        }
    }

    /// track() or its floor.
    pub fn track(name: &str, script: &'static str, database: &'a Database) -> Self {
        Self {
            name: name.into(),
            candidates: 0,
            slots: 0,
            ..Self::plain(script, database)
        }
    }

    /// The surface of that shape.
    pub fn surface(&self) -> String {
        let of_its_shape = || format!("c{}s{}", self.candidates, self.slots);
        self.asked.map_or_else(of_its_shape, Into::into)
    }

    /// Fails unless one call answers what it should: all slots, by the policy, among all candidates; or that every
    /// event was taken in.
    pub fn check(&self, server: &Server) -> Result<()> {
        let mut client = self.database.connect(server)?;
        if matches!(self.script, "insert" | "nothing") {
            return Ok(());
        }
        if self.script == "first" {
            let sql = "SELECT count(reason), count(*) FROM decide(1::bigint, $1)";
            let row = client.query_one(sql, &[&self.surface()])?;
            let found: (i64, i64) = (row.get(0), row.get(1));
            ensure!(found == (0, 1), "{} answers {found:?}", self.name);
            return Ok(());
        }
        if self.script.starts_with("track") {
            let (sql, expected) = match self.script {
                "track" => ("track(bench.event(1))", "accepted"),
                "track_floor" => ("bench.track_floor(bench.event(1))", "accepted"),
                "track_bulk" => ("(track(bench.events(9))).accepted::text", "1000"),
                _ => ("bench.track_floor(bench.events(9))::text", "1000"),
            };
            let answer: String = client.query_one(&format!("SELECT {sql}"), &[])?.get(0);
            ensure!(answer == expected, "{} answers {answer}", self.name);
            return Ok(());
        }
        if self.decisions > 1 {
            let surface = self.surface();
            let sql = match self.script {
                "page" => {
                    "SELECT count(reason), count(*) FROM decide(1::bigint, ARRAY(SELECT format('%s_%s', $1::text, i) FROM generate_series(1, 5) AS i))"
                }
                _ => {
                    "SELECT count(reason), count(*) FROM decide.decide_batch(bench.requests(0, $1::text, 500))"
                }
            };
            let row = client.query_one(sql, &[&surface])?;
            let found: (i64, i64) = (row.get(0), row.get(1));
            ensure!(
                found == (0, i64::from(self.decisions)),
                "{} answers {found:?}",
                self.name
            );
            return Ok(());
        }
        let context = serde_json::json!({"device": "mobile"});
        if self.script == "decide" {
            let sql = "SELECT count(*), count(reason), min(decision_id::text) FROM decide(1::bigint, $1, $2)";
            let row = client.query_one(sql, &[&self.surface(), &context])?;
            let (rows, fallbacks, id): (i64, i64, String) = (row.get(0), row.get(1), row.get(2));
            let sql = "SELECT cardinality(candidates) FROM decide.decision WHERE decision_id::text = $1 LIMIT 1";
            let candidates: i32 = client.query_one(sql, &[&id])?.get(0);
            let found = (rows, fallbacks, i64::from(candidates));
            let expected = (i64::from(self.slots), 0, i64::from(self.candidates));
            ensure!(
                found == expected,
                "{}: decide() gives {found:?} (slots, fallbacks, candidates) instead of {expected:?}",
                self.name
            );
        } else if self.script != "select" {
            let sql = format!("SELECT count(*) FROM bench.{}(1, $1)", self.script);
            let rows: i64 = client.query_one(&sql, &[&context])?.get(0);
            ensure!(rows == 1, "{} answers {rows} rows", self.name);
        }
        Ok(())
    }
}

/// What is measured interleaved, under the same conditions.
pub struct Set<'a> {
    pub title: String,
    pub clients: u32,
    /// synchronous_commit
    pub durable: bool,
    pub work: Vec<Work<'a>>,
}

impl<'a> Set<'a> {
    /// The databases that it works in, each once.
    pub fn databases(&self) -> Vec<&'a Database> {
        let mut found: Vec<&Database> = Vec::new();
        for work in &self.work {
            if !found.iter().any(|known| known.name == work.database.name) {
                found.push(work.database);
            }
        }
        found
    }
}

/// What is measured in.
pub struct Databases<'a> {
    pub small: &'a Database,
    pub many: Option<&'a Database>,
    pub track: Option<&'a Database>,
    pub elsewhere: Option<&'a Database>,
    /// As many features as `FEATURES` says.
    pub features: &'a [Database],
    /// As many actions as `sessions::ACTIONS` says.
    pub actions: &'a [Database],
}

/// All sets.
pub struct Plan<'a> {
    pub sets: Vec<Set<'a>>,
}

impl<'a> Plan<'a> {
    /// Floor, hand, decide and select under each number of clients; then decide() in all sizes and with more and fewer
    /// features, and track().
    pub fn new(databases: &Databases<'a>, quick: bool) -> Self {
        let (small, many) = (databases.small, databases.many);
        let clients: &[u32] = if quick { &[8] } else { &[1, 8, 32] };
        let mut sets = Vec::new();
        for &clients in clients {
            for durable in [false, true] {
                let sync = if durable { "on" } else { "off" };
                let plural = if clients == 1 { "" } else { "s" };
                let mut work: Vec<Work> = ["floor", "hand", "decide", "select"]
                    .map(|script| Work::plain(script, small))
                    .into();
                if clients == 8 {
                    work.push(Work::floor(READS, "floor_reads", small));
                }
                sets.push(Set {
                    title: format!("{clients} client{plural}, synchronous_commit {sync}"),
                    clients,
                    durable,
                    work,
                });
            }
        }
        let mut work = Vec::new();
        for slots in [1, 5] {
            for candidates in [10, 100, 1000] {
                let name = decide_of(candidates, slots);
                work.push(Work::decide(&name, small, candidates, slots));
            }
        }
        if let Some(many) = many {
            work.push(Work::decide(MANY, many, 100, 1));
            work.push(Work::floor(READS, "floor_reads", small));
            work.push(Work::floor(READS_OF_MANY, "floor_reads", many));
        }
        sets.push(Set {
            title: SIZES.into(),
            clients: 8,
            durable: false,
            work,
        });
        let of_features = FEATURES.iter().zip(databases.features);
        sets.push(Set {
            title: OF_FEATURES.into(),
            clients: 8,
            durable: false,
            work: of_features
                .flat_map(|(&number, database)| {
                    [
                        Work::decide(&with_features(number), database, 100, 1),
                        Work::floor(&floor_with_features(number), "floor_reads", database),
                    ]
                })
                .collect(),
        });
        sets.extend([false, true].map(|durable| capped(small, durable)));
        sets.extend(caps_at_a_size(databases));
        sets.extend([false, true].map(|durable| together(small, durable)));
        let track = databases.track;
        sets.extend(
            [false, true]
                .into_iter()
                .filter_map(|durable| Some(tracking(track?, durable))),
        );
        sets.extend(sessions::sets(databases));
        Self { sets }
    }
}

/// The title of the set of decide() with caps beside its floor.
pub fn caps_title(durable: bool) -> String {
    let sync = if durable { "on" } else { "off" };
    format!("{CAPS}, synchronous_commit {sync}")
}

/// The titles of those with one budget for 32 clients, and of what should make no difference.
pub const CROWD: &str = "caps, 32 clients";
pub const SIZES_OF_CAPS: &str = "caps, sizes";

/// decide() with caps, beside what it is compared with.
fn capped(database: &Database, durable: bool) -> Set<'_> {
    let mut work: Vec<Work> = ["floor", "hand", "decide"]
        .map(|script| Work::plain(script, database))
        .into();
    work.push(Work::capped(ONE_CAP, database, "caps_1"));
    work.push(Work::capped(TEN_CAPS, database, "caps_10"));
    work.push(Work::capped(PLAIN_CAPS, database, "caps_plain"));
    work.push(Work::floor(STOCK_FLOOR, "floor_stock", database));
    Set {
        title: caps_title(durable),
        clients: 8,
        durable,
        work,
    }
}

/// The title of the set of pages and batches.
pub fn together_title(durable: bool) -> String {
    let sync = if durable { "on" } else { "off" };
    format!("pages and batches, synchronous_commit {sync}")
}

/// Pages of five surfaces and batches of users, without caps, and with a cap per user and a budget.
pub const PAGE: &str = "page of 5 surfaces";
pub const CAPPED_PAGE: &str = "page of 5 surfaces, caps";
pub const BATCH: &str = "batch of 500";
pub const CAPPED_BATCH: &str = "batch of 500, caps";

/// One of the surfaces of a page with caps.
pub const OF_PAGE: &str = "decide, caps of the page";

/// How many decisions these make.
const SURFACES: u32 = 5;
const REQUESTS: u32 = 500;

/// Pages and batches beside single decisions.
fn together(database: &Database, durable: bool) -> Set<'_> {
    Set {
        title: together_title(durable),
        clients: 8,
        durable,
        work: vec![
            Work::plain("decide", database),
            Work::together(PAGE, "page", database, "page"),
            Work::together(BATCH, "batch", database, "c100s1"),
            Work::capped(ONE_CAP, database, "caps_1"),
            Work::capped(OF_PAGE, database, "page_caps_1"),
            Work::together(CAPPED_PAGE, "page", database, "page_caps"),
            Work::together(CAPPED_BATCH, "batch", database, "caps_1"),
        ],
    }
}

/// One budget for a crowd of clients; and many users, and many caps that are none of its business.
fn caps_at_a_size<'a>(databases: &Databases<'a>) -> [Set<'a>; 2] {
    let small = databases.small;
    let crowd = vec![
        Work::plain("decide", small),
        Work::capped(BUDGET, small, "budget"),
    ];
    let mut sizes = vec![Work::capped(ONE_CAP, small, "caps_1")];
    if let Some(elsewhere) = databases.elsewhere {
        sizes.push(Work::capped(CAPS_ELSEWHERE, elsewhere, "caps_1"));
    }
    if let Some(many) = databases.many {
        sizes.push(Work::capped(CAPS_OF_MANY, many, "caps_1"));
        sizes.push(Work::floor(FLOOR, "floor", small));
        sizes.push(Work::floor(FLOOR_OF_MANY, "floor", many));
    }
    [(CROWD, 32, crowd), (SIZES_OF_CAPS, 8, sizes)].map(|(title, clients, work)| Set {
        title: title.into(),
        clients,
        durable: false,
        work,
    })
}

/// The title of a set of track().
pub fn tracking_title(durable: bool) -> String {
    let sync = if durable { "on" } else { "off" };
    format!("{TRACKING}, synchronous_commit {sync}")
}

/// track(), one by one and in bulk, each beside its floor.
fn tracking(database: &Database, durable: bool) -> Set<'_> {
    let floor = floor_of(BULK);
    let work = [
        ("track", "track"),
        ("track floor", "track_floor"),
        (BULK, "track_bulk"),
        (&floor, "track_bulk_floor"),
    ];
    Set {
        title: tracking_title(durable),
        clients: 8,
        durable,
        work: work
            .map(|(name, script)| Work::track(name, script, database))
            .into(),
    }
}
