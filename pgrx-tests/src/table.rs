//! Text tables: columns as wide as their widest cell.

/// A table for people to read; a heading that begins with `>` has its column aligned to the right.
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// An empty table with these headings.
    pub fn new(headings: &[&str]) -> Self {
        let names = headings.iter().map(|name| name.trim_start_matches('>'));
        Self {
            rows: vec![names.map(str::to_owned).collect()],
            right: headings.iter().map(|name| name.starts_with('>')).collect(),
        }
    }

    /// Adds a row, one cell per column.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The lines of the table, each behind the same margin.
    pub fn lines(&self, margin: &str) -> Vec<String> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).zip(&self.right);
            let padded: Vec<String> = cells
                .map(|((cell, &width), right)| match right {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                })
                .collect();
            format!("{margin}{}", padded.join("  "))
                .trim_end()
                .to_owned()
        };
        self.rows.iter().map(line).collect()
    }

    /// Prints the table.
    pub fn print(&self, margin: &str) {
        for line in self.lines(margin) {
            println!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["name", ">number"]);
        table.row(["a".into(), "1".into()]);
        table.row(["lengthy".into(), "1,000".into()]);
        let expected = [
            "  name     number",
            "  a             1",
            "  lengthy   1,000",
        ];
        assert_eq!(table.lines("  "), expected);
    }
}
