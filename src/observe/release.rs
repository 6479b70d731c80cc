//! Quarantined events are tracked again, repaired.

use uuid::Uuid;

use super::Ingest;
use super::contract::{Arrival, EventUser, Sender};
use super::quarantine::{self, Repaired};
use super::receipt::{Counts, Receipt};
use crate::error::Error;
use crate::pg::json::{Field, Json};
use crate::pg::{Session, session};

/// Tracks a quarantined event again, with what `patch` changes in it. It leaves the quarantine unless it is still
/// invalid; then it stays, as patched, with the reasons that are left. An event that a patch would make too large or
/// too deep stays as it was.
pub fn release(id: Uuid, patch: &Json<'_>) -> Result<Receipt, Error> {
    must_be_object(patch)?;
    let unknown = || Error::UnknownQuarantined(id.to_string());
    release_if_there(&Ingest::open()?, id, patch).ok_or_else(unknown)
}

/// The same for all events that have a reason, given whole or by its code.
pub fn release_all(reason: &str, patch: &Json<'_>) -> Result<Counts, Error> {
    must_be_object(patch)?;
    let ingest = Ingest::open()?;
    let _session = Session::open();
    let mut counts = Counts::default();
    for id in quarantine::with_reason(reason) {
        // Another session may have released it meanwhile.
        if let Some(receipt) = release_if_there(&ingest, id, patch) {
            counts.add(receipt);
        }
        session::check_interrupts();
    }
    Ok(counts)
}

fn release_if_there(ingest: &Ingest, id: Uuid, patch: &Json<'_>) -> Option<Receipt> {
    let _session = Session::open();
    let mut receipt = None;
    quarantine::repair(id, patch, |repaired| {
        receipt = Some(track_again(ingest, id, &repaired));
    });
    receipt
}

fn must_be_object(patch: &Json<'_>) -> Result<(), Error> {
    match patch.is_object() {
        true => Ok(()),
        false => Err(Error::PatchNotObject),
    }
}

/// How late it is depends on when it was received, not on when it is released.
fn track_again(ingest: &Ingest, id: Uuid, repaired: &Repaired<'_>) -> Receipt {
    let arrival = Arrival {
        user: match (repaired.user_key, repaired.event.get("user_id")) {
            (Some(user_key), None | Some(Field::Null)) => EventUser::ByKey(user_key),
            _ => EventUser::ByUserId,
        },
        // An event that a client has sent with the event_id of a row does not become the row's.
        sender: match repaired.was_reserved {
            true => Sender::Client,
            false => Sender::TrackedTable,
        },
        received: repaired.received,
        done: &repaired.done,
    };
    match ingest.take(&repaired.event, &arrival) {
        Ok(receipt) => {
            quarantine::remove(id);
            receipt
        }
        Err(invalid) => {
            quarantine::update(id, &invalid);
            Receipt::Quarantined
        }
    }
}
