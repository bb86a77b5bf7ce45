//! A filter as SQL: a condition on one resource (`p` is its pk, `r` its row).
//!
//! Texts are looked up first: a text without a number is one that no resource has.

use fhir_search::plan::{Edge, NumberTest, Range, Table, TextTest};
use fhir_search::{Filter, key};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::catalogue::Catalogue;
use crate::{links, rows};

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

/// A resource within a statement.
#[derive(Debug, Clone)]
pub struct At {
    /// Its pk.
    pub pk: String,
    /// The alias of its row, where the condition reads it.
    pub row: String,
    /// Links that lead to it: aliases of further ones have a number of their own.
    pub depth: usize,
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
    Present {
        param: i64,
        table: Table,
    },
    /// A reference leads to a resource with these; `prefix` is the beginning of its key, `rPatient/`.
    Linked {
        param: i64,
        target: i64,
        prefix: String,
        inner: Vec<Condition>,
    },
    /// A resource of the type `source` with these refers to this one, whose key begins with `prefix`.
    LinkedBy {
        param: i64,
        source: i64,
        target: i64,
        prefix: String,
        inner: Vec<Condition>,
    },
    /// Of index rows of the same element.
    Together(Vec<Condition>),
    Id(Vec<String>),
    Updated(Range<i64>),
    Type(Vec<i64>),
}

/// Looks up what a filter names.
pub fn resolve(connection: &Connection, catalogue: &Catalogue, filter: &Filter) -> rusqlite::Result<Condition> {
    let each = |filters: &[Filter]| {
        filters
            .iter()
            .map(|f| resolve(connection, catalogue, f))
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    Ok(match filter {
        Filter::Any(filters) => any(each(filters)?),
        Filter::All(filters) => all(each(filters)?),
        Filter::Not(filter) => match resolve(connection, catalogue, filter)? {
            Condition::Constant(value) => Condition::Constant(!value),
            other => Condition::Not(Box::new(other)),
        },
        Filter::Exact(param, texts) => {
            let mut values = Vec::with_capacity(texts.len());
            for text in texts {
                values.extend(rows::find(connection, text)?);
            }
            values.sort_unstable();
            values.dedup();
            if values.is_empty() {
                Condition::Constant(false)
            } else {
                Condition::Exact {
                    param: catalogue.param(*param),
                    values,
                }
            }
        }
        Filter::Prefix(param, prefix) => Condition::Prefix {
            param: catalogue.param(*param),
            prefix: prefix.clone(),
        },
        Filter::Date(param, low, high) => Condition::Date {
            param: catalogue.param(*param),
            low: low.clone(),
            high: high.clone(),
        },
        Filter::Number(param, test) => {
            let unit = |text: &Option<String>| text.as_deref().map(|text| rows::find(connection, text)).transpose();
            match (unit(&test.system)?, unit(&test.code)?) {
                (Some(None), _) | (_, Some(None)) => Condition::Constant(false),
                (system, code) => Condition::Number {
                    param: catalogue.param(*param),
                    test: test.clone(),
                    system: system.flatten(),
                    code: code.flatten(),
                },
            }
        }
        Filter::Text(param, test) => Condition::Text {
            param: catalogue.param(*param),
            test: test.clone(),
        },
        Filter::Present(param, table) => Condition::Present {
            param: catalogue.param(*param),
            table: *table,
        },
        Filter::Linked { param, target, filters } | Filter::LinkedBy { param, target, filters } => {
            let (Some(number), Condition::All(inner)) = (
                catalogue.type_number(target),
                match all(each(filters)?) {
                    Condition::Constant(true) => Condition::All(Vec::new()),
                    Condition::Constant(false) => return Ok(Condition::Constant(false)),
                    other => Condition::All(other.conjuncts()),
                },
            ) else {
                return Ok(Condition::Constant(false));
            };
            let source = catalogue.param_type(*param).unwrap_or_default();
            let (param, prefix) = (catalogue.param(*param), key::reference(&format!("{target}/")));
            if matches!(filter, Filter::Linked { .. }) {
                Condition::Linked {
                    param,
                    target: number,
                    prefix,
                    inner,
                }
            } else {
                Condition::LinkedBy {
                    param,
                    source,
                    target: number,
                    prefix,
                    inner,
                }
            }
        }
        Filter::Together(filters) => {
            let parts = each(filters)?;
            if parts.iter().any(|part| matches!(part, Condition::Constant(false))) {
                Condition::Constant(false)
            } else {
                Condition::Together(parts)
            }
        }
        Filter::Id(ids) => Condition::Id(ids.clone()),
        Filter::Updated(range) => Condition::Updated(range.clone()),
        Filter::Type(names) => Condition::Type(names.iter().filter_map(|name| catalogue.type_number(name)).collect()),
    })
}

fn any(mut conditions: Vec<Condition>) -> Condition {
    if conditions.iter().any(|c| matches!(c, Condition::Constant(true))) {
        return Condition::Constant(true);
    }
    conditions.retain(|c| !matches!(c, Condition::Constant(false)));
    match conditions.len() {
        0 => Condition::Constant(false),
        1 => conditions.remove(0),
        _ => Condition::Any(conditions),
    }
}

fn all(mut conditions: Vec<Condition>) -> Condition {
    if conditions.iter().any(|c| matches!(c, Condition::Constant(false))) {
        return Condition::Constant(false);
    }
    conditions.retain(|c| !matches!(c, Condition::Constant(true)));
    match conditions.len() {
        0 => Condition::Constant(true),
        1 => conditions.remove(0),
        _ => Condition::All(conditions),
    }
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
    pub fn probe(&self, p: &str) -> Sql {
        let at = At {
            pk: p.to_owned(),
            row: "r".to_owned(),
            depth: 0,
        };
        self.probe_at(&at)
    }

    /// As a test of a resource: each is a probe of the index that leads from the resource to values.
    pub fn probe_at(&self, at: &At) -> Sql {
        let (p, row) = (&at.pk, &at.row);
        match self {
            Self::Constant(value) => Sql::plain(if *value { "1" } else { "0" }),
            Self::Any(conditions) => joined(conditions, at, " OR "),
            Self::All(conditions) => joined(conditions, at, " AND "),
            Self::Not(condition) => {
                let mut sql = Sql::plain("NOT ");
                sql.append(condition.probe_at(at));
                sql
            }
            Self::Id(ids) => {
                let mut sql = Sql::plain(format!("{row}.id IN ({})", marks(ids.len())));
                for id in ids {
                    sql.bind(id.clone());
                }
                sql
            }
            Self::Updated(range) => bounded(&format!("{row}.upd"), range),
            Self::Type(types) => Sql::plain(format!("{row}.type IN ({})", list(types))),
            Self::Linked { .. } | Self::LinkedBy { .. } => links::probe(self, at),
            Self::Together(parts) => {
                let mut sql = Sql::plain("EXISTS (SELECT 1 FROM ");
                sql.append(same_element(parts, Some(p)));
                sql.push(")");
                sql
            }
            rows => {
                let (table, test) = rows.rows();
                let mut sql = Sql::plain(format!(
                    "EXISTS (SELECT 1 FROM {table} x INDEXED BY {table}_pk WHERE x.pk = {p} AND "
                ));
                sql.append(test);
                sql.push(")");
                sql
            }
        }
    }

    /// For conditions on index rows: the table and the test of its row `x`.
    pub fn rows(&self) -> (&'static str, Sql) {
        match self {
            Self::Exact { param, values } => {
                let mut sql = Sql::with("x.param = ? AND x.val ", *param);
                match values.as_slice() {
                    [one] => sql.append(Sql::with("= ?", *one)),
                    several => {
                        sql.push(&format!("IN ({})", marks(several.len())));
                        for value in several {
                            sql.bind(*value);
                        }
                    }
                }
                ("ix_exact", sql)
            }
            Self::Prefix { param, prefix } => {
                let mut sql = Sql::with("x.param = ? AND x.val IN (SELECT v.id FROM val v WHERE ", *param);
                sql.append(prefixed("v.text", prefix));
                sql.push(")");
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
                    TextTest::StartsWith(text) => prefixed("x.folded", text),
                    TextTest::Contains(text) => Sql::with("instr(x.folded, ?) > 0", text.clone()),
                    TextTest::Exact(folded, exact) => {
                        let exact = if folded == exact { String::new() } else { exact.clone() };
                        Sql {
                            text: "x.folded = ? AND x.exact = ?".to_owned(),
                            arguments: vec![folded.clone().into(), exact.into()],
                        }
                    }
                });
                ("ix_string", sql)
            }
            Self::Present { param, table } => {
                let table = match table {
                    Table::Exact => "ix_exact",
                    Table::Dates => "ix_date",
                    Table::Numbers => "ix_number",
                    Table::Strings => "ix_string",
                };
                (table, Sql::with("x.param = ?", *param))
            }
            Self::Constant(_)
            | Self::Any(_)
            | Self::All(_)
            | Self::Not(_)
            | Self::Linked { .. }
            | Self::LinkedBy { .. }
            | Self::Together(_)
            | Self::Id(_)
            | Self::Updated(_)
            | Self::Type(_) => ("res", Sql::plain("0")),
        }
    }

    /// Whether the test reads the resource's own row.
    pub fn reads_row(&self) -> bool {
        match self {
            Self::Any(conditions) | Self::All(conditions) => conditions.iter().any(Self::reads_row),
            Self::Not(condition) => condition.reads_row(),
            Self::Id(_) | Self::Updated(_) | Self::Type(_) | Self::LinkedBy { .. } => true,
            _ => false,
        }
    }
}

/// Rows of several conditions with the same resource and element: `table x0 CROSS JOIN table x1 … WHERE …`, of the
/// resource `p` or of any, whose pk is `x0.pk` then.
pub fn same_element(parts: &[Condition], p: Option<&str>) -> Sql {
    let (mut from, mut tests) = (Sql::default(), Sql::plain("1"));
    for (index, part) in parts.iter().enumerate() {
        let (table, test) = part.rows();
        let by_resource = index > 0 || p.is_some();
        let joined = if index > 0 { " CROSS JOIN " } else { "" };
        let index_used = if by_resource {
            format!(" INDEXED BY {table}_pk")
        } else {
            String::new()
        };
        from.push(&format!("{joined}{table} x{index}{index_used}"));
        if index > 0 {
            tests.push(&format!(" AND x{index}.pk = x0.pk AND x{index}.elem = x0.elem"));
        }
        tests.and(Sql {
            text: test.text.replace("x.", &format!("x{index}.")),
            arguments: test.arguments,
        });
    }
    from.push(" WHERE ");
    if let Some(p) = p {
        from.push(&format!("x0.pk = {p} AND "));
    }
    from.append(tests);
    from
}

fn joined(conditions: &[Condition], at: &At, between: &str) -> Sql {
    let mut sql = Sql::plain("(");
    for (index, condition) in conditions.iter().enumerate() {
        if index > 0 {
            sql.push(between);
        }
        sql.append(condition.probe_at(at));
    }
    sql.push(")");
    sql
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
    let mut sql = Sql::plain("1");
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
