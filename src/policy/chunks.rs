//! The actions of bundles, in chunks that bundles share: a publish writes those in which something has changed.

use std::collections::HashSet;
use std::ops::Range;

use pgrx::pg_sys::{INT8OID, TEXTOID, UUIDOID};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::tables::ActionRow;
use crate::error::Error;
use crate::pg::plan::Access;
use crate::pg::{Row, Statement, datum};

thread_local! {
    static DRAFT: Statement = const { Statement::new(
        "SELECT i.number, a.action, a.campaign, CASE WHEN a.surfaces <> '{}' THEN a.surfaces END, a.attributes::text, a.eligible_when, \
                a.cost, CASE WHEN i.former <> '{}' THEN i.former END, a.purpose, a.for_variants \
           FROM decide.action AS a JOIN decide.identity AS i ON i.kind = 'action' AND i.id = a.id", &[]) };
    static OF_BUNDLE: Statement = const { Statement::new(
        "SELECT c.chunk FROM decide.bundle AS b CROSS JOIN LATERAL pg_catalog.unnest(b.chunks) AS c (chunk) WHERE b.bundle = $1",
        &[INT8OID]) };
    static STORE: Statement = const { Statement::new(
        "INSERT INTO decide.bundle_chunk (chunk, actions) \
         SELECT $1, $2::jsonb WHERE NOT EXISTS (SELECT FROM decide.bundle_chunk AS k WHERE k.chunk = $1)", &[UUIDOID, TEXTOID]) };
    static STORED: Statement = const { Statement::new(
        "SELECT k.actions::text \
           FROM decide.bundle AS b CROSS JOIN LATERAL pg_catalog.unnest(b.chunks) WITH ORDINALITY AS c (chunk, place) \
           LEFT JOIN decide.bundle_chunk AS k ON k.chunk = c.chunk \
          WHERE b.bundle = $1 ORDER BY c.place", &[INT8OID]) };
}

/// How many rows are read at once.
const BATCH: i64 = 10_000;

/// Actions whose numbers have the same quotient are in one chunk.
const NUMBERS: i32 = 256;

/// What the hash of a chunk begins with: other contents have another one.
const VERSION: u8 = 1;

/// The actions of the policy tables, in the order of their numbers, by now. Rows must have their numbers.
pub fn draft() -> Result<Vec<ActionRow>, Error> {
    let mut actions = Vec::new();
    let mut damage = None;
    let mut add = |row: Row<'_>| match read(row) {
        Ok(action) => actions.push(action),
        Err(error) => damage = Some(error),
    };
    DRAFT.with(|statement| {
        let mut cursor = statement.cursor(Access::Read, &[]);
        while cursor.fetch(BATCH, &mut add) > 0 {}
    });
    actions.sort_unstable_by_key(|action: &ActionRow| action.number);
    damage.map_or(Ok(actions), Err)
}

fn read(row: Row<'_>) -> Result<ActionRow, Error> {
    let names = |names: Option<Vec<Option<String>>>| names.into_iter().flatten().flatten();
    let attributes = RawValue::from_string(row.must(5));
    Ok(ActionRow {
        number: row.must(1),
        action: row.must(2),
        campaign: row.get(3),
        surfaces: names(row.get(4)).collect(),
        attributes: attributes.map_err(|e| Error::Damaged(e.to_string()))?,
        eligible_when: row.get(6),
        cost: row.must(7),
        former: names(row.get(8)).collect(),
        purpose: row.get(9),
        for_variants: row.must(10),
    })
}

/// Actions as chunks.
pub struct Chunks {
    /// In the order of the actions.
    pub ids: Vec<Uuid>,
    /// Those that another bundle has not.
    pub changed: Vec<Uuid>,
}

impl Chunks {
    /// Writes those that no bundle has. `before` is the bundle with which they are compared.
    pub fn store(actions: &[ActionRow], before: i64) -> Result<Chunks, Error> {
        let mut known = HashSet::new();
        OF_BUNDLE.with(|statement| {
            statement.write(&[datum::int8(before)], |row| known.extend(row.uuid(1)))
        });
        let (mut ids, mut changed) = (Vec::new(), Vec::new());
        for range in ranges(actions) {
            let rows = &actions[range];
            let id = hash(rows);
            ids.push(id);
            if known.contains(&id) {
                continue;
            }
            changed.push(id);
            let text = serde_json::to_string(rows).map_err(|e| Error::Damaged(e.to_string()))?;
            STORE.with(|statement| statement.write(&[datum::uuid(id), datum::text(&text)], |_| {}));
        }
        Ok(Chunks { ids, changed })
    }
}

/// Where the chunks are among actions in the order of their numbers.
fn ranges(actions: &[ActionRow]) -> Vec<Range<usize>> {
    let mut first = 0;
    let of_chunk = |a: &ActionRow, b: &ActionRow| a.number / NUMBERS == b.number / NUMBERS;
    let chunks = actions.chunk_by(of_chunk).map(|chunk| {
        let begin = first;
        first += chunk.len();
        begin..first
    });
    chunks.collect()
}

/// The first half of the SHA-256 hash of all that they say.
fn hash(actions: &[ActionRow]) -> Uuid {
    let mut bytes = vec![VERSION];
    let mut add = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    for action in actions {
        add(&action.number.to_le_bytes());
        add(&action.cost.to_bits().to_le_bytes());
        add(action.action.as_bytes());
        add(action.attributes.get().as_bytes());
        for optional in [&action.campaign, &action.eligible_when, &action.purpose] {
            match optional {
                None => add(&[]),
                Some(text) => {
                    add(&[1]);
                    add(text.as_bytes());
                }
            }
        }
        for list in [&action.surfaces, &action.former] {
            add(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|name| add(name.as_bytes()));
        }
        add(&[u8::from(action.for_variants)]);
    }
    let digest = Sha256::digest(&bytes);
    let (half, _) = digest.split_at(16);
    Uuid::from_slice(half).expect("16 bytes")
}

/// The actions of a bundle.
pub fn of_bundle(bundle: i64) -> Result<Vec<ActionRow>, Error> {
    let mut actions: Vec<ActionRow> = Vec::new();
    let mut damage = None;
    let mut add = |row: Row<'_>| {
        let rows = match row.get::<&str>(1) {
            Some(text) => serde_json::from_str::<Vec<ActionRow>>(text).map_err(|e| e.to_string()),
            None => Err(format!(
                "actions of bundle {bundle} are missing in decide.bundle_chunk"
            )),
        };
        match rows {
            Ok(rows) => actions.extend(rows),
            Err(reason) => damage = Some(Error::Damaged(reason)),
        }
    };
    STORED.with(|statement| statement.read(&[datum::int8(bundle)], &mut add));
    damage.map_or(Ok(actions), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(number: i32) -> ActionRow {
        ActionRow {
            number,
            action: format!("a{number}"),
            campaign: None,
            surfaces: vec!["home".to_owned()],
            attributes: RawValue::from_string("{}".to_owned()).unwrap(),
            eligible_when: None,
            cost: 1.0,
            former: Vec::new(),
            purpose: None,
            for_variants: false,
        }
    }

    #[test]
    fn chunks_have_neighbouring_numbers() {
        let actions: Vec<ActionRow> = [1, 2, 255, 256, 511, 70_000].map(action).into();
        assert_eq!(ranges(&actions), [0..3, 3..5, 5..6]);
        assert!(ranges(&[]).is_empty());
    }

    #[test]
    fn every_field_changes_the_hash() {
        let changes: [fn(&mut ActionRow); 10] = [
            |of| of.number = 2,
            |of| of.action.push('x'),
            |of| of.campaign = Some(String::new()),
            |of| of.eligible_when = Some(String::new()),
            |of| of.purpose = Some(String::new()),
            |of| of.surfaces.clear(),
            |of| of.surfaces.push(String::new()),
            |of| of.former.push("home".to_owned()),
            |of| of.cost = 2.0,
            |of| of.attributes = RawValue::from_string("{\"a\":1}".to_owned()).unwrap(),
        ];
        let mut seen = HashSet::from([hash(&[action(1)])]);
        for (i, change) in changes.into_iter().enumerate() {
            let mut changed = action(1);
            change(&mut changed);
            assert!(seen.insert(hash(&[changed])), "change {i}");
        }
        assert_eq!(hash(&[action(1)]), hash(&[action(1)]));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut whole = action(7);
        whole.campaign = Some("c \"1\"".to_owned());
        whole.former = vec!["b".to_owned()];
        whole.cost = 0.1;
        let text = serde_json::to_string(&[action(1), whole]).unwrap();
        assert!(text.contains("\"cost\":1}"), "{text}");
        let read: Vec<ActionRow> = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read[1].cost, 0.1);
    }
}
