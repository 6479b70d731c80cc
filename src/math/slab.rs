//! Long arrays of plain numbers that many processes can share: in memory of their own while something is compiled, or a
//! part of an image that was written once and is mapped by all.
//!
//! A structure that holds slabs is written and read by serde. Its slabs are then not written among the rest but into an
//! arena beside it, and read by pointing at it: what is large is never copied.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, Range};
use std::rc::Rc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What a slab can hold: plain data in which every pattern of bits is a value.
pub trait Element: FromBytes + IntoBytes + Immutable + Copy + 'static {}

impl<T: FromBytes + IntoBytes + Immutable + Copy + 'static> Element for T {}

/// Each slab begins at a multiple of so many bytes of the arena; so must the arena in memory.
pub const ALIGNMENT: usize = 64;

/// An immutable array.
#[derive(Clone)]
pub struct Slab<T: Element>(Memory<T>);

#[derive(Clone)]
enum Memory<T: Element> {
    Owned(Vec<T>),
    /// A part of an image, which lives as long as its owner.
    Mapped {
        elements: &'static [T],
        _owner: Rc<dyn Any>,
    },
}

/// The slabs of an image, and who keeps them in memory. Whoever makes one sees to it that the bytes stay as they are
/// while the owner lives.
#[derive(Clone)]
pub struct Arena {
    pub bytes: &'static [u8],
    pub owner: Rc<dyn Any>,
}

/// The range of one of many lists that stand one after the other in an array, by where each ends; empty where there is
/// no such list.
pub fn range_of(ends: &[u32], index: usize) -> Range<usize> {
    let before = index.checked_sub(1).and_then(|before| ends.get(before));
    let first = before.map_or(0, |&end| end as usize);
    first..ends.get(index).map_or(first, |&end| end as usize)
}

thread_local! {
    static WRITTEN: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
    static READ: RefCell<Option<Arena>> = const { RefCell::new(None) };
}

/// Writes a structure by `work`; answers also the arena that its slabs are in.
pub fn written<R>(work: impl FnOnce() -> R) -> (R, Vec<u8>) {
    WRITTEN.set(Some(Vec::new()));
    let result = work();
    (result, WRITTEN.take().unwrap_or_default())
}

/// Reads a structure by `work`; its slabs are in that arena.
pub fn read<R>(arena: Arena, work: impl FnOnce() -> R) -> R {
    READ.set(Some(arena));
    let result = work();
    READ.take();
    result
}

impl<T: Element> Deref for Slab<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Memory::Owned(elements) => elements,
            Memory::Mapped { elements, .. } => elements,
        }
    }
}

impl<T: Element> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab(Memory::Owned(Vec::new()))
    }
}

impl<T: Element> From<Vec<T>> for Slab<T> {
    fn from(elements: Vec<T>) -> Slab<T> {
        Slab(Memory::Owned(elements))
    }
}

impl<T: Element> FromIterator<T> for Slab<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Slab<T> {
        Slab::from(Vec::from_iter(elements))
    }
}

impl<'a, T: Element> IntoIterator for &'a Slab<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Element + PartialEq> PartialEq for Slab<T> {
    fn eq(&self, other: &Slab<T>) -> bool {
        **self == **other
    }
}

impl<T: Element + fmt::Debug> fmt::Debug for Slab<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// As the offset of its first byte in the arena, and the number of its elements.
impl<T: Element> Serialize for Slab<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let offset = WRITTEN.with_borrow_mut(|written| {
            let arena = written.get_or_insert_default();
            arena.resize(arena.len().next_multiple_of(ALIGNMENT), 0);
            let offset = arena.len();
            arena.extend_from_slice((**self).as_bytes());
            offset
        });
        (offset as u64, self.len() as u64).serialize(serializer)
    }
}

impl<'de, T: Element> Deserialize<'de> for Slab<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Slab<T>, D::Error> {
        let (offset, len) = <(u64, u64)>::deserialize(deserializer)?;
        let arena = READ.with_borrow(Option::clone);
        let arena = arena.ok_or_else(|| D::Error::custom("there is no arena"))?;
        let elements = elements(arena.bytes, offset, len)
            .ok_or_else(|| D::Error::custom("a slab is not within its arena"))?;
        Ok(Slab(Memory::Mapped {
            elements,
            _owner: arena.owner,
        }))
    }
}

/// The elements from an offset on; None where they are not within the bytes, or not aligned.
fn elements<T: Element>(bytes: &'static [u8], offset: u64, len: u64) -> Option<&'static [T]> {
    let (first, len) = (usize::try_from(offset).ok()?, usize::try_from(len).ok()?);
    let end = first.checked_add(len.checked_mul(size_of::<T>())?)?;
    let bytes = bytes.get(first..end)?;
    match len {
        0 => Some(&[]),
        _ => <[T]>::ref_from_bytes(bytes).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Sample {
        name: String,
        numbers: Slab<f64>,
        none: Slab<u64>,
        counts: Slab<u32>,
    }

    fn sample() -> Sample {
        Sample {
            name: "sample".to_owned(),
            numbers: vec![1.5, -0.0, f64::INFINITY].into(),
            none: Slab::default(),
            counts: (0..1_000).collect(),
        }
    }

    fn arena_of(written: &[u8]) -> Arena {
        // Aligned as an image is.
        let mut aligned = vec![0u128; written.len().div_ceil(16) + 4];
        let skipped = aligned.as_ptr().align_offset(ALIGNMENT);
        aligned.as_mut_bytes()[skipped * 16..][..written.len()].copy_from_slice(written);
        let bytes: &'static [u8] = aligned.leak().as_bytes();
        Arena {
            bytes: &bytes[skipped * 16..][..written.len()],
            owner: Rc::new(()),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let (text, slabs) = written(|| serde_json::to_string(&sample()).unwrap());
        let found: Sample = read(arena_of(&slabs), || serde_json::from_str(&text).unwrap());
        assert_eq!(found, sample());
        assert!(matches!(found.counts.0, Memory::Mapped { .. }));
    }

    #[test]
    fn lists_stand_one_after_the_other() {
        let ends = [2, 2, 5];
        assert_eq!(range_of(&ends, 0), 0..2);
        assert_eq!(range_of(&ends, 1), 2..2);
        assert_eq!(range_of(&ends, 2), 2..5);
        assert!(range_of(&ends, 3).is_empty() && range_of(&ends, 9).is_empty());
        assert!(range_of(&[], 0).is_empty());
    }

    #[test]
    fn a_slab_that_is_not_within_the_arena_is_refused() {
        let (text, slabs) = written(|| serde_json::to_string(&sample()).unwrap());
        let cut = &slabs[..slabs.len() - 1];
        assert!(read(arena_of(cut), || serde_json::from_str::<Sample>(&text)).is_err());
        assert!(serde_json::from_str::<Sample>(&text).is_err());
        for (offset, len) in [(u64::MAX, 1), (1, u64::MAX), (0, 1 << 61), (4, 2), (65, 0)] {
            let arena = arena_of(&[0; 64]);
            assert_eq!(
                elements::<u64>(arena.bytes, offset, len),
                None,
                "{offset} {len}"
            );
        }
    }
}
