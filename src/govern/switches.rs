//! Kill switches: a campaign, an action, a feature or a coefficient of models, taken out while
//! everything runs.
//!
//! `decide.switch_change` keeps every change, by number and never altered, so that what held at a
//! decision can be told from the number of the newest change and the moment.

use std::collections::{HashMap, HashSet};

use pgrx::pg_sys::{self, BOOLOID, INT8OID, TEXTOID, TIMESTAMPTZOID};

use super::turn;
use crate::error::{Error, printable};
use crate::math::model::{LinearModel, Source, Term, parse_term};
use crate::pg::{Session, Statement, datum, invalidation};

/// What can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Campaign,
    Action,
    Feature,
    Coefficient,
}

/// Kinds of what has a name that can change; coefficients have the name of their model and term.
pub const FOLLOWING: [Kind; 3] = [Kind::Campaign, Kind::Action, Kind::Feature];

const KINDS: [Kind; 4] = [
    Kind::Campaign,
    Kind::Action,
    Kind::Feature,
    Kind::Coefficient,
];

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Campaign => "campaign",
            Kind::Action => "action",
            Kind::Feature => "feature",
            Kind::Coefficient => "coefficient",
        }
    }

    fn named(name: &str) -> Result<Kind, Error> {
        let mut kinds = KINDS.into_iter();
        let kind = kinds.find(|kind| kind.as_str() == name);
        kind.ok_or_else(|| Error::UnknownKind(printable(name)))
    }
}

/// What is killed at a moment, by the changes up to a number.
#[derive(Clone, Debug)]
pub struct Switches {
    /// The newest change; None if there has been none.
    pub number: Option<i64>,
    killed: HashSet<(Kind, String)>,
    coefficients: Vec<Coefficient>,
    /// From when and until when they are the same, as long as no change is made.
    since: i64,
    until: i64,
}

impl Default for Switches {
    /// Nothing is killed, and no change was ever made.
    fn default() -> Switches {
        Switches {
            number: None,
            killed: HashSet::new(),
            coefficients: Vec::new(),
            since: i64::MIN,
            until: i64::MAX,
        }
    }
}

impl Switches {
    /// Those of a moment: as the changes up to that number say, or all.
    pub fn read(up_to: Option<i64>, at: i64) -> Switches {
        let mut switches = Switches::default();
        READ.with(|statement| {
            statement.read(&[datum::int8(up_to.unwrap_or(i64::MAX))], |row| {
                switches.number = switches.number.max(row.get(1));
                if let (Ok(kind), true) = (Kind::named(row.must(2)), row.must(4)) {
                    switches.add(kind, row.must(3), row.timestamp(5), at);
                }
            })
        });
        switches
    }

    /// Reads those that a decision was made with, unless these are the same.
    pub fn turn_to(&mut self, number: Option<i64>, at: i64) {
        if self.number != number || !self.hold_at(at) {
            let read = |number| Switches::read(Some(number), at);
            *self = number.map(read).unwrap_or_default();
        }
    }

    fn add(&mut self, kind: Kind, name: String, until: Option<i64>, at: i64) {
        match until {
            Some(until) if until <= at => {
                self.since = self.since.max(until);
                return;
            }
            Some(until) => self.until = self.until.min(until),
            None => {}
        }
        match Coefficient::parse(&name) {
            Some(coefficient) if kind == Kind::Coefficient => self.coefficients.push(coefficient),
            _ => {
                self.killed.insert((kind, name));
            }
        }
    }

    /// Whether they are the same at that moment.
    pub fn hold_at(&self, now: i64) -> bool {
        self.since <= now && now < self.until
    }

    /// The names of what is killed of a kind.
    pub fn killed(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let killed = self.killed.iter();
        killed
            .filter(move |(of, _)| *of == kind)
            .map(|(_, name)| name.as_str())
    }

    /// Whether models are others than without them.
    pub fn change_models(&self) -> bool {
        self.killed(Kind::Feature).next().is_some() || !self.coefficients.is_empty()
    }

    /// Writes down what models depend on: the same texts for the same features and coefficients.
    pub fn write_of_models(&self, text: &mut String) {
        let features = self.killed(Kind::Feature).map(|name| format!("|f:{name}"));
        let coefficients = self.coefficients.iter().map(|of| format!("|c:{of:?}"));
        let mut killed: Vec<String> = features.chain(coefficients).collect();
        killed.sort_unstable();
        text.extend(killed);
    }

    pub fn kill(&self, kind: Kind, name: &str) -> bool {
        !self.killed.is_empty() && self.killed.contains(&(kind, name.to_owned()))
    }

    /// Whether a term of a model has the weight 0.
    pub fn silence(&self, model: &str, term: &Term) -> bool {
        let is_it = |killed: &Coefficient| killed.model == model && killed.is_of(term);
        self.coefficients.iter().any(is_it)
    }
}

/// A term of all versions of a model, whatever the order of its factors.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Coefficient {
    model: String,
    sources: Vec<Source>,
}

impl Coefficient {
    /// From `model:term`.
    fn parse(name: &str) -> Option<Coefficient> {
        let (model, term) = name.rsplit_once(':')?;
        let mut sources = parse_term(term).ok()?;
        sources.sort();
        let model = model.to_owned();
        Some(Coefficient { model, sources })
    }

    fn is_of(&self, term: &Term) -> bool {
        let factors = term.factors.iter();
        let mut sources: Vec<&Source> = factors.map(|factor| &factor.source).collect();
        sources.sort();
        sources.into_iter().eq(&self.sources)
    }
}

thread_local! {
    static READ: Statement = const { Statement::new(
        "SELECT DISTINCT ON (s.kind, s.name) s.number, s.kind, s.name, s.change = 'kill', s.until \
           FROM decide.switch_change AS s WHERE s.number <= $1 ORDER BY s.kind, s.name, s.number DESC",
        &[INT8OID]) };
    static LOCK: Statement = const { Statement::new(
        "LOCK TABLE decide.switch_change IN SHARE ROW EXCLUSIVE MODE", &[]) };
    static NEWEST: Statement = const { Statement::new(
        "SELECT pg_catalog.max(s.number) FROM decide.switch_change AS s", &[]) };
    static KNOWN: Statement = const { Statement::new(include_str!("known.sql"), &[TEXTOID, TEXTOID]) };
    static SPECS: Statement = const { Statement::new(
        "SELECT m.spec::text FROM decide.model_version AS m WHERE m.model = $1", &[TEXTOID]) };
    static SPELLINGS: Statement = const { Statement::new(
        "SELECT DISTINCT s.name FROM decide.switch_change AS s WHERE s.kind = 'coefficient'", &[]) };
    static HOLDS: Statement = const { Statement::new(
        "SELECT 1 FROM decide.switch_in_force AS s WHERE s.kind = $1 AND s.name = $2",
        &[TEXTOID, TEXTOID]) };
    static KILLED: Statement = const { Statement::new(
        "SELECT s.name, s.why, s.until FROM decide.switch_in_force AS s WHERE s.kind = $1", &[TEXTOID]) };
    static CHANGE: Statement = const { Statement::new(
        "INSERT INTO decide.switch_change (number, kind, name, change, why, until, acting_as) \
         SELECT COALESCE(pg_catalog.max(s.number), 0) + 1, $1, $2, CASE WHEN $3 THEN 'kill' ELSE 'revive' END, $4, $5, $6 \
           FROM decide.switch_change AS s \
         RETURNING 'decide.switch_change'::pg_catalog.regclass::pg_catalog.oid",
        &[TEXTOID, TEXTOID, BOOLOID, TEXTOID, TIMESTAMPTZOID, TEXTOID]) };
}

/// Kills from commit on.
pub fn kill(
    kind: &str,
    name: &str,
    why: &str,
    until: Option<i64>,
    caller: &str,
) -> Result<(), Error> {
    let kind = Kind::named(kind)?;
    turn::check(why, until)?;
    let _session = Session::open();
    take_turn()?;
    let name = match kind {
        Kind::Coefficient => coefficient(name)?,
        _ if is_known(kind, name) => name.to_owned(),
        _ => return Err(unknown(kind, name)),
    };
    let change = Change {
        kind,
        name: &name,
        kills: true,
        why,
        until,
    };
    change.write(caller);
    Ok(())
}

/// Takes a kill back from commit on.
pub fn revive(kind: &str, name: &str, why: &str, caller: &str) -> Result<(), Error> {
    let kind = Kind::named(kind)?;
    turn::check(why, None)?;
    let _session = Session::open();
    take_turn()?;
    let name = match kind {
        Kind::Coefficient => spelling(name).unwrap_or_else(|| name.to_owned()),
        _ => name.to_owned(),
    };
    let args = [datum::text(kind.as_str()), datum::text(&name)];
    if HOLDS.with(|statement| statement.write(&args, |_| {})) == 0 {
        let kind = kind.as_str();
        let name = printable(&name);
        return Err(Error::NotKilled { kind, name });
    }
    let change = Change {
        kind,
        name: &name,
        kills: false,
        why,
        until: None,
    };
    change.write(caller);
    Ok(())
}

/// Kills what was killed under its old name by its new one: pairs of both.
pub fn follow(kind: Kind, renamed: &[(&str, &str)], caller: &str) -> Result<(), Error> {
    if renamed.is_empty() || killed(kind).is_empty() {
        return Ok(());
    }
    take_turn()?;
    let killed = killed(kind);
    let follows = |(old, _): &&(&str, &str)| killed.contains_key(*old);
    let following: Vec<_> = renamed.iter().filter(follows).collect();
    for (old, new) in &following {
        // Two that have swapped their names may both be killed.
        if !following.iter().any(|(_, other)| other == old) {
            let revived = Change {
                kind,
                name: old,
                kills: false,
                why: &format!("renamed to \"{new}\""),
                until: None,
            };
            revived.write(caller);
        }
    }
    for (old, new) in &following {
        let Kill { why, until } = &killed[*old];
        let killed = Change {
            kind,
            name: new,
            kills: true,
            why,
            until: *until,
        };
        killed.write(caller);
    }
    Ok(())
}

/// Why something is killed, and until when.
struct Kill {
    why: String,
    until: Option<i64>,
}

/// By name.
fn killed(kind: Kind) -> HashMap<String, Kill> {
    let mut killed = HashMap::new();
    KILLED.with(|statement| {
        statement.write(&[datum::text(kind.as_str())], |row| {
            let kill = Kill {
                why: row.must(2),
                until: row.timestamp(3),
            };
            killed.insert(row.must(1), kill);
        })
    });
    killed
}

fn take_turn() -> Result<(), Error> {
    turn::take(&LOCK, &NEWEST, "changed a switch")
}

/// One change of a switch.
struct Change<'a> {
    kind: Kind,
    name: &'a str,
    kills: bool,
    why: &'a str,
    until: Option<i64>,
}

impl Change<'_> {
    fn write(&self, caller: &str) {
        CHANGE.with(|statement| {
            let args = [
                datum::text(self.kind.as_str()),
                datum::text(self.name),
                datum::bool(self.kills),
                datum::text(self.why),
                self.until.and_then(datum::timestamp),
                datum::text(caller),
            ];
            statement.write(&args, |row| {
                invalidation::announce(row.must::<pg_sys::Oid>(1))
            })
        });
    }
}

/// Whether there is one in the policy tables, or was in a bundle.
fn is_known(kind: Kind, name: &str) -> bool {
    let args = [datum::text(kind.as_str()), datum::text(name)];
    KNOWN.with(|statement| statement.write(&args, |_| {})) > 0
}

fn unknown(kind: Kind, name: &str) -> Error {
    Error::Unknown {
        kind: kind.as_str(),
        name: printable(name),
        detail: match kind {
            Kind::Coefficient => "No version of such a model has such a term.",
            _ => "It is not in its table, nor in any bundle.",
        },
        hint: match kind {
            Kind::Campaign => "decide.campaign lists them.",
            Kind::Action => "decide.action lists them.",
            Kind::Feature => "decide.feature lists them.",
            Kind::Coefficient => {
                "Write model:term, such as clicks:user.visits*action.price; decide.model_version.terms lists the terms."
            }
        },
    }
}

/// The name under which a coefficient that some version of its model has is kept.
fn coefficient(name: &str) -> Result<String, Error> {
    let unknown = || unknown(Kind::Coefficient, name);
    let wanted = Coefficient::parse(name).ok_or_else(unknown)?;
    let mut has = false;
    SPECS.with(|statement| {
        statement.write(&[datum::text(&wanted.model)], |row| {
            let model: Option<LinearModel> = serde_json::from_str(row.must(1)).ok();
            has |= model.is_some_and(|model| model.terms.iter().any(|term| wanted.is_of(term)));
        })
    });
    if !has {
        return Err(unknown());
    }
    let (model, term) = name.rsplit_once(':').ok_or_else(unknown)?;
    let term: String = term.split_whitespace().collect();
    Ok(spelling(name).unwrap_or_else(|| format!("{}:{term}", model.trim())))
}

/// As it was written before, so that one coefficient has one name.
fn spelling(name: &str) -> Option<String> {
    let wanted = Coefficient::parse(name)?;
    let mut found = None;
    SPELLINGS.with(|statement| {
        statement.write(&[], |row| {
            let known: String = row.must(1);
            if Coefficient::parse(&known).as_ref() == Some(&wanted) {
                found = Some(known);
            }
        })
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::model::{Encoding, Factor};

    fn term(sources: &[&str]) -> Term {
        let factor = |text: &&str| Factor {
            source: text.parse().unwrap(),
            encoding: Encoding::Number,
        };
        Term {
            factors: sources.iter().map(factor).collect(),
        }
    }

    #[test]
    fn a_coefficient_is_a_term_in_any_order() {
        let mut switches = Switches::default();
        switches.add(
            Kind::Coefficient,
            "clicks:user.visits*action.price".into(),
            None,
            0,
        );
        assert!(switches.silence("clicks", &term(&["user.visits", "action.price"])));
        assert!(switches.silence("clicks", &term(&["action.price", "user.visits"])));
        assert!(!switches.silence("clicks", &term(&["action.price"])));
        assert!(!switches.silence("orders", &term(&["user.visits", "action.price"])));
        switches.add(Kind::Coefficient, "clicks:1".into(), None, 0);
        assert!(switches.silence("clicks", &term(&[])));
    }

    #[test]
    fn what_expires_does_so_by_the_clock() {
        let mut switches = Switches::default();
        switches.add(Kind::Action, "past".into(), Some(5), 10);
        switches.add(Kind::Action, "soon".into(), Some(20), 10);
        switches.add(Kind::Action, "later".into(), Some(30), 10);
        assert!(!switches.kill(Kind::Action, "past"));
        assert!(switches.kill(Kind::Action, "soon") && switches.kill(Kind::Action, "later"));
        assert!(!switches.kill(Kind::Campaign, "soon"));
        let held: Vec<i64> = (0..40).filter(|&now| switches.hold_at(now)).collect();
        assert_eq!((held.first(), held.last()), (Some(&5), Some(&19)));
    }
}
