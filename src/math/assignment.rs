//! Which variation of an experiment a user gets, as GrowthBook's SDKs have it: so a browser and the database agree.

/// Where a user falls between 0 and 1, by the SDK's hash of that version; None for a version that it does not have. Version
/// 1 has a thousand places, which are not independent between experiments; version 2 has ten thousand, which are.
pub fn bucket(seed: &str, value: &str, version: i32) -> Option<f64> {
    match version {
        1 => Some(f64::from(fnv32a_utf16([value, seed]) % 1_000) / 1_000.0),
        2 => {
            let once = fnv32a_utf16([seed, value]).to_string();
            Some(f64::from(fnv32a_utf16([&once, ""]) % 10_000) / 10_000.0)
        }
        _ => None,
    }
}

/// Whether a user falls into a range of a namespace: experiments with ranges that do not overlap have no user in common. Namespaces
/// have the hash of version 1, whatever the experiment has.
pub fn in_namespace(name: &str, value: &str, from: f64, to: f64) -> bool {
    let place = bucket(&format!("__{name}"), value, 1);
    place.is_some_and(|place| place >= from && place < to)
}

/// FNV-1a with 32 bits over the UTF-16 code units of two texts, one after the other: what the SDKs hash, who have such
/// texts. For ASCII it is [`crate::hash::fnv32a`].
fn fnv32a_utf16(texts: [&str; 2]) -> u32 {
    let units = texts.into_iter().flat_map(str::encode_utf16);
    units.fold(0x811c_9dc5, |hash, unit| {
        (hash ^ u32::from(unit)).wrapping_mul(0x0100_0193)
    })
}

/// The number of the variation, from 0, in whose range the bucket is; None if it is in none. Variation i begins where the
/// weights before it end, and takes the share `coverage` of its own weight. Coverage is brought between 0 and 1; weights
/// that are not finite numbers from 0 up with a sum between 0.99 and 1.01 are taken as equal ones.
pub fn choose_variation(bucket: f64, coverage: f64, weights: &[f64]) -> Option<usize> {
    let coverage = coverage.clamp(0.0, 1.0);
    let valid = weights
        .iter()
        .all(|weight| weight.is_finite() && *weight >= 0.0)
        && (0.99..=1.01).contains(&weights.iter().sum::<f64>());
    let equal = 1.0 / weights.len() as f64;
    let mut start = 0.0;
    weights.iter().position(|weight| {
        let weight = if valid { *weight } else { equal };
        let range = start..start + coverage * weight;
        start += weight;
        range.contains(&bucket)
    })
}

#[cfg(test)]
mod tests {
    use super::{bucket, choose_variation, fnv32a_utf16, in_namespace};
    use crate::hash::fnv32a;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Golden {
        buckets: Vec<(String, String, i32, Option<f64>)>,
        choices: Vec<(f64, f64, Vec<f64>, i32)>,
    }

    #[test]
    fn agrees_with_the_reference() {
        let golden = include_str!("../../pgrx-tests/golden/assignment.json");
        let golden: Golden = serde_json::from_str(golden).unwrap();
        for (seed, value, version, expected) in &golden.buckets {
            assert_eq!(
                bucket(seed, value, *version),
                *expected,
                "{seed} {value} {version}"
            );
        }
        for (at, coverage, weights, expected) in &golden.choices {
            let choice = choose_variation(*at, *coverage, weights).map_or(-1, |i| i as i32);
            assert_eq!(choice, *expected, "{at} {coverage} {weights:?}");
        }
        assert!(golden.buckets.len() > 200 && golden.choices.len() > 800);
    }

    /// The vectors that GrowthBook publishes for all its SDKs.
    #[test]
    fn agrees_with_the_published_vectors() {
        for (seed, value, version, expected) in [
            ("", "a", 1, 0.22),
            ("", "b", 1, 0.077),
            ("b", "a", 1, 0.946),
            ("ef", "d", 1, 0.652),
            ("asdf", "8952klfjas09ujk", 1, 0.549),
            ("", "123", 1, 0.011),
            ("", "___)((*\":&", 1, 0.563),
            ("seed", "a", 2, 0.0505),
            ("seed", "b", 2, 0.2696),
            ("foo", "ab", 2, 0.2575),
            ("foo", "def", 2, 0.2019),
            ("89123klj", "8952klfjas09ujkasdf", 2, 0.124),
            ("90850943850283058242805", "123", 2, 0.7516),
            ("()**(%$##$%#$#", "___)((*\":&", 2, 0.0128),
        ] {
            assert_eq!(
                bucket(seed, value, version),
                Some(expected),
                "{seed} {value}"
            );
        }
        assert_eq!(bucket("abc", "def", 99), None);
    }

    /// The vectors that GrowthBook publishes for namespaces.
    #[test]
    fn namespaces_agree_with_the_published_vectors() {
        for (value, name, from, to, expected) in [
            ("1", "namespace1", 0.0, 0.4, false),
            ("1", "namespace1", 0.4, 1.0, true),
            ("1", "namespace2", 0.0, 0.4, false),
            ("1", "namespace2", 0.4, 1.0, true),
            ("2", "namespace1", 0.0, 0.4, false),
            ("2", "namespace1", 0.4, 1.0, true),
            ("2", "namespace2", 0.0, 0.4, false),
            ("2", "namespace2", 0.4, 1.0, true),
            ("3", "namespace1", 0.0, 0.4, false),
            ("3", "namespace1", 0.4, 1.0, true),
            ("3", "namespace2", 0.0, 0.4, true),
            ("3", "namespace2", 0.4, 1.0, false),
            ("4", "namespace1", 0.0, 0.4, false),
            ("4", "namespace1", 0.4, 1.0, true),
            ("4", "namespace2", 0.0, 0.4, true),
            ("4", "namespace2", 0.4, 1.0, false),
        ] {
            assert_eq!(
                in_namespace(name, value, from, to),
                expected,
                "{value} {name} {from}"
            );
        }
    }

    /// A larger coverage adds units, and moves none from one variation to another.
    #[test]
    fn ramps_only_add() {
        let weights = [0.2, 0.5, 0.3];
        for user in 0..2_000 {
            let at = bucket("ramp", &user.to_string(), 2).unwrap();
            let mut before = None;
            for coverage in [0.05, 0.1, 0.5, 0.9, 1.0] {
                let now = choose_variation(at, coverage, &weights);
                assert!(before.is_none() || before == now, "{user} {coverage}");
                before = now;
            }
            assert!(before.is_some());
        }
    }

    #[test]
    fn hashes_ascii_as_bytes() {
        for text in ["", "a", "foobar", "user-42"] {
            assert_eq!(fnv32a_utf16([text, ""]), fnv32a(text));
        }
        assert_ne!(fnv32a_utf16(["é", ""]), fnv32a("é"));
    }

    #[test]
    fn odd_arguments_have_no_variation_or_equal_weights() {
        assert_eq!(choose_variation(0.5, 1.0, &[]), None);
        assert_eq!(choose_variation(0.1, f64::NAN, &[0.5, 0.5]), None);
        for bucket in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(choose_variation(bucket, 1.0, &[0.5, 0.5]), None);
        }
        for weights in [
            [f64::NAN, 0.5],
            [f64::INFINITY, 0.0],
            [-0.5, 1.5],
            [0.1, 0.1],
        ] {
            assert_eq!(choose_variation(0.49, 1.0, &weights), Some(0));
            assert_eq!(choose_variation(0.5, 1.0, &weights), Some(1));
        }
    }
}
