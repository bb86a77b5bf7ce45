//! What `check` proves: that bodies, index rows, history and clock agree.

use fhir_search::Keys;

/// Makes the keys of a stored form of a type again; `None`: it can't be done.
pub type Extract = dyn Fn(&str, &[u8]) -> Option<Keys> + Send + Sync;

/// What a check found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Live resources.
    pub resources: u64,
    /// Superseded versions.
    pub superseded: u64,
    /// What is wrong; empty: nothing.
    pub problems: Vec<String>,
}

/// Stands for a text that has no number: no row has it.
pub(crate) const NO_TEXT: i64 = -1;

/// All rows that are made of others.
pub(crate) const COUNT_OWNED: &str =
    "SELECT (SELECT count(*) FROM ix_owner_date) + (SELECT count(*) FROM ix_owner_exact)";

impl CheckReport {
    /// The number of rows that are made of others, as it should be and as it is.
    pub(crate) fn owned(&mut self, expected: u64, found: u64) {
        if found > expected {
            let more = found - expected;
            self.problems
                .push(format!("{more} rows of owners belong to no resource"));
        }
    }

    pub(crate) fn disagrees(&mut self, of: &str, id: &str) {
        self.problems
            .push(format!("the index rows of {of}/{id} aren't what its body says"));
    }
}

/// Questions that must find nothing, and what it means if they do.
pub(crate) const RULES: &[(&str, &str)] = &[
    (
        "SELECT count(*) FROM res WHERE upd > (SELECT clock FROM service)",
        "resources are newer than the clock",
    ),
    (
        "SELECT count(*) FROM res WHERE pk >= (SELECT next_pk FROM service)",
        "resources have numbers that aren't given yet",
    ),
    (
        "SELECT count(*) FROM (SELECT upd FROM res UNION ALL SELECT upd FROM hist) a GROUP BY upd HAVING count(*) > 1 LIMIT 1",
        "versions share a time",
    ),
    (
        "SELECT count(*) FROM res WHERE (body IS NULL) != (kind & 15 = 2)",
        "resources are neither deleted nor there",
    ),
    (
        "SELECT count(*) FROM res r WHERE ver > 1 AND kind < 16 AND NOT EXISTS (SELECT 1 FROM hist h WHERE h.pk = r.pk AND h.ver = r.ver - 1)",
        "resources lack their last superseded version",
    ),
    (
        "SELECT count(*) FROM hist r WHERE ver > 1 AND kind < 16 AND NOT EXISTS (SELECT 1 FROM hist h WHERE h.pk = r.pk AND h.ver = r.ver - 1)",
        "superseded versions lack the one before",
    ),
    (
        "SELECT count(*) FROM hist h WHERE NOT EXISTS (SELECT 1 FROM res r WHERE r.pk = h.pk AND r.ver > h.ver)",
        "superseded versions have no current one",
    ),
    (
        "SELECT count(*) FROM ix_exact x WHERE NOT EXISTS (SELECT 1 FROM res r WHERE r.pk = x.pk AND r.body IS NOT NULL)",
        "exact keys belong to no resource",
    ),
    (
        "SELECT count(*) FROM ix_exact x WHERE NOT EXISTS (SELECT 1 FROM val v WHERE v.id = x.val)",
        "exact keys have no text",
    ),
    (
        "SELECT count(*) FROM val t WHERE t.sys > 0 AND NOT EXISTS (SELECT 1 FROM val v WHERE v.id = t.sys)",
        "codes have no system",
    ),
    (
        "SELECT count(*) FROM ix_date x WHERE NOT EXISTS (SELECT 1 FROM res r WHERE r.pk = x.pk AND r.body IS NOT NULL)",
        "dates belong to no resource",
    ),
    (
        "SELECT count(*) FROM ix_number x WHERE NOT EXISTS (SELECT 1 FROM res r WHERE r.pk = x.pk AND r.body IS NOT NULL)",
        "numbers belong to no resource",
    ),
    (
        "SELECT count(*) FROM ix_string x WHERE NOT EXISTS (SELECT 1 FROM res r WHERE r.pk = x.pk AND r.body IS NOT NULL)",
        "strings belong to no resource",
    ),
];
