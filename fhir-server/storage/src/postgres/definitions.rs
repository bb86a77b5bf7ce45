//! The definitions of search parameters that aren't FHIR's.

use sqlx::{PgConnection, Row as _};

use crate::error::ReadError;
use crate::parameters::{DefinitionChange, InUse, State, Stored};

/// All that are there, in one generation.
pub async fn read(connection: &mut PgConnection) -> Result<InUse, ReadError> {
    // one statement: generation and definitions are of the same moment
    let sql = "SELECT s.generation, d.number, d.owner, d.content, d.state FROM service s LEFT JOIN definition d ON TRUE \
         ORDER BY d.number";
    let mut found = InUse::default();
    for row in sqlx::query(sql).fetch_all(connection).await? {
        found.generation = row.try_get::<i64, _>(0)?.cast_unsigned();
        if let Some(number) = row.try_get::<Option<i64>, _>(1)? {
            found.stored.push(Stored {
                number: u32::try_from(number).unwrap_or_default(),
                owner: row.try_get(2)?,
                definition: row.try_get(3)?,
                state: State::of(row.try_get(4)?),
            });
        }
    }
    Ok(found)
}

/// The generation of the database, and the number of its next resource.
pub async fn generation(connection: &mut PgConnection) -> sqlx::Result<(u64, i64)> {
    let select = sqlx::query("SELECT generation, next_pk FROM service");
    let row = select.fetch_one(connection).await?;
    Ok((row.try_get::<i64, _>(0)?.cast_unsigned(), row.try_get(1)?))
}

/// Makes the next generation; whoever does it has the clock.
pub async fn change(connection: &mut PgConnection, change: &DefinitionChange) -> sqlx::Result<()> {
    for (numbers, state) in [(&change.ready, State::Ready), (&change.retire, State::Retired)] {
        let numbers: Vec<i64> = numbers.iter().copied().map(i64::from).collect();
        sqlx::query("UPDATE definition SET state = $2 WHERE number = ANY ($1)")
            .bind(numbers)
            .bind(state.number())
            .execute(&mut *connection)
            .await?;
    }
    for new in &change.add {
        let insert = "WITH s AS (UPDATE service SET next_definition = next_definition + 1 RETURNING next_definition - 1 AS number) \
             INSERT INTO definition (number, owner, content, state) SELECT s.number, $1, $2, $3 FROM s";
        sqlx::query(insert)
            .bind(&new.owner)
            .bind(&new.definition)
            .bind(State::Filling.number())
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("UPDATE service SET generation = generation + 1")
        .execute(connection)
        .await?;
    Ok(())
}
