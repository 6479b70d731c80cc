//! The SQL functions of this room.

use pgrx::prelude::*;

use super::pseudonym;
use crate::error::OrRaise;
use crate::pg::invalidation::{self, Watch};

#[pg_extern(sql = false)]
fn user_key_text(user_id: Option<&str>) -> pgrx::Uuid {
    user_key(user_id)
}

#[pg_extern(sql = false)]
fn user_key_bigint(user_id: Option<i64>) -> pgrx::Uuid {
    user_key(user_id.map(|id| id.to_string()).as_deref())
}

#[pg_extern(sql = false)]
fn user_key_uuid(user_id: Option<pgrx::Uuid>) -> pgrx::Uuid {
    user_key(
        user_id
            .map(|id| uuid::Uuid::from_bytes(*id.as_bytes()).to_string())
            .as_deref(),
    )
}

fn user_key(user_id: Option<&str>) -> pgrx::Uuid {
    invalidation::changes(Watch::Publication);
    let user_id = pseudonym::user_id(user_id).or_raise();
    let key = pseudonym::key().or_raise();
    pgrx::Uuid::from_bytes(*key.of(user_id).as_bytes())
}
