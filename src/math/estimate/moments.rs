//! Means and products of a few columns, in one pass.

/// How many rows wait before their moments are taken.
const BLOCK: usize = 16;

/// The means of `K` columns, and the sums of products about these means. Rows wait until a block is full; its moments
/// are then taken about its own means, and merged (T. F. Chan, G. H. Golub, R. J. LeVeque, 1979). So nothing is lost
/// where values are large and vary little, and a row costs no division. The order of rows and merges matters for
/// rounding alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments<const K: usize> {
    /// Rows in the means; those that wait come on top.
    rows: u64,
    waiting: usize,
    mean: [f64; K],
    /// Entry (i, j) with i ≤ j; the others are 0.
    products: [[f64; K]; K],
    largest: [f64; K],
    block: [[f64; BLOCK]; K],
}

impl<const K: usize> Default for Moments<K> {
    fn default() -> Moments<K> {
        Moments::new()
    }
}

impl<const K: usize> Moments<K> {
    /// No rows.
    pub const fn new() -> Moments<K> {
        Moments {
            rows: 0,
            waiting: 0,
            mean: [0.0; K],
            products: [[0.0; K]; K],
            largest: [f64::NEG_INFINITY; K],
            block: [[0.0; BLOCK]; K],
        }
    }

    /// Adds a row.
    #[inline]
    pub fn push(&mut self, row: [f64; K]) {
        let at = self.waiting % BLOCK;
        for (column, value) in self.block.iter_mut().zip(row) {
            column[at] = value;
        }
        self.waiting = at + 1;
        if self.waiting == BLOCK {
            self.settle();
        }
    }

    /// Takes the moments of the rows that wait.
    #[inline(never)]
    fn settle(&mut self) {
        if self.waiting == BLOCK {
            self.take(BLOCK);
        } else if self.waiting > 0 {
            self.take(self.waiting);
        }
        self.waiting = 0;
    }

    #[inline(always)]
    fn take(&mut self, count: usize) {
        let n = count as f64;
        let (mut mean, mut products) = ([0.0; K], [[0.0; K]; K]);
        let mut about = self.block;
        let columns = about.iter_mut().zip(&mut mean);
        for ((column, mean), largest) in columns.zip(&mut self.largest) {
            let column = &mut column[..count];
            *mean = column.iter().sum::<f64>() / n;
            for value in column {
                *largest = largest.max(*value);
                *value -= *mean;
            }
        }
        for (i, row) in products.iter_mut().enumerate() {
            for (j, product) in row.iter_mut().enumerate().skip(i) {
                let pairs = about[i][..count].iter().zip(&about[j][..count]);
                *product = pairs.map(|(a, b)| a * b).sum();
            }
        }
        self.merge_settled(count as u64, &mean, &products);
    }

    fn merge_settled(&mut self, rows: u64, mean: &[f64; K], products: &[[f64; K]; K]) {
        let (n, m) = (self.rows as f64, rows as f64);
        let share = m / (n + m);
        let apart: [f64; K] = std::array::from_fn(|k| mean[k] - self.mean[k]);
        for (i, row) in self.products.iter_mut().enumerate() {
            self.mean[i] += apart[i] * share;
            for (j, product) in row.iter_mut().enumerate().skip(i) {
                *product += products[i][j] + apart[i] * apart[j] * (n * share);
            }
        }
        self.rows += rows;
    }

    /// Adds the rows of another accumulator.
    pub fn merge(&mut self, other: &Moments<K>) {
        self.settle();
        let other = other.settled();
        if other.rows > 0 {
            self.merge_settled(other.rows, &other.mean, &other.products);
            for (largest, other) in self.largest.iter_mut().zip(other.largest) {
                *largest = largest.max(other);
            }
        }
    }

    /// The same with no row that waits.
    pub fn settled(&self) -> Moments<K> {
        let mut settled = *self;
        settled.settle();
        settled.block = [[0.0; BLOCK]; K];
        settled
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.rows + self.waiting as u64
    }

    /// The mean of a column; of settled moments.
    pub fn mean(&self, column: usize) -> f64 {
        debug_assert_eq!(self.waiting, 0, "rows wait");
        self.mean[column]
    }

    /// The sum of products of two columns about their means; of settled moments.
    pub fn products(&self, one: usize, other: usize) -> f64 {
        debug_assert_eq!(self.waiting, 0, "rows wait");
        self.products[one.min(other)][one.max(other)]
    }

    /// The largest value of a column; of settled moments.
    pub fn largest(&self, column: usize) -> f64 {
        debug_assert_eq!(self.waiting, 0, "rows wait");
        self.largest[column]
    }

    /// The moments as numbers of 64 bits, for another process; [`Moments::from_words`] reads them.
    pub fn words(&self) -> Vec<u64> {
        let settled = self.settled();
        let mut words = vec![settled.rows];
        words.extend(settled.mean.map(f64::to_bits));
        words.extend(settled.products.as_flattened().iter().map(|p| p.to_bits()));
        words.extend(settled.largest.map(f64::to_bits));
        words
    }

    /// What [`Moments::words`] gave; None if these are not as many numbers.
    pub fn from_words(words: &[u64]) -> Option<Moments<K>> {
        let (rows, numbers) = words.split_first()?;
        if numbers.len() != K * (K + 2) {
            return None;
        }
        let number = |i: usize| f64::from_bits(numbers[i]);
        Some(Moments {
            rows: *rows,
            mean: std::array::from_fn(number),
            products: std::array::from_fn(|i| std::array::from_fn(|j| number(K + i * K + j))),
            largest: std::array::from_fn(|k| number(K + K * K + k)),
            ..Moments::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Moments;
    use proptest::prelude::*;

    fn of(rows: &[[f64; 3]]) -> Moments<3> {
        let mut all = Moments::new();
        for row in rows {
            all.push(*row);
        }
        all
    }

    /// By the definitions, in two passes.
    fn by_definition(rows: &[[f64; 3]], i: usize, j: usize) -> (f64, f64) {
        let n = rows.len() as f64;
        let mean = |k: usize| rows.iter().map(|row| row[k]).sum::<f64>() / n;
        let (a, b) = (mean(i), mean(j));
        let products = rows.iter().map(|row| (row[i] - a) * (row[j] - b));
        (a, products.sum())
    }

    fn near(a: f64, b: f64, scale: f64) -> bool {
        (a - b).abs() <= 1e-12 * scale.max(1e-300)
    }

    #[test]
    fn words_give_the_same_moments() {
        let rows: Vec<_> = (0..37)
            .map(|i| [f64::from(i), f64::from(i % 5), 1.0])
            .collect();
        let all = of(&rows);
        let read = Moments::<3>::from_words(&all.words()).unwrap();
        assert_eq!(read, all.settled());
        assert_eq!(read.rows(), 37);
        assert_eq!(Moments::<2>::from_words(&all.words()), None);
        assert_eq!(Moments::<3>::from_words(&[]), None);
    }

    #[test]
    fn nothing_merged_with_nothing_is_nothing() {
        let mut all = Moments::<2>::new();
        all.merge(&Moments::new());
        assert_eq!(all, Moments::new());
        all.push([3.0, 4.0]);
        all.merge(&Moments::new());
        assert_eq!((all.rows(), all.mean(0), all.mean(1)), (1, 3.0, 4.0));
    }

    proptest! {
        #[test]
        fn agree_with_their_definitions_in_any_parts(
            rows in prop::collection::vec([-100.0..100.0f64, 0.0..10.0f64, 1e6..1.1e6f64], 1..200),
            cuts in prop::collection::vec(0..200usize, 0..4),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).collect();
            cuts.sort();
            let mut merged = Moments::<3>::new();
            let mut from = 0;
            for to in cuts.into_iter().chain([rows.len()]) {
                merged.merge(&of(&rows[from..to]));
                from = to;
            }
            let (merged, whole) = (merged.settled(), of(&rows).settled());
            prop_assert_eq!(merged.rows(), rows.len() as u64);
            for i in 0..3 {
                let (mean, squares) = by_definition(&rows, i, i);
                prop_assert!(near(whole.mean(i), mean, mean.abs()) && near(merged.mean(i), whole.mean(i), mean.abs() + 1.0));
                let largest = rows.iter().map(|row| row[i]).fold(f64::NEG_INFINITY, f64::max);
                prop_assert_eq!((whole.largest(i), merged.largest(i)), (largest, largest));
                for j in 0..3 {
                    let (_, products) = by_definition(&rows, i, j);
                    let (_, squares_j) = by_definition(&rows, j, j);
                    let scale = (squares * squares_j).sqrt() + 1.0;
                    prop_assert!(near(whole.products(i, j), products, 1e3 * scale));
                    prop_assert!(near(merged.products(i, j), whole.products(i, j), 1e3 * scale));
                }
            }
        }
    }
}
