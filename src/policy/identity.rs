//! Identities behind the names of policy: what is renamed keeps its number, and with it its counters.
//!
//! A row keeps the number that belongs to its id. A row with a new id, as after DELETE and INSERT by a configuration
//! tool, takes the number of the deleted row that had its name last; without one it gets the next number.

use pgrx::pg_sys::{BOOLOID, INT4OID, TEXTOID};

use crate::error::Error;
use crate::govern::{modes, switches};
use crate::pg::{Row, Statement, datum};

thread_local! {
    static CHANGES: Statement = const { Statement::new(include_str!("identity/changes.sql"), &[TEXTOID]) };
    static RENAMED: Statement = const { Statement::new(include_str!("identity/renamed.sql"), &[TEXTOID]) };
    static BACK: Statement = const { Statement::new(include_str!("identity/back.sql"), &[TEXTOID, BOOLOID]) };
    static NEW: Statement = const { Statement::new(include_str!("identity/new.sql"), &[TEXTOID]) };
    static FORGET: Statement = const { Statement::new(include_str!("identity/forget.sql"), &[TEXTOID]) };
    static FEATURES: Statement = const { Statement::new(
        "UPDATE decide.feature_slot AS l SET feature = i.name FROM decide.identity AS i \
          WHERE i.kind = 'feature' AND i.number = l.number AND i.name <> l.feature", &[]) };
    static CAPS: Statement = const { Statement::new(include_str!("identity/shown.sql"), &[]) };
    static NOTE: Statement = const { Statement::new(
        "INSERT INTO decide.name_change (number, kind, identity, old, new, acting_as) \
         SELECT COALESCE(pg_catalog.max(c.number), 0) + 1, $1, $2, $3, $4, $5 FROM decide.name_change AS c",
        &[TEXTOID, INT4OID, TEXTOID, TEXTOID, TEXTOID]) };
}

/// A row that has another name than before.
struct Renaming {
    kind: String,
    number: i32,
    old: String,
    new: String,
}

/// Gives each row of a kind, or of all, its number; notes what was renamed and who the caller was,
/// and renames in kills and modes. Whoever calls it has locked decide.publication.
pub fn settle(kind: Option<&str>, caller: &str) -> Result<(), Error> {
    let mut renamed: Vec<Renaming> = Vec::new();
    let of_kind = datum::optional_text(kind);
    let mut note = |row: Row<'_>| {
        let (kind, old, new): (String, String, String) = (row.must(1), row.must(2), row.must(3));
        if old != new {
            renamed.push(Renaming {
                kind,
                number: row.must(4),
                old,
                new,
            });
        }
    };
    // Each of these looks at all rows, of which hundreds of thousands may be as they were.
    let (mut is_new, mut is_renamed, mut has_former) = (false, false, false);
    CHANGES.with(|statement| {
        statement.write(&[of_kind], |row| {
            is_new = row.must(1);
            is_renamed = row.must::<bool>(2) || row.must(3);
            has_former = row.must(4);
        })
    });
    if is_renamed {
        RENAMED.with(|statement| statement.write(&[of_kind], &mut note));
    }
    if is_new {
        for by_former_name in [false, true] {
            let args = [of_kind, datum::bool(by_former_name)];
            BACK.with(|statement| statement.write(&args, &mut note));
        }
        NEW.with(|statement| statement.write(&[of_kind], |_| {}));
    }
    if has_former || is_renamed || is_new {
        FORGET.with(|statement| statement.write(&[of_kind], |_| {}));
    }
    FEATURES.with(|statement| statement.write(&[], |_| {}));
    for renaming in &renamed {
        NOTE.with(|statement| {
            let args = [
                datum::text(&renaming.kind),
                datum::int4(renaming.number),
                datum::text(&renaming.old),
                datum::text(&renaming.new),
                datum::text(caller),
            ];
            statement.write(&args, |_| {})
        });
    }
    let of = |kind: &str| -> Vec<(&str, &str)> {
        let renamed = renamed.iter().filter(|renaming| renaming.kind == kind);
        renamed
            .map(|renaming| (renaming.old.as_str(), renaming.new.as_str()))
            .collect()
    };
    modes::follow(&of("surface"), caller)?;
    for kind in switches::FOLLOWING {
        switches::follow(kind, &of(kind.as_str()), caller)?;
    }
    Ok(())
}

/// Brings the names in decide.cap_slot up to date. Rows must have their numbers.
pub fn show_names_of_caps() {
    CAPS.with(|statement| statement.write(&[], |_| {}));
}
