//! What was measured, as Markdown: sentences about the machine, the table of numbers to reach, further tables.

use std::fmt;

/// In the order in which it was measured.
#[derive(Debug, Default)]
pub struct Report {
    notes: Vec<String>,
    rows: Vec<Row>,
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Row {
    what: String,
    got: f64,
    unit: &'static str,
    wanted: Wanted,
    how: String,
}

/// A table of its own.
#[derive(Debug, Default)]
pub struct Table {
    /// What it shows, in a sentence.
    pub about: String,
    /// Names of columns; the first one is text, the others are numbers.
    pub columns: Vec<String>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

/// What the design documents promise.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// At least this much.
    AtLeast(f64),
    /// At most this much.
    AtMost(f64),
    /// Nothing that this can be compared with.
    Nothing,
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

    /// Adds a table.
    pub fn table(&mut self, table: Table) {
        self.tables.push(table);
    }
}

/// A number as people read it: no more digits than mean something.
pub fn figure(number: f64) -> String {
    if !number.is_finite() {
        "–".to_owned()
    } else if number.abs() < 100.0 && number.fract().abs() > 0.05 {
        format!("{number:.1}")
    } else {
        format!("{number:.0}")
    }
}

impl Row {
    fn cells(&self) -> [String; 5] {
        let (wanted, reached) = match self.wanted {
            Wanted::AtLeast(limit) => (format!("≥ {limit}"), Some(self.got >= limit)),
            Wanted::AtMost(limit) => (format!("≤ {limit}"), Some(self.got <= limit)),
            Wanted::Nothing => (String::new(), None),
        };
        // without a process to look at there is nothing to compare
        let verdict = match reached.filter(|_| self.got.is_finite()) {
            None => "",
            Some(true) => "reached",
            Some(false) => "missed",
        };
        let got = if self.got.is_finite() {
            format!("{} {}", figure(self.got), self.unit)
        } else {
            figure(self.got)
        };
        [self.what.clone(), got, wanted, verdict.to_owned(), self.how.clone()]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notes = self.notes.iter().cloned();
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| format!("| {} |", row.cells().join(" | ")))
            .collect();
        let mut parts: Vec<String> = notes.collect();
        if !rows.is_empty() {
            let head = "| What | Measured | Wanted | | How |\n|---|---|---|---|---|";
            parts.push(format!("{head}\n{}", rows.join("\n")));
        }
        parts.extend(self.tables.iter().map(ToString::to_string));
        writeln!(f, "{}", parts.join("\n\n"))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.about)?;
        writeln!(f, "| {} |", self.columns.join(" | "))?;
        write!(f, "|---|{}", "--:|".repeat(self.columns.len().saturating_sub(1)))?;
        for row in &self.rows {
            write!(f, "\n| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}
