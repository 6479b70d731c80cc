//! Where a fact comes from, and how terms are written.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The origin of a fact. Written `user.clicks`, `missing.clicks`, `context.device`, `action.price`, `action`
/// and `surface.views`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// A feature of the user.
    User(String),
    /// 1 where that feature of the user is missing, else 0.
    Missing(String),
    /// A field of the request's context.
    Context(String),
    /// An attribute of the action, or a feature of it.
    Attribute(String),
    /// The action's own name.
    Action,
    /// A feature of the surface.
    Surface(String),
}

impl Source {
    /// Whether it is known only when the action is: an attribute, or the action itself. What is known of the surface is
    /// the same for all actions, and counts as theirs.
    pub fn is_of_action(&self) -> bool {
        matches!(
            self,
            Source::Attribute(_) | Source::Action | Source::Surface(_)
        )
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::User(name) => write!(f, "user.{name}"),
            Source::Missing(name) => write!(f, "missing.{name}"),
            Source::Context(name) => write!(f, "context.{name}"),
            Source::Attribute(name) => write!(f, "action.{name}"),
            Source::Action => f.write_str("action"),
            Source::Surface(name) => write!(f, "surface.{name}"),
        }
    }
}

impl From<Source> for String {
    fn from(source: Source) -> String {
        source.to_string()
    }
}

impl TryFrom<String> for Source {
    type Error = TermError;

    fn try_from(text: String) -> Result<Source, TermError> {
        text.parse()
    }
}

impl FromStr for Source {
    type Err = TermError;

    fn from_str(text: &str) -> Result<Source, TermError> {
        if text.is_empty() {
            return Err(TermError::Empty);
        }
        if text == "action" {
            return Ok(Source::Action);
        }
        let unknown = || TermError::UnknownSource(text.to_owned());
        let (kind, name) = text.split_once('.').ok_or_else(unknown)?;
        let make = match kind {
            "user" => Source::User,
            "missing" => Source::Missing,
            "context" => Source::Context,
            "action" => Source::Attribute,
            "surface" => Source::Surface,
            _ => return Err(unknown()),
        };
        if name.is_empty() {
            return Err(TermError::NoName(text.to_owned()));
        }
        match name.chars().find(|&c| !may_be_in_name(c)) {
            Some(character) => Err(TermError::Character {
                source: text.to_owned(),
                character,
            }),
            None => Ok(make(name.to_owned())),
        }
    }
}

/// Letters, digits, `_`, `-` and `.`, and all beyond ASCII but spaces and control characters.
fn may_be_in_name(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '_' | '-' | '.')
        || !(c.is_ascii() || c.is_whitespace() || c.is_control())
}

/// What is wrong with the text of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TermError {
    /// A term or a factor is empty.
    Empty,
    /// A factor is of none of the known kinds.
    UnknownSource(String),
    /// A factor has no name after its dot.
    NoName(String),
    /// A name has a character in it that it may not have.
    Character {
        /// The factor.
        source: String,
        /// The first such character.
        character: char,
    },
}

impl fmt::Display for TermError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TermError::Empty => f.write_str("a term needs a factor before and after each \"*\""),
            TermError::UnknownSource(text) => {
                write!(
                    f,
                    "\"{text}\" is not user.NAME, missing.NAME, context.NAME, action.NAME, surface.NAME or action"
                )
            }
            TermError::NoName(text) => write!(f, "\"{text}\" has no name after the dot"),
            TermError::Character { source, character } => {
                write!(
                    f,
                    "\"{source}\" has a {character:?} in its name, which may have letters, digits, \"_\", \"-\" and \".\""
                )
            }
        }
    }
}

impl std::error::Error for TermError {}

/// Reads a term such as `user.clicks*action.category` into its factors; `1` is the intercept and has none. Spaces
/// around factors are ignored. A source may occur twice: the square of a number.
pub fn parse_term(text: &str) -> Result<Vec<Source>, TermError> {
    if text.trim() == "1" {
        return Ok(Vec::new());
    }
    text.split('*')
        .map(|factor| factor.trim().parse())
        .collect()
}
