//! `_has` by what resources are: those that own one with a code. The rows of owners lie by code and owner, so each owner
//! is one step of their index, however many resources they own; and whether somebody owns one is one probe.

use super::condition::{At, Condition, one_of_numbers};
use super::dialect::Dialect;
use super::driving::MANY;
use super::{Sql, prefixed};

/// So few owners that they are looked up before anything else is tried.
pub const OWNERS: i64 = 64;
/// Resources of which so many own one are found by trying all of them.
const TRIED: i64 = 500;
const DENSE: i64 = 20;

/// Owners of resources with one of these codes.
#[derive(Debug, Clone)]
pub struct Owns {
    pub param: i64,
    pub values: Vec<i64>,
    pub via: i64,
    /// The type of the owner, and the beginning of its key: `rPatient/`.
    pub target: i64,
    pub prefix: String,
}

impl Owns {
    /// As a test of a resource, which reads its row.
    pub fn probe(&self, at: &At) -> Sql {
        let (dialect, d, via) = (at.dialect, at.depth, self.via);
        let mut on = Sql::with(format!("y{d}.param = ? AND y{d}.val "), self.param);
        on.append(one_of_numbers(dialect, &self.values));
        on.push(&format!(" AND y{d}.owner = v{d}.id AND y{d}.via & {via} = {via}"));
        let owned = dialect.join("ix_owner_exact", &format!("y{d}"), "", &on.text);
        let mut sql = Sql {
            text: format!(
                "EXISTS (SELECT 1 FROM val v{d}{} {owned} WHERE v{d}.text = ? || {}.id",
                dialect.by("val_text"),
                at.row
            ),
            arguments: on.arguments,
        };
        sql.bind(self.prefix.clone());
        sql.push(dialect.each_row());
        sql.push(")");
        sql
    }

    /// The numbers of all owners, in a column `val`: from each the index is searched for the next one.
    fn owners(&self, value: i64) -> Sql {
        let (param, via) = (self.param, self.via);
        let mut sql = Sql::plain("WITH RECURSIVE o (owner) AS (SELECT f.owner FROM (");
        let next = |after: &str| Sql {
            text: format!(
                "SELECT x.owner FROM ix_owner_exact x WHERE x.param = ? AND x.val = ?{after} \
                 AND x.via & {via} = {via} ORDER BY x.owner LIMIT 1"
            ),
            arguments: vec![param.into(), value.into()],
        };
        sql.append(next(""));
        sql.push(") f UNION ALL SELECT (");
        sql.append(next(" AND x.owner > o.owner"));
        sql.push(") FROM o WHERE o.owner IS NOT NULL) SELECT o.owner AS val FROM o WHERE o.owner IS NOT NULL");
        sql
    }

    /// The pks of all owners; where there are several codes one may come more than once.
    pub fn rows(&self, dialect: Dialect) -> Sql {
        let text = dialect.join("val", "w", "", "w.id = n.val");
        let id = format!(
            "t.type = {} AND t.id = substr(w.text, {})",
            self.target,
            self.prefix.len() + 1
        );
        let there = dialect.join("res", "t", "res_id", &id);
        let mut sql = Sql::plain("");
        for (index, value) in self.values.iter().enumerate() {
            if index > 0 {
                sql.push(" UNION ALL ");
            }
            sql.push("SELECT t.pk AS pk FROM (");
            sql.append(self.owners(*value));
            sql.push(&format!(") n {text} {there} WHERE t.body IS NOT NULL"));
            sql.and(prefixed("w.text", &self.prefix));
        }
        sql
    }

    /// The pks of the first [`OWNERS`], 0 for one who isn't there: fewer than that are all.
    pub fn few(&self, dialect: Dialect) -> Sql {
        let mut sql = Sql::plain("SELECT coalesce(t.pk, 0) AS pk FROM (");
        sql.append(self.all_owners());
        let prefix = prefixed("w.text", &self.prefix);
        let id = format!(
            "t.type = {} AND t.id = substr(w.text, {}) AND t.body IS NOT NULL AND {}",
            self.target,
            self.prefix.len() + 1,
            prefix.text
        );
        sql.push(&format!(
            " LIMIT {OWNERS}) n {} {}",
            dialect.join("val", "w", "", "w.id = n.val"),
            dialect.join_if_any("res", "t", "res_id", &id)
        ));
        sql.arguments.extend(prefix.arguments);
        sql
    }

    /// The numbers of the owners of all codes.
    fn all_owners(&self) -> Sql {
        let mut sql = Sql::default();
        for (index, value) in self.values.iter().enumerate() {
            sql.push(if index > 0 { " UNION ALL " } else { "" });
            sql.push("SELECT u.val FROM (");
            sql.append(self.owners(*value));
            sql.push(") u");
        }
        sql
    }

    /// Whether it pays to begin with more owners: trying the first resources of the type finds too few, and they aren't too
    /// many.
    pub fn leads(&self, dialect: Dialect) -> Sql {
        let mut sql = Sql::plain(format!(
            "((SELECT count(*) FROM (SELECT 1 FROM (SELECT q.id AS id FROM res q{} WHERE q.type = {} \
             AND q.body IS NOT NULL AND q.pk > 0 ORDER BY q.pk LIMIT {TRIED}) r WHERE ",
            dialect.by("res_live"),
            self.target
        ));
        sql.append(Condition::Owns(self.clone()).probe(dialect, "r.pk"));
        sql.push(&format!(" LIMIT {DENSE}) m) < {DENSE} AND (SELECT count(*) FROM ("));
        sql.append(self.all_owners());
        sql.push(&format!(" LIMIT {MANY}) n) < {MANY})"));
        sql
    }
}
