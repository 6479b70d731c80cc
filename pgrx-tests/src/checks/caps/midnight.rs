//! A limit per user and day, with all sessions deciding for the same few users.

use anyhow::{Result, ensure};

use super::super::shop;
use super::side_by_side;
use crate::temporary::Database;

const SESSIONS: usize = 8;
const DAYS: i64 = 4;

/// Three a day, never more, however many sessions decide for a user at once; and three more the next day.
pub fn for_one_user_at_once(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "INSERT INTO decide.campaign (campaign) VALUES ('spring');
         UPDATE decide.action SET campaign = 'spring' WHERE action IN ('a1', 'a2', 'a3');
         INSERT INTO decide.cap (cap, campaign, per, max_count, window_length, time_zone)
           VALUES ('three a day', 'spring', 'user', 3, '1 day', 'Europe/Berlin');
         SELECT decide.publish('three a day')",
    )?;
    for day in 1..=DAYS {
        decide(database)?;
        let wrong = shop::count(
            &mut client,
            &format!(
                "SELECT count(*) FROM (SELECT user_key, count(*) FILTER (WHERE action IN ('a1', 'a2', 'a3')) AS n \
                   FROM decide.decision GROUP BY 1) AS u WHERE u.n <> 3 * {day}"
            ),
        )?;
        ensure!(wrong == 0, "on day {day} {wrong} users have not had three");
        // What they had is of the day before now: every third number of their only cap is a time.
        client.batch_execute(
            "UPDATE decide.user_state SET exposures = ARRAY(SELECT CASE WHEN e.place % 3 = 0 THEN e.n - 86400000000 ELSE e.n END
                                                              FROM unnest(exposures) WITH ORDINALITY AS e (n, place) ORDER BY e.place)",
        )?;
    }
    let reasons = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.decision AS d WHERE d.reason IS NOT NULL",
    )?;
    ensure!(
        reasons == 0,
        "{reasons} decisions were left to the fallback"
    );
    shop::replay_all(&mut client)?;
    Ok(())
}

/// Each session decides 25 times for each of two users, some of it undone.
fn decide(database: &Database) -> Result<()> {
    side_by_side(database, SESSIONS, |number, mut client| {
        for i in 0..50 {
            let sql = format!("SELECT decide('user {}', 'home')", (i + number) % 2);
            match i % 5 {
                1 => client.batch_execute(&format!("BEGIN; {sql}; {sql}; ROLLBACK"))?,
                2 => client.batch_execute(&format!(
                    "BEGIN; SAVEPOINT s; {sql}; ROLLBACK TO s; {sql}; COMMIT"
                ))?,
                _ => client.batch_execute(&sql)?,
            }
        }
        Ok(())
    })
}
