//! What a cell may hold.

/// The first and last moment that an f64 distinguishes from its neighbours: ±2⁵³ µs.
const LAST_MOMENT: i64 = 1 << 53;

/// The nearest moment that an f64 distinguishes from its neighbours.
pub fn moment(at: i64) -> i64 {
    at.clamp(-LAST_MOMENT, LAST_MOMENT)
}

/// A cell's number; 0 if it is not finite.
pub fn number(cell: f64) -> f64 {
    if cell.is_finite() { cell } else { 0.0 }
}
