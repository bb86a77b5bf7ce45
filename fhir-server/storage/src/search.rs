//! Plan → pages and counts.
//!
//! One condition drives: its index gives resources in the order of the page, or few enough to be sorted. All others are
//! probed for each resource. Which one drives is chosen by counting up to a limit in the indexes at hand, at the time of
//! the search, so that skewed values can't mislead it.

use fhir_search::plan::Range;
use fhir_search::{Plan, Sort, SortKey};
use rusqlite::Connection;

use crate::catalogue::Catalogue;
use crate::cursor::{Cursor, Key};
use crate::error::ReadError;
use crate::read::{COLUMNS, Raw};
use crate::rows::LONG;
use crate::sql::{self, Condition, Sql};
use crate::version::Version;
use crate::{links, order};

/// Up to here hits are counted, and a driver's hits may be sorted.
const FEW: i64 = 512;
/// Resources at the other end of a chain up to which the search begins there.
const MANY: i64 = 5_000;

/// A page of matches.
#[derive(Debug)]
pub struct Page {
    /// The matches, in order.
    pub entries: Vec<Version>,
    /// Where the next page begins; `None`: this was the last one.
    pub next: Option<Cursor>,
}

/// A page of at most `count` matches behind `after`.
pub fn page(
    connection: &Connection,
    catalogue: &Catalogue,
    plan: &Plan,
    count: usize,
    after: Option<&Cursor>,
) -> Result<Page, ReadError> {
    let keys = order::keys(&plan.sort);
    if after.is_some_and(|cursor| cursor.keys.len() != keys) {
        return Err(ReadError::Cursor);
    }
    let mut page = Page {
        entries: Vec::new(),
        next: None,
    };
    let Some(statement) = page_statement(connection, catalogue, plan, count, after)? else {
        return Ok(page);
    };
    let mut select = connection.prepare_cached(&statement.text)?;
    let mut rows = select.query(rusqlite::params_from_iter(statement.arguments))?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let raw = Raw::of(row)?;
        if page.entries.len() == count {
            page.next = last;
            break;
        }
        let keys = match &plan.sort {
            Sort::Creation => Vec::new(),
            Sort::UpdatedAscending | Sort::UpdatedDescending => vec![Key::Number(raw.updated)],
            Sort::Values(keys) => (8..8 + keys.len())
                .map(|at| row.get_ref(at).map(Key::from))
                .collect::<Result<_, _>>()?,
        };
        last = Some(Cursor { keys, pk: raw.pk });
        page.entries.push(raw.serve(catalogue)?);
    }
    Ok(page)
}

/// How many resources match.
pub fn count(connection: &Connection, catalogue: &Catalogue, plan: &Plan) -> Result<u64, ReadError> {
    let Some(statement) = count_statement(connection, catalogue, plan)? else {
        return Ok(0);
    };
    let mut select = connection.prepare_cached(&statement.text)?;
    let found: i64 = select.query_row(rusqlite::params_from_iter(statement.arguments), |row| row.get(0))?;
    Ok(found.unsigned_abs())
}

/// SQLite's plan of a first page.
pub fn explain(connection: &Connection, catalogue: &Catalogue, plan: &Plan) -> Result<Vec<String>, ReadError> {
    let mut lines = Vec::new();
    for statement in [
        page_statement(connection, catalogue, plan, 10, None)?,
        count_statement(connection, catalogue, plan)?,
    ]
    .into_iter()
    .flatten()
    {
        let mut select = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.text))?;
        let rows = select.query_map(rusqlite::params_from_iter(statement.arguments), |row| {
            row.get::<_, String>(3)
        })?;
        lines.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(lines)
}

/// What leads the search.
enum Driver {
    /// Rows of an index, by pk where `ordered`.
    Rows { condition: Condition, ordered: bool },
    /// Few ids.
    Ids(Vec<String>),
    /// Resources in the order of the page, by their own indexes.
    List,
}

struct Chosen {
    driver: Driver,
    /// The driver has few hits: they can be sorted.
    few: bool,
    /// What the driver doesn't prove.
    rest: Vec<Condition>,
    types: Vec<i64>,
    /// All hits of the driver are of the types asked for.
    typed: bool,
}

/// `None`: nothing can match.
fn choose(connection: &Connection, catalogue: &Catalogue, plan: &Plan) -> Result<Option<Chosen>, ReadError> {
    let mut rest = Vec::new();
    let mut typed = plan.types.is_empty();
    for filter in &plan.filters {
        if let (fhir_search::Filter::Exact(param, _), [only]) =
            (filter, plan.types.iter().collect::<Vec<_>>().as_slice())
        {
            typed |= catalogue
                .param_type(*param)
                .is_some_and(|of| catalogue.type_number(only) == Some(of));
        }
        for condition in sql::resolve(connection, catalogue, filter)?.conjuncts() {
            match condition {
                Condition::Constant(true) => {}
                Condition::Constant(false) => return Ok(None),
                other => rest.push(other),
            }
        }
    }
    let types: Vec<_> = plan
        .types
        .iter()
        .filter_map(|name| catalogue.type_number(name))
        .collect();
    let (driver, few) = pick(connection, &mut rest, &plan.sort)?;
    Ok(Some(Chosen {
        driver,
        few,
        rest,
        types,
        typed,
    }))
}

/// Takes the driver out of the conditions.
fn pick(connection: &Connection, conditions: &mut Vec<Condition>, sort: &Sort) -> Result<(Driver, bool), ReadError> {
    if let Some(at) = conditions.iter().position(|c| matches!(c, Condition::Id(_)))
        && let Condition::Id(ids) = conditions.remove(at)
    {
        return Ok((Driver::Ids(ids), true));
    }
    let keyed = |c: &Condition| matches!(c, Condition::Exact { values, .. } if values.len() == 1);
    let drivers: Vec<usize> = (0..conditions.len()).filter(|at| can_drive(&conditions[*at])).collect();
    if let [only] = drivers[..]
        && *sort == Sort::Creation
        && keyed(&conditions[only])
    {
        let condition = conditions.remove(only);
        return Ok((
            Driver::Rows {
                condition,
                ordered: true,
            },
            false,
        ));
    }
    let mut best: Option<(usize, i64)> = None;
    for at in drivers {
        let condition = &conditions[at];
        // one more than the fewest hits so far is as bad as any number
        let limit = best.map_or(FEW, |(_, fewest)| (fewest + 1).min(FEW));
        let hits = hits(connection, condition, limit)?;
        // at the limit only an ordered driver is worth more than a list
        let better = best.is_none_or(|(other, fewest)| {
            hits < fewest || (hits == fewest && keyed(condition) && !keyed(&conditions[other]))
        });
        if better {
            best = Some((at, hits));
        }
    }
    Ok(match best {
        Some((at, hits)) if hits < FEW || keyed(&conditions[at]) => {
            let ordered = keyed(&conditions[at]);
            (
                Driver::Rows {
                    condition: conditions.remove(at),
                    ordered,
                },
                hits < FEW,
            )
        }
        _ => (Driver::List, false),
    })
}

/// Whether its index can begin a search.
pub fn can_drive(condition: &Condition) -> bool {
    use fhir_search::plan::TextTest::Contains;
    match condition {
        Condition::Exact { .. }
        | Condition::Date { .. }
        | Condition::Number { .. }
        | Condition::Prefix { .. }
        | Condition::Together(_) => true,
        Condition::Text { test, .. } => !matches!(test, Contains(_)),
        Condition::Linked { inner, .. } | Condition::LinkedBy { inner, .. } => links::driver(inner).is_some(),
        _ => false,
    }
}

/// Hits of a condition in its own index, counted up to the limit.
fn hits(connection: &Connection, condition: &Condition, limit: i64) -> Result<i64, ReadError> {
    // where a chain's other end has too many hits, its outer resources are tested one by one
    let other_end = match condition {
        Condition::Linked { inner, target: of, .. } | Condition::LinkedBy { inner, source: of, .. } => {
            links::driver(inner).map(|(first, _)| links::other_end(first, *of))
        }
        _ => None,
    };
    if let Some(other_end) = other_end
        && counted(connection, other_end, MANY)? >= MANY
    {
        return Ok(limit);
    }
    counted(connection, driving_rows(condition), limit)
}

/// Rows of a statement, up to a limit.
fn counted(connection: &Connection, rows: Sql, limit: i64) -> Result<i64, ReadError> {
    let mut statement = Sql::plain("SELECT count(*) FROM (");
    statement.append(rows);
    statement.append(Sql::with(" LIMIT ?)", limit));
    let mut select = connection.prepare_cached(&statement.text)?;
    Ok(select.query_row(rusqlite::params_from_iter(statement.arguments), |row| row.get(0))?)
}

/// The pks that a condition's own index gives.
pub fn driving_rows(condition: &Condition) -> Sql {
    if let Condition::Date { param, low, high } = condition {
        return overlapping(*param, low, high);
    }
    if let Condition::Linked { .. } | Condition::LinkedBy { .. } = condition {
        return links::rows(condition);
    }
    if let Condition::Together(parts) = condition {
        let mut sql = Sql::plain("SELECT x0.pk AS pk FROM ");
        sql.append(sql::same_element(parts, None));
        return sql;
    }
    let (table, test) = condition.rows();
    let mut sql = Sql::plain(format!("SELECT x.pk FROM {table} x WHERE "));
    sql.append(test);
    sql
}

/// Periods by their ends: those up to a day long begin at most a day before the range of their ends; longer ones are few.
fn overlapping(param: i64, low: &Range<i64>, high: &Range<i64>) -> Sql {
    let mut near = low.clone();
    if let (None, Some((from, edge))) = (&near.from, &high.from) {
        near.from = Some((from.saturating_sub(LONG), *edge));
    }
    let mut sql = Sql::plain("");
    for (long, low) in [(0, &near), (1, low)] {
        if long == 1 {
            sql.push(" UNION ALL ");
        }
        sql.append(Sql::with(
            format!("SELECT x.pk FROM ix_date x WHERE x.param = ? AND x.long = {long}"),
            param,
        ));
        sql.and(sql::bounded("x.lo", low));
        sql.and(sql::bounded("x.hi", high));
    }
    sql
}

fn page_statement(
    connection: &Connection,
    catalogue: &Catalogue,
    plan: &Plan,
    count: usize,
    after: Option<&Cursor>,
) -> Result<Option<Sql>, ReadError> {
    let Some(mut chosen) = choose(connection, catalogue, plan)? else {
        return Ok(None);
    };
    if let Sort::Values(keys) = &plan.sort {
        return Ok(Some(sorted_statement(catalogue, &chosen, keys, count, after)));
    }
    if plan.sort != Sort::Creation && !chosen.few {
        chosen.back_to_list();
    }
    let mut statement = Sql::plain(format!("SELECT {COLUMNS}, r.id FROM "));
    let p = chosen.from(&mut statement, &plan.sort, after.is_some());
    chosen.tests(&mut statement, p);
    if let Some(cursor) = after {
        let test = match plan.sort {
            Sort::UpdatedAscending => "r.upd > ?".to_owned(),
            Sort::UpdatedDescending => "r.upd < ?".to_owned(),
            _ => format!("{p} > ?"),
        };
        let from = cursor.keys.first().cloned().unwrap_or(Key::Number(cursor.pk));
        statement.and(Sql::with(test, from));
    }
    statement.push(match plan.sort {
        Sort::UpdatedAscending => " ORDER BY r.upd",
        Sort::UpdatedDescending => " ORDER BY r.upd DESC",
        _ if p == "d.pk" => " ORDER BY d.pk",
        _ => " ORDER BY r.pk",
    });
    statement.push(&format!(" LIMIT {}", count + 1));
    Ok(Some(statement))
}

/// Every match with its values, the page of them in order, and only then their bodies.
fn sorted_statement(
    catalogue: &Catalogue,
    chosen: &Chosen,
    keys: &[SortKey],
    count: usize,
    after: Option<&Cursor>,
) -> Sql {
    let mut statement = Sql::plain(format!("SELECT {COLUMNS}, r.id"));
    for at in 0..keys.len() {
        statement.push(&format!(", o.k{at}"));
    }
    statement.push(" FROM (SELECT * FROM (SELECT r.pk AS pk");
    for (at, key) in keys.iter().enumerate() {
        statement.push(", ");
        statement.append(order::value(catalogue, key));
        statement.push(&format!(" AS k{at}"));
    }
    statement.push(" FROM ");
    let p = chosen.from(&mut statement, &Sort::Creation, false);
    chosen.tests(&mut statement, p);
    statement.push(")");
    if let Some(cursor) = after {
        statement.push(" WHERE ");
        statement.append(order::behind(keys, cursor));
    }
    let by = order::by(keys);
    statement.push(&format!(
        " ORDER BY {by} LIMIT {}) o CROSS JOIN res r ON r.pk = o.pk ORDER BY {}",
        count + 1,
        by.replace("pk", "o.pk")
    ));
    statement
}

fn count_statement(connection: &Connection, catalogue: &Catalogue, plan: &Plan) -> Result<Option<Sql>, ReadError> {
    let Some(chosen) = choose(connection, catalogue, plan)? else {
        return Ok(None);
    };
    let mut statement = Sql::plain("SELECT count(*) FROM ");
    // index rows belong to live resources only, so the resource's row needn't be read to count them
    if let Driver::Rows {
        condition,
        ordered: true,
    } = &chosen.driver
        && chosen.typed
        && !chosen.rest.iter().any(Condition::reads_row)
    {
        let (table, test) = condition.rows();
        statement.push(&format!("{table} d WHERE "));
        statement.append(renamed(test));
        for condition in &chosen.rest {
            statement.and(condition.probe("d.pk"));
        }
        return Ok(Some(statement));
    }
    let p = chosen.from(&mut statement, &Sort::Creation, false);
    chosen.tests(&mut statement, p);
    Ok(Some(statement))
}

impl Chosen {
    /// The order of the page comes from the resources' own index; the driver becomes one more test.
    fn back_to_list(&mut self) {
        if let Driver::Rows { condition, .. } = std::mem::replace(&mut self.driver, Driver::List) {
            self.rest.insert(0, condition);
        }
    }

    /// Appends where resources come from, up to its own test; gives the name of the pk.
    fn from(&self, statement: &mut Sql, sort: &Sort, goes_on: bool) -> &'static str {
        match &self.driver {
            Driver::Rows {
                condition,
                ordered: true,
            } => {
                let (table, test) = condition.rows();
                statement.push(&format!("{table} d CROSS JOIN res r ON r.pk = d.pk WHERE "));
                statement.append(renamed(test));
                "d.pk"
            }
            Driver::Rows {
                condition,
                ordered: false,
            } => {
                statement.push("(SELECT DISTINCT pk FROM (");
                statement.append(driving_rows(condition));
                statement.push(")) d CROSS JOIN res r ON r.pk = d.pk WHERE 1");
                "d.pk"
            }
            Driver::Ids(ids) => {
                let types = if self.types.is_empty() {
                    "SELECT t.id FROM type t".to_owned()
                } else {
                    sql::list(&self.types)
                };
                statement.push(&format!(
                    "res r INDEXED BY res_id WHERE r.type IN ({types}) AND r.body IS NOT NULL AND "
                ));
                statement.append(Condition::Id(ids.clone()).probe("r.pk"));
                "r.pk"
            }
            Driver::List => {
                let index = match (self.types.len(), sort) {
                    (1, Sort::Creation) => " INDEXED BY res_live",
                    (1, _) => " INDEXED BY res_type_upd",
                    (_, Sort::Creation) => " NOT INDEXED",
                    (_, _) => " INDEXED BY res_upd",
                };
                statement.push(&format!("res r{index} WHERE r.body IS NOT NULL"));
                // a range that begins somewhere, so that the index is searched and not scanned
                match (goes_on, sort) {
                    (false, Sort::Creation) => statement.push(" AND r.pk > 0"),
                    (false, _) => statement.push(" AND r.upd > 0"),
                    (true, _) => {}
                }
                "r.pk"
            }
        }
    }

    /// Appends everything that the driver doesn't prove.
    fn tests(&self, statement: &mut Sql, p: &str) {
        let by_type = matches!(self.driver, Driver::List | Driver::Ids(_)) || !self.typed;
        if by_type && !self.types.is_empty() {
            match self.types.as_slice() {
                [one] => statement.and(Sql::plain(format!("r.type = {one}"))),
                several => statement.and(Sql::plain(format!("r.type IN ({})", sql::list(several)))),
            }
        }
        for condition in &self.rest {
            statement.and(condition.probe(p));
        }
    }
}

/// The driver's own row is called `d`; probes call theirs `x`.
fn renamed(test: Sql) -> Sql {
    Sql {
        text: test.text.replace("x.", "d."),
        arguments: test.arguments,
    }
}
