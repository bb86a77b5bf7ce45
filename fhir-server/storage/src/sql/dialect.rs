//! What SQLite and PostgreSQL write differently. Everything else in `sql/` is what both understand.

/// An engine's SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
}

impl Dialect {
    /// A join in the order in which it is written, before its `ON`.
    pub fn join(self) -> &'static str {
        match self {
            Self::Sqlite => "CROSS JOIN",
        }
    }

    /// After a table: this index and no other one.
    pub fn by(self, index: &str) -> String {
        match self {
            Self::Sqlite => format!(" INDEXED BY {index}"),
        }
    }

    /// After a table: in the order of its pk.
    pub fn by_pk(self) -> &'static str {
        match self {
            Self::Sqlite => " NOT INDEXED",
        }
    }

    /// At the end of what `EXISTS` looks for: it is looked for in each row, not in all of them at once.
    pub fn each_row(self) -> &'static str {
        match self {
            Self::Sqlite => "",
        }
    }
}
