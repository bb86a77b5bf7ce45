//! The numbers that this database gives to types and parameters.

use std::collections::HashMap;
use std::convert::Infallible;

use fhir_definitions::FhirVersion;
use sqlx::{PgConnection, Row as _};

use crate::catalogue::{Catalogue, Definition, EXTRACTOR_REVISION};

/// Reads the numbers and gives new ones to what has none; only within the transaction of
/// [`migrate`](super::schema::migrate), so that replicas agree.
pub async fn load(connection: &mut PgConnection, version: FhirVersion) -> sqlx::Result<Catalogue> {
    let mut types: HashMap<String, i64> = HashMap::new();
    let mut next_type = 1;
    for row in sqlx::query("SELECT id, name FROM type")
        .fetch_all(&mut *connection)
        .await?
    {
        let number = row.try_get::<i16, _>(0)?.into();
        next_type = next_type.max(number + 1);
        types.insert(row.try_get(1)?, number);
    }
    let mut params: HashMap<Definition, i64> = HashMap::new();
    let mut next_param = 1;
    let known = "SELECT id, base, code, expression, revision FROM param";
    for row in sqlx::query(known).fetch_all(&mut *connection).await? {
        let number = row.try_get::<i32, _>(0)?.into();
        next_param = next_param.max(number + 1);
        if row.try_get::<i64, _>(4)? == EXTRACTOR_REVISION {
            let definition = Definition {
                base: row.try_get(1)?,
                code: row.try_get(2)?,
                expression: row.try_get(3)?,
            };
            params.insert(definition, number);
        }
    }
    let (mut new_types, mut new_params) = (Vec::new(), Vec::new());
    let catalogue = Catalogue::of(
        version,
        |name| {
            Ok::<_, Infallible>(types.remove(name).unwrap_or_else(|| {
                let number = next_type;
                next_type += 1;
                new_types.push((number, name.to_owned()));
                number
            }))
        },
        |definition| {
            Ok(params.remove(&definition).unwrap_or_else(|| {
                let number = next_param;
                next_param += 1;
                new_params.push((number, definition));
                number
            }))
        },
    );
    let Ok(catalogue) = catalogue;
    if !new_types.is_empty() {
        let (numbers, names): (Vec<i64>, Vec<String>) = new_types.into_iter().unzip();
        sqlx::query("INSERT INTO type (id, name) SELECT * FROM unnest($1::int8[], $2::text[])")
            .bind(numbers)
            .bind(names)
            .execute(&mut *connection)
            .await?;
    }
    if !new_params.is_empty() {
        let (mut numbers, mut bases, mut codes, mut expressions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (number, definition) in new_params {
            numbers.push(number);
            bases.push(definition.base);
            codes.push(definition.code);
            expressions.push(definition.expression);
        }
        let insert = "INSERT INTO param (id, base, code, expression, revision) \
             SELECT u.*, $5 FROM unnest($1::int8[], $2::text[], $3::text[], $4::text[]) u";
        sqlx::query(insert)
            .bind(numbers)
            .bind(bases)
            .bind(codes)
            .bind(expressions)
            .bind(EXTRACTOR_REVISION)
            .execute(&mut *connection)
            .await?;
    }
    Ok(catalogue)
}
