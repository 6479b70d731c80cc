//! Of whom features tell.

/// Whose number a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entity {
    User,
    Action,
    Surface,
}
