//! Index rows that are made, and removed, after their resource was written.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fhir_search::ParamId;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::delta::{Delta, Moment};
use super::rows;
use super::texts::{Texts, Wanted};
use crate::bodies;
use crate::catalogue::Catalogue;
use crate::error::ReadError;
use crate::index::{Filling, Scanned};

/// How long one piece of background work may take.
const PATIENCE: Duration = Duration::from_millis(10);
/// Resources that are filled while the clock is held.
const TOGETHER: usize = 50;
/// Rows that are removed between two looks at the time.
const ROWS: u32 = 500;

/// The pk of a resource.
pub async fn pk(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    resource_type: &str,
    id: &str,
) -> Result<Option<i64>, ReadError> {
    let sql = "SELECT pk FROM res WHERE type = $1 AND id = $2 AND body IS NOT NULL";
    let number = catalogue.type_number(resource_type);
    let row = sqlx::query(sql)
        .bind(number)
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Live resources of a type behind `after`, by pk.
pub async fn scan(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    resource_type: &str,
    after: i64,
    count: usize,
) -> Result<Vec<Scanned>, ReadError> {
    let Some(number) = catalogue.type_number(resource_type) else {
        return Ok(Vec::new());
    };
    let sql = "SELECT pk, id, ver, upd, dict, body FROM res WHERE type = $1 AND pk > $2 AND body IS NOT NULL \
         ORDER BY pk LIMIT $3";
    let rows = sqlx::query(sql).bind(number).bind(after);
    let rows = rows.bind(i64::try_from(count).unwrap_or(i64::MAX));
    let mut found = Vec::new();
    for row in rows.fetch_all(connection).await? {
        let id: String = row.try_get(1)?;
        let body: Vec<u8> = row.try_get(5)?;
        let dictionary = row.try_get::<i16, _>(4)?.into();
        let stored = bodies::unpack(&body, dictionary, || format!("{resource_type}/{id}"))?;
        found.push(Scanned {
            pk: row.try_get(0)?,
            id,
            version: u32::try_from(row.try_get::<i32, _>(2)?).unwrap_or(u32::MAX),
            last_updated: row.try_get(3)?,
            stored,
        });
    }
    Ok(found)
}

/// Writes rows of the stored definitions with these numbers (none: of all parameters) of some resources, and gives back
/// the others. Resources that have changed since are passed over: they have theirs.
pub async fn fill(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    mut each: Vec<Filling>,
    definitions: &[u32],
) -> sqlx::Result<Vec<Filling>> {
    let others = each.split_off(each.len().min(TOGETHER));
    let mut wanted = Wanted::default();
    for filling in &each {
        wanted.add_keys(&filling.keys);
    }
    // remembers nothing: what it finds is written
    let numbers = Texts::default().number(connection, &wanted).await?;
    let begin = "BEGIN; SELECT clock, next_pk, generation FROM service FOR UPDATE";
    let row = sqlx::raw_sql(begin).fetch_one(&mut *connection).await?;
    let on = Moment {
        clock: row.try_get(0)?,
        next_pk: row.try_get(1)?,
        generation: row.try_get::<i64, _>(2)?.cast_unsigned(),
    };
    if each.iter().any(|filling| filling.keys.generation != on.generation) {
        sqlx::raw_sql("ROLLBACK").execute(connection).await?;
        each.extend(others);
        return Ok(each);
    }
    let pks: Vec<i64> = each.iter().map(|filling| filling.pk).collect();
    let mut versions: HashMap<i64, (i32, i64)> = HashMap::new();
    let current = sqlx::query("SELECT pk, ver, type FROM res WHERE pk = ANY ($1) AND body IS NOT NULL").bind(&pks);
    for row in current.fetch_all(&mut *connection).await? {
        let of = row.try_get::<i16, _>(2)?.into();
        versions.insert(row.try_get(0)?, (row.try_get(1)?, of));
    }
    let mut before = rows::read(connection, pks).await?;
    let mut delta = Delta::default();
    for filling in &each {
        let current = versions.get(&filling.pk).copied();
        let Some((_, of)) = current.filter(|(version, _)| u32::try_from(*version).ok() == Some(filling.version)) else {
            continue;
        };
        let mut rows = rows::of(catalogue, of, &filling.keys, |text| {
            numbers.get(text).unwrap_or_default()
        });
        let mut old = before.remove(&filling.pk).unwrap_or_default();
        old.derive(catalogue, of);
        if !definitions.is_empty() {
            old.keep(definitions, true);
            rows.keep(definitions, true);
        }
        delta.gone.add(filling.pk, &old, &rows);
        delta.rows.add(filling.pk, &rows, &old);
    }
    // whoever has decided something on the rows before this notices
    let then = Moment {
        clock: on.clock + 1,
        ..on
    };
    if !delta.set(connection, on, then).await? {
        return Err(sqlx::Error::RowNotFound);
    }
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(others)
}

/// Removes rows of a retired definition as far as its time goes; whether none is left.
pub async fn sweep(connection: &mut PgConnection, definition: u32) -> sqlx::Result<bool> {
    let begun = Instant::now();
    let block = ParamId::block(definition);
    for table in ["ix_exact", "ix_date", "ix_number", "ix_string", "ix_place"] {
        let sql = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE param >= $1 AND param < $2 LIMIT {ROWS}))"
        );
        loop {
            let query = sqlx::query(AssertSqlSafe(sql.clone()));
            let query = query.bind(i64::from(block.start)).bind(i64::from(block.end));
            if query.execute(&mut *connection).await?.rows_affected() == 0 {
                break;
            }
            if begun.elapsed() >= PATIENCE {
                return Ok(false);
            }
        }
    }
    sqlx::query("DELETE FROM definition WHERE number = $1 AND state = 2")
        .bind(i64::from(definition))
        .execute(connection)
        .await?;
    Ok(true)
}
