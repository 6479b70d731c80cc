//! A small stable hash of text, for hashed one-hot encodings.

/// FNV-1a with 32 bits over the UTF-8 bytes of `text` (G. Fowler, L. C. Noll, K.-P. Vo; offset basis 0x811c9dc5, prime
/// 0x01000193). Not for secrets: anyone can compute it and find collisions.
pub fn fnv32a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::fnv32a;

    #[test]
    fn agrees_with_the_published_vectors() {
        // from the test vectors of the reference implementation, http://www.isthe.com/chongo/src/fnv/test_fnv.c
        assert_eq!(fnv32a(""), 0x811c_9dc5);
        assert_eq!(fnv32a("a"), 0xe40c_292c);
        assert_eq!(fnv32a("b"), 0xe70c_2de5);
        assert_eq!(fnv32a("foobar"), 0xbf9c_f968);
    }
}
