//! Owner rows of a database that was written before there were any, or by other parameters.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row as _};

use super::delta::{Delta, Moment};
use super::rows;
use crate::catalogue::Catalogue;
use crate::owned::Owned;
use crate::rows::Rows;

/// Resources that are read at a time.
const PAGE: i64 = 500;

/// Makes them, as the catalogue says; only within the transaction of [`migrate`](super::schema::migrate). Some 100 µs a
/// resource, once.
pub async fn settle(connection: &mut PgConnection, catalogue: &Catalogue) -> sqlx::Result<()> {
    let (wanted, found) = (catalogue.all_owned(), read(connection).await?);
    if wanted == found {
        return Ok(());
    }
    for (of, owned) in &found {
        if wanted.get(of) != Some(owned) {
            for (sql, number) in [
                ("DELETE FROM ix_owner_date WHERE param = $1", owned.date),
                ("DELETE FROM ix_owner_exact WHERE param = $1", owned.code),
                ("DELETE FROM owned WHERE type = $1", *of),
            ] {
                sqlx::query(sql).bind(number).execute(&mut *connection).await?;
            }
        }
    }
    let row = sqlx::query("SELECT clock, next_pk, generation FROM service FOR UPDATE");
    let row = row.fetch_one(&mut *connection).await?;
    let mut on = Moment {
        clock: row.try_get(0)?,
        next_pk: row.try_get(1)?,
        generation: row.try_get::<i64, _>(2)?.cast_unsigned(),
    };
    let mut columns: [Vec<i64>; 6] = Default::default();
    for (of, owned) in &wanted {
        if found.get(of) == Some(owned) {
            continue;
        }
        fill(connection, catalogue, *of, &mut on).await?;
        let Owned {
            members,
            patient,
            subject,
            date,
            code,
        } = *owned;
        for (column, value) in columns.iter_mut().zip([*of, members, patient, subject, date, code]) {
            column.push(value);
        }
    }
    let insert = "INSERT INTO owned (type, members, patient, subject, date, code) \
         SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[])";
    let mut query = sqlx::query(insert);
    for column in columns {
        query = query.bind(column);
    }
    query.execute(connection).await?;
    Ok(())
}

async fn read(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<i64, Owned>> {
    let mut found = BTreeMap::new();
    let select = sqlx::query("SELECT type, members, patient, subject, date, code FROM owned");
    for row in select.fetch_all(connection).await? {
        let owned = Owned {
            members: row.try_get(1)?,
            patient: row.try_get(2)?,
            subject: row.try_get(3)?,
            date: row.try_get(4)?,
            code: row.try_get(5)?,
        };
        found.insert(row.try_get(0)?, owned);
    }
    Ok(found)
}

/// All resources of a type.
async fn fill(connection: &mut PgConnection, catalogue: &Catalogue, of: i64, on: &mut Moment) -> sqlx::Result<()> {
    let mut last = 0_i64;
    loop {
        let select =
            sqlx::query("SELECT pk FROM res WHERE type = $1 AND pk > $2 AND body IS NOT NULL ORDER BY pk LIMIT $3");
        let page = select
            .bind(of)
            .bind(last)
            .bind(PAGE)
            .fetch_all(&mut *connection)
            .await?;
        let pks: Vec<i64> = page.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let Some(end) = pks.last() else { return Ok(()) };
        last = *end;
        let mut delta = Delta::default();
        for (pk, mut rows) in rows::read(connection, pks).await? {
            rows.derive(catalogue, of);
            delta.rows.add_owned(pk, &rows, &Rows::default());
        }
        let then = Moment {
            clock: on.clock + 1,
            ..*on
        };
        if !delta.set(connection, *on, then).await? {
            return Err(sqlx::Error::RowNotFound);
        }
        *on = then;
    }
}
