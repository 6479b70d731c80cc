//! Many texts in one array, and finding one of them.

use serde::{Deserialize, Serialize};

use crate::math::hash::{fnv64a, mix};
use crate::math::slab::{Slab, range_of};

/// Texts, by their index.
#[derive(Default, Serialize, Deserialize)]
pub struct Texts {
    /// Where each ends.
    ends: Slab<u32>,
    bytes: Slab<u8>,
}

impl Texts {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of an index; empty where there is none.
    pub fn get(&self, index: usize) -> &str {
        let bytes = self.bytes.get(range_of(&self.ends, index));
        let bytes = bytes.unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Texts {
        let (mut ends, mut bytes) = (Vec::new(), Vec::new());
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
            ends.push(u32::try_from(bytes.len()).expect("texts of less than 4 GB"));
        }
        Texts {
            ends: ends.into(),
            bytes: bytes.into(),
        }
    }
}

/// Where texts are among [`Texts`]: a hash table with open addressing, at most half full.
#[derive(Default, Serialize, Deserialize)]
pub struct Index {
    /// One more than an index, or 0.
    cells: Slab<u32>,
}

impl Index {
    /// Of texts that differ from each other.
    pub fn of(texts: &Texts) -> Index {
        let mut cells = vec![0u32; (2 * texts.len()).next_power_of_two()];
        for index in 0..texts.len() {
            let mut cell = first_cell(texts.get(index), cells.len());
            while cells[cell] != 0 {
                cell = (cell + 1) % cells.len();
            }
            cells[cell] = index as u32 + 1;
        }
        Index {
            cells: cells.into(),
        }
    }

    pub fn find(&self, text: &str, texts: &Texts) -> Option<usize> {
        let cells = &self.cells[..];
        let (behind, before) = cells.split_at(first_cell(text, cells.len().max(1)));
        for &cell in before.iter().chain(behind) {
            let index = cell.checked_sub(1)? as usize;
            if texts.get(index) == text {
                return Some(index);
            }
        }
        None
    }
}

fn first_cell(text: &str, cells: usize) -> usize {
    (mix(fnv64a(text)) % cells as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_found_and_no_other() {
        let kept: Vec<String> = (0..1_000).map(|i| format!("text {i}")).collect();
        let texts: Texts = kept.iter().map(String::as_str).collect();
        let index = Index::of(&texts);
        for (i, text) in kept.iter().enumerate() {
            assert_eq!(texts.get(i), text);
            assert_eq!(index.find(text, &texts), Some(i));
        }
        assert_eq!(index.find("text 1000", &texts), None);
        assert_eq!(texts.get(1_000), "");
    }

    #[test]
    fn nothing_is_found_among_no_texts() {
        let texts = Texts::default();
        assert_eq!(Index::of(&texts).find("", &texts), None);
        assert_eq!(Index::default().find("a", &texts), None);
        let empty: Texts = [""].into_iter().collect();
        assert_eq!(Index::of(&empty).find("", &empty), Some(0));
    }
}
