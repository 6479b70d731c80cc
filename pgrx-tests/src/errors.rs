//! docs/errors.md has a row for every error of src/error.rs, with its message and its SQLSTATE.

use std::fs;

use crate::workspace::Workspace;

/// The SQLSTATEs that src/error.rs uses, by the name that it uses.
const STATES: &[(&str, &str)] = &[
    ("ERRCODE_CONFIG_FILE_ERROR", "F0000"),
    ("ERRCODE_DATA_CORRUPTED", "XX001"),
    ("ERRCODE_INSUFFICIENT_PRIVILEGE", "42501"),
    ("ERRCODE_INVALID_PARAMETER_VALUE", "22023"),
    ("ERRCODE_INVALID_TEXT_REPRESENTATION", "22P02"),
    ("ERRCODE_LOCK_NOT_AVAILABLE", "55P03"),
    ("ERRCODE_NO_DATA_FOUND", "P0002"),
    ("ERRCODE_NULL_VALUE_NOT_ALLOWED", "22004"),
    ("ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE", "22003"),
    ("ERRCODE_OBJECT_IN_USE", "55006"),
    ("ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE", "55000"),
    ("ERRCODE_PROGRAM_LIMIT_EXCEEDED", "54000"),
    ("ERRCODE_READ_ONLY_SQL_TRANSACTION", "25006"),
    ("ERRCODE_T_R_SERIALIZATION_FAILURE", "40001"),
    ("ERRCODE_UNDEFINED_OBJECT", "42704"),
];

/// An error as the code has it: its SQLSTATE, and its messages in parts, between which something is put in.
struct Raised {
    state: &'static str,
    message: Vec<String>,
}

/// The errors of the code. The message follows the name of its SQLSTATE, as one text or, in a match, as several; an error
/// whose message is not there is described where it is made.
fn raised(code: &str) -> Vec<Raised> {
    let mut found = Vec::new();
    let parts = code.split("fn parts").nth(1).expect("the errors");
    let parts = parts
        .split("/// Adds the number")
        .next()
        .expect("their end");
    for part in parts
        .split("(\n")
        .filter(|part| part.trim_start().starts_with("ERRCODE_"))
    {
        let name: String = part
            .trim_start()
            .chars()
            .take_while(|c| *c != ',')
            .collect();
        let state = STATES.iter().find(|(known, _)| *known == name);
        let (_, state) = state.unwrap_or_else(|| panic!("{name} is not in the list of this test"));
        for text in texts(message_of(part)) {
            let message = between_braces(&text);
            found.push(Raised { state, message });
        }
    }
    found
}

/// What stands between the SQLSTATE and the DETAIL.
fn message_of(part: &str) -> &str {
    let after = part.split_once(",\n").map_or("", |(_, rest)| rest);
    let ends = [
        "\n                None,",
        "\n                Some(",
        "\n                hint(",
        "\n                hint,",
    ];
    let end = ends.iter().filter_map(|end| after.find(end)).min();
    &after[..end.unwrap_or(after.len())]
}

/// The string constants of some code.
fn texts(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        if c != '"' {
            continue;
        }
        let mut text = String::new();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => text.extend(chars.next()),
                c => text.push(c),
            }
        }
        found.push(text);
    }
    found
}

/// The parts of a format between what it puts in.
fn between_braces(format: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for (i, part) in format.split('{').enumerate() {
        parts.push(match (i, part.split_once('}')) {
            (0, _) | (_, None) => part.to_owned(),
            (_, Some((_, rest))) => rest.to_owned(),
        });
    }
    parts
}

/// Whether a text has these parts, in order, and something between them.
fn has_parts(text: &str, parts: &[String]) -> bool {
    let [first, rest @ ..] = parts else {
        return false;
    };
    let Some(mut text) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    let Some((last, middle)) = rest.split_last() else {
        return text.is_empty();
    };
    for part in middle {
        let Some(at) = text.get(1..).and_then(|text| text.find(part.as_str())) else {
            return false;
        };
        text = &text[1 + at + part.len()..];
    }
    text.len() > last.len() && text.ends_with(last.as_str())
}

/// Messages of the documents, each with what its row says behind it.
fn documented(page: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for line in page.lines() {
        let Some((cell, rest)) = line
            .strip_prefix("| `")
            .and_then(|line| line.split_once(" | "))
        else {
            continue;
        };
        for message in cell.split('`').step_by(2) {
            // What is wrong with a request stands behind its number.
            let message = message.strip_prefix("request …: ").unwrap_or(message);
            rows.push((message.replace('…', "\u{1}\u{1}"), rest.to_owned()));
        }
    }
    rows
}

#[test]
fn every_error_has_its_row() {
    let workspace = Workspace::find().unwrap();
    let read = |path: &str| fs::read_to_string(workspace.root().join(path)).unwrap();
    let raised = raised(&read("src/error.rs"));
    assert!(raised.len() > 30, "only {} errors", raised.len());
    let rows = documented(&read("docs/errors.md"));
    let mut missing = Vec::new();
    for error in &raised {
        let mut rows = rows
            .iter()
            .filter(|(message, _)| has_parts(message, &error.message));
        if !rows.any(|(_, rest)| rest.starts_with(error.state)) {
            missing.push(format!("{} `{}`", error.state, error.message.join("…")));
        }
    }
    assert!(
        missing.is_empty(),
        "docs/errors.md has no row of:\n{}",
        missing.join("\n")
    );
}

#[test]
fn messages_are_read_with_what_is_put_into_them() {
    let code = "fn parts\n(\n                ERRCODE_NO_DATA_FOUND,\n                match n { 1 => \"one \\\"row\\\"\".into(), n => format!(\"{n} rows of {what}\") },\n                None,\n /// Adds the number";
    let found = raised(code);
    assert_eq!(found[0].message, ["one \"row\""]);
    assert_eq!(found[1].message, ["", " rows of ", ""]);
    assert!(
        has_parts("12 rows of x", &found[1].message) && !has_parts(" rows of x", &found[1].message)
    );
    assert!(
        has_parts("one \"row\"", &found[0].message)
            && !has_parts("one \"row\" more", &found[0].message)
    );
}
