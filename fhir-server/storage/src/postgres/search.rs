//! Searches: pages, counts, plans.

use std::collections::BTreeSet;
use std::convert::Infallible;

use fhir_search::{Filter, Plan, Sight, Sort};
use sqlx::{PgConnection, Row as _};

use super::texts::{self, Texts};
use super::value;
use crate::catalogue::Catalogue;
use crate::cursor::{Cursor, Key};
use crate::error::ReadError;
use crate::history::{HistoryQuery, Scope};
use crate::page::{Gathering, Page};
use crate::sql::condition::Condition;
use crate::sql::dialect::Dialect;
use crate::sql::row::{Raw, WIDTH};
use crate::sql::statement::{self, Chosen, FEW, MANY};
use crate::sql::{Sql, history, order};

const DIALECT: Dialect = Dialect::Postgres;

/// A page of at most `count` matches behind `after`.
pub async fn page(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    texts: &Texts,
    plan: &Plan,
    count: usize,
    after: Option<&Cursor>,
) -> Result<Page, ReadError> {
    order::check(&plan.sort, after)?;
    let Some(chosen) = choose(connection, catalogue, texts, plan).await? else {
        return Ok(Page::default());
    };
    let mut page = Gathering::new(count, after);
    let statement = chosen.page(catalogue, &plan.sort, count, after);
    for row in &value::query(statement).fetch_all(connection).await? {
        let raw = Raw::of_row(row)?;
        let keys = match &plan.sort {
            Sort::Creation => Vec::new(),
            Sort::UpdatedAscending | Sort::UpdatedDescending => vec![Key::Number(raw.updated)],
            Sort::Values(keys) => (WIDTH..WIDTH + keys.len())
                .map(|at| value::key(row, at))
                .collect::<Result<_, _>>()?,
        };
        let place = Cursor {
            keys,
            pk: raw.pk,
            backwards: false,
        };
        if !page.add(place, || raw.serve(catalogue))? {
            break;
        }
    }
    Ok(page.finish())
}

/// How many resources match.
pub async fn count(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    texts: &Texts,
    plan: &Plan,
) -> Result<u64, ReadError> {
    let Some(chosen) = choose(connection, catalogue, texts, plan).await? else {
        return Ok(0);
    };
    let row = value::query(chosen.count()).fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
}

/// PostgreSQL's plans of a first page and of a count.
pub async fn explain(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    texts: &Texts,
    plan: &Plan,
) -> Result<Vec<String>, ReadError> {
    let page = choose(connection, catalogue, texts, plan).await?;
    let page = page.map(|chosen| chosen.page(catalogue, &plan.sort, 10, None));
    let count = choose(connection, catalogue, texts, plan).await?;
    let mut lines = Vec::new();
    for mut statement in [page, count.map(|chosen| chosen.count())].into_iter().flatten() {
        statement.text.insert_str(0, "EXPLAIN ");
        for row in value::query(statement).fetch_all(&mut *connection).await? {
            lines.push(row.try_get(0)?);
        }
    }
    Ok(lines)
}

/// The versions of a page of history, and one more if there is one.
pub async fn past(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    texts: &Texts,
    query: &HistoryQuery,
) -> Result<Vec<Raw>, ReadError> {
    let seen = seen(query);
    let mut wanted = BTreeSet::new();
    texts::of_filters(&seen, &mut wanted);
    let numbers = texts.find(connection, &wanted).await?;
    let mut find = |text: &str| Ok::<_, Infallible>(numbers.get(text));
    let Ok(statement) = history::statement(DIALECT, catalogue, query, &mut find);
    let Some(statement) = statement else {
        return Ok(Vec::new());
    };
    let rows = value::query(statement).fetch_all(connection).await?;
    Ok(rows.iter().map(Raw::of_row).collect::<Result<_, _>>()?)
}

/// How many versions all pages of a history have.
pub async fn count_past(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    texts: &Texts,
    query: &HistoryQuery,
) -> Result<u64, ReadError> {
    let seen = seen(query);
    let mut wanted = BTreeSet::new();
    texts::of_filters(&seen, &mut wanted);
    let numbers = texts.find(connection, &wanted).await?;
    let mut find = |text: &str| Ok::<_, Infallible>(numbers.get(text));
    let Ok(statement) = history::count(DIALECT, catalogue, query, &mut find);
    let Some(statement) = statement else {
        return Ok(0);
    };
    let row = value::query(statement).fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
}

/// What says which versions are seen.
fn seen(query: &HistoryQuery) -> Vec<Filter> {
    match &query.scope {
        Scope::System => query.access.filter().into_iter().collect(),
        Scope::Type(of) | Scope::Instance(of, _) => match query.access.of(of) {
            Sight::Where(filter) => vec![filter],
            Sight::Nothing | Sight::Everything => Vec::new(),
        },
    }
}

/// `None`: nothing can match.
async fn choose(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    texts: &Texts,
    plan: &Plan,
) -> sqlx::Result<Option<Chosen>> {
    let mut wanted = BTreeSet::new();
    texts::of_filters(&plan.filters, &mut wanted);
    let numbers = texts.find(connection, &wanted).await?;
    let mut find = |text: &str| Ok::<_, Infallible>(numbers.get(text));
    let Ok(conditions) = statement::conditions(catalogue, plan, &mut find);
    let Some(conditions) = conditions else {
        return Ok(None);
    };
    let counts = hits(connection, conditions.to_count(&plan.sort)).await?;
    let mut counts = counts.into_iter();
    // in the order in which they are asked for
    let mut hits = |_: &Condition, limit: i64| Ok::<_, Infallible>(counts.next().unwrap_or(limit).min(limit));
    let Ok(chosen) = statement::choose(DIALECT, conditions, &plan.sort, &mut hits);
    Ok(Some(chosen))
}

/// Hits of each condition in its own index, counted up to the limit, in one statement.
async fn hits(connection: &mut PgConnection, conditions: Vec<&Condition>) -> sqlx::Result<Vec<i64>> {
    if conditions.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = Sql::plain("SELECT ");
    for (number, condition) in conditions.iter().enumerate() {
        if number > 0 {
            statement.push(", ");
        }
        let own = statement::counted(statement::driving_rows(DIALECT, condition), FEW);
        if let Some(other_end) = statement::other_end(DIALECT, condition) {
            statement.push("CASE WHEN (");
            statement.append(statement::counted(other_end, MANY));
            statement.push(&format!(") >= {MANY} THEN {FEW} ELSE ("));
            statement.append(own);
            statement.push(") END");
        } else {
            statement.push("(");
            statement.append(own);
            statement.push(")");
        }
    }
    let row = value::query(statement).fetch_one(connection).await?;
    (0..conditions.len()).map(|at| row.try_get(at)).collect()
}
