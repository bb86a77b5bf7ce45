//! A table in Markdown.

use std::fmt;

/// Columns and rows.
pub struct Table {
    lines: Vec<String>,
}

impl Table {
    /// With these names of columns.
    pub fn new(columns: &[&str]) -> Self {
        let rule = "---|".repeat(columns.len());
        Self {
            lines: vec![format!("| {} |", columns.join(" | ")), format!("|{rule}")],
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        // A bar would end the cell, in code too.
        let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        self.lines.push(format!("| {} |", cells.join(" | ")));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A literal.
pub fn code(text: &str) -> String {
    format!("`{text}`")
}
