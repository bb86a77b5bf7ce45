//! What SQLite and PostgreSQL write differently. Everything else in `sql/` is what both understand.

use fhir_search::near::Place;

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

    /// After a column: one of many numbers, which come as one argument, a JSON array.
    pub fn among_numbers(self) -> &'static str {
        match self {
            Self::Sqlite => "IN (SELECT value FROM json_each(?))",
        }
    }

    /// After a column: one of many texts, which come as one argument, a JSON array.
    pub fn among_texts(self) -> &'static str {
        match self {
            Self::Sqlite => "IN (SELECT value FROM json_each(?))",
        }
    }

    /// Metres from a row's place to this one.
    pub fn distance(self, latitude: &str, longitude: &str, place: Place) -> String {
        match self {
            Self::Sqlite => format!(
                "distance({latitude}, {longitude}, {:?}, {:?})",
                place.latitude, place.longitude
            ),
        }
    }
}
