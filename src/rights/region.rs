//! The region of a person, as the application or the privacy officer records it.

use uuid::Uuid;

use super::consent::lock;
use crate::error::{Error, printable};
use crate::pg::Session;
use crate::policy;

/// Records it, None where it is not known; whether it is in force, since no newer one is known.
pub fn set(user_key: Uuid, region: Option<&str>, at: i64) -> Result<bool, Error> {
    super::consent::must_be_past(at)?;
    let bundle = policy::live()?;
    let number = region.map(|name| {
        let unknown = || Error::Unknown {
            kind: "region",
            name: printable(name),
            detail: "The bundle in force has none of that name.",
            hint: "decide.region lists them; publish a new one. Null says that the region is not known.",
        };
        bundle.regions.number(name).ok_or_else(unknown)
    });
    let number = number.transpose()?;
    let _session = Session::open();
    let (user_key, mut row, locked) = lock(user_key);
    // Of the past of a person who was erased nothing is kept.
    let is_past = row.not_before.is_some_and(|not_before| at <= not_before);
    let is_in_force = !is_past && row.consents.set_region(number, at);
    match is_in_force {
        true => row.write(user_key, locked),
        false if row.is_blank() => policy::UserRow::delete(user_key),
        false => {}
    }
    Ok(is_in_force)
}
