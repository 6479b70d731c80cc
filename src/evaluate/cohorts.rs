//! Groups of decisions, by the value of a field or expression.

use std::collections::BTreeMap;

use crate::error::Error;

/// More cohorts than anybody looks at: their expression is another than was meant.
const MOST: usize = 1_000;

/// The longest name of a cohort, in characters.
pub const MOST_NAME: usize = 1000;

/// Refuses a name that is too long.
pub fn check_name(name: &str) -> Result<(), Error> {
    if name.len() > MOST_NAME && name.chars().count() > MOST_NAME {
        return Err(Error::Evaluation(
            format!("a cohort has a name of more than {MOST_NAME} characters"),
            "Give an expression with shorter values.",
        ));
    }
    Ok(())
}

/// What is summed up of each cohort.
pub struct Cohorts<T> {
    /// Of the decisions that are in none.
    none: Option<T>,
    named: BTreeMap<String, T>,
}

impl<T> Cohorts<T> {
    pub fn new() -> Cohorts<T> {
        Cohorts {
            none: None,
            named: BTreeMap::new(),
        }
    }

    /// That of a cohort, which is new where it was not met before.
    pub fn of(&mut self, name: Option<&str>, new: impl FnOnce() -> T) -> Result<&mut T, Error> {
        let Some(name) = name else {
            return Ok(self.none.get_or_insert_with(new));
        };
        if !self.named.contains_key(name) {
            check_name(name)?;
            if self.named.len() == MOST {
                return Err(Error::Evaluation(
                    format!("there are more than {MOST} cohorts"),
                    "Give an expression with fewer values.",
                ));
            }
            self.named.insert(name.to_owned(), new());
        }
        Ok(self.named.get_mut(name).expect("a cohort that is there"))
    }

    /// In the order of their names; those without one come first.
    pub fn each(&self) -> impl Iterator<Item = (Option<&str>, &T)> {
        let none = self.none.iter().map(|of| (None, of));
        none.chain(self.named.iter().map(|(name, of)| (Some(&name[..]), of)))
    }
}
