//! Where a search begins: the rows that a condition's own index gives, and whether it has one.

use fhir_search::plan::Range;

use super::condition::{Condition, one_of_numbers, same_element};
use super::dialect::Dialect;
use super::{Sql, bounded, links};

/// Longer periods are kept apart, so that a search by overlap looks only a day back among the others.
pub const LONG: i64 = 86_400_000_000;

/// Resources at the other end of a chain up to which the search begins there.
pub const MANY: i64 = 5_000;

/// Alternatives that lead a search together, at most; databases limit how many results they unite.
const UNITED: usize = 200;

/// Whether its index can begin a search.
pub fn can_drive(condition: &Condition) -> bool {
    use fhir_search::plan::TextTest::{Contains, EndsWith};
    match condition {
        Condition::Exact { .. }
        | Condition::OfSystem { .. }
        | Condition::Date { .. }
        | Condition::Number { .. }
        | Condition::Prefix { .. }
        | Condition::Near { .. }
        | Condition::Owns(_)
        | Condition::OwnerExact { .. }
        | Condition::OwnerDate { .. } => true,
        Condition::Together(parts) => !parts.iter().all(|part| matches!(part, Condition::OfSystem { .. })),
        Condition::Text { test, .. } => !matches!(test, Contains(_) | EndsWith(_)),
        Condition::Linked { inner, .. } | Condition::LinkedBy { inner, .. } => links::driver(inner).is_some(),
        Condition::Any(parts) => parts.len() <= UNITED && parts.iter().all(can_drive),
        Condition::All(parts) => parts.iter().any(can_drive),
        _ => false,
    }
}

/// How many rows a statement gives, up to a limit.
pub fn counted(rows: Sql, limit: i64) -> Sql {
    let mut statement = Sql::plain("SELECT count(*) FROM (");
    statement.append(rows);
    statement.append(Sql::with(" LIMIT ?) n", limit));
    statement
}

/// For a chain: the pks of its other end's driver; for a system: its codes. Where they are too many, the resources are tested
/// one by one.
pub fn other_end(dialect: Dialect, condition: &Condition) -> Option<Sql> {
    match condition {
        Condition::Linked { inner, target: of, .. } | Condition::LinkedBy { inner, source: of, .. } => {
            links::driver(inner).map(|(first, _)| links::other_end(dialect, first, *of))
        }
        Condition::OfSystem { systems, .. } => {
            let mut sql = Sql::plain("SELECT v.id AS pk FROM ");
            sql.append(codes(dialect, systems));
            Some(sql)
        }
        Condition::Any(parts) => {
            let ends: Vec<Sql> = parts.iter().filter_map(|part| other_end(dialect, part)).collect();
            (!ends.is_empty()).then(|| united(ends))
        }
        Condition::All(parts) => links::driver(parts).and_then(|(first, _)| other_end(dialect, first)),
        _ => None,
    }
}

/// For what leads to many rows or few that can't be told from their number: whether it pays to begin with them.
pub fn leads(dialect: Dialect, condition: &Condition) -> Option<Sql> {
    if let Condition::Owns(owns) = condition {
        return Some(owns.leads(dialect));
    }
    let mut sql = Sql::plain("(");
    sql.append(counted(other_end(dialect, condition)?, MANY));
    sql.push(&format!(") < {MANY}"));
    Some(sql)
}

/// The codes of systems, from their index: `val v WHERE …`.
fn codes(dialect: Dialect, systems: &[i64]) -> Sql {
    let mut sql = Sql::plain(format!("val v{} WHERE v.sys > 0 AND v.sys ", dialect.by("val_sys")));
    sql.append(one_of_numbers(dialect, systems));
    sql
}

/// The pks that a condition's own index gives.
pub fn driving_rows(dialect: Dialect, condition: &Condition) -> Sql {
    if let Condition::Date { param, low, high } = condition {
        return overlapping(*param, low, high);
    }
    if let Condition::OwnerDate { dates, .. } = condition {
        return dates.rows(dialect);
    }
    if let Condition::Owns(owns) = condition {
        return owns.rows(dialect);
    }
    if let Condition::OfSystem { param, systems } = condition {
        let mut sql = Sql::plain("SELECT x.pk AS pk FROM (SELECT v.id AS id FROM ");
        sql.append(codes(dialect, systems));
        let rows = dialect.join("ix_exact", "x", "", "x.param = ? AND x.val = c.id");
        sql.append(Sql::with(format!(") c {rows}"), *param));
        return sql;
    }
    if let Condition::Linked { .. } | Condition::LinkedBy { .. } = condition {
        return links::rows(dialect, condition);
    }
    if let Condition::Together(parts) = condition {
        let mut sql = Sql::plain("SELECT x0.pk AS pk FROM ");
        sql.append(same_element(dialect, parts, None));
        return sql;
    }
    if let Condition::Any(parts) = condition {
        return united(parts.iter().map(|part| driving_rows(dialect, part)).collect());
    }
    if let Condition::All(parts) = condition {
        return links::all_rows(dialect, parts);
    }
    let (table, test) = condition.rows(dialect);
    let mut sql = Sql::plain(format!("SELECT x.pk AS pk FROM {table} x WHERE "));
    sql.append(test);
    sql
}

/// The rows of all of these.
fn united(parts: Vec<Sql>) -> Sql {
    let mut sql = Sql::default();
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            sql.push(" UNION ALL ");
        }
        sql.push("SELECT u.pk AS pk FROM (");
        sql.append(part);
        sql.push(") u");
    }
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
            format!("SELECT x.pk AS pk FROM ix_date x WHERE x.param = ? AND x.long = {long}"),
            param,
        ));
        sql.and(bounded("x.lo", low));
        sql.and(bounded("x.hi", high));
    }
    sql
}
