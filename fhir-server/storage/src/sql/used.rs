//! The different keys of a parameter that any resource has.

use fhir_search::key::{BETWEEN, TOKEN};

use super::Sql;

/// Texts of at most `most` keys of a parameter. Each step looks up the next key in the index by value, so what it costs is
/// the number of keys, however many resources have them. A token's text is its code's, beside the number of its system's.
pub fn statement(param: i64, most: i64) -> Sql {
    let next = "SELECT i.val FROM ix_exact i WHERE i.param = ? AND i.val >";
    let order = "ORDER BY i.val LIMIT 1";
    let mut sql = Sql::plain(format!(
        "WITH RECURSIVE used (val) AS (SELECT ({next} -1 {order}) UNION ALL \
         SELECT ({next} u.val {order}) FROM used u WHERE u.val IS NOT NULL LIMIT ?) \
         SELECT CASE WHEN substr(v.text, 1, 1) = '{TOKEN}' \
         THEN '{TOKEN}' || coalesce(substr(s.text, 2), '') || '{BETWEEN}' || substr(v.text, 2) ELSE v.text END \
         FROM used u JOIN val v ON v.id = u.val LEFT JOIN val s ON s.id = v.sys"
    ));
    for argument in [param, param, most] {
        sql.bind(argument);
    }
    sql
}
