//! Keys of the pseudonyms: rotated under load and through a crash, and kept outside of the database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::Client;

use super::modes::follow;
use super::shop;
use crate::run;
use crate::temporary::{Database, Standby};

/// Persons, whom all sessions decide and track for.
const PERSONS: usize = 24;

/// Sessions of the last round.
const MANY: usize = 64;

/// What a cap allows each of them.
const CAP: i64 = 9;

/// While sessions decide and track for the same persons, known and new, the key is rotated, the job moves persons, and its
/// backend is killed: each event that was accepted counts once, no person has two rows, and no cap is exceeded.
pub fn rotate_under_load(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(&format!(
        "INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('each', 'home', 'user', {CAP}); SELECT decide.publish('a cap')"
    ))?;
    let accepted = rounds(database, &mut client, 3)?;
    // All have been seen since, and are moved; then nobody is left under an older key.
    for i in 0..PERSONS {
        see(&mut client, i)?;
    }
    settle(&mut client)?;
    let people = client.query(
        "SELECT i, decide.user_key('p' || i), \
                (SELECT events FROM decide.user_state WHERE user_key = decide.user_key('p' || i)), \
                (SELECT count(*) FROM decide.event WHERE user_key = ANY (decide.user_keys('p' || i)) AND event_id <> 'seen'), \
                (SELECT count(*) FROM decide.user_state WHERE user_key = ANY (decide.user_keys('p' || i)) AND merged_into IS NULL), \
                (SELECT count(*) FROM decide.decision WHERE user_key = ANY (decide.user_keys('p' || i)) AND reason IS NULL AND action <> 'nothing') \
           FROM generate_series(0, $1) AS i",
        &[&(PERSONS as i32 - 1)],
    )?;
    for person in &people {
        let i: i32 = person.get(0);
        let (events, stored, rows, shown): (i64, i64, i64, i64) =
            (person.get(2), person.get(3), person.get(4), person.get(5));
        let tracked = accepted.get(&(i as usize)).copied().unwrap_or(0);
        ensure!(
            (stored, events) == (tracked, tracked + 1),
            "person {i}: {tracked} events were accepted, {stored} are stored, {events} with the last one count"
        );
        ensure!(rows == 1, "person {i} has {rows} rows");
        ensure!(shown <= CAP, "person {i} was shown {shown} of {CAP}");
    }
    let lost = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.user_state AS s WHERE s.merged_into IS NULL \
            AND s.user_key <> ALL (ARRAY(SELECT decide.user_key('p' || i) FROM generate_series(0, 100) AS i))",
    )?;
    ensure!(lost == 0, "{lost} rows belong to nobody");
    let newest = shop::count(
        &mut client,
        "SELECT count(*) FROM generate_series(0, 23) AS i WHERE decide.key_number(decide.user_key('p' || i)) = 3",
    )?;
    ensure!(
        newest == PERSONS as i64,
        "{newest} persons have the newest key"
    );
    Ok(())
}

/// Rounds of load with a rotation in the middle; in the second one the job's backend is killed. How many events of each
/// person were accepted.
fn rounds(database: &Database, client: &mut Client, rounds: usize) -> Result<HashMap<usize, i64>> {
    let mut accepted: HashMap<usize, i64> = HashMap::new();
    for round in 0..rounds {
        let working = AtomicBool::new(true);
        let done = std::thread::scope(|scope| -> Result<()> {
            let working = &working;
            let many = if round == rounds - 1 { MANY } else { 4 };
            let sessions: Vec<_> = (0..many)
                .map(|_| scope.spawn(move || work(database, working, round)))
                .collect();
            std::thread::sleep(Duration::from_millis(300));
            let turned = turn(database, client, round == 1);
            working.store(false, Ordering::Relaxed);
            for session in sessions {
                for (person, events) in session.join().expect("a session panicked") {
                    *accepted.entry(person).or_default() += events;
                }
            }
            turned
        });
        done.with_context(|| format!("in round {round}"))?;
        if round == 1 {
            *client = database.reconnect(Duration::from_secs(30))?;
            // Whether an event was accepted whose answer did not come, only the table knows.
            for i in 0..PERSONS {
                let stored = format!(
                    "SELECT count(*) FROM decide.event WHERE user_key = ANY (decide.user_keys('p{i}'))"
                );
                accepted.insert(i, shop::count(client, &stored)?);
            }
        }
        settle(client)?;
    }
    Ok(accepted)
}

/// Rotates the key, and runs the job some times.
fn turn(database: &Database, client: &mut Client, crash: bool) -> Result<()> {
    client.batch_execute("SELECT decide.rotate_pseudonyms()")?;
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(100));
        if let Err(error) = client.batch_execute("SELECT decide.run_job('pseudonyms')") {
            ensure!(error.as_db_error().is_some(), "{error}");
        }
    }
    if crash {
        let mut victim = database.connect()?;
        let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[])?.get(0);
        victim.batch_execute("BEGIN; SELECT decide.run_job('pseudonyms')")?;
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        let until = Instant::now() + Duration::from_secs(20);
        while client.simple_query("SELECT 1").is_ok() {
            ensure!(Instant::now() < until, "the server lives on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// Runs the job until the rotation is settled and everybody is moved.
fn settle(client: &mut Client) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(30);
    let left = "SELECT (SELECT count(*) FROM decide.secret WHERE NOT settled) + (SELECT count(*) FROM decide.pseudonym_move)";
    loop {
        client.batch_execute("SELECT decide.run_job('pseudonyms')")?;
        if shop::count(client, left)? == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the rotation does not settle");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn see(client: &mut Client, person: usize) -> Result<()> {
    client.execute(
        "SELECT track(jsonb_build_object('event_id', 'seen', 'type', 'click', 'user_id', $1::text, 'at', clock_timestamp()))",
        &[&format!("p{person}")],
    )?;
    Ok(())
}

/// Tracks and decides for all persons in turn, the later ones new in later rounds; the events that were accepted.
fn work(database: &Database, working: &AtomicBool, round: usize) -> HashMap<usize, i64> {
    let mut accepted = HashMap::new();
    let Ok(mut client) = database.connect() else {
        return accepted;
    };
    let (first, mut number) = (round * PERSONS / 3, 0);
    while working.load(Ordering::Relaxed) {
        // Every event is sent two times, by every session.
        let person = number / 2 * 7 % (first + PERSONS / 3);
        let id = format!("{round}.{}", number / 2);
        number += 1;
        let track = format!(
            "SELECT track(jsonb_build_object('event_id', '{id}', 'type', 'click', 'user_id', 'p{person}', 'at', clock_timestamp()))"
        );
        match client.query_one(&track, &[]) {
            Ok(row) if row.get::<_, &str>(0) == "accepted" => {
                *accepted.entry(person).or_default() += 1
            }
            Ok(_) => {}
            Err(error) if error.as_db_error().is_some() && !client.is_closed() => {
                // A lock that was waited for too long, or a crash.
            }
            Err(_) => return accepted,
        }
        let _ = client.simple_query(&format!("SELECT count(*) FROM decide('p{person}', 'home')"));
    }
    accepted
}

/// Keys in a file or from a command: nothing of them is in a dump, whatever is wrong with them is an error that says so, and
/// nothing is waited for without a limit.
pub fn are_outside(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let file = format!(
        "{}/keys",
        client
            .query_one("SHOW data_directory", &[])?
            .get::<_, String>(0)
    );
    let before = user_key(&mut client)?;
    let drawn: String = client
        .query_one("SELECT key::text FROM decide.secret", &[])?
        .get(0);

    // The key in the table goes where the file has it.
    write(&mut client, &file, &[&drawn], "600")?;
    set(database, "pg_decide.key_file", &file)?;
    let mut client = database.connect()?;
    ensure!(
        user_key(&mut client)? == before,
        "the key in the table is not used"
    );
    client.batch_execute("SELECT decide.run_job('pseudonyms')")?;
    let mut client = database.connect()?;
    ensure!(user_key(&mut client)? == before, "another key is used");
    let kept = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.secret WHERE key IS NOT NULL",
    )?;
    ensure!(kept == 0, "the key is still in the table");
    let dump = run::output(&mut database.client("pg_dump"))?;
    ensure!(
        !dump.contains(drawn.trim_start_matches("\\x")),
        "the dump has the key"
    );

    // Whatever is wrong with the file.
    let new = "a new key of forty characters, or so, is it";
    for (lines, mode, why) in [
        (&[drawn.as_str()][..], "644", "can be read by others"),
        (&[][..], "600", "there is no key in it"),
        (&["short"][..], "600", "key 1 in it is shorter"),
        (
            &[new][..],
            "600",
            "key 0 of decide.pseudonym_key is not among",
        ),
        (&[drawn.as_str()][..], "000", "permission denied"),
    ] {
        write(&mut client, &file, lines, mode)?;
        refuses(&mut database.connect()?, why)?;
    }
    set(database, "pg_decide.key_file", &format!("{file}.gone"))?;
    refuses(&mut database.connect()?, "cannot be read")?;
    set(database, "pg_decide.key_file", "/dev/zero")?;
    refuses(&mut database.connect()?, "no plain file")?;
    set(database, "pg_decide.key_file", "")?;
    refuses(&mut database.connect()?, "are empty")?;
    // Unknown users need none.
    let mut client = database.connect()?;
    client.batch_execute("SET pg_decide.unknown_users = on")?;
    let answers = shop::count(
        &mut client,
        "SELECT count(*) FROM decide(NULL::text, 'home')",
    )?;
    ensure!(answers == 1, "unknown users have no decisions");

    // A rotation takes the first key that is not living yet.
    write(&mut client, &file, &[&drawn], "600")?;
    set(database, "pg_decide.key_file", &file)?;
    let mut client = database.connect()?;
    let refused = client.batch_execute("SELECT decide.rotate_pseudonyms()");
    ensure!(refused.is_err(), "there is no new key to rotate to");
    write(&mut client, &file, &["# newest first", new, &drawn], "600")?;
    client.batch_execute("SELECT decide.rotate_pseudonyms()")?;
    ensure!(user_key(&mut client)? != before, "it has not rotated");
    let kept = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.secret WHERE key IS NOT NULL",
    )?;
    ensure!(kept == 0, "a key is in the table");
    database.server.restart(crate::server::Stop::Fast)?;
    let mut client = database.connect()?;
    ensure!(
        user_key(&mut client)? != before,
        "after a restart it has the old key"
    );
    write(&mut client, &file, &[new], "600")?;
    refuses(&mut database.connect()?, "key 0 of decide.pseudonym_key")?;
    write(&mut client, &file, &[new, &drawn], "600")?;

    // Commands.
    set(database, "pg_decide.key_command", &format!("cat {file}"))?;
    user_key(&mut database.connect()?)?;
    set(database, "pg_decide.key_command", "exit 3")?;
    refuses(&mut database.connect()?, "exit code 3")?;
    set(database, "pg_decide.key_command", "true")?;
    refuses(&mut database.connect()?, "there is no key in it")?;
    set(
        database,
        "pg_decide.key_command",
        "yes a line of no use at all, for ever and ever",
    )?;
    refuses(&mut database.connect()?, "more than 65536 bytes")?;
    set(database, "pg_decide.key_command_timeout", "300")?;
    set(
        database,
        "pg_decide.key_command",
        "sleep 61.75 & sleep 61.75",
    )?;
    let begun = Instant::now();
    refuses(&mut database.connect()?, "has not ended within 300 ms")?;
    ensure!(
        begun.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        begun.elapsed()
    );
    ensure!(sleeping()? == 0, "the command goes on");
    set(database, "pg_decide.key_command_timeout", "60000")?;
    let mut client = database.connect()?;
    client.batch_execute("SET statement_timeout = 300")?;
    let begun = Instant::now();
    let cancelled = client.batch_execute("SELECT decide.user_key('ann')");
    let code = cancelled.err().and_then(|error| error.code().cloned());
    ensure!(
        code.is_some_and(|code| code.code() == "57014"),
        "it cannot be cancelled"
    );
    ensure!(
        begun.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        begun.elapsed()
    );
    ensure!(sleeping()? == 0, "the command goes on after a cancel");
    Ok(())
}

/// A standby takes the keys from the same command: it knows persons by the newest key as soon as it has replayed the
/// rotation, and without the key it says so.
pub fn are_outside_on_a_standby(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let folder: String = client.query_one("SHOW data_directory", &[])?.get(0);
    let file = format!("{folder}/keys");
    let drawn: String = client
        .query_one("SELECT key::text FROM decide.secret", &[])?
        .get(0);
    write(&mut client, &file, &[&drawn], "600")?;
    set(database, "pg_decide.key_command", &format!("cat {file}"))?;
    let mut client = database.connect()?;
    client.batch_execute("SELECT decide.run_job('pseudonyms')")?;
    let before = user_key(&mut client)?;
    let standby = Standby::of(database.server)?;
    let mut follower = standby.connect(&database.name)?;
    let known =
        "SELECT decide.user_key('ann')::text, (SELECT count(*) FROM decide.explain('ann', 'home'))";
    follow(&mut client, &mut follower)?;
    let there: String = follower.query_one(known, &[])?.get(0);
    ensure!(there == before, "the standby has another pseudonym");
    let new = "a new key of forty characters, or so, is it";
    write(&mut client, &file, &[new, &drawn], "600")?;
    client.batch_execute("SELECT decide.rotate_pseudonyms()")?;
    client.batch_execute("SELECT count(*) FROM decide('somebody new', 'home')")?;
    follow(&mut client, &mut follower)?;
    for who in ["ann", "somebody new"] {
        let of = |client: &mut Client| -> Result<String> {
            let key = "SELECT decide.user_key($1::text)::text";
            Ok(client.query_one(key, &[&who])?.get(0))
        };
        let (here, there) = (of(&mut client)?, of(&mut follower)?);
        ensure!(here == there, "{who} is {here}, and on the standby {there}");
    }
    write(&mut client, &file, &[&drawn], "600")?;
    let refused = standby.connect(&database.name)?.query_one(known, &[]);
    let code = refused.err().and_then(|error| error.code().cloned());
    ensure!(
        code.as_ref().is_some_and(|code| code.code() == "F0000"),
        "without its key the standby answers {code:?}"
    );
    Ok(())
}

/// How many of the test's commands run.
fn sleeping() -> Result<usize> {
    std::thread::sleep(Duration::from_millis(200));
    let mut found = 0;
    for process in std::fs::read_dir("/proc")? {
        let line = std::fs::read(process?.path().join("cmdline")).unwrap_or_default();
        found += usize::from(line.starts_with(b"sleep\x0061.75"));
    }
    Ok(found)
}

fn user_key(client: &mut Client) -> Result<String> {
    Ok(client
        .query_one(
            "SELECT decide.user_key('ann')::text, count(*) FROM decide('ann', 'home')",
            &[],
        )?
        .get(0))
}

/// Decisions and events for known users are refused, with an error that says why.
fn refuses(client: &mut Client, why: &str) -> Result<()> {
    for call in [
        "SELECT count(*) FROM decide('ann', 'home')",
        "SELECT track('{\"event_id\": \"1\", \"type\": \"click\", \"user_id\": \"ann\", \"at\": \"2026-01-01T00:00:00Z\"}'::jsonb)",
        "SELECT decide.erase('ann')",
    ] {
        let error = match client.batch_execute(call) {
            Ok(()) => bail!("{call} is not refused, though it is so that: {why}"),
            Err(error) => error,
        };
        let error = error.as_db_error().context("no error of the server")?;
        ensure!(
            error.code().code() == "F0000",
            "{}: {}",
            error.code().code(),
            error.message()
        );
        let detail = error.detail().unwrap_or_default();
        ensure!(detail.contains(why), "{detail}, and not {why}");
        ensure!(error.hint().is_some(), "there is no hint");
    }
    Ok(())
}

/// Writes the file as the server's user.
fn write(client: &mut Client, file: &str, lines: &[&str], mode: &str) -> Result<()> {
    client.batch_execute(&format!(
        "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; rm -f {file}'"
    ))?;
    let rows: Vec<String> = lines.iter().map(|line| format!("('{line}')")).collect();
    let rows = match rows.is_empty() {
        true => "SELECT '# nothing'".to_owned(),
        false => format!("VALUES {}", rows.join(", ")),
    };
    client.batch_execute(&format!(
        "COPY ({rows}) TO '{file}' WITH (FORMAT csv, QUOTE e'\\x01')"
    ))?;
    client.batch_execute(&format!(
        "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; chmod {mode} {file}'"
    ))?;
    Ok(())
}

/// Changes a setting, and waits until new sessions have it.
fn set(database: &Database, setting: &str, value: &str) -> Result<()> {
    let mut client = database.connect()?;
    client.batch_execute(&format!("ALTER SYSTEM SET {setting} = '{value}'"))?;
    client.batch_execute("SELECT pg_reload_conf()")?;
    let until = Instant::now() + Duration::from_secs(20);
    let shown = format!("SELECT setting FROM pg_settings WHERE name = '{setting}'");
    loop {
        let mut new = database.connect()?;
        let now: Option<String> = new.query_opt(&shown, &[])?.map(|row| row.get(0));
        if now.as_deref() == Some(value) {
            return Ok(());
        }
        // Before the library is loaded nobody knows the setting.
        new.batch_execute("LOAD 'pg_decide'")?;
        ensure!(Instant::now() < until, "{setting} is {now:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
