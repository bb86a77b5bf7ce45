//! What SQLite and PostgreSQL write differently. Everything else in `sql/` is what both understand.

use fhir_search::near::Place;

use super::{Sql, list, prefixed};

/// Characters of a string that PostgreSQL's index has: an entry of its B-trees has a third of a page at most.
const HEAD: usize = 200;

/// An engine's SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    /// Its connections keep joins as they are written and nest loops, so that a plan can't depend on statistics.
    Postgres,
}

impl Dialect {
    /// A join in the order in which it is written, before its `ON`.
    pub fn join(self) -> &'static str {
        match self {
            Self::Sqlite => "CROSS JOIN",
            Self::Postgres => "JOIN",
        }
    }

    /// After a table: this index and no other one.
    pub fn by(self, index: &str) -> String {
        match self {
            Self::Sqlite => format!(" INDEXED BY {index}"),
            Self::Postgres => String::new(),
        }
    }

    /// After a table: in the order of its pk.
    pub fn by_pk(self) -> &'static str {
        match self {
            Self::Sqlite => " NOT INDEXED",
            Self::Postgres => "",
        }
    }

    /// At the end of what `EXISTS` looks for: it is looked for in each row, not in all of them at once.
    pub fn each_row(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " OFFSET 0",
        }
    }

    /// After a column: one of many numbers, which come as one argument, a JSON array.
    pub fn among_numbers(self) -> &'static str {
        match self {
            Self::Sqlite => "IN (SELECT value FROM json_each(?))",
            Self::Postgres => "= ANY (ARRAY(SELECT e::int8 FROM json_array_elements_text(?::json) e))",
        }
    }

    /// After a column: one of many texts, which come as one argument, a JSON array.
    pub fn among_texts(self) -> &'static str {
        match self {
            Self::Sqlite => "IN (SELECT value FROM json_each(?))",
            Self::Postgres => "= ANY (ARRAY(SELECT e FROM json_array_elements_text(?::json) e))",
        }
    }

    /// A table of numbers in a column `pk`, which come as one argument, a JSON array.
    pub fn numbers(self, numbers: &[i64]) -> Sql {
        let text = match self {
            Self::Sqlite => "(SELECT value AS pk FROM json_each(?))",
            Self::Postgres => "(SELECT e::int8 AS pk FROM json_array_elements_text(?::json) e)",
        };
        Sql::with(text, format!("[{}]", list(numbers)))
    }

    /// Metres from a row's place to this one, by a function of ours.
    pub fn distance(latitude: &str, longitude: &str, place: Place) -> String {
        format!(
            "distance({latitude}, {longitude}, {:?}, {:?})",
            place.latitude, place.longitude
        )
    }

    /// After a column: one of what a statement gives, which is asked once.
    pub fn one_of(self, statement: Sql) -> Sql {
        let (before, after) = match self {
            Self::Sqlite => ("IN (", ")"),
            Self::Postgres => ("= ANY (ARRAY(", "))"),
        };
        let mut sql = Sql::plain(before);
        sql.append(statement);
        sql.push(after);
        sql
    }

    /// What tells whether a text column contains an argument.
    pub fn contains(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("instr({column}, ?) > 0"),
            Self::Postgres => format!("strpos({column}, ?) > 0"),
        }
    }

    /// A string column that begins with `prefix`, as a range of its index.
    pub fn begins(self, column: &str, prefix: &str) -> Sql {
        match self {
            Self::Sqlite => prefixed(column, prefix),
            Self::Postgres => {
                let head: String = prefix.chars().take(HEAD).collect();
                let mut sql = prefixed(&format!("left({column}, {HEAD})"), &head);
                if head.len() < prefix.len() {
                    sql.and(Sql::with(format!("starts_with({column}, ?)"), prefix.to_owned()));
                }
                sql
            }
        }
    }

    /// A string column that is `text`, by its index.
    pub fn equals(self, column: &str, text: &str) -> Sql {
        let mut sql = Sql::with(format!("{column} = ?"), text.to_owned());
        if self == Self::Postgres {
            let head: String = text.chars().take(HEAD).collect();
            sql.and(Sql::with(format!("left({column}, {HEAD}) = ?"), head));
        }
        sql
    }
}
