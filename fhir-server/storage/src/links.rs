//! Chains and `_has` as SQL: from a resource along its references, and from what refers to it.

use crate::search::{can_drive, driving_rows};
use crate::sql::{self, At, Condition, Sql};

/// As a test of a resource: outer first, inner by probes.
pub fn probe(condition: &Condition, at: &At) -> Sql {
    let d = at.depth;
    let there = At {
        pk: format!("t{d}.pk"),
        row: format!("t{d}"),
        depth: d + 1,
    };
    let (mut sql, inner) = match condition {
        Condition::Linked {
            param,
            target,
            prefix,
            inner,
        } => {
            let mut sql = Sql::plain(format!(
                "EXISTS (SELECT 1 FROM ix_exact l{d} INDEXED BY ix_exact_pk CROSS JOIN val v{d} ON v{d}.id = l{d}.val \
                 CROSS JOIN res t{d} INDEXED BY res_id ON t{d}.type = {target} AND t{d}.id = substr(v{d}.text, {}) \
                 WHERE l{d}.pk = {} AND l{d}.param = ? AND t{d}.body IS NOT NULL",
                prefix.len() + 1,
                at.pk,
            ));
            sql.bind(*param);
            sql.and(sql::prefixed(&format!("v{d}.text"), prefix));
            (sql, inner)
        }
        Condition::LinkedBy {
            param, prefix, inner, ..
        } => {
            let mut sql = Sql::plain(format!(
                "EXISTS (SELECT 1 FROM val v{d} INDEXED BY val_text CROSS JOIN ix_exact l{d} ON l{d}.param = ? \
                 AND l{d}.val = v{d}.id CROSS JOIN res t{d} ON t{d}.pk = l{d}.pk WHERE v{d}.text = ? || {}.id",
                at.row,
            ));
            sql.bind(*param);
            sql.bind(prefix.clone());
            (sql, inner)
        }
        _ => return Sql::plain("0"),
    };
    for condition in inner {
        sql.and(condition.probe_at(&there));
    }
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
pub fn other_end(driver: &Condition, of: i64) -> Sql {
    let Condition::Id(ids) = driver else {
        return driving_rows(driver);
    };
    let mut sql = Sql::plain(format!(
        "SELECT r.pk AS pk FROM res r INDEXED BY res_id WHERE r.type = {of} AND r.body IS NOT NULL AND r.id IN ({})",
        sql::marks(ids.len())
    ));
    for id in ids {
        sql.bind(id.clone());
    }
    sql
}

/// The pks of resources, inner first.
pub fn rows(condition: &Condition) -> Sql {
    let there = At {
        pk: "q.pk".to_owned(),
        row: "q".to_owned(),
        depth: 1,
    };
    let (mut sql, others) = match condition {
        Condition::Linked {
            param,
            target,
            prefix,
            inner,
        } => {
            let Some((first, others)) = driver(inner) else {
                return Sql::plain("SELECT 0 AS pk WHERE 0");
            };
            let mut sql = Sql::plain("SELECT x.pk AS pk FROM (");
            sql.append(other_end(first, *target));
            sql.push(&format!(
                ") i CROSS JOIN res q ON q.pk = i.pk CROSS JOIN val w INDEXED BY val_text ON w.text = ? || q.id \
                 CROSS JOIN ix_exact x ON x.param = ? AND x.val = w.id WHERE q.type = {target}"
            ));
            sql.bind(prefix.clone());
            sql.bind(*param);
            (sql, others)
        }
        Condition::LinkedBy {
            param,
            source,
            target,
            prefix,
            inner,
        } => {
            let Some((first, others)) = driver(inner) else {
                return Sql::plain("SELECT 0 AS pk WHERE 0");
            };
            let mut sql = Sql::plain("SELECT t.pk AS pk FROM (");
            sql.append(other_end(first, *source));
            sql.push(&format!(
                ") i CROSS JOIN res q ON q.pk = i.pk CROSS JOIN ix_exact l INDEXED BY ix_exact_pk ON l.pk = i.pk \
                 AND l.param = ? CROSS JOIN val w ON w.id = l.val CROSS JOIN res t INDEXED BY res_id \
                 ON t.type = {target} AND t.id = substr(w.text, {}) WHERE t.body IS NOT NULL",
                prefix.len() + 1
            ));
            sql.bind(*param);
            sql.and(sql::prefixed("w.text", prefix));
            (sql, others)
        }
        _ => return Sql::plain("SELECT 0 AS pk WHERE 0"),
    };
    for condition in others {
        sql.and(condition.probe_at(&there));
    }
    sql
}
