//! Plays a sequence on a server, and compares what it says after each step with the arithmetic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use postgres::{Client, Row, Statement};
use serde_json::Value;
use uuid::Uuid;

use super::model::{About, Decision, Event, Model, Room, Used};
use super::policy::{DAY, Policy, SURFACES, UNIT, quoted};
use super::steps::{Dated, End, EventStep, Named, Of, Sequence, Step, USERS};

/// What a sequence came to: the step that disagreed, why, and a script of psql with all that was done.
pub struct Failure {
    pub step: usize,
    pub why: String,
    pub script: String,
}

/// Statements that are asked again and again.
pub struct Player {
    client: Client,
    /// What the sequence that is played has done so far, as a script of psql.
    pub script: Arc<Mutex<String>>,
    trace: Statement,
    explain: Statement,
    exposure: Statement,
    budget: Statement,
}

const NOW: &str = "(EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint";

impl Player {
    pub fn new(mut client: Client) -> Result<Self> {
        client.batch_execute("SET client_min_messages = warning; SET statement_timeout = '20s'")?;
        let trace = client.prepare(
            "SELECT (EXTRACT(epoch FROM t.decided_at) * 1000000)::bigint, t.filled::int, decide.action_names(t.actions),
                    decide.candidate_names(t.candidates), COALESCE(decide.action_names(t.blocked), '{}'),
                    ARRAY(SELECT COALESCE(decide.blocked_reason(b), '?') FROM pg_catalog.unnest(t.blocked_by) AS b), t.reason
               FROM decide.trace AS t WHERE t.decision_id = $1",
        )?;
        let explain = client.prepare(
            "SELECT e.action, e.probability, e.step || COALESCE(': ' || e.reason, '') FROM decide.explain($1::text, $2) AS e
              WHERE e.step <> 'fallback'",
        )?;
        let exposure = client.prepare(
            "SELECT (EXTRACT(epoch FROM pg_catalog.now()) * 1000000)::bigint,
                    (SELECT pg_catalog.jsonb_object_agg(e.cap, pg_catalog.jsonb_build_array(COALESCE(e.counted, 0), COALESCE(e.reserved, 0)))
                       FROM decide.exposure AS e WHERE e.user_key = decide.user_key($1::text))",
        )?;
        let budget = client.prepare(
            "SELECT (EXTRACT(epoch FROM pg_catalog.now()) * 1000000)::bigint,
                    (SELECT pg_catalog.jsonb_object_agg(b.cap, pg_catalog.jsonb_build_array(b.spent, b.reserved)) FROM decide.budget AS b)",
        )?;
        Ok(Self {
            client,
            script: Arc::default(),
            trace,
            explain,
            exposure,
            budget,
        })
    }

    /// Plays a sequence under a mark that no other sequence in the database has. An error is the machine's, not the
    /// product's; a disagreement is a failure.
    pub fn play(&mut self, sequence: &Sequence, mark: &str) -> Result<Option<Failure>> {
        let mut game = Game::new(self, sequence, mark);
        for (place, step) in std::iter::once(None)
            .chain(sequence.steps.iter().map(Some))
            .enumerate()
        {
            let outcome = match step {
                None => game.publish(&[]),
                Some(step) => game.step(step),
            };
            if let Err(error) = outcome.and_then(|()| game.compare(place)) {
                let _ = game.player.client.batch_execute("ROLLBACK");
                return Ok(Some(Failure {
                    step: place,
                    why: format!("{error:#}"),
                    script: text(&game.player.script),
                }));
            }
        }
        Ok(None)
    }
}

/// A sequence that is being played.
struct Game<'a> {
    player: &'a mut Player,
    mark: String,
    /// The tables, the policy in force, and all that were.
    tables: Policy,
    policy: Policy,
    bundles: Vec<(i64, Policy)>,
    model: Model,
    undone: Vec<String>,
    /// The last event: as SQL, and whether it was taken back.
    last: Option<(Sent, bool)>,
    events: usize,
}

/// An event as it was sent.
#[derive(Clone)]
struct Sent {
    sql: String,
    at: i64,
    about: About,
    action: Option<usize>,
    step: EventStep,
}

impl<'a> Game<'a> {
    fn new(player: &'a mut Player, sequence: &Sequence, mark: &str) -> Self {
        let policy = sequence.marked(mark);
        if let Ok(mut script) = player.script.lock() {
            *script = "CREATE EXTENSION IF NOT EXISTS pg_decide;\n".into();
        }
        Self {
            player,
            mark: mark.into(),
            model: Model::new(&policy),
            tables: policy.clone(),
            policy,
            bundles: Vec::new(),
            undone: Vec::new(),
            last: None,
            events: 0,
        }
    }

    fn note(&mut self, sql: &str) {
        if let Ok(mut script) = self.player.script.lock() {
            *script += sql;
            script.push('\n');
        }
    }

    fn user(&self, user: usize) -> String {
        format!("u{user}_{}", self.mark)
    }

    fn now(&mut self) -> Result<i64> {
        Ok(self
            .player
            .client
            .query_one(&format!("SELECT {NOW}"), &[])?
            .get(0))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Decide {
                user,
                surface,
                seed,
                end,
            } => {
                self.begin(*end)?;
                self.decide(*user, SURFACES[*surface], *seed, *end)
            }
            Step::Event(event, end) => self.event(event, *end),
            Step::Again => self.again(),
            Step::Publish(edits) => self.publish(edits),
            Step::Rollback(bundle) => self.rollback(*bundle),
            Step::Job => {
                self.note("SELECT decide.run_job('budgets');");
                let before = self.now()?;
                self.player
                    .client
                    .batch_execute("SELECT decide.run_job('budgets')")?;
                self.model.look_up(before);
                Ok(())
            }
            Step::Sleep(ms) => {
                self.note(&format!("SELECT pg_sleep({});", *ms as f64 / 1000.0));
                thread::sleep(Duration::from_millis(*ms));
                Ok(())
            }
        }
    }

    fn begin(&mut self, end: End) -> Result<()> {
        let sql = match end {
            End::Commit => return Ok(()),
            End::Rollback => "BEGIN;",
            End::Savepoint => "BEGIN; SAVEPOINT before;",
        };
        self.note(sql);
        Ok(self.player.client.batch_execute(sql)?)
    }

    fn end(&mut self, end: End) -> Result<()> {
        let sql = match end {
            End::Commit => return Ok(()),
            End::Rollback => "ROLLBACK;",
            End::Savepoint => "ROLLBACK TO before; COMMIT;",
        };
        self.note(sql);
        Ok(self.player.client.batch_execute(sql)?)
    }

    fn publish(&mut self, edits: &[super::policy::Edit]) -> Result<()> {
        let before = self.tables.clone();
        edits.iter().for_each(|edit| self.tables.apply(edit));
        let sql = match self.bundles.is_empty() {
            true => self.tables.sql(),
            false => self.tables.sql_from(&before),
        };
        self.note(&format!(
            "BEGIN;\n{sql}COMMIT;\nSELECT decide.publish('a change');"
        ));
        self.player
            .client
            .batch_execute(&format!("BEGIN; {sql} COMMIT"))?;
        let bundle = self
            .player
            .client
            .query_one("SELECT decide.publish('a change')", &[])?
            .get(0);
        self.policy = self.tables.clone();
        self.bundles.push((bundle, self.policy.clone()));
        self.model.publish(&self.policy);
        Ok(())
    }

    fn rollback(&mut self, place: usize) -> Result<()> {
        let (bundle, policy) = self.bundles[place % self.bundles.len()].clone();
        self.note(&format!(
            "SELECT decide.rollback({}, 'back'); -- the bundle that was published as number {} here",
            place % self.bundles.len() + 1,
            place % self.bundles.len() + 1
        ));
        self.player
            .client
            .query_one("SELECT decide.rollback($1, 'back')::text", &[&bundle])?;
        self.policy = policy;
        self.model.publish(&self.policy);
        Ok(())
    }

    /// The place of an action by its name.
    fn place(&self, name: &str) -> Result<usize> {
        let mut actions = self.policy.actions.iter();
        actions
            .position(|action| action.name == name)
            .with_context(|| format!("{name} is no action of the sequence"))
    }

    fn decide(&mut self, user: usize, surface: &'static str, seed: i32, end: End) -> Result<()> {
        let number = self.model.decisions.len();
        let name = self.user(user);
        self.note(&format!(
            "SET pg_decide.seed = {seed};\n\
             SELECT (pg_catalog.min(decision_id::text)) AS d{number}, pg_catalog.array_agg(action ORDER BY slot) FROM decide('{name}'::text, '{surface}') \\gset\n\
             SELECT slot, action, probability, candidates, blocked, blocked_reasons, reason FROM decide.decision WHERE decision_id = :'d{number}';"
        ));
        let client = &mut self.player.client;
        client.batch_execute(&format!("SET pg_decide.seed = {seed}"))?;
        let rows = client.query(
            "SELECT decision_id, action FROM decide($1::text, $2)",
            &[&name, &surface],
        )?;
        let id: Uuid = rows.first().context("decide() answers nothing")?.get(0);
        let trace = client.query_one(&self.player.trace, &[&id])?;
        let before = self.model.entries.len();
        let judged = self.judge(&trace, user, surface, number);
        self.end(end)?;
        let shown = judged?;
        if end == End::Commit {
            self.model.decisions.push(Decision {
                id: id.to_string(),
                user,
                shown,
            });
        } else {
            self.model.entries.truncate(before);
            self.undone.push(id.to_string());
        }
        Ok(())
    }

    /// Compares a trace with the arithmetic, and notes what was shown.
    fn judge(
        &mut self,
        trace: &Row,
        user: usize,
        surface: &str,
        number: usize,
    ) -> Result<Vec<usize>> {
        let (t, filled): (i64, i32) = (trace.get(0), trace.get(1));
        let (actions, candidates): (Vec<String>, Vec<String>) = (trace.get(2), trace.get(3));
        let blocked: Vec<String> = trace.get(4);
        let reasons: Vec<String> = trace.get(5);
        let reason: Option<String> = trace.get(6);
        let why: BTreeMap<_, _> = blocked.iter().zip(&reasons).collect();
        let on_surface: Vec<usize> = (0..self.policy.actions.len())
            .filter(|&action| self.policy.is_on(action, surface))
            .collect();
        let room: BTreeMap<usize, Room> = on_surface
            .iter()
            .map(|&action| {
                (
                    action,
                    self.model.room(&self.policy, action, user, surface, t),
                )
            })
            .collect();
        let plenty = room.values().filter(|&&room| room == Room::Yes).count() >= actions.len();
        for (&action, &room) in &room {
            let name = &self.policy.actions[action].name;
            let candidate = candidates.contains(name);
            let refused = room == Room::No || (room == Room::Soft && plenty && actions.len() == 1);
            match (room, candidate) {
                (Room::Yes, false) => bail!(
                    "{name} has room on {surface} for user {user} and is no candidate: {}; {}",
                    why.get(name).map_or("no reason", |reason| reason.as_str()),
                    self.sums(action, user, surface, t)
                ),
                (_, true) if refused => bail!(
                    "{name} has no room on {surface} for user {user} and is a candidate; {}",
                    self.sums(action, user, surface, t)
                ),
                _ => {}
            }
        }
        let mut shown = Vec::new();
        for (slot, name) in actions.iter().take(filled as usize).enumerate() {
            let action = self.place(name)?;
            let room = self.model.room(&self.policy, action, user, surface, t);
            ensure!(
                room != Room::No,
                "slot {} shows {name}, which earlier slots left no room for; {}",
                slot + 1,
                self.sums(action, user, surface, t)
            );
            ensure!(!shown.contains(&action), "{name} is shown twice");
            self.model
                .show(&self.policy, (number, slot), action, user, surface, t);
            shown.push(action);
        }
        if shown.len() < actions.len() {
            for &action in on_surface.iter().filter(|action| !shown.contains(action)) {
                let room = self.model.room(&self.policy, action, user, surface, t);
                ensure!(
                    !matches!(room, Room::Yes | Room::Soft),
                    "slot {} is left to the fallback ({}) although {} can be had; {}",
                    shown.len() + 1,
                    reason.as_deref().unwrap_or("no reason"),
                    self.policy.actions[action].name,
                    self.sums(action, user, surface, t)
                );
            }
        }
        Ok(shown)
    }

    /// The caps that bear on an action, with what is used of them.
    fn sums(&self, action: usize, user: usize, surface: &str, t: i64) -> String {
        let mut lines = Vec::new();
        for (place, cap) in self.policy.caps.iter().enumerate() {
            let of_action = &self.policy.actions[action];
            if cap.bears_on(action, of_action) && cap.surface.is_none_or(|of| of == surface) {
                let used = self.model.used(&self.policy, place, user, t);
                lines.push(format!(
                    "{}: limit {}, takes {}, {}",
                    cap.name,
                    cap.limit(),
                    cap.amount(of_action),
                    told(&used)
                ));
            }
        }
        lines.join("; ")
    }

    fn event(&mut self, step: &EventStep, end: End) -> Result<()> {
        let own = |own: bool| {
            let decisions = self.model.decisions.iter().enumerate();
            let fitting =
                decisions.filter(move |(_, decision)| (decision.user == step.user) == own);
            fitting.map(|(place, _)| place).rev().collect::<Vec<_>>()
        };
        let nth =
            |places: Vec<usize>, n: usize| (!places.is_empty()).then(|| places[n % places.len()]);
        let (about, id) = match step.of {
            Of::None => (About::Alone, None),
            Of::Never => {
                let never = self.undone.last().cloned();
                (About::Never, Some(never.unwrap_or_else(unknown_decision)))
            }
            Of::Own(n) | Of::Foreign(n) => {
                let Some(place) = nth(own(matches!(step.of, Of::Own(_))), n) else {
                    return Ok(());
                };
                let id = self.model.decisions[place].id.clone();
                (About::Decision(place), Some(id))
            }
        };
        let action = match (step.named, about) {
            (Named::None, _) => None,
            (Named::Any(action), _) => Some(action),
            (Named::Slot(slot), About::Decision(place)) => {
                let shown = &self.model.decisions[place].shown;
                if shown.is_empty() {
                    return Ok(());
                }
                Some(shown[slot % shown.len()])
            }
            (Named::Slot(_), _) => return Ok(()),
        };
        let now = self.now()?;
        let at = match step.dated {
            Dated::Now(after) => now + after,
            Dated::Midnight(offset, after) => (now + offset).div_euclid(DAY) * DAY - offset + after,
        };
        self.events += 1;
        let fields = |at: &str, id: Option<String>| {
            format!(
                "SELECT track(pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('event_id', 'e{}', 'type', '{}', 'user_id', '{}', \
                 'at', {at}, 'decision_id', {}, 'action', {}, 'surface', {})))",
                self.events,
                step.kind,
                self.user(step.user),
                id.unwrap_or("NULL".into()),
                quoted(action.map(|place| self.policy.actions[place].name.as_str())),
                quoted(step.surface)
            )
        };
        let sql = fields(
            &format!("timestamptz 'epoch' + {at} * interval '1 us'"),
            id.clone().map(|id| format!("'{id}'")),
        );
        let shown_id = match about {
            About::Decision(place) => Some(format!(":'d{place}'")),
            About::Never => id.clone().map(|id| format!("'{id}'")),
            About::Alone => None,
        };
        let shown = fields(
            &format!(
                "pg_catalog.clock_timestamp() + {} * interval '1 us'",
                at - now
            ),
            shown_id,
        );
        let sent = Sent {
            sql,
            at,
            about,
            action,
            step: *step,
        };
        self.begin(end)?;
        self.note(&format!("{shown}; -- {step:?}"));
        let answer = self.send(&sent)?;
        self.end(end)?;
        ensure!(answer == "accepted", "the event is {answer}");
        if end == End::Commit {
            self.track(&sent)?;
        }
        self.last = Some((sent, end != End::Commit));
        Ok(())
    }

    fn send(&mut self, sent: &Sent) -> Result<String> {
        Ok(self.player.client.query_one(&sent.sql, &[])?.get(0))
    }

    fn track(&mut self, sent: &Sent) -> Result<()> {
        // Just after it was received: where a hold is over in between, both answers are right within the slack.
        let received = self.now()?;
        let event = Event {
            user: sent.step.user,
            kind: sent.step.kind,
            at: sent.at,
            received,
            about: sent.about,
            action: sent.action,
            surface: sent.step.surface,
        };
        self.model.track(&self.policy, &event);
        Ok(())
    }

    /// Sends the last event again: it is a duplicate, unless it was taken back.
    fn again(&mut self) -> Result<()> {
        let Some((sent, undone)) = self.last.clone() else {
            return Ok(());
        };
        self.note("-- the last event once more, as it was:");
        let sql = sent.sql.clone();
        self.note(&format!("{sql};"));
        let answer = self.send(&sent)?;
        let expected = if undone { "accepted" } else { "duplicate" };
        ensure!(answer == expected, "the event is {answer} when sent again");
        if undone {
            self.track(&sent)?;
        }
        self.last = Some((sent, false));
        Ok(())
    }

    /// Compares counters of all, and what one user could have on one surface.
    fn compare(&mut self, place: usize) -> Result<()> {
        for user in 0..USERS {
            let name = self.user(user);
            let row = self
                .player
                .client
                .query_one(&self.player.exposure, &[&name])?;
            self.compare_counters(&row, true, user)
                .with_context(|| format!("decide.exposure of user {user}"))?;
        }
        let row = self.player.client.query_one(&self.player.budget, &[])?;
        self.compare_counters(&row, false, 0)
            .context("decide.budget")?;
        self.explain(place % USERS, SURFACES[place % SURFACES.len()])
            .context("decide.explain")
    }

    fn compare_counters(&self, row: &Row, per_user: bool, user: usize) -> Result<()> {
        let t: i64 = row.get(0);
        let shown: Option<Value> = row.get(1);
        for (place, cap) in self.policy.caps.iter().enumerate() {
            if !cap.present || cap.per_user != per_user {
                continue;
            }
            let scale = if cap.of_cost { UNIT as f64 } else { 1.0 };
            let cell = |part: usize| {
                let cell = shown
                    .as_ref()
                    .and_then(|shown| shown.get(&cap.name)?.get(part));
                cell.and_then(Value::as_f64)
                    .map_or(0, |amount| (amount * scale).round() as i64)
            };
            let (counted, reserved) = (cell(0), cell(1));
            let used = self.model.used(&self.policy, place, user, t);
            let within = |amount: i64, [least, most]: [i64; 2]| (least..=most).contains(&amount);
            ensure!(
                within(counted, used.counted) && within(counted + reserved, used.all),
                "{} has {counted} counted and {reserved} reserved, not {}",
                cap.name,
                told(&used)
            );
        }
        Ok(())
    }

    fn explain(&mut self, user: usize, surface: &'static str) -> Result<()> {
        let name = self.user(user);
        let from = self.now()?;
        let rows = self
            .player
            .client
            .query(&self.player.explain, &[&name, &surface])?;
        let to = self.now()?;
        for row in rows {
            let action = self.place(row.get(0))?;
            let (probability, step): (Option<f64>, String) = (row.get(1), row.get(2));
            let room = [from, to].map(|t| self.model.room(&self.policy, action, user, surface, t));
            let all = |wanted: Room| room.iter().all(|&room| room == wanted);
            let name = &self.policy.actions[action].name;
            ensure!(
                !(all(Room::Yes) && probability.is_none()),
                "{name} has room on {surface} for user {user} and cannot be had ({step}); {}",
                self.sums(action, user, surface, to)
            );
            ensure!(
                !(all(Room::No) && probability.is_some()),
                "{name} has no room on {surface} for user {user} and could be had ({step}); {}",
                self.sums(action, user, surface, to)
            );
        }
        Ok(())
    }
}

/// What a script says so far.
pub fn text(script: &Mutex<String>) -> String {
    script
        .lock()
        .map(|script| script.clone())
        .unwrap_or_default()
}

/// An identifier such as decisions of now have, and that none has.
fn unknown_decision() -> String {
    let mut bytes = *Uuid::new_v4().as_bytes();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    bytes[..6].copy_from_slice(&(now.as_millis() as u64).to_be_bytes()[2..]);
    bytes[6] = 0x70 | bytes[6] & 0x0f;
    Uuid::from_bytes(bytes).to_string()
}

/// A range for people.
fn told(used: &Used) -> String {
    let range = |[least, most]: [i64; 2]| match least == most {
        true => least.to_string(),
        false => format!("{least} to {most}"),
    };
    format!(
        "{} counted and {} with what is reserved",
        range(used.counted),
        range(used.all)
    )
}
