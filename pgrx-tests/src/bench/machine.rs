//! The state of the machine while something is measured, as Linux tells it.

use std::fs;

/// What its processors have done so far.
pub struct Machine {
    ticks: Option<Vec<u64>>,
}

/// The eighth number of the first line of `/proc/stat`: time that the host gave to others.
const STOLEN: usize = 7;

impl Machine {
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = first
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .take(STOLEN + 1)
            .collect();
        Self {
            ticks: (ticks.len() == STOLEN + 1).then_some(ticks),
        }
    }

    /// One line about the time since then.
    pub fn since(&self) -> String {
        let stolen = || {
            let (before, after) = (self.ticks.as_ref()?, Self::now().ticks?);
            let spent: Vec<u64> = after
                .iter()
                .zip(before)
                .map(|(after, before)| after.saturating_sub(*before))
                .collect();
            let all: u64 = spent.iter().sum();
            Some(100.0 * spent[STOLEN] as f64 / all.max(1) as f64)
        };
        let stolen = stolen().map_or_else(
            || "not known".to_owned(),
            |percent| format!("{percent:.1} % stolen by others on the host"),
        );
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load: Vec<&str> = load.split_whitespace().take(3).collect();
        format!(
            "Machine: {}; processor time {stolen}; frequency {}; load {}",
            model(),
            frequency(),
            load.join(" ")
        )
    }
}

/// The value of a line of `/proc/cpuinfo`, one for each processor.
fn of_processors(name: &str) -> Vec<String> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let values = text.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    });
    values.collect()
}

fn model() -> String {
    let found = of_processors("model name").into_iter().next();
    found.unwrap_or_else(|| "processor not known".to_owned())
}

fn frequency() -> String {
    let found = of_processors("cpu MHz");
    match found.is_empty() {
        true => "not known".to_owned(),
        false => format!("{} MHz at the end", found.join(", ")),
    }
}
