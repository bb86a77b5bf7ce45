//! Chains and `_has` as SQL: from a resource along its references, and from what refers to it.

use fhir_search::key::URI;

use super::condition::{At, Condition, one_of_texts};
use super::dialect::Dialect;
use super::statement::{can_drive, driving_rows};
use super::{Sql, prefixed};

/// As a test of a resource: outer first, inner by probes.
pub fn probe(condition: &Condition, at: &At) -> Sql {
    let d = at.depth;
    let (dialect, join) = (at.dialect, at.dialect.join());
    let there = At {
        pk: format!("t{d}.pk"),
        row: format!("t{d}"),
        depth: d + 1,
        dialect,
    };
    let (mut sql, inner) = match condition {
        Condition::Linked {
            param,
            target,
            url,
            prefix,
            inner,
        } => {
            let there = match url {
                None => format!(
                    "{join} res t{d}{} ON t{d}.type = {target} AND t{d}.id = substr(v{d}.text, {})",
                    dialect.by("res_id"),
                    prefix.len() + 1
                ),
                Some(url) => format!(
                    "{join} val w{d}{} ON w{d}.text = '{URI}' || substr(v{d}.text, 2) {join} ix_exact y{d} \
                     ON y{d}.param = {url} AND y{d}.val = w{d}.id {join} res t{d} ON t{d}.pk = y{d}.pk \
                     AND t{d}.type = {target}",
                    dialect.by("val_text")
                ),
            };
            let mut sql = Sql::plain(format!(
                "EXISTS (SELECT 1 FROM ix_exact l{d}{} {join} val v{d} ON v{d}.id = l{d}.val {there} \
                 WHERE l{d}.pk = {} AND l{d}.param = ? AND t{d}.body IS NOT NULL",
                dialect.by("ix_exact_pk"),
                at.pk,
            ));
            sql.bind(*param);
            sql.and(prefixed(&format!("v{d}.text"), prefix));
            (sql, inner)
        }
        Condition::LinkedBy {
            param,
            url: None,
            prefix,
            inner,
            ..
        } => {
            let mut sql = Sql::plain(format!(
                "EXISTS (SELECT 1 FROM val v{d}{} {join} ix_exact l{d} ON l{d}.param = ? \
                 AND l{d}.val = v{d}.id {join} res t{d} ON t{d}.pk = l{d}.pk WHERE v{d}.text = ? || {}.id",
                dialect.by("val_text"),
                at.row,
            ));
            sql.bind(*param);
            sql.bind(prefix.clone());
            (sql, inner)
        }
        Condition::LinkedBy {
            param,
            url: Some(url),
            prefix,
            inner,
            ..
        } => {
            let mut sql = Sql::plain(format!(
                "EXISTS (SELECT 1 FROM ix_exact y{d}{} {join} val w{d} ON w{d}.id = y{d}.val \
                 {join} val v{d}{} ON v{d}.text = '{prefix}' || substr(w{d}.text, 2) {join} ix_exact l{d} \
                 ON l{d}.param = ? AND l{d}.val = v{d}.id {join} res t{d} ON t{d}.pk = l{d}.pk \
                 WHERE y{d}.pk = {} AND y{d}.param = {url}",
                dialect.by("ix_exact_pk"),
                dialect.by("val_text"),
                at.pk,
            ));
            sql.bind(*param);
            (sql, inner)
        }
        _ => return Sql::plain("FALSE"),
    };
    for condition in inner {
        sql.and(condition.probe_at(&there));
    }
    sql.push(dialect.each_row());
    sql.push(")");
    sql
}

/// The condition of the other end that has an index to begin with, and the others.
pub fn driver(inner: &[Condition]) -> Option<(&Condition, Vec<&Condition>)> {
    let rank = |condition: &Condition| match condition {
        Condition::Id(_) => 0,
        Condition::Exact { values, .. } if values.len() == 1 => 1,
        _ => 2,
    };
    let able = inner
        .iter()
        .enumerate()
        .filter(|(_, condition)| can_drive(condition) || matches!(condition, Condition::Id(_)));
    let (at, first) = able.min_by_key(|(_, condition)| rank(condition))?;
    let others = inner.iter().enumerate().filter(|(other, _)| *other != at);
    Some((first, others.map(|(_, condition)| condition).collect()))
}

/// The pks of the other end's driver.
pub fn other_end(dialect: Dialect, driver: &Condition, of: i64) -> Sql {
    let Condition::Id(ids) = driver else {
        return driving_rows(dialect, driver);
    };
    let mut sql = Sql::plain(format!(
        "SELECT r.pk AS pk FROM res r{} WHERE r.type = {of} AND r.body IS NOT NULL AND r.id ",
        dialect.by("res_id"),
    ));
    sql.append(one_of_texts(dialect, ids));
    sql
}

/// The numbers of the references that lead to what a chain ends at; for chains forwards, by type and id, whose other end has
/// an index to begin with.
pub fn references(dialect: Dialect, condition: &Condition) -> Option<Sql> {
    let Condition::Linked {
        target,
        url: None,
        prefix,
        inner,
        ..
    } = condition
    else {
        return None;
    };
    let (first, others) = driver(inner)?;
    let join = dialect.join();
    let mut sql = Sql::plain("SELECT w.id AS pk FROM (");
    sql.append(other_end(dialect, first, *target));
    sql.push(&format!(
        ") i {join} res q ON q.pk = i.pk {join} val w{} ON w.text = ? || q.id \
         WHERE q.type = {target} AND q.body IS NOT NULL",
        dialect.by("val_text"),
    ));
    sql.bind(prefix.clone());
    let there = At {
        pk: "q.pk".to_owned(),
        row: "q".to_owned(),
        depth: 1,
        dialect,
    };
    for condition in others {
        sql.and(condition.probe_at(&there));
    }
    Some(sql)
}

/// The pks of resources, inner first.
pub fn rows(dialect: Dialect, condition: &Condition) -> Sql {
    let join = dialect.join();
    let there = At {
        pk: "q.pk".to_owned(),
        row: "q".to_owned(),
        depth: 1,
        dialect,
    };
    let (mut sql, others) = match condition {
        Condition::Linked {
            param,
            target,
            url,
            prefix,
            inner,
        } => {
            let Some((first, others)) = driver(inner) else {
                return Sql::plain("SELECT 0 AS pk WHERE FALSE");
            };
            let own = match url {
                None => format!("{join} val w{} ON w.text = ? || q.id", dialect.by("val_text")),
                Some(url) => format!(
                    "{join} ix_exact y{} ON y.pk = i.pk AND y.param = {url} {join} val u ON u.id = y.val \
                     {join} val w{} ON w.text = ? || substr(u.text, 2)",
                    dialect.by("ix_exact_pk"),
                    dialect.by("val_text")
                ),
            };
            let mut sql = Sql::plain("SELECT x.pk AS pk FROM (");
            sql.append(other_end(dialect, first, *target));
            sql.push(&format!(
                ") i {join} res q ON q.pk = i.pk {own} \
                 {join} ix_exact x ON x.param = ? AND x.val = w.id WHERE q.type = {target}",
            ));
            sql.bind(prefix.clone());
            sql.bind(*param);
            (sql, others)
        }
        Condition::LinkedBy {
            param,
            source,
            target,
            url,
            prefix,
            inner,
        } => {
            let Some((first, others)) = driver(inner) else {
                return Sql::plain("SELECT 0 AS pk WHERE FALSE");
            };
            let found = match url {
                None => format!(
                    "{join} res t{} ON t.type = {target} AND t.id = substr(w.text, {})",
                    dialect.by("res_id"),
                    prefix.len() + 1
                ),
                Some(url) => format!(
                    "{join} val u{} ON u.text = '{URI}' || substr(w.text, 2) {join} ix_exact y ON y.param = {url} \
                     AND y.val = u.id {join} res t ON t.pk = y.pk AND t.type = {target}",
                    dialect.by("val_text")
                ),
            };
            // many of them refer to the same: each of those is looked up once
            let mut sql = Sql::plain("SELECT t.pk AS pk FROM (SELECT DISTINCT l.val AS val FROM (");
            sql.append(other_end(dialect, first, *source));
            sql.push(&format!(
                ") i {join} ix_exact l{} ON l.pk = i.pk AND l.param = ?",
                dialect.by("ix_exact_pk")
            ));
            sql.bind(*param);
            if others.iter().any(|condition| condition.reads_row()) {
                sql.push(&format!(" {join} res q ON q.pk = i.pk"));
            }
            sql.push(" WHERE TRUE");
            let there = At {
                pk: "i.pk".to_owned(),
                ..there
            };
            for condition in others {
                sql.and(condition.probe_at(&there));
            }
            sql.push(&format!(
                ") n {join} val w ON w.id = n.val {found} WHERE t.body IS NOT NULL"
            ));
            sql.and(prefixed("w.text", prefix));
            return sql;
        }
        _ => return Sql::plain("SELECT 0 AS pk WHERE FALSE"),
    };
    for condition in others {
        sql.and(condition.probe_at(&there));
    }
    sql
}

/// The pks of resources that all of these hold for: one has an index to begin with.
pub fn all_rows(dialect: Dialect, parts: &[Condition]) -> Sql {
    let Some((first, others)) = driver(parts) else {
        return Sql::plain("SELECT 0 AS pk WHERE FALSE");
    };
    let there = At {
        pk: "q.pk".to_owned(),
        row: "q".to_owned(),
        depth: 1,
        dialect,
    };
    let mut sql = Sql::plain("SELECT q.pk AS pk FROM (");
    sql.append(driving_rows(dialect, first));
    sql.push(&format!(
        ") i {} res q ON q.pk = i.pk WHERE q.body IS NOT NULL",
        dialect.join()
    ));
    for condition in others {
        sql.and(condition.probe_at(&there));
    }
    sql
}
