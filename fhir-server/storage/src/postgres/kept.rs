//! Keys of continuation tokens, and queries that links name.

use fhir_resource::Micros;
use sqlx::{PgConnection, Row as _};

use crate::kept::{KeptQuery, PageKey};

/// Keys that are kept: the one that seals and the one before.
const KEYS: i64 = 2;

/// The keys, the newest one first.
pub async fn keys(connection: &mut PgConnection) -> sqlx::Result<Vec<PageKey>> {
    let rows = sqlx::query("SELECT id, made, secret FROM page_key ORDER BY id DESC");
    let mut keys = Vec::new();
    for row in rows.fetch_all(connection).await? {
        let secret: Vec<u8> = row.try_get(2)?;
        // a secret of another length is none of ours
        if let Ok(secret) = secret.try_into() {
            keys.push(PageKey {
                id: u32::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default(),
                made: row.try_get(1)?,
                secret,
            });
        }
    }
    Ok(keys)
}

/// Adds a key unless one was made after `since`.
pub async fn renew(connection: &mut PgConnection, key: &PageKey, since: Micros) -> sqlx::Result<()> {
    sqlx::raw_sql("BEGIN; LOCK TABLE page_key IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO page_key (made, secret) SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM page_key WHERE made > $3)",
    )
    .bind(key.made)
    .bind(key.secret.to_vec())
    .bind(since)
    .execute(&mut *connection)
    .await?;
    let old = "DELETE FROM page_key WHERE id NOT IN (SELECT id FROM page_key ORDER BY id DESC LIMIT $1)";
    sqlx::query(old).bind(KEYS).execute(&mut *connection).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(())
}

/// A query, by its name.
pub async fn query(connection: &mut PgConnection, name: &str) -> sqlx::Result<Option<KeptQuery>> {
    let row = sqlx::query("SELECT name, owner, text, until FROM kept_query WHERE name = $1").bind(name);
    let row = row.fetch_optional(connection).await?;
    row.map(|row| {
        Ok(KeptQuery {
            name: row.try_get(0)?,
            owner: row.try_get(1)?,
            text: row.try_get(2)?,
            until: row.try_get(3)?,
        })
    })
    .transpose()
}

/// Keeps a query, and forgets those whose time is over.
pub async fn keep(connection: &mut PgConnection, query: &KeptQuery, now: Micros) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM kept_query WHERE until < $1")
        .bind(now)
        .execute(&mut *connection)
        .await?;
    let insert = "INSERT INTO kept_query (name, owner, text, until) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (name) DO UPDATE SET owner = $2, text = $3, until = $4";
    sqlx::query(insert)
        .bind(&query.name)
        .bind(&query.owner)
        .bind(&query.text)
        .bind(query.until)
        .execute(connection)
        .await?;
    Ok(())
}
