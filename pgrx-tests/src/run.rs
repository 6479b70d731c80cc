//! Running other programs: with a clean environment, progress, and errors that say what happened.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::interrupt::Cleanup;

/// A command without the variables that cargo and libpq would pass on from our surroundings.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let of_cargo_run = ["CARGO_PKG_", "CARGO_BIN_", "CARGO_MANIFEST_"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        let of_libpq = text.starts_with("PG") && !text.starts_with("PGRX_");
        if of_cargo_run || of_libpq || text == "LD_LIBRARY_PATH" {
            command.env_remove(&name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end and returns what it printed; its failure is an error that shows why.
pub fn output(command: &mut Command) -> Result<String> {
    let program = name_of(command);
    let output = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{program} failed ({}):\n{}",
            output.status,
            tail(&format!("{printed}{complaint}"), 40)
        );
    }
    Ok(printed)
}

/// How a command that was watched came out.
pub struct Watched {
    pub success: bool,
    pub output: String,
    pub elapsed: Duration,
}

/// Runs a command behind a spinner with its latest line; returns all it printed on both streams.
pub fn watch(command: &mut Command, what: &str) -> Result<Watched> {
    let program = name_of(command);
    let bar = spinner(what);
    let begun = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let group = Pid::from_raw(i32::try_from(child.id())?);
    let on_interrupt = Cleanup::new(move || end_group(group));
    let (sender, lines) = mpsc::channel();
    forward(child.stdout.take(), sender.clone());
    forward(child.stderr.take(), sender);
    let mut output = String::new();
    for line in lines {
        if let Some(word) = line
            .split('\r')
            .next_back()
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            bar.set_message(word.to_owned());
        }
        let _ = writeln!(output, "{line}");
    }
    let success = child.wait()?.success();
    on_interrupt.disarm();
    bar.finish_and_clear();
    Ok(Watched {
        success,
        output,
        elapsed: begun.elapsed(),
    })
}

/// Carries out a step that takes long; says that it was done and how long it took.
pub fn step(command: &mut Command, what: &str) -> Result<()> {
    let program = name_of(command);
    let watched = watch(command, what)?;
    if !watched.success {
        bail!(
            "{what} failed; {program} said:\n{}",
            tail(&watched.output, 60)
        );
    }
    eprintln!("{what}: done in {}", HumanDuration(watched.elapsed));
    Ok(())
}

/// The spinners of all threads, one below the other.
static SPINNERS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Prints a line, or several, above the spinners.
pub fn print(text: &str) {
    SPINNERS.suspend(|| println!("{text}"));
}

/// A spinner with elapsed time; where there is no terminal, one plain line instead.
pub fn spinner(what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        eprintln!("{what} …");
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg:.dim}")
        .expect("the template is well formed");
    let bar = SPINNERS.add(ProgressBar::new_spinner());
    bar.set_style(style);
    bar.set_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Ends a program and all that it has started in its group, and waits until they are gone.
fn end_group(group: Pid) {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let _ = killpg(group, signal);
        for _ in 0..50 {
            if killpg(group, None).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Sends the lines of a stream to the one who collects them.
fn forward(stream: Option<impl Read + Send + 'static>, sender: mpsc::Sender<String>) {
    let Some(stream) = stream else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
        }
    });
}

/// The program of a command, as errors name it.
fn name_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    // Behind `setpriv … --` or `nice … --` stands the program that matters.
    let own = words
        .iter()
        .position(|word| word == "--")
        .filter(|_| ["setpriv", "nice"].contains(&&*words[0]));
    words[own.map_or(0, |at| at + 1)].to_string()
}
