//! Plans as SQL, written once for every engine; what differs is in [`dialect`].

pub mod choice;
pub mod condition;
pub mod conditions;
pub mod dialect;
pub mod driving;
pub mod history;
pub mod jobs;
pub mod links;
pub mod order;
pub mod owner;
pub mod owns;
pub mod resolve;
pub mod row;
pub mod statement;
pub mod used;

use fhir_search::plan::{Edge, Range};

use crate::value::Value;

/// SQL text with its arguments, in order.
#[derive(Debug, Clone, Default)]
pub struct Sql {
    pub text: String,
    pub arguments: Vec<Value>,
}

impl Sql {
    /// Text without arguments.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            arguments: Vec::new(),
        }
    }

    /// Text with one argument at its `?`.
    pub fn with(text: impl Into<String>, argument: impl Into<Value>) -> Self {
        Self {
            text: text.into(),
            arguments: vec![argument.into()],
        }
    }

    /// Appends text.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends an argument, whose `?` is in the text already.
    pub fn bind(&mut self, argument: impl Into<Value>) {
        self.arguments.push(argument.into());
    }

    /// Appends another piece.
    pub fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
        self.arguments.extend(other.arguments);
    }

    /// Appends ` AND ` and another piece.
    pub fn and(&mut self, other: Self) {
        self.text.push_str(" AND ");
        self.append(other);
    }
}

/// `?, ?, ?`
pub fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// Numbers of ours, safe in the text.
pub fn list(numbers: &[i64]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A column within a range.
pub fn bounded<T: Clone + Into<Value>>(column: &str, range: &Range<T>) -> Sql {
    let mut sql = Sql::plain("TRUE");
    if let Some((from, edge)) = &range.from {
        let operator = if *edge == Edge::Included { ">=" } else { ">" };
        sql.and(Sql::with(format!("{column} {operator} ?"), from.clone()));
    }
    if let Some((to, edge)) = &range.to {
        let operator = if *edge == Edge::Included { "<=" } else { "<" };
        sql.and(Sql::with(format!("{column} {operator} ?"), to.clone()));
    }
    sql
}

/// A text column that begins with `prefix`, as a range of its index.
pub fn prefixed(column: &str, prefix: &str) -> Sql {
    let mut sql = Sql::with(format!("{column} >= ?"), prefix.to_owned());
    // the first text after all that begin with the prefix
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            end.push(next);
            sql.and(Sql::with(format!("{column} < ?"), end.into_iter().collect::<String>()));
            break;
        }
    }
    sql
}
