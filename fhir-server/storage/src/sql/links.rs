//! Chains and `_has` as SQL: from a resource along its references, and from what refers to it.

use fhir_search::key::URI;

use super::condition::{At, Condition};
use super::dialect::Dialect;
use super::driving::{can_drive, driving_rows};
use super::{Sql, prefixed};

/// Of one link: the text of its reference, and of the url that it names; the resource at its other end; the rows of the
/// reference and of the url.
fn aliases(depth: usize) -> [String; 5] {
    ["v", "w", "t", "l", "y"].map(|alias| format!("{alias}{depth}"))
}

/// From the text of a reference to the resource.
fn to_target(dialect: Dialect, depth: usize, target: i64, url: Option<i64>, prefix: &str) -> String {
    let [text, own, row, _, of] = aliases(depth);
    let Some(url) = url else {
        let id = format!(
            "{row}.type = {target} AND {row}.id = substr({text}.text, {})",
            prefix.len() + 1
        );
        return dialect.join("res", &row, "res_id", &id);
    };
    let own_url = format!("{own}.text = '{URI}' || substr({text}.text, 2)");
    let of_url = format!("{of}.param = {url} AND {of}.val = {own}.id");
    let of_type = format!(
        "{row}.pk = {of}.pk AND {} = {target}",
        dialect.unsought(&format!("{row}.type"))
    );
    [
        dialect.join("val", &own, "val_text", &own_url),
        dialect.join("ix_exact", &of, "", &of_url),
        dialect.join("res", &row, "", &of_type),
    ]
    .join(" ")
}

/// As a test of a resource: outer first, inner by probes.
pub fn probe(condition: &Condition, at: &At) -> Sql {
    let d = at.depth;
    let dialect = at.dialect;
    let mut there = At {
        pk: format!("t{d}.pk"),
        row: format!("t{d}"),
        depth: d + 1,
        dialect,
    };
    let [text, own, row, link, of] = aliases(d);
    let (mut sql, inner) = match condition {
        Condition::Linked {
            param,
            target,
            url,
            prefix,
            inner,
        } => {
            let reference = dialect.join("val", &text, "", &format!("{text}.id = {link}.val"));
            let there = to_target(dialect, d, *target, *url, prefix);
            let mut sql = Sql::plain(format!(
                "EXISTS (SELECT 1 FROM ix_exact {link}{} {reference} {there} \
                 WHERE {link}.pk = {} AND {} = ? AND {row}.body IS NOT NULL",
                dialect.by("ix_exact_pk"),
                at.pk,
                dialect.unsought(&format!("{link}.param")),
            ));
            sql.bind(*param);
            sql.and(prefixed(&format!("{text}.text"), prefix));
            (sql, inner)
        }
        Condition::LinkedBy {
            param,
            url: None,
            prefix,
            inner,
            ..
        } => {
            let mut joins = dialect.join(
                "ix_exact",
                &link,
                "",
                &format!("{link}.param = ? AND {link}.val = {text}.id"),
            );
            // index rows belong to resources that are there: their own row is read where something in it is asked for
            if inner.iter().any(Condition::reads_row) {
                joins.push(' ');
                joins.push_str(&dialect.join("res", &row, "", &format!("{row}.pk = {link}.pk")));
            } else {
                there.pk = format!("{link}.pk");
            }
            let mut sql = Sql::plain(format!(
                "EXISTS (SELECT 1 FROM val {text}{} {joins} WHERE {text}.text = ? || {}.id",
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
            let reference = format!("{text}.text = '{prefix}' || substr({own}.text, 2)");
            let joins = [
                dialect.join("val", &own, "", &format!("{own}.id = {of}.val")),
                dialect.join("val", &text, "val_text", &reference),
                dialect.join(
                    "ix_exact",
                    &link,
                    "",
                    &format!("{link}.param = ? AND {link}.val = {text}.id"),
                ),
                dialect.join("res", &row, "", &format!("{row}.pk = {link}.pk")),
            ];
            let mut sql = Sql::plain(format!(
                "EXISTS (SELECT 1 FROM ix_exact {of}{} {} WHERE {of}.pk = {} AND {} = {url}",
                dialect.by("ix_exact_pk"),
                joins.join(" "),
                at.pk,
                dialect.unsought(&format!("{of}.param")),
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
    let mut sql = Sql::plain("SELECT r.pk AS pk FROM ");
    sql.append(dialect.named(&[of], ids));
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
    let mut sql = Sql::plain("SELECT w.id AS pk FROM (");
    sql.append(other_end(dialect, first, *target));
    sql.push(&format!(
        ") i {} {} WHERE {} = {target} AND q.body IS NOT NULL",
        dialect.join("res", "q", "", "q.pk = i.pk"),
        dialect.join("val", "w", "val_text", "w.text = ? || q.id"),
        dialect.unsought("q.type"),
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
    let there = At {
        pk: "q.pk".to_owned(),
        row: "q".to_owned(),
        depth: 1,
        dialect,
    };
    let row = dialect.join("res", "q", "", "q.pk = i.pk");
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
                None => dialect.join("val", "w", "val_text", "w.text = ? || q.id"),
                Some(url) => {
                    let of_url = format!("y.pk = i.pk AND {} = {url}", dialect.unsought("y.param"));
                    [
                        dialect.join("ix_exact", "y", "ix_exact_pk", &of_url),
                        dialect.join("val", "u", "", "u.id = y.val"),
                        dialect.join("val", "w", "val_text", "w.text = ? || substr(u.text, 2)"),
                    ]
                    .join(" ")
                }
            };
            let mut sql = Sql::plain("SELECT x.pk AS pk FROM (");
            sql.append(other_end(dialect, first, *target));
            sql.push(&format!(
                ") i {row} {own} {} WHERE {} = {target}",
                dialect.join("ix_exact", "x", "", "x.param = ? AND x.val = w.id"),
                dialect.unsought("q.type"),
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
                None => {
                    let id = format!("t.type = {target} AND t.id = substr(w.text, {})", prefix.len() + 1);
                    dialect.join("res", "t", "res_id", &id)
                }
                Some(url) => {
                    let own = format!("u.text = '{URI}' || substr(w.text, 2)");
                    let of_type = format!("t.pk = y.pk AND {} = {target}", dialect.unsought("t.type"));
                    [
                        dialect.join("val", "u", "val_text", &own),
                        dialect.join("ix_exact", "y", "", &format!("y.param = {url} AND y.val = u.id")),
                        dialect.join("res", "t", "", &of_type),
                    ]
                    .join(" ")
                }
            };
            // many of them refer to the same: each of those is looked up once
            let mut sql = Sql::plain("SELECT t.pk AS pk FROM (SELECT DISTINCT l.val AS val FROM (");
            sql.append(other_end(dialect, first, *source));
            let of_resource = format!("l.pk = i.pk AND {} = ?", dialect.unsought("l.param"));
            sql.push(") i ");
            sql.push(&dialect.join("ix_exact", "l", "ix_exact_pk", &of_resource));
            sql.bind(*param);
            if others.iter().any(|condition| condition.reads_row()) {
                sql.push(" ");
                sql.push(&row);
            }
            sql.push(" WHERE TRUE");
            let there = At {
                pk: "i.pk".to_owned(),
                ..there
            };
            for condition in others {
                sql.and(condition.probe_at(&there));
            }
            let text = dialect.join("val", "w", "", "w.id = n.val");
            sql.push(&format!(") n {text} {found} WHERE t.body IS NOT NULL"));
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
        ") i {} WHERE q.body IS NOT NULL",
        dialect.join("res", "q", "", "q.pk = i.pk")
    ));
    for condition in others {
        sql.and(condition.probe_at(&there));
    }
    sql
}
