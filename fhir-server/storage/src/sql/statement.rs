//! A plan as statements: a page and a count.
//!
//! One condition drives: its index gives resources in the order of the page, or few enough to be sorted. All others are
//! probed for each resource. Which one drives is chosen by counting up to a limit in the indexes at hand, at the time of
//! the search, so that skewed values can't mislead it.

use fhir_search::plan::Range;
use fhir_search::{Filter, Plan, Sort, SortBy, SortKey};

use super::condition::{Condition, one_of_numbers, same_element};
use super::dialect::Dialect;
use super::owner::{self, Dates, Owner};
use super::resolve::{Find, resolve};
use super::row::COLUMNS;
use super::{Sql, bounded, links, list, order};
use crate::catalogue::Catalogue;
use crate::cursor::{Cursor, Key};
use crate::owned::Owned;

/// Longer periods are kept apart, so that a search by overlap looks only a day back among the others.
pub const LONG: i64 = 86_400_000_000;
/// Up to here hits are counted, and a driver's hits may be sorted.
pub const FEW: i64 = 512;
/// Resources at the other end of a chain up to which the search begins there.
pub const MANY: i64 = 5_000;

/// So few that nothing else is counted.
pub const SO_FEW: i64 = 16;
/// So few resources cost less to probe than another statement does; a probe of dates is one for each range.
const PROBES: usize = 16;
const PROBES_OF_DATES: usize = 4;
/// So few that their values are looked up to be sorted, where an index has the order.
const ENOUGH: i64 = 256;

/// Alternatives that lead a search together, at most; databases limit how many results they unite.
const UNITED: usize = 200;

/// Resources at the other end of a chain up to which references to them are asked for instead.
pub const NEAR: i64 = 64;

/// What leads the search.
enum Driver {
    /// Rows of an index, by pk where `ordered`.
    Rows { condition: Condition, ordered: bool },
    /// Few resources, in order. A statement before has found them by a condition, which is tested again where their bodies
    /// are read.
    Pks { pks: Vec<i64>, found: Option<Condition> },
    /// Few ids.
    Ids(Vec<String>),
    /// Resources of an owner, in the order of their dates.
    Dated(Dates),
    /// Resources in the order of the page, by their own indexes.
    List,
}

/// How a search is done.
pub struct Chosen {
    dialect: Dialect,
    driver: Driver,
    /// The driver has few hits: they can be sorted.
    few: bool,
    /// What the driver doesn't prove.
    rest: Vec<Condition>,
    types: Vec<i64>,
    /// All hits of the driver are of the types asked for.
    typed: bool,
}

/// What must hold.
#[derive(Clone)]
pub struct Conditions {
    all: Vec<Condition>,
    types: Vec<i64>,
    /// All rows of one of them are of the types asked for.
    typed: bool,
    /// The references of its chains are of the type asked for.
    linked: bool,
    /// What the only type keeps with an owner.
    owned: Option<Owned>,
    /// Who that is.
    owner: Option<Owner>,
    /// The order of the page is that of the dates which are kept with an owner.
    by_date: bool,
}

/// Runs a statement that gives numbers.
pub type Ask<'a, E> = dyn FnMut(Sql) -> Result<Vec<i64>, E> + 'a;

/// The conditions of a plan; `None`: nothing can match.
pub fn conditions<E>(catalogue: &Catalogue, plan: &Plan, find: &mut Find<'_, E>) -> Result<Option<Conditions>, E> {
    let mut all = Vec::new();
    let mut typed = plan.types.is_empty();
    let mut linked = false;
    let mut types = plan.types.iter();
    let only = types.next().filter(|_| types.next().is_none());
    for filter in &plan.filters {
        if let (Filter::Exact(param, _) | Filter::Linked { param, .. }, Some(only)) = (filter, only) {
            let of = catalogue.param_type(*param);
            let of_type = of.is_some_and(|of| catalogue.type_number(only) == Some(of));
            match filter {
                Filter::Linked { .. } => linked |= of_type,
                _ => typed |= of_type,
            }
        }
        for condition in resolve(catalogue, filter, find)?.conjuncts() {
            match condition {
                Condition::Constant(true) => {}
                Condition::Constant(false) => return Ok(None),
                other => all.push(other),
            }
        }
    }
    let types = plan
        .types
        .iter()
        .filter_map(|name| catalogue.type_number(name))
        .collect();
    let owned = only.and_then(|only| catalogue.owned(catalogue.type_number(only)?));
    let by_date = owned.is_some_and(|owned| match &plan.sort {
        Sort::Values(keys) => match keys.as_slice() {
            [
                SortKey {
                    by: SortBy::Date(params),
                    ..
                },
            ] => params.len() == 1 && catalogue.param(params[0]) == owned.date,
            _ => false,
        },
        _ => false,
    });
    let mut conditions = Conditions {
        all,
        types,
        typed,
        linked,
        owned: owned.copied(),
        owner: None,
        by_date,
    };
    // owners are of one type
    let is_typed = |condition: &Condition| match condition {
        Condition::Owns(owns) => conditions.types == [owns.target],
        _ => false,
    };
    conditions.typed |= conditions.all.iter().any(is_typed);
    Ok(Some(conditions))
}

/// A chain that may become references to the resources that it ends at.
pub struct Chain {
    /// Its place among the conditions.
    pub at: usize,
    /// How many resources are at its other end, counted up to one more than [`NEAR`].
    pub end: Sql,
    /// The numbers of the references to them.
    pub references: Sql,
}

impl Conditions {
    /// What they say of one owner as rows of owners have it, once chains are followed.
    pub fn of_owner(mut self) -> Self {
        self.owner = self.owned.and_then(|owned| owner::find(&mut self.all, &owned));
        self
    }

    /// The chains whose other end has an index to begin with.
    pub fn chains(&self, dialect: Dialect) -> Vec<Chain> {
        let chain = |(at, condition): (usize, &Condition)| {
            let references = links::references(dialect, condition)?;
            let end = counted(other_end(dialect, condition)?, NEAR + 1);
            Some(Chain { at, end, references })
        };
        self.all.iter().enumerate().filter_map(chain).collect()
    }

    /// A chain becomes the references that it ends at; whether anything can match.
    pub fn lead(&mut self, at: usize, mut values: Vec<i64>) -> bool {
        let Condition::Linked { param, .. } = self.all[at] else {
            return true;
        };
        if values.is_empty() {
            return false;
        }
        values.sort_unstable();
        values.dedup();
        self.all[at] = Condition::Exact { param, values };
        self.typed |= self.linked;
        true
    }

    /// Chains that end at few resources become references to these, whose rows lie in the order of the page. `None`:
    /// nothing can match.
    pub fn follow<E>(mut self, dialect: Dialect, ask: &mut Ask<'_, E>) -> Result<Option<Self>, E> {
        for chain in self.chains(dialect) {
            if ask(chain.end)?.first().is_none_or(|hits| *hits > NEAR) {
                continue;
            }
            if !self.lead(chain.at, ask(chain.references)?) {
                return Ok(None);
            }
        }
        Ok(Some(self.of_owner()))
    }
}

/// What a condition's own index has.
pub enum Hits {
    /// So many.
    Count(i64),
    /// These, in any order; fewer than [`FEW`].
    Pks(Vec<i64>),
}

impl Hits {
    fn number(&self) -> i64 {
        match self {
            Self::Count(number) => *number,
            Self::Pks(pks) => i64::try_from(pks.len()).unwrap_or(i64::MAX),
        }
    }
}

/// Chooses what leads; `hits` counts a condition's hits in its own index up to a limit.
pub fn choose<E>(
    dialect: Dialect,
    conditions: Conditions,
    sort: &Sort,
    hits: &mut dyn FnMut(&Condition, i64) -> Result<Hits, E>,
) -> Result<Chosen, E> {
    let (candidates, dated) = (conditions.candidates(sort), conditions.dated());
    let Conditions {
        all: mut rest,
        types,
        mut typed,
        owned,
        ..
    } = conditions;
    let (driver, few) = match dated {
        Some(dates) if !rest.iter().any(|c| matches!(c, Condition::Id(_))) => {
            let best = fewest(&rest, &candidates, ENOUGH, hits)?;
            match best.filter(|best| best.number < ENOUGH) {
                Some(best) => lead(&mut rest, best),
                None => {
                    let naming = |condition: &Condition| {
                        let named = owned.as_ref().and_then(|owned| owner::named(owned, condition));
                        named.is_some_and(|named| named.number == dates.owner.number)
                    };
                    rest.retain(|condition| !matches!(condition, Condition::OwnerDate { .. }) && !naming(condition));
                    typed = true;
                    (Driver::Dated(dates), false)
                }
            }
        }
        _ => pick(&mut rest, sort, &candidates, hits)?,
    };
    Ok(Chosen {
        dialect,
        driver,
        few,
        rest,
        types,
        typed,
    })
}

impl Conditions {
    /// Those whose hits [`choose`] asks for, in this order.
    pub fn to_count(&self, sort: &Sort) -> Vec<&Condition> {
        self.candidates(sort).into_iter().map(|at| &self.all[at]).collect()
    }

    /// The conditions that could drive and have to be counted for that; none where it is clear which one does.
    fn candidates(&self, sort: &Sort) -> Vec<usize> {
        let all = &self.all;
        let is_dated = self.dated().is_some();
        // the owner's dates lead anyhow, unless something else has few hits
        let is_of_owner = |condition: &Condition| match condition {
            Condition::OwnerDate { .. } => true,
            other => self
                .owned
                .as_ref()
                .is_some_and(|owned| owner::named(owned, other).is_some()),
        };
        let drives = |at: &usize| can_drive(&all[*at]) && !(is_dated && is_of_owner(&all[*at]));
        let clear = all.iter().any(|c| matches!(c, Condition::Id(_))) || leader(all, sort).is_some();
        if clear {
            Vec::new()
        } else {
            (0..all.len()).filter(drives).collect()
        }
    }

    /// The dates of the owner, where the page is in their order.
    fn dated(&self) -> Option<Dates> {
        let (owner, owned) = (self.owner?, self.owned.filter(|_| self.by_date)?);
        let known = self.all.iter().find_map(|condition| match condition {
            Condition::OwnerDate { dates, .. } => Some(dates.clone()),
            _ => None,
        });
        let all = Dates {
            param: owned.date,
            owner,
            ranges: Vec::new(),
        };
        Some(known.unwrap_or(all))
    }
}

/// The only condition that can drive, if it gives the order of the page.
fn leader(conditions: &[Condition], sort: &Sort) -> Option<usize> {
    let mut drivers = (0..conditions.len()).filter(|at| can_drive(&conditions[*at]));
    let only = drivers.next().filter(|_| drivers.next().is_none())?;
    (*sort == Sort::Creation && keyed(&conditions[only])).then_some(only)
}

/// Whether its index has the resources in the order of their pk.
pub fn keyed(condition: &Condition) -> bool {
    matches!(condition, Condition::Exact { values, .. } | Condition::OwnerExact { values, .. } if values.len() == 1)
}

/// Takes the driver out of the conditions.
fn pick<E>(
    conditions: &mut Vec<Condition>,
    sort: &Sort,
    candidates: &[usize],
    hits: &mut dyn FnMut(&Condition, i64) -> Result<Hits, E>,
) -> Result<(Driver, bool), E> {
    if let Some(at) = conditions.iter().position(|c| matches!(c, Condition::Id(_)))
        && let Condition::Id(ids) = conditions.remove(at)
    {
        return Ok((Driver::Ids(ids), true));
    }
    if let Some(only) = leader(conditions, sort) {
        let condition = conditions.remove(only);
        return Ok((
            Driver::Rows {
                condition,
                ordered: true,
            },
            false,
        ));
    }
    let best = fewest(conditions, candidates, FEW, hits)?;
    Ok(match best {
        Some(best) if best.number < FEW => lead(conditions, best),
        best => match owner_of_dates(conditions).or(best.map(|best| best.at)) {
            Some(at) if keyed(&conditions[at]) => {
                let condition = conditions.remove(at);
                (
                    Driver::Rows {
                        condition,
                        ordered: true,
                    },
                    false,
                )
            }
            _ => (Driver::List, false),
        },
    })
}

/// A condition and its hits.
struct Best {
    at: usize,
    number: i64,
    hits: Hits,
}

/// The candidate with the fewest hits, counted up to `most`.
fn fewest<E>(
    conditions: &[Condition],
    candidates: &[usize],
    most: i64,
    count: &mut dyn FnMut(&Condition, i64) -> Result<Hits, E>,
) -> Result<Option<Best>, E> {
    let mut best: Option<Best> = None;
    for at in candidates {
        let condition = &conditions[*at];
        // one more than the fewest hits so far is as bad as any number
        let limit = best.as_ref().map_or(most, |best| (best.number + 1).min(most));
        let hits = count(condition, limit)?;
        let number = hits.number();
        // at the limit only an ordered driver is worth more than a list
        let better = best.as_ref().is_none_or(|best| {
            number < best.number || (number == best.number && keyed(condition) && !keyed(&conditions[best.at]))
        });
        if better {
            best = Some(Best { at: *at, number, hits });
        }
        if number <= SO_FEW {
            break;
        }
    }
    Ok(best)
}

/// Few hits lead.
fn lead(conditions: &mut Vec<Condition>, best: Best) -> (Driver, bool) {
    let condition = conditions.remove(best.at);
    let driver = match best.hits {
        Hits::Pks(mut pks) => {
            pks.sort_unstable();
            pks.dedup();
            Driver::Pks {
                pks,
                found: Some(condition),
            }
        }
        Hits::Count(_) => Driver::Rows {
            ordered: keyed(&condition),
            condition,
        },
    };
    (driver, true)
}

/// Where an owner has too many dates in a range, the conditions that it stands for are in its place; the one that names
/// the owner has an order.
fn owner_of_dates(conditions: &mut Vec<Condition>) -> Option<usize> {
    let names = |condition: &Condition| match condition {
        Condition::OwnerDate { stands_for, .. } => stands_for.first().is_some_and(keyed),
        _ => false,
    };
    let at = conditions.iter().position(names)?;
    if let Condition::OwnerDate { stands_for, .. } = conditions.remove(at) {
        conditions.splice(at..at, stands_for);
    }
    Some(at)
}

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

impl Chosen {
    /// Where few rows lead and others lie in the same order, both are read and only what is in both goes on: reading
    /// the next row of an index costs a tenth of a probe. Only where all statements see the same.
    pub fn narrow<E>(&mut self, ask: &mut Ask<'_, E>) -> Result<(), E> {
        let mut pks = match &mut self.driver {
            // nothing has changed since
            Driver::Pks { pks, .. } => std::mem::take(pks),
            Driver::Rows {
                condition,
                ordered: true,
            } if self.few && self.rest.iter().any(keyed) => {
                let mut rows = driving_rows(self.dialect, condition);
                rows.push(" ORDER BY x.pk");
                ask(rows)?
            }
            _ => return Ok(()),
        };
        let mut rest = Vec::with_capacity(self.rest.len());
        for condition in std::mem::take(&mut self.rest) {
            // more than that many between two of ours are better skipped by probes
            let limit = pks.len() * 4 + 64;
            match self.beside(&pks, &condition, limit) {
                None => rest.push(condition),
                Some(rows) => {
                    let mut others = ask(rows)?;
                    if others.len() == limit {
                        rest.push(condition);
                    } else {
                        others.sort_unstable();
                        pks.retain(|pk| others.binary_search(pk).is_ok());
                    }
                }
            }
        }
        self.rest = rest;
        self.driver = Driver::Pks { pks, found: None };
        Ok(())
    }

    /// The rows of a condition beside these resources; `None`: probes cost less, or are all there is.
    fn beside(&self, pks: &[i64], condition: &Condition, limit: usize) -> Option<Sql> {
        let (first, last) = (pks.first()?, pks.last()?);
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = driving_rows(self.dialect, condition);
        if keyed(condition) && pks.len() > PROBES {
            rows.and(Sql::with("x.pk >= ?", *first));
            rows.and(Sql::with("x.pk <= ?", *last));
            rows.append(Sql::with(" ORDER BY x.pk LIMIT ?", most));
            Some(rows)
        } else if matches!(condition, Condition::OwnerDate { .. }) && pks.len() > PROBES_OF_DATES {
            rows.append(Sql::with(" LIMIT ?", most));
            Some(rows)
        } else {
            None
        }
    }

    /// A page of at most `count` matches behind `after` (or before it, from its end), and one more if there is one:
    /// [`COLUMNS`], the id, then the values that are sorted by.
    pub fn page(mut self, catalogue: &Catalogue, sort: &Sort, count: usize, after: Option<&Cursor>) -> Sql {
        if let Driver::Pks { found, .. } = &mut self.driver {
            self.rest.extend(found.take());
        }
        if let (Driver::Dated(dates), Sort::Values(keys)) = (&self.driver, sort)
            && let [key] = keys.as_slice()
        {
            return dates.page(self.dialect, &self.rest, key, count, after);
        }
        if let Sort::Values(keys) = sort {
            return self.sorted(catalogue, keys, count, after);
        }
        if *sort != Sort::Creation && !self.few {
            self.back_to_list();
        }
        let backwards = after.is_some_and(|cursor| cursor.backwards);
        let place = after.filter(|cursor| !cursor.is_last());
        if *sort == Sort::Creation && self.rest.is_empty() && self.typed {
            self.only(count + 1, place, backwards);
        }
        let mut statement = Sql::plain(format!("SELECT {COLUMNS}, r.id FROM "));
        // few resources are tested before the rows of the page are read
        let few = matches!(self.driver, Driver::Pks { .. }) && *sort == Sort::Creation;
        if let Some(rows) = self.bare(false).filter(|_| few) {
            statement.push("(SELECT d.pk AS pk FROM ");
            statement.append(rows);
            let (test, direction) = if backwards { ("<", " DESC") } else { (">", "") };
            if let Some(cursor) = place {
                statement.and(Sql::with(format!("d.pk {test} ?"), cursor.pk));
            }
            statement.push(&format!(
                " ORDER BY d.pk{direction} LIMIT {}) o {} ORDER BY o.pk{direction}",
                count + 1,
                self.dialect.join("res", "r", "", "r.pk = o.pk"),
            ));
            return statement;
        }
        let p = self.from(&mut statement, sort, place.is_some());
        self.tests(&mut statement, p);
        let by = match sort {
            Sort::UpdatedAscending | Sort::UpdatedDescending => "r.upd",
            _ => p,
        };
        let down = (*sort == Sort::UpdatedDescending) != backwards;
        if let Some(cursor) = place {
            let from = cursor.keys.first().cloned().unwrap_or(Key::Number(cursor.pk));
            let test = if down { "<" } else { ">" };
            statement.and(Sql::with(format!("{by} {test} ?"), from));
        }
        let direction = if down { " DESC" } else { "" };
        statement.push(&format!(" ORDER BY {by}{direction} LIMIT {}", count + 1));
        statement
    }

    /// Leaves of few resources those of the page.
    fn only(&mut self, count: usize, place: Option<&Cursor>, backwards: bool) {
        let Driver::Pks { pks, .. } = &mut self.driver else {
            return;
        };
        if let Some(place) = place {
            pks.retain(|pk| if backwards { *pk < place.pk } else { *pk > place.pk });
        }
        if backwards {
            pks.drain(..pks.len().saturating_sub(count));
        } else {
            pks.truncate(count);
        }
    }

    /// How many resources match.
    pub fn count(&self) -> Sql {
        if let Driver::Dated(dates) = &self.driver {
            return dates.count(self.dialect, &self.rest);
        }
        let mut statement = Sql::plain("SELECT count(*) FROM ");
        if let Some(rows) = self.bare(false) {
            statement.append(rows);
            return statement;
        }
        let p = self.from(&mut statement, &Sort::Creation, false);
        self.tests(&mut statement, p);
        statement
    }

    /// The matches as rows `d` of an index alone, where nothing that is asked stands in the resource's own row: index
    /// rows belong to live resources only.
    fn bare(&self, reads_row: bool) -> Option<Sql> {
        if reads_row || !self.typed || self.rest.iter().any(Condition::reads_row) {
            return None;
        }
        let mut sql = match &self.driver {
            Driver::Rows {
                condition,
                ordered: true,
            } => {
                let (table, test) = condition.rows(self.dialect);
                let mut sql = Sql::plain(format!("{table} d WHERE "));
                sql.append(renamed(test));
                sql
            }
            Driver::Pks { pks, .. } => {
                let mut sql = self.dialect.numbers(pks.clone());
                sql.push(" d WHERE TRUE");
                sql
            }
            _ => return None,
        };
        for condition in &self.rest {
            sql.and(condition.probe(self.dialect, "d.pk"));
        }
        Some(sql)
    }

    /// Every match with its values, the page of them in order, and only then their bodies.
    fn sorted(&self, catalogue: &Catalogue, keys: &[SortKey], count: usize, after: Option<&Cursor>) -> Sql {
        let mut statement = Sql::plain(format!("SELECT {COLUMNS}, r.id"));
        for at in 0..keys.len() {
            statement.push(&format!(", o.k{at}"));
        }
        statement.push(" FROM (SELECT * FROM (");
        let rows = self.bare(keys.iter().any(order::reads_row));
        let p = if rows.is_some() { "d.pk" } else { "r.pk" };
        statement.push(&format!("SELECT {p} AS pk"));
        for (at, key) in keys.iter().enumerate() {
            statement.push(", ");
            statement.append(order::value(self.dialect, catalogue, key, p));
            statement.push(&format!(" AS k{at}"));
        }
        statement.push(" FROM ");
        if let Some(rows) = rows {
            statement.append(rows);
        } else {
            let p = self.from(&mut statement, &Sort::Creation, false);
            self.tests(&mut statement, p);
        }
        statement.push(") m");
        if let Some(cursor) = after.filter(|cursor| !cursor.is_last()) {
            statement.push(" WHERE ");
            statement.append(order::behind(keys, cursor));
        }
        let by = order::by(keys, after.is_some_and(|cursor| cursor.backwards));
        statement.push(&format!(
            " ORDER BY {by} LIMIT {}) o {} ORDER BY {}",
            count + 1,
            self.dialect.join("res", "r", "", "r.pk = o.pk"),
            by.replace("pk", "o.pk")
        ));
        statement
    }

    /// The order of the page comes from the resources' own index; the driver becomes one more test.
    fn back_to_list(&mut self) {
        if let Driver::Rows { condition, .. } = std::mem::replace(&mut self.driver, Driver::List) {
            self.rest.insert(0, condition);
        }
    }

    /// Appends where resources come from, up to its own test; gives the name of the pk.
    fn from(&self, statement: &mut Sql, sort: &Sort, goes_on: bool) -> &'static str {
        let row = self.dialect.join("res", "r", "", "r.pk = d.pk");
        match &self.driver {
            Driver::Rows {
                condition,
                ordered: true,
            } => {
                let (table, test) = condition.rows(self.dialect);
                statement.push(&format!("{table} d {row} WHERE "));
                statement.append(renamed(test));
                "d.pk"
            }
            Driver::Rows {
                condition,
                ordered: false,
            } => {
                statement.push("(SELECT DISTINCT pk FROM (");
                statement.append(driving_rows(self.dialect, condition));
                statement.push(&format!(") n) d {row} WHERE TRUE"));
                "d.pk"
            }
            Driver::Pks { pks, .. } => {
                statement.append(self.dialect.numbers(pks.clone()));
                statement.push(&format!(" d {row} WHERE TRUE"));
                "d.pk"
            }
            Driver::Dated(dates) => {
                statement.push("(");
                statement.append(dates.rows(self.dialect));
                statement.push(&format!(") d {row} WHERE TRUE"));
                "d.pk"
            }
            Driver::Ids(ids) => {
                statement.append(self.dialect.named(&self.types, ids));
                "r.pk"
            }
            Driver::List => {
                let index = match (self.types.len(), sort) {
                    (1, Sort::Creation) => self.dialect.by("res_live"),
                    (1, _) => self.dialect.by("res_type_upd"),
                    (_, Sort::Creation) => self.dialect.by_pk().to_owned(),
                    (_, _) => self.dialect.by("res_upd"),
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
        if by_type {
            match (self.types.as_slice(), &self.driver) {
                ([], _) => {}
                ([one], Driver::List) => statement.and(Sql::plain(format!("r.type = {one}"))),
                (types, _) => {
                    let of = self.dialect.unsought("r.type");
                    statement.and(Sql::plain(format!("{of} IN ({})", list(types))));
                }
            }
        }
        for condition in &self.rest {
            statement.and(condition.probe(self.dialect, p));
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
