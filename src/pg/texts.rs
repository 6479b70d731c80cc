//! Texts by number, as they lie in the server's arrays: one of them, or an array of some, is a copy of bytes.

use pgrx::pg_sys;

use super::value::{Arg, Value};

/// Texts by number, from 0; some numbers have none.
#[derive(Default)]
pub struct Texts {
    /// One after the other: the four bytes of the length, and the text, filled up to a multiple of four.
    words: Vec<u32>,
    /// Where each number's text ends: it begins where that of the number before ends.
    ends: Vec<usize>,
}

const WORD: usize = size_of::<u32>();

impl Texts {
    /// Texts in the order of their numbers.
    pub fn of<S: AsRef<str>>(texts: impl Iterator<Item = Option<S>>) -> Texts {
        let mut all = Texts::default();
        for text in texts {
            if let Some(text) = text {
                all.add(text.as_ref());
            }
            all.ends.push(all.words.len());
        }
        all
    }

    fn add(&mut self, text: &str) {
        let first = self.words.len();
        let size = WORD + text.len();
        self.words.resize(first + size.div_ceil(WORD), 0);
        // SAFETY: so many words were just added, which hold the length and the text.
        unsafe {
            let start = self.words.as_mut_ptr().add(first);
            pgrx::set_varsize_4b(start.cast(), size as i32);
            std::ptr::copy_nonoverlapping(text.as_ptr(), start.add(1).cast(), text.len());
        }
    }

    /// Whether the number has a text.
    pub fn has(&self, number: i32) -> bool {
        !self.words_of(number).is_empty()
    }

    /// The words of a number; none where it has no text.
    fn words_of(&self, number: i32) -> &[u32] {
        let Some(&end) = usize::try_from(number).ok().and_then(|n| self.ends.get(n)) else {
            return &[];
        };
        let start = match number {
            0 => 0,
            _ => self.ends[number as usize - 1],
        };
        &self.words[start..end]
    }

    /// The text of a number, in the current memory context.
    pub fn text(&self, number: i32) -> Arg<'static> {
        let words = self.words_of(number);
        (!words.is_empty()).then(|| {
            // SAFETY: as many bytes are allocated as are copied; they are a text, as `add` has made it.
            unsafe {
                let copy = pg_sys::palloc(size_of_val(words)).cast::<u32>();
                std::ptr::copy_nonoverlapping(words.as_ptr(), copy, words.len());
                Value::of(pg_sys::Datum::from(copy), pg_sys::TEXTOID)
            }
        })
    }

    /// A text[] of the texts of these numbers, in the current memory context; null where a number has none.
    pub fn array(&self, numbers: impl Iterator<Item = i32> + Clone) -> Value<'static> {
        let (mut count, mut words, mut nulls) = (0, 0, false);
        for number in numbers.clone() {
            let of = self.words_of(number).len();
            count += 1;
            words += of;
            nulls |= of == 0;
        }
        let plain = size_of::<pg_sys::ArrayType>() + if count > 0 { 2 * WORD } else { 0 };
        let bitmap = if nulls { usize::div_ceil(count, 8) } else { 0 };
        let header = (plain + bitmap).next_multiple_of(8);
        let size = header + words * WORD;
        // SAFETY: `size` bytes are allocated, and exactly header, dimension, lower bound, bitmap and elements are written
        // into them, in the layout of array.h: each element is a text of whole words, as its alignment asks.
        unsafe {
            let array = pg_sys::palloc0(size).cast::<pg_sys::ArrayType>();
            pgrx::set_varsize_4b(array.cast(), size as i32);
            (*array).ndim = i32::from(count > 0);
            (*array).dataoffset = if nulls { header as i32 } else { 0 };
            (*array).elemtype = pg_sys::TEXTOID;
            if count > 0 {
                let shape = array.add(1).cast::<i32>();
                *shape = count as i32;
                *shape.add(1) = 1;
            }
            let bits = array.cast::<u8>().add(plain);
            let mut next = array.cast::<u8>().add(header).cast::<u32>();
            for (place, number) in numbers.enumerate() {
                let of = self.words_of(number);
                if nulls && !of.is_empty() {
                    *bits.add(place / 8) |= 1 << (place % 8);
                }
                std::ptr::copy_nonoverlapping(of.as_ptr(), next, of.len());
                next = next.add(of.len());
            }
            Value::of(pg_sys::Datum::from(array), pg_sys::TEXTARRAYOID)
        }
    }
}
