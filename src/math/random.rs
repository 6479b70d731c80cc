//! The draws that belong to a seed: the only randomness of a decision, and all of it in the trace.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of uniform numbers, the same for the same seed on every machine and in every version of this product.
///
/// ChaCha with 8 rounds (D. J. Bernstein, 2008; 64-bit counter from 0, 64-bit stream 0) under a key of 32 bytes: the
/// seed in 8 bytes, little-endian, then the 24 bytes of [`DOMAIN`]. The key is spelled out here rather than left to a
/// library's way of stretching a seed, so that a stored seed keeps its meaning.
#[derive(Clone, Debug)]
pub struct Draws(ChaCha8Rng);

/// What follows the seed in the key, so that these draws are no other stream of the same seed.
pub const DOMAIN: &[u8; 24] = b"pg_decide draws, v1     ";

impl Draws {
    /// The stream of `seed`, at its beginning.
    pub fn from_seed(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..].copy_from_slice(DOMAIN);
        Draws(ChaCha8Rng::from_seed(key))
    }

    /// The next number of the stream: uniform on [0, 1), a multiple of 2⁻⁵³ (the upper 53 of 64 bits).
    pub fn unit(&mut self) -> f64 {
        const SCALE: f64 = 1.0 / (1u64 << 53) as f64;
        (self.0.next_u64() >> 11) as f64 * SCALE
    }
}

/// The seed with which a choice is made again, by Knuth's linear congruence (MMIX): other draws, and the same ones on
/// replay.
pub fn next_seed(seed: u64) -> u64 {
    seed.wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        seed: String,
        /// In units of 2⁻⁵³.
        draws: Vec<u64>,
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    #[test]
    fn a_stored_seed_keeps_its_meaning() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../pgrx-tests/golden/draws.json")).unwrap();
        for case in golden.cases {
            let mut draws = Draws::from_seed(case.seed.parse().unwrap());
            for draw in case.draws {
                let unit = draw as f64 / (1u64 << 53) as f64;
                assert_eq!(draws.unit(), unit, "of seed {}", case.seed);
            }
        }
    }

    #[test]
    fn equal_seeds_give_equal_streams_and_others_do_not() {
        let stream = |seed| {
            let mut draws = Draws::from_seed(seed);
            (0..100).map(|_| draws.unit().to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(stream(42), stream(42));
        assert_ne!(stream(42), stream(43));
        assert_ne!(stream(1), stream(1 << 63));
    }

    #[test]
    fn draws_are_uniform() {
        let mut draws = Draws::from_seed(7);
        let (bins, n) = (100, 100_000);
        let mut counts = vec![0.0f64; bins];
        for _ in 0..n {
            let u = draws.unit();
            assert!((0.0..1.0).contains(&u));
            counts[(u * bins as f64) as usize] += 1.0;
        }
        let expected = n as f64 / bins as f64;
        let chi2: f64 = counts
            .iter()
            .map(|c| (c - expected) * (c - expected) / expected)
            .sum();
        assert!(
            chi2 < 148.2,
            "chi-square {chi2} of 99 degrees of freedom is beyond its 99.9% point"
        );
    }
}
