//! What may be the name of something.

/// The same test as `decide.is_name`.
pub fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=200).contains(&length) && !name.chars().any(char::is_control) && name.trim() == name
}
