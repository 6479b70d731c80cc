//! Corrections of p-values, where several comparisons are made.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    None,
    /// Of the chance that any is found by mistake.
    Holm,
    /// Of the share of those found that are mistakes.
    BenjaminiHochberg,
}

impl Correction {
    pub const ALL: [(&'static str, Correction); 3] = [
        ("none", Correction::None),
        ("holm", Correction::Holm),
        ("benjamini-hochberg", Correction::BenjaminiHochberg),
    ];

    pub fn named(name: &str) -> Option<Correction> {
        let found = Correction::ALL.iter().find(|(own, _)| *own == name);
        found.map(|&(_, correction)| correction)
    }
}

/// The p-values as corrected, in their order.
pub fn adjust(p_values: &[f64], correction: Correction) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let many = p_values.len() as f64;
    let mut adjusted = p_values.to_vec();
    match correction {
        Correction::None => {}
        Correction::Holm => {
            let mut least: f64 = 0.0;
            for (rank, &index) in order.iter().enumerate() {
                least = least.max((many - rank as f64) * p_values[index]).min(1.0);
                adjusted[index] = least;
            }
        }
        Correction::BenjaminiHochberg => {
            let mut most: f64 = 1.0;
            for (rank, &index) in order.iter().enumerate().rev() {
                most = most.min(many / (rank as f64 + 1.0) * p_values[index]);
                adjusted[index] = most;
            }
        }
    }
    adjusted
}
