//! A condition on one resource as SQL (`p` is its pk, `r` its row).

use fhir_search::near::Circle;
use fhir_search::plan::{NumberTest, Range, Table, TextTest};

use super::dialect::Dialect;
use super::owner::{Dates, Owner};
use super::owns::Owns;
use super::{Sql, bounded, links, list, marks, prefixed};

/// More values than these come as one argument, so that no number of them is too many.
const MARKS: usize = 16;
/// More parts than these are split into two halves.
const FLAT: usize = 64;

/// A resource within a statement.
#[derive(Debug, Clone)]
pub struct At {
    /// Its pk.
    pub pk: String,
    /// The alias of its row, where the condition reads it.
    pub row: String,
    /// Links that lead to it: aliases of further ones have a number of their own.
    pub depth: usize,
    /// The engine's SQL.
    pub dialect: Dialect,
}

/// A filter with its texts and parameters as numbers.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Always, or never.
    Constant(bool),
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Exact {
        param: i64,
        values: Vec<i64>,
    },
    /// Tokens with one of these systems, whatever their code.
    OfSystem {
        param: i64,
        systems: Vec<i64>,
    },
    Prefix {
        param: i64,
        prefix: String,
    },
    Date {
        param: i64,
        low: Range<i64>,
        high: Range<i64>,
    },
    Number {
        param: i64,
        test: NumberTest,
        system: Option<i64>,
        code: Option<i64>,
    },
    Text {
        param: i64,
        test: TextTest,
    },
    Near {
        param: i64,
        circle: Circle,
    },
    Present {
        param: i64,
        table: Table,
    },
    /// A reference leads to a resource with these; `prefix` is the beginning of its key, `rPatient/`. With `url` it says
    /// what the resource has under that parameter.
    Linked {
        param: i64,
        target: i64,
        url: Option<i64>,
        prefix: String,
        inner: Vec<Condition>,
    },
    /// A resource of the type `source` with these refers to this one, whose key begins with `prefix`.
    LinkedBy {
        param: i64,
        source: i64,
        target: i64,
        url: Option<i64>,
        prefix: String,
        inner: Vec<Condition>,
    },
    /// A resource with such a code names it as its owner.
    Owns(Owns),
    /// One of the keys, of an owner.
    OwnerExact {
        param: i64,
        values: Vec<i64>,
        owner: Owner,
    },
    /// Dates of an owner, and the conditions that they stand for.
    OwnerDate {
        dates: Dates,
        stands_for: Vec<Condition>,
    },
    /// Of index rows of the same element.
    Together(Vec<Condition>),
    Id(Vec<String>),
    Updated(Range<i64>),
    Type(Vec<i64>),
}

impl Condition {
    /// The conditions that must all hold.
    pub fn conjuncts(self) -> Vec<Self> {
        match self {
            Self::All(conditions) => conditions.into_iter().flat_map(Self::conjuncts).collect(),
            other => vec![other],
        }
    }

    /// As a test of the resource whose pk is `p` and whose row is `r`.
    pub fn probe(&self, dialect: Dialect, p: &str) -> Sql {
        let at = At {
            pk: p.to_owned(),
            row: "r".to_owned(),
            depth: 0,
            dialect,
        };
        self.probe_at(&at)
    }

    /// As a test of a resource: each is a probe of the index that leads from the resource to values.
    pub fn probe_at(&self, at: &At) -> Sql {
        let (p, row) = (&at.pk, &at.row);
        match self {
            Self::Constant(value) => Sql::plain(if *value { "TRUE" } else { "FALSE" }),
            Self::Any(conditions) => alternatives(conditions, at),
            Self::All(conditions) => {
                let parts = conditions.iter().map(|condition| condition.probe_at(at));
                joined(parts.collect(), " AND ")
            }
            Self::Not(condition) => {
                let mut sql = Sql::plain("NOT ");
                sql.append(condition.probe_at(at));
                sql
            }
            Self::Id(ids) => {
                let mut sql = Sql::plain(format!("{row}.id "));
                sql.append(one_of_texts(at.dialect, ids));
                sql
            }
            Self::Updated(range) => bounded(&format!("{row}.upd"), range),
            Self::Type(types) => Sql::plain(format!("{row}.type IN ({})", list(types))),
            Self::Linked { .. } | Self::LinkedBy { .. } => links::probe(self, at),
            Self::Together(parts) => {
                let mut sql = Sql::plain("EXISTS (SELECT 1 FROM ");
                sql.append(same_element(at.dialect, parts, Some(p)));
                sql.push(at.dialect.each_row());
                sql.push(")");
                sql
            }
            Self::Owns(owns) => owns.probe(at),
            Self::OwnerExact { .. } => {
                let (table, test) = self.rows(at.dialect);
                let mut sql = Sql::plain(format!("EXISTS (SELECT 1 FROM {table} x WHERE x.pk = {p} AND "));
                sql.append(test);
                sql.push(at.dialect.each_row());
                sql.push(")");
                sql
            }
            Self::OwnerDate { stands_for, .. } => {
                let parts = stands_for.iter().map(|condition| condition.probe_at(at));
                joined(parts.collect(), " AND ")
            }
            rows => {
                let (table, test) = rows.rows(at.dialect);
                // the whole key leads to one row
                let is_key = matches!(rows, Self::Exact { values, .. } if values.len() == 1);
                let test = if is_key { test } else { at.dialect.by_resource(test) };
                row_exists(table, test, at)
            }
        }
    }

    /// Whether it is about the rows of one index.
    fn is_of_rows(&self) -> bool {
        match self {
            Self::Exact { .. }
            | Self::OfSystem { .. }
            | Self::Prefix { .. }
            | Self::Date { .. }
            | Self::Number { .. }
            | Self::Text { .. }
            | Self::Near { .. }
            | Self::Present { .. } => true,
            Self::Constant(_)
            | Self::Any(_)
            | Self::All(_)
            | Self::Not(_)
            | Self::Linked { .. }
            | Self::LinkedBy { .. }
            | Self::Owns(_)
            | Self::OwnerExact { .. }
            | Self::OwnerDate { .. }
            | Self::Together(_)
            | Self::Id(_)
            | Self::Updated(_)
            | Self::Type(_) => false,
        }
    }

    /// For conditions on index rows: the table and the test of its row `x`.
    pub fn rows(&self, dialect: Dialect) -> (&'static str, Sql) {
        match self {
            Self::Exact { param, values } => {
                let mut sql = Sql::with("x.param = ? AND x.val ", *param);
                sql.append(one_of_numbers(dialect, values));
                ("ix_exact", sql)
            }
            Self::OfSystem { param, systems } => {
                let mut sql = Sql::with("x.param = ? AND (SELECT v.sys FROM val v WHERE v.id = x.val) ", *param);
                sql.append(one_of_numbers(dialect, systems));
                ("ix_exact", sql)
            }
            Self::Prefix { param, prefix } => {
                let mut texts = Sql::plain("SELECT v.id FROM val v WHERE ");
                texts.append(prefixed("v.text", prefix));
                let mut sql = Sql::with("x.param = ? AND x.val ", *param);
                sql.append(dialect.one_of(texts));
                ("ix_exact", sql)
            }
            Self::Date { param, low, high } => {
                let mut sql = Sql::with("x.param = ?", *param);
                sql.and(bounded("x.lo", low));
                sql.and(bounded("x.hi", high));
                ("ix_date", sql)
            }
            Self::Number {
                param,
                test,
                system,
                code,
            } => {
                let mut sql = Sql::with("x.param = ?", *param);
                sql.and(bounded("x.lo", &test.low));
                sql.and(bounded("x.hi", &test.high));
                for (column, unit) in [("x.system", system), ("x.code", code)] {
                    if let Some(unit) = unit {
                        sql.and(Sql::with(format!("{column} = ?"), *unit));
                    }
                }
                ("ix_number", sql)
            }
            Self::Text { param, test } => {
                let mut sql = Sql::with("x.param = ?", *param);
                sql.and(match test {
                    TextTest::StartsWith(text) => dialect.begins("x.folded", text),
                    TextTest::Contains(text) => Sql::with(dialect.contains("x.folded"), text.clone()),
                    TextTest::EndsWith(text) => Sql {
                        text: "length(x.folded) >= length(?) AND \
                               substr(x.folded, length(x.folded) - length(?) + 1) = ?"
                            .to_owned(),
                        arguments: vec![text.clone().into(), text.clone().into(), text.clone().into()],
                    },
                    TextTest::Folded(text) => dialect.equals("x.folded", text),
                    TextTest::Exact(folded, exact) => {
                        let exact = if folded == exact { String::new() } else { exact.clone() };
                        let mut sql = dialect.equals("x.folded", folded);
                        sql.and(Sql::with("x.exact = ?", exact));
                        sql
                    }
                });
                ("ix_string", sql)
            }
            Self::Near { param, circle } => ("ix_place", within(*param, circle)),
            Self::Present { param, table } => {
                let table = match table {
                    Table::Exact => "ix_exact",
                    Table::Dates => "ix_date",
                    Table::Numbers => "ix_number",
                    Table::Strings => "ix_string",
                    Table::Places => "ix_place",
                };
                (table, Sql::with("x.param = ?", *param))
            }
            Self::OwnerExact { param, values, owner } => {
                let mut sql = Sql::with("x.param = ? AND x.val ", *param);
                sql.append(one_of_numbers(dialect, values));
                sql.and(owner.test("x"));
                ("ix_owner_exact", sql)
            }
            Self::Constant(_)
            | Self::Any(_)
            | Self::All(_)
            | Self::Not(_)
            | Self::Linked { .. }
            | Self::LinkedBy { .. }
            | Self::Owns(_)
            | Self::OwnerDate { .. }
            | Self::Together(_)
            | Self::Id(_)
            | Self::Updated(_)
            | Self::Type(_) => ("res", Sql::plain("FALSE")),
        }
    }

    /// Whether the test reads the resource's own row.
    pub fn reads_row(&self) -> bool {
        match self {
            Self::Any(conditions) | Self::All(conditions) => conditions.iter().any(Self::reads_row),
            Self::Not(condition) => condition.reads_row(),
            Self::Id(_) | Self::Updated(_) | Self::Type(_) | Self::LinkedBy { .. } | Self::Owns(_) => true,
            _ => false,
        }
    }
}

/// Rows of several conditions with the same resource and element: `table x0 JOIN table x1 … WHERE …`, of the resource `p` or
/// of any, whose pk is `x0.pk` then. What has no index to begin with comes last.
pub fn same_element(dialect: Dialect, parts: &[Condition], p: Option<&str>) -> Sql {
    let (mut from, mut tests) = (Sql::default(), Sql::plain(" WHERE TRUE"));
    if let Some(p) = p {
        tests.push(&format!(" AND x0.pk = {p}"));
    }
    let (last, first): (Vec<_>, Vec<_>) = parts
        .iter()
        .partition(|part| matches!(part, Condition::OfSystem { .. }));
    for (index, part) in first.into_iter().chain(last).enumerate() {
        let (table, test) = part.rows(dialect);
        let by_resource = index > 0 || p.is_some();
        let test = if by_resource { dialect.by_resource(test) } else { test };
        let test = Sql {
            text: test.text.replace("x.", &format!("x{index}.")),
            arguments: test.arguments,
        };
        let own = format!("{table}_pk");
        if index == 0 {
            let by = if by_resource { dialect.by(&own) } else { String::new() };
            from.push(&format!("{table} x0{by}"));
            tests.and(test);
        } else {
            let on = format!("x{index}.pk = x0.pk AND x{index}.elem = x0.elem AND {}", test.text);
            from.push(" ");
            from.append(Sql {
                text: dialect.join(table, &format!("x{index}"), &own, &on),
                arguments: test.arguments,
            });
        }
    }
    from.append(tests);
    from
}

/// A place within a circle: in the rectangle around it, then by its distance. Numbers of ours are safe in the text.
fn within(param: i64, circle: &Circle) -> Sql {
    let bounds = circle.bounds();
    let ranges: Vec<String> = bounds
        .longitudes
        .iter()
        .flatten()
        .map(|(west, east)| format!("x.longitude BETWEEN {west:?} AND {east:?}"))
        .collect();
    let distance = Dialect::distance("x.latitude", "x.longitude", circle.centre);
    let text = format!(
        "x.param = ? AND x.latitude BETWEEN {:?} AND {:?} AND ({}) AND {distance} <= {:?}",
        bounds.south,
        bounds.north,
        ranges.join(" OR "),
        circle.metres,
    );
    Sql::with(text, param)
}

fn row_exists(table: &str, test: Sql, at: &At) -> Sql {
    let by = at.dialect.by(&format!("{table}_pk"));
    let mut sql = Sql::plain(format!(
        "EXISTS (SELECT 1 FROM {table} x{by} WHERE x.pk = {} AND ",
        at.pk
    ));
    sql.append(test);
    sql.push(at.dialect.each_row());
    sql.push(")");
    sql
}

/// Alternatives about rows of the same index are looked for at once: the resource's rows are read once, however many
/// there are.
fn alternatives(conditions: &[Condition], at: &At) -> Sql {
    let mut tables: Vec<(&'static str, Vec<Sql>)> = Vec::new();
    let mut parts = Vec::new();
    for condition in conditions {
        if !condition.is_of_rows() {
            parts.push(condition.probe_at(at));
            continue;
        }
        let (table, test) = condition.rows(at.dialect);
        match tables.iter_mut().find(|(known, _)| *known == table) {
            Some((_, tests)) => tests.push(test),
            None => tables.push((table, vec![test])),
        }
    }
    let tables = tables.into_iter();
    parts.extend(tables.map(|(table, tests)| row_exists(table, at.dialect.by_resource(joined(tests, " OR ")), at)));
    joined(parts, " OR ")
}

/// The parts between parentheses. Thousands of them are a tree of little depth: databases limit the depth of expressions.
pub fn joined(mut parts: Vec<Sql>, between: &str) -> Sql {
    if parts.len() > FLAT {
        let second = parts.split_off(parts.len() / 2);
        parts = vec![joined(parts, between), joined(second, between)];
    }
    let mut sql = Sql::plain("(");
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            sql.push(between);
        }
        sql.append(part);
    }
    sql.push(")");
    sql
}

/// `IN (…)` or `= ?` of numbers.
pub fn one_of_numbers(dialect: Dialect, numbers: &[i64]) -> Sql {
    match numbers {
        [one] => Sql::with("= ?", *one),
        several if several.len() <= MARKS => {
            let mut sql = Sql::plain(format!("IN ({})", marks(several.len())));
            for number in several {
                sql.bind(*number);
            }
            sql
        }
        many => dialect.among(many.to_vec()),
    }
}

/// `IN (…)` or `= ?` of texts.
pub fn one_of_texts(dialect: Dialect, texts: &[String]) -> Sql {
    match texts {
        [one] => Sql::with("= ?", one.clone()),
        many if many.len() > MARKS => dialect.among_texts(many.to_vec()),
        several => {
            let mut sql = Sql::plain(format!("IN ({})", marks(several.len())));
            for text in several {
                sql.bind(text.clone());
            }
            sql
        }
    }
}
