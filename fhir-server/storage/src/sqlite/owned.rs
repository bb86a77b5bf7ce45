//! Owner rows of a database that was written before there were any, or by other parameters.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::catalogue::Catalogue;
use crate::owned::Owned;
use crate::rows::Rows;

/// Makes them, in one transaction, as the catalogue says; only before anybody reads or writes. Some 30 µs a resource, once.
pub fn settle(connection: &mut Connection, catalogue: &Catalogue) -> rusqlite::Result<()> {
    let (wanted, found) = (catalogue.all_owned(), read(connection)?);
    if wanted == found {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for (of, owned) in &found {
        if wanted.get(of) != Some(owned) {
            transaction.execute("DELETE FROM ix_owner_date WHERE param = ?1", [owned.date])?;
            transaction.execute("DELETE FROM ix_owner_exact WHERE param = ?1", [owned.code])?;
            transaction.execute("DELETE FROM owned WHERE type = ?1", [of])?;
        }
    }
    for (of, owned) in &wanted {
        if found.get(of) != Some(owned) {
            fill(&transaction, catalogue, *of)?;
            let Owned {
                members,
                patient,
                subject,
                date,
                code,
            } = owned;
            transaction
                .prepare_cached("INSERT INTO owned VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute((of, members, patient, subject, date, code))?;
        }
    }
    transaction.commit()
}

fn read(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, Owned>> {
    let mut select = connection.prepare("SELECT type, members, patient, subject, date, code FROM owned")?;
    let rows = select.query_map([], |row| {
        let owned = Owned {
            members: row.get(1)?,
            patient: row.get(2)?,
            subject: row.get(3)?,
            date: row.get(4)?,
            code: row.get(5)?,
        };
        Ok((row.get(0)?, owned))
    })?;
    rows.collect()
}

/// All resources of a type.
fn fill(connection: &Connection, catalogue: &Catalogue, of: i64) -> rusqlite::Result<()> {
    let mut select = connection
        .prepare_cached("SELECT pk FROM res INDEXED BY res_live WHERE type = ?1 AND body IS NOT NULL ORDER BY pk")?;
    let mut pks = select.query([of])?;
    while let Some(row) = pks.next()? {
        let pk = row.get(0)?;
        let rows = Rows::read(connection, catalogue, of, pk)?;
        let mut before = rows.clone();
        before.owner_dates.clear();
        before.owner_exact.clear();
        rows.replace(connection, pk, &before)?;
    }
    Ok(())
}
