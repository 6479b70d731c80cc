//! Actions as decisions and models see them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::context::value_text;
use super::faults::Faults;
use super::feature::Path;
use super::purposes::Purposes;
use super::tables::{ActionRow, Content};
use super::texts::{Index, Texts};
use crate::math::keyed;
use crate::math::model::{Source, Value};
use crate::math::slab::{Slab, range_of};
use crate::pg::clock;

/// An action, as the list of a surface has it: what decisions look at for every candidate.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, Serialize, Deserialize)]
#[repr(C)]
pub struct Action {
    /// From the campaign, in microseconds since 2000: shown from and until.
    pub starts: i64,
    pub ends: i64,
    pub number: i32,
    /// Its index among [`Actions`].
    index: u32,
    campaign: u32,
    rule: u32,
}

/// Instead of the index of a campaign, a rule or a text: there is none.
const NONE: u32 = u32::MAX;

/// All actions of a bundle.
#[derive(Default, Serialize, Deserialize)]
pub struct Actions {
    all: Slab<Action>,
    /// Their names by their index, and behind these the names that some had before they were renamed.
    names: Texts,
    /// Whose each of those former names is.
    renamed: Slab<u32>,
    by_name: Index,
    campaigns: Vec<String>,
    attributes: Attributes,
    /// Purposes that a person must consent to for each to be a candidate, as bits; empty where none needs any.
    needs: Slab<u64>,
}

/// The attributes of all actions that models and features can use.
#[derive(Default, Serialize, Deserialize)]
struct Attributes {
    /// Ascending.
    names: Vec<String>,
    /// Where those of each action end.
    ends: Slab<u32>,
    all: Slab<AttributeRow>,
    texts: Texts,
}

/// A number or a text. A boolean is 1 or 0.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct AttributeRow {
    number: f64,
    name: u32,
    text: u32,
}

impl Action {
    /// Which of the surface's rules must hold.
    pub fn rule(&self) -> Option<usize> {
        (self.rule != NONE).then_some(self.rule as usize)
    }

    pub fn with_rule(self, rule: Option<usize>) -> Action {
        let rule = rule.map_or(NONE, |rule| rule as u32);
        Action { rule, ..self }
    }

    /// The index of its campaign, if it is of one.
    pub fn campaign(&self) -> Option<usize> {
        (self.campaign != NONE).then_some(self.campaign as usize)
    }
}

impl Actions {
    /// From the published rows, in their order; what is wrong with them is among the faults.
    pub fn of(content: &Content, purposes: &Purposes, faults: &mut Faults) -> Actions {
        let indexes = content.campaigns.iter().enumerate();
        let campaigns: HashMap<&str, usize> =
            indexes.map(|(i, row)| (row.campaign.as_str(), i)).collect();
        let rows = content.actions.iter().enumerate();
        let all = rows.map(|(index, row)| {
            let campaign = row.campaign.as_deref();
            let campaign = campaign.and_then(|name| campaigns.get(name).copied());
            let dates = campaign.map(|campaign| &content.campaigns[campaign]);
            let starts = dates.and_then(|row| row.starts_us);
            let ends = dates.and_then(|row| row.ends_us);
            Action {
                starts: starts.map_or(i64::MIN, clock::from_unix_micros),
                ends: ends.map_or(i64::MAX, clock::from_unix_micros),
                number: row.number,
                index: index as u32,
                campaign: campaign.map_or(NONE, |campaign| campaign as u32),
                rule: NONE,
            }
        });
        let all = all.collect();
        let needs = content.actions.iter().map(|row| {
            let campaign = row.campaign.as_deref();
            let campaign = campaign.and_then(|name| campaigns.get(name).copied());
            let of_campaign =
                campaign.and_then(|index| content.campaigns[index].purpose.as_deref());
            purposes.mask(row.purpose.as_deref()) | purposes.mask(of_campaign)
        });
        let needs: Vec<u64> = needs.collect();
        let needs = match needs.iter().any(|&needs| needs != 0) {
            true => needs,
            false => Vec::new(),
        };
        let mut known: HashMap<&str, u32> = HashMap::new();
        for (index, row) in content.actions.iter().enumerate() {
            known.insert(&row.action, index as u32);
        }
        let mut names: Vec<&str> = content.actions.iter().map(|row| &row.action[..]).collect();
        let mut renamed = Vec::new();
        for (index, row) in content.actions.iter().enumerate() {
            for name in &row.former {
                known.entry(name).or_insert_with(|| {
                    names.push(name);
                    renamed.push(index as u32);
                    index as u32
                });
            }
        }
        let names: Texts = names.into_iter().collect();
        Actions {
            all,
            by_name: Index::of(&names),
            names,
            renamed: renamed.into(),
            campaigns: content
                .campaigns
                .iter()
                .map(|row| row.campaign.clone())
                .collect(),
            attributes: Attributes::of(&content.actions, faults),
            needs: needs.into(),
        }
    }

    /// The action of the row with that index.
    pub fn at(&self, index: usize) -> &Action {
        &self.all[index]
    }

    /// Whether it needs one of these purposes, given as bits.
    pub fn needs(&self, action: &Action, denied: u64) -> bool {
        let needs = self.needs.get(action.index as usize);
        needs.is_some_and(|needs| needs & denied != 0)
    }

    /// The action that has that name, or had it before it was renamed.
    pub fn get(&self, name: &str) -> Option<&Action> {
        let index = self.by_name.find(name, &self.names)?;
        match index.checked_sub(self.all.len()) {
            None => self.all.get(index),
            Some(former) => self.all.get(*self.renamed.get(former)? as usize),
        }
    }

    pub fn name(&self, action: &Action) -> &str {
        self.names.get(action.index as usize)
    }

    /// The index of a campaign.
    pub fn campaign(&self, name: &str) -> Option<usize> {
        self.campaigns.iter().position(|campaign| campaign == name)
    }

    pub fn attribute(&self, action: &Action, name: &str) -> Value<'_> {
        self.attributes.get(action.index as usize, name)
    }

    /// The names of the attributes of the action with that index.
    pub fn attributes_of(&self, index: usize) -> impl Iterator<Item = &str> {
        let rows = self.attributes.of_action(index).iter();
        rows.filter_map(|row| {
            self.attributes
                .names
                .get(row.name as usize)
                .map(String::as_str)
        })
    }

    /// What a model sees of an action's own.
    pub fn fact(&self, action: &Action, source: &Source) -> Value<'_> {
        match source {
            Source::Action => Value::Text(self.name(action)),
            Source::Attribute(name) => self.attribute(action, name),
            Source::User(_) | Source::Missing(_) | Source::Context(_) | Source::Surface(_) => {
                Value::Missing
            }
        }
    }

    /// The key under which a feature is kept for an action.
    pub fn key(&self, path: &Path, action: &Action, surface: &str) -> Option<u64> {
        match path {
            Path::Action => Some(keyed::key_of(self.name(action))),
            Path::Surface => Some(keyed::key_of(surface)),
            Path::Attribute(name) | Path::OfAction(name) => {
                let value = self.attribute(action, name);
                Some(keyed::key_of(&value_text(&value)?))
            }
            Path::Value => None,
        }
    }
}

impl Attributes {
    fn of(rows: &[ActionRow], faults: &mut Faults) -> Attributes {
        let mut names = Distinct::default();
        let mut texts = Distinct::default();
        let (mut ends, mut all) = (Vec::new(), Vec::new());
        for row in rows {
            let usable = usable(row).unwrap_or_else(|reason| {
                faults.add("decide.action", &row.action, reason);
                Vec::new()
            });
            for (name, value) in usable {
                let name = names.index(name);
                let (number, text) = match value {
                    Usable::Number(number) => (number, NONE),
                    Usable::Text(text) => (0.0, texts.index(text)),
                };
                all.push(AttributeRow { number, name, text });
            }
            ends.push(all.len() as u32);
        }
        let ranks = names.sort();
        for row in &mut all {
            row.name = ranks[row.name as usize];
        }
        Attributes {
            names: names.texts,
            ends: ends.into(),
            all: all.into(),
            texts: texts.texts.iter().map(String::as_str).collect(),
        }
    }

    fn of_action(&self, action: usize) -> &[AttributeRow] {
        let rows = self.all.get(range_of(&self.ends, action));
        rows.unwrap_or_default()
    }

    fn get(&self, action: usize, name: &str) -> Value<'_> {
        let found = || {
            let name = self
                .names
                .binary_search_by(|known| known.as_str().cmp(name));
            let name = name.ok()? as u32;
            self.of_action(action).iter().find(|row| row.name == name)
        };
        match found() {
            None => Value::Missing,
            Some(row) if row.text == NONE => Value::Number(row.number),
            Some(row) => Value::Text(self.texts.get(row.text as usize)),
        }
    }
}

/// Texts, each once, numbered as they come.
#[derive(Default)]
struct Distinct {
    texts: Vec<String>,
    indexes: HashMap<String, u32>,
}

impl Distinct {
    fn index(&mut self, text: String) -> u32 {
        if let Some(&index) = self.indexes.get(&text) {
            return index;
        }
        let index = self.texts.len() as u32;
        self.texts.push(text.clone());
        self.indexes.insert(text, index);
        index
    }

    /// Sorts them; answers the new index of each.
    fn sort(&mut self) -> Vec<u32> {
        self.texts.sort_unstable();
        let mut ranks = vec![0; self.texts.len()];
        for (rank, text) in self.texts.iter().enumerate() {
            ranks[self.indexes[text] as usize] = rank as u32;
        }
        ranks
    }
}

enum Usable {
    Number(f64),
    Text(String),
}

/// The attributes that can be used, or what is wrong with them.
fn usable(row: &ActionRow) -> Result<Vec<(String, Usable)>, String> {
    use serde_json::Value;
    let fields: serde_json::Map<String, Value> = serde_json::from_str(row.attributes.get())
        .map_err(|_| "attributes: a number is out of range".to_owned())?;
    let usable = fields.into_iter().filter_map(|(name, value)| {
        let attribute = match value {
            Value::Number(number) => Usable::Number(number.as_f64()?),
            Value::Bool(flag) => Usable::Number(f64::from(u8::from(flag))),
            Value::String(text) => Usable::Text(text),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((name, attribute))
    });
    Ok(usable.collect())
}
