//! Keys of the pseudonyms that are outside of the database: lines of a file, or of what a command prints.
//!
//! Each session reads them itself, as the operating system's user of the server, when it first needs one, and again when
//! one is asked for that it has not read. Whatever keeps it from reading them is an error of each decision, so a failure
//! is remembered for a moment, and nothing is waited for without a limit.

use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::pg::session;
use crate::settings;

/// Shortest key, in bytes of text.
const SHORTEST: usize = 32;

/// Most that a file or a command may have, in bytes.
const MOST: u64 = 65_536;

/// How long a failure is remembered: so that a session with many decisions does not run a command for each.
const PAUSE: Duration = Duration::from_secs(1);

/// How long nothing is looked for while a command has nothing to say.
const POLL: Duration = Duration::from_millis(10);

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(String),
    Command(String),
}

struct Seen {
    source: Source,
    at: Instant,
    keys: Result<Rc<Vec<Vec<u8>>>, String>,
}

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// Where the settings say that keys are, if they do.
pub fn source() -> Option<Source> {
    settings::key_command()
        .map(Source::Command)
        .or_else(|| settings::key_file().map(Source::File))
}

/// The keys that this session has read last, or else reads now.
pub fn known() -> Result<Rc<Vec<Vec<u8>>>, Error> {
    let source = source()
        .ok_or_else(|| unavailable("pg_decide.key_file and pg_decide.key_command are empty"))?;
    let kept = SEEN.with_borrow(|seen| {
        let seen = seen.as_ref().filter(|seen| seen.source == source)?;
        let is_kept = seen.keys.is_ok() || seen.at.elapsed() < PAUSE;
        is_kept.then(|| seen.keys.clone())
    });
    match kept {
        Some(keys) => keys.map_err(|why| unavailable(&why)),
        None => read_again(),
    }
}

/// Reads them again.
pub fn read_again() -> Result<Rc<Vec<Vec<u8>>>, Error> {
    let source = source()
        .ok_or_else(|| unavailable("pg_decide.key_file and pg_decide.key_command are empty"))?;
    let text = match &source {
        Source::File(path) => of_file(path),
        Source::Command(command) => of_command(command),
    };
    let keys = text.and_then(|text| keys_of(&text)).map(Rc::new);
    SEEN.set(Some(Seen {
        source,
        at: Instant::now(),
        keys: keys.clone(),
    }));
    keys.map_err(|why| unavailable(&why))
}

/// The error of keys that cannot be had.
pub fn unavailable(why: &str) -> Error {
    Error::NoKey(why.to_owned())
}

/// One key a line; empty lines and those that begin with # are none.
fn keys_of(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys = lines.enumerate().map(|(i, line)| {
        let key = bytes_of(line).filter(|_| line.len() >= SHORTEST);
        key.ok_or_else(|| format!("key {} in it is shorter than {SHORTEST} characters, or begins with \\x and is not hexadecimal", i + 1))
    });
    let keys = keys.collect::<Result<Vec<Vec<u8>>, String>>()?;
    match keys.is_empty() {
        true => Err("there is no key in it".into()),
        false => Ok(keys),
    }
}

/// A line as it is, or what it says in hexadecimal, as psql shows the column decide.secret.key.
fn bytes_of(line: &str) -> Option<Vec<u8>> {
    let Some(digits) = line.strip_prefix("\\x") else {
        return Some(line.as_bytes().to_vec());
    };
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs
        .map(|pair| byte(pair).filter(|_| pair.len() == 2))
        .collect()
}

fn of_file(path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| {
        format!(
            "the file of pg_decide.key_file cannot be read: {}",
            error.kind()
        )
    };
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        return Err("pg_decide.key_file is no plain file".into());
    }
    // As the server demands of the key of its certificate.
    let mine = std::fs::metadata("/proc/self").or_else(|_| std::fs::metadata("."));
    let is_mine = mine.is_ok_and(|mine| mine.uid() == about.uid());
    let forbidden =
        match (is_mine, about.uid()) {
            (true, _) => 0o077,
            (false, 0) => 0o027,
            (false, _) => return Err(
                "the file of pg_decide.key_file belongs neither to the server's user nor to root"
                    .into(),
            ),
        };
    if about.mode() & forbidden != 0 {
        return Err("the file of pg_decide.key_file can be read by others: its mode must be 0600 or less, or 0640 if root owns it".into());
    }
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MOST).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// A command that is running; it is killed, with what it has started, when it is not waited for any more.
struct Running(Option<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else {
            return;
        };
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        let group = format!("-{}", child.id());
        let _ = Command::new("/bin/kill")
            .args(["-KILL", "--", &group])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn of_command(command: &str) -> Result<String, String> {
    let failed = |what: &str, error: std::io::Error| {
        format!(
            "the command of pg_decide.key_command cannot be {what}: {}",
            error.kind()
        )
    };
    let (mut output, input) = UnixStream::pair().map_err(|error| failed("run", error))?;
    output
        .set_nonblocking(true)
        .map_err(|error| failed("run", error))?;
    let timeout = settings::key_command_timeout();
    let until = Instant::now() + timeout;
    let mut running = {
        let child = Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::from(OwnedFd::from(input)))
            .process_group(0)
            .spawn();
        Running(Some(child.map_err(|error| failed("run", error))?))
    };
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        session::check_interrupts();
        if Instant::now() >= until {
            return Err(format!(
                "the command of pg_decide.key_command has not ended within {} ms",
                timeout.as_millis()
            ));
        }
        match output.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) if text.len() + bytes > MOST as usize => {
                return Err(format!(
                    "the command of pg_decide.key_command prints more than {MOST} bytes"
                ));
            }
            Ok(bytes) => text.extend_from_slice(&buffer[..bytes]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(POLL),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed("read", error)),
        }
    }
    loop {
        session::check_interrupts();
        let child = running.0.as_mut().expect("it runs");
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(Some(status)) => {
                return Err(match status.code() {
                    Some(code) => format!(
                        "the command of pg_decide.key_command has ended with the exit code {code}"
                    ),
                    None => "the command of pg_decide.key_command was ended by a signal".into(),
                });
            }
            Ok(None) if Instant::now() >= until => {
                return Err(format!(
                    "the command of pg_decide.key_command has not ended within {} ms",
                    timeout.as_millis()
                ));
            }
            Ok(None) => std::thread::sleep(POLL),
            Err(error) => return Err(failed("waited for", error)),
        }
    }
    String::from_utf8(text)
        .map_err(|_| "the command of pg_decide.key_command prints what is no text".into())
}

#[cfg(test)]
mod tests {
    use super::keys_of;

    #[test]
    fn a_key_is_a_line_that_is_long_enough() {
        let long = "0123456789abcdef0123456789abcdef";
        let text = format!("# newest first\n{long}\n\n  {long}x  \n\\x{long}\n");
        let keys = keys_of(&text).unwrap();
        assert_eq!(keys[..2], [long.as_bytes(), format!("{long}x").as_bytes()]);
        assert_eq!(
            keys[2],
            [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(2)
        );
        assert!(keys_of("# nothing\n\n").is_err());
        assert!(
            keys_of(&format!("{long}\nshort"))
                .unwrap_err()
                .contains("key 2")
        );
        assert!(keys_of(&format!("\\x{long}0")).is_err());
        assert!(keys_of(&format!("\\x{long}zz")).is_err());
    }
}
