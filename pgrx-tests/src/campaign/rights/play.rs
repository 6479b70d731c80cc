//! Plays a sequence on a server, and compares what it answers and keeps with the arithmetic.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use postgres::{Client, Row, Statement};
use serde_json::{Value, json};

use super::model::{Became, Expected, Model};
use super::steps::{Asked, ConsentStep, EventStep, Kind, Place, Step, USERS, When};

/// Purposes, regions and treatments, and what needs them.
pub const POLICY: &str = r#"
    INSERT INTO decide.purpose (purpose, consent) VALUES ('ads', 'opt-in'), ('rel', 'opt-out');
    INSERT INTO decide.region (region, opt_in, opt_out, not_allowed, features_out, actions_out) VALUES
      ('free', '{}', '{ads}', '{}', '{}', '{}'), ('strict', '{rel}', '{}', '{ads}', '{orders}', '{local}');
    INSERT INTO decide.context_field (source, field, treatment, expression, names_region) VALUES
      ('context', 'place', 'keep', NULL, true), ('context', 'secret', 'drop', NULL, false), ('context', 'email', 'hash', NULL, false),
      ('event', 'place', 'keep', NULL, true), ('event', 'secret', 'drop', NULL, false), ('event', 'email', 'hash', NULL, false),
      ('event', 'birth', 'coarsen', 'left(value #>> ''{}'', 4)', false);
    INSERT INTO decide.surface (surface, fallback_action, latency_budget, context_fields) VALUES
      ('home', 'nothing', '10 s', '{place,secret,email}'), ('elsewhere', 'nothing', '10 s', '{}');
    INSERT INTO decide.action (action, purpose, surfaces) VALUES
      ('nothing', NULL, '{elsewhere}'), ('plain', NULL, '{home}'), ('local', NULL, '{home}'), ('ad', 'ads', '{home}'), ('rec', 'rel', '{home}');
    INSERT INTO decide.feature (feature, event_type, aggregate, purpose) VALUES
      ('orders', 'order', 'decayed_count', NULL), ('views', 'view', 'decayed_count', 'rel');
    INSERT INTO decide.event_type (event_type, purpose, sets_consent, keep_attributes) VALUES
      ('view', 'rel', false, '{secret,email,birth}'), ('order', NULL, false, '{secret,email,birth}'), ('answer', 'ads', false, '{secret,email,birth}'),
      ('consent', NULL, true, '{}');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
    SELECT decide.publish('rights')"#;

/// What is in contexts and events and must be nowhere.
const SECRETS: &str = "FORBIDDEN|someone@example|-07-14";

const TRACE: &str = "SELECT t.region, decide.candidate_names(t.candidates), \
           ARRAY(SELECT i.name FROM decide.identity AS i WHERE i.kind = 'purpose' AND i.number = ANY (t.denied)), t.features, t.reason \
      FROM decide.trace AS t WHERE t.decision_id = $1";

/// Rows of all tables that have anything of persons, as texts.
const EVERYTHING: &str = "SELECT pg_catalog.count(*) FROM ( \
      SELECT t::text AS kept FROM decide.trace AS t UNION ALL SELECT e::text FROM decide.event AS e UNION ALL SELECT q::text FROM decide.quarantine AS q \
      UNION ALL SELECT i::text FROM decide.event_inbox AS i UNION ALL SELECT o::text FROM decide.outcome AS o UNION ALL SELECT r::text FROM decide.request AS r \
      UNION ALL SELECT u::text FROM decide.user_state AS u UNION ALL SELECT k::text FROM decide.feature_key AS k UNION ALL SELECT l::text FROM decide.consent_log AS l) AS a \
     WHERE a.kept ~ $1";

pub struct Player {
    client: Client,
    other: Client,
    trace: Statement,
    /// The day in the past.
    day: String,
}

/// A sequence that is played: its users are no others'.
struct Game<'a> {
    player: &'a mut Player,
    model: Model,
    mark: String,
    news: usize,
}

impl Player {
    pub fn new(mut client: Client, mut other: Client) -> Result<Player> {
        let day = "SELECT (pg_catalog.date_trunc('day', pg_catalog.now(), 'UTC') - interval '4 days')::text";
        for client in [&mut client, &mut other] {
            client.batch_execute("SET client_min_messages = warning; SET statement_timeout = '20s'; SET timezone = 'UTC'")?;
        }
        Ok(Player {
            day: client.query_one(day, &[])?.get(0),
            trace: client.prepare(TRACE)?,
            client,
            other,
        })
    }

    /// Plays a sequence under a mark that no other sequence in the database has; what disagrees, and in which step.
    pub fn play(&mut self, steps: &[Step], mark: &str) -> Result<Option<(usize, String)>> {
        let mut game = Game {
            player: self,
            model: Model::new(USERS),
            mark: mark.to_owned(),
            news: 0,
        };
        for (place, step) in steps.iter().enumerate() {
            let played = game.play(step).and_then(|()| game.compare_consents());
            if let Err(why) = played {
                let before: String = steps[..place]
                    .iter()
                    .map(|step| format!("\n    {step:?}"))
                    .collect();
                return Ok(Some((
                    place + 1,
                    format!("{step:?}: {why:#}; after{before}"),
                )));
            }
        }
        let end = game.compare_everything();
        let all: String = steps.iter().map(|step| format!("\n    {step:?}")).collect();
        Ok(end
            .err()
            .map(|why| (steps.len(), format!("in the end: {why:#}; after{all}"))))
    }
}

impl Game<'_> {
    fn user(&self, user: usize) -> String {
        format!("{}-{user}", self.mark)
    }

    /// A moment as text.
    fn at(&mut self, when: When) -> Result<String> {
        let client = &mut self.player.client;
        let row = match when {
            When::Past(minutes) => client.query_one(
                "SELECT pg_catalog.to_jsonb($1::text::timestamptz + $2::bigint * interval '1 minute') #>> '{}'",
                &[&self.player.day, &minutes],
            )?,
            When::Now => client.query_one("SELECT pg_catalog.to_jsonb(pg_catalog.clock_timestamp()) #>> '{}'", &[])?,
        };
        Ok(row.get(0))
    }

    fn play(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Consent(consent) => {
                let at = self.at(consent.when)?;
                let user = self.user(consent.user);
                let held: bool = self.player.client.query_one(
                    "SELECT decide.set_consent($1::text, $2, $3, 'test', $4::text::timestamptz)",
                    &[&user, &consent.purpose, &consent.granted, &at],
                )?.get(0);
                same(held, self.consent(consent), "whether it is in force")
            }
            Step::Consents(consents) => {
                let mut given = Vec::new();
                for consent in consents {
                    let at = self.at(consent.when)?;
                    given.push(json!({"user_id": self.user(consent.user), "purpose": consent.purpose, "granted": consent.granted, "at": at}));
                }
                let held: i64 = self
                    .player
                    .client
                    .query_one("SELECT decide.set_consents($1)", &[&given])?
                    .get(0);
                let expected: i64 = consents
                    .iter()
                    .map(|consent| i64::from(self.consent(consent)))
                    .sum();
                // In which order those of one person are recorded, of whom two users are named, is not said.
                let mut pairs = consents
                    .iter()
                    .flat_map(|one| consents.iter().map(move |other| (one.user, other.user)));
                match pairs.any(|(one, other)| one != other && self.model.is_same(one, other)) {
                    true => Ok(()),
                    false => same(held, expected, "how many are in force"),
                }
            }
            Step::Tell(consent) => {
                let id = self.new_id();
                let mut event = self.event(consent.user, &id, Kind::Consent, consent.when)?;
                event["attributes"] =
                    json!({"purpose": consent.purpose, "granted": consent.granted});
                let became = self
                    .model
                    .event(consent.user, &id, Kind::Consent, consent.when, None);
                if became == Became::Accepted {
                    self.consent(consent);
                }
                self.track(&event, became)
            }
            &Step::Region(user, place, when) => {
                let (name, at) = (self.user(user), self.at(when)?);
                let region = place.map(Place::as_str);
                let held: bool = self
                    .player
                    .client
                    .query_one(
                        "SELECT decide.set_region($1::text, $2, $3::text::timestamptz)",
                        &[&name, &region, &at],
                    )?
                    .get(0);
                same(
                    held,
                    self.model.region(user, place, when),
                    "whether it is in force",
                )
            }
            Step::Event(event) => {
                let (document, became) = self.take(event)?;
                self.track(&document, became)
            }
            Step::Events(events) => {
                let (mut documents, mut counts) = (Vec::new(), (0, 0));
                for event in events {
                    let (document, became) = self.take(event)?;
                    documents.push(document);
                    counts.0 += i64::from(became == Became::Accepted);
                    counts.1 += i64::from(became == Became::Duplicate);
                }
                let row = self.player.client.query_one(
                    "SELECT accepted, duplicate, quarantined FROM track($1::jsonb[])",
                    &[&documents],
                )?;
                same((row.get(0), row.get(1)), counts, "what became of them")?;
                same(row.get(2), 0i64, "what is quarantined")
            }
            &Step::Decide(user, asked, said) => self.decide(user, asked, said),
            &Step::Erase(user) => {
                let name = self.user(user);
                self.player
                    .client
                    .query_one("SELECT decide.erase($1::text)", &[&name])?;
                self.model.erase(user);
                Ok(())
            }
            &Step::Merge(from, into) => {
                if from == into {
                    return Ok(());
                }
                let (one, other) = (self.user(from), self.user(into));
                let merged = self.player.client.query_one(
                    "SELECT decide.merge_users($1::text, $2::text)",
                    &[&one, &other],
                );
                if !self.model.can_merge(from, into) {
                    // It was done before, or it is refused.
                    let is_new = merged.is_ok_and(|row| row.get(0));
                    ensure!(!is_new, "a user was merged twice");
                    return Ok(());
                }
                let merged: bool = merged?.get(0);
                same(
                    merged,
                    self.model.merge(from, into),
                    "whether they were two",
                )
            }
            Step::Rotate => {
                // It is refused while the one before is not settled, or while there are too many keys.
                let rotated = self
                    .player
                    .client
                    .query_one("SELECT decide.rotate_pseudonyms()", &[]);
                match rotated.as_ref().err().map(|error| error.code()) {
                    Some(None) => rotated.map(|_| ()).context("the rotation"),
                    _ => Ok(()),
                }
            }
            Step::Job(job) => {
                self.player
                    .client
                    .execute("SELECT decide.run_job($1)", &[job])?;
                if *job == "erasure" {
                    self.model.job();
                }
                Ok(())
            }
        }
    }

    fn consent(&mut self, consent: &ConsentStep) -> bool {
        self.model
            .consent(consent.user, consent.purpose, consent.granted, consent.when)
    }

    fn new_id(&mut self) -> String {
        self.news += 1;
        format!("{}-new-{}", self.mark, self.news)
    }

    fn event(&mut self, user: usize, id: &str, kind: Kind, when: When) -> Result<Value> {
        let at = self.at(when)?;
        Ok(json!({"event_id": id, "user_id": self.user(user), "type": kind.as_str(), "at": at}))
    }

    /// An event, and what must become of it.
    fn take(&mut self, event: &EventStep) -> Result<(Value, Became)> {
        let (id, when) = match event.old {
            Some(minute) => (format!("{}-old-{minute}", self.mark), When::Past(minute)),
            None => (self.new_id(), When::Now),
        };
        let mut document = self.event(event.user, &id, event.kind, when)?;
        document["attributes"] =
            json!({"secret": "FORBIDDEN", "email": "someone@example.org", "birth": "1971-07-14"});
        if let Some(place) = event.said {
            document["attributes"]["place"] = place.as_str().into();
        }
        Ok((
            document,
            self.model
                .event(event.user, &id, event.kind, when, event.said),
        ))
    }

    fn track(&mut self, event: &Value, became: Became) -> Result<()> {
        let answer: String = self
            .player
            .client
            .query_one("SELECT track($1::jsonb)", &[event])?
            .get(0);
        same(answer.as_str(), became.as_str(), "what became of it")
    }

    fn decide(&mut self, user: usize, asked: Asked, said: Option<Place>) -> Result<()> {
        let name = self.user(user);
        let mut context = json!({"secret": "FORBIDDEN", "email": {"is": "someone@example.org"}});
        if let Some(place) = said {
            context["place"] = place.as_str().into();
        }
        let request = json!({"user_id": name, "surface": "home", "context": context});
        let player = &mut *self.player;
        let id = |row: Row| row.get::<_, uuid::Uuid>(0);
        match asked {
            Asked::OldSnapshot => {
                player
                    .other
                    .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")?;
                // Seen by nobody who took a snapshot before.
                let (purpose, now) = ("ads", When::Now);
                let consent = ConsentStep {
                    user,
                    purpose,
                    granted: false,
                    when: now,
                };
                self.play(&Step::Consent(consent))?;
                let expected = self.model.person(user).expected(said);
                let player = &mut *self.player;
                let single = "SELECT decision_id FROM decide($1::text, 'home', $2)";
                let made = id(player.other.query_one(single, &[&name, &context])?);
                let found = player
                    .other
                    .query_one(TRACE, &[&made])
                    .context("the trace")?;
                player.other.batch_execute("ROLLBACK")?;
                compare(&found, &expected)
            }
            Asked::Single => {
                let single = "SELECT decision_id FROM decide($1::text, 'home', $2)";
                let made = id(player.client.query_one(single, &[&name, &context])?);
                self.compare_decision(user, said, made)
            }
            Asked::Page => {
                let page = "SELECT decision_id FROM decide($1::text, ARRAY['home'], $2)";
                let made = id(player.client.query_one(page, &[&name, &context])?);
                self.compare_decision(user, said, made)
            }
            Asked::Batch => {
                let batch = "SELECT decision_id FROM decide.decide_batch(ARRAY[$1::jsonb])";
                let made = id(player.client.query_one(batch, &[&request])?);
                self.compare_decision(user, said, made)
            }
        }
    }

    fn compare_decision(
        &mut self,
        user: usize,
        said: Option<Place>,
        made: uuid::Uuid,
    ) -> Result<()> {
        self.model.decide(user);
        let expected = self.model.person(user).expected(said);
        let found = self.player.client.query_one(&self.player.trace, &[&made]);
        compare(&found.context("the trace")?, &expected)
    }

    /// What holds of each user, as the privacy officer is told it.
    fn compare_consents(&mut self) -> Result<()> {
        for user in 0..USERS {
            let name = self.user(user);
            let rows = self.player.client.query(
                "SELECT purpose, granted FROM decide.consent($1::text)",
                &[&name],
            )?;
            for row in rows {
                let (purpose, granted): (String, bool) = (row.get(0), row.get(1));
                let expected = self.model.person(user).granted(&purpose, None);
                same(
                    granted,
                    expected,
                    &format!("consent of {name} to {purpose}"),
                )?;
            }
        }
        Ok(())
    }

    /// Once all jobs are done: each person has the events and decisions that may be kept, and nothing forbidden is anywhere.
    fn compare_everything(&mut self) -> Result<()> {
        let client = &mut self.player.client;
        self.model.job();
        for _ in 0..50 {
            client
                .batch_execute("SELECT decide.run_job('erasure'), decide.run_job('pseudonyms')")?;
            let waiting: i64 = client
                .query_one("SELECT pg_catalog.count(*) FROM decide.erasing", &[])?
                .get(0);
            if waiting == 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        for user in 0..USERS {
            let names: Vec<String> = self
                .model
                .users_of(user)
                .iter()
                .map(|&user| self.user(user))
                .collect();
            let row = self.player.client.query_one(
                "WITH person AS (SELECT pg_catalog.array_agg(DISTINCT k.key) AS keys \
                   FROM pg_catalog.unnest($1::text[]) AS n (name) CROSS JOIN LATERAL pg_catalog.unnest(decide.user_keys(n.name)) AS k (key)) \
                 SELECT ARRAY(SELECT e.event_id FROM decide.event AS e WHERE e.user_key = ANY (p.keys)), \
                        (SELECT pg_catalog.count(*) FROM decide.trace AS t WHERE t.user_key = ANY (p.keys)), \
                        (SELECT pg_catalog.sum(s.events)::bigint FROM decide.user_state AS s WHERE s.user_key = ANY (p.keys)) FROM person AS p",
                &[&names],
            )?;
            let found: Vec<String> = row.get(0);
            let decisions = self.model.decisions(user);
            let person = self.model.person(user);
            let stored: BTreeSet<&str> = found.iter().map(String::as_str).collect();
            same(&stored, &person.events(), &format!("events of {names:?}"))?;
            same(found.len(), stored.len(), "how many events are stored")?;
            same(row.get(1), decisions, &format!("decisions of {names:?}"))?;
            let counted: Option<i64> = row.get(2);
            same(
                counted.unwrap_or(0),
                stored.len() as i64,
                &format!("events in the row of {names:?}"),
            )?;
        }
        let kept: i64 = self
            .player
            .client
            .query_one(EVERYTHING, &[&SECRETS])?
            .get(0);
        same(kept, 0, "rows with what must not be kept")
    }
}

fn compare(found: &Row, expected: &Expected) -> Result<()> {
    let reason: Option<String> = found.get(4);
    ensure!(reason.is_none(), "the policy did not choose: {reason:?}");
    let features: Vec<f64> = found.get(3);
    let denied: Vec<String> = found.get(2);
    let candidates: Vec<String> = found.get(1);
    let found = Expected {
        region: found.get(0),
        candidates: candidates.into_iter().collect(),
        denied: denied.into_iter().collect(),
        orders: features[0].round() as i64,
        views: features[1].round() as i64,
    };
    same(&found, expected, "the decision")
}

fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T, what: &str) -> Result<()> {
    ensure!(
        found == expected,
        "{what}: {found:?}, and should be {expected:?}"
    );
    Ok(())
}
