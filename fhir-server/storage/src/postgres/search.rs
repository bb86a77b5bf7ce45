//! Searches: pages, counts, plans.

use std::convert::Infallible;

use fhir_search::key::Asked;
use fhir_search::{Filter, Plan, Sight, Sort};
use sqlx::{PgConnection, Row as _};

use super::texts::Texts;
use super::value;
use crate::catalogue::Catalogue;
use crate::cursor::{Cursor, Key};
use crate::error::ReadError;
use crate::history::{HistoryQuery, Scope};
use crate::page::{Gathering, Page};
use crate::sql::choice::{self, FEW, Hits, SO_FEW};
use crate::sql::condition::Condition;
use crate::sql::conditions::{self, Conditions, NEAR};
use crate::sql::dialect::Dialect;
use crate::sql::driving;
use crate::sql::owns::OWNERS;
use crate::sql::row::{Raw, WIDTH};
use crate::sql::statement::Chosen;
use crate::sql::{Sql, history, order, used};

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

/// At most `most` different keys of a parameter.
pub async fn used(connection: &mut PgConnection, param: i64, most: usize) -> Result<Vec<String>, ReadError> {
    let statement = used::statement(param, i64::try_from(most).unwrap_or(i64::MAX));
    let rows = value::query(statement).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// PostgreSQL's plans of what chooses, of the first page, the last page and a count: those that it keeps for a statement,
/// whatever its arguments.
pub async fn explain(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    texts: &Texts,
    plan: &Plan,
) -> Result<Vec<String>, ReadError> {
    let mut statements = Vec::new();
    let Some(mut conditions) = conditions(connection, catalogue, texts, plan).await? else {
        return Ok(Vec::new());
    };
    statements.extend(links_of(&conditions).map(|(statement, _)| statement));
    if let Some(followed) = follow(connection, conditions.clone()).await? {
        conditions = followed;
    }
    statements.extend(statement_of_hits(&conditions.to_count(&plan.sort)));
    for place in [None, Some(Cursor::last())] {
        let chosen = chosen(connection, conditions.clone(), plan).await?;
        statements.push(chosen.page(catalogue, &plan.sort, 10, place.as_ref()));
    }
    statements.push(chosen(connection, conditions, plan).await?.count());
    let mut lines = Vec::new();
    for statement in statements {
        lines.extend(value::explain(connection, statement).await?);
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
    let numbers = texts.of_filters(connection, catalogue, &seen(query)).await?;
    let mut find = |param, asked: Asked<'_>| Ok::<_, Infallible>(numbers.of(param, asked));
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
    let numbers = texts.of_filters(connection, catalogue, &seen(query)).await?;
    let mut find = |param, asked: Asked<'_>| Ok::<_, Infallible>(numbers.of(param, asked));
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
    let Some(conditions) = conditions(connection, catalogue, texts, plan).await? else {
        return Ok(None);
    };
    match follow(connection, conditions).await? {
        Some(conditions) => chosen(connection, conditions, plan).await.map(Some),
        None => Ok(None),
    }
}

/// What must hold; `None`: nothing can match.
async fn conditions(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    texts: &Texts,
    plan: &Plan,
) -> sqlx::Result<Option<Conditions>> {
    let numbers = texts.of_filters(connection, catalogue, &plan.filters).await?;
    let mut find = |param, asked: Asked<'_>| Ok::<_, Infallible>(numbers.of(param, asked));
    let Ok(conditions) = conditions::conditions(catalogue, plan, &mut find);
    Ok(conditions)
}

/// What asks for the references that chains end at, where these are few: one statement for all of them, and their places.
fn links_of(conditions: &Conditions) -> Option<(Sql, Vec<usize>)> {
    let chains = conditions.chains(DIALECT);
    if chains.is_empty() {
        return None;
    }
    let mut statement = Sql::plain("SELECT ");
    let mut places = Vec::with_capacity(chains.len());
    for chain in chains {
        if !places.is_empty() {
            statement.push(", ");
        }
        places.push(chain.at);
        statement.push("CASE WHEN (");
        statement.append(chain.end);
        statement.push(&format!(") <= {NEAR} THEN ARRAY("));
        statement.append(chain.references);
        statement.push(")::int8[] END");
    }
    Some((statement, places))
}

/// Chains become the references that they end at, where these are few. `None`: nothing can match.
async fn follow(connection: &mut PgConnection, mut conditions: Conditions) -> sqlx::Result<Option<Conditions>> {
    let Some((statement, places)) = links_of(&conditions) else {
        return Ok(Some(conditions.of_owner()));
    };
    let row = value::query(statement).fetch_one(connection).await?;
    for (column, at) in places.into_iter().enumerate() {
        if let Some(values) = row.try_get::<Option<Vec<i64>>, _>(column)?
            && !conditions.lead(at, values)
        {
            return Ok(None);
        }
    }
    Ok(Some(conditions.of_owner()))
}

/// Chooses what leads.
async fn chosen(connection: &mut PgConnection, conditions: Conditions, plan: &Plan) -> sqlx::Result<Chosen> {
    // in the order in which they are asked for
    let mut counted = hits(connection, &conditions.to_count(&plan.sort)).await?.into_iter();
    let mut hits = |_: &Condition, limit: i64| Ok::<_, Infallible>(counted.next().unwrap_or(Hits::Count(limit)));
    let Ok(chosen) = choice::choose(DIALECT, conditions, &plan.sort, &mut hits);
    Ok(chosen)
}

/// What asks for the rows of each condition in its own index, up to the limit. Where the first has so few that nothing else
/// is counted, the others aren't.
fn statement_of_hits(conditions: &[&Condition]) -> Option<Sql> {
    let (first, others) = conditions.split_first()?;
    let mut statement = Sql::plain("SELECT ");
    if others.is_empty() || !choice::keyed(first) {
        statement.append(rows_of(first));
        for condition in others {
            statement.push(", ");
            statement.append(rows_of(condition));
        }
        return Some(statement);
    }
    statement.push("h.n");
    for condition in others {
        statement.push(&format!(", CASE WHEN h.n > {SO_FEW} THEN "));
        statement.append(rows_of(condition));
        statement.push(" END");
    }
    statement.push(" FROM (SELECT ");
    statement.append(rows_of(first));
    statement.push(" AS n OFFSET 0) h");
    Some(statement)
}

/// The rows of a condition, nothing where they are too many. Rows in the order of the page are only counted.
fn rows_of(condition: &Condition) -> Sql {
    let rows = driving::driving_rows(DIALECT, condition);
    if choice::keyed(condition) {
        let mut sql = Sql::plain("(");
        sql.append(driving::counted(rows, FEW));
        sql.push(")");
        return sql;
    }
    let mut all = Sql::plain("ARRAY(SELECT n.pk FROM (");
    all.append(rows);
    all.push(&format!(" LIMIT {FEW}) n)"));
    let Some(leads) = driving::leads(DIALECT, condition) else {
        return all;
    };
    let Condition::Owns(owns) = condition else {
        let mut sql = Sql::plain("CASE WHEN ");
        sql.append(leads);
        sql.push(" THEN ");
        sql.append(all);
        sql.push(" END");
        return sql;
    };
    let mut sql = Sql::plain(format!(
        "(SELECT CASE WHEN cardinality(a.few) < {OWNERS} THEN array_remove(a.few, 0) WHEN "
    ));
    sql.append(leads);
    sql.push(" THEN ");
    sql.append(all);
    sql.push(" END FROM (SELECT ARRAY(");
    sql.append(owns.few(DIALECT));
    sql.push(") AS few OFFSET 0) a)");
    sql
}

/// What each condition's own index has, up to the limit, in one statement.
async fn hits(connection: &mut PgConnection, conditions: &[&Condition]) -> sqlx::Result<Vec<Hits>> {
    let Some(statement) = statement_of_hits(conditions) else {
        return Ok(Vec::new());
    };
    let row = value::query(statement).fetch_one(connection).await?;
    let hits = conditions.iter().enumerate().map(|(column, condition)| {
        if choice::keyed(condition) {
            let number: Option<i64> = row.try_get(column)?;
            return Ok(Hits::Count(number.unwrap_or(FEW)));
        }
        let pks: Option<Vec<i64>> = row.try_get(column)?;
        let few = pks.filter(|pks| i64::try_from(pks.len()).is_ok_and(|hits| hits < FEW));
        Ok(few.map_or(Hits::Count(FEW), Hits::Pks))
    });
    hits.collect()
}
