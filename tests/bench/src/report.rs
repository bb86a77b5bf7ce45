//! The table: what, measured, wanted, verdict.

use std::fmt;

/// Rows in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Row {
    what: String,
    got: f64,
    unit: &'static str,
    wanted: Wanted,
    how: String,
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
    /// Adds a row; `how` says how the figure came about.
    pub fn add(&mut self, what: &str, got: f64, unit: &'static str, wanted: Wanted, how: &str) {
        eprintln!("{what}: {got:.1} {unit}  {how}");
        self.rows.push(Row {
            what: what.to_owned(),
            got,
            unit,
            wanted,
            how: how.to_owned(),
        });
    }

    /// Adds a sentence about the machine of that moment.
    pub fn note(&mut self, text: &str) {
        eprintln!("{text}");
        self.notes.push(text.to_owned());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "{note}\n")?;
        }
        writeln!(f, "| What | Measured | Wanted | | How |\n|---|---|---|---|---|")?;
        for Row {
            what,
            got,
            unit,
            wanted,
            how,
        } in &self.rows
        {
            let (wanted, reached) = match wanted {
                Wanted::AtLeast(limit) => (format!("≥ {limit}"), got >= limit),
                Wanted::AtMost(limit) => (format!("≤ {limit}"), got <= limit),
            };
            // without a process to look at there is nothing to compare
            let figure = if *got < 100.0 {
                format!("{got:.1} {unit}")
            } else {
                format!("{got:.0} {unit}")
            };
            let (got, verdict) = match (got.is_finite(), reached) {
                (false, _) => ("–".to_owned(), ""),
                (true, true) => (figure, "reached"),
                (true, false) => (figure, "missed"),
            };
            writeln!(f, "| {what} | {got} | {wanted} | {verdict} | {how} |")?;
        }
        Ok(())
    }
}
