//! Users, by two groups: treated, and control.

/// One user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    pub score: f64,
    pub outcome: f64,
    pub treated: bool,
}

/// The rows down to a score: how many of each group, and the sums of their outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Group {
    pub treated: u64,
    pub control: u64,
    pub treated_sum: f64,
    pub control_sum: f64,
}

impl Group {
    pub(super) fn add(&mut self, row: &Row) {
        if row.treated {
            self.treated += 1;
            self.treated_sum += row.outcome;
        } else {
            self.control += 1;
            self.control_sum += row.outcome;
        }
    }

    pub fn of(rows: &[Row]) -> Group {
        let mut group = Group::default();
        rows.iter().for_each(|row| group.add(row));
        group
    }

    pub(super) fn and(self, other: Group) -> Group {
        Group {
            treated: self.treated + other.treated,
            control: self.control + other.control,
            treated_sum: self.treated_sum + other.treated_sum,
            control_sum: self.control_sum + other.control_sum,
        }
    }

    pub fn rows(&self) -> u64 {
        self.treated + self.control
    }

    /// The difference of the means, times the rows. A group without rows has the mean 0.
    pub fn gain(&self) -> f64 {
        let mean = |sum: f64, rows: u64| if rows == 0 { 0.0 } else { sum / rows as f64 };
        let treated = mean(self.treated_sum, self.treated);
        (treated - mean(self.control_sum, self.control)) * self.rows() as f64
    }

    /// The sum of the treated less that of the control group, scaled to as many rows.
    pub fn qini(&self) -> f64 {
        let scale = match self.control {
            0 => 0.0,
            control => self.treated as f64 / control as f64,
        };
        self.treated_sum - self.control_sum * scale
    }

    /// The difference of the means; None if one group has no row.
    pub fn difference(&self) -> Option<f64> {
        let both = self.treated > 0 && self.control > 0;
        both.then(|| {
            self.treated_sum / self.treated as f64 - self.control_sum / self.control as f64
        })
    }
}

/// The score of each distinct score of sorted rows, and what is down to it.
pub fn thresholds(sorted: &[Row]) -> impl Iterator<Item = (f64, Group)> + '_ {
    let mut down_to = Group::default();
    sorted.iter().enumerate().filter_map(move |(i, row)| {
        down_to.add(row);
        let last = sorted.get(i + 1).is_none_or(|next| next.score != row.score);
        last.then_some((row.score, down_to))
    })
}

/// What is counted off: rows of all, or of each group by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Overall,
    ByGroup,
}

impl Strategy {
    /// By its name.
    pub fn named(name: &[u8]) -> Option<Strategy> {
        match name {
            b"overall" => Some(Strategy::Overall),
            b"by_group" => Some(Strategy::ByGroup),
            _ => None,
        }
    }
}
