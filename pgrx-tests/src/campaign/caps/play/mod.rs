//! Plays a sequence on a server, and compares what it says after each step with the arithmetic.

mod compare;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postgres::{Client, Statement};
use uuid::Uuid;

use super::model::{About, Decision, Event, Model};
use super::policy::{DAY, Policy, SURFACES, quoted};
use super::steps::{Dated, End, EventStep, Named, Of, Sequence, Step};

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
        // Between the first moment and the last: a view may take any of them for now.
        let exposure = client.prepare(
            "SELECT (EXTRACT(epoch FROM pg_catalog.now()) * 1000000)::bigint,
                    (SELECT pg_catalog.jsonb_object_agg(e.cap, pg_catalog.jsonb_build_array(COALESCE(e.counted, 0), COALESCE(e.reserved, 0)))
                       FROM decide.exposure AS e WHERE e.user_key = decide.user_key($1::text)),
                    (EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint",
        )?;
        let budget = client.prepare(
            "SELECT (EXTRACT(epoch FROM pg_catalog.now()) * 1000000)::bigint,
                    (SELECT pg_catalog.jsonb_object_agg(b.cap, pg_catalog.jsonb_build_array(b.spent, b.reserved)) FROM decide.budget AS b),
                    (EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint",
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
                self.model.look_up(&self.policy, before);
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
