//! What SQLite and PostgreSQL write differently. Everything else in `sql/` is what both understand.

use fhir_search::near::Place;

use super::condition::one_of_texts;
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
    /// A join in the order in which it is written: for each row before it, the rows of a table that `on` holds for, by this
    /// index (none: by their pk or id). PostgreSQL takes no hints, but it can't turn round what stands behind a fence.
    pub fn join(self, table: &str, alias: &str, index: &str, on: &str) -> String {
        match self {
            Self::Sqlite => {
                let by = if index.is_empty() {
                    String::new()
                } else {
                    self.by(index)
                };
                format!("CROSS JOIN {table} {alias}{by} ON {on}")
            }
            Self::Postgres => {
                format!("JOIN LATERAL (SELECT {alias}.* FROM {table} {alias} WHERE {on} OFFSET 0) {alias} ON TRUE")
            }
        }
    }

    /// The same, but a row stays alone where there is none.
    pub fn join_if_any(self, table: &str, alias: &str, index: &str, on: &str) -> String {
        match self {
            Self::Sqlite => format!("LEFT JOIN {table} {alias}{} ON {on}", self.by(index)),
            Self::Postgres => {
                format!("LEFT JOIN LATERAL (SELECT {alias}.* FROM {table} {alias} WHERE {on} OFFSET 0) {alias} ON TRUE")
            }
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

    /// A test of a resource's rows `x`: they are looked for by pk alone. PostgreSQL can't use what it doesn't know as a
    /// column, so that no index by value is tempting.
    pub fn by_resource(self, test: Sql) -> Sql {
        match self {
            Self::Sqlite => test,
            Self::Postgres => Sql {
                text: test.text.replace("x.param =", "x.param + 0 ="),
                arguments: test.arguments,
            },
        }
    }

    /// A column that rows aren't looked for by.
    pub fn unsought(self, column: &str) -> String {
        match self {
            Self::Sqlite => column.to_owned(),
            Self::Postgres => format!("{column} + 0"),
        }
    }

    /// After a column: one of many numbers, which come as one argument.
    pub fn among(self, numbers: Vec<i64>) -> Sql {
        let text = match self {
            Self::Sqlite => "IN (SELECT value FROM json_each(?))",
            Self::Postgres => "= ANY (?::int8[])",
        };
        Sql::with(text, numbers)
    }

    /// After a column: one of many texts, which come as one argument.
    pub fn among_texts(self, texts: Vec<String>) -> Sql {
        let text = match self {
            Self::Sqlite => "IN (SELECT value FROM json_each(?))",
            Self::Postgres => "= ANY (?::text[])",
        };
        Sql::with(text, texts)
    }

    /// After `FROM`: rows `r` that are there, of these types (none: of all), with these ids; it ends with a test.
    pub fn named(self, types: &[i64], ids: &[String]) -> Sql {
        let types = if types.is_empty() {
            "SELECT t.id FROM type t".to_owned()
        } else {
            list(types)
        };
        match (self, ids) {
            // each id is looked up, however few resources the types have at the time of planning
            (Self::Postgres, [_, _, ..]) => {
                let text = format!(
                    "(SELECT DISTINCT e AS id FROM unnest(?::text[]) e) n JOIN LATERAL (SELECT * FROM res \
                     WHERE type IN ({types}) AND id = n.id OFFSET 0) r ON TRUE WHERE r.body IS NOT NULL"
                );
                Sql::with(text, ids.to_vec())
            }
            _ => {
                let by = self.by("res_id");
                let mut sql = Sql::plain(format!(
                    "res r{by} WHERE r.type IN ({types}) AND r.body IS NOT NULL AND r.id "
                ));
                sql.append(one_of_texts(self, ids));
                sql
            }
        }
    }

    /// A table of numbers in a column `pk`, which come as one argument.
    pub fn numbers(self, numbers: Vec<i64>) -> Sql {
        let text = match self {
            Self::Sqlite => "(SELECT value AS pk FROM json_each(?))",
            Self::Postgres => "(SELECT e AS pk FROM unnest(?::int8[]) e)",
        };
        Sql::with(text, numbers)
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
