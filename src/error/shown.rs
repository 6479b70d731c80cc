//! What messages show of names and faults.

use std::borrow::Cow;
use std::fmt;

/// One fault of the policy tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub table: &'static str,
    pub row: String,
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = cut(&self.reason, LONGEST_MESSAGE);
        write!(
            out,
            "{} \"{}\": {reason}",
            self.table,
            cut(&self.row, LONGEST_NAME)
        )
    }
}

/// The faults in order, one per line, up to a hundred.
pub(super) fn list(faults: &[Fault]) -> String {
    const MOST: usize = 100;
    let mut lines: Vec<String> = faults.iter().take(MOST).map(Fault::to_string).collect();
    if faults.len() > MOST {
        lines.push(format!("and {} more", faults.len() - MOST));
    }
    lines.join("\n")
}

/// The most characters of a name that a message shows: as many as a name can have.
const LONGEST_NAME: usize = 200;

/// The most characters of a message.
pub(super) const LONGEST_MESSAGE: usize = 1_000;

/// A name as messages show it: control characters escaped, and cut to the longest name.
pub fn printable(name: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_debug().to_string(),
        false => c.to_string(),
    };
    cut(name, LONGEST_NAME).chars().map(shown).collect()
}

/// The first `most` characters of a text, with an ellipsis if there are more.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}
