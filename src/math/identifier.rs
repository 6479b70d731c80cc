//! Identifiers of decisions: UUIDs that say when they were made.

use uuid::Uuid;

/// A UUID of version 7 (RFC 9562, with microseconds by its method 3) for a moment given in
/// microseconds since 1970, at the earliest then. `moment_of` reads the moment back.
pub fn time_ordered(at: i64, random: u64) -> Uuid {
    let unix = at.max(0) as u64;
    let (millis, micros) = (unix / 1000, unix % 1000);
    let fraction = (micros << 12) / 1000;
    let high = (millis << 16) | 0x7000 | fraction;
    let low = (random >> 2) | (1 << 63);
    Uuid::from_u64_pair(high, low)
}

/// The moment that `time_ordered` was given, or None for an identifier of another kind.
pub fn moment_of(id: Uuid) -> Option<i64> {
    if id.get_version_num() != 7 {
        return None;
    }
    let (high, _) = id.as_u64_pair();
    let (millis, fraction) = (high >> 16, high & 0xfff);
    let micros = (fraction * 1000).div_ceil(1 << 12);
    Some((millis * 1000 + micros) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_is_read_back_exactly() {
        for micros in 0..1000 {
            let at = 848_000_000_123_000 + micros;
            let id = time_ordered(at, 0xdead_beef_dead_beef);
            assert_eq!(moment_of(id), Some(at));
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        }
        assert_eq!(moment_of(Uuid::nil()), None);
    }

    #[test]
    fn identifiers_are_in_order_of_time() {
        let ids: Vec<Uuid> = (0..5000)
            .map(|i| time_ordered(1_000_000 + i, !(i as u64)))
            .collect();
        assert!(ids.is_sorted());
    }
}
