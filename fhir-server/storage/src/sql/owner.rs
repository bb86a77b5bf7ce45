//! What belongs to one owner: by its code, by its date, in the order of its dates. Each is a range of the rows of owners
//! ([`Owned`]).

use fhir_search::SortKey;
use fhir_search::plan::{Edge, Range};

use super::condition::{Condition, joined};
use super::dialect::Dialect;
use super::driving::LONG;
use super::row::COLUMNS;
use super::{Sql, bounded, order};
use crate::cursor::{Cursor, Key};
use crate::owned::{NO_DATE, Owned, via};

/// Behind every date, and far from the last number.
const ALL: i64 = 1_000_000_000_000_000_000;

/// An owner, and how resources have to name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub number: i64,
    pub via: i64,
}

impl Owner {
    /// The test of a row, whose owner is looked for by an index.
    pub fn test(self, alias: &str) -> Sql {
        let via = self.via;
        Sql::with(
            format!("{alias}.owner = ? AND {alias}.via & {via} = {via}"),
            self.number,
        )
    }
}

/// The dates of an owner's resources.
#[derive(Debug, Clone)]
pub struct Dates {
    pub param: i64,
    pub owner: Owner,
    /// The ranges that begin and end of a date are in, each of some date of the resource.
    pub ranges: Vec<(Range<i64>, Range<i64>)>,
}

/// Which owner the conditions name, and what they say of it in terms of rows of owners:
///
/// - code and owner become one key,
/// - dates and owner become one range, with the conditions that it stands for.
///
/// Where there is neither, the conditions that name the owner stay as they are.
pub fn find(all: &mut Vec<Condition>, owned: &Owned) -> Option<Owner> {
    let number = all.iter().find_map(|condition| Some(named(owned, condition)?.number))?;
    let names = |condition: &Condition| named(owned, condition).filter(|owner| owner.number == number);
    let via = all.iter().filter_map(names).fold(0, |all, owner| all | owner.via);
    let owner = Owner { number, via };
    let is_code = |condition: &Condition| matches!(condition, Condition::Exact { param, .. } if *param == owned.code);
    let is_date = |condition: &Condition| matches!(condition, Condition::Date { param, .. } if *param == owned.date);
    let (naming, rest): (Vec<_>, Vec<_>) = std::mem::take(all).into_iter().partition(|one| names(one).is_some());
    let (dates, mut rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_date);
    let mut stands_for = if rest.iter().any(is_code) { Vec::new() } else { naming };
    for condition in &mut rest {
        if let Condition::Exact { param, values } = condition
            && *param == owned.code
        {
            *condition = Condition::OwnerExact {
                param: *param,
                values: std::mem::take(values),
                owner,
            };
        }
    }
    // keys of an owner are counted first: they are few
    rest.sort_by_key(|condition| !matches!(condition, Condition::OwnerExact { .. }));
    if dates.is_empty() {
        rest.append(&mut stands_for);
    } else {
        let ranges = dates.iter().filter_map(|condition| match condition {
            Condition::Date { low, high, .. } => Some((low.clone(), high.clone())),
            _ => None,
        });
        let found = Dates {
            param: owned.date,
            owner,
            ranges: ranges.collect(),
        };
        stands_for.extend(dates);
        rest.push(Condition::OwnerDate {
            dates: found,
            stands_for,
        });
    }
    *all = rest;
    Some(owner)
}

/// The owner that a condition names.
pub fn named(owned: &Owned, condition: &Condition) -> Option<Owner> {
    match condition {
        Condition::Exact { param, values } => match values.as_slice() {
            [number] => Some(Owner {
                number: *number,
                via: owned.via(*param)?,
            }),
            _ => None,
        },
        _ => None,
    }
}

impl Dates {
    /// The rows `d` of one kind: single dates of less than a day, or all others. A resource has one row.
    fn test(&self, dialect: Dialect, long: bool) -> Sql {
        let mut sql = Sql::with("d.param = ? AND ", self.param);
        sql.append(self.owner.test("d"));
        sql.push(if long { " AND d.long = 1" } else { " AND d.long = 0" });
        if self.ranges.is_empty() {
            return sql;
        }
        // a date ends where it begins or later, and a short one within a day
        let ends = |(low, high): &(Range<i64>, Range<i64>)| [low.from, high.from];
        let from = self.ranges.iter().flat_map(ends).flatten().map(|(from, _)| from).max();
        let begins = |(low, high): &(Range<i64>, Range<i64>)| {
            let late = low.to.map(|(to, _)| to.saturating_add(LONG));
            [late, high.to.map(|(to, _)| to)]
        };
        let to = self.ranges.iter().flat_map(begins).flatten().min().filter(|_| !long);
        sql.and(bounded(
            "d.hi",
            &Range {
                from: Some((from.unwrap_or(NO_DATE + 1), Edge::Included)),
                to: to.map(|to| (to, Edge::Included)),
            },
        ));
        let mut own = Sql::plain("TRUE");
        for (low, high) in &self.ranges {
            own.and(bounded("d.lo", low));
            own.and(bounded("d.hi", high));
        }
        if !long {
            sql.and(own);
            return sql;
        }
        // which of several dates is meant, only they themselves can tell
        let several = via::SEVERAL;
        let mut probes = Sql::plain(format!("d.via & {several} = {several}"));
        for (low, high) in &self.ranges {
            let date = Condition::Date {
                param: self.param,
                low: low.clone(),
                high: high.clone(),
            };
            probes.and(date.probe(dialect, "d.pk"));
        }
        let mut one = Sql::plain(format!("d.via & {several} = 0"));
        one.and(own);
        sql.and(joined(vec![one, probes], " OR "));
        sql
    }

    /// The pks of their resources.
    pub fn rows(&self, dialect: Dialect) -> Sql {
        let mut sql = Sql::default();
        for long in [false, true] {
            if long {
                sql.push(" UNION ALL ");
            }
            sql.push("SELECT d.pk AS pk FROM ix_owner_date d WHERE ");
            sql.append(self.test(dialect, long));
        }
        sql
    }

    /// `ix_owner_date d` with what else must hold.
    fn from(&self, dialect: Dialect, rest: &[Condition], long: bool) -> Sql {
        let row = if rest.iter().any(Condition::reads_row) {
            dialect.join("res", "r", "", "r.pk = d.pk")
        } else {
            String::new()
        };
        let mut sql = Sql::plain(format!("ix_owner_date d {row} WHERE "));
        sql.append(self.test(dialect, long));
        for condition in rest {
            sql.and(condition.probe(dialect, "d.pk"));
        }
        sql
    }

    /// How many of their resources `rest` holds for.
    pub fn count(&self, dialect: Dialect, rest: &[Condition]) -> Sql {
        let mut sql = Sql::plain("SELECT count(*) FROM (SELECT d.pk AS pk FROM ");
        sql.append(self.from(dialect, rest, false));
        sql.push(" UNION ALL SELECT d.pk AS pk FROM ");
        sql.append(self.from(dialect, rest, true));
        sql.push(") n");
        sql
    }

    /// A page in their order: of both kinds of rows as many as the page has, which lie in order, and of these the first.
    pub fn page(
        &self,
        dialect: Dialect,
        rest: &[Condition],
        key: &SortKey,
        count: usize,
        after: Option<&Cursor>,
    ) -> Sql {
        let backwards = after.is_some_and(|cursor| cursor.backwards);
        let down = key.descending != backwards;
        let column = if key.descending { "d.hi" } else { "d.lo" };
        let mut sql = Sql::plain(format!("SELECT {COLUMNS}, r.id, o.k0 FROM (SELECT * FROM ("));
        for long in [false, true] {
            if long {
                sql.push(" UNION ALL ");
            }
            sql.push(&format!(
                "SELECT * FROM (SELECT d.pk AS pk, nullif({column}, {NO_DATE}) AS k0 FROM "
            ));
            let mut rows = self.from(dialect, rest, long);
            if let Some(cursor) = after.filter(|cursor| !cursor.is_last()) {
                rows.and(behind(cursor, column, down));
                if !key.descending && (!down || !long) {
                    rows.and(near(begin_of(cursor), down));
                }
            }
            if !key.descending && !long {
                let bound = bound(rows.clone(), count, down);
                rows.and(bound);
            }
            sql.append(rows);
            let (value, pk) = (if down { " DESC" } else { "" }, if backwards { " DESC" } else { "" });
            sql.push(&format!(" ORDER BY {column}{value}, d.pk{pk} LIMIT {}) a", count + 1));
        }
        let by = order::by(std::slice::from_ref(key), backwards);
        sql.push(&format!(
            ") m ORDER BY {by} LIMIT {}) o {} ORDER BY {}",
            count + 1,
            dialect.join("res", "r", "", "r.pk = o.pk"),
            by.replace("pk", "o.pk")
        ));
        sql
    }
}

/// The value that a cursor stands at.
fn begin_of(cursor: &Cursor) -> Key {
    match cursor.keys.first() {
        None | Some(Key::Nothing) => Key::Number(NO_DATE),
        Some(value) => value.clone(),
    }
}

/// What lies behind a cursor, or before it.
fn behind(cursor: &Cursor, column: &str, down: bool) -> Sql {
    let value = begin_of(cursor);
    let test = if down { "<" } else { ">" };
    let pk = if cursor.backwards { "<" } else { ">" };
    let mut sql = Sql::with(format!("{column} {test}= ?"), value.clone());
    let mut rest = Sql::with(format!("({column} {test} ?"), value);
    rest.append(Sql::with(format!(" OR d.pk {pk} ?)"), cursor.pk));
    sql.and(rest);
    sql
}

/// Where dates lie that begin behind a value, or before it: their index has their ends.
fn near(value: Key, down: bool) -> Sql {
    if down {
        Sql::with(format!("d.hi <= ? + {LONG}"), value)
    } else {
        Sql::with("d.hi >= ?", value)
    }
}

/// Short dates by their begin are within a day in the order of their ends: those of a page lie no further than a day behind
/// as many ends as it has.
fn bound(rows: Sql, count: usize, down: bool) -> Sql {
    let (test, order, sign) = if down { (">=", " DESC", "-") } else { ("<=", "", "+") };
    let mut sql = Sql::plain(format!("d.hi {test} coalesce((SELECT d.hi FROM "));
    sql.append(rows);
    sql.push(&format!(
        " ORDER BY d.hi{order} LIMIT 1 OFFSET {count}), {sign}{ALL}) {sign} {LONG}"
    ));
    sql
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const OWNED: Owned = Owned {
        members: 1,
        patient: 2,
        subject: 3,
        date: 4,
        code: 5,
    };

    fn exact(param: i64, values: &[i64]) -> Condition {
        Condition::Exact {
            param,
            values: values.to_vec(),
        }
    }

    fn date() -> Condition {
        Condition::Date {
            param: OWNED.date,
            low: Range::at_most(7),
            high: Range::OPEN,
        }
    }

    fn shown(condition: &Condition) -> String {
        match condition {
            Condition::Exact { param, values } => format!("{param}={values:?}"),
            Condition::Date { .. } => "date".to_owned(),
            Condition::OwnerExact { values, owner, .. } => {
                format!("code={values:?} of {} by {}", owner.number, owner.via)
            }
            Condition::OwnerDate { dates, stands_for } => format!(
                "{} dates of {} by {} for {}",
                dates.ranges.len(),
                dates.owner.number,
                dates.owner.via,
                stands_for.iter().map(shown).collect::<Vec<_>>().join("+")
            ),
            other => format!("{other:?}"),
        }
    }

    #[rstest]
    #[case::nobody(vec![exact(5, &[7]), date()], "5=[7], date")]
    #[case::one_of_several(vec![exact(2, &[8, 9]), exact(5, &[7])], "2=[8, 9], 5=[7]")]
    #[case::only_the_owner(vec![exact(2, &[9])], "2=[9]")]
    #[case::a_code(vec![exact(2, &[9]), exact(5, &[7, 8])], "code=[7, 8] of 9 by 2")]
    #[case::named_in_two_ways(vec![exact(1, &[9]), exact(6, &[1]), exact(2, &[9]), exact(5, &[7])], "code=[7] of 9 by 3, 6=[1]")]
    #[case::two_codes(vec![exact(5, &[7]), exact(3, &[9]), exact(5, &[8])], "code=[7] of 9 by 4, code=[8] of 9 by 4")]
    #[case::two_owners(vec![exact(1, &[8]), exact(2, &[9]), exact(5, &[7])], "code=[7] of 8 by 1, 2=[9]")]
    #[case::dates(vec![date(), exact(2, &[9]), date()], "2 dates of 9 by 2 for 2=[9]+date+date")]
    #[case::code_and_date(vec![exact(2, &[9]), date(), exact(5, &[7])], "code=[7] of 9 by 2, 1 dates of 9 by 2 for date")]
    fn what_is_said_of_an_owner(#[case] mut all: Vec<Condition>, #[case] expected: &str) {
        find(&mut all, &OWNED);
        assert_eq!(all.iter().map(shown).collect::<Vec<_>>().join(", "), expected);
    }
}
