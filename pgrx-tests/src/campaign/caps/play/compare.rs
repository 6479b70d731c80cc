//! Compares what a server says with the arithmetic: traces, counters, and what could be had.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use postgres::Row;
use serde_json::Value;

use super::super::model::{Room, Used};
use super::super::policy::{SURFACES, UNIT};
use super::super::steps::USERS;
use super::Game;

impl Game<'_> {
    /// Compares a trace with the arithmetic, and notes what was shown.
    pub(super) fn judge(
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

    /// Compares counters of all, and what one user could have on one surface.
    pub(super) fn compare(&mut self, place: usize) -> Result<()> {
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
        let (from, shown, to): (i64, Option<Value>, i64) = (row.get(0), row.get(1), row.get(2));
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
            let [first, last] = [from, to].map(|t| self.model.used(&self.policy, place, user, t));
            let used = first.or(last);
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
