//! A plan as statements: a page and a count.
//!
//! One condition drives: its index gives resources in the order of the page, or few enough to be sorted. All others are
//! probed for each resource. Which one drives is decided in [`choice`](super::choice).

use fhir_search::{Sort, SortKey};

use super::choice::Driver;
use super::condition::Condition;
use super::dialect::Dialect;
use super::driving::driving_rows;
use super::row::COLUMNS;
use super::{Sql, list, order};
use crate::catalogue::Catalogue;
use crate::cursor::{Cursor, Key};

/// How a search is done.
pub struct Chosen {
    pub(super) dialect: Dialect,
    pub(super) driver: Driver,
    /// The driver has few hits: they can be sorted.
    pub(super) few: bool,
    /// What the driver doesn't prove.
    pub(super) rest: Vec<Condition>,
    pub(super) types: Vec<i64>,
    /// All hits of the driver are of the types asked for.
    pub(super) typed: bool,
}

impl Chosen {
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
