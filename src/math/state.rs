//! The layout of a user's row: for each feature slot a value and the moment at which it held.

use super::decay::Decayed;

/// What the row keeps at a slot; empty where nothing was ever put.
pub fn at_slot(row: &[f64], slot: usize) -> Decayed {
    match row.get(2 * slot..2 * slot + 2) {
        Some(&[value, at]) if at.is_finite() => Decayed {
            value,
            at: at as i64,
        },
        _ => Decayed::EMPTY,
    }
}

/// Puts it there, growing the row as far as it must. Microseconds since 2000 are exact in an f64
/// until the year 2285.
pub fn put_slot(row: &mut Vec<f64>, slot: usize, kept: Decayed) {
    while row.len() < 2 * slot + 2 {
        row.extend([0.0, f64::NEG_INFINITY]);
    }
    row[2 * slot] = kept.value;
    row[2 * slot + 1] = if kept.is_empty() {
        f64::NEG_INFINITY
    } else {
        kept.at as f64
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_and_the_rest_is_empty() {
        let mut row = Vec::new();
        let kept = Decayed {
            value: 1.5,
            at: 840_000_000_123_457,
        };
        put_slot(&mut row, 2, kept);
        assert_eq!(row.len(), 6);
        assert_eq!(at_slot(&row, 2), kept);
        for slot in [0, 1, 3, 1000] {
            assert!(at_slot(&row, slot).is_empty());
        }
    }
}
