//! What a request vector is made of.

/// A coordinate of the request vector that is not 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinate {
    /// j, from 0.
    pub index: u32,
    /// x[j].
    pub value: f32,
}
