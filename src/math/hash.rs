//! Small stable hashes of text: 32 bits for hashed one-hot encodings, 64 for keys and for counting distinct things.
//! Not for secrets: anyone can compute them and find collisions.

use std::hash::{BuildHasher, Hasher};

/// FNV-1a with 32 bits over the UTF-8 bytes of `text` (G. Fowler, L. C. Noll, K.-P. Vo; offset basis 0x811c9dc5, prime
/// 0x01000193).
pub fn fnv32a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// The same with 64 bits (offset basis 0xcbf29ce484222325, prime 0x100000001b3).
pub fn fnv64a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Spreads the differences of two numbers over all 64 bits, one to one (the output function of SplitMix64; G. Steele,
/// D. Lea, C. Flood, OOPSLA 2014, with D. Stafford's constants). For hashes whose upper bits are weak, like FNV of
/// short texts.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// For maps by numbers that we have given ourselves, such as those of caps: many of them are looked up in one decision.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByNumber;

/// The state of [`ByNumber`].
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberHasher(u64);

impl BuildHasher for ByNumber {
    type Hasher = NumberHasher;

    fn build_hasher(&self) -> NumberHasher {
        NumberHasher(0)
    }
}

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_i32(byte.into());
        }
    }

    fn write_i32(&mut self, number: i32) {
        self.0 = mix(self.0.wrapping_add(number as u32 as u64));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{fnv32a, fnv64a, mix};

    #[test]
    fn agrees_with_the_published_vectors() {
        // from the test vectors of the reference implementation, http://www.isthe.com/chongo/src/fnv/test_fnv.c
        assert_eq!(fnv32a(""), 0x811c_9dc5);
        assert_eq!(fnv32a("a"), 0xe40c_292c);
        assert_eq!(fnv32a("b"), 0xe70c_2de5);
        assert_eq!(fnv32a("foobar"), 0xbf9c_f968);
        assert_eq!(fnv64a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv64a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv64a("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn mixing_agrees_with_the_published_stream() {
        // the first two numbers of SplitMix64 from the seed 0
        let step = 0x9e37_79b9_7f4a_7c15u64;
        assert_eq!(mix(step), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(step.wrapping_mul(2)), 0x6e78_9e6a_a1b9_65f4);
    }
}
