//! The table: what, measured, wanted, verdict.

use std::fmt;

/// Rows in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    got: f64,
    unit: &'static str,
    wanted: Wanted,
    note: String,
}

/// What the design documents promise.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// At least this much.
    AtLeast(f64),
    /// At most this much.
    AtMost(f64),
}

impl Report {
    /// Adds a row; `note` says how the figure came about.
    pub fn add(&mut self, what: &str, got: f64, unit: &'static str, wanted: Wanted, note: String) {
        eprintln!("{what}: {got:.1} {unit}  {note}");
        self.rows.push(Row {
            what: what.to_owned(),
            got,
            unit,
            wanted,
            note,
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| What | Measured | Wanted | | How |\n|---|---|---|---|---|")?;
        for Row {
            what,
            got,
            unit,
            wanted,
            note,
        } in &self.rows
        {
            let (wanted, verdict) = match wanted {
                Wanted::AtLeast(limit) => (format!("≥ {limit}"), if got >= limit { "reached" } else { "missed" }),
                Wanted::AtMost(limit) => (format!("≤ {limit}"), if got <= limit { "reached" } else { "missed" }),
            };
            writeln!(f, "| {what} | {got:.1} {unit} | {wanted} | {verdict} | {note} |")?;
        }
        Ok(())
    }
}
